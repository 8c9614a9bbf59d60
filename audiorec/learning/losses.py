"""Ranking losses, which move a liked song nearer to its user than others.

`hinge_loss` and `softmax_loss` take the similarities (cosines) of B anchors with one liked song
and n negatives each, and return the mean over the anchors. Entries that are False in `usable` are
ignored: a user may have fewer than n usable negatives.

`sampled_softmax_loss` is a softmax over all songs, estimated from n negatives shared by the batch
(see `audiorec.learning.negatives.SharedSampler`). A negative's logit is lowered by
``log(n Q(j))`` (logQ correction), so that the sum over the draw is an unbiased estimate of the sum
over all songs. The positive is always included, not sampled, so it is not corrected. If the draw
contains the positive itself, that negative is masked; otherwise it would push the song away from
its own user.

References
----------
Lee et al., *Deep Content-User Embedding Model for Music Recommendation*, 2018: the hinge
with margin 0.2 and 20 negatives.
"""

import torch
from torch import Tensor
from torch.nn import functional


def hinge_loss(liked: Tensor, others: Tensor, usable: Tensor, *, margin: float) -> Tensor:
    """Return the hinge loss of the liked song, (B,), against the others, (B, n), with a margin.

    Returns the mean over anchors of the mean over usable others of
    ``max(0, margin - liked + other)``.

    Examples
    --------
    >>> liked, others = torch.tensor([0.5]), torch.tensor([[0.4, -0.5]])
    >>> round(hinge_loss(liked, others, torch.tensor([[True, True]]), margin=0.2).item(), 4)
    0.05
    """
    over = (margin - liked[:, None] + others).clamp_min(0) * usable
    return (over.sum(1) / usable.sum(1).clamp_min(1)).mean()


def softmax_loss(liked: Tensor, others: Tensor, usable: Tensor, *, temperature: float) -> Tensor:
    """Return the softmax loss of the liked song among itself and the others; see `hinge_loss`.

    Returns the mean of ``-log softmax`` at the liked song, of similarities that are divided by the
    temperature; 0 for an anchor without usable others.

    Examples
    --------
    >>> liked, others = torch.tensor([0.5]), torch.tensor([[0.5, 0.9]])
    >>> usable = torch.tensor([[True, False]])
    >>> round(softmax_loss(liked, others, usable, temperature=0.1).item(), 4)  # ln 2
    0.6931
    """
    logits = ((others - liked[:, None]) / temperature).masked_fill(~usable, -torch.inf)
    whole = functional.pad(logits, (1, 0), value=0.0)  # the liked song's own logit, shifted
    return whole.logsumexp(1).mean()


def sampled_softmax_loss(
    positive: Tensor,
    negative: Tensor,
    *,
    log_expected: Tensor,
    hits: Tensor | tuple[Tensor, Tensor],
) -> Tensor:
    """Return ``log(e^p + sum over other songs of e^(s - log_expected)) - p`` of each example: (B,).

    `positive` (B,) are the logits p of the positives, `negative` (B, n) the logits s of the draw.
    `log_expected` (n,) is the log of each song's expected count in the draw: 0 if the n songs are
    all songs, which makes it the full softmax. `hits` (B, n) marks negatives that equal the
    example's positive, as a mask or as their rows and columns (`shared_hits`).
    """
    corrected = negative - log_expected
    if isinstance(hits, Tensor):
        corrected = corrected.masked_fill(hits, float("-inf"))
    else:
        corrected[hits] = float("-inf")
    return torch.logsumexp(torch.cat([positive[:, None], corrected], dim=1), dim=1) - positive


def shared_hits(drawn: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns where a shared draw equals the target, without building (B, n).

    Parameters
    ----------
    drawn : Tensor, shape (n,)
        Songs shared by all examples, sorted, with repeats.
    targets : Tensor, shape (B,)

    Examples
    --------
    >>> rows, columns = shared_hits(torch.tensor([2, 5, 5, 9]), torch.tensor([5, 3, 9]))
    >>> rows.tolist(), columns.tolist()
    ([0, 0, 2], [1, 2, 3])
    """
    first = torch.searchsorted(drawn, targets, right=False)
    counts = torch.searchsorted(drawn, targets, right=True) - first
    rows = torch.repeat_interleave(torch.arange(len(targets), device=targets.device), counts)
    before = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    nth = torch.arange(len(rows), device=targets.device) - before
    return rows, first[rows] + nth
