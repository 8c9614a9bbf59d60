"""`audiorec.search.topk`: hand-worked order, ties, blocks that change nothing, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError
from audiorec.search import topk as module
from audiorec.search.topk import ItemLists, TopK, exact_order, nearest, top_k

ITEMS = np.float32([[1, 0], [0, 1], [-1, 0], [0.6, 0.8], [0.6, 0.8]])
QUERIES = np.float32([[1, 0], [0.6, -0.8]])


def naive(queries, items, k, excluded=None, minimum=-np.inf):
    """The full matrix, sorted by similarity and then by number."""
    similar = queries.astype(np.float64) @ items.astype(np.float64).T
    found = np.full((len(queries), k), -1)
    values = np.full((len(queries), k), np.nan)
    for row, line in enumerate(similar):
        hidden = set() if excluded is None else set(map(int, excluded[row]))
        allowed = [i for i in range(len(items)) if i not in hidden and line[i] >= minimum]
        best = sorted(allowed, key=lambda i: (-line[i], i))[:k]
        found[row, : len(best)], values[row, : len(best)] = best, line[best]
    return found, values


def grid(rng, n, width=3):
    """Small whole numbers: exact in float32, with many ties."""
    return rng.integers(-2, 3, (n, width)).astype(np.float32)


def test_order_and_ties_worked_by_hand():
    top = top_k(QUERIES, ITEMS, 4)
    # Query 0: 1, 0, -1, .6, .6; query 1: .6, -.8, -.6, .36-.64 = -.28 twice.
    assert top.indices.tolist() == [[0, 3, 4, 1], [0, 3, 4, 2]]
    expected = [[1, 0.6, 0.6, 0], [0.6, -0.28, -0.28, -0.6]]
    np.testing.assert_allclose(top.similarities, expected, atol=1e-6)
    assert top.indices.dtype == np.int64
    assert top.similarities.dtype == np.float32


def test_fewer_than_k_ends_in_minus_one_and_nan():
    top = top_k(QUERIES, ITEMS, 7, excluded=[[0, 4, 0], [1, 2, 3]])
    assert top.indices.tolist() == [[3, 1, 2, -1, -1, -1, -1], [0, 4, -1, -1, -1, -1, -1]]
    assert np.isnan(top.similarities).sum(axis=1).tolist() == [4, 5]
    assert top.counts.tolist() == [3, 2]


@pytest.mark.parametrize(("minimum", "first"), [(0.6, [0, 3, 4]), (0.600001, [0]), (1.1, [])])
def test_minimum_is_inclusive(minimum, first):
    items = ITEMS.copy()
    top = top_k(QUERIES[:1], items, 5, minimum=float(np.float32(minimum)))
    assert top.indices[0, : top.counts[0]].tolist() == first


def test_each_item_may_have_a_minimum_of_its_own():
    bound = np.float32([np.inf, -0.9, -1, 0.6, 0.7])
    top = top_k(QUERIES, ITEMS, 4, item_minimum=bound)
    assert top.indices.tolist() == [[3, 1, 2, -1], [2, 1, -1, -1]]
    whole = top_k(QUERIES, ITEMS, 4, item_minimum=bound, minimum=0.0, item_block=2)
    assert whole.indices.tolist() == [[3, 1, -1, -1], [-1, -1, -1, -1]]


def test_a_minimum_between_two_float32_is_not_rounded_down():
    above = float(np.float32(0.6)) + 1e-9
    assert top_k(QUERIES[:1], ITEMS, 5, minimum=above).counts.tolist() == [1]


@given(
    seed=st.integers(0, 10_000),
    n_queries=st.integers(0, 7),
    n_items=st.integers(0, 40),
    k=st.integers(1, 12),
    query_block=st.integers(1, 9),
    item_block=st.integers(1, 50),
    share=st.floats(0, 1),
    minimum=st.sampled_from([-np.inf, -3.0, 0.0, 2.0]),
)
def test_agrees_with_the_full_matrix(
    seed, n_queries, n_items, k, query_block, item_block, share, minimum
):
    rng = np.random.default_rng(seed)
    queries, items = grid(rng, n_queries), grid(rng, n_items)
    excluded = [np.flatnonzero(rng.random(n_items) < share) for _ in range(n_queries)]
    top = top_k(
        queries,
        items,
        k,
        excluded=excluded,
        minimum=minimum,
        query_block=query_block,
        item_block=item_block,
    )
    found, values = naive(queries, items, k, excluded, minimum)
    np.testing.assert_array_equal(top.indices, found)
    np.testing.assert_allclose(top.similarities, values, atol=1e-5)


@pytest.mark.parametrize("order", ["rising", "falling", "equal"])
def test_orders_that_defeat_a_threshold(order):
    n = 9_001
    length = {"rising": np.arange(n), "falling": np.arange(n)[::-1], "equal": np.ones(n)}[order]
    items = np.stack([length, np.zeros(n)], axis=1).astype(np.float32)
    top = top_k(QUERIES, items, 3, item_block=512)
    best = {"rising": [9000, 8999, 8998], "falling": [0, 1, 2], "equal": [0, 1, 2]}[order]
    assert top.indices.tolist() == [best, best]


def test_many_equal_items_come_in_the_order_of_their_numbers():
    rng = np.random.default_rng(4)
    few = rng.standard_normal((7, 40)).astype(np.float32)
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    # A multiple of what BLAS works on at once: it may round the rest, and so equals, differently.
    kind = rng.integers(0, 7, 20_480)
    top = top_k(few, few[kind], 150)
    for row, line in enumerate(top.indices):
        assert line.tolist() == np.flatnonzero(kind == row)[:150].tolist()


def test_rows_are_collected_from_pairs():
    rows = ItemLists.from_pairs(np.array([2, 0, 2]), np.array([7, 3, 1]), 4)
    assert [rows[i].tolist() for i in range(len(rows))] == [[3], [], [7, 1], []]
    with pytest.raises(IndexError):
        rows[4]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"items": np.zeros((5, 3), np.float32)}, ShapeError, r"\(2, 2\) and \(5, 3\)"),
        ({"queries": np.zeros(2, np.float32)}, ShapeError, r"\(Q, D\)"),
        ({"k": 0}, InputError, "at least 1"),
        ({"item_block": 0}, InputError, "at least 1"),
        ({"item_minimum": np.zeros(4, np.float32)}, ShapeError, r"\(5,\), got \(4,\)"),
        ({"minimum": float("nan")}, InputError, "minimum is NaN"),
        ({"queries": np.float32([[1, np.nan]])}, InputError, "query has a number that is NaN"),
        ({"items": np.float32([[1, 0], [np.inf, 0]])}, InputError, "item has a number that is NaN"),
        ({"excluded": [[1]]}, ShapeError, "1 lists for 2 queries"),
        ({"excluded": [[1], [5]]}, InputError, r"0\.\.4, got 1\.\.5"),
        ({"excluded": [[-1], []]}, InputError, r"got -1\.\.-1"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        top_k(**({"queries": QUERIES, "items": ITEMS, "k": 2} | arguments))


def units_of(vectors):
    """Return vectors of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def songs():
    """300 songs as units."""
    return units_of(np.random.default_rng(4).normal(size=(300, 18)))


