"""`audiorec.search.direction`: the mean of several seeds."""

import numpy as np
import pytest
from made_library import series, song, write_library

from audiorec.errors import InputError
from audiorec.search.direction import mean_direction, units_by_row
from audiorec.search.library import Library
from audiorec.store.embeddings import write_embeddings


def test_the_mean_worked_by_hand():
    # (3, 0, 0) / 3 + (0, 3, 4) / 5, halved: (0.5, 0.3, 0.4), of length sqrt(0.5)
    found = mean_direction(np.float32([[1, 0, 0], [0, 0.6, 0.8]]))
    np.testing.assert_allclose(found, np.array([0.5, 0.3, 0.4]) / np.sqrt(0.5), rtol=1e-6)


def test_one_seed_stays_bit_by_bit():
    unit = np.float32([[0.1, 0.7, -0.2]])
    np.testing.assert_array_equal(mean_direction(unit), unit[0])


def test_refusals():
    with pytest.raises(InputError, match="name at least one"):
        mean_direction(np.empty((0, 3), np.float32))
    with pytest.raises(InputError, match="opposites"):
        mean_direction(np.float32([[1, 0], [-1, 0]]))


def test_songs_that_a_space_lacks_are_marked(tmp_path):
    store = Library.open(write_library(tmp_path, [song(n, series(1)) for n in "abc"]))
    embeddings = np.float32([[3, 4], [0, 1]])
    path = tmp_path / "embeddings.parquet"
    write_embeddings(path, ["c", "a"], embeddings, kind="songs", model_id="m")
    units, there = units_by_row(store.space("embedding", table=path))
    assert there.tolist() == [True, False, True]
    np.testing.assert_allclose(units, [[0, 1], [0, 0], [0.6, 0.8]], rtol=1e-6)
