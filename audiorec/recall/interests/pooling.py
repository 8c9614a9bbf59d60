"""ComiRec-SA in torch, for training: each interest is a mean of songs, weighed by attention.

    a_ik = w_k · tanh(W e_i) + r_k[plays since]      weights: softmax over the songs i
    v_k = sum over i of a_ik e_i

Values are songs as they stand in the table: where and when something was played moves the
weights, never what is weighed. The published model adds embeddings of positions within the tanh;
here each interest has a number for how many plays ago a song was, so that all places of a stretch
can be worked out at once.

References
----------
Cen et al., *Controllable Multi-Interest Framework for Recommendation*, 2020.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import Tensors
from audiorec.recall.interests.network import InterestsNetwork
from audiorec.recall.interests.recipe import ComirecSaRecipe

START_SPREAD = 3.0  # of a song's logits at the start


class ComirecSaNetwork(InterestsNetwork):
    """Self-attentive pooling with one head an interest."""

    recipe: ComirecSaRecipe

    def build(self, d: int) -> None:
        """Add attention; see `InterestsNetwork`."""
        wide = self.recipe.attention * d
        self.look = nn.Linear(d, wide, bias=False)
        self.heads = nn.Linear(wide, self.recipe.interests, bias=False)
        # Heads that begin alike stay alike: what they look for has to differ from the start.
        nn.init.normal_(self.look.weight)
        nn.init.normal_(self.heads.weight, std=START_SPREAD / wide**0.5)
        if self.recipe.positions:
            self.ages = nn.Parameter(torch.zeros(self.recipe.longest, self.recipe.interests))

    def read(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `InterestsNetwork`."""
        place = torch.arange(songs.shape[1], device=songs.device)
        since = place[:, None] - place
        return self._pooled(songs, since[None], (since >= 0)[None])

    def read_whole(self, songs: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """See `InterestsNetwork`."""
        place = torch.arange(songs.shape[1], device=songs.device)
        since = batch.lengths[:, None, None] - 1 - place
        return self._pooled(songs, since, since >= 0)

    def _pooled(self, songs: Tensor, since: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Pool at T places, to which songs lie `since` (B or 1, T, L) plays ago."""
        looked = self.look(functional.normalize(songs, dim=2)).tanh()
        logits = self.heads(looked).transpose(1, 2)[:, None]  # (B, 1, K, L)
        if self.recipe.positions:
            ages = self.ages[since.clamp(0, len(self.ages) - 1)]
            logits = logits + ages.transpose(2, 3)
        shares = logits.masked_fill(~seen[:, :, None], -torch.inf).softmax(dim=3)
        shape = shares.expand(len(songs), *shares.shape[1:]).shape
        found = (shares.expand(shape).flatten(1, 2) @ songs).view(*shape[:3], songs.shape[2])
        return found, torch.ones(1, 1, 1, dtype=torch.bool, device=songs.device)
