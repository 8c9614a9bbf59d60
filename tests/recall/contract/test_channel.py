"""`audiorec.recall.contract.channel.best_of`: against a sort, with equals and with nothing."""

import numpy as np
import pytest

from audiorec.recall.contract.channel import DEPTH, best_of


def by_sorting(similar, mask, k):
    """Return the same, row by row, of a sort of everything."""
    songs = np.flatnonzero(mask)
    k = min(k, len(songs))
    found = np.full((len(similar), k), -1)
    best = np.full((len(similar), k), np.nan, np.float32)
    for row, line in enumerate(similar[:, songs]):
        order = [at for at in np.lexsort((songs, -line)) if line[at] > -np.inf][:k]
        found[row, : len(order)], best[row, : len(order)] = songs[order], line[order]
    return found, best


@pytest.mark.parametrize("n", [1, 300, DEPTH * 40, DEPTH * 130 + 77])
@pytest.mark.parametrize("kind", ["all different", "many equals", "mostly nothing", "ends"])
def test_the_best_are_those_of_a_sort(n, kind):
    rng = np.random.default_rng(n)
    similar = rng.standard_normal((4, n)).astype(np.float32)
    if kind == "many equals":
        similar = np.round(similar)
    if kind == "mostly nothing":
        similar[rng.random(similar.shape) < 0.995] = -np.inf
        similar[1] = -np.inf
    if kind == "ends":  # the best stand in the last columns, in no whole strand, or in one
        similar[0, -50:] += 50
        similar[1, :: max(1, n // DEPTH)] += 50
        similar[2] = 0
    for mask in (np.ones(n, np.bool_), rng.random(n) < 0.7):
        for k in (1, 9, 30):
            found, expected = best_of(similar, mask, k), by_sorting(similar, mask, k)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1], equal_nan=True)
