"""``audiorec info`` and ``tags``: a song by id or path, a failure with its reason, at once."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command import run_command
from made_songs import write_song

import audiorec
from audiorec.extraction import reader
from audiorec.store.store import VectorStore

FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
NAMES = ["a/one.flac", "b/two.wav"]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    home = tmp_path_factory.mktemp("info")
    for seed, name in enumerate(NAMES):
        write_song(home / "songs" / name, seed=seed, seconds=7.0)
    (home / "songs/b/broken.mp3").write_bytes(b"no music" * 20)
    audiorec.extract(
        home / "songs", out=home / "vecs.parquet", features=home / "features.parquet", jobs=1
    )
    (home / "bare").mkdir()
    (home / "bare/vecs.parquet").write_bytes((home / "vecs.parquet").read_bytes())
    return home


@pytest.fixture
def run(extracted, monkeypatch, capfd):
    monkeypatch.chdir(extracted)

    def run(*arguments):
        return run_command(monkeypatch, capfd, *arguments)

    return run


@pytest.mark.parametrize("name", ["two", "b/two.wav", "songs/b/two.wav", "songs/a/../b/two.wav"])
def test_a_song_is_described_by_its_id_or_its_path(run, name):
    code, out, err = run("info", name, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["song_id"] == "b/two.wav"


def test_a_person_reads_dates_and_sizes_json_keeps_numbers(run, extracted):
    _, out, _ = run("info", "two")
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert lines["changed"][:2] == "20"
    assert ":" in lines["changed"]
    assert lines["size"].endswith(" MB")
    assert lines["duration"] == "0:07"
    assert "mtime ns" not in lines
    stamp = (extracted / "songs/b/two.wav").stat()
    assert json.loads(run("info", "two", "--json")[1])["mtime_ns"] == stamp.st_mtime_ns


def test_loudness_is_said_of_a_song_and_of_all(run, extracted):
    store = VectorStore.open(extracted / "vecs.parquet")
    loudness = store.row("b/two.wav")["loudness_lufs"]
    assert f"loudness: {loudness:.1f} LUFS" in run("info", "two")[1].splitlines()
    found = json.loads(run("info", "--json")[1])["loudness"]
    assert found["least"] <= found["median_lufs"] <= found["most"]


@pytest.mark.parametrize("name", ["b/broken.mp3", "broken.mp3", "songs/b/broken.mp3"])
def test_a_song_that_failed_says_why(run, name):
    code, out, err = run("info", name, "--json")
    assert (code, err) == (0, "")
    failure = json.loads(out)
    assert (failure["schema"], failure["status"]) == ("audiorec/failure/1", "not_audio")
    assert "status: not_audio" in run("info", name)[1]


def test_the_store_counts_its_failures(run):
    assert json.loads(run("info", "--json")[1])["failed"] == {"not_audio": 1}


def test_a_file_that_is_none_of_the_store_says_what_to_do(run, extracted, tmp_path):
    write_song(tmp_path / "new one.wav", seed=5)
    code, out, err = run("info", tmp_path / "new one.wav")
    assert (code, out) == (2, "")
    assert f"add it: audiorec extract '{tmp_path}/new one.wav'" in err
    assert run("info", "nobody")[0] == 2


def test_a_file_that_changed_is_described_with_a_note(run, extracted):
    path = extracted / "songs/b/two.wav"
    stamp = path.stat()
    os.utime(path, (1, 1))
    code, out, err = run("info", path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (code, out.splitlines()[0]) == (0, "song id: b/two.wav")
    assert "changed since" in err


def test_a_damaged_errors_file_is_a_note(run, extracted, monkeypatch):
    monkeypatch.chdir(extracted / "bare")
    (extracted / "bare/vecs.errors.parquet").write_bytes(b"cut")
    code, _, err = run("info")
    (extracted / "bare/vecs.errors.parquet").unlink()
    assert (code, err.count("\n"), err.startswith("note: ")) == (0, 1, True)


def test_tags_beside_the_store_are_those_of_the_file_and_open_nothing(run, extracted, monkeypatch):
    series = audiorec.taggram(extracted / "songs/b/two.wav")
    monkeypatch.setattr(reader, "TAGGRAM_HANDLER", "no_such_module:handler")
    for name in ("two", "songs/b/two.wav"):
        code, out, err = run("classify", name, "--tags", "50", "--json")
        assert (code, err) == (0, "")
        segments = json.loads(out)["segments"]
        assert [s["start_s"] for s in segments] == series.start_s.tolist()
        for segment, row in zip(segments, series.scores, strict=True):
            found = [segment["tags"][tag] for tag in series.classes]
            np.testing.assert_allclose(found, row, atol=1e-6)


def test_tags_of_a_song_without_features_are_read_from_its_file(run, extracted):
    code, out, err = run("classify", "two", "--tags", "3", "-v", "bare/vecs.parquet")
    assert code == 0
    assert out.splitlines()[0].startswith("start_s\ttag\tscore\ttag_2")
    assert err.startswith("whole song: ")  # nothing is wrong without features


def test_tags_are_of_one_song(run):
    assert "--tags are of one song: name it" in run("classify", "--tags", "3")[2]
    assert "is a folder; name one song" in run("classify", "songs", "--tags", "3")[2]
    assert "matches 2 files" in run("classify", "songs/b/*", "--tags", "3")[2]
