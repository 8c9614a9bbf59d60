"""`audiorec.listening.sequences`: sessions, playlists, and who stands beside whom."""

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import (
    MAX_BASKET,
    Baskets,
    Sequences,
    co_occurring,
    sessions,
    song_pairs,
    to_sequences,
)
from audiorec.types import offsets


def together(baskets, window, n_songs=10):
    found = co_occurring(baskets, n_songs, window=window)
    return {(u, s): w for u, s, w in zip(found.user, found.song, found.weight, strict=True)}


def plays(rows):
    """Return sequences of (song number, time), one per owner."""
    flat = [entry for row in rows for entry in row]
    song, time = np.array([s for s, _ in flat]), np.array([t for _, t in flat])
    owners, songs = tuple(map(str, range(len(rows)))), tuple(map(str, range(10)))
    return Sequences(owners, songs, offsets([len(row) for row in rows]), song, time)


def test_a_pause_or_another_user_ends_a_session():
    found = sessions(
        plays([[(3, 5000.0), (4, 100.0), (2, 3800.0)], [(5, 0.0), (6, 50.0)]]), gap_s=3600
    )
    # user 0: 4 at 100 s, pause, 2 and 3; user 1: 5, 6
    assert found.song.tolist() == [4, 2, 3, 5, 6]
    assert found.owner.tolist() == [0, 1, 1, 2, 2]


def test_a_pause_of_just_the_gap_does_not_end_it():
    assert len(sessions(plays([[(0, 0.0), (1, 60.0)]]), gap_s=60)) == 1


def test_pairs_worked_by_hand():
    baskets = Baskets(np.array([0, 3, 3, 5, 6]), np.array([1, 7, 2, 1, 7, 9]))
    assert together(baskets, 1) == {(1, 7): 2, (7, 1): 2, (7, 2): 1, (2, 7): 1}
    assert together(baskets, 0) == {
        (1, 7): 2,
        (7, 1): 2,
        (7, 2): 1,
        (2, 7): 1,
        (1, 2): 1,
        (2, 1): 1,
    }


def test_a_song_does_not_stand_beside_itself():
    assert together(Baskets(np.array([0, 3]), np.array([4, 4, 4])), 2) == {}


def test_a_huge_basket_counts_by_its_first_songs():
    baskets = Baskets(np.array([0, MAX_BASKET + 50]), np.arange(MAX_BASKET + 50))
    found = co_occurring(baskets, 1000, window=1)
    assert found.song.max() == MAX_BASKET - 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=25), st.integers(0, 4))
def test_pairs_are_the_same_both_ways(rows, window):
    rows.sort(key=lambda row: row[0])
    starts = offsets(np.bincount([b for b, _ in rows], minlength=1))
    baskets = Baskets(starts, np.array([s for _, s in rows], np.int64))
    found = together(baskets, window)
    assert {(s, u): w for (u, s), w in found.items()} == found


def test_refuses_a_gap_of_nothing():
    with pytest.raises(InputError, match="above 0 seconds, got 0"):
        sessions(plays([[(0, 0.0)]]), gap_s=0)


SONGS = ("s0", "s1", "s2", "s3")
T = 1_700_000_000


def log_file(tmp_path, rows, header="user_id,song_id,timestamp,event,played_ratio,playlist_id"):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def pairs_of(path, source, **given):
    by = "list" if source == "playlists" else "user"
    plays = to_sequences(read_interactions(path), by=by).among(SONGS)
    found = song_pairs(plays, source=source, **given)
    return {(int(u), int(s)) for u, s in zip(found.user, found.song, strict=True)}


def test_sessions_pass_over_what_was_not_wanted_or_not_known(tmp_path):
    rows = [
        f"a,s0,{T},play,0.9,",
        f"a,s1,{T + 60},skip,0.1,",  # not wanted
        f"a,s2,{T + 90},play,0.2,",  # ended too early
        f"a,other,{T + 120},finish,,",  # not in the catalogue
        f"a,s3,{T + 300},play,,",  # unknown ratio: wanted
        f"a,s1,{T + 90_000},finish,,",  # another day
        f"b,s2,{T},play,0.5,",
        f"b,s1,{T + 10},finish,1.0,",
    ]
    path = log_file(tmp_path, rows)
    assert pairs_of(path, "sessions") == {(0, 3), (3, 0), (1, 2), (2, 1)}


def test_a_window_counts_known_songs(tmp_path):
    names = ["s0", "other", "s1", "s2"]
    rows = [f"a,{name},{T + 60 * i},finish,," for i, name in enumerate(names)]
    path = log_file(tmp_path, rows)
    assert pairs_of(path, "sessions", window=1) == {(0, 1), (1, 0), (1, 2), (2, 1)}


PLAYLISTS = [
    f"a,s0,{T},playlist,,one",
    f"a,s1,{T + 1},playlist,,two",
    f"b,s2,{T + 2},playlist,,one",  # somebody else's hand in the same list
    f"a,s3,{T + 3},playlist,,two",
    f"a,s2,{T + 4},finish,,two",  # no playlist event
    f"a,s2,{T + 5},playlist,,",  # in no list
]
BY_ID = {(0, 2), (2, 0), (1, 3), (3, 1)}


def test_playlists_by_their_id(tmp_path):
    path = log_file(tmp_path, PLAYLISTS)
    assert pairs_of(path, "playlists") == BY_ID
    pq.write_table(csv.read_csv(path), tmp_path / "log.parquet")
    assert pairs_of(tmp_path / "log.parquet", "playlists") == BY_ID


def test_without_ids_a_user_has_one_playlist(tmp_path):
    rows = [row.rsplit(",", 2)[0] for row in PLAYLISTS[:5]]
    path = log_file(tmp_path, rows, header="user_id,song_id,timestamp,event")
    assert pairs_of(path, "playlists") == {(a, b) for a in (0, 1, 3) for b in (0, 1, 3) if a != b}


@pytest.mark.parametrize("source", ["sessions", "playlists"])
def test_refuses_a_log_without_pairs(tmp_path, source):
    path = log_file(tmp_path, [f"a,s0,{T},finish,,", f"b,s1,{T},finish,,"])
    with pytest.raises(InputError, match=f"occur together in one of the {source}"):
        pairs_of(path, source)