def test_agrees_with_the_definition(songs):
    queries = units_of(songs[:7] + np.float32(0.1))
    expected = queries.astype(np.float64) @ songs.astype(np.float64).T
    for rows, values, row in zip(*nearest(songs, queries, 10), expected, strict=True):
        np.testing.assert_array_equal(rows, np.argsort(-row, kind="stable")[:10])
        np.testing.assert_allclose(values, row[rows], atol=1e-9)


def test_blocks_and_the_other_queries_do_not_matter(songs, monkeypatch):
    units = songs
    rows, values = nearest(units, units, 5)
    for name, size in (("COMPARED", 7), ("CELLS", 30), ("QUERY_BLOCK", 11), ("ITEM_BLOCK", 9)):
        monkeypatch.setattr(module, name, size)
    again, same = nearest(units, units, 5)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(values, same)
    for i, unit in enumerate(units):
        alone, single = nearest(units, unit[None], 5)
        np.testing.assert_array_equal(rows[[i]], alone)
        np.testing.assert_array_equal(values[[i]], single)


def test_many_equal_songs_among_others_are_ordered_by_rank():
    rng = np.random.default_rng(5)
    vectors = rng.random((5_000, 18), np.float32)
    vectors[100:4_100] = vectors[100]
    ranks = rng.permutation(5_000)
    units = units_of(vectors)
    rows, values = nearest(units, units[100:101], 50, ranks=ranks)
    expected = 100 + np.argsort(ranks[100:4_100])[:50]
    np.testing.assert_array_equal(rows, expected[None])
    assert len(set(values[0])) == 1


