"""`recall.serving.nightly.job`: killed anywhere, resumed, repeated; what was shown stays away."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_engines import travelling

from audiorec.errors import InputError, LostBlocksError, StoreError
from audiorec.recall.registry import channel_class
from audiorec.recall.serving.nightly import job as nightly
from audiorec.recall.serving.nightly.job import EXPOSURES, FUSED, RECORD, NightlyJob
from audiorec.recall.serving.nightly.plan import NightlyPlan

CHANNELS = ("popular", "rules", "item-knn")


def write_log(path, days=6, users=8, songs=30):
    """Users walk through the songs, each at a pace of its own."""
    rows = ["user_id,song_id,timestamp,event"]
    for day in range(1, days + 1):
        for user in range(users):
            rows += [
                f"u{user},s{(user * 7 + day * (2 + user % 3) + n) % songs:02},"
                f"2026-01-{day:02}T{8 + n:02}:{user:02}:00Z,finish"
                for n in range(4)
            ]
    path.write_text("\n".join(rows) + "\n")


def write_config(folder, **more):
    lines = ["[recall]", 'interactions = "plays.csv"', 'out = "serving"', "k = 5", "depth = 20"]
    lines += [f"channels = {json.dumps(CHANNELS)}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    (folder / "recall.toml").write_text("\n".join(lines) + "\n")
    return folder / "recall.toml"


@pytest.fixture
def home(tmp_path):
    write_log(tmp_path / "plays.csv")
    write_config(tmp_path)
    return tmp_path


def job_in(folder):
    return NightlyJob(NightlyPlan.read(folder / "recall.toml"))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "serving").rglob("*"))
        # The state holds seconds, and a kill may leave something temporary to a later run.
        if path.is_file() and path.name != nightly.STATE and ".tmp" not in str(path)
    }


def test_a_run_writes_everything_and_a_second_one_does_nothing(home):
    record = job_in(home).run()
    found = pq.read_table(home / "serving" / FUSED)
    assert record["users"] == 8
    assert record["rows"] == len(found) == 40
    assert set(record["models"]) == set(CHANNELS)
    assert json.loads((home / "serving" / RECORD).read_text()) == record
    shown = pq.read_table(home / "serving" / EXPOSURES)
    assert shown.column("run_id").unique().to_pylist() == [record["run_id"]]
    assert shown.column("shown_at")[0].as_py().isoformat() == "2026-01-06T11:07:00+00:00"
    before = {path: path.stat().st_mtime_ns for path in (home / "serving").rglob("*.parquet")}
    again = job_in(home)
    assert all(step.is_done for step in again.steps())
    assert again.run() == record
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_engine_makes_the_same_night(home, tmp_path_factory):
    job_in(home).run()
    whole = contents(home)
    other = tmp_path_factory.mktemp("other")
    write_log(other / "plays.csv")
    write_config(other)

    def losing(tasks):
        for task in tasks:
            yield task.lost("it died")

    with pytest.raises(LostBlocksError, match=r"popular\.parquet: 1 of 1 blocks .*'u0' to 'u7'"):
        job_in(other).run(engine=losing)
    assert job_in(other).run(engine=travelling) is not None
    assert contents(other) == whole


def test_a_report_says_what_each_channel_brought(home):
    record = job_in(home).run()
    page = (home / "serving" / "report.md").read_text()
    assert page.startswith(f"# daily lists, run {record['run_id']}")
    assert "40 songs for 8 users" in page
    assert all(f"| `{name}` |" in page for name in CHANNELS)


def test_settings_that_were_learnt_and_shares_of_horizons(home):
    first = job_in(home).run()
    fusion = {"k": 9, "weights": [1.0, *[0.0] * (len(CHANNELS) - 1)]}
    learnt = {"schema": "audiorec/recall-tuned/1", "entry": "", "channels": CHANNELS}
    (home / "tuned.json").write_text(json.dumps({**learnt, "fusion": fusion}))
    write_config(home, tuned="tuned.json")
    job = job_in(home)
    done = {step.name for step in job.steps() if step.is_done}
    assert done == {f"{kind} {name}" for kind in ("train", "ask") for name in CHANNELS}
    record = job.run()
    assert set(record["channels"]) == {CHANNELS[0]}
    assert record["models"] == first["models"]
    write_config(home, tuned="tuned.json", short_share=0.5)
    with pytest.raises(InputError, match="give either tuned, or weights"):
        job_in(home)
    write_config(home, short_share=1.0)
    shares = NightlyPlan.read(home / "recall.toml").recipe().weights
    short = [channel_class(name).horizon == "short" for name in CHANNELS]
    assert [weight > 0 for weight in shares] == short


def test_what_killed_jobs_left_goes_after_an_hour(home):
    (home / "serving").mkdir()
    old, new = (home / "serving" / f".fused.parquet.{digit * 12}.tmp" for digit in "01")
    for path in (old, new):
        path.write_bytes(b"half")
    model = home / "serving" / "models" / f".popular.{'2' * 12}.tmp"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{")
    for path in (old, model):
        os.utime(path, (1.7e9, 1.7e9))
    job_in(home).run()
    assert (old.exists(), model.exists(), new.exists()) == (False, False, True)


@pytest.mark.parametrize("name", ["candidates/popular.parquet", FUSED, "models/popular/model.json"])
def test_an_output_that_was_cut_off_is_made_again(home, name):
    job_in(home).run()
    before = contents(home)
    path = home / "serving" / name
    path.write_bytes(path.read_bytes()[:-9])
    assert [step.is_done for step in job_in(home).steps()].count(False) == 1
    job_in(home).run()
    assert contents(home) == before
    assert all(step.is_done for step in job_in(home).steps())


def test_what_was_shown_stays_away_the_next_night(home):
    job_in(home).run()
    first = pq.read_table(home / "serving" / FUSED)
    with (home / "plays.csv").open("a") as log:
        log.write("u0,s29,2026-01-07T08:00:00Z,finish\n")
    job_in(home).run()
    second = pq.read_table(home / "serving" / FUSED)
    pairs = [set(zip(t.column("user_id").to_pylist(), t.column("song_id").to_pylist(), strict=True))
             for t in (first, second)]  # fmt: skip
    assert pairs[1]
    assert not pairs[0] & pairs[1]
    shown = pq.read_table(home / "serving" / EXPOSURES)
    assert len(shown) == len(first) + len(second)
    write_config(home, exposure_days=0.0)
    job_in(home).run()
    third = pq.read_table(home / "serving" / FUSED)
    assert pairs[0] & set(
        zip(third.column("user_id").to_pylist(), third.column("song_id").to_pylist(), strict=True)
    )


def test_only_what_changed_is_made_again(home):
    job_in(home).run()
    settings = (home / "recall.toml").read_text()
    (home / "recall.toml").write_text(settings + "[recall.settings.rules]\nwindow = 1\n")
    steps = {step.name: step.is_done for step in job_in(home).steps()}
    assert not steps["train rules"]
    assert not steps["ask rules"]
    assert steps["train popular"]
    assert steps["ask item-knn"]
    assert not steps["fuse"]


@pytest.mark.parametrize("place", ["train_channel", "write_candidates", "fuse_files", "_note"])
def test_stopped_at_any_step_and_resumed_it_writes_the_same_bytes(
    home, tmp_path_factory, place, monkeypatch
):
    other = tmp_path_factory.mktemp("whole")
    write_log(other / "plays.csv")
    write_config(other)
    os.utime(other / "plays.csv", ns=(1, 1))
    job_in(other).run()
    calls = []

    def breaks(*arguments, **options):
        calls.append(place)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    owner = NightlyJob if place == "_note" else nightly
    real = getattr(owner, place)
    monkeypatch.setattr(owner, place, breaks)
    with pytest.raises(KeyboardInterrupt):
        job_in(home).run()
    job_in(home).run()
    assert contents(home) == contents(other)


def test_killed_at_random_it_goes_on(home, tmp_path_factory):
    other = tmp_path_factory.mktemp("whole")
    write_log(other / "plays.csv")
    write_config(other)
    job_in(other).run()
    code = (
        "from pathlib import Path; import sys;"
        "from audiorec.recall.serving.nightly.job import NightlyJob;"
        "from audiorec.recall.serving.nightly.plan import NightlyPlan;"
        "NightlyJob(NightlyPlan.read(Path(sys.argv[1]))).run()"
    )
    command = [sys.executable, "-c", code, str(home / "recall.toml")]
    for wait in (0.6, 1.0, 1.5):
        running = subprocess.Popen(command)
        time.sleep(wait)
        running.send_signal(signal.SIGKILL)
        running.wait()
    subprocess.run(command, check=True)
    assert contents(home) == contents(other)


def test_refusals(home):
    for line, message in (
        ("k = 0", "k"),
        ('colour = "red"', "unknown setting 'colour'"),
        ('channels = ["popular", "popular"]', "none twice"),
        ('channels = ["nobody"]', "unknown channel 'nobody'"),
        ("depth = 2", "depth must be at least k"),
        ("weights = {sasrec = 2.0}", "'sasrec' has settings or a weight"),
        ("settings = {rules = {windows = 3}}", "unknown setting 'windows'"),
        ("fusion = {per_artist = -1}", "per_artist"),
        ("k = true", "k must be int"),
    ):
        name = line.partition(" ")[0]
        kept = [
            one
            for one in write_config(home).read_text().splitlines()
            if not one.startswith(f"{name} ")
        ]
        (home / "recall.toml").write_text("\n".join([*kept, line]) + "\n")
        with pytest.raises(InputError, match=message):
            NightlyPlan.read(home / "recall.toml")
    write_config(home)
    (home / "plays.csv").unlink()
    with pytest.raises(InputError, match=r"plays\.csv: no such file"):
        job_in(home)


def test_a_link_in_the_folder_is_refused(home):
    (home / "serving").mkdir()
    (home / "elsewhere.parquet").write_bytes(b"mine")
    (home / "serving" / FUSED).symlink_to(home / "elsewhere.parquet")
    with pytest.raises(StoreError, match="link"):
        job_in(home).run()
    assert (home / "elsewhere.parquet").read_bytes() == b"mine"


def test_a_damaged_state_makes_everything_again(home):
    job_in(home).run()
    (home / "serving" / nightly.STATE).write_text("{")
    job = job_in(home)
    assert not any(step.is_done for step in job.steps())
    assert job.run()["rows"] > 0  # but what was shown stays away
    assert Path(home / "serving" / FUSED).exists()
