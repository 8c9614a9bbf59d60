"""Song2vec with TransE: two tables of songs and entities, and a vector for each relation.

    v: songs and entities   ┐ skip-gram: v_w . u_c of songs that co-occur
    u: the same as context┘ TransE in each of the two, with separate relations

Both tables are trained on the facts. A song without a list gets a vector in both from its facts
(`audiorec.recall.graph.fact_vectors`).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiorec.learning.machine import generator
from audiorec.recall.graph.fact_vectors import vectors_from_facts
from audiorec.recall.graph.initialisation import initial_vectors
from audiorec.recall.graph.learner import PairModel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import Song2vecRecipe
from audiorec.recall.graph.song_vectors import ROWS, SongVectors, prior_columns, scaled, unit
from audiorec.recall.graph.tables import trainable, trainable_copy, zero_array, zero_rows
from audiorec.recall.graph.transe import Corruption, relation_loss

START = 7  # a purpose of random numbers, beside those of the learner


class Song2vecModel(PairModel):
    """The tables of Song2vec; see the module docstring."""

    def __init__(
        self, material: GraphMaterial, recipe: Song2vecRecipe, room: Path | None = None
    ) -> None:
        super().__init__()
        self.recipe, self._room = recipe, room
        vectors, contexts = (
            zero_rows(room, material.n_entities, recipe.dimension) for _ in range(2)
        )
        initial_vectors(material, generator(recipe.seed, START), vectors.numpy())
        for first in range(0, len(vectors), ROWS):
            contexts[first : first + ROWS] = vectors[first : first + ROWS]
        self.vectors, self.contexts = trainable(vectors), trainable(contexts)
        n_relations = max(1, len(material.facts.relations))
        self.relations = trainable_copy(np.zeros((2 * n_relations, recipe.dimension), np.float32))
        used = recipe.gamma > 0 and len(material.facts) > 0
        self._facts = Corruption(material.facts) if used else None
        self._n_relations = n_relations

    def vectors_and_contexts(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `PairModel`."""
        found = self.contexts(torch.cat([songs.ravel(), drawn]))
        own, others = found[: songs.numel()], found[songs.numel() :]
        return self.vectors(songs), own.view(*songs.shape, -1), others

    def extra_loss(self, rng: np.random.Generator) -> Tensor | None:
        """Return gamma times the TransE loss of both tables."""
        if self._facts is None:
            return None
        drawn = self._facts.draw(self.recipe.facts, rng)
        ends = torch.from_numpy(np.stack([drawn.head, drawn.tail, drawn.other]))
        relation = torch.from_numpy(drawn.relation)
        steps = self.relations(torch.stack([relation, relation + self._n_relations]))
        is_head = torch.from_numpy(drawn.is_head)
        found = torch.zeros(())
        for entities, step in zip((self.vectors, self.contexts), steps, strict=True):
            head, tail, other = entities(ends)
            found = found + relation_loss(
                head, step, tail, other, is_head=is_head, margin=self.recipe.margin
            )
        return self.recipe.gamma * found

    def song_vectors(self, material: GraphMaterial, *, cold: bool = True) -> SongVectors:
        """Place songs in lists by their vectors and, with `cold`, the others by their facts."""
        vectors, contexts, relations = (
            t.weight.detach().numpy() for t in (self.vectors, self.contexts, self.relations)
        )
        n, width = material.n_songs, vectors.shape[1]
        warm = material.counts > 0
        ahead, behind = (zero_array(self._room, n, 2 * width + 1) for _ in range(2))
        for first in range(0, n, ROWS):
            part = slice(first, min(n, first + ROWS))
            live = warm[part, None]
            near = np.where(live, unit(vectors[part]), 0)
            ahead[part, :width] = behind[part, :width] = near
            ahead[part, width:-1] = np.where(live, vectors[part], 0)
            behind[part, width:-1] = np.where(live, contexts[part], 0)
        has_place = warm.copy()
        if cold and self._facts is not None:
            songs = np.flatnonzero(~warm)
            steps = np.split(relations, 2)
            share = self.recipe.by_relation
            placed, _ = vectors_from_facts(
                material, vectors, steps[0], warm, songs, by_relation=share
            )
            ahead[songs, :width] = ahead[songs, width:-1] = behind[songs, :width] = placed
            placed, length = vectors_from_facts(
                material, contexts, steps[1], warm, songs, by_relation=share
            )
            behind[songs, width:-1] = placed * length[:, None]
            found = placed.any(axis=1)
            has_place[songs[found]] = True
        columns = prior_columns(material.counts, has_place, self.recipe.prior)
        ahead[:, -1:], behind[:, -1:] = columns
        places = SongVectors(
            ahead=ahead, behind=behind, parts=(width, width, 1), has_place=has_place
        )
        return scaled(places, material.plays, warm, (1.0, 1.0))
