"""The three graph models in torch, their tables, and TransE.

    facts ──Corruption.draw──▶ true and false facts ──relation_loss──▶ TransE
    `GraphMaterial` ──Song2vecModel, EGESModel, SageModel──▶ vectors and contexts of songs

`audiorec.recall.graph.learner` trains them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.machine import generator
from audiorec.recall.graph.learner import PairModel
from audiorec.recall.graph.material import (
    EGESRecipe,
    Facts,
    GraphMaterial,
    GraphSAGERecipe,
    Song2vecRecipe,
    list_walks,
)
from audiorec.recall.graph.song_vectors import (
    ROWS,
    SongVectors,
    go_on_from,
    initial_vectors,
    prior_columns,
    scaled,
    vectors_from_facts,
)
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, nth, unit


def trainable(rows: Tensor, *, sparse: bool = True) -> nn.Embedding:
    """Wrap rows as a trainable table; with `sparse`, a step costs only the rows that it uses."""
    return nn.Embedding(len(rows), rows.shape[1], sparse=sparse, _weight=rows)


def trainable_copy(start: FloatArray, *, sparse: bool = True) -> nn.Embedding:
    """Copy an array into a trainable table in memory."""
    return trainable(torch.from_numpy(np.array(start, np.float32)), sparse=sparse)


class Corruption:
    """Sampler of facts and of a corrupted version of each.

    Relations are sampled by their number of heads, and facts within one by weight: ten songs that
    sound like a song do not drown out its one artist.

    Either the head or the tail of a fact is replaced by another of the same relation: the head with
    probability tph / (tph + hpt), where tph is tails per head and hpt heads per tail, so that for
    many songs of one genre the genre is replaced more often (Bernoulli corruption; Wang et al.,
    *TransH*, 2014).
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        weight = facts.weight.astype(np.float64)
        n = len(facts.relations)
        self.replaces_head = np.zeros(n)
        pools: list[list[Int64Array]] = [[], []]
        for relation in range(n):
            of = facts.relation == relation
            heads, tails = np.unique(facts.head[of]), np.unique(facts.tail[of])
            pools[0].append(heads)
            pools[1].append(tails)
            # facts / heads = tph, facts / tails = hpt
            weight[of] *= len(heads) / max(weight[of].sum(), 1e-9)
            self.replaces_head[relation] = len(tails) / max(1, len(heads) + len(tails))
        self._until = np.cumsum(weight)
        self._pools = [np.concatenate([np.empty(0, np.int64), *p]) for p in pools]
        sizes = [np.array([len(one) for one in p], np.int64) for p in pools]
        self._sizes = sizes
        self._first = [np.cumsum(s) - s for s in sizes]

    def draw(self, n: int, rng: np.random.Generator) -> "DrawnFacts":
        """Sample `n` facts, and a replacement for one end of each."""
        at = np.searchsorted(self._until, rng.random(n) * self._until[-1], side="right")
        at = np.minimum(at, len(self._until) - 1)
        facts = self.facts
        head, relation, tail = facts.head[at], facts.relation[at], facts.tail[at]
        is_head = rng.random(n) < self.replaces_head[relation]
        other = np.where(is_head, *(self._other(end, relation, rng) for end in (0, 1)))
        return DrawnFacts(head, relation, tail, other, is_head)

    def _other(self, end: int, relation: Int64Array, rng: np.random.Generator) -> Int64Array:
        size: Float64Array = self._sizes[end][relation].astype(np.float64)
        place = (rng.random(len(relation)) * size).astype(np.int64)
        return self._pools[end][self._first[end][relation] + place]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFacts:
    """n facts, each with a corrupted end: `other` replaces the head where `is_head`."""

    head: Int64Array
    relation: Int64Array
    tail: Int64Array
    other: Int64Array
    is_head: BoolArray


def relation_loss(
    head: Tensor, relation: Tensor, tail: Tensor, other: Tensor, *, is_head: Tensor, margin: float
) -> Tensor:
    """Return the mean loss of TransE over facts: all tensors (n, D).

    A relation is a translation from head to tail, h + r = t; false facts lie farther off:

        L_r = mean over facts of [ m + |h + r - t|^2 - |h' + r - t'|^2 ]_+

    h and t are scaled to unit length only here: the skip-gram's vectors keep their length, which
    reflects how often a song is played. Source: Bordes et al., *Translating embeddings*, 2013.

    Parameters
    ----------
    other : Tensor, shape (n, D)
        The corrupted end: replaces the head where `is_head` (n,), else the tail.

    Examples
    --------
    >>> east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    >>> none, is_tail = torch.zeros(1, 2), torch.tensor([False])
    >>> float(relation_loss(east, none, east, north, is_head=is_tail, margin=1.0))  # 1 + 0 - 2
    0.0
    >>> float(relation_loss(east, none, north, east, is_head=is_tail, margin=1.0))  # 1 + 2 - 0
    3.0
    """
    h, t, o = (functional.normalize(x, dim=-1) for x in (head, tail, other))
    true = (h + relation - t).square().sum(-1)
    end = is_head[:, None]
    false = (torch.where(end, o, h) + relation - torch.where(end, t, o)).square().sum(-1)
    return torch.relu(margin + true - false).mean()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BegunVectors:
    """The vectors of songs in a trained model, to go on from."""

    vectors: FloatArray  # (S, D)
    contexts: FloatArray  # (S, D)
    learnt: BoolArray  # (S,): songs that it has learnt from lists; the other rows are not read


