"""Base class of the graph channels: a space of songs, and the facts that explain it.

lists and facts ──train──▶ `SongVectors` ──mean of a history──▶ similarities
                                    ──why──▶ what two songs have in common
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import Bundle, texts_as_arrays, texts_of_arrays
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import type_of
from audiorec.recall.contract.channel import FitRun, Tensors
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.trained import Trained
from audiorec.recall.graph.material import PEOPLE, GraphMaterial, material_of
from audiorec.recall.graph.recipe import GraphRecipe, result_settings
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.types import FloatArray, Int64Array

R = TypeVar("R", bound=GraphRecipe)


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
    def _train(
        self, material: GraphMaterial, **options: Any
    ) -> "tuple[SongVectors, list[Any]] | None":
        """Train; see `audiorec.recall.graph.learner.train_pairs`."""

    def _fit(self, data: RecallData, **run: Unpack[FitRun]) -> None:
        from audiorec.learning.machine import import_torch

        import_torch(f"training {self.name}")
        material = material_of(data, neighbours=self.recipe.neighbours)
        trained = self._train(material, **run)
        if trained is None:  # stopped: no model to answer with
            self.song_ids = ()
            return
        self.song_vectors, self.history = trained
        self.trained = _trained(self.history)
        self._keep_facts(material)

    def _keep_facts(self, material: GraphMaterial) -> None:
        """Keep the facts of songs for `why`, leaving out users and lists."""
        song, relation, entity, _ = material.links
        names = [*(f"song:{s}" for s in material.song_ids), *material.entities]
        told = np.array([type_of(name) not in PEOPLE for name in names], np.bool_)
        song, relation, entity = (a[told[entity]] for a in (song, relation, entity))
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
        found = np.full(song.shape, -1, np.int64)
        places, histories = self.song_vectors, self._recent(histories)
        rows = places.ahead[:, : places.parts[0]]
        for row in np.flatnonzero(histories.lengths).tolist():
            own = np.unique(histories[row])
            own = own[places.has_place[own]]
            there = song[row] >= 0
            if len(own):
                near = rows[song[row, there]] @ rows[own].T
                found[row, there] = own[near.argmax(axis=1)]
        return found

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
        )
        channel.relations = tuple(bundle.config["relations"])
        channel.entities = texts_of_arrays("things", tensors)
        channel.link_starts = tensors["link_starts"]
        channel.link_relation = tensors["link_relation"]
        channel.link_thing = tensors["link_thing"]
        return channel


def _trained(lines: Sequence[Mapping[str, Any]]) -> Trained:
    """Return the summary of a training, given the log lines of its epochs."""
    judged = [line for line in lines if "held_out_recall" in line]
    best = max(judged, key=lambda line: float(line["held_out_recall"]), default={})
    return Trained(
        figures={"held_out_recall": float(best["held_out_recall"])} if best else {},
        judged_on="hidden songs of some lists; it chose the number of epochs" if best else "",
        epochs=int(best.get("epoch", lines[-1]["epoch"] if lines else 0)),
        steps=int(lines[-1].get("steps", 0)) if lines else 0,
        lines=lines,
    )
