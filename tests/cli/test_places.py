"""Commands on URIs and on days: what they read and write where, and what they refuse."""

import json
import shutil
from functools import partial
from pathlib import Path
from uuid import uuid4

import click
import numpy as np
import pyarrow.parquet as pq
import pytest
from command import run_command
from made_days import write_part
from made_library import series, song, write_library
from needs import needs
from object_store import s3_server

from audiorec.errors import StoreError
from audiorec.files import storage
from audiorec.files.storage import files_in, join
from audiorec.listening.interactions import read_interactions
from audiorec_cli.main import app
from audiorec_cli.shared.configured import commands_of
from audiorec_cli.shared.places import check_kinds, local_values

SETTINGS = """
[recall]
interactions = "plays"
out = "serving"
channels = ["popular", "item-knn"]
k = 5
depth = 10
exposure_days = 2

[recall.export]
"""
DAYS = [f"2026-11-{number}" for number in range(20, 25)]


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as uri:
        yield uri


@pytest.fixture
def memory():
    needs("fsspec")
    return f"memory://{uuid4().hex}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "elsewhere"


@pytest.fixture
def audiorec(monkeypatch, capsys):
    return partial(run_command, monkeypatch, capsys)


@pytest.fixture
def good(audiorec):
    """Run a command that has to end well; return what it printed and said."""

    def run(*arguments):
        code, out, said = audiorec(*arguments)
        assert code == 0, said
        return out, said

    return run


@pytest.fixture
def plays(tmp_path):
    """Listening of five days, with a row that came two days late."""
    rng = np.random.default_rng(0)
    for day in DAYS:
        rows = [
            (
                f"u{rng.integers(8)}",
                f"s{rng.integers(25):02}",
                f"{day} {rng.integers(1, 23):02}:{rng.integers(60):02}",
            )
            for _ in range(40)
        ]
        write_part(tmp_path / "plays", f"dt={day}/part-00000.parquet", rows)
    late = [("u1", "s01", "2026-11-22 05:00")]
    write_part(tmp_path / "plays", "dt=2026-11-24/part-00001.parquet", late)
    return tmp_path / "plays"


def upload(folder, uri):
    for path in folder.rglob("*"):
        if path.is_file():
            storage.write(join(uri, path.relative_to(folder).as_posix()), path.read_bytes())
    return uri


