"""`audiorec.recall.audio.basket_pairs`: sessions and playlists of a log, over known songs."""

import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.recall.audio.basket_pairs import song_pairs

SONGS = ("s0", "s1", "s2", "s3")
T = 1_700_000_000


def log_file(tmp_path, rows, header="user_id,song_id,timestamp,event,played_ratio,playlist_id"):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def pairs_of(path, source, **given):
    found = song_pairs(path, read_interactions(path), SONGS, source=source, **given)
    return {(int(u), int(s)) for u, s in zip(found.user, found.song, strict=True)}


def test_sessions_pass_over_what_was_not_wanted_or_not_known(tmp_path):
    rows = [
        f"a,s0,{T},play,0.9,",
        f"a,s1,{T + 60},skip,0.1,",  # not wanted
        f"a,s2,{T + 90},play,0.2,",  # ended too early
        f"a,other,{T + 120},finish,,",  # not in the catalogue
        f"a,s3,{T + 300},play,,",  # unknown ratio: wanted
        f"a,s1,{T + 90_000},finish,,",  # another day
        f"b,s2,{T},like,,",
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
    with pytest.raises(InputError, match=f"stand in one of its {source}"):
        pairs_of(path, source)
