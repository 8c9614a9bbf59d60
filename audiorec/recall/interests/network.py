"""Base class of the networks with several interests, in torch.

    songs (B, L, d) ──read──▶ interests (B, T, K, d) at T positions, and which exist
    interest, profile ──v + W2 relu(W1 [v ; profile] + b1) + b2──▶ query for song similarity

All positions of a sequence are computed at once: position t reads songs 0..t. A missing interest
is 0 and stays 0.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import NextSongModel, Tensors
from audiorec.learning.processes import dropout
from audiorec.learning.song_features import SongFeatures
from audiorec.recall.interests.recipe import InterestsRecipe


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
        found, there = self.interests_at(self._songs(batch), batch)
        asked = batch.targets >= 0
        return self._joined(found, there, batch)[asked], batch.targets[asked]

    def final_queries(self, batch: Tensors) -> Tensor:
        """Return the interests of full histories; see `NextSongModel`."""
        found, there = self.final_interests(self._songs(batch), batch)
        return self._joined(found, there, batch)[:, 0]

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
        joined: Tensor = (found + more) * there[..., None]
        return joined


def target_cosines(queries: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return interests (n, K, d) at length 1, and their cosines with targets (n, d): (n, K).

    Missing interests get -inf: 0 would beat a negative cosine.
    """
    unit = functional.normalize(queries, dim=2)
    cosine = torch.einsum("nkd,nd->nk", unit, targets)
    return unit, cosine.masked_fill(~queries.any(dim=2), -torch.inf)
