"""The graph channels: a space of songs, by the lists that they share and by their facts.

    lists and facts ──train──▶ `SongVectors` ──mean of a history──▶ similarities

A song without a list gets a vector from its facts; it is ranked apart and marked as cold.
"""

import json
from abc import abstractmethod
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import Bundle
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Tensors, Trained, nearest_played
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.warm import JUDGED_ON_NEW, Start
from audiorec.recall.graph.material import (
    EGESRecipe,
    GraphMaterial,
    GraphRecipe,
    GraphSAGERecipe,
    Song2vecRecipe,
    WalkRecipe,
    list_walks,
    material_of,
)
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.types import FloatArray, Int64Array

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
    needs_torch = True
    people = "Vectors of songs: no id and no history of a user, no name of a list."

    def __init__(self, recipe: R | None = None) -> None:
        self.recipe: R = self.Recipe() if recipe is None else recipe

    @abstractmethod
    def _train(self, material: GraphMaterial, **options: Any) -> "TrainedVectors | None":
        """Train; see `audiorec.recall.graph.learner.train_pairs`."""

    def _fit(self, data: RecallData, **run: Any) -> None:
        material = material_of(data, neighbours=self.recipe.neighbours)
        trained = self._train(material, **run)
        if trained is None:  # stopped: no model to answer with
            self.song_ids = ()
            return
        self.song_vectors, done = trained
        self.trained = Trained.of(done, judged_on=JUDGED_ON_NEW if "start" in run else JUDGED_ON)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed each history as the mean of its songs; see `SharedSpace`."""
        return self.song_vectors.users(self._recent(queries.histories.among(self.song_ids)))

    def song_embeddings(self) -> FloatArray:
        """Return the rows that histories are compared with; see `SharedSpace`."""
        return self.song_vectors.behind

    def embed_sound(self, sound: Sound) -> FloatArray:  # noqa: ARG002 - always refused
        """Raise `InputError`: songs are placed by lists and facts; see `SharedSpace`."""
        raise InputError(f"{self.name}: places songs by lists and facts, not by sound")

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
        }
        config = {
            "recipe": json.loads(json.dumps(asdict(self.recipe))),
            "parts": list(places.parts),
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
        from audiorec.recall.graph.models import Song2vecModel

        start = options.get("start")
        begun = None if start is None else self._begun(start)
        make = partial(Song2vecModel, recipe=self.recipe, begun=begun)
        return train_pairs(material, self.recipe, make, purpose="training song2vec", **options)

    def _begun(self, start: Start) -> "BegunVectors":
        """Return the tables of a trained channel, as far as they are of songs."""
        from audiorec.recall.graph.models import BegunVectors

        places: SongVectors = start.channel.song_vectors
        if len(places.scales) < 2 or not places.scales[1] > 0:
            raise InputError(
                f"{self.name}: the model to go on from was written by an earlier version: train "
                "without `start` once"
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
