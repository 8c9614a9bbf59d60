"""Kills of the command and of real servers, at any moment: the old list or the new one, whole."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pyarrow.parquet as pq
import pytest
from real_players import ask, mpd, say, supysonic
from web_server import SONGS, write_music

from audiorec.errors import PlayerError
from audiorec.players.contract import PLAYERS, Account
from audiorec.players.push import ledger_of, push

SETTINGS = """
[players.home]
kind = "subsonic"
url = "{home}"
members = [{{ user = "ana", secret = "env:ANA", sign_in = "password" }}]
[players.home.lists.Near]
similar = ["{seed}"]
k = 4
[players.kitchen]
kind = "mpd"
url = "{kitchen}"
[players.kitchen.lists.Near]
similar = ["{seed}"]
k = 4
"""
NAME = "Near (audiorec)"
KILLS = 6


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    home = tmp_path_factory.mktemp("kills")
    write_music(home, SONGS[:10], scores=False)
    with supysonic(home) as (url, _), mpd(home) as (kitchen, _):
        yield home, url, kitchen


@pytest.fixture
def start(servers):
    """Start the command as a process of its own, with lists near a seed."""
    home, url, kitchen = servers
    environment = {**os.environ, "ANA": "ana secret", "AUDIOREC_DATA": str(home / "data")}

    def call(seed):
        text = SETTINGS.format(home=url, kitchen=kitchen, seed=seed)
        (home / "players.toml").write_text(text)
        words = ("-m", "audiorec_cli.main", "sync", "home", "kitchen", "--config", "players.toml")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, *words], cwd=home, env=environment, **quiet)

    return call


def lists_of(servers):
    """Return the songs of our lists on both servers; empty where there is none."""
    home, url, _ = servers
    found = ask(url, "ana", "getPlaylists")["playlists"].get("playlist", [])
    entries = [
        tuple(s["path"] for s in ask(url, "ana", "getPlaylist", id=p["id"])["playlist"]["entry"])
        for p in found
    ]
    assert len(entries) <= 1, "a list was made twice"
    names = say(home, "listplaylists")
    there = f"playlist: {NAME}\n" in names
    lines = say(home, f'listplaylist "{NAME}"').splitlines() if there else []
    of_mpd = tuple(line.removeprefix("file: ") for line in lines if line.startswith("file: "))
    return (entries or [()])[0], of_mpd


def test_a_kill_of_the_command_at_any_moment(servers, start):
    home, url, _ = servers
    song = ask(url, "ana", "search3", query="")["searchResult3"]["song"][0]["id"]
    ask(url, "ana", "star", id=song)
    seeds = ("jazz-vibraphone.mp3", "death-metal-band.ogg")
    whole, took = {}, 0.0
    for seed in seeds:  # what each list is, and how long a sync takes
        begun = time.monotonic()
        process = start(seed)
        assert process.communicate()[1].find(b"Traceback") < 0
        assert process.returncode == 0
        took = time.monotonic() - begun
        whole[seed] = lists_of(servers)
    assert whole[seeds[0]] != whole[seeds[1]]
    rng = random.Random(7)  # noqa: S311
    killed, n = 0, 0
    while n < KILLS or not killed:
        process, n = start(seeds[n % 2]), n + 1
        time.sleep(took * rng.uniform(0.5, 1.0))
        if process.poll() is None:
            killed += 1
        else:
            took *= 0.8
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for found, *allowed in zip(lists_of(servers), *whole.values(), strict=True):
            assert found in allowed
        log = pq.read_table(home / "plays.parquet").to_pylist()
        assert [(row["user_id"], row["event"]) for row in log] == [("ana", "like")]
    process = start(seeds[0])
    process.communicate()
    assert process.returncode == 0
    assert lists_of(servers) == whole[seeds[0]]


@pytest.mark.parametrize("kind", ["subsonic", "mpd"])
def test_a_server_that_dies_while_it_writes_has_the_old_or_the_new_list(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    write_music(tmp_path, SONGS[:6], scores=False)
    running = supysonic if kind == "subsonic" else mpd
    about = {"user": "ana", "secret": "ana secret", "sign_in": "password"}
    rng = random.Random(kind)  # noqa: S311
    lists = None
    for n in range(5):
        with running(tmp_path) as (url, server):
            account = Account(url=url, **(about if kind == "subsonic" else {}))
            with PLAYERS[kind](account) as player:
                ids = sorted(one.song.id for one in player.songs())
                lists = lists or [tuple(ids * 40), tuple(reversed(ids * 40))]
                found = {one.name: player.songs_of(one.id) for one in player.lists()}
                assert set(found) <= {NAME}
                assert set(found.values()) <= set(lists)
                killer = subprocess.Popen(
                    ["sh", "-c", f"sleep {rng.uniform(0, 0.1)}; kill -9 {server.pid}"]
                )
                with suppress(PlayerError), ledger_of("server", "") as ledger:
                    wanted = {"Near": lists[n % 2]}
                    list(push(player, ledger, wanted, configured=wanted, there=set(ids)))
                killer.wait()
    with running(tmp_path) as (url, _):
        player = PLAYERS[kind](Account(url=url, **(about if kind == "subsonic" else {})))
        with player, ledger_of("server", "") as ledger:
            wanted = {"Near": lists[0]}
            (change,) = push(player, ledger, wanted, configured=wanted, there=set(ids))
            assert change.action != "left alone"
            (one,) = player.lists()
            assert player.songs_of(one.id) == lists[0]
