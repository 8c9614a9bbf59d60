"""Base class of next-song models.

    `NextSongModel`: `Tensors` of a batch ──queries──▶ (n, d), and the target of each

`audiorec.learning.next_song` trains it.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiorec.learning.next_recipe import NextSongRecipe
from audiorec.learning.song_features import SongFeatures
from audiorec.learning.song_table import SongTable


class NextSongModel(nn.Module):
    """Network that computes queries for the next song from plays.

    Attributes
    ----------
    table : SongTable
        Input embeddings of songs.
    output : SongTable
        Output embeddings of songs: the same table, unless the recipe says otherwise.
    """

    table: SongTable
    output: SongTable

    def __init__(self, features: SongFeatures, recipe: NextSongRecipe) -> None:
        """Create the song tables.

        Parameters
        ----------
        features : SongFeatures
            Side information of the songs.
        recipe : NextSongRecipe
        """
        super().__init__()
        self.table = _table(features, recipe, recipe.seed)
        if recipe.shared_table:
            # Not registered as a submodule, or the state would contain the table twice.
            object.__setattr__(self, "output", self.table)
        else:
            self.output = _table(features, recipe, recipe.seed + 1)

    @abstractmethod
    def queries(self, batch: "Tensors") -> tuple[Tensor, Tensor]:
        """Return queries (n, d), or (n, K, d) for K interests, and the target of each, (n,)."""

    @abstractmethod
    def final_queries(self, batch: "Tensors") -> Tensor:
        """Return the query at the end of each history: (B, d) or (B, K, d).

        A missing interest is 0.
        """

    def target_queries(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Return the query (n, d) that K interests (n, K, d) use for target vectors (n, d).

        Used in training only. By default the interest nearest to the target.
        """
        near = torch.einsum("nkd,nd->nk", queries, targets).argmax(dim=1)
        return queries[torch.arange(len(queries), device=queries.device), near]

    def history_terms(self, queries: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return terms added to the logits of songs of the history, for queries (n, d): (n, P).

        Column p applies to the song p plays ago, the last column to all older ones. None, the
        default: no terms, and songs of the history are not added to the negatives.
        """
        return None

    def profile_queries(self, batch: "Tensors") -> Tensor | None:  # noqa: ARG002
        """Return queries (B, d) from profiles alone, for the first song of each window.

        None, the default: the model needs a history.
        """
        return None

    def rows(self) -> list[nn.Parameter]:
        """Return the embedding tables, of which a step updates few rows."""
        tables = (m for m in self.modules() if isinstance(m, SongTable))
        return [p for table in tables for p in table.value_tables()]

    def penalty(self) -> Tensor | float:
        """Return a regularisation term of the loss, for example against equal interests."""
        return 0.0


def _table(features: SongFeatures, recipe: NextSongRecipe, seed: int) -> SongTable:
    return SongTable(
        features,
        recipe.dimension,
        side_width=recipe.side_width,
        id_dropout=recipe.id_dropout,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """A `PlayBatch` as tensors on the model's device.

    `songs`, `targets` (B, L) int64, `lengths` (B,), `there` (B, L) bool, `time` (B, L) float64 or
    None if no play has a time, `profile` (B, A), `seed` (B,) int64, `favourites` (B, F) int64 with
    -1 for none.
    """

    songs: Tensor
    lengths: Tensor
    targets: Tensor
    there: Tensor
    time: Tensor | None
    profile: Tensor
    seed: Tensor
    favourites: Tensor
