"""Sampled softmax of queries against songs shared by a batch, with a fused backward pass.

    queries (n, d), songs (m, d) ──next_song_loss──▶ (n,)

Equals `audiorec.learning.losses.sampled_softmax_loss` of ``queries @ songs.T``. That function keeps
several copies of the (n, m) logits for the backward pass, which on a CPU costs more than the matrix
products; here a single matrix is kept, and reused for the gradient of the softmax.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def next_song_loss(
    queries: Tensor,
    songs: Tensor,
    positive: Tensor,
    *,
    log_expected: Tensor,
    hits: tuple[Tensor, Tensor],
    more: Tensor | None = None,
) -> Tensor:
    """Return ``log(e^p + sum over other songs of e^(s - log_expected)) - p`` of each query: (n,).

    Parameters
    ----------
    queries, songs : Tensor, shapes (n, d) and (m, d)
        The logits s are their dot products.
    positive : Tensor, shape (n,)
        The logits p of the targets.
    log_expected : Tensor, shape (m,)
        Log of the expected count of each song in the draw; 0 if the draw is all songs.
    hits : tuple of Tensor
        Rows and columns of (n, m) that are masked.
    more : Tensor, shape (n, k), optional
        Logits of further negatives that are not sampled; -inf for none.

    Examples
    --------
    >>> loss = next_song_loss(
    ...     torch.tensor([[0.0]]), torch.tensor([[1.0], [1.0]]), torch.tensor([0.0]),
    ...     log_expected=torch.zeros(2), hits=(torch.tensor([0]), torch.tensor([1])),
    ... )
    >>> round(loss.item(), 4)  # ln 2: itself, and the one that is not hit
    0.6931
    """
    found: Tensor = _Shared.apply(queries, songs, positive, log_expected, hits, more)  # type: ignore[no-untyped-call]
    return found


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        queries, songs, positive, log_expected, hits, more = given
        parts = torch.addmm(-log_expected, queries, songs.T)
        parts[hits] = -torch.inf
        top = torch.maximum(parts.amax(dim=1), positive)
        if more is not None:
            top = torch.maximum(top, more.amax(dim=1))
        parts.sub_(top[:, None]).exp_()
        own = (positive - top).exp()
        further = None if more is None else (more - top[:, None]).exp()
        total = parts.sum(dim=1) + own
        if further is not None:
            total = total + further.sum(dim=1)
        ctx.save_for_backward(queries, songs, parts, own, further, total)
        loss: Tensor = total.log() + top - positive
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_loss: Tensor) -> Any:
        queries, songs, parts, own, further, total = ctx.saved_tensors
        share = of_loss[0] / total
        of_logits = parts.mul_(share[:, None])  # in place: last use
        of_more = None if further is None else further * share[:, None]
        of_positive = own * share - of_loss[0]
        return of_logits @ songs, of_logits.T @ queries, of_positive, None, None, of_more
