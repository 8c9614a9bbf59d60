import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import log_of

from audiorec.errors import InputError, ShapeError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences

HEADER = "user_id,song_id,timestamp,event,played_ratio,session_id,list_id\n"


def named(sequences):
    return {
        owner: [sequences.song_ids[song] for song in sequences[row]]
        for row, owner in enumerate(sequences.owner_ids)
    }


def read(tmp_path, *rows, header=HEADER):
    path = tmp_path / "log.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    return read_interactions(path)


def test_order_and_repeats_stay_and_what_was_broken_off_goes():
    log = log_of(
        ("u", "b", 30, "finish"),
        ("u", "a", 10, "play", 0.5),
        ("u", "a", 20, "play", 0.49),  # broken off
        ("u", "a", 40, "finish"),
        ("u", "c", 41, "skip", 0.9),
        ("u", "c", 42, "like"),
        ("v", "c", 5, "play"),  # unknown ratio
    )
    found = to_sequences(log)
    assert named(found) == {"u": ["a", "b", "a"], "v": ["c"]}
    assert found.time.tolist() == [10, 30, 40, 5]


def test_sessions_end_with_a_pause_or_with_their_id(tmp_path):
    log = log_of(
        ("u", "a", 0, "finish"),
        ("u", "b", 1_800, "finish"),
        ("u", "c", 3_601, "finish"),
        ("v", "a", 100, "finish"),
    )
    found = to_sequences(log, by="session")
    assert named(found) == {"u#1": ["a", "b"], "u#2": ["c"], "v#1": ["a"]}
    rows = [
        "u,a,2024-01-02,finish,,s2,",
        "u,b,2024-01-01,finish,,s1,",
        "v,a,2024-01-03,finish,,s2,",
    ]
    assert named(to_sequences(read(tmp_path, *rows), by="session")) == {
        "s1": ["b"],
        "s2": ["a", "a"],
    }


def test_without_times_the_order_of_the_file_counts(tmp_path):
    log = read(tmp_path, "u,b,,finish,,s1,", "u,a,,finish,,s1,", "u,b,,finish,,s1,")
    assert np.isnan(log.timestamp).all()
    assert named(to_sequences(log)) == {"u": ["b", "a", "b"]}


def test_lists_are_what_was_put_into_them(tmp_path):
    rows = ["u,b,,playlist,,,one", "v,a,,playlist,,,one", "u,a,,finish,,s,"]
    assert named(to_sequences(read(tmp_path, *rows), by="list")) == {"one": ["b", "a"]}
    old = HEADER.replace("list_id", "playlist_id")
    assert named(to_sequences(read(tmp_path, *rows, header=old), by="list")) == {"one": ["b", "a"]}


def test_refusals():
    with pytest.raises(InputError, match="by must be one of user, session, list, got 'week'"):
        to_sequences(log_of(("u", "a", 1, "finish")), by="week")
    with pytest.raises(ShapeError, match="starts must cut 1 plays into 1 sequences"):
        Sequences(("u",), ("a",), np.array([0, 2]), np.array([0], np.int32), np.array([1.0]))


LISTS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=6)


@settings(max_examples=80, deadline=None)
@given(lists=LISTS, most=st.integers(1, 4), wanted=st.sets(st.sampled_from("abcxyz"), max_size=5))
def test_taking_and_renumbering_are_those_of_lists(lists, most, wanted):
    whole = Sequences.from_lists(lists)
    assert list(named(whole).values()) == lists
    assert list(named(whole.newest(most)).values()) == [songs[-most:] for songs in lists]
    among = whole.among(tuple(sorted(wanted)))
    expected = [[song for song in songs if song in wanted] for songs in lists]
    assert list(named(among).values()) == expected
    rows = np.arange(len(lists))[::-2]
    assert list(named(whole.take(rows)).values()) == [lists[row] for row in rows]
