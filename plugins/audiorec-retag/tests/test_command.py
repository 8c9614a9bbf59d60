"""``audiorec retag``: a dry run, tags that make no song new to the next extraction, undo."""

import json
import shutil
from pathlib import Path

import pytest

from audiorec.audio.tags import read_tag

FIXTURES = Path(__file__).parents[3] / "fixtures" / "audio"
SONGS = ("blues-band.mp3", "tabla-loop.m4a", "birds.ogg")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A library of three songs, extracted once: folder and all files in it."""
    from audiorec.extraction.run import extract

    home = tmp_path_factory.mktemp("retag")
    (home / "music" / "in").mkdir(parents=True)
    for name in SONGS:
        shutil.copy(FIXTURES / name, home / "music" / "in")
    shutil.copy(FIXTURES / "sine-440-hz.wav", home / "music")
    extract(home / "music", out=home / "vecs.parquet", jobs=1)
    return home


@pytest.fixture
def home(made, tmp_path, audiorec, monkeypatch):
    """The same library in a folder of its own: its store is told where the songs are now."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    assert audiorec("extract", "music", "-q", "-j1")[0] == 0
    return tmp_path / "home"


def contents(home):
    return {path.name: path.read_bytes() for path in sorted((home / "music").rglob("*.*"))}


def test_by_default_nothing_is_written(home, audiorec):
    before = contents(home)
    code, out, err = audiorec("retag", "music/in")
    assert code == 0
    assert "would write\tin/blues-band.mp3\tAUDIOREC_VERSION=" in out
    assert "dry run: nothing was written" in err
    assert "1 songs of the store lie elsewhere" in err
    assert contents(home) == before
    assert not list(home.glob("*.undo.jsonl"))


def test_tags_go_in_nothing_is_decoded_again_and_the_undo_gives_all_back(home, audiorec):
    before = contents(home)
    vectors = read_vectors(home)
    code, out, _ = audiorec(
        "retag", "music/in", "--write", "--field", "genre", "--unclear", "--json"
    )
    done = json.loads(out)
    assert code == 0
    assert done["schema"] == "audiorec/retag/1"
    # Birds are no music, and get no genre.
    assert done["counts"] == {"unchanged": 1, "written": 2}
    assert read_tag("music/in/blues-band.mp3", "genre") == "Blues"
    changed = {name for name, data in contents(home).items() if data != before[name]}
    assert changed == {"blues-band.mp3", "tabla-loop.m4a"}

    code, out, _ = audiorec("extract", "music", "-q", "-j1", "--json")
    run = json.loads(out)
    assert code == 0
    assert (run["extracted"], run["reused"], run["unchanged"]) == (0, 2, 2), run
    assert read_vectors(home) == vectors

    undo = done["undo_file"]
    assert audiorec("retag", "music", "--undo", undo)[0] == 0
    assert contents(home) != before
    code, out, _ = audiorec("retag", "music", "--undo", undo, "--write")
    assert (code, out.count("restored")) == (0, 2)
    assert contents(home) == before


def test_a_genre_that_is_not_clear_is_written_only_on_request(home, audiorec, monkeypatch):
    from audiorec.library.library import open_store

    reading = open_store("vecs.parquet").classify("in/blues-band.mp3")
    assert reading.genre_clear is False
    code, out, err = audiorec("retag", "music/in/blues-band.mp3", "--json")
    (song,) = json.loads(out)["songs"]
    assert (code, list(song["put"])) == (0, ["AUDIOREC_VERSION"])
    assert json.loads(out)["unclear"] == 1
    assert "1 song with an unclear genre: none is written; to write it, add --unclear" in err
    _, out, err = audiorec("retag", "music/in/blues-band.mp3", "--unclear", "--json")
    (song,) = json.loads(out)["songs"]
    assert song["put"]["AUDIOREC_GENRE"] == [reading.best["genre"]]
    assert (json.loads(out)["unclear"], "unclear" in err) == (0, False)
    _, out, err = audiorec("retag", "music/in/blues-band.mp3", "--field", "AUDIOREC_VERSION")
    assert "unclear" not in err


def read_vectors(home):
    from audiorec import open_store

    store = open_store(home / "vecs.parquet")
    return {song_id: store.vector(song_id).tobytes() for song_id in store.ids}


def test_a_song_that_cannot_be_written_is_said_and_the_others_go_on(home, audiorec):
    (home / "music" / "in" / "blues-band.mp3").chmod(0o444)
    code, out, _ = audiorec("retag", "music/in", "--write")
    assert code == 3
    assert "refused\tin/blues-band.mp3\tis read-only" in out
    assert "written\tin/tabla-loop.m4a" in out


def test_mistakes(home, audiorec):
    for line, told in (
        ("retag nowhere", "nowhere: no such folder"),
        ("retag music --field tempo", "no field tempo"),
        ("retag music --undo gone", "gone: no such undo file"),
        ("retag music --undo x --replace", "--undo can only be combined with"),
    ):
        code, out, err = audiorec(*line.split())
        assert (code, out) in ((2, ""), (4, "")), (line, err)
        assert told in err
    (home / "empty").mkdir()
    code, _, err = audiorec("retag", "empty")
    assert (code, "has no song of the store" in err) == (2, True)
