"""One embedding a song, of its id and of what else is known of it, in torch.

    id (S, d)  +  projection of [embeddings of categories ; numbers ; sound]  ──▶ (S, d)

Categories, numbers and sound are put side by side and projected to the width of the ids. While a
song is learnt, its id is left out in a part of its occurrences (`id_dropout`): the projection has
to stand alone there, so a song that nobody has played, which has no id to speak of, lies where its
artist and its sound say. Only songs of which something is known lose their ids, and those that
keep them are not scaled up: the sum is not a mean of its parts.

`audiorec.learning.song_features.side_embeddings` is the projection in numpy.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.song_features import SongFeatures

# Standard deviation of embeddings at the start. Well above a step of the learning rate: from 0.02
# the first steps move all songs the same way, and they stay together for long.
START_SPREAD = 0.1


class SongTable(nn.Module):
    """The embeddings of S songs, for input and output alike; rows are numbers of songs.

    Its parameters are ``ids`` (S, d), ``values`` (values of all categories, w) and
    ``project.weight`` (d, C w + V); without features, ``ids`` alone.
    """

    sparse = False  # whether steps within `only` give ``ids`` sparse gradients
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
        """Begin with small random ids.

        Parameters
        ----------
        features : SongFeatures
            Of S songs.
        dimension : int
            d, numbers in an embedding.
        side_width : int
            w, numbers that a value of a category stands for before the projection.
        id_dropout : float
            Part of the occurrences in training that go by their side alone.
        seed : int
            Of the values at the start.
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
        """Return the embeddings of songs, whatever shape: (..., d).

        Within `only`, songs are places among those that were named there.
        """
        return functional.embedding(songs, self.embedded(None) if self._few is None else self._few)

    @contextmanager
    def only(self, songs: Tensor) -> Iterator[None]:
        """Embed some songs (n,) once, for a step that meets them many times.

        Gradients then reach the table once a step: on 60,000 songs that, and not the network, is
        what a step costs.
        """
        self._few = self.embedded(songs)
        try:
            yield
        finally:
            self._few = None

    def embedded(self, songs: Tensor | None) -> Tensor:
        """Return the embeddings of songs (n,), or of all: (n, d); ids left out in training."""
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
        """Return what the side of songs says alone: (..., d); 0 where nothing is known."""
        values = self.values[self._rows[songs]].flatten(-2)
        found: Tensor = self.project(torch.cat([values, self._dense[songs]], dim=-1))
        return found * self._known[songs][..., None]

    def learnt_by_value(self) -> list[nn.Parameter]:
        """Return the parameters that a step reaches in few of its rows: ids, and categories."""
        return [self.ids, self.values] if self.has_side else [self.ids]

    def whole(self, learnt: Tensor | None = None) -> Tensor:
        """Return the embeddings of all songs, (S, d); without ids for songs not `learnt` (S,)."""
        songs = torch.arange(len(self.ids), device=self.ids.device)
        ids = self.ids if learnt is None else self.ids * learnt[:, None]
        return ids + self.side(songs) if self.has_side else ids
