"""MIND and ComiRec-SA in torch, for training: routing to interests, and attention.

    songs (B, L, d) ──read──▶ interests (B, T, K, d) at T positions, and which exist
    interest, profile ──v + W2 relu(W1 [v ; profile] + b1) + b2──▶ query for song similarity

All positions of a sequence are computed at once: position t reads songs 0..t. A missing interest is
0 and stays 0.
"""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import NextSongModel, Tensors
from audiorec.learning.next_plays import SongFeatures
from audiorec.learning.processes import dropout
from audiorec.recall.interests.forward import (
    ComiRecSARecipe,
    InterestsRecipe,
    MINDRecipe,
    history_seeds,
    normals,
    place_seeds,
)
from audiorec.types import Int64Array


class InterestsNetwork(NextSongModel):
    """Song table, the layers after the interests, and the interest that a target trains."""

    def __init__(self, features: SongFeatures, recipe: InterestsRecipe, *, profile: int) -> None:
        """Build the shared layers.

        Parameters
        ----------
        features : SongFeatures
        recipe : InterestsRecipe
        profile : int
            Width of a profile; 0: there are none.
        """
        d = recipe.dimension
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            super().__init__(features, recipe)
            self.recipe = recipe
            if recipe.hidden or profile:
                self.widen = nn.Linear(d + profile, max(1, recipe.hidden) * d)
                self.narrow = nn.Linear(max(1, recipe.hidden) * d, d)
                # The layers start as the identity: a constant would make all interests alike.
                for zero in (self.widen.bias, self.narrow.weight, self.narrow.bias):
                    nn.init.zeros_(zero)
            self.build(d)

    @abstractmethod
    def build(self, d: int) -> None:
        """Add the parameters of the model; torch's generator is seeded."""

    @abstractmethod
    def interests_at(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Return the interests (B, L, K, d) at each position of songs (B, L, d), and which exist.

        The second is bool, and broadcasts to (B, L, K).
        """

    @abstractmethod
    def final_interests(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Return the same for full histories: (B, 1, K, d) and (B, 1, K)."""

    def queries(self, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Return the interests at each position with a target; see `NextSongModel`."""
        result, there = self.interests_at(self._songs(batch), batch)
        asked = batch.targets >= 0
        return self._joined(result, there, batch)[asked], batch.targets[asked]

    def final_queries(self, batch: Tensors) -> Tensor:
        """Return the interests of full histories; see `NextSongModel`."""
        result, there = self.final_interests(self._songs(batch), batch)
        return self._joined(result, there, batch)[:, 0]

    def target_queries(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Return the interest with the largest cosine to the target; see `NextSongModel`."""
        unit, cosine = target_cosines(queries, targets)
        return unit[torch.arange(len(unit), device=unit.device), cosine.argmax(dim=1)]

    def _songs(self, batch: Tensors) -> Tensor:
        return dropout(self.table(batch.songs), self.recipe.dropout, self.training)

    def _joined(self, found: Tensor, there: Tensor, batch: Tensors) -> Tensor:
        if not hasattr(self, "widen"):
            return found
        known = batch.profile[:, None, None].expand(*found.shape[:3], batch.profile.shape[1])
        more = self.narrow(functional.relu(self.widen(torch.cat([found, known], dim=3))))
        return (found + more) * there[..., None]


def target_cosines(queries: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return interests (n, K, d) at length 1, and their cosines with targets (n, d): (n, K).

    Missing interests get -inf: 0 would beat a negative cosine.
    """
    unit = functional.normalize(queries, dim=2)
    cosine = torch.einsum("nkd,nd->nk", unit, targets)
    return unit, cosine.masked_fill(~queries.any(dim=2), -torch.inf)


EPSILON = 1e-9  # added to a squared length before its root


class MINDNetwork(InterestsNetwork):
    """Dynamic routing from songs to interests, and label-aware attention.

        b ~ N(0, s²)                                        one logit for each song i and interest j
        w = softmax of b over the interests j               padding: 0
        z_j = sum over i of w_ij S e_i,   u_j = |z|² / (1 + |z|²) z / |z|
        b_ij = b_ij + u_j · S e_i                           repeat, `rounds` times in total

    All pairs of song and interest share one matrix S: interests differ only by their initial
    logits. Gradients flow through the last round only. A history of n plays has ``min(K, log2 n)``
    interests, but at least one; the others are left out of the softmax.

    Source: Li et al., *Multi-Interest Network with Dynamic Routing for Recommendation at Tmall*,
    2019.
    """

    recipe: MINDRecipe

    def build(self, d: int) -> None:
        """Add the matrix S; see `InterestsNetwork`."""
        self.route = nn.Parameter(torch.eye(d) + torch.randn(d, d) * 0.1 / d**0.5)

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
        drawn = normals(seeds.ravel(), int(np.prod(shape[2:]))).reshape(shape)
        logits = (torch.from_numpy(drawn).to(songs) * recipe.routing_spread).transpose(2, 3)
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
            result = squash(_shares(logits, seen, there).flatten(1, 2) @ frozen)
            logits = logits + (result @ frozen.transpose(1, 2)).view(shape)
        shares = _shares(logits, seen, there)
    result = squash(shares.flatten(1, 2) @ songs)
    return result.view(*shape[:3], songs.shape[2])


def squash(rows: Tensor) -> Tensor:
    """Scale rows (..., d) to lengths between 0 and 1: n becomes ``n² / (1 + n²)``."""
    squared = (rows * rows).sum(dim=-1, keepdim=True)
    return rows * (squared + EPSILON).sqrt() / (1 + squared)


def _shares(logits: Tensor, seen: Tensor, there: Tensor) -> Tensor:
    """Return each song's shares in the interests: (B, T, K, L)."""
    shares = logits.masked_fill(~there[..., None], -torch.inf).softmax(dim=2)
    return shares * seen[:, :, None]


START_SPREAD = 3.0  # initial spread of a song's logits


class ComiRecSANetwork(InterestsNetwork):
    """Self-attentive pooling with one head per interest: an attention-weighted mean of songs.

        a_ik = w_k · tanh(W e_i) + r_k[plays since]      weights: softmax over the songs i
        v_k = sum over i of a_ik e_i

    Values are the unmodified song embeddings: position and time affect the weights, never the
    values. The published model adds position embeddings inside the tanh; here each interest has a
    bias for how many plays ago a song was, so that all positions of a sequence can be computed at
    once.

    Source: Cen et al., *Controllable Multi-Interest Framework for Recommendation*, 2020.
    """

    recipe: ComiRecSARecipe

    def build(self, d: int) -> None:
        """Add attention; see `InterestsNetwork`."""
        wide = self.recipe.attention * d
        self.look = nn.Linear(d, wide, bias=False)
        self.heads = nn.Linear(wide, self.recipe.interests, bias=False)
        # Heads that start alike stay alike, so their initial weights must differ.
        nn.init.normal_(self.look.weight)
        nn.init.normal_(self.heads.weight, std=START_SPREAD / wide**0.5)
        self.ages = nn.Parameter(torch.zeros(self.recipe.longest, self.recipe.interests))

    def interests_at(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `InterestsNetwork`."""
        place = torch.arange(songs.shape[1], device=songs.device)
        since = place[:, None] - place
        return self._pooled(songs, since[None], (since >= 0)[None])

    def final_interests(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """See `InterestsNetwork`."""
        place = torch.arange(songs.shape[1], device=songs.device)
        since = batch.lengths[:, None, None] - 1 - place
        return self._pooled(songs, since, since >= 0)

    def _pooled(self, songs: Tensor, since: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Pool at T positions, each `since` (B or 1, T, L) plays after the songs."""
        looked = self.look(functional.normalize(songs, dim=2)).tanh()
        logits = self.heads(looked).transpose(1, 2)[:, None]  # (B, 1, K, L)
        ages = self.ages[since.clamp(0, len(self.ages) - 1)]
        logits = logits + ages.transpose(2, 3)
        shares = logits.masked_fill(~seen[:, :, None], -torch.inf).softmax(dim=3)
        shape = shares.expand(len(songs), *shares.shape[1:]).shape
        result = (shares.expand(shape).flatten(1, 2) @ songs).view(*shape[:3], songs.shape[2])
        return result, torch.ones(1, 1, 1, dtype=torch.bool, device=songs.device)
