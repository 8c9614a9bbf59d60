"""`analysis.correlation`: favourites and new songs, the mean of cosines, who is compared."""

import numpy as np
import pytest
from made_logs import log_of

from audiorec.analysis import correlation as module
from audiorec.analysis.correlation import (
    completion,
    default_split,
    embedding_units,
    favourites,
    new_songs,
    pair_completions,
    similarity_to_favourites,
)
from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.listening.rule import Rule
from audiorec.simulation.world import WorldSpec, simulate
from audiorec.store.embeddings import EmbeddingTable, write_embeddings


def test_similarity_is_the_weighted_mean_of_cosines(monkeypatch):
    rng = np.random.default_rng(0)
    units = rng.normal(size=(30, 5))
    units = (units / np.linalg.norm(units, axis=1, keepdims=True)).astype(np.float32)
    rows = [
        (f"u{rng.integers(9)}", f"s{rng.integers(30):02}", int(t), "finish", 1.0)
        for t in rng.integers(0, 100, 250)
    ]
    log = log_of(*rows)
    known, new = favourites(log, since=50), new_songs(log, since=50)
    has = np.isin(new.user, known.user)
    user, song = new.user[has], new.song[has]
    number = np.array([int(name[1:]) for name in log.song_ids])
    expected = [
        np.average(
            units[number[known.song[known.user == u]]] @ units[number[s]],
            weights=known.value[known.user == u],
        )
        for u, s in zip(user, song, strict=True)
    ]
    assert len(expected) > 30
    for size in (1 << 24, 40, 1):  # one block, some, one for each user
        monkeypatch.setattr(module, "BLOCK_NUMBERS", size)
        found = similarity_to_favourites(
            known, user, song, units, rows=number, users=len(log.user_ids)
        )
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_compare_keeps_pairs_of_a_user_together():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(80, 6))
    units = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"s{i:02}" for i in range(80)]
    log = simulate(ids, features, WorldSpec(users=60, days=60, seed=2)).interactions
    known, new = (
        favourites(log, since=log.timestamp[3000]),
        new_songs(log, since=log.timestamp[3000]),
    )
    rows = np.array([ids.index(i) for i in log.song_ids])
    both = pair_completions(known, new, units, rows=rows, min_songs=8, users=len(log.user_ids))
    assert (np.diff(both.user) >= 0).all()
    assert np.bincount(both.user).min() >= 8
    for place, number in enumerate(both.user_number):
        assert (both.user == place).sum() == (new.user == number).sum()


DAY = 86_400.0


def named(log, pairs):
    return {
        (log.user_ids[u], log.song_ids[s]): float(v)
        for u, s, v in zip(pairs.user, pairs.song, pairs.value, strict=True)
    }


def test_favourites_fade_with_their_half_life():
    log = log_of(
        ("u", "a", 0, "finish", 1.0),
        ("u", "a", 20 * DAY, "finish", 1.0, 3.0),
        ("u", "b", 30 * DAY, "like"),
        ("u", "c", 29 * DAY, "skip", 0.0),
        ("u", "d", 40 * DAY, "like"),
        ("v", "a", 35 * DAY, "like"),
    )
    found = favourites(log, since=40 * DAY, half_life_days=10)
    # a: 2**-4 + 3 * 2**-2; b: 2**-1; c is disliked; d stands at the split, not before it.
    assert named(log, found) == pytest.approx(
        {("u", "a"): 0.8125, ("u", "b"): 0.5, ("v", "a"): 2**-0.5}
    )
    flat = favourites(log, since=40 * DAY, half_life_days=np.inf, song_ids=["a"])
    assert named(log, flat) == {("u", "a"): 4.0, ("v", "a"): 1.0}


def test_what_is_liked_is_judged_before_the_split_alone():
    rows = [("u", "a", 1, "finish", 1.0), ("u", "a", 9, "dislike")]
    assert named(log_of(*rows), favourites(log_of(*rows), since=5)) == pytest.approx(
        {("u", "a"): 1.0}, rel=1e-4
    )
    assert len(favourites(log_of(*rows), since=10)) == 0


def test_old_favourites_keep_a_weight_above_zero():
    log = log_of(("u", "a", 0, "like"), ("u", "b", 1.0, "like"))
    found = favourites(log, since=1e9, half_life_days=0.01)
    assert (found.value > 0).all()


