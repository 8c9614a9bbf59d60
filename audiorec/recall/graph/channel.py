"""The graph channels: a space of songs, the facts that explain it, and what two songs share.

    lists and facts ──train──▶ `SongVectors` ──mean of a history──▶ similarities
    channel, a song ──near_song──▶ `NearSong`: similarity, shared facts, sound, shared lists

A song without a list gets a vector from its facts; it is ranked apart and marked as cold.
"""

import json
from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import Bundle, texts_as_arrays, texts_of_arrays
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import type_of
from audiorec.recall.contract.channel import Tensors, Trained, nearest_played
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.warm import JUDGED_ON_NEW, Start
from audiorec.recall.graph.material import (
    PEOPLE,
    EGESRecipe,
    GraphMaterial,
    GraphRecipe,
    GraphSAGERecipe,
    Song2vecRecipe,
    WalkRecipe,
    list_walks,
    material_of,
    result_settings,
)
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.types import FloatArray, IdMap, Int64Array

if TYPE_CHECKING:
    from audiorec.recall.graph.learner import PairModel, TrainedVectors
    from audiorec.recall.graph.models import BegunVectors

R = TypeVar("R", bound=GraphRecipe)


JUDGED_ON = "hidden songs of some lists; it chose the number of epochs"


class GraphChannel(SharedSpace, Generic[R]):
    """A channel whose song vectors come from the lists that songs share and from their facts.

    Attributes
    ----------
    Recipe : type
    places : SongVectors
        Set by `fit`.
    """

    Recipe: ClassVar[type]
    hears = "nothing"
    people = "Vectors and facts of songs: no id and no history of a user, no name of a list."

    def __init__(self, recipe: R | None = None) -> None:
        self.recipe: R = self.Recipe() if recipe is None else recipe

    @abstractmethod
    def _train(self, material: GraphMaterial, **options: Any) -> "TrainedVectors | None":
        """Train; see `audiorec.recall.graph.learner.train_pairs`."""

    def _fit(self, data: RecallData, **run: Any) -> None:
        from audiorec.learning.machine import import_torch

        import_torch(f"training {self.name}")
        material = material_of(data, neighbours=self.recipe.neighbours)
        trained = self._train(material, **run)
        if trained is None:  # stopped: no model to answer with
            self.song_ids = ()
            return
        self.song_vectors, done = trained
        self.trained = Trained.of(done, judged_on=JUDGED_ON_NEW if "start" in run else JUDGED_ON)
        self._keep_facts(material)

    def _keep_facts(self, material: GraphMaterial) -> None:
        """Keep the facts of songs for `why`, leaving out users and lists."""
        song, relation, entity, _ = material.links
        names = [*(f"song:{s}" for s in material.song_ids), *material.entities]
        is_fact = np.array([type_of(name) not in PEOPLE for name in names], np.bool_)
        song, relation, entity = (a[is_fact[entity]] for a in (song, relation, entity))
        entities, number = np.unique(entity, return_inverse=True)
        self.entities = tuple(names[n] for n in entities.tolist())
        relations = material.facts.relations
        self.relations = (*relations, *(f"{name} of" for name in relations))
        self.link_starts = np.searchsorted(song, np.arange(material.n_songs + 1))
        self.link_relation, self.link_thing = relation.astype(np.int32), number.astype(np.int32)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed each history as the mean of its songs; see `SharedSpace`."""
        return self.song_vectors.users(self._recent(queries.histories.among(self.song_ids)))

    def song_embeddings(self) -> FloatArray:
        """Return the rows that histories are compared with; see `SharedSpace`."""
        return self.song_vectors.behind

    def embed_sound(self, sound: Sound) -> FloatArray:  # noqa: ARG002 - always refused
        """Raise `InputError`: songs are placed by lists and facts; see `SharedSpace`."""
        raise InputError(f"{self.name}: places songs by lists and facts, not by sound")

    def facts_of(self, song: int) -> set[tuple[str, str]]:
        """Return the facts of a song, given by its row: relations and typed ids of entities."""
        part = slice(int(self.link_starts[song]), int(self.link_starts[song + 1]))
        pairs = zip(self.link_relation[part].tolist(), self.link_thing[part].tolist(), strict=True)
        return {(self.relations[r], self.entities[t]) for r, t in pairs}

    def _similarities(self, queries: Queries) -> FloatArray:
        return self.song_vectors.similarities(self._recent(queries.histories))

    def _recent(self, histories: Sequences) -> Sequences:
        """Return the newest `recent` entries of each history, or all of them."""
        recent = self.recipe.recent
        return histories if recent is None else histories.newest(recent)

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history whose vector is nearest to each candidate."""
        places, recent = self.song_vectors, self._recent(histories)
        owner, own, _ = recent.keep(places.has_place[recent.song]).distinct()
        known = Sequences.from_pairs(owner, own, recent.owner_ids, recent.song_ids)
        return nearest_played(known, song, places.ahead[:, : places.parts[0]])

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        places = self.song_vectors
        tensors: dict[str, Any] = {
            "ahead": places.ahead,
            "behind": places.behind,
            "has_place": places.has_place.astype(np.uint8),
            "link_starts": self.link_starts,
            "link_relation": self.link_relation,
            "link_thing": self.link_thing,
            **texts_as_arrays("things", self.entities),
        }
        config = {
            "recipe": json.loads(json.dumps(result_settings(self.recipe))),
            "parts": list(places.parts),
            "relations": list(self.relations),
            "scales": list(places.scales),
        }
        return tensors, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = cls(cls.Recipe(**bundle.config["recipe"]))
        tensors = bundle.tensors
        channel.song_vectors = SongVectors(
            ahead=tensors["ahead"],
            behind=tensors["behind"],
            parts=tuple(bundle.config["parts"]),
            has_place=tensors["has_place"].astype(np.bool_),
            scales=tuple(bundle.config.get("scales", ())),
        )
        channel.relations = tuple(bundle.config["relations"])
        channel.entities = texts_of_arrays("things", tensors)
        channel.link_starts = tensors["link_starts"]
        channel.link_relation = tensors["link_relation"]
        channel.link_thing = tensors["link_thing"]
        return channel


