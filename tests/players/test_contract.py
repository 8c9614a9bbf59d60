"""The contract of players, over ours against real servers, and over one of another package."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from made_player import MadePlayer, MadeServer
from needs import needs
from real_players import USERS, ask, mpd, say, supysonic
from web_server import AUDIO

from audiorec.errors import PlayerError
from audiorec.players.contract import PLAYERS, Account, check_player, verdict_of

MUSIC = ["blues-band.mp3", "birds.ogg", "drum-loop.aiff", "guitar-band.flac"]
ODD = 'Ayla - #1 "100%" & more \\ 日本語 ♫.mp3'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("servers")
    (home / "music" / "b").mkdir(parents=True)
    for name in MUSIC:
        shutil.copy(AUDIO / name, home / "music")
    shutil.copy(AUDIO / "jazz-vibraphone.mp3", home / "music" / "b" / ODD)
    return home


@pytest.fixture(scope="module")
def subsonic_url(home):
    with supysonic(home) as (url, _):
        yield url


@pytest.fixture(scope="module")
def mpd_url(home):
    with mpd(home) as (url, _):
        yield url


WRONG = "wrong one"
OPENED = []


@pytest.fixture(autouse=True)
def closed():
    """Close what a test opened."""
    yield
    while OPENED:
        OPENED.pop().close()


def open_player(kind, url, **about):
    if kind == "subsonic":
        about = {"user": "ana", "secret": USERS["ana"], "sign_in": "password", **about}
    OPENED.append(PLAYERS[kind](Account(url=url, **about)))
    return OPENED[-1]


@pytest.fixture(params=["subsonic", "mpd"])
def player(request):
    return open_player(request.param, request.getfixturevalue(f"{request.param}_url"))


def test_the_contract_holds(player):
    assert check_player(player) == ()


def test_the_contract_holds_for_a_player_of_another_package():
    assert check_player(MadePlayer(MadeServer())) == ()


def test_our_players_are_entry_points():
    assert {"subsonic", "mpd"} <= set(PLAYERS.own())


def test_songs_are_known_by_path_tags_and_length(player):
    songs = {one.song.path: one.song for one in player.songs()}
    assert set(songs) == {*MUSIC, f"b/{ODD}"}
    blues = songs["blues-band.mp3"]
    assert (blues.artist, blues.title, blues.duration_s) == ("twelve bars", "Blues in E", 20.0)


def test_an_odd_name_can_stand_in_a_list(player):
    odd = next(one.song.id for one in player.songs() if one.song.path.endswith(ODD))
    player.create("Odd (audiorec)", [odd])
    (made,) = [one for one in player.lists() if one.name == "Odd (audiorec)"]
    assert player.songs_of(made.id) == (odd,)
    player.remove(made.id)


class _Forgets(MadePlayer):
    """Breaks many rules: lists lose repeats, a refused replace empties the list."""

    def create(self, name, songs):
        super().create(name, list(dict.fromkeys(songs)))

    def replace(self, list_id, songs):
        self.server.lists[list_id] = (self.server.lists[list_id][0], ())
        super().replace(list_id, songs)

    def songs_of(self, list_id):
        return super().songs_of(list_id) if list_id in self.server.lists else ()


class _Doubles(MadePlayer):
    """Has one song twice, and other ids at every call."""

    calls = 0

    def songs(self):
        type(self).calls += 1
        for one in [*super().songs(), *list(super().songs())[:1]]:
            yield one if self.calls < 2 else type(one)(song=one.song._replace(id=one.song.id * 2))


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        (_Forgets, ["order and repeats", "leaves the list as it was", "unknown id cannot be read"]),
        (_Doubles, ["one id", "ids stay the same"]),
    ],
)
def test_a_player_that_breaks_rules_is_told_which(kind, rules):
    broken = check_player(kind(MadeServer()))
    assert len(broken) == len(rules), broken
    assert all(any(rule in one for one in broken) for rule in rules), broken


def test_two_songs_are_too_few():
    with pytest.raises(PlayerError, match="three songs"):
        check_player(MadePlayer(MadeServer("ab")))


def test_supysonic_without_tokens_is_told_what_to_set(subsonic_url):
    player = open_player("subsonic", subsonic_url, sign_in="")
    with pytest.raises(PlayerError, match='sign_in = "password"') as caught:
        list(player.songs())
    assert USERS["ana"] not in str(caught.value)


def test_a_wrong_password_is_a_typed_error(subsonic_url):
    player = open_player("subsonic", subsonic_url, secret=WRONG)
    assert WRONG not in repr(player.account)
    with pytest.raises(PlayerError, match="does not accept the account") as caught:
        player.lists()
    assert WRONG not in str(caught.value)


def test_a_server_whose_search_finds_nothing_is_read_album_by_album(subsonic_url, monkeypatch):
    player = open_player("subsonic", subsonic_url)
    by_search = {one.song for one in player.songs()}
    monkeypatch.setattr(player, "_searched", lambda: iter(()))
    assert {one.song for one in player.songs()} == by_search


async def by_another_client(client, url):
    """Return the songs that another client reads, and make a list of them with it."""
    host, _, port = url.rpartition(":")
    about = {"username": "ana", "password": USERS["ana"], "legacy_auth": True}
    connection = client.AsyncConnection(host, port=int(port), **about)
    try:
        songs = (await connection.search3("", song_count=500)).song
        ids = sorted((one.id for one in songs), reverse=True)
        await connection.create_playlist(name="Theirs", song_ids=ids)
    finally:
        await connection.cleanup()
    return {(n.id, n.path, n.artist, n.title, n.duration) for n in songs}, tuple(ids)


def test_another_client_reads_the_same_songs_and_we_read_its_list(subsonic_url):
    client = needs("libopensonic")
    with ThreadPoolExecutor(1) as thread:  # a browser's tests may leave a loop in this one
        run = thread.submit(lambda: asyncio.run(by_another_client(client, subsonic_url)))
        theirs, ids = run.result()
    player = open_player("subsonic", subsonic_url)
    ours = [one.song for one in player.songs()]
    assert {(s.id, s.path, s.artist, s.title, s.duration_s) for s in ours} == theirs
    (made,) = [one for one in player.lists() if one.name == "Theirs"]
    assert player.songs_of(made.id) == ids
    player.remove(made.id)


def test_lists_of_other_users_are_none_of_ours(subsonic_url):
    song = ask(subsonic_url, "ben", "search3", query="")["searchResult3"]["song"][0]["id"]
    ben = ask(subsonic_url, "ben", "createPlaylist", name="Ben's", songId=song)
    assert ben["status"] == "ok"
    found = ask(subsonic_url, "ben", "getPlaylists")["playlists"]["playlist"]
    ask(subsonic_url, "ben", "updatePlaylist", playlistId=found[0]["id"], public="true")
    assert "Ben's" not in str(open_player("subsonic", subsonic_url).lists())


def test_stickers_become_plays_skips_and_verdicts(home, mpd_url):
    for name, sticker, value in (
        ("blues-band.mp3", "playCount", 7),
        ("blues-band.mp3", "lastPlayed", 1764000000),
        ("blues-band.mp3", "like", 2),
        ("birds.ogg", "like", 0),
        ("birds.ogg", "skipCount", 3),
        ("birds.ogg", "lastSkipped", "soon"),
        ("guitar-band.flac", "rating", 2),
        ("drum-loop.aiff", "playCount", "many"),
    ):
        say(home, f"sticker set song {name} {sticker} {value}")
    found = {one.song.id: one for one in open_player("mpd", mpd_url).songs()}
    blues, birds = found["blues-band.mp3"], found["birds.ogg"]
    assert (blues.plays, blues.played_s, blues.verdict) == (7, 1764000000.0, "like")
    assert (birds.skips, birds.skipped_s, birds.verdict) == (3, None, "dislike")
    assert found["guitar-band.flac"].verdict == "dislike"
    assert found["drum-loop.aiff"].plays == 0


def test_a_list_that_mpd_did_not_finish_is_cleared_by_the_next(home, mpd_url):
    player = open_player("mpd", mpd_url)
    say(home, 'playlistadd "Jazz (audiorec) (new)" birds.ogg')
    assert "Jazz" not in str(player.lists())
    player.create("Jazz (audiorec)", ["blues-band.mp3"])
    assert player.songs_of("Jazz (audiorec)") == ("blues-band.mp3",)
    with pytest.raises(PlayerError):  # rename refuses to take the place of a list
        player.create("Jazz (audiorec)", ["birds.ogg"])
    assert "(new)" not in say(home, "listplaylists")
    player.remove("Jazz (audiorec)")


@pytest.mark.parametrize(
    ("starred", "stars", "expected"),
    [
        *((True, 0, "like"), (False, 5, "like"), (False, 1, "dislike"), (False, 0.5, "dislike")),
        *((False, 0, ""), (False, 3, ""), (False, 2, "")),
    ],
)
def test_verdicts(starred, stars, expected):
    assert verdict_of(starred, stars) == expected
