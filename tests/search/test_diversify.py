"""`audiorec.search.choice`: limits hold, lists are filled, diversity does what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.search.choice import Limit, Tally, select


def ranking(similarities, log=None):
    order = np.argsort(-np.asarray(similarities, float), kind="stable")

    def search(m):
        if log is not None:
            log.append(m)
        return order[:m], np.asarray(similarities, float)[order[:m]]

    return search


def kinds(*values):
    return np.array(values, np.int32)


def test_the_best_of_each_artist_in_order():
    search = ranking([0.9, 0.1, 0.8, 0.7, 0.3, 0.6])
    rows, similarities = select(search, 3, limits=[Limit(kinds(0, 0, 0, 1, 1, -1), 1)])
    assert rows.tolist() == [0, 3, 5]
    assert similarities.tolist() == [0.9, 0.7, 0.6]


def test_unknown_artists_are_not_one_artist():
    rows, _ = select(ranking([3, 2, 1]), 3, limits=[Limit(kinds(-1, -1, -1), 1)])
    assert rows.tolist() == [0, 1, 2]


def test_the_querys_songs_count():
    artists = kinds(0, 0, 1, 0)
    rows, _ = select(ranking([4, 3, 2, 1]), 3, limits=[Limit(artists, 2)], taken=[3])
    assert rows.tolist() == [0, 2]


def test_the_ranking_is_asked_for_more_until_the_list_is_full():
    log = []
    artists = np.zeros(300, np.int32)
    artists[290:] = np.arange(1, 11)
    rows, _ = select(ranking(np.arange(300, 0, -1), log), 5, limits=[Limit(artists, 1)])
    assert rows.tolist() == [0, 290, 291, 292, 293]
    assert log == [5, 20, 80, 320]


@settings(max_examples=60)
@given(st.data())
def test_limits_hold_whatever_their_order_and_lists_are_as_long_as_can_be(data):
    n = data.draw(st.integers(1, 40))
    draw = st.lists(st.integers(-1, 4), min_size=n, max_size=n)
    first = Limit(kinds(*data.draw(draw)), data.draw(st.integers(1, 3)))
    second = Limit(kinds(*data.draw(draw)), data.draw(st.integers(1, 3)))
    k = data.draw(st.integers(1, 20))
    rng = np.random.default_rng(n)
    search = ranking(rng.random(n))
    diversity = data.draw(st.sampled_from([0.0, 0.4]))
    units = rng.normal(size=(n, 3)).astype(np.float32)
    options = {"diversity": diversity, "units": lambda rows: units[rows]}
    rows, _ = select(search, k, limits=[first, second], **options)
    swapped, _ = select(search, k, limits=[second, first], **options)
    assert rows.tolist() == swapped.tolist()
    assert len(set(rows.tolist())) == len(rows)
    for limit in (first, second):
        counts = np.bincount(limit.kinds[rows][limit.kinds[rows] >= 0], minlength=5)
        assert counts.max() <= limit.most
    if len(rows) < k:  # then nothing else fits
        tally = Tally([first, second], rows.tolist())
        assert not any(tally.fits(row) for row in set(range(n)) - set(rows.tolist()))


def test_no_diversity_is_the_order_of_the_ranking():
    rng = np.random.default_rng(3)
    search = ranking(rng.random(50))
    plain = select(search, 10)
    zero = select(search, 10, diversity=0.0, units=lambda rows: np.eye(50, dtype=np.float32)[rows])
    np.testing.assert_array_equal(plain[0], zero[0])
    np.testing.assert_array_equal(plain[0], search(10)[0])


def test_marginal_relevance_worked_by_hand():
    # Songs 0 and 1 are all but one song; 2 is another kind. At 0.5 the second choice weighs
    # 0.45 - 0.5 * 0.99 = -0.045 against 0.3 - 0 = 0.3; at 0.1 0.81 - 0.099 against 0.54.
    units = np.float32([[1, 0], [0.99, 0.14106736], [0, 1]])
    search = ranking([1.0, 0.9, 0.6])
    at = {
        d: select(search, 3, diversity=d, units=lambda rows: units[rows])[0].tolist()
        for d in (0.1, 0.5)
    }
    assert at == {0.1: [0, 1, 2], 0.5: [0, 2, 1]}


def test_full_diversity_begins_with_the_best():
    units = np.float32([[1, 0], [1, 0], [0, 1]])
    rows, similarities = select(
        ranking([0.5, 0.9, 0.1]), 3, diversity=1.0, units=lambda rows: units[rows]
    )
    assert rows.tolist() == [1, 2, 0]
    assert similarities.tolist() == [0.9, 0.1, 0.5]


def test_a_song_can_be_taken_back():
    tally = Tally([Limit(kinds(0, 0), 1)])
    tally.add(0)
    assert not tally.fits(1)
    tally.add(0, -1)
    assert tally.fits(1)


def test_an_empty_ranking():
    rows, similarities = select(ranking([]), 3)
    assert (len(rows), len(similarities)) == (0, 0)


@pytest.mark.parametrize(
    ("k", "options", "message"),
    [
        (0, {}, "k must be at least 1, got 0"),
        (1, {"limits": [Limit(kinds(0), 0)]}, "a limit must be at least 1 song"),
        (1, {"diversity": 1.5}, "between 0 and 1, got 1.5"),
        (1, {"diversity": float("nan")}, "between 0 and 1, got nan"),
        (1, {"diversity": 0.5}, "diversity needs the songs' units"),
    ],
)
def test_refusals(k, options, message):
    with pytest.raises(InputError, match=message):
        select(ranking([1.0]), k, **options)
