"""Songs that only their sound names: fetched from real servers, heard once, and never guessed."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import soundfile
from made_player import MadePlayer, MadeServer
from real_players import ask, mpd, supysonic
from web_server import AUDIO

from audiorec.errors import InputError, LostPlayerError, PlayerError
from audiorec.library.library import open_store
from audiorec.listening.imports.importing import KnownSongs
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import PlayerSong
from audiorec.players.matching import match, match_by_sound
from audiorec.players.push import ledger_of
from audiorec.players.settings import ListRecipe, Server, ServerMember
from audiorec.players.sync import sync
from audiorec.search.questions import Choice, PlaylistQuestion

pytestmark = pytest.mark.usefixtures("in_this_process")
STORED = [
    "blues-band.mp3",
    "folk-flute-and-guitar.ogg",
    "game-tune-caribbean.mp3",
    "guitar-band.flac",
]
OTHERS = ["synthesizer-beat.opus", "jazz-vibraphone-later.ogg"]  # of lengths of the store


def encoded(name, path):
    """Write a clip without tags and in another format."""
    samples, rate = soundfile.read(AUDIO / name)
    soundfile.write(path, samples, rate)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store of some clips, and a server's folder with the same ones under other names."""
    home = tmp_path_factory.mktemp("sounds")
    for folder in ("stored", "music"):
        (home / folder).mkdir()
    for name in STORED:
        shutil.copy(AUDIO / name, home / "stored")
    encoded("blues-band.mp3", home / "music" / "track 1.ogg")
    encoded("folk-flute-and-guitar.ogg", home / "music" / "track 2.mp3")
    encoded("game-tune-caribbean.mp3", home / "music" / "track 3.flac")
    for n, name in enumerate(OTHERS, 4):
        encoded(name, home / "music" / f"track {n}.ogg")
    words = ("-m", "audiorec_cli.main", "extract", "stored", "--out", "vecs.parquet", "-j", "1")
    subprocess.run([sys.executable, *words], cwd=home, check=True, capture_output=True)
    return home


