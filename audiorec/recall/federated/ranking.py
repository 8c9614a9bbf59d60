"""The loss of retrieval that both sides take, and where what was met stands among all items.

logits (B, n) of sorted items ──retrieval_losses──▶ (B,)
similarities (V, S), what each met ──ranks_of──▶ a rank for each
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiorec.learning.fit import Line
from audiorec.learning.losses import sampled_softmax_loss, shared_hits
from audiorec.recall.federated.user_features import Bag
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

SHOWN_AT = (10, 100)
FEW = 40  # items of a user, of which each is compared with all others: quicker than sorting


def retrieval_losses(
    logits: Tensor,
    met: Int64Array,
    drawn: Int64Array,
    items: Int64Array,
    expected: npt.NDArray[np.floating],
) -> Tensor:
    """Return the sampled softmax of each user, a mean over what each met: (B,).

    Parameters
    ----------
    logits : Tensor, shape (B, n)
        With `items`.
    met : ndarray, shape (B, P), int64
        Items that each user met.
    drawn : ndarray, shape (N,), int64
        Items that stand against them, sorted; may repeat.
    items : ndarray, shape (n,), int64
        All of these, sorted, once each.
    expected : ndarray, shape (N,)
        Log of how often each of `drawn` is expected; 0 for no correction.
    """
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
    """Return where what V users met stands among learnt items: from 1, inf if it is not learnt.

    Parameters
    ----------
    similar : ndarray, shape (V, S), float32
    met : Bag
        Of the V users; what one met several times counts once.
    learnt : ndarray, shape (S,), bool
        Items of one similarity share their mean rank.

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
        if not len(line):  # nothing is learnt
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


def figures_of(ranks: Float64Array) -> Line:
    """Return what ranks come to: ``ndcg`` over all of them, and ``hit_rate@k``; 0 without any."""
    n = max(1, len(ranks))
    line: Line = {"ndcg": float((1 / np.log2(1 + ranks)).sum()) / n}
    for k in SHOWN_AT:
        line[f"hit_rate@{k}"] = float((ranks <= k).sum()) / n
    return line
