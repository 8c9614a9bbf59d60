"""`audiorec.search.similar`: against a plain computation, ties, odd vectors, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError
from audiorec.search import scaling
from audiorec.search import similar as module
from audiorec.search.library import Library, similar
from audiorec.search.scaling import Weighting
from audiorec.search.similar import (
    DEFAULT_WEIGHTS,
    LOG_ODDS,
    Similarity,
    default_weighting,
    nearest_units,
    weight_vector,
)
from audiorec.store.store import write_table
from audiorec.types import STATISTICS


def plain_similarities(vectors, queries, weights):
    """The definition, written down once more without blocks, floats or shortcuts."""
    wide = vectors.astype(np.float64)
    mean, std = wide.mean(0), wide.std(0)
    std[std == 0] = 1
    rows, asked = ((x - mean) / std * weights for x in (wide, queries.astype(np.float64)))
    lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)[None]
    return asked @ rows.T / lengths


@pytest.fixture
def open_with(tmp_path, make_table, metadata, make_row):
    """`open_with({"a": vector, ...})` is a store of these vectors."""

    def make(vectors):
        import pyarrow as pa

        tables = [make_table([name], vector=vector) for name, vector in vectors.items()]
        write_table(tmp_path / "vecs.parquet", pa.concat_tables(tables), metadata)
        return Library.open(tmp_path / "vecs.parquet")

    return make


@pytest.fixture
def songs():
    """300 songs whose columns have scales from 1e-6 to 1e6."""
    rng = np.random.default_rng(4)
    return (rng.gamma(2.0, size=(300, 18)) * np.logspace(-6, 6, 18)).astype(np.float32)


def test_values_worked_by_hand():
    # Columns: mean 2, 0 and 5; deviations 1, 2 (population) and none.
    vectors = np.float32([[1, -2, 5], [3, 2, 5], [3, -2, 5], [1, 2, 5]])
    similarity = Similarity(vectors.copy(), weights=np.array([2.0, 1.0, 1.0]))
    np.testing.assert_allclose(similarity.mean, [2, 0, 5])
    np.testing.assert_allclose(similarity.std, [1, 2, 1])
    # Standardised and weighted: (-2,-1) (2,1) (2,-1) (-2,1), all of length sqrt(5).
    rows, values = similarity.nearest(vectors[2:3], 4)[0]
    assert rows.tolist() == [2, 1, 0, 3]
    np.testing.assert_allclose(values, [1, 3 / 5, -3 / 5, -1], atol=1e-6)


@pytest.mark.parametrize("weights", [np.ones(18), np.arange(18.0), np.eye(18)[4] + np.eye(18)[7]])
def test_agrees_with_the_definition(songs, weights):
    queries = songs[:7] * np.float32(1.5)
    expected = plain_similarities(songs, queries, weights)
    found = Similarity(songs.copy(), weights=weights).nearest(queries, 10)
    for (rows, values), row in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, np.argsort(-row, kind="stable")[:10])
        np.testing.assert_allclose(values, row[rows], atol=1e-6)


def test_blocks_and_the_other_queries_do_not_matter(songs, monkeypatch):
    weights = np.ones(18)
    whole = Similarity(songs.copy(), weights=weights).nearest(songs, 5)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    monkeypatch.setattr(scaling, "BLOCK_ROWS", 7)
    monkeypatch.setattr(module, "PRODUCT_BYTES", 4 * 300 * 11)
    blocked = Similarity(songs.copy(), weights=weights)
    parts = blocked.nearest(songs, 5)
    single = [blocked.nearest(songs[i : i + 1], 5)[0] for i in range(len(songs))]
    for (rows, values), (rows2, values2), (rows3, _) in zip(whole, parts, single, strict=True):
        np.testing.assert_array_equal(rows, rows2)
        np.testing.assert_array_equal(rows, rows3)
        np.testing.assert_allclose(values, values2, atol=1e-6)


def test_vectors_are_not_changed_and_columns_of_no_weight_are_left_out(songs):
    kept = songs.copy()
    assert Similarity(songs, weights=np.ones(18)).units.shape == (300, 18)
    np.testing.assert_array_equal(songs, kept)
    partial = Similarity(songs, weights=np.eye(18)[3] + 2 * np.eye(18)[7])
    assert partial.columns.tolist() == [3, 7]
    np.testing.assert_array_equal(partial.prepare(songs), partial.units)


def test_of_blocks_is_the_same(songs):
    weighting = Weighting.uniform(18, standardise=True)
    whole = Similarity(songs, weights=np.ones(18))
    blocks = Similarity.of_blocks(lambda: np.array_split(songs, 7), len(songs), weighting)
    np.testing.assert_allclose(blocks.units, whole.units, atol=1e-6)
    np.testing.assert_allclose(blocks.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(blocks.std, whole.std, rtol=1e-12)


def test_ties_come_in_the_order_of_ids(open_with):
    same, other = np.linspace(0, 1, 18), np.linspace(1, 0, 18) ** 2
    store = open_with({"d": same, "b": other, "a": same, "c": same, "e": other})
    assert [n.song_id for n in store.similar(np.float32(same), 2)] == ["a", "c"]
    assert [n.song_id for n in store.similar("c", 2)] == ["a", "d"]
    assert [n.song_id for n in store.similar("c", 5)] == ["a", "d", "b", "e"]


def test_many_equal_songs_among_others_are_ordered_by_rank():
    rng = np.random.default_rng(5)
    vectors = rng.random((5_000, 18), np.float32)
    vectors[100:4_100] = vectors[100]
    ranks = rng.permutation(5_000)
    similarity = Similarity(vectors.copy(), weights=np.ones(18))
    rows, values = similarity.nearest(vectors[100:101], 50, ranks=ranks)[0]
    expected = 100 + np.argsort(ranks[100:4_100])[:50]
    np.testing.assert_array_equal(rows, expected)
    assert len(set(values)) == 1


def test_what_rounding_may_have_put_behind_is_compared_exactly():
    similarities = np.float32([0.1, 0.5, 0.5 - 4e-6, 0.7, 0.5 - 4e-5])
    assert module._candidates(similarities, 2).tolist() == [1, 2, 3]
    assert module._candidates(similarities, 0).tolist() == []


def test_store_of_one(open_with):
    store = open_with({"a": np.linspace(0, 1, 18)})
    assert store.similar("a", 3) == []
    found = store.similar(np.ones(18, np.float32), 3)
    assert [(n.song_id, n.similarity) for n in found] == [("a", 0.0)]


def test_more_than_there_are(open_with):
    store = open_with({name: np.random.default_rng(i).random(18) for i, name in enumerate("abc")})
    assert len(store.similar("a", 99)) == 2
    assert store.similar("a", 99, exclude_ids={"b", "c"}) == []


def test_song_that_is_average_in_everything_is_similar_to_none(open_with):
    # Symmetric about a half, so that the log-odds of max and min are 0 there as well.
    low = np.linspace(0.1, 0.4, 18)
    store = open_with({"low": low, "high": 1 - low, "average": np.full(18, 0.5)})
    found = store.similar("average", 3)
    assert [(n.song_id, n.similarity) for n in found] == [("high", 0.0), ("low", 0.0)]
    found = store.similar("high", 3)
    assert [n.song_id for n in found] == ["average", "low"]
    assert found[1].similarity == pytest.approx(-1, abs=1e-6)


def test_constant_column_of_a_large_value_does_not_drown_the_others():
    vectors = np.random.default_rng(6).random((50, 3)).astype(np.float32)
    vectors[:, 1] = 0.1
    vectors[7, 1] = np.nextafter(np.float32(0.1), np.float32(1))
    similarity = Similarity(vectors.copy(), weights=np.ones(3))
    assert similarity.std[1] == 1
    without = Similarity(vectors.copy(), weights=np.array([1.0, 0, 1]))
    for asked in vectors[:5]:
        got, expected = similarity.nearest(asked[None], 5), without.nearest(asked[None], 5)
        np.testing.assert_array_equal(got[0][0], expected[0][0])


def test_weights_are_repeated_over_the_classes(metadata):
    expected = [1, 2, 3, 4, 5, 6] * 3
    np.testing.assert_array_equal(weight_vector([1, 2, 3, 4, 5, 6], metadata), expected)
    with pytest.raises(ShapeError, match="expected 6 weights, one per statistic, got 3"):
        weight_vector([1, 2, 3], metadata)


def test_default_weights_know_every_statistic():
    assert tuple(DEFAULT_WEIGHTS) == STATISTICS
    assert set(LOG_ODDS) <= set(STATISTICS)


def test_default_takes_log_odds_of_max_and_min_and_the_mean_as_it_is(metadata):
    weighting = default_weighting(metadata)
    assert weighting.weights.tolist() == [0.75, 0.75, 1, 0, 0, 0] * 3
    assert weighting.log_odds.tolist() == [True, True, False, False, False, False] * 3
    assert default_weighting(metadata, "mean").weights.tolist() == [0, 0, 1, 0, 0, 0] * 3


def test_small_scores_are_told_apart(open_with):
    # "b" has the smallest score of "a" but another mean; "c" the mean and a smallest score ten
    # times as large, which is next to nothing as a probability.
    def vector(lowest, mean):
        values = np.full((3, 6), 0.5)
        values[:, STATISTICS.index("min")] = lowest
        values[:, STATISTICS.index("mean")] = mean
        return values.ravel()

    songs = {"a": vector(0.001, 0.5), "b": vector(0.001, 0.52), "c": vector(0.01, 0.5)}
    # Others that spread both columns far.
    songs |= {f"z{i}": vector(0.3 * i, i / 4) for i in range(4)}
    store = open_with(songs)
    equal = dict.fromkeys(("min", "mean"), 1.0)
    plain = [equal.get(name, 0.0) for name in STATISTICS]
    wide = Similarity(store.vectors, weights=np.tile(plain, 3))
    assert wide.nearest(store.vectors[:1], 2)[0][0].tolist() == [0, 2]  # c before b
    assert [n.song_id for n in store.similar("a", 2)] == ["b", "c"]


def test_by_mean_looks_at_the_means_alone(open_with):
    rng = np.random.default_rng(9)
    vectors = {name: rng.random((3, 6)) for name in "abcdef"}
    vectors["twin"] = rng.random((3, 6))
    vectors["twin"][:, STATISTICS.index("mean")] = vectors["c"][:, STATISTICS.index("mean")]
    store = open_with({name: v.ravel() for name, v in vectors.items()})
    (best,) = store.similar("c", 1, by="mean")
    assert (best.song_id, best.similarity) == ("twin", pytest.approx(1, abs=1e-6))
    assert store.similar("c", 1)[0].similarity < 0.999


def test_weights_of_ones_own(open_with):
    rng = np.random.default_rng(10)
    store = open_with({name: rng.random(18) for name in "abcdef"})
    mean_only = [0, 0, 1, 0, 0, 0]
    queries = store.vectors[:2]
    assert similar(store, queries, 3, weights=mean_only) == similar(store, queries, 3, by="mean")


def test_batch_equals_single(open_with):
    rng = np.random.default_rng(11)
    store = open_with({f"{i:02}": rng.random(18) for i in range(30)})
    together = similar(store, store.vectors, 4)
    alone = [similar(store, vector[None], 4)[0] for vector in store.vectors]
    assert [[n.song_id for n in found] for found in together] == [
        [n.song_id for n in found] for found in alone
    ]


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 10_000))
def test_similarities_are_cosines_in_falling_order(n, k, seed):
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    for rows, values in Similarity(vectors.copy(), weights=np.ones(4)).nearest(vectors, k):
        assert len(rows) == len(values) == min(n, k)
        assert len(set(rows.tolist())) == len(rows)
        assert (np.diff(values) <= 0).all()
        assert (np.abs(values) <= 1).all()


def test_refusals(open_with):
    store = open_with({"a": np.arange(18.0), "b": np.arange(18.0) ** 2})
    good = np.zeros((1, 18), np.float32)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        similar(store, good, 0)
    with pytest.raises(ShapeError, match=r"shape \(Q, 18\), got \(1, 17\)"):
        similar(store, good[:, 1:], 1)
    with pytest.raises(ShapeError, match=r"shape \(Q, 18\), got \(18,\)"):
        similar(store, good[0], 1)
    with pytest.raises(InputError, match="not finite"):
        similar(store, good + np.float32(np.nan), 1)
    with pytest.raises(
        InputError, match="by must be one of vector, mean, features, embedding, got 'max'"
    ):
        similar(store, good, 1, by="max")


@pytest.mark.parametrize("weights", [[0.0, 0], [1, -1], [1, np.nan]])
def test_refuses_weights(weights):
    with pytest.raises(InputError, match="weights must be finite and not negative"):
        Similarity(np.zeros((2, 2), np.float32), weights=np.array(weights))


def test_refuses_weights_of_another_length():
    with pytest.raises(ShapeError, match=r"got \(2, 2\), \(3,\)"):
        Similarity(np.zeros((2, 2), np.float32), weights=np.ones(3))


def test_only_what_is_allowed_comes_back():
    rng = np.random.default_rng(12)
    units = Similarity(rng.random((200, 6), np.float32), weights=np.ones(6)).units
    allowed = np.arange(200) % 7 == 3
    ((rows, values),) = nearest_units(units, units[:1], 99, allowed=allowed)
    assert sorted(rows.tolist()) == np.flatnonzero(allowed).tolist()
    np.testing.assert_allclose(values, units[rows].astype(np.float64) @ units[0], atol=1e-7)
    ((rows, _),) = nearest_units(units, units[:1], 3, allowed=np.zeros(200, np.bool_))
    assert rows.tolist() == []
