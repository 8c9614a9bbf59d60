"""MIND in torch, for training: dynamic routing of songs to interests.

    b ~ N(0, s²)                                        one logit for each song i and interest j
    w = softmax of b over the interests j               padding: 0
    z_j = sum over i of w_ij S e_i,   u_j = |z|² / (1 + |z|²) z / |z|
    b_ij = b_ij + u_j · S e_i                           repeat, `rounds` times in total

All pairs of song and interest share one matrix S: interests differ only by their initial logits.
Gradients flow through the last round only. A history of n plays has ``min(K, log2 n)`` interests,
but at least one; the others are left out of the softmax.

References
----------
Li et al., *Multi-Interest Network with Dynamic Routing for Recommendation at Tmall*, 2019.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import Tensors
from audiorec.recall.interests.draws import history_seeds, normals, place_seeds
from audiorec.recall.interests.network import InterestsNetwork, target_cosines
from audiorec.recall.interests.recipe import MINDRecipe
from audiorec.types import Int64Array

EPSILON = 1e-9  # added to a squared length before its root


class MINDNetwork(InterestsNetwork):
    """Dynamic routing from songs to interests, and label-aware attention."""

    recipe: MINDRecipe
    logits: Tensor

    def build(self, d: int) -> None:
        """Add the matrix S and, if logits are fixed, their table; see `InterestsNetwork`."""
        self.route = nn.Parameter(torch.eye(d) + torch.randn(d, d) * 0.1 / d**0.5)
        if self.recipe.routing_logits == "fixed":
            shape = (self.recipe.longest, self.recipe.interests)
            self.register_buffer("logits", torch.randn(shape) * self.recipe.routing_spread)

    def interests_at(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """See `InterestsNetwork`; each position is an example with its own logits."""
        length = songs.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool, device=songs.device).tril()[None]
        seeds = place_seeds(batch.seed.cpu().numpy(), length)
        counts = torch.arange(1, length + 1, device=songs.device)[None]
        return self._routed(songs, seen, counts, seeds)

    def final_interests(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """See `InterestsNetwork`; logits depend on the model's seed and the history."""
        songs_read, lengths = batch.songs.cpu().numpy(), batch.lengths.cpu().numpy()
        seeds = history_seeds(songs_read, lengths, self.recipe.seed)[:, None]
        return self._routed(songs, batch.there[:, None], batch.lengths[:, None], seeds)

    def target_queries(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Weight interests by their cosine with the target; see `NextSongModel`.

        The published weights are a softmax over powers of dot products, which are meaningless if
        negative; here the cosine is multiplied by the sharpness.
        """
        unit, cosine = target_cosines(queries, targets)
        power = self.recipe.sharpness / self.recipe.temperature
        # Avoid -inf times 0, which is NaN.
        absent = cosine == -torch.inf
        logits = (cosine.masked_fill(absent, 0) * power).masked_fill(absent, -torch.inf)
        return torch.einsum("nk,nkd->nd", logits.softmax(dim=1), unit)

    def _routed(
        self, songs: Tensor, seen: Tensor, counts: Tensor, seeds: Int64Array
    ) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        there = interest_mask(counts, recipe.interests)
        shape = (*seeds.shape, songs.shape[1], recipe.interests)
        if recipe.routing_logits == "fixed":
            logits = self.logits[: shape[2]].expand(shape)
        else:
            drawn = normals(seeds.ravel(), int(np.prod(shape[2:]))).reshape(shape)
            logits = torch.from_numpy(drawn).to(songs) * recipe.routing_spread
        logits = logits.transpose(2, 3)
        read = functional.normalize(songs @ self.route, dim=2) * recipe.routing_scale
        return routed(read, seen, there, logits, rounds=recipe.rounds), there


def interest_mask(counts: Tensor, most: int) -> Tensor:
    """Return which interests histories of these lengths have: (..., most), bool.

    Examples
    --------
    >>> interest_mask(torch.tensor([1, 3, 4, 9, 99]), 4).sum(-1).tolist()
    [1, 1, 2, 3, 4]
    """
    exponent = torch.frexp(counts.double()).exponent - 1  # log2, exact at its steps
    many = exponent.clamp(1, most)
    return torch.arange(most, device=counts.device) < many[..., None]


def routed(songs: Tensor, seen: Tensor, there: Tensor, logits: Tensor, *, rounds: int) -> Tensor:
    """Route songs to interests at T positions: (B, T, K, d).

    Parameters
    ----------
    songs : Tensor, shape (B, L, d)
        S e_i, the transformed songs.
    seen : Tensor, shape (B or 1, T, L), bool
        Which songs a position reads; the others are padding, or later.
    there : Tensor, shape (B or 1, T, K), bool
        Which interests exist at each position.
    logits : Tensor, shape (B, T, K, L)
        Initial logits.
    rounds : int
    """
    shape = logits.shape
    frozen = songs.detach()
    with torch.no_grad():
        for _ in range(rounds - 1):
            found = squash(_shares(logits, seen, there).flatten(1, 2) @ frozen)
            logits = logits + (found @ frozen.transpose(1, 2)).view(shape)
        shares = _shares(logits, seen, there)
    found = squash(shares.flatten(1, 2) @ songs)
    return found.view(*shape[:3], songs.shape[2])


def squash(rows: Tensor) -> Tensor:
    """Scale rows (..., d) to lengths between 0 and 1: n becomes ``n² / (1 + n²)``."""
    squared = (rows * rows).sum(dim=-1, keepdim=True)
    return rows * (squared + EPSILON).sqrt() / (1 + squared)


def _shares(logits: Tensor, seen: Tensor, there: Tensor) -> Tensor:
    """Return each song's shares in the interests: (B, T, K, L)."""
    shares = logits.masked_fill(~there[..., None], -torch.inf).softmax(dim=2)
    return shares * seen[:, :, None]
