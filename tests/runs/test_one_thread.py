"""`audiorec.runs.blocks`: the same digits, however many threads numpy has."""

import numpy as np
import pytest

from audiorec.runs.blocks import _openblas, one_thread


@pytest.fixture
def two_threads():
    found = _openblas()
    if found is None:
        pytest.skip("needs the programs: numpy uses another library than OpenBLAS")
    get, put = found
    before = get()
    put(2)
    yield get
    put(before)


def test_a_product_is_that_of_one_thread_and_the_threads_come_back(two_threads):
    rng = np.random.default_rng(0)
    users, songs = (rng.standard_normal((n, 64)).astype(np.float32) for n in (33, 100_000))
    with one_thread():
        assert two_threads() == 1
        first = users @ songs.T
    assert two_threads() == 2
    with one_thread():
        assert np.array_equal(users @ songs.T, first)
    with pytest.raises(ZeroDivisionError), one_thread():
        1 / 0  # noqa: B018
    assert two_threads() == 2
