"""`recall.simple.knn`: which neighbours of a song are kept, beside a sort of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.recall.simple.knn import _nearest


@given(
    cells=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), max_size=60),
    most=st.integers(1, 6),
)
def test_the_largest_of_each_row_are_kept_and_ties_by_number(cells, most):
    row = np.array([row for row, _ in cells], np.int64)
    value = np.array([value / 3 for _, value in cells], np.float32)
    column = np.random.default_rng(0).permutation(len(cells))
    expected = []
    for one in range(5):
        of = sorted((-v, c) for r, c, v in zip(row, column, value, strict=True) if r == one)
        expected += [(one, c, -v) for v, c in of[:most]]
    found = _nearest(row, column, value, most)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == [
        (one, c, pytest.approx(v)) for one, c, v in expected
    ]
