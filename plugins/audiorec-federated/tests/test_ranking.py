"""Ranks among all items, beside a slow way that cannot be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec_federated.users import Bag, figures_of, ranks_of


@given(st.data())
def test_ranks_are_those_of_counting(data):
    n = data.draw(st.integers(1, 9))
    cells = st.lists(st.integers(0, 4), min_size=3 * n, max_size=3 * n)
    similar = np.array(data.draw(cells), np.float32).reshape(3, n)
    learnt = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    lists = [data.draw(st.lists(st.integers(0, n - 1), max_size=5)) for _ in range(3)]
    starts = np.cumsum([0, *map(len, lists)])
    met = Bag(starts, np.array([i for own in lists for i in own], np.int64), n)
    expected = []
    for row, own in zip(similar, lists, strict=True):
        for item in sorted(set(own)):
            others = [row[o] for o in range(n) if learnt[o] and o != item]
            above = sum(value > row[item] for value in others)
            equal = sum(value == row[item] for value in others)
            expected.append(1 + above + equal / 2 if learnt[item] else np.inf)
    assert ranks_of(similar, met, learnt).tolist() == expected


def test_figures_by_hand():
    line = figures_of(np.array([1.0, 3.0, 11.0, np.inf]))
    assert line["hit_rate@10"] == 0.5
    assert line["hit_rate@100"] == 0.75
    assert line["ndcg"] == pytest.approx((1 + 0.5 + 1 / np.log2(12)) / 4)
    assert figures_of(np.zeros(0)) == {"ndcg": 0.0, "hit_rate@10": 0.0, "hit_rate@100": 0.0}
