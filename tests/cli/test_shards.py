"""``audiorec manifest`` and ``shards``: parts, exit codes, one clear line."""

import json
from functools import partial

import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song

from audiorec.library.library import Library

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of four songs, one of them broken, and their manifest."""
    home = tmp_path_factory.mktemp("home")
    for seed, name in enumerate(["a/1.wav", "a/2.wav", "b/3.wav"]):
        write_song(home / "songs" / name, seed=seed, seconds=1.2)
    (home / "songs/b/page.mp3").write_text("<!DOCTYPE html><p>404\n" * 50)
    return home


@pytest.fixture
def audiorec(home, monkeypatch, capfd):
    """Run the command in that folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(home)

    return partial(run_command, monkeypatch, capfd)


@pytest.fixture
def manifest(home, audiorec):
    code, _, told = audiorec("manifest", "songs", "-o", "m.parquet")
    assert (code, told.split(" (")[0]) == (0, "4 songs")
    return "m.parquet"


def test_a_manifest_lists_and_counts(audiorec, manifest):
    code, out, _ = audiorec("manifest", "songs", "-o", "m2.parquet", "--json", "--exclude", "b/*")
    document = json.loads(out)
    assert (code, document["schema"], document["songs"]) == (0, "audiorec/manifest/1", 2)
    assert pq.read_table("m2.parquet").column("song_id").to_pylist() == ["a/1.wav", "a/2.wav"]


def test_one_part_then_all_then_one_store(home, audiorec, manifest):
    code, out, told = audiorec("shards", manifest, "0/2", "-o", "parts")
    assert (code, out) == (0, "")
    assert "2 extracted" in told
    assert "part 0 of 2: made in parts" in told
    code, out, told = audiorec("shards", manifest, 2, "-o", "parts", "-j", 1, "--json")
    document = json.loads(out)
    assert code == 3
    assert (document["schema"], document["made"], document["kept"]) == ("audiorec/shards/1", 1, 1)
    assert (document["extracted"], document["unchanged"]) == (1, 2)
    assert document["failures"] == {"not_audio": 1}
    assert "2 shards: 1 made, 1 kept, 0 lost" in told
    assert json.loads((home / "parts/run.json").read_text())["exit_code"] == 3
    assert audiorec("store", "merge", "parts", "-o", "vecs.parquet")[0] == 0
    assert Library.open(home / "vecs.parquet").ids == ("a/1.wav", "a/2.wav", "b/3.wav")
    # The night after: only what the store does not have is listed.
    write_song(home / "songs/b/new.wav", seed=7, seconds=1.2)
    _, out, told = audiorec("manifest", "songs", "-o", "n.parquet", "--new-to", "vecs.parquet")
    assert pq.read_table("n.parquet").column("song_id").to_pylist() == ["b/new.wav", "b/page.mp3"]
    assert "3 already known" in told
    (home / "songs/b/new.wav").unlink()


def test_a_part_with_failures_alone_is_a_part(audiorec, manifest):
    arguments = ["shards", manifest, "3/4", "-o", "fours", "-q"]
    assert audiorec(*arguments)[0] == 3
    code, out, _ = audiorec(*arguments, "--allow-failures", "--json")
    document = json.loads(out)
    assert (code, document["kept"], document["failed_before"]) == (0, True, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["m.parquet", "2/2"], 2, "the shard must be 0/2 to 1/2, got 2"),
        (["m.parquet", "two"], 2, "like 3/16; got 'two'"),
        (["m.parquet"], 2, "Missing argument"),
        (["m.parquet", "0"], 2, "number of shards must be"),
        (["gone.parquet", "0/2"], 2, "cannot read the manifest"),
        (["m.parquet", "2", "--runner", "slurm"], 2, "slurm"),
        (["m.parquet", "2", "--prune"], 2, "No such option"),
        (["m.parquet", "2", "songs"], 2, "unexpected extra argument"),
    ],
)
def test_a_users_mistake_is_one_clear_line_and_writes_nothing(
    home, audiorec, manifest, arguments, code, message
):
    found, out, told = audiorec("shards", *arguments, "--out", "nowhere")
    assert (found, out) == (code, "")
    assert message in told
    assert "Traceback" not in told
    assert not (home / "nowhere").exists()


def test_what_lies_elsewhere_is_for_shards(home, audiorec, manifest):
    for arguments in (
        ["songs", "--out", "s3://bucket/vecs.parquet"],
        ["--from", "s3://b/m.parquet", "--out", "nowhere"],
    ):
        code, _, told = audiorec("extract", *arguments)
        assert (code, "audiorec shards" in told) == (2, True)
    assert not (home / "nowhere").exists()


def test_a_file_is_no_folder_of_parts(home, audiorec, manifest):
    (home / "file").write_text("notes")
    code, _, told = audiorec("shards", manifest, "2", "--out", "file")
    assert (code, "name a folder" in told) == (2, True)
    assert (home / "file").read_text() == "notes"


def test_a_part_has_the_files_that_are_asked_for(home, audiorec, manifest):
    arguments = ["shards", manifest, "0/4", "-o", "full", "--scores", "--features", "-q"]
    assert audiorec(*arguments)[0] == 0
    kinds = {p.name.split(".")[1] for p in (home / "full").glob("part-*.parquet")}
    assert kinds == {"vecs", "scores", "features", "errors"}


def test_a_manifest_of_nothing_and_of_nowhere(home, audiorec):
    (home / "empty").mkdir(exist_ok=True)
    code, _, told = audiorec("manifest", "empty", "-o", "none.parquet")
    assert (code, "no songs found" in told) == (4, True)
    code, _, told = audiorec("manifest", "nowhere", "-o", "none.parquet")
    assert (code, "no such file or folder" in told) == (2, True)
    assert not (home / "none.parquet").exists()