class Song2vec(GraphChannel[Song2vecRecipe]):
    """Songs near those of the history, by the lists they share and by artist, genre and sound.

    L = L_s + gamma L_r      skip-gram on the lists, and TransE on the facts; gamma 0: no graph
    """

    name = "song2vec"
    goes_on = True
    Recipe = Song2vecRecipe

    def _train(self, material: GraphMaterial, **options: Any) -> "TrainedVectors | None":
        from audiorec.recall.graph.learner import train_pairs
        from audiorec.recall.graph.models import NUMBER_BYTES, Song2vecModel, table_folder

        # Two tables in training, and a result that is twice as wide.
        n_bytes = (2 * material.n_entities + 4 * material.n_songs) * self.recipe.dimension
        room = table_folder(n_bytes * NUMBER_BYTES, self.recipe.tables, options.get("work"))
        start = options.get("start")
        begun = None if start is None else self._begun(start)
        make = partial(Song2vecModel, recipe=self.recipe, room=room, begun=begun)
        options |= {"purpose": "training song2vec", "keep_state": room is None}
        return train_pairs(material, self.recipe, make, **options)

    def _begun(self, start: Start) -> "BegunVectors":
        """Return the tables of a trained channel, as far as they are of songs."""
        from audiorec.recall.graph.models import BegunVectors

        places: SongVectors = start.channel.song_vectors
        if len(places.scales) < 2 or not places.scales[1] > 0:
            raise InputError(
                f"{self.name}: the model to go on from was written by an earlier version: train "
                "without --from once"
            )
        context = slice(places.parts[0], sum(places.parts[:2]))
        return BegunVectors(
            vectors=start.rows(places.ahead[:, context]),
            contexts=start.rows(places.behind[:, context]) / np.float32(places.scales[1]),
            learnt=start.learnt,
        )


W = TypeVar("W", bound=WalkRecipe)


class WalkChannel(GraphChannel[W]):
    """A channel that learns from random walks over lists."""

    @abstractmethod
    def _model(self, material: GraphMaterial) -> "PairModel":
        """Return the untrained model."""

    def _train(self, material: GraphMaterial, **options: Any) -> "TrainedVectors | None":
        from audiorec.recall.graph.learner import train_pairs

        recipe, purpose = self.recipe, f"training {self.name}"

        def walked(of: GraphMaterial, rng: np.random.Generator) -> Sequences:
            return list_walks(of.plays, rng, walks=recipe.walks, length=recipe.walk_length)

        return train_pairs(material, recipe, self._model, purpose=purpose, walks=walked, **options)


class EGES(WalkChannel[EGESRecipe]):
    """Songs near those of the history, by random walks over lists and weighted facts (EGES).

    A song's vector is the weighted mean of its own embedding and those of its facts:

        H_v = sum over j of e^(a_v^j) W_v^j / sum over j of e^(a_v^j)       j = 0: own, 1 ...: facts

    Each song has its own weight a_v^j for each of its facts. The training sentences are random
    walks over co-occurring songs, with a window of five; contexts Z have a separate table. A song
    without a list is represented by the mean of its facts.

    Source: Wang et al., *Billion-scale commodity embedding for e-commerce recommendation in
    Alibaba*, 2018.
    """

    name = "eges"
    Recipe = EGESRecipe

    def _model(self, material: GraphMaterial) -> "PairModel":
        from audiorec.recall.graph.models import EGESModel

        return EGESModel(material, self.recipe)


