"""`audiorec.recall.cold_start.assign`: profiles and features by hand over a real store."""

import numpy as np
import pytest
from made_logs import log_of
from made_stores import write_store

from audiorec.library.library import Library
from audiorec.listening.rule import to_preferences
from audiorec.recall.cold_start.assign import Tastes

DAY = 86_400.0


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path / "vecs.parquet", 6)
    return Library.open(tmp_path / "vecs.parquet")


LOG = log_of(
    ("ana", "kind/song-0001.flac", 10 * DAY, "like"),
    ("ana", "kind/song-0004.flac", 20 * DAY, "like", None, 3.0),
    ("ana", "unknown.flac", 30 * DAY, "like"),
    ("ben", "kind/song-0002.flac", 1 * DAY, "skip", 0.0),
    ("eva", "kind/song-0005.flac", 1 * DAY, "like"),
)


def test_features_worked_by_hand(store):
    tastes = Tastes(to_preferences(LOG), store, user_ids=["eva", "ana", "ben"], half_life_days=10.0)
    assert tastes.counts.tolist() == [1, 2, 0]
    found = tastes.features(np.array([1, 2]))
    # Song 1 is one half-life older: weight 1 / 2 against log2(1 + 3) = 2.
    one, four = store.vector("kind/song-0001.flac"), store.vector("kind/song-0004.flac")
    mean = 0.2 * one.astype(float) + 0.8 * four
    np.testing.assert_allclose(found.mean[0], mean, rtol=1e-5)
    spread = np.sqrt(0.2 * (one - mean) ** 2 + 0.8 * (four - mean) ** 2)
    np.testing.assert_allclose(found.spread[0], spread, rtol=1e-4)
    assert found.songs.tolist() == [2, 0]
    assert not found.mean[1].any()


def test_a_user_of_one_song_is_that_song(store):
    similarity = store.space("vector")
    profiles = Tastes(to_preferences(LOG), store).profiles(similarity)
    np.testing.assert_allclose(profiles[2], similarity.matrix[5], atol=1e-6)
    assert not profiles[1].any()
    np.testing.assert_allclose(np.linalg.norm(profiles[[0, 2]], axis=1), 1, rtol=1e-6)


def test_the_newest_likes_are_read(store):
    tastes = Tastes(to_preferences(LOG), store, max_history=1, half_life_days=None)
    assert tastes.counts.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(
        tastes.features(np.array([0])).mean[0], store.vector("kind/song-0004.flac")
    )
