"""``audiorec start``: a store of its own for each folder, and a page while it still grows."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from command import run_command
from hypothesis import given
from hypothesis import strategies as st
from made_songs import write_song
from needs import needs
from waiting import until

from audiorec.extraction.catalogue import Source
from audiorec.extraction.run import make_outputs
from audiorec.extraction.watch import FIRST_SONGS, growing_parts
from audiorec.library.library import open_store
from audiorec_cli.library import start
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.libraries import own_store

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of thirty songs and a broken one; own data lie beside it."""
    music = tmp_path / "my music"
    for n in range(30):
        write_song(music / f"{n % 3}" / f"{n}.wav", seed=n, seconds=1.6)
    (music / "broken.mp3").write_bytes(b"no music" * 20)
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    return music


@pytest.fixture
def audiorec(monkeypatch, capsys):
    return lambda *arguments: run_command(monkeypatch, capsys, *map(str, arguments))


@contextmanager
def started(*arguments):
    """Run the command until the block ends; give its page's ``/api/running``."""
    command = [sys.executable, "-m", "audiorec_cli.main", "start", *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--no-open"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        base, _, token = process.stdout.readline().strip().partition("#token=")
        assert base, process.communicate()[1]

        def ask():
            connection = HTTPConnection(urlsplit(base).netloc, timeout=20)
            header = {"Authorization": f"Bearer {token}"}
            connection.request("GET", "/api/running", headers=header)
            answer = json.loads(connection.getresponse().read())
            connection.close()
            return answer

        yield ask
    finally:
        process.send_signal(signal.SIGINT)
        _, process.told = process.communicate(timeout=60)
        assert "Traceback" not in process.told
        assert process.returncode == Exit.OK


def until_grown(ask, songs, path):
    until(lambda: not ask()["growing"] and len(open_store(path)) >= songs)


def test_the_first_songs_are_in_the_store_before_the_last_are_heard(folder, tmp_path):
    path = tmp_path / "v.parquet"
    grower = start.Grower(folder, make_outputs(path), Extraction(jobs=1))
    sources = grower.look()
    grower.add(sources, threading.Event(), only_first=True)
    assert len(open_store(path)) in (
        FIRST_SONGS - 1,
        FIRST_SONGS,
    )  # the broken one may be among them
    assert (grower.growing["done"], grower.growing["total"]) == (FIRST_SONGS, 31)
    assert grower.growing["now"]
    grower.add(sources, threading.Event())
    assert len(open_store(path)) == 30
    assert grower.growing is None


def test_a_page_follows_a_folder_and_resumes(folder, tmp_path):
    needs("starlette")
    with started(folder, "--jobs", "1") as ask:
        (path,) = (tmp_path / "data").rglob("vecs.parquet")
        until_grown(ask, 30, path)
        write_song(folder / "one more.wav", seed=99, seconds=1.6)
        os.utime(folder / "one more.wav", (1e9, 1e9))
    assert path.parent.stat().st_mode & 0o77 == 0
    assert path.with_name("scores.parquet").exists()
    with started(folder, "--once") as ask:  # goes on, and finds what is new
        until_grown(ask, 31, path)


def test_a_small_folder_is_told_of_before_the_page_opens(folder, monkeypatch, audiorec):
    for song in sorted(folder.glob("*/*.wav"))[FIRST_SONGS - 1 :]:
        song.unlink()
    monkeypatch.setattr(start, "show", lambda *_, **__: None)
    monkeypatch.setattr(start, "find_spec", lambda _name: True)
    err = " ".join(audiorec("start", folder, "--once", "--jobs", "1")[2].split())
    assert f"{FIRST_SONGS - 1} songs in {own_store(folder)}; 1 could not be used" in err


def test_without_the_page_the_store_is_made_all_the_same(folder, audiorec, monkeypatch):
    monkeypatch.setattr(start, "find_spec", lambda _name: None)
    code, out, err = audiorec("start", folder, "--jobs", "1")
    assert (code, out) == (Exit.OK, "")
    assert "the page needs the extra web" in err
    path = own_store(folder)
    assert len(open_store(path)) == 30
    assert f"30 songs in {path}; 1 could not be used" in " ".join(err.split())
    assert "audiorec similar SONG" in err
    # Other commands know it, from wherever they are called.
    monkeypatch.chdir(folder / "1")
    code, _, err = audiorec("similar", "0/0.wav")
    assert (code, f"library: {folder} (store {path})" in " ".join(err.split())) == (Exit.OK, True)
    # A folder that is renamed is known by its songs: nothing is heard twice.
    new = folder.rename(folder.with_name("renamed"))
    write_song(new / "new.wav", seed=77, seconds=1.6)
    err = " ".join(audiorec("start", new, "--jobs", "1")[2].split())
    assert f"this is {folder}, moved: 30 of 32 songs known" in err
    assert "2 songs to open" in err
    assert own_store(new) == path
    assert {uri.startswith(str(new)) for uri in open_store(path).column("uri").to_pylist()} == {
        True
    }
    # Another folder whose files have the same names and sizes is another library.
    for song in new.rglob("*.wav"):
        (new.with_name("other") / song.relative_to(new)).parent.mkdir(parents=True, exist_ok=True)
        (new.with_name("other") / song.relative_to(new)).write_bytes(song.read_bytes()[::-1])
    new.rename(new.with_name("hidden"))
    assert "moved" not in audiorec("start", new.with_name("other"))[2]


def test_a_store_is_never_shared_by_two_folders(folder, audiorec, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "find_spec", lambda _name: None)
    out = tmp_path / "v.parquet"
    assert audiorec("start", folder / "0", "--out", out, "--jobs", "1")[0] == Exit.OK
    code, _, err = audiorec("start", folder / "1", "--out", out)
    assert code == Exit.USAGE
    assert "holds songs from elsewhere" in err
    assert len(open_store(out)) == 10
    twin = tmp_path / "other" / "my music"
    twin.mkdir(parents=True)
    assert own_store(twin) != own_store(folder)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ("no such folder", Exit.USAGE, "is not a folder"),
        ("broken.mp3", Exit.USAGE, "is not a folder"),
        ("empty", Exit.NOTHING_USABLE, "no songs found"),
        ("broken", Exit.NOTHING_USABLE, "could be used"),
    ],
)
def test_it_says_what_is_wrong(folder, audiorec, given, code, words):
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "one.mp3").write_bytes(b"no music" * 20)
    answer = audiorec("start", folder / given)
    assert answer[0] == code
    assert words in answer[2]


@given(st.integers(0, 400), st.data())
def test_parts_grow_to_all(count, data):
    songs = [Source(str(n), str(n), str(n), 0, 0) for n in range(count)]
    todo = songs[data.draw(st.integers(0, count)) :]
    parts = list(growing_parts(songs, todo))
    assert parts[-1] == songs
    known = set(songs) - set(todo)
    for part, larger in pairwise(parts):
        assert known <= set(part) < set(larger)
        assert part == [song for song in songs if song in set(part)]
    if len(todo) > FIRST_SONGS:
        assert len(set(parts[0]) - known) == FIRST_SONGS
        assert todo[0] in parts[0]