class GraphSAGE(WalkChannel[GraphSAGERecipe]):
    """Songs near those of the history, by their neighbours in the graph (GraphSAGE).

    A song's vector is aggregated from itself and its neighbours, two steps deep:

        h_1 = s(W_1 [h_0 ; mean of h_0 of neighbours])     z = W_2 [h_1 ; mean of h_1 of neighbours]

    A song's neighbours are the songs that it shares lists with and the entities of its facts; an
    entity's neighbours are its songs. Each step samples a few of them. Songs near each other on a
    random walk over lists are trained to have similar vectors, dissimilar to those of sampled
    songs. A song without a list gets its vector from the entities of its facts and their songs.

    Source: Hamilton, Ying, Leskovec, *Inductive representation learning on large graphs*, 2017.
    """

    name = "graphsage"
    Recipe = GraphSAGERecipe

    def _model(self, material: GraphMaterial) -> "PairModel":
        from audiorec.recall.graph.models import SageModel

        return SageModel(material, self.recipe)


MOST_SHOWN = 5  # lists


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSong:
    """A song near another song, and what the two share.

    Attributes
    ----------
    song_id : str
    similarity : float
    cold : bool
        Whether it is in no list, so that its place comes from its facts alone.
    shared : tuple of str
        ``by artist:ayla``: a fact of both; ``sounds_like``: a fact that links the two.
    lists : tuple of str
        Some of the lists that both are in, the shortest first; empty without a log.
    n_lists : int
        Number of all such lists.
    """

    song_id: str
    similarity: float
    cold: bool
    shared: tuple[str, ...]
    lists: tuple[str, ...]
    n_lists: int


def near_song(
    channel: GraphChannel,  # type: ignore[type-arg]
    song_id: str,
    k: int,
    *,
    cold: int = 0,
    lists: Sequences | None = None,
) -> list[NearSong]:
    """Return the songs nearest to a song, and what each has in common with it.

    Vectors say that two songs are near, but not why. What they share is looked up: entities that
    both have facts with, facts that link the two, and, if a log is given, the lists that both are
    in.

    Parameters
    ----------
    channel : GraphChannel
        Fitted or loaded.
    song_id : str
    k, cold : int
        Number of songs in lists and, after them, of songs in none.
    lists : Sequences, optional
        Where to look up shared lists.

    Raises
    ------
    InputError
        If the song is unknown to the model, or has no place: no list and no fact.
    """
    row = int(IdMap(channel.song_ids).rows([song_id])[0])
    if row < 0:
        raise InputError(f"the model does not know a song {song_id!r}: use an id from its log")
    if not channel.song_vectors.has_place[row]:
        raise InputError(f"{song_id!r} is in no list and has no fact, so the model cannot place it")
    asked = Sequences.from_lists([[song_id]])
    result = channel.recall(Queries(asked), k, exclude=asked, cold=cold)
    own = channel.facts_of(row)
    itself = f"song:{song_id}"
    near: list[NearSong] = []
    stands_in = _lists_of(lists)
    for song, similarity, is_cold in zip(
        result.song[0].tolist(), result.similarity[0].tolist(), result.cold[0].tolist(), strict=True
    ):
        if song < 0:
            continue
        name = channel.song_ids[song]
        theirs = channel.facts_of(song)
        common = sorted(f"{relation} {entity}" for relation, entity in own & theirs)
        common += sorted({r.removesuffix(" of") for r, entity in theirs if entity == itself})
        both = stands_in.get(song_id, frozenset()) & stands_in.get(name, frozenset())
        shown = sorted(both, key=lambda at: (int(lists.lengths[at]), at)) if lists else []
        titles = tuple(lists.owner_ids[at] for at in shown[:MOST_SHOWN]) if lists else ()
        near.append(
            NearSong(
                song_id=name,
                similarity=similarity,
                cold=is_cold,
                shared=tuple(common),
                lists=titles,
                n_lists=len(both),
            )
        )
    return near


def _lists_of(lists: Sequences | None) -> dict[str, frozenset[int]]:
    """Return the lists of each song, by song id."""
    if lists is None:
        return {}
    order = np.argsort(lists.song, kind="stable")
    song, owner = lists.song[order], lists.owner[order]
    cuts = np.flatnonzero(np.diff(song)) + 1
    groups = zip(np.split(song, cuts), np.split(owner, cuts), strict=True)
    return {
        lists.song_ids[int(songs[0])]: frozenset(owners.tolist())
        for songs, owners in groups
        if len(songs)
    }
