"""`audiorec.learning.row_optimisers`: up in a straight line, down along a cosine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("torch")

from audiorec.errors import InputError
from audiorec.learning.row_optimisers import cosine_decay


def test_values_by_hand():
    # A quarter of the way down: (1 + cos 45 degrees) / 2.
    assert cosine_decay(0.25) == pytest.approx(0.8535534, abs=1e-7)
    assert cosine_decay(0.5) == pytest.approx(0.5)
    assert cosine_decay(0.0, warm_up=0.1) == 0
    assert cosine_decay(0.05, warm_up=0.1) == pytest.approx(0.5)
    assert cosine_decay(2.0) == 0


@given(st.floats(0, 0.9), st.floats(0, 1), st.floats(0, 1))
def test_it_rises_then_falls_and_stays_within_bounds(warm_up, one, other):
    early, late = sorted((one, other))
    values = [cosine_decay(x, warm_up=warm_up) for x in (early, late)]
    assert all(0 <= v <= 1 for v in values)
    if late <= warm_up:
        assert values[0] <= values[1] + 1e-12
    if early >= warm_up:
        assert values[0] >= values[1] - 1e-12


def test_refusals():
    with pytest.raises(InputError, match=r"warm_up must lie in \[0, 1\)"):
        cosine_decay(0.5, warm_up=1.0)