def tree(folder):
    """Return the files of a folder by name, but for what it cost to make them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "state.json"
    }


def names(uri):
    return [entry.name for entry in files_in(uri)]


def test_inputs_on_uris_give_what_paths_give(bucket, good, plays, tmp_path):
    uri = upload(plays, f"{bucket}/plays")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()

    def way(log, out, made):
        good("listening", "prepare", log, "--out", f"{out}/prepared", "--buckets", "2", "-q")
        good("recall", "train", "ease", "-i", log, "--out", f"{out}/ease", "-q")
        model, lists = made(f"{out}/ease"), f"{out}/lists.parquet"
        good("recall", "candidates", model, "-i", log, "-k", "9", "--out", lists)
        good("recall", "fuse", made(lists), "-i", log, "-k", "5", "--out", f"{out}/fused.parquet")

    def sent(place):
        if Path(place).is_dir():
            return upload(Path(place), f"{bucket}/{place}")
        storage.write(f"{bucket}/{place}", Path(place).read_bytes())
        return f"{bucket}/{place}"

    way(plays, "here", str)
    way(uri, "there", sent)
    found = {name: content for name, content in tree("there").items() if name.endswith("parquet")}
    assert found
    assert {name: tree("here")[name] for name in found} == found


def test_a_day_made_anew_is_what_it_was(good, audiorec, plays, tmp_path):
    (tmp_path / "recall.toml").write_text(SETTINGS)
    run = ("recall", "run", "--config", "recall.toml", "-q", "--day")
    # Each day is made when the days behind it are not there yet.
    waiting = tmp_path / "waiting"
    plays.rename(waiting)
    plays.mkdir()
    made = {}
    for day in DAYS:
        shutil.copytree(waiting / f"dt={day}", plays / f"dt={day}")
        good(*run, day)
        made[day] = tree(f"serving/dt={day}")
    assert {"fused.parquet", "run.json", "export/manifest.json"} < set(made[DAYS[2]])
    shutil.rmtree(f"serving/dt={DAYS[2]}")
    good(*run, DAYS[2])
    assert {day: tree(f"serving/dt={day}") for day in DAYS} == made
    assert sorted(path.name for path in Path("serving").iterdir()) == [
        "current.json",
        *(f"dt={d}" for d in DAYS),
    ]
    code, _, said = audiorec(*run, "2026-11-25")
    assert code == 2
    assert "plays: has no data of 2026-11-25; the newest day is 2026-11-24" in said


def test_a_nightly_run_reads_a_log_elsewhere(good, plays, memory, tmp_path):
    (tmp_path / "recall.toml").write_text(SETTINGS)
    upload(plays, f"{memory}/plays")
    (tmp_path / "there.toml").write_text(
        SETTINGS.replace('"plays"', f'"{memory}/plays"').replace('"serving"', '"other"')
    )
    for place, out in (("recall.toml", "serving"), ("there.toml", "other")):
        good("recall", "run", "--config", place, "--day", DAYS[0], "-q")
        assert pq.read_table(f"{out}/dt={DAYS[0]}/fused.parquet") == pq.read_table(
            f"serving/dt={DAYS[0]}/fused.parquet"
        )


def test_lists_of_one_day_are_one_file_in_its_folder(good, plays):
    good("recall", "train", "popular", "-i", plays, "--days", f"..{DAYS[1]}", "-o", "model", "-q")
    ask = ("recall", "candidates", "model", "-i", plays, "--day", DAYS[1], "--out", "lists")
    good(*ask)
    good(*ask)  # made anew
    assert sorted(tree("lists")) == [f"dt={DAYS[1]}/_SUCCESS", f"dt={DAYS[1]}/part-00000.parquet"]
    assert Path("lists.run.json").is_file()
    assert len(read_interactions(plays, until=DAYS[1]).user_ids) == len(
        set(pq.read_table("lists").column("user_id").to_pylist())
    )


def test_prepared_listening_and_exports_of_a_day(good, plays):
    for day in DAYS[:3]:
        good("listening", "prepare", "plays", "--day", day, "-o", "made/prepared", "-q")
        good("recall", "export", "-i", "plays", "--day", day, "-o", "made/export")
    for kind in ("prepared", "export"):
        folders = sorted(path.name for path in Path(f"made/{kind}").iterdir())
        assert folders == [f"dt={day}" for day in DAYS[:3]]
    plays_of = [len(read_interactions(plays, until=day)) for day in DAYS[:3]]
    samples = [
        pq.read_table(f"made/export/dt={day}/samples_recall/part-00000.parquet").num_rows
        for day in DAYS[:3]
    ]
    assert samples == plays_of


def test_a_uri_may_stand_in_the_users_own_settings(good, plays, memory, tmp_path, monkeypatch):
    upload(plays, f"{memory}/plays")
    own = tmp_path / "own.toml"
    own.write_text(f'[recall.train]\ninteractions = "{memory}/plays"\ndays = "..{DAYS[1]}"\n')
    monkeypatch.setenv("AUDIOREC_CONFIG", str(own))
    _, said = good("recall", "train", "popular", "-o", "model", "-q")
    assert f"popular: trained on {len(read_interactions(plays, until=DAYS[1]))} plays of" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("retag s3://b/songs", "s3://b/songs: audiorec retag writes to local songs"),
        ("browse -v s3://b/v.parquet", "audiorec browse shows a local library"),
        ("extract s3://b/songs", "reads local songs; for remote ones: audiorec manifest"),
        (
            "similar x -v http://b/v.parquet",
            "http://b/v.parquet: unsupported protocol; give a path",
        ),
        ("similar x -v memory://b/v.parquet", "memory://b/v.parquet: no such file"),
        (
            "recall train popular -i plays -o m --metrics-textfile memory://b/m.prom",
            "--metrics-textfile must be a local path",
        ),
        ("recall train popular -i plays -o memory://b/m", "memory://b/m: --out must be a local"),
        ("recall candidates m -i plays -o s3://b/l --day 2026-11-20", "--out must be a local path"),
        ("listening forget ana memory://b/plays", "memory://b/plays: FILES must be a local path"),
        ("recall promote s3://b/serving", "s3://b/serving: FOLDER must be a local path"),
        ("listening check plays --days yesterday..", "--days must be written as 2026-11-25"),
        ("listening check plays --days ..2026-11-25+8", "--days must be written as 2026-11-25"),
        (
            "recall candidates m -i plays -o x --day 2026-11-20 --days ..2026-11-20",
            "--day already sets the last day to read: write --days A..",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(audiorec, plays, arguments, message):
    needs("fsspec")
    code, _, said = audiorec(*arguments.split())
    assert code == 2
    (line,) = said.splitlines()
    assert message in line


def test_a_missing_extra_is_named(audiorec, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    code, _, said = audiorec("similar", "x", "-v", "s3://bucket/vecs.parquet")
    assert code == 2
    assert 'pip install "fsspec' in said


def test_copies_of_a_remote_store_lie_beside_it_and_are_read_from_there(audiorec, memory, tmp_path):
    rows = [song(name, series(n)) for n, name in enumerate("abc")]
    part = write_library(tmp_path, rows)
    code, _, said = audiorec("store", "merge", str(part), "--out", "made/all.parquet")
    assert code == 2, said  # no such folder
    (tmp_path / "made").mkdir()
    code, _, said = audiorec("store", "merge", str(part), "--out", "made/all.parquet")
    assert code == 0, said
    upload(tmp_path / "made", memory)
    assert {entry.name for entry in files_in(memory)} >= {"all.parquet", "all.copies.parquet"}
    _, out, _ = audiorec("info", "-v", f"{memory}/all.parquet", "--json")
    assert json.loads(out)["copies"] == {"further": 0, "not_compared": 0}
    storage.remove(f"{memory}/all.copies.parquet")
    _, out, _ = audiorec("info", "-v", f"{memory}/all.parquet", "--json")
    assert json.loads(out)["copies"]["not_compared"] == 3


STORE = Path(__file__).parents[2] / "fixtures/formats/vecs-v1.parquet"
CHECKED = [
    pytest.param(command, one, id=f"{' '.join(words)} --{one.key}")
    for words, command in commands_of(app)
    for one in getattr(command, "fields", ())
    if one.option.holds
]


@pytest.mark.parametrize(("command", "one"), CHECKED)
def test_a_file_of_another_kind_is_refused_before_its_command_runs(command, one):
    refusal = pytest.raises(StoreError, match=f"holds vectors of songs, not {one.option.holds}")
    given = {one.name: STORE}
    with click.Context(command), refusal:
        check_kinds([one], local_values([one], given, job=None, here="")[0])
