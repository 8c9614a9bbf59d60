"""The user model as a torch network, for training; `UsersModel` is the same in numpy."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.listening.history import Histories
from audiorec.recall.sequence.youtube_dnn.examples import LikeBatch
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.types import FloatArray

if TYPE_CHECKING:
    import torch

TABLE_SPREAD = 0.1  # standard deviation of songs at the start: small, so that they soon turn


class Network:
    """Parameters and forward pass.

    Parameters
    ----------
    recipe : UsersRecipe
    inputs : ndarray, shape (S, V), float32
        Standardised vectors of all songs.
    demographics : ndarray, shape (U, P), float32
    n_columns : int
        Columns that the first layer reads.

    Attributes
    ----------
    parameters : dict of str to tensor
        ``weight_i`` (in, out), ``bias_i`` (out,), ``song_embeddings`` (S, E) of any length,
        ``song_bias`` (S,), ``id_embeddings`` (S, I).
    """

    def __init__(
        self, recipe: UsersRecipe, inputs: FloatArray, demographics: FloatArray, n_columns: int
    ) -> None:
        import torch

        self.recipe = recipe
        self._inputs = torch.from_numpy(inputs)
        self._demographics = torch.from_numpy(demographics)
        self.n_layers = len(recipe.hidden) + 1
        draw = torch.Generator().manual_seed(recipe.seed)
        sizes = (n_columns, *recipe.hidden, recipe.dimension)
        n_songs = len(inputs)

        def normal(*shape: int, spread: float) -> "torch.Tensor":
            return torch.randn(shape, generator=draw) * spread

        values: dict[str, torch.Tensor] = {}
        for i, (width, out) in enumerate(itertools.pairwise(sizes)):
            values[f"weight_{i}"] = normal(width, out, spread=(2.0 / width) ** 0.5)
            values[f"bias_{i}"] = torch.zeros(out)
        values["song_embeddings"] = normal(n_songs, recipe.dimension, spread=TABLE_SPREAD)
        values["song_bias"] = torch.zeros(n_songs)
        values["id_embeddings"] = normal(n_songs, recipe.id_width, spread=TABLE_SPREAD)
        self.parameters = {name: value.requires_grad_() for name, value in values.items()}

    def users(self, batch: LikeBatch, *, training: bool) -> "torch.Tensor":
        """Return the embeddings of a batch: shape (B, E), of length 1."""
        import torch
        from torch.nn import functional

        x = torch.cat(
            [
                _means(batch.by_vector, self._inputs),
                _means(batch.by_id, self.parameters["id_embeddings"]),
                torch.from_numpy(batch.lengths),
                self._demographics[torch.from_numpy(batch.user)],
            ],
            dim=1,
        )
        for i in range(self.n_layers):
            x = x @ self.parameters[f"weight_{i}"] + self.parameters[f"bias_{i}"]
            if i + 1 < self.n_layers:
                x = functional.dropout(functional.relu(x), self.recipe.dropout, training)
        return functional.normalize(x, dim=1)

    def songs(self, rows: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Return embeddings (n, E) of length 1, and biases (n,), of songs."""
        import torch

        embeddings = self.parameters["song_embeddings"][rows]
        return torch.nn.functional.normalize(embeddings, dim=1), self.parameters["song_bias"][rows]

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: weights decay, biases and tables of songs do not."""
        decays = [p for name, p in self.parameters.items() if name.startswith("weight_")]
        others = [p for name, p in self.parameters.items() if not name.startswith("weight_")]
        return [
            {"params": decays, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]

    def arrays(self) -> dict[str, FloatArray]:
        """Return copies of the parameters as numpy arrays."""
        return {name: p.detach().numpy().copy() for name, p in self.parameters.items()}

    def load(self, arrays: dict[str, FloatArray]) -> None:
        """Take over parameters that `arrays` returned."""
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.from_numpy(arrays[name]))


def _means(rows: Histories, table: "torch.Tensor") -> "torch.Tensor":
    """Return the weighted means of rows of a table, 0 for an empty list: shape (B, width)."""
    import torch

    if not table.shape[1] or not len(rows.song):
        # With a gradient of 0, as from the other batches.
        return table.sum() * 0.0 + torch.zeros(len(rows), table.shape[1])
    total = np.zeros(len(rows))
    np.add.at(total, np.repeat(np.arange(len(rows)), rows.counts), rows.weight)
    shares = (rows.weight / np.repeat(total, rows.counts)).astype(np.float32)
    means: torch.Tensor = torch.nn.functional.embedding_bag(
        torch.from_numpy(rows.song),
        table,
        torch.from_numpy(rows.starts[:-1]),
        mode="sum",
        per_sample_weights=torch.from_numpy(shares),
    )
    return means
