"""Losses in torch: rankings of pairs, sampled softmax, and the songs of a history as candidates.

    cosines of liked and other songs ──hinge_loss, softmax_loss──▶ their mean over the anchors
    logits of positives and a shared draw ──sampled_softmax_loss──▶ (B,)
    queries (n, d), songs (m, d) ──next_song_loss──▶ (n,): the same, with less memory
    songs (B, L) ──next_repeat, add_history──▶ further negatives: what was heard before

Entries that are False in `usable` are ignored: a user may have fewer than n usable negatives.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def hinge_loss(liked: Tensor, others: Tensor, usable: Tensor, *, margin: float) -> Tensor:
    """Return the hinge loss of the liked song, (B,), against the others, (B, n), with a margin.

    Returns the mean over anchors of the mean over usable others of
    ``max(0, margin - liked + other)``. Source: Lee et al., *Deep Content-User Embedding Model for
    Music Recommendation*, 2018, with margin 0.2 and 20 negatives.

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

    A softmax over all songs, estimated from n negatives shared by the batch
    (`audiorec.learning.negatives.SharedSampler`). A negative's logit is lowered by its log expected
    count (logQ correction), so that the sum over the draw is an unbiased estimate of the sum over
    all songs. The positive is always included, not sampled, so it is not corrected. If the draw
    contains it, that negative is masked; otherwise it would push the song away from its own user.
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

    Equals `sampled_softmax_loss` of ``queries @ songs.T``. That function keeps several copies of
    the (n, m) logits for the backward pass, which on a CPU costs more than the matrix products;
    here a single matrix is kept, and reused for the gradient of the softmax.

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
    loss: Tensor = _Shared.apply(queries, songs, positive, log_expected, hits, more)  # type: ignore[no-untyped-call]
    return loss


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
        return total.log() + top - positive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_loss: Tensor) -> Any:
        queries, songs, parts, own, further, total = ctx.saved_tensors
        share = of_loss[0] / total
        of_logits = parts.mul_(share[:, None])  # in place: last use
        of_more = None if further is None else further * share[:, None]
        of_positive = own * share - of_loss[0]
        return of_logits @ songs, of_logits.T @ queries, of_positive, None, None, of_more


def next_repeat(songs: Tensor, there: Tensor) -> Tensor:
    """Return the position at which each play's song is played again: (B, L), L if it is not.

    Parameters
    ----------
    songs : Tensor, shape (B, L)
    there : Tensor, shape (B, L), bool
        False for padding.

    Examples
    --------
    >>> songs = torch.tensor([[7, 3, 7, 7]])
    >>> next_repeat(songs, torch.tensor([[True, True, True, False]])).tolist()
    [[2, 4, 4, 4]]
    """
    length = songs.shape[1]
    place = torch.arange(length, device=songs.device)
    again = (songs[:, :, None] == songs[:, None]) & (place > place[:, None]) & there[:, None]
    return torch.where(again, place, length).amin(dim=2)


def lag_terms(again: Tensor, lag: Tensor) -> Tensor:
    """Return the entries of `again` (n, P) for songs `lag` (n, L) plays ago, clamped to P - 1.

    Examples
    --------
    >>> lag_terms(torch.tensor([[5.0, 6.0]]), torch.tensor([[3, 1, 0]])).tolist()
    [[6.0, 6.0, 5.0]]
    """
    return again.gather(1, lag.clamp(0, again.shape[1] - 1))


def add_history(
    history: tuple[Tensor, Tensor, Tensor],
    asked: Tensor,
    again: Tensor,
    targets: Tensor,
    drawn: Tensor,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Add the songs of the history to the negatives of each target.

    A query lies near the song just played, but few songs are played twice in a row. A random draw
    rarely contains that song, so a model would not learn to rank it lower: here all songs of a
    history are negatives of the target, each once, at the logit of its newest play.

    Parameters
    ----------
    history : tuple of Tensor
        Songs (B, L), a mask of real positions (B, L), and logits (B, L, L): row i is the query at
        position i, column j the song at position j.
    asked : Tensor, shape (B, L), bool
        The n positions with a target, in this order.
    again : Tensor, shape (n, P)
        Term added to the logit of a song 0, 1, … P - 1 or more plays ago.
    targets : Tensor, shape (n,)
    drawn : Tensor, shape (m,)
        Negatives, sorted, numbered as the songs and `targets`.

    Returns
    -------
    added : Tensor, shape (n,)
        Terms to add to the targets' logits: 0 for songs that were not heard.
    logits : Tensor, shape (n, L)
        Logits of the songs of the history; -inf for padding, older repeats and the target.
    hits : tuple of Tensor
        Rows and columns of drawn songs to mask: the target, or songs of the history.
    """
    songs, there, at_places = history
    place = torch.arange(songs.shape[1], device=songs.device)
    row, at = asked.nonzero(as_tuple=True)
    lag = at[:, None] - place
    stands = (lag >= 0) & (at[:, None] < next_repeat(songs, there)[row])
    added = lag_terms(again, lag)
    is_target = stands & (songs[row] == targets[:, None])
    logits = (at_places[row, at] + added).masked_fill(~stands | is_target, -torch.inf)
    hits = [shared_hits(drawn, targets), _heard(songs, there, asked, drawn)]
    rows, columns = (torch.cat(side) for side in zip(*hits, strict=True))
    return (added * is_target).sum(1), logits, (rows, columns)


def _heard(songs: Tensor, there: Tensor, asked: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a drawn song was heard before: rows among the targets, and columns."""
    length = songs.shape[1]
    flat, column = shared_hits(drawn, songs.flatten())
    kept = there.flatten()[flat]
    flat, column = flat[kept], column[kept]
    number = torch.full(asked.shape, -1, device=songs.device)
    number[asked] = torch.arange(int(asked.sum()), device=songs.device)
    place = torch.arange(length, device=songs.device)
    later = torch.where(place >= (flat % length)[:, None], number[flat // length], -1)
    which, at = (later >= 0).nonzero(as_tuple=True)
    return later[which, at], column[which]
