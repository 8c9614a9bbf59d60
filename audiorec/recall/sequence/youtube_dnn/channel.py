"""The user model as a channel: what was played becomes a user, and users lie near their songs.

    sequences ──each play and those before it──▶ training ──▶ `UsersModel`
    history   ──embed──▶ user (E,) ──dot product with all songs──▶ similarities

A play is an example, its place in the sequence its time: how old a play is, counts in plays.
A song without a play that learning reached has no embedding of its own. Where songs have
vectors, it gets the one that a ridge regression from vectors to learnt embeddings gives.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import Bundle, texts_of_arrays
from audiorec.listening.history import DAY_S, Likes
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import Channel, Tensors
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.sequence.youtube_dnn.examples import UsersData, held_out
from audiorec.recall.sequence.youtube_dnn.model import (
    Catalogue,
    UsersModel,
    of_unit_length,
    standardised,
)
from audiorec.recall.sequence.youtube_dnn.profiles import no_profiles
from audiorec.recall.sequence.youtube_dnn.recipe import HoldOut, UsersRecipe
from audiorec.types import BoolArray, FloatArray, LineProgress

RIDGE = 0.1  # of the map from vectors to embeddings, as a multiple of the mean eigenvalue


@dataclass(frozen=True, slots=True, kw_only=True)
class YoutubeDnnRecipe(UsersRecipe):
    """The settings of the user model, learnt from plays in their order.

    Attributes
    ----------
    half_life_days : float or None
        In plays here: after so many more, a play counts half.
    popularity : float
        How much of a song's learnt popularity counts in its similarity; 0: its cosine alone.
    """

    half_life_days: float | None = 4.0
    hold_out: HoldOut = "later"
    batch_size: int = 1_024
    popularity: float = 1.0


class YoutubeDnn(Channel):
    """Songs near the user that a network makes of the history, new ones by their sound."""

    name = "youtube-dnn"
    serves = frozenset({"history", "cold_song"})
    horizon = "long"
    reason = ReasonKind.TASTE
    Recipe = YoutubeDnnRecipe

    def __init__(self, recipe: YoutubeDnnRecipe | None = None) -> None:
        self.recipe = recipe or YoutubeDnnRecipe()

    def _fit(
        self,
        data: RecallData,
        *,
        work: Path | None,
        progress: LineProgress | None,
        stop: Event | None,
    ) -> None:
        from audiorec.learning.torch_use import import_torch

        import_torch("training youtube-dnn")
        from audiorec.recall.sequence.youtube_dnn.trainer import train_users

        material = _material(data)
        trained = train_users(material, self.recipe, work=work, progress=progress, stop=stop)
        if trained is None:  # stopped: there is nothing to answer with
            self.song_ids = ()
            return
        kept = ~held_out(material.likes, self.recipe)
        self.learnt = np.zeros(len(data.song_ids), np.bool_)
        self.learnt[material.likes.song[kept]] = True
        self._take(_placed(trained[0], self.learnt))

    def _take(self, model: UsersModel) -> None:
        """Take over a model whose songs are the catalogue."""
        self.model = model
        inputs = standardised(
            model.song_inputs, model.has_input, model.input_mean, model.input_scale
        )
        known = np.where(self.learnt, np.arange(len(self.learnt)), -1)
        self._catalogue = Catalogue(known=known, inputs=inputs, has_input=model.has_input)
        self._has_place = model.song_embeddings.any(axis=1)

    def _similarities(self, queries: Queries) -> FloatArray:
        model, recipe = self.model, self.recipe
        nobody = no_profiles(queries.user_ids)
        users = model.embed(in_plays(queries.histories), self._catalogue, nobody).embeddings
        found = (users / np.float32(recipe.temperature)) @ model.song_embeddings.T
        found += np.float32(recipe.popularity) * model.song_bias
        found[:, ~self._has_place] = -np.inf
        return found.astype(np.float32, copy=False)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, config = self.model.state()
        del config["song_ids"], config["kind"]  # the channel keeps both
        config["recipe"] = json.loads(json.dumps(asdict(self.recipe)))
        return {**tensors, "learnt": self.learnt.astype(np.uint8)}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        recipe = dict(bundle.config["recipe"])
        channel = cls(YoutubeDnnRecipe(**{**recipe, "hidden": tuple(recipe["hidden"])}))
        channel.learnt = bundle.tensors["learnt"].astype(np.bool_)
        song_ids = texts_of_arrays("catalogue", bundle.tensors)
        channel._take(UsersModel.of_bundle(bundle, cls.name, song_ids))
        return channel


def in_plays(plays: Sequences) -> Likes:
    """Return sequences as the user model reads them: all plays weigh the same, a day apart."""
    place = np.arange(len(plays.song)) - np.repeat(plays.starts[:-1], plays.lengths)
    ones = np.ones(len(plays.song), np.float64)
    time = (place * DAY_S).astype(np.float64)
    return Likes(plays.starts, plays.song.astype(np.int64), ones, time)


def _material(data: RecallData) -> UsersData:
    plays, n = data.plays, len(data.song_ids)
    vectors, has = np.zeros((n, 0), np.float32), np.zeros(n, np.bool_)
    if data.sound is not None:
        vectors = data.sound.among(data.song_ids).units
        has = np.asarray(vectors.any(axis=1), np.bool_)
        if not has.any():
            raise InputError(
                "youtube-dnn: no song has a vector: log and vectors need the same ids; "
                "audiorec listening check LOG --vectors STORE compares them"
            )
    return UsersData(
        likes=in_plays(plays),
        song_ids=data.song_ids,
        vectors=vectors,
        has_vector=has,
        profiles=no_profiles(plays.owner_ids),
        info={"songs_with_vector": int(has.sum())},
    )


def _placed(model: UsersModel, learnt: BoolArray) -> UsersModel:
    """Give songs that were not learnt the embedding that their vector says, or none."""
    embeddings = np.where(learnt[:, None], model.song_embeddings, 0).astype(np.float32)
    has, known = model.has_input, learnt & model.has_input
    if known.any():
        z = standardised(model.song_inputs, has, model.input_mean, model.input_scale)
        x = np.concatenate([z, np.ones((len(z), 1), np.float32)], axis=1).astype(np.float64)
        gram = x[known].T @ x[known]
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        map_ = np.linalg.solve(gram, x[known].T @ embeddings[known].astype(np.float64))
        unknown = has & ~learnt
        embeddings[unknown] = of_unit_length((x[unknown] @ map_).astype(np.float32))
    lowest = model.song_bias[learnt].min() if learnt.any() else np.float32(0)
    return replace(
        model,
        song_embeddings=embeddings,
        song_bias=np.where(learnt, model.song_bias, lowest).astype(np.float32),
        id_embeddings=np.where(learnt[:, None], model.id_embeddings, 0).astype(np.float32),
    )
