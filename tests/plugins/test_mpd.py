"""Playlists in a real MPD: what it loads is what was written, in that order."""

import os
import shutil
import subprocess

import pytest
from command import run_command
from needs import needs
from real_players import mpd
from web_server import SONGS, write_music

ODD = ["Ayla - #1 100% & more.mp3", "日本語 ♫.ogg"]  # what a player may take for something else


def mpc(home, *arguments):
    done = subprocess.run(
        ["mpc", "-q", *arguments],
        env={**os.environ, "MPD_HOST": str(home / "socket")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of music, its store, and an MPD that plays it to nobody."""
    home = tmp_path_factory.mktemp("mpd")
    write_music(home, SONGS[:10])
    for name in ("lists", "radio"):
        (home / "music" / name).mkdir()
    for odd, (name, *_) in zip(ODD, SONGS, strict=False):
        shutil.copy(home / "music" / name, home / "music" / odd)
    with mpd(home):
        yield home


def written(path):
    """Return the songs of a playlist, as MPD calls them: relative to its folder of music."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    music = path.parents[1] / "music" if path.suffix == ".m3u" else path.parents[1]
    return [os.path.relpath(path.parent / line, music) for line in lines]


def loaded(home, name):
    mpc(home, "clear")
    mpc(home, "load", name)
    return mpc(home, "playlist", "-f", "%file%")


def test_lists_of_the_library_below_its_music(home, monkeypatch, capsys):
    needs("sklearn")
    store, folder = home / "vecs.parquet", home / "music" / "lists"
    words = ("playlists", "-v", store, "--out", folder, "--size", "3", "--also", "non-music")
    code, _, err = run_command(monkeypatch, capsys, *map(str, words))
    assert code == 0, err
    mpc(home, "update", "--wait")
    paths = sorted(folder.glob("*.m3u8"))
    assert len(paths) > 1
    found = [loaded(home, f"lists/{path.name}") for path in paths]
    assert found == [written(path) for path in paths]
    assert sorted(name for names in found for name in names) == sorted(
        name for name, *_ in SONGS[:10]
    )


def test_a_playlist_in_its_own_folder(home, monkeypatch, capsys):
    store, path = home / "vecs.parquet", home / "saved" / "like-vibes.m3u"
    words = ("playlist", "jazz-vibraphone.mp3", "-v", store, "--minutes", "1", "--absolute")
    code, _, err = run_command(monkeypatch, capsys, *map(str, words), "--m3u8", str(path))
    assert code == 0, err
    mpc(home, "update", "--wait")
    assert "like-vibes" in mpc(home, "lsplaylists")
    assert len(written(path)) > 1
    assert loaded(home, "like-vibes") == written(path)


@pytest.mark.parametrize("absolute", [False, True])
def test_odd_names_are_read_as_they_are(home, absolute):
    from audiorec.files.m3u8 import PlaylistEntry, write_m3u8

    mpc(home, "update", "--wait")
    path = home / "music" / "radio" / "odd.m3u8"
    entries = [PlaylistEntry(path=str(home / "music" / name), title=name) for name in ODD]
    assert write_m3u8(entries, path, absolute=absolute) == []
    assert loaded(home, "radio/odd.m3u8") == ODD
