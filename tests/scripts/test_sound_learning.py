"""`sound_learning.py`: values worked by hand, and a projection learnt on made-up rows."""

from pathlib import Path

import numpy as np
import sound_data
import sound_learning

from audiorec.tagger.vectors import BLOCKS
from audiorec.tagger.weights import WEIGHTS

ROOT = Path(__file__).parents[2]
WIDTHS = {"penultimate": 200, "mean_pool": 753, "max_pool": 753}


def made(pieces: int, parts: int, *, seed: int):
    """Parts of pieces: a piece lies anywhere, its parts differ along one direction alone."""
    rng = np.random.default_rng(seed)
    said = {}
    for block in BLOCKS:
        own = np.repeat(rng.standard_normal((pieces, WIDTHS[block])), parts, axis=0)
        own[:, :150] += 9 * rng.standard_normal((pieces * parts, 1))
        own[:, 200:] = 0.5  # most channels of the pools never move
        said[f"msd.{block}"] = own.astype(np.float32)
    names = np.repeat([f"p{i}" for i in range(pieces)], parts)
    return sound_data.Rows(
        corpus=names, piece=names, part=np.tile(np.arange(parts), pieces), said=said
    )


def test_covariance_within_pieces_by_hand():
    # a: (0, 0), (2, 0), about (1, 0): variance 2 in the first; b: (5, 1), (5, 3), (5, 5), about
    # (5, 3): variance 4 in the second; c has one row and no say. A piece counts once: the mean.
    x = np.array([[0, 0], [2, 0], [5, 1], [5, 3], [5, 5], [9, 9]], np.float64)
    found = sound_learning.within(x, np.array(list("aabbbc")))
    np.testing.assert_allclose(found, [[1, 0], [0, 2]])


def test_shrinkage_adds_mean_variances():
    # Mean variance 2.5; 4 and 1 become 4 + 2 * 2.5 = 9 and 6.
    found = sound_learning.inverse_root(np.diag([4.0, 1.0]), 2.0)
    np.testing.assert_allclose(found, np.diag([1 / 3, 6**-0.5]), atol=1e-12)


def test_axes_are_ordered_and_signed():
    x = np.array([[-3.0, 0.1], [3.0, -0.1], [0.0, -1.0], [0.0, 1.0]])
    axes = sound_learning.principal_axes(x)
    spread = ((x @ axes) ** 2).sum(axis=0)
    assert spread[0] > spread[1]
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0) > 0).all()


def test_channels_that_music_never_moves_are_left_out():
    rows = made(20, 2, seed=0)
    rows.said["msd.mean_pool"][:, [5, 9]] = 0.25
    rows.said["msd.max_pool"][:, 5] = 7.0
    rows.said["msd.max_pool"][:, 6] = 7.0
    found = sound_learning.standardising(rows)
    assert set(range(200)) - set(found.living.tolist()) == {5}
    places = 200 + np.searchsorted(found.living, [9, 6]) + [0, len(found.living)]
    assert np.flatnonzero(found.scale == 0).tolist() == places.tolist()


def test_each_corpus_counts_the_same_for_what_is_usual():
    # One corpus of 9 rows around 0, one of a single row at 10: the centre is 5.
    said = {f"msd.{b}": np.zeros((10, WIDTHS[b]), np.float32) for b in BLOCKS}
    for values in said.values():
        values[9], values[0] = 10, 0.5
    names = np.array(["a"] * 9 + ["b"])
    rows = sound_data.Rows(corpus=names, piece=names, part=np.arange(10), said=said)
    found = sound_learning.standardising(rows)
    np.testing.assert_allclose(found.centre, 5 + 0.5 / 18, atol=1e-3)


def test_what_differs_within_pieces_counts_less():
    learning = sound_learning
    learnt_from, judged = (made(60, 3, seed=seed) for seed in (0, 1))

    def same_piece(recipe) -> float:
        sound = learning.learn(learnt_from, recipe=recipe)
        units = sound.project(learning.embeddings(judged, sound))
        similar = units @ units.T
        np.fill_diagonal(similar, -np.inf)
        return float((judged.piece[similar.argmax(axis=1)] == judged.piece).mean())

    plain = same_piece(learning.Recipe(shrinkage=None, width=16))
    whitened = same_piece(learning.Recipe(shrinkage=0.1, width=16))
    assert whitened > plain


def test_the_same_rows_give_the_same_bytes(tmp_path):
    learning, rows = sound_learning, made(20, 2, seed=0)
    first, second = (learning.learn(rows) for _ in range(2))
    assert first.save(tmp_path / "a") == second.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert first.backbone_sha256 == WEIGHTS["msd"].sha256


def test_no_track_of_gtzan_is_learnt_from():
    data = sound_data
    learnt = {*data.SUNG, *data.JUDGED, *data.SOUNDTRACKS, *(c.source for c in data.MUSIC)}
    assert not learnt & {data.HALF_MINUTES, data.SHORT, "waivops_loops", "tune"}