START = 7  # a purpose of random numbers, beside those of the learner


class Song2vecModel(PairModel):
    """Song2vec with TransE: two tables of songs and entities, and a vector for each relation.

        v: songs and entities   ┐ skip-gram: v_w . u_c of songs that co-occur
        u: the same as context  ┘ TransE in each of the two, with separate relations

    A song without a list gets a vector in both tables from its facts
    (`audiorec.recall.graph.song_vectors`).
    """

    def __init__(
        self,
        material: GraphMaterial,
        recipe: Song2vecRecipe,
        begun: BegunVectors | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        vectors, contexts = (torch.zeros(material.n_entities, recipe.dimension) for _ in range(2))
        if begun is None:
            initial_vectors(material, generator(recipe.seed, START), vectors.numpy())
            for first in range(0, len(vectors), ROWS):
                contexts[first : first + ROWS] = vectors[first : first + ROWS]
        else:
            for table, of in ((vectors, begun.vectors), (contexts, begun.contexts)):
                rng = generator(recipe.seed, START)  # the same directions in both tables
                go_on_from(material, rng, of, begun.learnt, table.numpy())
        self.vectors, self.contexts = trainable(vectors), trainable(contexts)
        n_relations = max(1, len(material.facts.relations))
        self.relations = trainable_copy(np.zeros((2 * n_relations, recipe.dimension), np.float32))
        used = recipe.gamma > 0 and len(material.facts) > 0
        self._facts = Corruption(material.facts) if used else None
        self._n_relations = n_relations

    def vectors_and_contexts(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `PairModel`."""
        contexts = self.contexts(torch.cat([songs.ravel(), drawn]))
        own, others = contexts[: songs.numel()], contexts[songs.numel() :]
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
        loss = torch.zeros(())
        for entities, step in zip((self.vectors, self.contexts), steps, strict=True):
            head, tail, other = entities(ends)
            loss = loss + relation_loss(
                head, step, tail, other, is_head=is_head, margin=self.recipe.margin
            )
        return self.recipe.gamma * loss

    def song_vectors(self, material: GraphMaterial, *, cold: bool = True) -> SongVectors:
        """Place songs in lists by their vectors and, with `cold`, the others by their facts."""
        vectors, contexts = (t.weight.detach().numpy() for t in (self.vectors, self.contexts))
        n, width = material.n_songs, vectors.shape[1]
        warm = material.counts > 0
        ahead, behind = (np.zeros((n, 2 * width + 1), np.float32) for _ in range(2))
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
            placed, _ = vectors_from_facts(material, vectors, warm, songs)
            ahead[songs, :width] = ahead[songs, width:-1] = behind[songs, :width] = placed
            placed, length = vectors_from_facts(material, contexts, warm, songs)
            behind[songs, width:-1] = placed * length[:, None]
            result = placed.any(axis=1)
            has_place[songs[result]] = True
        columns = prior_columns(material.counts, has_place, self.recipe.prior)
        ahead[:, -1:], behind[:, -1:] = columns
        places = SongVectors(
            ahead=ahead, behind=behind, parts=(width, width, 1), has_place=has_place
        )
        return scaled(places, material.plays, warm, (1.0, 1.0))


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
        return (weight[..., None] * torch.cat([own, known], 1)).sum(1)

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
    place = nth(song)
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
    result = np.zeros((n, width))
    np.add.at(result, song, entities[entity].astype(np.float64))
    counts = np.bincount(song, minlength=n)
    return result / np.maximum(1, counts)[:, None], counts > 0


NEIGHBOURS = 8  # a purpose of random numbers, beside those of the learner
SAGE_ROWS = 8_192  # entities per block


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
        inner = torch.cat(
            [self._h(every[i : i + SAGE_ROWS], width) for i in range(0, len(every), SAGE_ROWS)]
        )
        parts = []
        for first in range(0, n, SAGE_ROWS):
            rows = every[first : min(n, first + SAGE_ROWS)]
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
    table = np.repeat(np.arange(n, dtype=np.int64)[:, None], most, axis=1)
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
    table[linked] = end[first[linked][:, None] + place]
    if warm.any():
        steps = list_walks(material.plays, rng, walks=most, length=2)
        pairs = steps.song.reshape(-1, most, 2)
        rows = pairs[:, 0, 0].astype(np.int64)
        half = np.where(linked[rows], most // 2, most)
        wanted = np.arange(most) < half[:, None]
        table[rows] = np.where(wanted, pairs[:, :, 1], table[rows])
    return table
