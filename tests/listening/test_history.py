"""`audiorec.listening.history`: what comes before, what it weighs, and its mean, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError
from audiorec.listening.history import (
    Histories,
    Likes,
    Spans,
    all_spans,
    histories,
    history_spans,
    mean_and_spread,
    mean_inputs,
)
from audiorec.types import Pairs

DAY = 86_400.0


def make_pairs(rows):
    user, song, weight, time = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Pairs(np.int32(user), np.int32(song), np.float32(weight), np.float64(time))


def songs_of(found, row):
    return found.song[found.starts[row] : found.starts[row + 1]].tolist()


# User 0 in time: 5, then 2 and 3 together, then 4. User 1 nothing. User 2 has no times.
ROWS = [
    (0, 2, 3, 20 * DAY),
    (0, 3, 1, 20 * DAY),
    (0, 4, 1, 40 * DAY),
    (0, 5, 7, 10 * DAY),
    (2, 1, 1, np.nan),
    (2, 4, 1, 5 * DAY),
    (2, 9, 1, np.nan),
]
LIKES = Likes.from_pairs(make_pairs(ROWS), 3)


def test_sequences_are_in_time_and_weights_grow_slowly():
    assert LIKES.starts.tolist() == [0, 4, 4, 7]
    assert LIKES.song.tolist() == [5, 2, 3, 4, 1, 4, 9]
    assert LIKES.weight.tolist() == [3, 2, 1, 1, 1, 1, 1]  # log2(1 + 7), log2(1 + 3), ...
    assert np.isnan(LIKES.time[4:]).all()


def test_history_is_strictly_before():
    found = histories(LIKES, history_spans(LIKES, max_history=9), half_life_days=None)
    assert [songs_of(found, i) for i in range(4)] == [[], [5], [5], [5, 2, 3]]


def test_a_user_without_times_has_all_other_likes_as_history():
    found = histories(LIKES, history_spans(LIKES, max_history=1), half_life_days=3.0)
    assert [songs_of(found, i) for i in range(4, 7)] == [[4, 9], [1, 9], [1, 4]]
    assert found.weight[found.starts[4] :].tolist() == [1] * 6


def test_the_newest_count_most_and_the_oldest_fall_out():
    found = histories(LIKES, history_spans(LIKES, max_history=2), half_life_days=5.0)
    assert songs_of(found, 3) == [2, 3]
    found = histories(LIKES, history_spans(LIKES, max_history=3), half_life_days=5.0)
    # Newest at day 20; day 10 is two half-lives older: 3 / 4, then 2 and 1.
    assert found.weight[found.starts[3] : found.starts[4]].tolist() == [0.75, 2, 1]


def test_whole_histories():
    spans = all_spans(LIKES, max_history=2)
    found = histories(LIKES, spans, half_life_days=20.0)
    assert [songs_of(found, i) for i in range(3)] == [[3, 4], [], [1, 4, 9]]
    assert found.weight.tolist() == [0.5, 1, 1, 1, 1]
    assert found.lengths.tolist() == [2, 0, 3]


def test_mean_and_spread_worked_by_hand():
    rows = Histories(np.array([0, 0, 2, 3, 3]), np.array([1, 0, 2]), np.array([1.0, 3.0, 5.0]))
    inputs = np.float32([[2, -1], [10, 3], [4, 0]])
    means, spreads = mean_and_spread(rows, inputs)
    # (1 * 10 + 3 * 2) / 4 = 4, (3 - 3) / 4 = 0; deviations 6, -2: (36 + 3 * 4) / 4 = 12.
    np.testing.assert_allclose(means, [[0, 0], [4, 0], [4, 0], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(spreads, [[0, 0], [12**0.5, 3**0.5], [0, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(mean_inputs(rows, inputs), means)


def test_no_history_at_all():
    rows = Histories(np.zeros(3, np.int64), np.empty(0, np.int64), np.empty(0))
    assert mean_inputs(rows, np.ones((4, 2), np.float32)).tolist() == [[0, 0], [0, 0]]


def test_keep_takes_entries_out_of_every_list():
    rows = Histories(np.array([0, 2, 2, 5]), np.arange(5), np.arange(1.0, 6.0))
    kept = rows.keep(np.array([False, True, True, False, True]))
    assert kept.starts.tolist() == [0, 1, 1, 3]
    assert kept.song.tolist() == [1, 2, 4]


@given(
    events=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 5),
            st.one_of(st.integers(0, 4), st.just(float("nan"))),
        ),
        max_size=25,
    ),
    max_history=st.integers(1, 4),
)
def test_no_target_is_in_its_history_and_nothing_later_is(events, max_history):
    unique = {(u, s): t for u, s, t in events}
    rows = sorted((u, s, 1.0, t) for (u, s), t in unique.items())
    likes = Likes.from_pairs(make_pairs(rows), 4)
    found = histories(likes, history_spans(likes, max_history=max_history), half_life_days=1.0)
    assert len(found) == len(likes.song) == len(rows)
    for place, target in enumerate(likes.song):
        user = likes.owner[place]
        times = {s: t for (u, s), t in unique.items() if u == user}
        expected = {s for s in times if s != target}
        if not any(np.isnan(list(times.values()))):
            expected = {s for s in expected if times[s] < times[target]}
            newest = sorted(expected, key=lambda s: (times[s], s))[-max_history:]
            assert songs_of(found, place) == newest
        else:
            assert set(songs_of(found, place)) == expected


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_a_half_life_must_be_above_zero(half_life):
    with pytest.raises(InputError, match="above 0 days"):
        histories(LIKES, history_spans(LIKES, max_history=2), half_life_days=half_life)


def test_other_refusals():
    with pytest.raises(InputError, match="at least 1, got 0"):
        history_spans(LIKES, max_history=0)
    with pytest.raises(ShapeError, match=r"\(S, V\)"):
        mean_inputs(Histories(np.array([0]), np.empty(0, np.int64), np.empty(0)), np.zeros(3))


def test_spans_are_taken_by_row():
    spans = Spans(np.array([0, 4]), np.array([2, 5]), np.array([-1, 4]))
    assert spans.take(np.array([1])).without.tolist() == [4]
