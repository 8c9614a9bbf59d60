"""`extract --watch --sync`: songs come into the store, and lists of them into the player."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from command import run_command
from real_players import mpd, say
from waiting import until
from web_server import AUDIO, SONGS, write_music

from audiorec_cli.listen.sync_beside import SyncBeside

SETTINGS = """
[players.kitchen]
kind = "mpd"
url = "{url}"
[players.kitchen.lists.Near]
similar = ["jazz-vibraphone.mp3"]
k = 2
"""
MUSIC = ["jazz-vibraphone.mp3", "blues-band.mp3", "death-metal-band.ogg"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Make the user's own settings: a server at an address."""

    def write(url):
        (tmp_path / "own.toml").write_text(SETTINGS.format(url=url))

    monkeypatch.setenv("AUDIOREC_CONFIG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    return write


def test_a_watched_folder_keeps_a_list_on_a_real_mpd(tmp_path, own):
    (tmp_path / "music").mkdir()
    for name in MUSIC:
        shutil.copy(AUDIO / name, tmp_path / "music")
    with mpd(tmp_path) as (url, _):
        own(url)
        words = ["extract", "music", "--out", "vecs.parquet", "--watch", "--sync", "kitchen"]
        words += ["--settle", "0.5"]
        command = [sys.executable, "-m", "audiorec_cli.main", *words, "-j", "1", "--quiet"]
        with (
            (tmp_path / "err").open("w") as told,
            subprocess.Popen(command, cwd=tmp_path, env=dict(os.environ), stderr=told) as process,
        ):
            said = (tmp_path / "err").read_text
            until(lambda: "1 lists changed" in said() or process.poll() is not None, told=said)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, (tmp_path / "err").read_text()
        assert "playlist: Near (audiorec)" in say(tmp_path, "listplaylists")


def test_a_server_that_hangs_holds_up_nothing_and_a_signal_ends_all(tmp_path, own):
    (tmp_path / "music").mkdir()
    shutil.copy(AUDIO / MUSIC[0], tmp_path / "music")
    words = ["extract", "music", "--watch", "--sync", "kitchen", "-j", "1", "--quiet"]
    words += ["--settle", "0.1", "--every", "0.5"]
    command = [sys.executable, "-m", "audiorec_cli.main", *words]
    with socket.create_server(("127.0.0.1", 0)) as silent, (tmp_path / "err").open("w") as told:
        own(f"mpd://127.0.0.1:{silent.getsockname()[1]}")
        with subprocess.Popen(command, cwd=tmp_path, env=dict(os.environ), stderr=told) as process:
            try:
                silent.settimeout(60)
                line, _ = silent.accept()  # a sync has begun, and waits for a greeting
                shutil.copy(AUDIO / MUSIC[1], tmp_path / "music")
                until(lambda: MUSIC[1] in ids(tmp_path / "vecs.parquet"))
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0, (tmp_path / "err").read_text()
            finally:
                process.kill()
        with line:
            line.settimeout(5)
            assert line.recv(99) == b""  # the sync has ended as well
    said = (tmp_path / "err").read_text()
    assert (said.count("warning"), said.count("Traceback")) == (0, 0), said


def ids(store):
    with store.open("rb") as file:  # a path is opened twice, and replaced in between
        return pq.read_table(file, columns=["song_id"]).column(0).to_pylist()


def test_a_sync_that_fails_is_a_warning_and_the_next_batch_tries_again(tmp_path, own, capsys):
    own("mpd://127.0.0.1:9")
    with SyncBeside(["kitchen"], tmp_path / "vecs.parquet") as tell:
        tell()  # no song was found yet
        write_music(tmp_path, SONGS[:4], scores=False)
        said = []
        for n in (1, 2):
            tell()
            until(
                lambda n=n: (
                    said.append(capsys.readouterr().err) or len("".join(said).split("\n")) > n
                )
            )
    told = "".join(said).splitlines()
    assert (
        told
        == ["warning: not in step: mpd://127.0.0.1:9: no answer: [Errno 111] Connection refused"]
        * 2
    )


def test_a_wrong_name_is_told_before_anything_is_extracted(tmp_path, own, monkeypatch, capsys):
    own("mpd://127.0.0.1:9")
    words = ["extract", tmp_path, "-o", tmp_path / "v.parquet", "--sync"]
    code, _, err = run_command(monkeypatch, capsys, *words, "cellar", "--watch")
    assert (code, "no table [players.cellar]" in err) == (2, True)
    code, _, err = run_command(monkeypatch, capsys, *words, "kitchen")
    assert (code, "--sync needs --watch" in err) == (2, True)
