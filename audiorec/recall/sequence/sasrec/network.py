"""SASRec in torch, for training; `audiorec.recall.sequence.sasrec.forward` is the same in numpy.

    x = songs + positions (+ profile) (+ W mean of the favourites)
    x = x + attention(norm(x)),  x = x + W2 relu(W1 norm(x))    one block
    query = norm(x)                                             or norm(nobody + profile), alone

Attention is causal. Its logits are ``q k / sqrt(d / heads)`` plus, if times are known, a learnt
bias for the gap between the two plays. Song embeddings are not scaled by ``sqrt(d)``, since songs
are ranked by their cosines.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_model import NextSongModel, Tensors
from audiorec.learning.next_plays import SongFeatures
from audiorec.learning.processes import dropout
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe, n_gap_bins

EPSILON = 1e-5  # of the norms
LAGS = 4  # distances, in plays, that are distinguished for repeated songs
SMALL = 0.01  # initial standard deviation of terms that should start near zero


class SASRecNetwork(NextSongModel):
    """The network, with parameters only for what the data has.

    `is_timed`: learn time gaps; `repeats`: learn whether songs of the history come again;
    `favourites`: read what users like; `profile`: width of a profile.
    """

    def __init__(
        self,
        features: SongFeatures,
        recipe: SASRecRecipe,
        *,
        is_timed: bool,
        profile: int,
        repeats: bool = True,
        favourites: bool = False,
    ) -> None:
        d = recipe.dimension
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            super().__init__(features, recipe)
            self.recipe = recipe
            if recipe.positions:
                self.positions = nn.Parameter(torch.randn(recipe.longest, d) * SMALL)
            if profile:
                self.profile = nn.Linear(profile, d)
                nn.init.normal_(self.profile.weight, std=SMALL)
                self.nobody = nn.Parameter(torch.randn(d) * SMALL)
            if favourites:
                self.liked = nn.Linear(d, d)
                nn.init.normal_(self.liked.weight, std=SMALL)
            self.blocks = nn.ModuleList(_Block(recipe, is_timed) for _ in range(recipe.blocks))
            self.norm = nn.LayerNorm(d, eps=EPSILON)
            self.repeats = recipe.repeats and repeats
            if self.repeats:
                self.again_by_query = nn.Parameter(torch.randn(LAGS, d) * SMALL)
                self.again_by_lag = nn.Parameter(torch.full((LAGS,), -0.5 / recipe.temperature))

    def queries(self, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Return a query for each position with a target; see `NextSongModel`."""
        asked = batch.targets >= 0
        return self._attend(batch)[asked], batch.targets[asked]

    def final_queries(self, batch: Tensors) -> Tensor:
        """Return the query at the newest play; see `NextSongModel`."""
        rows = torch.arange(len(batch.songs), device=batch.songs.device)
        return self._attend(batch)[rows, batch.lengths - 1]

    def profile_queries(self, batch: Tensors) -> Tensor | None:
        """Return the query of a profile without a history; see `NextSongModel`."""
        if not batch.profile.shape[1]:
            return None
        return self.norm(self.nobody + self.profile(batch.profile))

    def history_terms(self, queries: Tensor) -> Tensor | None:
        """Return the logit terms of songs in the history, by lag; see `NextSongModel`."""
        if not self.repeats:
            return None
        return queries @ self.again_by_query.T + self.again_by_lag

    def rows(self) -> list[nn.Parameter]:
        """Return the tables of songs and of gaps; see `NextSongModel`."""
        result = super().rows() + [
            b.gaps for b in self.blocks if isinstance(b, _Block) and b.n_gaps
        ]
        return [*result, self.again_by_lag] if self.repeats else result

    def _attend(self, batch: Tensors) -> Tensor:
        """Return the query at each position: (B, L, d)."""
        x = self.table(batch.songs)
        if self.recipe.positions:
            x = x + self.positions[: x.shape[1]]
        if batch.profile.shape[1]:
            x = x + self.profile(batch.profile)[:, None]
        if batch.favourites.shape[1] and hasattr(self, "liked"):
            x = x + self._add_favourites(batch.favourites)[:, None]
        x = dropout(x, self.recipe.dropout, self.training)
        for block in self.blocks:
            x = block(x, batch.time)
        return self.norm(x)

    def _add_favourites(self, songs: Tensor) -> Tensor:
        """Return the term of the mean of the favourites (B, F): (B, d), zeros if none."""
        there = (songs >= 0)[..., None]
        summed = (self.table(songs.clamp_min(0)) * there).sum(1)
        count = there.sum(1)
        return self.liked(summed / count.clamp_min(1)) * (count > 0)


class _Block(nn.Module):
    """Causal attention, then a feed-forward layer at each position."""

    def __init__(self, recipe: SASRecRecipe, is_timed: bool) -> None:
        super().__init__()
        d = recipe.dimension
        self.heads, self.dropout = recipe.heads, recipe.dropout
        self.before = nn.LayerNorm(d, eps=EPSILON)
        self.read = nn.Linear(d, 3 * d)
        self.write = nn.Linear(d, d)
        self.between = nn.LayerNorm(d, eps=EPSILON)
        self.widen = nn.Linear(d, recipe.hidden * d)
        self.narrow = nn.Linear(recipe.hidden * d, d)
        for last in (self.write, self.narrow):
            # A block starts as the identity: a query is then its newest song, whose neighbours in
            # the table soon become those that are played with it.
            nn.init.normal_(last.weight, std=SMALL)
            nn.init.zeros_(last.bias)
        self.n_gaps = (
            n_gap_bins(recipe.longest_gap_days) if is_timed and recipe.relative_time else 0
        )
        if self.n_gaps:
            self.gaps = nn.Parameter(torch.zeros(self.n_gaps, recipe.heads))

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        x = x + dropout(self._attended(x, time), self.dropout, self.training)
        between = functional.relu(self.widen(self.between(x)))
        return x + dropout(self.narrow(between), self.dropout, self.training)

    def _attended(self, x: Tensor, time: Tensor | None) -> Tensor:
        n, length, d = x.shape
        read = self.read(self.before(x)).view(n, length, 3, self.heads, d // self.heads)
        query, key, value = read.permute(2, 0, 3, 1, 4)
        if self.n_gaps and time is not None:
            looks = self._gap_bias(time)
            seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=looks)
        else:
            seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.write(seen.transpose(1, 2).reshape(n, length, d))

    def _gap_bias(self, time: Tensor) -> Tensor:
        """Return the bias of the logits by time gap, -inf for the future: (B, heads, L, L)."""
        gap = time[:, :, None] - time[:, None, :]
        known = ~gap.isnan()
        exponent = torch.frexp(gap.nan_to_num(0.0)).exponent.clamp(0, self.n_gaps - 1)
        number = torch.where(gap >= 1, exponent, 0).long()
        added = self.gaps[number] * known[..., None]
        later = torch.ones(gap.shape[1:], dtype=torch.bool, device=gap.device).triu(1)
        return added.permute(0, 3, 1, 2).masked_fill(later, -torch.inf)
