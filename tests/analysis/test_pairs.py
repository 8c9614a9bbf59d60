"""`audiorec.analysis.pairs`: the weighted mean of cosines, and who is compared."""

import numpy as np
from made_logs import log_of

from audiorec.analysis import pairs as module
from audiorec.analysis.completion import favourites, new_songs
from audiorec.analysis.pairs import compare, similarity_to_favourites
from audiorec.simulation.world import WorldSpec, simulate


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
    both = compare(known, new, units, rows=rows, min_songs=8, users=len(log.user_ids))
    assert (np.diff(both.user) >= 0).all()
    assert np.bincount(both.user).min() >= 8
    for place, number in enumerate(both.user_number):
        assert (both.user == place).sum() == (new.user == number).sum()
