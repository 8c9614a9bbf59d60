"""`audiorec.evaluation.ranking`: projections learnt on known songs alone, and centres."""

import numpy as np
import pytest
from little_worlds import pairs

from audiorec.errors import ShapeError
from audiorec.evaluation.ranking import artist_likes, centroids, fit_projection
from audiorec.types import unit

KNOWN = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 10.0]])


def test_standardised_by_the_known_songs():
    found = fit_projection(KNOWN)(np.array([[5.0, 50 / 3]]))
    # means 3 and 50/3: the second number is at its mean
    np.testing.assert_allclose(found, [[1.0, 0.0]], atol=1e-6)


def test_components_are_those_of_most_spread():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((200, 1))
    # two columns say the same, so their sum is the first component of three
    features = np.concatenate([base, 2 * base, 5 * rng.standard_normal((200, 1))], 1)
    found = fit_projection(features, components=1)
    np.testing.assert_allclose(np.abs(found.components[:, 0]), [0.707, 0.707, 0.0], atol=0.12)
    assert fit_projection(features, components=40)(features).shape == (200, 3)


def test_a_column_without_spread_stays_finite():
    features = np.concatenate([KNOWN, np.ones((3, 1))], 1)
    assert np.isfinite(fit_projection(features)(features)).all()


def test_centres_worked_by_hand():
    songs = unit(np.array([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]))
    liked = pairs([0, 0, 2], [0, 1, 2])
    liked.weight[1] = 2.0
    found = centroids(songs, liked, 3)
    expected = np.array([0.6, 0.8 + 2.0])
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-6)
    assert found[1].tolist() == [0, 0]
    assert found[2].tolist() == [-1, 0]


def test_likes_of_the_artist():
    groups = np.array([4, 4, 1])
    found = artist_likes(groups, pairs([0, 1, 1, 2], [0, 0, 1, 2]), np.array([1, 4, 9]))
    assert found.tolist() == [1, 3, 0]


def test_refuses_no_songs():
    with pytest.raises(ShapeError, match=r"\(n >= 1, D\), got \(0, 2\)"):
        fit_projection(np.zeros((0, 2)))
