"""Base class of next-song models, and their song embeddings from ids and side information.

    `NextSongModel`: `Tensors` of a batch ──queries──▶ (n, d), and the target of each
    `SongTable`: songs ──▶ embeddings (n, d)

`audiorec.learning.next_song` trains them.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.next_plays import NextSongRecipe, SongFeatures
from audiorec.types import FloatArray

# Standard deviation of initial embeddings. Well above a step of the learning rate: at 0.02, the
# first steps move all songs in the same direction, and they stay close together for long.
START_SPREAD = 0.1


class SongTable(nn.Module):
    """Embedding table of S songs, for input and output; rows are song numbers.

    Its parameters are ``ids`` (S, d), ``values`` (values of all categories, w) and
    ``project.weight`` (d, C w + V); without features, only ``ids``.

        id (S, d)  +  projection of [embeddings of categories ; numbers ; sound]  ──▶ (S, d)

    In training, the id is dropped in a share of a song's occurrences (`id_dropout`), where the
    projection has to suffice; a song without plays, whose id is untrained, is then placed by its
    artist and its sound. Ids are dropped only for songs with side information, and the kept ones
    are not scaled up, since the embedding is a sum and not a mean of its parts.
    """

    sparse = False  # whether ``ids`` gets sparse gradients within `cached`
    _rows: Tensor
    _dense: Tensor
    _known: Tensor

    def __init__(
        self,
        features: SongFeatures,
        dimension: int,
        *,
        side_width: int = 16,
        id_dropout: float = 0.2,
        seed: int = 0,
    ) -> None:
        """Initialise with small random numbers.

        Parameters
        ----------
        features : SongFeatures
            Features of S songs.
        dimension : int
            Numbers in an embedding, d.
        side_width : int
            Embedding width of a category value before the projection, w.
        id_dropout : float
            Probability that training uses a song's side information only, without its id.
        seed : int
            Seed of the initial values.
        """
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.id_dropout = id_dropout
        self.has_side = features.width > 0
        self._few: Tensor | None = None

        def start(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=draw) * START_SPREAD)

        self.ids = start(len(features), dimension)
        if self.has_side:
            self.values = start(sum(features.sizes), side_width)
            width = len(features.sizes) * side_width + features.dense.shape[1]
            self.project = nn.Linear(width, dimension, bias=False)
            with torch.no_grad():
                scale = START_SPREAD / max(1, features.dense.shape[1]) ** 0.5
                self.project.weight.copy_(torch.randn(dimension, width, generator=draw) * scale)
        self.register_buffer("_rows", torch.from_numpy(features.rows), persistent=False)
        self.register_buffer("_dense", torch.from_numpy(features.dense), persistent=False)
        self.register_buffer("_known", torch.from_numpy(features.known), persistent=False)

    def forward(self, songs: Tensor) -> Tensor:
        """Return the embeddings (..., d) of an array of songs of any shape.

        Within `cached`, songs are indices into the songs given there.
        """
        return functional.embedding(songs, self.embedded(None) if self._few is None else self._few)

    @contextmanager
    def cached(self, songs: Tensor) -> Iterator[None]:
        """Embed songs (n,) once for a step that uses them many times.

        The table then gets its gradient once per step; with 60,000 songs, this and not the network
        dominates the cost of a step.
        """
        self._few = self.embedded(songs)
        try:
            yield
        finally:
            self._few = None

    def embedded(self, songs: Tensor | None) -> Tensor:
        """Return the embeddings of songs (n,), or of all: (n, d); with id dropout in training."""
        sparse = self.sparse and songs is not None
        if songs is None:
            songs = torch.arange(len(self.ids), device=self.ids.device)
        ids = functional.embedding(songs, self.ids, sparse=sparse)
        if not self.has_side:
            return ids
        if self.training and self.id_dropout:
            left_out = torch.rand(songs.shape, device=songs.device) < self.id_dropout
            ids = ids.masked_fill((left_out & self._known[songs])[:, None], 0.0)
        return ids + self.side(songs)

    def side(self, songs: Tensor) -> Tensor:
        """Return embeddings from side information alone: (..., d); 0 for songs without any."""
        values = self.values[self._rows[songs]].flatten(-2)
        result: Tensor = self.project(torch.cat([values, self._dense[songs]], dim=-1))
        return result * self._known[songs][..., None]

    def value_tables(self) -> list[nn.Parameter]:
        """Return the embedding tables, ids and categories, of which a step updates few rows."""
        return [self.ids, self.values] if self.has_side else [self.ids]

    def all_embeddings(self, learnt: Tensor | None = None) -> Tensor:
        """Return the embeddings of all songs, (S, d); by side alone for songs not `learnt` (S,)."""
        songs = torch.arange(len(self.ids), device=self.ids.device)
        ids = self.ids if learnt is None else self.ids * learnt[:, None]
        return ids + self.side(songs) if self.has_side else ids


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

    def take(self, state: Mapping[str, FloatArray]) -> None:
        """Take over the arrays of a trained model, as far as this one has them; the rest stays."""
        own = self.state_dict()
        for name, array in state.items():
            if name in own and own[name].shape == array.shape:
                own[name].copy_(torch.from_numpy(array))

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
