"""The network of GraphSAGE; see `audiorec.recall.graph.graphsage`."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.machine import generator
from audiorec.recall.graph.initialisation import initial_vectors
from audiorec.recall.graph.learner import PairModel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import GraphSAGERecipe
from audiorec.recall.graph.song_vectors import SongVectors, prior_columns, scaled, unit
from audiorec.recall.graph.tables import trainable_copy
from audiorec.recall.graph.vectors import START
from audiorec.recall.graph.walks import list_walks
from audiorec.types import Int64Array

NEIGHBOURS = 8  # a purpose of random numbers, beside those of the learner
ROWS = 8_192  # entities per block


class SageModel(PairModel):
    """Embeddings of entities, and two aggregating layers."""

    def __init__(self, material: GraphMaterial, recipe: GraphSAGERecipe) -> None:
        super().__init__()
        self.recipe = recipe
        width = recipe.dimension
        rng = generator(recipe.seed, NEIGHBOURS)
        near = neighbour_table(material, rng, most=recipe.table)
        self._near, self._warm = torch.from_numpy(near), material.counts > 0
        start = np.empty((material.n_entities, width), np.float32)
        initial_vectors(material, generator(recipe.seed, START), start)
        start[: material.n_songs][~self._warm] = 0  # only their facts are known
        self.features = trainable_copy(
            start, sparse=False
        )  # the layers' gradients are dense as well
        self.first, self.second = (nn.Linear(2 * width, width) for _ in range(2))

    def vectors_and_contexts(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `PairModel`: z is both vector and context."""
        rows, at = torch.unique(torch.cat([songs.ravel(), drawn]), return_inverse=True)
        z = self._z(rows, self.recipe.near, self.recipe.far)
        own, others = z[at[: songs.numel()]].view(*songs.shape, -1), z[at[songs.numel() :]]
        return own * self.recipe.sharpness, own, others

    def extra_loss(self, rng: np.random.Generator) -> None:
        """Return None: GraphSAGE has no further loss."""

    def _z(self, entities: Tensor, near: int, far: int) -> Tensor:
        ones = self._drawn(entities, near)
        # Hubs are neighbours of many: compute each entity once.
        every, at = torch.unique(torch.cat([entities, ones.ravel()]), return_inverse=True)
        inner = self._h(every, far)[at]
        own, others = inner[: len(entities)], inner[len(entities) :].view(*ones.shape, -1)
        return functional.normalize(self.second(torch.cat([own, others.mean(1)], -1)), dim=-1)

    def _h(self, entities: Tensor, far: int) -> Tensor:
        around = self.features(self._drawn(entities, far)).mean(1)
        h = torch.relu(self.first(torch.cat([self.features(entities), around], -1)))
        return functional.normalize(h, dim=-1)

    def _drawn(self, entities: Tensor, most: int) -> Tensor:
        """Return neighbours of each entity, (n, most): sampled with replacement, or all of them."""
        width = self._near.shape[1]
        if most >= width:
            return self._near[entities]
        column = torch.randint(width, (len(entities), most))
        return self._near[entities].gather(1, column)

    def song_vectors(self, material: GraphMaterial, *, cold: bool = True) -> SongVectors:  # noqa: ARG002
        """Compute the vectors of all songs, from all stored neighbours."""
        width = self._near.shape[1]
        n = material.n_songs
        every = torch.arange(len(self._near))
        inner = torch.cat([self._h(every[i : i + ROWS], width) for i in range(0, len(every), ROWS)])
        parts = []
        for first in range(0, n, ROWS):
            rows = every[first : min(n, first + ROWS)]
            mean = inner[self._near[rows]].mean(1)
            parts.append(self.second(torch.cat([inner[rows], mean], -1)))
        z = unit(torch.cat(parts).numpy())
        linked = np.bincount(material.links[0], minlength=n) > 0
        has_place = self._warm | linked
        z = np.where(has_place[:, None], z, 0).astype(np.float32)
        one, often = prior_columns(material.counts, has_place, self.recipe.prior)
        ahead, behind = (np.concatenate([z, column], axis=1) for column in (one, often))
        widths = (int(z.shape[1]), 1)
        places = SongVectors(ahead=ahead, behind=behind, parts=widths, has_place=has_place)
        return scaled(places, material.plays, self._warm, (1.0,))


def neighbour_table(material: GraphMaterial, rng: np.random.Generator, *, most: int) -> Int64Array:
    """Return sampled neighbours of each entity, (entities, most), with replacement; itself if none.

    For a song that has both, half are songs that it shares lists with, and half are entities of its
    facts; for an entity, they are songs in lists.
    """
    n = material.n_entities
    found = np.repeat(np.arange(n, dtype=np.int64)[:, None], most, axis=1)
    song, _, entity, _ = material.links
    warm = material.counts > 0
    # From an entity, link only to songs in lists: the others carry no information.
    live = warm[song]
    ends = (np.concatenate([song, entity[live]]), np.concatenate([entity, song[live]]))
    order = np.argsort(ends[0], kind="stable")
    begin, end = ends[0][order], ends[1][order]
    counts = np.bincount(begin, minlength=n)
    first = np.cumsum(counts) - counts
    linked = counts > 0
    place = (rng.random((int(linked.sum()), most)) * counts[linked][:, None]).astype(np.int64)
    found[linked] = end[first[linked][:, None] + place]
    if warm.any():
        steps = list_walks(material.plays, rng, walks=most, length=2)
        pairs = steps.song.reshape(-1, most, 2)
        rows = pairs[:, 0, 0].astype(np.int64)
        half = np.where(linked[rows], most // 2, most)
        wanted = np.arange(most) < half[:, None]
        found[rows] = np.where(wanted, pairs[:, :, 1], found[rows])
    return found
