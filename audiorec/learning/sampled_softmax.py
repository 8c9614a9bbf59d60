"""Softmax over all songs, estimated from a few: shared negatives and their correction.

A softmax over a million songs is too much for a step of training. Instead `Sampler` draws n
songs, the same for the whole batch, song j with probability Q(j) ~ likes(j) ** power. A
negative's logit is lowered by ``log(n Q(j))``, so that the sum over the draw estimates the sum
over all songs without bias. The positive is there with certainty: it is no sample, and is not
corrected. Where the draw hits the positive itself, the negative is masked, or the song would
be pushed away from its own user.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.types import FloatArray, Int64Array

if TYPE_CHECKING:
    import torch


class Sampler:
    """Draws songs with probability ``counts ** power``, with replacement.

    Parameters
    ----------
    counts : array_like, shape (S,)
        Likes of each song; a song without any is never drawn.
    power : float
        0 draws uniformly, 1 by popularity.
    """

    def __init__(self, counts: npt.ArrayLike, *, power: float) -> None:
        likes = np.asarray(counts, np.float64)
        weight = np.where(likes > 0, np.power(np.maximum(likes, 1e-300), power), 0.0)
        if not weight.sum() > 0 or not np.isfinite(weight).all():
            raise InputError("no song has a like to draw it by")
        self.probability = weight / weight.sum()
        self._until = np.cumsum(self.probability)
        self._last = int(np.flatnonzero(weight)[-1])

    def draw(self, rng: np.random.Generator, n: int) -> Int64Array:
        """Return `n` songs: shape (n,), int64."""
        places = np.searchsorted(self._until, rng.random(n) * self._until[-1], side="right")
        # A product that is rounded up to the last sum would name a song that does not exist.
        songs: Int64Array = np.minimum(places, self._last).astype(np.int64)
        return songs

    def log_expected(self, songs: Int64Array, n: int) -> FloatArray:
        """Return ``log(n Q(j))`` of songs in a draw of `n`: shape (n,), float32."""
        expected: FloatArray = np.log(n * self.probability[songs]).astype(np.float32)
        return expected


def sampled_softmax_loss(
    positive: "torch.Tensor",
    negative: "torch.Tensor",
    *,
    log_expected: "torch.Tensor",
    hits: "torch.Tensor",
) -> "torch.Tensor":
    """Return the loss of each example.

    Parameters
    ----------
    positive : tensor, shape (B,)
        Logits of the songs that were liked next.
    negative : tensor, shape (B, n)
        Logits of the n songs of the draw.
    log_expected : tensor, shape (n,)
        How often each is expected in the draw, as a logarithm; 0 where the n songs are all
        songs, which makes it the full softmax.
    hits : tensor, shape (B, n), bool
        Where the draw hit the example's own positive.

    Returns
    -------
    losses : tensor, shape (B,)
        ``log(e^p + sum over other songs of e^(s - log_expected)) - p``.
    """
    import torch

    corrected = (negative - log_expected).masked_fill(hits, float("-inf"))
    return torch.logsumexp(torch.cat([positive[:, None], corrected], dim=1), dim=1) - positive