@pytest.fixture
def library(home, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ANA", "ana secret")
    return open_store(home / "vecs.parquet")


@pytest.fixture
def fetched(monkeypatch):
    """Count what is fetched, by kind of player."""
    from audiorec.players.mpd import Mpd
    from audiorec.players.subsonic import Subsonic

    found = []
    for kind in (Mpd, Subsonic):
        real = kind.audio

        def audio(self, song_id, real=real):
            found.append(song_id)
            return real(self, song_id)

        monkeypatch.setattr(kind, "audio", audio)
    return found


def server(url, **about):
    member = ServerMember(user="ana", secret="env:ANA", sign_in="password")  # noqa: S106
    of_kind = {"members": (member,)} if url.startswith("http") else {}
    kind = "subsonic" if url.startswith("http") else "mpd"
    return Server(name="home", kind=kind, url=url, lists=(), **of_kind, **about)


@pytest.mark.parametrize("running", [supysonic, mpd])
def test_songs_of_a_real_server_are_known_by_their_sound(running, home, library, tmp_path, fetched):
    log = tmp_path / "plays.parquet"
    with running(home) as (url, _):
        if running is supysonic:
            songs = ask(url, "ana", "search3", query="")["searchResult3"]["song"]
            ask(url, "ana", "star", id=[s["id"] for s in songs if s["path"] == "track 2.mp3"])
        (without,) = sync([server(url)], library, log)
        assert (without.matched, fetched) == (0, [])
        sounds = server(url, by_sound=True)
        (looked,) = sync([sounds], library, log, dry_run=True)
        assert looked.ways == {"sound": 3}
        assert not (tmp_path / "data" / "players").exists() or not log.exists()
        first, n = sync([sounds], library, log)[0], len(fetched)
        assert (first.songs, first.matched, first.ways) == (5, 3, {"sound": 3})
        assert not first.failed
        assert all("sounds like it" in why or "folder" in why for why in first.reasons)
        (again,) = sync([sounds], library, log)
        assert again.ways == {"sound": 3}
        assert len(fetched) == n  # nothing is fetched twice
        blend = {"seeds": ("blues-band.mp3",), "words": "with a flute", "curve": ("metal:fall",)}
        limits = Choice(per_artist=1, only="duration<1:00")
        recipe = ListRecipe(
            name="Blend", question=PlaylistQuestion(**blend, minutes=1, choice=limits)
        )
        (mixed,) = sync([replace(sounds, lists=(recipe,))], library, log)
        ((change,),) = mixed.lists.values()
        assert (change.action, mixed.failed) == ("created", {})
        assert change.songs >= 2
    if running is supysonic:
        import pyarrow.parquet as pq

        (row,) = pq.read_table(log).to_pylist()
        assert (row["song_id"], row["event"]) == ("folk-flute-and-guitar.ogg", "like")


class Hands(MadePlayer):
    """Hands out files of this machine."""

    def __init__(self, files, error=None):
        super().__init__(MadeServer(""))
        self.files, self.error, self.asked = files, error, 0

    def audio(self, song_id):
        self.asked += 1
        if self.error:
            raise self.error
        return self.files[song_id].read_bytes()


def heard(library, player, *songs, looks=False):
    """Return what songs are, by id, and the reasons of the others."""
    matched = match(KnownSongs(library), songs)
    with ledger_of("made://server", "", looks=looks) as ledger:
        found = match_by_sound(library, player, matched, ledger)
    names = {key: library.ids[row] for key, row in found.rows.items()}
    return names, [one.reason for one in found.unmatched]


def lasting(library, name, **about):
    """Return a song of which a server tells the length of a song of the store."""
    length = library.column("duration_s")[library.ids.index(name)].as_py()
    return SongRef(**{"id": "7", "duration_s": float(round(length)), **about})


def test_the_same_audio_needs_no_title(library):
    player = Hands({"7": AUDIO / "guitar-band.flac"})
    song = lasting(library, "guitar-band.flac", title="Live at home (live)")
    assert heard(library, player, song) == ({"7": "guitar-band.flac"}, [])


def test_another_version_by_its_title_is_no_match(library, home):
    player = Hands({"7": home / "music" / "track 1.ogg"})
    title = library["blues-band.mp3"]["title"]
    same = lasting(library, "blues-band.mp3", title=title)
    assert heard(library, player, same)[0] == {"7": "blues-band.mp3"}
    live = lasting(library, "blues-band.mp3", id="8", title=f"{title} (live)")
    player.files["8"] = player.files["7"]
    names, (why,) = heard(library, player, live)
    assert names == {}
    assert "no song of the store sounds like it" in why


def test_a_song_of_another_length_is_not_fetched(library, home):
    player = Hands({"7": home / "music" / "track 1.ogg"})
    for seconds in (0.0, 999.0):
        names, _ = heard(library, player, SongRef(id="7", title="x", duration_s=seconds))
        assert names == {}
    assert player.asked == 0


def test_what_cannot_be_read_is_told_and_heard_once(library, tmp_path):
    (tmp_path / "odd").write_bytes(os.urandom(9999))
    player = Hands({"7": tmp_path / "odd"})
    song = lasting(library, "blues-band.mp3")
    names, (why,) = heard(library, player, song)
    assert names == {}
    assert "sounds like it" in why
    heard(library, player, song)
    assert player.asked == 1


def test_an_account_that_may_not_fetch_is_asked_again_next_time(library):
    player = Hands({}, PlayerError("made://server: may not"))
    songs = [lasting(library, "blues-band.mp3", id=str(n)) for n in range(3)]
    names, reasons = heard(library, player, *songs)
    assert (names, player.asked) == ({}, 3)
    assert all("cannot be fetched: made://server: may not" in why for why in reasons)
    heard(library, player, *songs)
    assert player.asked == 6


def test_a_server_that_is_lost_is_asked_no_more(library):
    player = Hands({}, LostPlayerError("made://server: no answer"))
    songs = [lasting(library, "blues-band.mp3", id=str(n)) for n in range(3)]
    _, reasons = heard(library, player, *songs)
    assert player.asked == 1
    assert len(reasons) == 3


def test_a_sync_fetches_so_many_and_the_next_one_goes_on(library, home, monkeypatch):
    monkeypatch.setattr("audiorec.players.matching.MOST", 1)
    player = Hands({str(n): home / "music" / "track 1.ogg" for n in range(2)})
    songs = [lasting(library, "blues-band.mp3", id=str(n)) for n in range(2)]
    names, (why,) = heard(library, player, *songs)
    assert names == {"0": "blues-band.mp3"}
    assert "not heard yet" in why
    assert heard(library, player, *songs)[0] == dict.fromkeys("01", "blues-band.mp3")
    assert player.asked == 2


def test_what_was_heard_before_a_stop_is_known(library, home):
    class Stops(Hands):
        def audio(self, song_id):
            if song_id == "1":
                raise KeyboardInterrupt
            return super().audio(song_id)

    files = dict.fromkeys("012", home / "music" / "track 1.ogg")
    songs = [lasting(library, "blues-band.mp3", id=n) for n in files]
    with pytest.raises(KeyboardInterrupt):
        heard(library, Stops(files), *songs)
    player = Hands(files)
    assert heard(library, player, *songs)[0] == dict.fromkeys(files, "blues-band.mp3")
    assert player.asked == 2


def test_a_dry_run_keeps_nothing(library, home, tmp_path):
    player = Hands({"7": home / "music" / "track 1.ogg"})
    song = lasting(library, "blues-band.mp3")
    assert heard(library, player, song, looks=True)[0] == {"7": "blues-band.mp3"}
    assert not (tmp_path / "data").exists()


def test_two_recordings_that_both_fit_are_no_match(library, home, monkeypatch):
    from audiorec.library.seeds import SongOpener

    monkeypatch.setattr(SongOpener, "copies", lambda *_: [0, 1])
    player = Hands({"7": home / "music" / "track 1.ogg"})
    names, (why,) = heard(library, player, lasting(library, "blues-band.mp3"))
    assert names == {}
    assert "sounds like it" in why


def test_a_store_without_sound_says_what_to_run(library, home, tmp_path):
    from made_library import series, write_library
    from made_library import song as library_song

    store = write_library(tmp_path, [library_song("a.mp3", series(1))], scores=False)
    with pytest.raises(InputError, match="sound"):
        heard(open_store(store), Hands({}), SongRef(id="7", title="x"))


def test_a_made_player_hands_out_no_audio():
    with pytest.raises(PlayerError, match="hands out no audio"):
        MadePlayer(MadeServer()).audio("a")
    assert PlayerSong(song=SongRef(id="7")).now_s is None
