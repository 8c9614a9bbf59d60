"""`audiorec.learning.next_plays`: every example once, alike in length, padded on the right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.learning.machine import generator
from audiorec.learning.next_plays import causal_mask, even_batches, padded


def test_padded_keeps_the_newest():
    values, starts = np.arange(10, dtype=np.int32), np.array([0, 4, 4, 5, 10])
    matrix, lengths = padded(values, starts, np.array([3, 1, 0, 2, 0]), longest=3)
    assert matrix.tolist() == [[7, 8, 9], [-1] * 3, [1, 2, 3], [4, -1, -1], [1, 2, 3]]
    assert lengths.tolist() == [3, 0, 3, 1, 3]
    assert matrix.dtype == np.int32


def test_padded_is_as_wide_as_its_longest_row():
    values, starts = np.arange(5), np.array([0, 2, 5, 5])
    assert padded(values, starts, np.array([0]), longest=50)[0].shape == (1, 2)
    assert padded(values, starts, np.array([2, 2]), longest=50)[0].shape == (2, 0)
    assert padded(values, starts, np.empty(0, np.int64), longest=50)[0].shape == (0, 0)


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=8), min_size=1, max_size=9), st.integers(1, 9)
)
def test_padded_there_and_back(sequences, longest):
    starts = np.cumsum([0, *map(len, sequences)])
    values = np.array([v for s in sequences for v in s], np.int64)
    matrix, lengths = padded(values, starts, np.arange(len(sequences)), longest=longest)
    found = [row[:n].tolist() for row, n in zip(matrix, lengths, strict=True)]
    assert found == [s[-longest:] for s in sequences]
    assert all((row[n:] == -1).all() for row, n in zip(matrix, lengths, strict=True))


def test_the_mask_hides_what_comes_later():
    mask = causal_mask(5)
    assert all(mask[i, j] == (j > i) for i in range(5) for j in range(5))
    assert causal_mask(0).shape == (0, 0)


def test_refusals():
    with pytest.raises(InputError, match="steps and window must be 1 or more, got 0 and 64"):
        even_batches(np.ones(3, int), 0, generator(0, 1))
    with pytest.raises(InputError, match="longest must be 1 or more, got 0"):
        padded(np.ones(3), np.array([0, 3]), np.array([0]), longest=0)


@given(st.integers(0, 150), st.integers(1, 60), st.integers(1, 5), st.integers(0, 9))
def test_even_batches_hold_each_example_once_and_about_as_many_places(n, steps, window, seed):
    lengths = generator(seed, 1).integers(1, 30, n)
    batches = even_batches(lengths, steps, generator(seed, 2), window=window)
    assert sorted(np.concatenate([*batches, np.empty(0, np.int64)]).tolist()) == list(range(n))
    assert all(len(rows) for rows in batches)
    # Half of the first and half of the last may stand over.
    assert all(lengths[rows].sum() <= steps + lengths[rows].max() for rows in batches)
    again = even_batches(lengths, steps, generator(seed, 2), window=window)
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]


def test_even_batches_are_even_and_alike_in_length():
    lengths = np.random.default_rng(0).geometric(0.1, 20_000)
    batches = even_batches(lengths, 500, generator(0, 1))
    sums = np.array([lengths[rows].sum() for rows in batches])
    assert 0.9 < np.median(sums) / 500 < 1.1
    assert sum(lengths[b].max() * len(b) for b in batches) < 1.15 * lengths.sum()
    means = np.array([lengths[rows].mean() for rows in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
