"""What a model must do that learns what is played next.

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
    """A network that reads plays; what it must be able to do.

    Attributes
    ----------
    table : SongTable
        The songs that it reads.
    output : SongTable
        The songs that it proposes: the same one, unless the recipe says otherwise.
    """

    table: SongTable
    output: SongTable

    def __init__(self, features: SongFeatures, recipe: NextSongRecipe) -> None:
        """Make the tables of songs.

        Parameters
        ----------
        features : SongFeatures
            What is known of the songs.
        recipe : NextSongRecipe
        """
        super().__init__()
        self.table = _table(features, recipe, recipe.seed)
        if recipe.shared_table:
            # Not as a module of its own: the state would hold the table twice.
            object.__setattr__(self, "output", self.table)
        else:
            self.output = _table(features, recipe, recipe.seed + 1)

    @abstractmethod
    def queries(self, batch: "Tensors") -> tuple[Tensor, Tensor]:
        """Return queries (n, d), or (n, K, d) of K interests, and the target of each, (n,)."""

    @abstractmethod
    def at_the_end(self, batch: "Tensors") -> Tensor:
        """Return the query at the end of each history: (B, d) or (B, K, d).

        An interest that is not there is 0.
        """

    def for_target(self, queries: Tensor, targets: Tensor) -> Tensor:
        """Return the query (n, d) that K interests (n, K, d) give to targets of (n, d).

        In training alone. By default the interest that is nearest to the target.
        """
        near = torch.einsum("nkd,nd->nk", queries, targets).argmax(dim=1)
        return queries[torch.arange(len(queries), device=queries.device), near]

    def again(self, queries: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return what songs of the history get beside their cosine, as logits: (n, P).

        Column p is of the song of p plays ago, the last of all further ones, for queries (n, d).
        None, the default: nothing, and they are not put against the target.
        """
        return None

    def alone(self, batch: "Tensors") -> Tensor | None:  # noqa: ARG002
        """Return queries (B, d) by profiles alone, for the first song of each stretch.

        None, the default: the model says nothing where there is no history.
        """
        return None

    def rows(self) -> list[nn.Parameter]:
        """Return the parameters of which a step reaches few rows: those of songs, and such."""
        tables = (m for m in self.modules() if isinstance(m, SongTable))
        return [p for table in tables for p in table.learnt_by_value()]

    def penalty(self) -> Tensor | float:
        """Return what is added to the loss after `queries`, such as against equal interests."""
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
    """A `PlayBatch` as tensors, where the model is.

    `songs`, `targets` (B, L) int64, `lengths` (B,), `there` (B, L) bool, `time` (B, L) float64 or
    None where no play has a time, `profile` (B, A), `seed` (B,) int64, `favourites` (B, F) int64
    with -1 for none.
    """

    songs: Tensor
    lengths: Tensor
    targets: Tensor
    there: Tensor
    time: Tensor | None
    profile: Tensor
    seed: Tensor
    favourites: Tensor
