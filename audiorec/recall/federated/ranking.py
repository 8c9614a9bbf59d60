"""Full ranks of the targets of users, and the figures of a model card.

similarities (V, S), targets of each row ──ranks_of──▶ a rank per target ──figures_of──▶ figures
"""

import numpy as np

from audiorec.evaluation.full_rank import mean_ranks
from audiorec.recall.federated.users import Bag
from audiorec.types import BoolArray, Float64Array, FloatArray

SHOWN_AT = (10, 100)


def ranks_of(similar: FloatArray, met: Bag, learnt: BoolArray) -> Float64Array:
    """Return the ranks of V users' targets among learnt items: from 1, inf if not learnt.

    Items of equal similarity share their mean rank.

    Parameters
    ----------
    similar : ndarray, shape (V, S), float32
    met : Bag
        Targets of the V users; repeats count once.
    learnt : ndarray, shape (S,), bool
        Items that are ranked.

    Examples
    --------
    >>> met = Bag(np.array([0, 3]), np.array([0, 3, 3]), 4)
    >>> similar = np.array([[0.1, 0.9, 0.5, 0.9]], np.float32)
    >>> ranks_of(similar, met, np.ones(4, bool)).tolist()
    [4.0, 1.5]
    """
    shown = np.where(learnt, similar, np.float32(-np.inf))
    pairs = np.unique(met.owner * met.size + met.code)
    return mean_ranks(shown, pairs // met.size, pairs % met.size)


def figures_of(ranks: Float64Array) -> dict[str, float]:
    """Return ``ndcg`` over all ranks, and ``hit_rate@k``; 0 if there are no ranks."""
    n = max(1, len(ranks))
    line = {"ndcg": float((1 / np.log2(1 + ranks)).sum()) / n}
    for k in SHOWN_AT:
        line[f"hit_rate@{k}"] = float((ranks <= k).sum()) / n
    return line
