"""The youtube-dnn network in torch, for training; `UsersModel` is the same in numpy."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.processes import dropout
from audiorec.listening.history import Histories
from audiorec.recall.sequence.youtube_dnn.examples import LikeBatch
from audiorec.recall.sequence.youtube_dnn.recipe import YouTubeDNNRecipe
from audiorec.types import FloatArray

TABLE_SPREAD = 0.1  # initial standard deviation of songs: small, so that directions change quickly


class Network(nn.Module):
    """Parameters and forward pass, given standardised songs (S, V) and demographics (U, P).

    The parameters are ``weight_i`` (in, out), ``bias_i`` (out,), ``song_embeddings`` (S, E) of
    any length, ``song_bias`` (S,) and ``id_embeddings`` (S, I).
    """

    song_embeddings: Tensor
    song_bias: Tensor
    id_embeddings: Tensor
    _inputs: Tensor
    _demographics: Tensor

    def __init__(
        self, recipe: YouTubeDNNRecipe, inputs: FloatArray, demographics: FloatArray, n_columns: int
    ) -> None:
        super().__init__()
        self.recipe = recipe
        # Constants, so not in a checkpoint.
        self.register_buffer("_inputs", torch.from_numpy(inputs), persistent=False)
        self.register_buffer("_demographics", torch.from_numpy(demographics), persistent=False)
        self.n_layers = len(recipe.hidden) + 1
        draw = torch.Generator().manual_seed(recipe.seed)
        sizes = (n_columns, *recipe.hidden, recipe.dimension)
        n_songs = len(inputs)

        def add(name: str, *shape: int, spread: float) -> None:
            values = torch.randn(shape, generator=draw) * spread if spread else torch.zeros(shape)
            self.register_parameter(name, nn.Parameter(values))

        for i, (width, out) in enumerate(itertools.pairwise(sizes)):
            add(f"weight_{i}", width, out, spread=(2.0 / width) ** 0.5)
            add(f"bias_{i}", out, spread=0.0)
        add("song_embeddings", n_songs, recipe.dimension, spread=TABLE_SPREAD)
        add("song_bias", n_songs, spread=0.0)
        add("id_embeddings", n_songs, recipe.ids, spread=TABLE_SPREAD)
        if recipe.is_residual:
            # A user starts as the mean of the history's songs: near similar songs.
            with torch.no_grad():
                self.id_embeddings.copy_(self.song_embeddings)
                self.get_parameter(f"weight_{self.n_layers - 1}").zero_()

    def users(self, batch: LikeBatch, *, training: bool) -> Tensor:
        """Return the embeddings of a batch: shape (B, E), of length 1."""
        by_id = _means(batch.by_id, self.id_embeddings)
        x = torch.cat(
            [
                _means(batch.by_vector, self._inputs),
                by_id,
                torch.from_numpy(batch.lengths).to(self.song_bias.dtype),
                self._demographics[torch.from_numpy(batch.user)],
            ],
            dim=1,
        )
        for i in range(self.n_layers):
            x = x @ self.get_parameter(f"weight_{i}") + self.get_parameter(f"bias_{i}")
            if i + 1 < self.n_layers:
                x = dropout(functional.relu(x), self.recipe.dropout, training)
        return functional.normalize(x + by_id if self.recipe.is_residual else x, dim=1)

    def songs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (n, E) of length 1, and biases (n,), of songs."""
        return functional.normalize(self.song_embeddings[rows], dim=1), self.song_bias[rows]

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: dense weights decay, biases and song tables do not."""
        named = list(self.named_parameters())
        decays = [p for name, p in named if name.startswith("weight_")]
        others = [p for name, p in named if not name.startswith("weight_")]
        return [
            {"params": decays, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]

    def arrays(self) -> dict[str, FloatArray]:
        """Return copies of the parameters as numpy arrays."""
        return {name: p.numpy().copy() for name, p in self.state_dict().items()}


def _means(rows: Histories, table: Tensor) -> Tensor:
    """Return the weighted means of rows of a table, zeros for an empty list: (B, width)."""
    if not table.shape[1] or not len(rows.song):
        # Keeps a gradient of 0, so that every batch has one.
        return table.sum() * 0.0 + table.new_zeros(len(rows), table.shape[1])
    total = np.zeros(len(rows))
    np.add.at(total, np.repeat(np.arange(len(rows)), rows.counts), rows.weight)
    shares = torch.from_numpy(rows.weight / np.repeat(total, rows.counts)).to(table.dtype)
    return functional.embedding_bag(
        torch.from_numpy(rows.song),
        table,
        torch.from_numpy(rows.starts[:-1]),
        mode="sum",
        per_sample_weights=shares,
    )
