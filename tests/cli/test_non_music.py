"""Jingles and silence in lists, paths and tables of neighbours: left out, said, asked for."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from made_library import series, song, write_library
from made_songs import write_song

pytestmark = pytest.mark.usefixtures("in_this_process")

NONE = {"jingle.wav": "only 2 segments of three seconds", "silence.wav": "silent"}
LEFT_OUT = "2 songs left out: speech, noise, silence or a jingle (--also non-music)"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Twelve songs, a jingle and silence that sound like the first of them."""
    first = series(0, genre=(0.5, 0, 0))
    songs = [
        song(f"{i:02}.mp3", series(i, genre=(0.5 - i / 20, i / 20, 0)), duration_s=100.0)
        for i in range(12)
    ]
    songs.append(song("jingle.wav", first[:2], duration_s=100.0))
    songs.append(song("silence.wav", first, status="silent", duration_s=100.0))
    write_library(tmp_path, songs)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(out):
    return {entry["song_id"] for entry in json.loads(out)["songs"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ("similar", "00.mp3", "-k", "20", "--minimum", "-1"),
        ("playlist", "00.mp3", "--to", "11.mp3", "-n", "3"),
        ("playlist", "00.mp3", "-m", "30", "--max-per-artist", "0"),
    ],
)
def test_no_list_has_one_unless_it_is_asked_for(home, audiorec, arguments):
    code, out, err = audiorec(*arguments, "--json")
    assert code == 0, err
    assert not shown(out) & set(NONE)
    assert err.splitlines().count(LEFT_OUT) == 1
    code, out, err = audiorec(*arguments, "--json", "--also", "non-music")
    assert code == 0, err
    assert "--to" in arguments or shown(out) & set(NONE)
    assert "not music" not in err


@pytest.mark.parametrize("name", NONE)
def test_one_may_be_asked_about_and_that_is_noted(home, audiorec, name):
    note = f"note: {name} is not music ({NONE[name]}); --also non-music also searches such"
    code, out, err = audiorec("similar", name, "-k", "20", "--minimum", "-1", "--json")
    assert code == 0, err
    assert shown(out) == {f"{i:02}.mp3" for i in range(12)}
    assert note in err
    assert "1 song left out: speech, noise, silence or a jingle (--also non-music)" in err
    assert note not in audiorec("similar", name, "--also", "non-music")[2]
    code, out, err = audiorec("playlist", name, "-m", "10", "--json")
    assert shown(out) & set(NONE) == {name}
    assert note in err
    code, out, _ = audiorec("playlist", name, "--to", "11.mp3", "-n", "2", "--json")
    assert shown(out) & set(NONE) == {name}


def test_neighbours_neither_ask_nor_are_found(home, audiorec):
    code, out, err = audiorec("similar", "-o", "n.parquet", "-k", "20", "--json")
    assert code == 0, err
    assert json.loads(out)["songs"] == 12
    assert LEFT_OUT in err
    table = pq.read_table("n.parquet")
    for column in ("song_id", "neighbour_id"):
        assert set(table.column(column).to_pylist()) == {f"{i:02}.mp3" for i in range(12)}
    assert len(table) == 12 * 11
    assert audiorec("similar", "-o", "n.parquet", "-k", "20", "--also", "non-music")[0] == 0
    assert len(pq.read_table("n.parquet")) == 14 * 13


def test_what_no_list_could_be_made_of_is_said(home, audiorec):
    code, out, err = audiorec("similar", "00.mp3", "--only", "status=silent", "--json")
    assert (code, shown(out)) == (0, set())
    assert "1 song left out: speech" in err
    assert "the store has 0 eligible songs, not 10" in err


def test_a_known_file_is_its_song_however_it_is_named(home, audiorec):
    write_song(home / "music" / "one.wav", seed=1)
    code, _, err = audiorec("extract", "music", "-o", "store/vecs.parquet", "-q")
    assert code == 0, err
    write_song(home / "music" / "two.wav", seed=2)
    audiorec("extract", "music", "-o", "store/vecs.parquet", "-q")
    shutil.copy("music/one.wav", "copy.wav")
    (home / "linked").symlink_to("music")
    options = ("-v", "store/vecs.parquet", "--also", "non-music", "--minimum", "-1", "--json")
    named = audiorec("similar", "one.wav", *options)[1]
    assert shown(named) == {"two.wav"}
    for name in (
        "music/one.wav",
        "music/../music/one.wav",
        "linked/one.wav",
        home / "music/one.wav",
    ):
        assert audiorec("similar", name, *options)[1] == named
    code, out, err = audiorec("similar", "copy.wav", *options)
    assert (code, out) == (0, named)
    assert "note: copy.wav is a copy of one.wav" in err
    options = ("-n", "1", "-v", "store/vecs.parquet")
    code, _, err = audiorec("playlist", "copy.wav", "--to", "two.wav", *options)
    assert "needs 3 songs; the store has 2" in err  # both were found


@pytest.mark.parametrize(
    "command", [("similar",), ("playlist",), ("playlist", "00.mp3", "--to"), ("info",)]
)
def test_a_missing_file_is_no_such_file(home, audiorec, command):
    for name in ("/music/missing.flac", "./missing.flac", "qqqq.flac"):
        code, out, err = audiorec(*command, name)
        assert (code, out) == (2, "")
        assert f"{name}: no such file, and no song with this id" in err
        assert len(err.splitlines()) == 1
