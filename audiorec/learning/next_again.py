"""Songs of the history among those that may come next, in torch.

    songs (B, L) ──stands_until──▶ until which place each is the newest play of its song
    logits, what a model adds to songs of the history ──with_history──▶ logits of all, corrected

A query lies near the song that was just played, and few songs are played twice in a row. A draw of
some songs among many hardly ever has that song in it, so nothing would teach a model to doubt it:
here all songs of a history stand against the target, each once, at the logit of its newest play.
"""

import torch
from torch import Tensor

from audiorec.learning.losses import shared_hits


def stands_until(songs: Tensor, there: Tensor) -> Tensor:
    """Return the place at which each play's song is played again: (B, L), L where it is not.

    Parameters
    ----------
    songs : Tensor, shape (B, L)
    there : Tensor, shape (B, L), bool
        False: padding, which is nobody's song.

    Examples
    --------
    >>> songs = torch.tensor([[7, 3, 7, 7]])
    >>> stands_until(songs, torch.tensor([[True, True, True, False]])).tolist()
    [[2, 4, 4, 4]]
    """
    length = songs.shape[1]
    place = torch.arange(length, device=songs.device)
    again = (songs[:, :, None] == songs[:, None]) & (place > place[:, None]) & there[:, None]
    return torch.where(again, place, length).amin(dim=2)


def added_to(again: Tensor, lag: Tensor) -> Tensor:
    """Return what songs `lag` (n, L) plays ago get of `again` (n, P): the last for all further.

    Examples
    --------
    >>> added_to(torch.tensor([[5.0, 6.0]]), torch.tensor([[3, 1, 0]])).tolist()
    [[6.0, 6.0, 5.0]]
    """
    return again.gather(1, lag.clamp(0, again.shape[1] - 1))


def with_history(
    history: tuple[Tensor, Tensor, Tensor],
    asked: Tensor,
    again: Tensor,
    targets: Tensor,
    drawn: Tensor,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Put the songs of the history against the target, beside those that were drawn.

    Parameters
    ----------
    history : tuple of Tensor
        Songs (B, L), which of them are there, and the logits of all places at all places
        (B, L, L): row i is asked at place i, column j is the song of place j.
    asked : Tensor, shape (B, L), bool
        The n places with a target, in this order.
    again : Tensor, shape (n, P)
        What is added to the song of 0, 1, … P - 1 or more plays ago.
    targets : Tensor, shape (n,)
    drawn : Tensor, shape (m,)
        Sorted, in the numbers of `songs` and `targets`.

    Returns
    -------
    added : Tensor, shape (n,)
        What the logits of the targets get: 0 for songs that were not heard.
    logits : Tensor, shape (n, L)
        Of the songs of the history; -inf where a place stands for no song, or for the target.
    hits : tuple of Tensor
        Rows and columns of drawn songs that count elsewhere: as the target, or in the history.
    """
    songs, there, at_places = history
    place = torch.arange(songs.shape[1], device=songs.device)
    row, at = asked.nonzero(as_tuple=True)
    lag = at[:, None] - place
    stands = (lag >= 0) & (at[:, None] < stands_until(songs, there)[row])
    added = added_to(again, lag)
    is_target = stands & (songs[row] == targets[:, None])
    logits = (at_places[row, at] + added).masked_fill(~stands | is_target, -torch.inf)
    hits = [shared_hits(drawn, targets), _heard(songs, there, asked, drawn)]
    rows, columns = (torch.cat(side) for side in zip(*hits, strict=True))
    return (added * is_target).sum(1), logits, (rows, columns)


def _heard(songs: Tensor, there: Tensor, asked: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a drawn song was heard before: rows among the places asked, and columns."""
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