def test_what_rounding_may_have_put_behind_is_compared_exactly():
    # Float32 proposes row 0 first; by float64 the last of the equals-but-for-rounding is best.
    exact = np.float32([[1.0], [0.9], [0.9 - 4e-6], [0.9 + 4e-6], [0.5]])
    asked = []

    def propose(places, fetch):
        asked.append(fetch)
        blurred = np.float32([[0.9, 0.9, 0.9, 0.9, 0.5]])
        return TopK(np.arange(5)[None, :fetch], blurred[:, :fetch])

    query = np.ones((1, 1), np.float32)
    rows, values = exact_order(propose, lambda r: exact[r], query, 2, 5, None)
    assert rows.tolist() == [[0, 3]]
    np.testing.assert_allclose(values, [[1, 0.9 + 4e-6]], atol=1e-7)
    assert asked == [5]


def test_more_is_asked_for_only_where_the_last_place_is_undecided(monkeypatch):
    monkeypatch.setattr(module, "SLACK", 1)
    cosines = np.float32([[0.9, 0.5, 0.4, 0.3, 0.2, 0.1], [0.9, 0.5, 0.5, 0.5, 0.5, 0.1]])
    asked = []

    def propose(places, fetch):
        asked.append((places.tolist(), fetch))
        return TopK(np.tile(np.arange(fetch), (len(places), 1)), cosines[places, :fetch])

    def read(rows):
        return cosines.T[rows]

    rows, _ = exact_order(
        propose, read, np.eye(2, dtype=np.float32), 2, 6, np.array([0, 5, 4, 3, 2, 1])
    )
    assert asked == [([0, 1], 3), ([1], 6)]
    assert rows.tolist() == [[0, 1], [0, 4]]


def test_only_what_is_allowed_comes_back():
    rng = np.random.default_rng(12)
    units = units_of(rng.random((200, 6)))
    allowed = np.arange(200) % 7 == 3
    (rows,), (values,) = nearest(units, units[:1], 99, allowed=allowed)
    assert sorted(rows.tolist()) == np.flatnonzero(allowed).tolist()
    np.testing.assert_allclose(values, units[rows].astype(np.float64) @ units[0], atol=1e-7)
    rows, values = nearest(units, units[:1], 3, allowed=np.zeros(200, np.bool_))
    assert rows.shape == values.shape == (1, 0)


def test_a_song_is_never_its_own_neighbour_among_many_twins():
    units = np.tile(np.float32([[0.6, 0.8]]), (40, 1))
    rows, values = nearest(units, units[3:], 5, own=np.arange(3, 40))
    assert not (rows == np.arange(3, 40)[:, None]).any()
    np.testing.assert_allclose(values, 1, atol=1e-6)
    assert all(len(set(row)) == 5 for row in rows.tolist())


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 40), st.integers(0, 999))
def test_songs_among_themselves_agree_with_a_sort(n, k, seed):
    units = units_of(np.random.default_rng(seed).normal(size=(n, 3)))
    k = min(k, n - 1)
    rows, values = nearest(units, units, k, own=np.arange(n))
    wide = units.astype(np.float64) @ units.astype(np.float64).T
    np.fill_diagonal(wide, -np.inf)
    np.testing.assert_allclose(values, -np.sort(-wide, axis=1)[:, :k], atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(wide, rows, axis=1), values, atol=1e-9)
