"""`extract --watch --sync`: songs come into the store, and lists of them into the player."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from command import run_command
from real_players import mpd, say
from waiting import until
from web_server import AUDIO, SONGS, write_music

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.extraction import with_sync

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


def test_a_server_that_fails_is_a_warning_and_a_batch_that_failed_is_not_synced(
    tmp_path, own, capsys
):
    own("mpd://127.0.0.1:9")
    store = write_music(tmp_path, SONGS[:4], scores=False)
    codes = [Exit.SOME_FAILED, Exit.TOO_MANY_FAILURES, Exit.OK]
    run = with_sync(lambda *_: codes.pop(0), ["kitchen"], store)
    stop = threading.Event()
    assert run([], None, None, stop) == Exit.SOME_FAILED
    assert "warning: not in step: mpd://127.0.0.1:9: no answer" in capsys.readouterr().err
    assert run([], None, None, stop) == Exit.TOO_MANY_FAILURES
    stop.set()
    assert run([], None, None, stop) == Exit.OK
    assert capsys.readouterr().err == ""


def test_a_wrong_name_is_told_before_anything_is_extracted(tmp_path, own, monkeypatch, capsys):
    own("mpd://127.0.0.1:9")
    with pytest.raises(InputError, match=r"no table \[players\.cellar\]"):
        with_sync(lambda *_: Exit.OK, ["cellar"], tmp_path / "vecs.parquet")
    code, _, err = run_command(
        monkeypatch, capsys, "extract", tmp_path, "-o", tmp_path / "v.parquet", "--sync", "kitchen"
    )
    assert (code, "--sync needs --watch" in err) == (2, True)
