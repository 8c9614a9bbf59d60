"""Song2vec with TransE: two tables of songs and things, and a step for each relation.

    v: songs and things   ┐ skip-gram: v_w . u_c of songs that stand together
    u: the same as context┘ TransE in each of the two, with relations of its own

Both tables take part in the relations, so that a song without a list has a place in both: where
its artist is, less the step that leads there (h = t - r).

The start is not chance alone: each list is a random direction, a song the mean of its lists, a
thing the mean of its songs. Songs that stand together begin near each other, which saves most of
the epochs that a start at zero spends on finding that out.
"""

import numpy as np
import torch
from torch import Tensor, nn

from audiorec.learning.seeds import generator
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import Places, scaled, unit
from audiorec.recall.graph.recipe import GraphRecipe, Song2vecRecipe
from audiorec.recall.graph.transe import Corruption, relation_loss
from audiorec.types import BoolArray, FloatArray

START = 7  # what random numbers are for, beside those of the learner
SMALL = 0.5  # over the dimension: the spread of the part of the start that is chance


class Song2vecModel(nn.Module):
    """The tables; see the head of this module."""

    def __init__(self, material: GraphMaterial, recipe: Song2vecRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        rng = generator(recipe.seed, START)
        start = first_vectors(material, recipe, rng)
        n_relations = max(1, len(material.facts.relations))
        self.vectors = table(start)
        self.contexts = table(start)
        self.relations = table(np.zeros((2 * n_relations, recipe.dimension), np.float32))
        used = recipe.gamma > 0 and len(material.facts) > 0
        self._facts = Corruption(material.facts) if used else None
        self._n_relations = n_relations

    def both(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `audiorec.recall.graph.learner.PairModel`."""
        return self.vectors(songs), self.contexts(songs), self.contexts(drawn)

    def further_loss(self, rng: np.random.Generator) -> Tensor | None:
        """Return gamma times TransE in both tables."""
        if self._facts is None:
            return None
        head, relation, tail, *false = (
            torch.from_numpy(a) for a in self._facts.draw(self.recipe.facts, rng)
        )
        found = torch.zeros(())
        for number, things in enumerate((self.vectors, self.contexts)):
            step = self.relations(relation + number * self._n_relations)
            h, t, false_h, false_t = (things(a) for a in (head, tail, *false))
            margin = self.recipe.margin
            found = found + relation_loss(h, step, t, false_h, false_t, margin=margin)
        return self.recipe.gamma * found

    def places(self, material: GraphMaterial) -> Places:
        """Place songs that stand in lists by their vectors, the others by their facts."""
        vectors, contexts, relations = (
            t.weight.detach().numpy() for t in (self.vectors, self.contexts, self.relations)
        )
        warm = material.counts > 0
        n, steps = material.n_songs, np.split(relations, 2)
        near, far = unit(vectors[:n]), contexts[:n].copy()
        has_place = warm
        if self._facts is not None:
            by_facts, placed = placed_by_facts(material, vectors, steps[0], warm)
            as_context, _ = placed_by_facts(material, contexts, steps[1], warm)
            length = float(np.median(np.linalg.norm(far[warm], axis=1)))
            near = np.where(warm[:, None], near, by_facts)
            far = np.where(warm[:, None], far, as_context * length)
            has_place = warm | placed
        raw = np.where(warm[:, None], vectors[:n], near)
        ahead, behind = (
            np.where(has_place[:, None], np.concatenate(pair, axis=1), 0).astype(np.float32)
            for pair in ((near, raw), (near, far))
        )
        width = vectors.shape[1]
        places = Places(ahead=ahead, behind=behind, parts=(width, width), has_place=has_place)
        return scaled(places, material.plays, warm, (1.0, 1.0))


def first_vectors(
    material: GraphMaterial, recipe: GraphRecipe, rng: np.random.Generator
) -> FloatArray:
    """Return where things begin: (things, D), songs of length about 1."""
    width = recipe.dimension
    plays = material.plays
    found = rng.uniform(-SMALL / width, SMALL / width, (material.n_things, width))
    lists = rng.normal(size=(len(plays), width)) / np.sqrt(width)
    sums = np.zeros((material.n_songs, width))
    np.add.at(sums, plays.song, lists[plays.owner])
    songs = unit(sums.astype(np.float32)).astype(np.float64)
    of_things = np.zeros((material.n_things, width))
    song, _, thing, weight = material.links
    np.add.at(of_things, thing, songs[song] * weight[:, None])
    of_things[: material.n_songs] = songs
    return (found + unit(of_things.astype(np.float32))).astype(np.float32)


def placed_by_facts(
    material: GraphMaterial, table: FloatArray, steps: FloatArray, warm: BoolArray
) -> tuple[FloatArray, BoolArray]:
    """Place songs by what is known of them, where the relations and the songs of lists say.

    The direction halfway between two: the mean of t - r, or h + r, of a song's facts, and the mean
    of the songs of lists that have the same facts (in a pilot either alone found less). Only
    things that a song of some list is linked to say anything; one counts less the more it has.

    Returns
    -------
    place : ndarray, shape (S, D), float32
        Of unit length, zeros where nothing is known.
    placed : ndarray, shape (S,), bool
    """
    song, relation, thing, weight = material.links
    n, n_relations = material.n_songs, len(material.facts.relations)
    of_warm = np.bincount(thing[warm[song]], minlength=material.n_things)
    known = np.where(thing < n, warm[np.minimum(thing, n - 1)], of_warm[thing] > 0)
    song, relation, thing = (a[known] for a in (song, relation, thing))
    sign = np.where(relation < n_relations, -1.0, 1.0)
    step = steps[relation % max(1, n_relations)] if len(relation) else steps[:0]
    heavy = weight[known] / np.sqrt(np.maximum(1, of_warm[thing]))
    units = unit(table)
    alike = np.zeros((material.n_things, table.shape[1]))
    links = material.links
    live = warm[links[0]]
    np.add.at(alike, links[2][live], units[links[0][live]].astype(np.float64))
    alike[:n] = units[:n]  # a thing that is a song stands for itself
    place = np.zeros((n, table.shape[1]), np.float32)
    for ends in (units[thing] + sign[:, None] * step, unit(alike.astype(np.float32))[thing]):
        sums = np.zeros((n, table.shape[1]))
        np.add.at(sums, song, ends * heavy[:, None])
        place += unit(sums.astype(np.float32))
    place = unit(place)
    return place, np.asarray(place.any(axis=1), np.bool_)


def table(start: FloatArray, *, sparse: bool = True) -> nn.Embedding:
    """Return rows that are learnt; with `sparse`, a step costs only the rows that it touches."""
    made = nn.Embedding(len(start), start.shape[1], sparse=sparse)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.ascontiguousarray(start, np.float32)))
    return made
