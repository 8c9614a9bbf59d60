"""Retrieval loss of both sides, and full ranks of the targets.

logits (B, n) of sorted items ──retrieval_losses──▶ (B,)
similarities (V, S), targets of each row ──ranks_of──▶ a rank per target
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiorec.recall.federated.user_features import Bag
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

if TYPE_CHECKING:
    from torch import Tensor

SHOWN_AT = (10, 100)
FEW = 40  # targets of a user up to which comparing each with all items is faster than sorting


def retrieval_losses(
    logits: "Tensor",
    met: Int64Array,
    drawn: Int64Array,
    items: Int64Array,
    expected: npt.NDArray[np.floating],
) -> "Tensor":
    """Return the sampled softmax loss of each user, a mean over its positives: (B,).

    Parameters
    ----------
    logits : Tensor, shape (B, n)
        Logits for `items`.
    met : ndarray, shape (B, P), int64
        Positives of each user.
    drawn : ndarray, shape (N,), int64
        Shared negatives, sorted, with repeats.
    items : ndarray, shape (n,), int64
        All positives and negatives, sorted, without repeats.
    expected : ndarray, shape (N,)
        Log of the expected count of each of `drawn`; 0 for no correction.
    """
    import torch

    from audiorec.learning.losses import sampled_softmax_loss, shared_hits

    n, positives = met.shape
    own = torch.from_numpy(np.searchsorted(items, met))
    others = logits[:, torch.from_numpy(np.searchsorted(items, drawn))]
    targets = torch.from_numpy(met.ravel())
    losses = sampled_softmax_loss(
        logits.gather(1, own).flatten(),
        others.repeat_interleave(positives, dim=0) if positives > 1 else others,
        log_expected=torch.from_numpy(expected).to(logits),
        hits=shared_hits(torch.from_numpy(drawn), targets),
    )
    return losses.view(n, positives).mean(1)


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
    among = similar[:, learnt]
    place = np.cumsum(learnt) - 1
    found = [np.zeros(0)]
    for row, line in enumerate(among):
        own = np.unique(met.code[met.starts[row] : met.starts[row + 1]])
        if not len(line):  # no item is learnt
            found.append(np.full(len(own), np.inf))
            continue
        value = line[place[own]]
        if len(own) > FEW:
            ordered = np.sort(line)
            upto = np.searchsorted(ordered, value, side="right")
            above, equal = len(line) - upto, upto - np.searchsorted(ordered, value, side="left")
        else:
            above = (line > value[:, None]).sum(axis=1)
            equal = (line == value[:, None]).sum(axis=1)
        found.append(np.where(learnt[own], 1 + above + (equal - 1) / 2, np.inf))
    return np.concatenate(found)


def figures_of(ranks: Float64Array) -> dict[str, float]:
    """Return ``ndcg`` over all ranks, and ``hit_rate@k``; 0 if there are no ranks."""
    n = max(1, len(ranks))
    line = {"ndcg": float((1 / np.log2(1 + ranks)).sum()) / n}
    for k in SHOWN_AT:
        line[f"hit_rate@{k}"] = float((ranks <= k).sum()) / n
    return line
