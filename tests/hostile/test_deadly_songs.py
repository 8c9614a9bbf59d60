"""A song that kills its decoder costs every command one line, never the answers for others."""

import json
from functools import partial

import pytest
from command import run_command
from made_songs import write_song
from odd_files import eight_channels

from audiorec.extraction import reader
from audiorec.extraction.run import extract


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A store of three songs, and beside it two that are deadly and two that are new."""
    folder = tmp_path_factory.mktemp("library")
    for i, name in enumerate(["a.wav", "b.flac", "c.wav"]):
        write_song(folder / "known" / name, seed=i, seconds=4.0)
    extract(folder / "known", out=folder / "vecs.parquet", jobs=1)
    for i, name in enumerate(["good1.wav", "segfault.wav", "good2.wav", "memory.wav"]):
        write_song(folder / name, seed=10 + i, seconds=4.0)
    return folder


@pytest.fixture
def run(library, monkeypatch, capfd):
    monkeypatch.chdir(library)
    monkeypatch.setattr(reader, "SONG_HANDLER", "poison:song_handler")
    monkeypatch.setattr(reader, "TAGGRAM_HANDLER", "poison:taggram_handler")
    return partial(run_command, monkeypatch, capfd)


CRASHED = "error: segfault.wav: crashed: the worker died of SIGSEGV\n"


@pytest.mark.parametrize("form", ["table", "csv"])
def test_classify_answers_for_the_good_ones_in_their_order(run, form):
    code, out, err = run("classify", "good1.wav", "segfault.wav", "good2.wav", "--format", form)
    assert (code, err) == (3, CRASHED)
    songs = [line.replace(",", "\t").split("\t")[0] for line in out.splitlines()]
    assert songs == ["song", "good1.wav", "good2.wav"]


def test_classify_in_json_is_one_document(run):
    code, out, err = run("classify", "good1.wav", "memory.wav", "segfault.wav", "--json")
    assert (code, err) == (3, "error: memory.wav: oom: out of memory\n" + CRASHED)
    assert [song["song"] for song in json.loads(out)["songs"]] == ["good1.wav"]


def test_classify_with_nothing_to_say_ends_with_4(run):
    code, out, err = run("classify", "segfault.wav", "--json")
    assert (code, err) == (4, CRASHED)
    assert json.loads(out)["songs"] == []


def test_heads_that_cannot_be_used_are_no_songs_fault(run, library):
    (library / "bad.safetensors").write_bytes(b"no head")
    code, out, err = run("classify", "good1.wav", "good2.wav", "--head", "bad.safetensors")
    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert "bad.safetensors" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "segfault.wav", "--tags", "3"],
        ["similar", "segfault.wav"],
        ["similar", "good1.wav", "segfault.wav"],
        ["playlist", "segfault.wav"],
    ],
)
def test_one_line_from_the_others(run, arguments):
    assert run(*arguments) == (4, "", CRASHED)


def test_seeds_outside_the_store_share_a_worker(run, monkeypatch):
    readers, workers = [], reader.Workers
    monkeypatch.setattr(reader, "Workers", lambda *a, **k: readers.append(a) or workers(*a, **k))
    options = ("-k", "2", "--also", "non-music", "--minimum", "-1", "--json")
    code, out, _err = run("similar", "good1.wav", "good2.wav", *options)
    assert code == 0
    assert len(json.loads(out)["songs"]) == 2
    assert len(readers) == 1


def test_eight_channels_are_a_song_to_every_command(library, monkeypatch, capfd):
    monkeypatch.chdir(library)
    eight_channels(library / "o8.opus")
    run = partial(run_command, monkeypatch, capfd)
    for arguments in (
        ["classify", "o8.opus"],
        ["classify", "o8.opus", "--tags", "3"],
        ["similar", "o8.opus"],
        ["playlist", "o8.opus", "--minutes", "0.1"],
        ["extract", "o8.opus", "--out", "o8.parquet"],
    ):
        code, _out, err = run(*arguments)
        assert (code, "error" in err) == (0, False), err
