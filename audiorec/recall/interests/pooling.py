"""ComiRec-SA in torch, for training: each interest is an attention-weighted mean of songs.

    a_ik = w_k · tanh(W e_i) + r_k[plays since]      weights: softmax over the songs i
    v_k = sum over i of a_ik e_i

Values are the unmodified song embeddings: position and time affect the weights, never the values.
The published model adds position embeddings inside the tanh; here each interest has a bias for
how many plays ago a song was, so that all positions of a sequence can be computed at once.

References
----------
Cen et al., *Controllable Multi-Interest Framework for Recommendation*, 2020.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import Tensors
from audiorec.recall.interests.network import InterestsNetwork
from audiorec.recall.interests.recipe import ComiRecSARecipe

START_SPREAD = 3.0  # initial spread of a song's logits


class ComiRecSANetwork(InterestsNetwork):
    """Self-attentive pooling with one head per interest."""

    recipe: ComiRecSARecipe

    def build(self, d: int) -> None:
        """Add attention; see `InterestsNetwork`."""
        wide = self.recipe.attention * d
        self.look = nn.Linear(d, wide, bias=False)
        self.heads = nn.Linear(wide, self.recipe.interests, bias=False)
        # Heads that start alike stay alike, so their initial weights must differ.
        nn.init.normal_(self.look.weight)
        nn.init.normal_(self.heads.weight, std=START_SPREAD / wide**0.5)
        if self.recipe.positions:
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
        if self.recipe.positions:
            ages = self.ages[since.clamp(0, len(self.ages) - 1)]
            logits = logits + ages.transpose(2, 3)
        shares = logits.masked_fill(~seen[:, :, None], -torch.inf).softmax(dim=3)
        shape = shares.expand(len(songs), *shares.shape[1:]).shape
        found = (shares.expand(shape).flatten(1, 2) @ songs).view(*shape[:3], songs.shape[2])
        return found, torch.ones(1, 1, 1, dtype=torch.bool, device=songs.device)
