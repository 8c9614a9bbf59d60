"""The network of EGES; see `audiorec.recall.graph.eges`."""

import numpy as np
import torch
from torch import Tensor

from audiorec.learning.machine import generator
from audiorec.recall.graph.initialisation import initial_vectors
from audiorec.recall.graph.learner import PairModel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import EGESRecipe
from audiorec.recall.graph.song_vectors import ROWS, SongVectors, prior_columns, scaled, unit
from audiorec.recall.graph.tables import trainable_copy
from audiorec.recall.graph.vectors import START
from audiorec.types import BoolArray, Float64Array, Int64Array

OFF = -1e9  # logit of an empty slot


class EGESModel(PairModel):
    """Embeddings of songs and entities, weights of facts per song, and context embeddings."""

    def __init__(self, material: GraphMaterial, recipe: EGESRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self._things, there = slots_of(material, recipe.slots)
        self._facts, self._is_there = torch.from_numpy(self._things), torch.from_numpy(there)
        start = np.empty((material.n_entities, recipe.dimension), np.float32)
        initial_vectors(material, generator(recipe.seed, START), start)
        self.vectors, self.contexts = (
            trainable_copy(start),
            trainable_copy(start[: material.n_songs]),
        )
        self.weights = trainable_copy(np.zeros((material.n_songs, recipe.slots + 1), np.float32))

    def vectors_and_contexts(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `PairModel`."""
        rows, at = torch.unique(songs, return_inverse=True)
        return self._hidden(rows)[at], self.contexts(songs), self.contexts(drawn)

    def extra_loss(self, rng: np.random.Generator) -> None:
        """Return None: EGES has no further loss."""

    def _hidden(self, songs: Tensor) -> Tensor:
        """Return the aggregated vectors H of some songs, (n, D)."""
        own = self.vectors(songs)[:, None]
        known = self.vectors(self._facts[songs])
        weight = self.weights(songs).masked_fill(~self._is_there[songs], OFF).softmax(-1)
        hidden: Tensor = (weight[..., None] * torch.cat([own, known], 1)).sum(1)
        return hidden

    def song_vectors(self, material: GraphMaterial, *, cold: bool = True) -> SongVectors:  # noqa: ARG002
        """Place songs in lists by H and their context, all others by the mean of their facts."""
        n, warm = material.n_songs, material.counts > 0
        rows = torch.arange(n)
        parts = [self._hidden(rows[i : i + ROWS]) for i in range(0, n, ROWS)]
        hidden = torch.cat(parts).numpy()
        vectors, contexts = (t.weight.detach().numpy() for t in (self.vectors, self.contexts))
        mean, known = _mean_of_facts(material, vectors, warm)
        as_context, _ = _mean_of_facts(material, contexts, warm, of_songs=True)
        has_place = warm | known
        whole = np.where(warm[:, None], hidden, mean)
        far = np.where(warm[:, None], contexts, as_context)
        one, often = prior_columns(material.counts, has_place, self.recipe.prior)
        ahead = np.concatenate([unit(whole), whole, one], axis=1)
        behind = np.concatenate([unit(whole), far, often], axis=1)
        ahead, behind = (
            np.where(has_place[:, None], a, 0).astype(np.float32) for a in (ahead, behind)
        )
        width = whole.shape[1]
        places = SongVectors(
            ahead=ahead, behind=behind, parts=(width, width, 1), has_place=has_place
        )
        return scaled(places, material.plays, warm, (1.0, 1.0))


def slots_of(material: GraphMaterial, most: int) -> tuple[Int64Array, BoolArray]:
    """Return the entities of each song, (S, slots), and the filled slots, (S, 1 + slots).

    Slot 0 of the second is the song's own. Things with the fewest songs come first, since they are
    the most specific.
    """
    song, _, entity, _ = material.links
    of_entity = np.bincount(entity, minlength=material.n_entities)
    order = np.lexsort((entity, of_entity[entity], song))
    song, entity = song[order], entity[order]
    place = np.arange(len(song)) - np.searchsorted(song, song)
    kept = place < most
    entities = np.zeros((material.n_songs, most), np.int64)
    there = np.zeros((material.n_songs, most + 1), np.bool_)
    there[:, 0] = True
    entities[song[kept], place[kept]] = entity[kept]
    there[song[kept], place[kept] + 1] = True
    return entities, there


def _mean_of_facts(
    material: GraphMaterial, rows: Float64Array, warm: BoolArray, *, of_songs: bool = False
) -> tuple[Float64Array, BoolArray]:
    """Return the mean of each song's facts, (S, D), and which songs have any, (S,).

    Only entities that are linked to a song in a list count. With `of_songs`, an entity is
    represented by the mean of such songs' rows, for tables that have no row for entities.
    """
    song, _, entity, _ = material.links
    n, width = material.n_songs, rows.shape[1]
    live = warm[song]
    of_warm = np.bincount(entity[live], minlength=material.n_entities)
    if of_songs:
        sums = np.zeros((material.n_entities, width))
        np.add.at(sums, entity[live], rows[song[live]].astype(np.float64))
        entities = sums / np.maximum(1, of_warm)[:, None]
    else:
        entities = rows
    known = of_warm[entity] > 0
    song, entity = song[known], entity[known]
    found = np.zeros((n, width))
    np.add.at(found, song, entities[entity].astype(np.float64))
    counts = np.bincount(song, minlength=n)
    return found / np.maximum(1, counts)[:, None], counts > 0
