"""Sampling frequency of songs in batches, for the logQ correction of in-batch negatives.

    songs of a step ──StreamingFrequency.update──▶ estimate ──log_q──▶ log Q(j), (n,) float32

In-batch negatives are the songs of the batch, so popular songs are negatives most often. If counts
are known, `log_frequency` computes the frequency; for a stream, `StreamingFrequency` estimates it
from the gaps between occurrences. The estimator is a module, so checkpoints include it.

References
----------
Yi et al., *Sampling-bias-corrected neural modeling for large corpus item recommendations*, 2019.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audiorec.errors import InputError


def log_frequency(counts: npt.ArrayLike) -> Tensor:
    """Return ``log(counts / sum)``: shape (S,), float32. A song that never occurs counts as one.

    Examples
    --------
    >>> log_frequency([1, 2, 1]).exp()
    tensor([0.2500, 0.5000, 0.2500])
    """
    seen = np.maximum(np.asarray(counts, np.float64), 1)
    return torch.from_numpy(np.log(seen / seen.sum()).astype(np.float32))


class StreamingFrequency(nn.Module):
    """Streaming estimator of the probability of each of `n_songs` songs per batch position.

    The estimate is the song's count in a batch that contains it, divided by the number of
    positions between two such batches. Both are averaged over the occurrences of a song, evenly at
    first, and with the weight `rate` for a new one after ``1 / rate`` occurrences. Initially all
    songs are equally likely.
    """

    repeats: Tensor
    gap: Tensor
    visits: Tensor
    last: Tensor
    now: Tensor

    def __init__(self, n_songs: int, *, rate: float = 0.01) -> None:
        super().__init__()
        if n_songs < 1 or not 0 < rate <= 1:
            raise InputError(f"n_songs must be 1 or more and rate in (0, 1], got {n_songs}, {rate}")
        self.rate = rate
        self.register_buffer("repeats", torch.ones(n_songs, dtype=torch.float64))
        self.register_buffer("gap", torch.full((n_songs,), float(n_songs), dtype=torch.float64))
        self.register_buffer("visits", torch.zeros(n_songs, dtype=torch.int64))
        self.register_buffer("last", torch.zeros(n_songs, dtype=torch.int64))
        self.register_buffer("now", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, songs: Tensor) -> None:
        """Update from the songs of one step, (B,), gathered from all processes."""
        found, repeats = torch.unique(songs, return_counts=True)
        self.now += len(songs)
        weight = (1 / (self.visits[found] + 1.0)).clamp_min(self.rate)
        for average, value in ((self.repeats, repeats), (self.gap, self.now - self.last[found])):
            # The first occurrence has no gap; it only sets the start of the next one.
            moved = average[found] + weight * (value - average[found])
            average[found] = torch.where(self.visits[found] > 0, moved, average[found])
        self.last[found] = self.now
        self.visits[found] += 1

    def log_q(self, songs: Tensor) -> Tensor:
        """Return the log probability of songs (n,): shape (n,), float32."""
        chance = self.repeats[songs] / self.gap[songs]
        return chance.clamp_max(1).log().float()
