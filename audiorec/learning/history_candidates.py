"""Songs of the history as candidates for the next song, in torch.

    songs (B, L) ──next_repeat──▶ position at which each song is played again
    logits, a model's terms for songs of the history ──add_history──▶ corrected logits of all

A query lies near the song just played, but few songs are played twice in a row. A random draw
rarely contains that song, so a model would not learn to rank it lower: here all songs of a history
are negatives of the target, each once, at the logit of its newest play.
"""

import torch
from torch import Tensor

from audiorec.learning.losses import shared_hits


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
