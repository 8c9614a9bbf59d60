"""A household of three over two real servers: a log of what they did, and lists for each."""

import json
import shutil
import time

import pyarrow.parquet as pq
import pytest
from command import run_command
from real_players import ask, listen, mpd, say, supysonic
from web_server import AUDIO, SONGS, write_music

SETTINGS = """
[players.home]
kind = "subsonic"
url = "{home}"
members = [
  {{ user = "ana", secret = "env:ANA", sign_in = "password" }},
  {{ user = "ben", secret = "file:{folder}/ben", sign_in = "password" }},
  {{ user = "cleo", secret = "env:CLEO", sign_in = "password" }},
]

[players.home.lists.Tonight]
recommend = "daily"
k = 4

[players.home.lists.Vibes]
playlist = "jazz-vibraphone.mp3"
minutes = 1
max-per-artist = 2
members = ["ana", "ben"]

[players.home.lists.Near]
similar = ["death-metal-band.ogg"]
k = 3

[players.kitchen]
kind = "mpd"
url = "{kitchen}"
members = [{{ name = "ana" }}]

[players.kitchen.lists.Radio]
recommend = "radio"
k = 3
"""
PLAYED = ["classical-piano.flac", "game-tune-caribbean.mp3", "jazz-vibraphone.mp3"]
EXTRA = "birds.ogg"  # on the servers, and not in the store


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two servers of one folder of music, a store of it, and settings."""
    home = tmp_path_factory.mktemp("household")
    write_music(home, SONGS[:10])
    shutil.copy(AUDIO / EXTRA, home / "music")
    (home / "ben").write_text("ben secret\n")
    (home / "ben").chmod(0o600)
    with supysonic(home) as (url, _), mpd(home) as (kitchen, _):
        text = SETTINGS.format(home=url, kitchen=kitchen, folder=home)
        (home / "players.toml").write_text(text)
        yield home, url


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Run the command as the household does."""
    folder, _ = home
    monkeypatch.setenv("ANA", "ana secret")
    monkeypatch.setenv("CLEO", "cleo secret")
    monkeypatch.setenv("AUDIOREC_DATA", str(folder / "data"))
    monkeypatch.chdir(folder)

    def call(*words):
        code, out, err = run_command(monkeypatch, capsys, *words)
        assert "secret" not in out + err
        return code, out, err

    return call


def sync(run, *words):
    servers = ("home", "kitchen", "--config", "players.toml", "--json", "--quiet")
    code, out, err = run("sync", *servers, *words)
    assert code == 0, err
    return {one["server"]: one for one in json.loads(out)["servers"]}


def songs_of(url, user):
    """Return the songs of the user's lists by name."""
    names = {one["id"]: one["path"] for one in all_songs(url)}
    found = ask(url, user, "getPlaylists")["playlists"].get("playlist", [])
    return {
        one["name"]: [
            names[song["id"]]
            for song in ask(url, user, "getPlaylist", id=one["id"])["playlist"].get("entry", [])
        ]
        for one in found
    }


def all_songs(url):
    return ask(url, "ana", "search3", query="", songCount=500)["searchResult3"]["song"]


def actions(report):
    return {
        (name, change["name"]): change["action"]
        for name, lists in report["lists"].items()
        for change in lists
    }