def test_a_half_life_and_a_window_that_cannot_be():
    log = log_of(("u", "a", 0, "like"))
    with pytest.raises(InputError, match="half-life must be above 0"):
        favourites(log, since=5, half_life_days=0)
    with pytest.raises(InputError, match="begins after the split"):
        favourites(log, since=5, rule=Rule(since=6))


def test_a_new_song_was_never_met_before_in_any_way():
    log = log_of(
        ("u", "old", 1, "play", 0.1),
        ("u", "pressed", 2, "playlist"),
        ("v", "new", 3, "finish", 1.0),
        ("u", "old", 10, "finish", 1.0),
        ("u", "pressed", 11, "finish", 1.0),
        ("u", "new", 10, "play", 0.5),
        ("u", "new", 12, "finish", 1.0, 3.0),
        ("u", "split", 10, "skip", 0.25),
        ("u", "late", 20, "skip", 0.25),
        ("v", "new", 12, "finish", 1.0),
    )
    found = new_songs(log, since=10, until=20)
    assert named(log, found) == {("u", "new"): 0.875, ("u", "split"): 0.25}
    assert set(named(log, new_songs(log, since=10))) == {
        ("u", "new"),
        ("u", "split"),
        ("u", "late"),
    }
    assert named(log, new_songs(log, since=10, song_ids=["split"])) == {("u", "split"): 0.25}
    assert len(new_songs(log, since=99)) == 0


def test_no_song_is_both_new_and_favourite():
    rng = np.random.default_rng(5)
    events = ("play", "finish", "skip", "like")
    rows = [
        (
            f"u{rng.integers(5)}",
            f"s{rng.integers(9)}",
            int(t),
            events[rng.integers(4)],
            rng.random(),
        )
        for t in rng.integers(0, 100, 300)
    ]
    log = log_of(*rows)
    for since in (20, 50, 80):
        known, new = favourites(log, since=since), new_songs(log, since=since)
        assert not set(named(log, known)) & set(named(log, new))


def test_completion_of_each_event():
    log = log_of(
        ("u", "a", 1, "play", 0.25),
        ("u", "a", 1, "play"),
        ("u", "a", 1, "finish"),
        ("u", "a", 1, "finish", 0.75),
        ("u", "a", 1, "skip"),
        ("u", "a", 1, "skip", 0.5),
        ("u", "a", 1, "like", 1.0),
        ("u", "a", 1, "dislike"),
    )
    expected = [0.25, np.nan, 1.0, 0.75, 0.0, 0.5, np.nan, np.nan]
    np.testing.assert_array_equal(completion(log), expected)


def test_listenings_without_a_completion_make_no_new_song():
    log = log_of(("u", "a", 10, "play"), ("u", "a", 11, "like"), ("u", "b", 10, "like"))
    assert len(new_songs(log, since=5)) == 0


def test_the_usual_split_lies_at_six_tenths():
    assert default_split(log_of(("u", "a", 100, "like"), ("u", "b", 200, "like"))) == 160


def test_a_store_gives_what_similar_compares():
    store = Library.open("fixtures/formats/vecs-v1.parquet")
    units = store.space("vector").matrix
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-6)
    for neighbour in store.similar(store.ids[0], k=4, by="vector"):
        product = units[0] @ units[store.row_number(neighbour.song_id)]
        assert product == pytest.approx(neighbour.similarity, abs=1e-5)


def test_embeddings_are_brought_to_length_one(tmp_path):
    path = tmp_path / "e.parquet"
    embeddings = np.array([[3.0, 4.0], [0.0, -2.0]], np.float32)
    write_embeddings(path, ["a", "b"], embeddings, kind="songs", model_id="m")
    units = embedding_units(EmbeddingTable.open(path, kind="songs"))
    np.testing.assert_allclose(units, [[0.6, 0.8], [0.0, -1.0]], atol=1e-6)
    write_embeddings(path, ["a", "b"], embeddings * [[1], [0]], kind="songs", model_id="m")
    with pytest.raises(InputError, match="'b' has length 0"):
        embedding_units(EmbeddingTable.open(path, kind="songs"))
