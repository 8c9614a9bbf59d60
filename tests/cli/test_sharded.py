"""``audiorec manifest`` and ``extract --shard``/``--shards``: parts, exit codes, one clear line."""

import json
from functools import partial

import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song

from audiorec.search.library import Library


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
    code, out, told = audiorec("extract", "--manifest", manifest, "--shard", "0/2", "-o", "parts")
    assert (code, out) == (0, "")
    assert "2 extracted" in told
    assert "part 0 of 2: made in parts" in told
    code, out, told = audiorec(
        "extract", "--manifest", manifest, "--shards", 2, "-o", "parts", "-j", 1, "--json"
    )
    document = json.loads(out)
    assert code == 3
    assert (document["schema"], document["made"], document["kept"]) == ("audiorec/shards/1", 1, 1)
    assert (document["extracted"], document["unchanged"]) == (1, 2)
    assert document["failures"] == {"not_audio": 1}
    assert "2 shards: 1 made, 1 kept, 0 lost" in told
    assert json.loads((home / "parts/run.json").read_text())["exit_code"] == 3
    assert audiorec("store", "compact", "parts", "-o", "vecs.parquet")[0] == 0
    assert Library.open(home / "vecs.parquet").ids == ("a/1.wav", "a/2.wav", "b/3.wav")
    # The night after: only what the store does not have is listed.
    write_song(home / "songs/b/new.wav", seed=7, seconds=1.2)
    _, out, told = audiorec("manifest", "songs", "-o", "n.parquet", "--new-to", "vecs.parquet")
    assert pq.read_table("n.parquet").column("song_id").to_pylist() == ["b/new.wav", "b/page.mp3"]
    assert "3 known already" in told
    (home / "songs/b/new.wav").unlink()


def test_a_part_with_failures_alone_is_a_part(audiorec, manifest):
    arguments = ["extract", "--manifest", manifest, "--shard", "3/4", "-o", "fours", "-q"]
    assert audiorec(*arguments)[0] == 3
    code, out, _ = audiorec(*arguments, "--allow-failures", "--json")
    document = json.loads(out)
    assert (code, document["kept"], document["failed_before"]) == (0, True, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--shard", "0/2"], 2, "parts are made of a --manifest"),
        (["--manifest", "m.parquet", "--shard", "0/2", "--shards", "2"], 2, "give --shard I/N"),
        (["--manifest", "m.parquet", "--shard", "2/2"], 2, "shards of 2 are 0/2 to 1/2, got 2"),
        (["--manifest", "m.parquet", "--shard", "two"], 2, "like 3/16, got 'two'"),
        (["--manifest", "m.parquet", "--shards", "0"], 2, "number of shards must be"),
        (["--manifest", "gone.parquet", "--shard", "0/2"], 2, "cannot read the manifest"),
        (["--manifest", "m.parquet", "--shard", "0/2", "--runner", "ray"], 2, "go with --shards"),
        (
            ["--manifest", "m.parquet", "--shards", "2", "--address", "auto"],
            2,
            "goes with --runner",
        ),
        (["--manifest", "m.parquet", "--shards", "2", "--prune"], 2, "--prune does not go with"),
        (["songs", "--shards", "2"], 2, "parts are made of a --manifest"),
        (["songs", "--manifest", "m.parquet", "--shards", "2"], 2, "PATHS does not go with"),
        (["--manifest", "m.parquet", "--shards", "2", "--scores", "s"], 2, "say --scores nowhere"),
        (["--manifest", "s3://b/m.parquet"], 2, "with --shard or --shards"),
    ],
)
def test_a_users_mistake_is_one_clear_line_and_writes_nothing(
    home, audiorec, manifest, arguments, code, message
):
    found, out, told = audiorec("extract", *arguments, "--out", "nowhere")
    assert (found, out) == (code, "")
    assert message in told
    assert "Traceback" not in told
    assert not (home / "nowhere").exists()


def test_a_store_in_an_object_store_is_made_of_shards(audiorec):
    code, _, told = audiorec("extract", "songs", "--out", "s3://bucket/vecs.parquet")
    assert (code, "--shards N for all of them" in told) == (2, True)


def test_a_file_is_no_folder_of_parts(home, audiorec, manifest):
    (home / "file").write_text("notes")
    code, _, told = audiorec("extract", "--manifest", manifest, "--shards", "2", "--out", "file")
    assert (code, "name a folder" in told) == (2, True)
    assert (home / "file").read_text() == "notes"


def test_a_manifest_of_nothing_and_of_nowhere(home, audiorec):
    (home / "empty").mkdir(exist_ok=True)
    code, _, told = audiorec("manifest", "empty", "-o", "none.parquet")
    assert (code, "no songs found" in told) == (2, True)
    code, _, told = audiorec("manifest", "nowhere", "-o", "none.parquet")
    assert (code, "no such file or folder" in told) == (2, True)
    assert not (home / "none.parquet").exists()