def test_a_household(home, run):
    folder, url = home
    ids = {one["path"]: one["id"] for one in all_songs(url)}
    ask(url, "ana", "createPlaylist", name="Mine", songId=[ids[EXTRA]])
    ask(url, "ana", "star", id=ids["jazz-vibraphone.mp3"])
    ask(url, "ben", "setRating", id=ids["death-metal-band.ogg"], rating=5)
    ask(url, "ben", "setRating", id=ids["tabla-loop.m4a"], rating=1)
    ask(url, "cleo", "star", id=ids["game-tune-caribbean.mp3"])
    listen(url, "ana", ids["jazz-vibraphone.mp3"])
    listen(url, "ben", ids["death-metal-band.ogg"])
    ask(url, "cleo", "scrobble", id=ids["tabla-loop.m4a"])  # goes elsewhere; no answer tells it
    for name, sticker, value in (
        ("blues-band.mp3", "playCount", 3),
        ("blues-band.mp3", "lastPlayed", int(time.time()) - 5000),
        *((name, "playCount", 2) for name in PLAYED),
        *((name, "lastPlayed", int(time.time()) - 90_000) for name in PLAYED),
        ("drum-loop.aiff", "skipCount", 2),
        ("drum-loop.aiff", "lastSkipped", int(time.time()) - 4000),
        ("synthesizer-beat.opus", "rating", 8),
        (EXTRA, "playCount", 9),
    ):
        say(folder, f'sticker set song "{name}" {sticker} {value}')

    looked = sync(run, "--dry-run")
    assert actions(looked["home"])["ana", "Tonight"] == "created", looked
    assert not (folder / "plays.parquet").exists()
    assert songs_of(url, "ana") == {"Mine": [EXTRA]}
    assert not (folder / "data").exists()

    first = sync(run)
    assert [first["home"][k] for k in ("songs", "matched")] == [11, 10]
    assert first["home"]["new"] == {"plays": 2, "skips": 0, "verdicts": 4, "withdrawn": 0}
    assert first["kitchen"]["matched"] == 10
    assert first["kitchen"]["new"] == {"plays": 4, "skips": 1, "verdicts": 1, "withdrawn": 0}
    log = pq.read_table(folder / "plays.parquet").to_pylist()
    assert sorted(
        (r["user_id"], r["song_id"], r["event"], r["weight"], r["entry"]) for r in log
    ) == [
        ("ana", "blues-band.mp3", "play", 3.0, "kitchen"),
        ("ana", "classical-piano.flac", "play", 2.0, "kitchen"),
        ("ana", "drum-loop.aiff", "skip", 2.0, "kitchen"),
        ("ana", "game-tune-caribbean.mp3", "play", 2.0, "kitchen"),
        ("ana", "jazz-vibraphone.mp3", "like", 1.0, "home"),
        ("ana", "jazz-vibraphone.mp3", "play", 1.0, "home"),
        ("ana", "jazz-vibraphone.mp3", "play", 2.0, "kitchen"),
        ("ana", "synthesizer-beat.opus", "like", 1.0, "kitchen"),
        ("ben", "death-metal-band.ogg", "like", 1.0, "home"),
        ("ben", "death-metal-band.ogg", "play", 1.0, "home"),
        ("ben", "tabla-loop.m4a", "dislike", 1.0, "home"),
        ("cleo", "game-tune-caribbean.mp3", "like", 1.0, "home"),
    ]
    lost = pq.read_table(folder / "plays.home.unmatched.parquet").to_pylist()
    assert [(row["path"], row["reason"]) for row in lost] == [
        (EXTRA, "other songs of its folder are in the store: run audiorec extract again")
    ]

    # What `recommend` says to the log that came back is what each has on the server.
    lists = {user: songs_of(url, user) for user in ("ana", "ben", "cleo")}
    for user, found in lists.items():
        _, out, _ = run("recommend", user, "-i", "plays.parquet", "--k", "4", "--json")
        told = [json.loads(line)["song_id"] for line in out.splitlines()]
        assert found["Tonight (audiorec)"][: len(told)] == told
        assert len(found["Tonight (audiorec)"]) == 4
    assert lists["ana"]["Mine"] == [EXTRA]
    assert lists["ana"]["Vibes (audiorec)"][0] == "jazz-vibraphone.mp3"
    assert "Vibes (audiorec)" not in lists["cleo"]
    assert len(lists["cleo"]["Near (audiorec)"]) == 3
    assert "playlist: Radio (audiorec)" in say(folder, "listplaylists")

    # Again: nothing changes, here or there.
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.parquet")}
    again = sync(run)
    assert set(actions(again["home"]).values()) == {"unchanged"}
    assert set(actions(again["kitchen"]).values()) == {"unchanged"}
    assert {
        p: p.stat().st_mtime_ns for p in folder.rglob("plays.parquet")
    }.items() <= before.items()
    assert {user: songs_of(url, user) for user in lists} == lists

    # Life goes on: one more play, a star that is taken back, a list that ana edits.
    say(folder, 'sticker set song "blues-band.mp3" playCount 5')
    ask(url, "cleo", "unstar", id=ids["game-tune-caribbean.mp3"])
    near = {p["name"]: p["id"] for p in ask(url, "ana", "getPlaylists")["playlists"]["playlist"]}
    ask(
        url,
        "ana",
        "updatePlaylist",
        playlistId=near["Near (audiorec)"],
        songIdToAdd=ids[EXTRA],
    )
    later = sync(run)
    assert (later["kitchen"]["new"]["plays"], later["home"]["new"]["withdrawn"]) == (1, 1)
    assert actions(later["home"])["ana", "Near"] == "left alone"
    assert songs_of(url, "ana")["Near (audiorec)"][-1] == EXTRA
    log = pq.read_table(folder / "plays.parquet").to_pylist()
    assert [r["weight"] for r in log if r["song_id"] == "blues-band.mp3"] == [3.0, 2.0]
    assert not [r for r in log if r["user_id"] == "cleo"]

    # Undo gives back what lists were before their last change; what ana made or edited stays.
    undone = sync(run, "--undo")
    was_changed = actions(later["kitchen"])["ana", "Radio"] == "replaced"
    expected = "replaced" if was_changed else "removed"
    assert actions(undone["kitchen"]) == {("ana", "Radio"): expected}
    assert actions(undone["home"])["ana", "Vibes"] == "removed"
    assert actions(undone["home"])["ana", "Near"] == "left alone"
    left = songs_of(url, "ana")
    assert left["Mine"] == [EXTRA]
    assert left["Near (audiorec)"][-1] == EXTRA
    assert "Vibes (audiorec)" not in left
    assert ("Radio" in say(folder, "listplaylists")) == was_changed
    assert not actions(sync(run, "--undo")["kitchen"])

    # A server that counts no plays tells one while it goes on, and is asked once more.
    listen(url, "ben", ids["classical-piano.flac"])
    assert [sync(run)["home"]["new"]["plays"] for _ in range(2)] == [1, 0]
