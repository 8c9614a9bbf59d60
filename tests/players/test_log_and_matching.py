"""What was played comes once, with the right song; what is not sure is named and left out."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_library import series, write_library
from made_library import song as library_song

from audiorec.errors import InputError
from audiorec.listening.imports.importing import KnownSongs
from audiorec.listening.imports.rows import SongRef
from audiorec.listening.interactions import read_interactions
from audiorec.players.contract import PlayerSong
from audiorec.players.matching import match, server_ids
from audiorec.players.sync import continued, read_log
from audiorec.store.store import VectorStore

T = 1_764_000_000.0  # seconds since 1970


@pytest.fixture
def empty(tmp_path):
    return read_log(tmp_path / "none.parquet")


def song(**about):
    return PlayerSong(song=SongRef(id="7"), **about)


def add(log, *songs, user="ana", server="home", now=T):
    table, new = continued(log, server, {user: list(songs)}, now_s=now)
    return SimpleNamespace(table=table, is_new=any(new.values()), **new)


def rows(table):
    names = ("user_id", "song_id", "event", "weight", "entry")
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_plays_come_once_and_later_ones_are_the_rest(empty):
    first = add(empty, ("a", song(plays=5, played_s=T - 100)))
    assert rows(first.table) == [("ana", "a", "play", 5.0, "home")]
    assert first.table.column("timestamp")[0].as_py().timestamp() == T - 100
    assert not add(first.table, ("a", song(plays=5, played_s=T - 100))).is_new
    later = add(first.table, ("a", song(plays=8, skips=1, played_s=T)))
    assert (later.plays, later.skips) == (1, 1)
    assert rows(later.table)[1:] == [
        ("ana", "a", "play", 3.0, "home"),
        ("ana", "a", "skip", 1.0, "home"),
    ]


def test_what_is_played_now_is_one_play_however_often_it_is_told(empty):
    first = add(empty, ("a", song(now_s=T)))
    assert rows(first.table) == [("ana", "a", "play", 1.0, "home")]
    for later in (T - 40, T + 40, T + 80):
        assert not add(first.table, ("a", song(now_s=later))).is_new
    assert add(first.table, ("a", song(now_s=T + 100))).plays == 1
    long = PlayerSong(song=SongRef(id="7", duration_s=600), now_s=T + 100)
    assert not add(first.table, ("a", long)).is_new
    assert not add(first.table, ("a", song(plays=1, played_s=T + 60))).is_new  # it counts now


def test_servers_and_users_are_counted_apart(empty):
    log = add(empty, ("a", song(plays=5))).table
    log = add(log, ("a", song(plays=2)), server="kitchen").table
    log = add(log, ("a", song(plays=1)), user="ben").table
    assert [row[3] for row in rows(log)] == [5.0, 2.0, 1.0]
    assert not add(log, ("a", song(plays=2)), server="kitchen").is_new


def test_a_count_that_went_back_adds_nothing_until_it_is_larger(empty):
    log = add(empty, ("a", song(plays=5))).table
    assert not add(log, ("a", song(plays=1))).is_new
    assert rows(add(log, ("a", song(plays=6))).table)[-1][3] == 1.0


def test_copies_of_a_song_on_a_server_are_one(empty):
    two = add(
        empty,
        ("a", song(plays=2, played_s=T - 9, verdict="dislike")),
        ("a", song(plays=3, played_s=T - 5, verdict="like", verdict_s=T - 7)),
    )
    assert rows(two.table) == [("ana", "a", "like", 1.0, "home"), ("ana", "a", "play", 5.0, "home")]


def test_a_like_is_what_it_is_now(empty):
    log = add(empty, ("a", song(verdict="like", verdict_s=T - 50))).table
    again = add(log, ("a", song(verdict="like", verdict_s=T - 50)))
    assert not again.is_new
    other = add(log, ("a", song(verdict="dislike")))
    assert (other.verdicts, other.withdrawn) == (1, 1)
    assert [row[2] for row in rows(other.table)] == ["dislike"]
    assert rows(add(log, ("a", song())).table) == []


def test_a_like_of_a_song_that_is_no_longer_there_stays(empty):
    log = add(empty, ("a", song(verdict="like"))).table
    assert not add(log, ("b", song())).is_new


def test_what_has_no_time_gets_that_of_the_sync_and_keeps_it(empty):
    log = add(empty, ("a", song(verdict="dislike")), now=T).table
    later = add(log, ("a", song(verdict="dislike")), now=T + 9000)
    assert later.table.column("timestamp")[0].as_py().timestamp() == T


def test_the_log_is_one_that_every_command_reads(empty, tmp_path):
    from audiorec.files.tables import write_plain

    path = tmp_path / "plays.parquet"
    write_plain(path, add(empty, ("a", song(plays=2, verdict="like"))).table)
    assert len(read_interactions(path)) == 2
    assert read_log(path).num_rows == 2


@pytest.mark.parametrize("columns", [["user_id"], [*"ab"]])
def test_another_log_is_not_overwritten(tmp_path, columns):
    path = tmp_path / "plays.parquet"
    pq.write_table(pa.table({name: ["x"] for name in columns}), path)
    with pytest.raises(InputError, match=r"plays\.parquet"):
        read_log(path)
    names = "user_id song_id timestamp event played_ratio weight entry session_id".split()
    pq.write_table(pa.table({name: ["x"] for name in names}), path)
    with pytest.raises(InputError, match="choose another with `out`"):
        read_log(path)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_the_log_has_the_largest_count_ever_told(counts):
    from pathlib import Path

    log = read_log(Path("none.parquet"))
    for count in counts:
        log = add(log, ("a", song(plays=count))).table
    assert sum(row[3] for row in rows(log)) == max(counts)


# Which song is which.

IDS = ["jazz/one.flac", "jazz/two.flac", "rock/one.flac", "live/sos.mp3", "pop/sos.mp3"]


@pytest.fixture
def known(tmp_path):
    about = {
        "title": ["Etude", "Prelude", "Riff", "SOS", "SOS"],
        "artist": ["Ana", "Ana", "Bo", "Abba", "Abba"],
        "album": ["One", "One", "Two", "Live", "Pop"],
        "duration_s": [100.0, 200.0, 300.0, 240.0, 200.0],
        "musicbrainz_trackid": ["8f3471b5-7e6a-48da-86a9-c1c07a0f47ae", None, None, None, None],
        "uri": [f"/music/{name}" for name in IDS],
    }
    rows = [
        library_song(name, series(n), **{key: values[n] for key, values in about.items()})
        for n, name in enumerate(IDS)
    ]
    store = write_library(tmp_path, rows, scores=False)
    return KnownSongs(VectorStore.open(store))


def ref(**about):
    return SongRef(**{"id": "7", **about})


@pytest.mark.parametrize(
    ("song", "way", "expected"),
    [
        (ref(path="jazz/one.flac"), "path", "jazz/one.flac"),
        (
            ref(path="jazz/one.flac", duration_s=9.0),
            "path",
            "jazz/one.flac",
        ),  # the same path is the file
        (ref(path="/srv/jazz/one.flac", duration_s=103.0), "path", "jazz/one.flac"),
        (ref(path="C:\\Music\\rock\\one.flac"), "path", "rock/one.flac"),
        (
            ref(mbid="8f3471b5-7e6a-48da-86a9-c1c07a0f47ae", title="x", artist="y"),
            "mbid",
            "jazz/one.flac",
        ),
        (ref(artist="ana", title="PRELUDE", duration_s=202.0), "tags", "jazz/two.flac"),
        (ref(artist="Abba", title="SOS", album="Pop", duration_s=200.0), "tags", "pop/sos.mp3"),
        (ref(artist="Abba", title="SOS", duration_s=240.0), "tags", "live/sos.mp3"),
        (
            ref(id="rock/one.flac", path="jazz/one.flac"),
            "path",
            "jazz/one.flac",
        ),  # ids are the server's
    ],
)
def test_a_sure_match(known, song, way, expected):
    found = match(known, [song])
    assert {key: known.ids[row] for key, row in found.rows.items()} == {song.id: expected}
    assert found.ways == {way: 1}


@pytest.mark.parametrize(
    ("song", "says"),
    [
        (ref(artist="Ana", title="Prelude", duration_s=90.0), "same artist and title, but lasts"),
        (ref(path="x/jazz/one.flac", duration_s=50.0), "same folder and file name, but lasts"),
        (ref(artist="Abba", title="SOS"), "several songs of the store fit it"),
        (ref(artist="Zoe", title="Riff"), "its title by another artist: rock/one.flac"),
        (ref(id="7"), "tells neither its path nor"),
        (ref(id="jazz/one.flac"), "tells neither its path nor"),
        (ref(path="new/thing.flac"), "no song of its folder is in the store"),
        (ref(path="other/one.flac"), "no song of its folder is in the store"),
    ],
)
def test_what_is_not_sure_is_no_match_and_says_why(known, song, says):
    found = match(known, [song])
    assert found.rows == {}
    (one,) = found.unmatched
    assert says in one.reason


def test_a_song_that_was_added_since_is_told_from_a_folder_that_is_missing(known):
    found = match(known, [ref(path="jazz/one.flac"), SongRef(id="8", path="jazz/new.flac")])
    assert "run audiorec extract again" in found.unmatched[0].reason
    table = found.table().to_pylist()
    assert [(row["id"], row["path"]) for row in table] == [("8", "jazz/new.flac")]


def test_names_that_are_not_utf8_can_be_reported(known):
    found = match(known, [SongRef(id="b\udcff.mp3")])
    assert found.table().column("id").to_pylist() == [None]


def test_of_two_copies_on_a_server_one_goes_into_lists(known):
    found = match(known, [ref(id="9", path="jazz/one.flac"), ref(id="3", path="b/jazz/one.flac")])
    assert server_ids(found, known.ids) == {"jazz/one.flac": "3"}
