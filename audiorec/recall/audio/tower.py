"""The audio tower: a song's segments become one embedding of unit length.

    segments (T, D) ──standardise──▶ linear + small network ──▶ (T, E)
                    ──attention or mean over segments──▶ (E,) ──▶ unit length

The network's last layer and the attention begin at zero, so a new tower is its linear part
and a plain mean; `audiorec.recall.audio.closed_form` gives the linear part its start.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.recall.audio.tower_spec import MIN_SCALE, WEIGHT_LIMIT, TowerSpec


class Tower(nn.Module):
    """The network; see the module.

    Parameters
    ----------
    spec : TowerSpec
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.zeros(spec.width))
        self.register_buffer("scale", torch.ones(spec.width))
        self.linear = nn.Linear(spec.width, spec.embedding)
        nn.init.zeros_(self.linear.bias)
        self.dropout = nn.Dropout(spec.dropout)
        self.input_dropout = nn.Dropout(spec.input_dropout)
        if spec.hidden:
            self.hidden = nn.Linear(spec.width, spec.hidden)
            self.output = _zeros(nn.Linear(spec.hidden, spec.embedding))
        if spec.pooling == "attention":
            self.attention = nn.Linear(spec.width, spec.attention)
            self.importance = _zeros(nn.Linear(spec.attention, 1))

    def forward(self, segments: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Embed songs.

        Parameters
        ----------
        segments : Tensor, shape (B, D)
            Segments of all songs.
        owner : Tensor, shape (B,), int64
            Song of each segment, 0 to ``n_songs - 1``; every song has one.
        n_songs : int

        Returns
        -------
        embeddings : Tensor, shape (n_songs, E)
            Of unit length.
        """
        x = self.input_dropout((segments - self.mean) / self.scale)
        mapped = self.linear(x)
        if self.spec.hidden:
            mapped = mapped + self.output(self.dropout(self.hidden(x).relu()))
        pooled = self._pool(x, mapped, owner, n_songs)
        return functional.normalize(pooled, dim=1, eps=1e-9)

    def start_from(self, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """Set the standardisation, (D,) each, and the linear part, (E, D)."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.scale.copy_(scale.clamp_min(MIN_SCALE))
            if weights is not None:
                self.linear.weight.copy_(weights)

    def _pool(self, x: Tensor, mapped: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Return each song's weighted mean of its segments: (B, E) to (n_songs, E)."""
        if self.spec.pooling == "mean":
            weight = torch.ones_like(mapped[:, :1])
        else:
            logits = self.importance(self.attention(x).tanh())
            weight = (WEIGHT_LIMIT * (logits / WEIGHT_LIMIT).tanh()).exp()
        total = mapped.new_zeros(n_songs, 1).index_add(0, owner, weight)
        sums = mapped.new_zeros(n_songs, mapped.shape[1]).index_add(0, owner, mapped * weight)
        return sums / total


def _zeros(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
