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
from audiorec.listening.profiles import no_profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Tensors
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.sequence.youtube_dnn.examples import UsersData, held_out
from audiorec.recall.sequence.youtube_dnn.model import (
    Catalogue,
    UsersModel,
    of_unit_length,
    standardised,
)
from audiorec.recall.sequence.youtube_dnn.recipe import HoldOut, UsersRecipe
from audiorec.types import BoolArray, Float64Array, FloatArray, LineProgress

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


class YoutubeDnn(SharedSpace):
    """Songs near the user that a network makes of the history, new ones by their sound."""

    name = "youtube-dnn"
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
        self.by_sound = _fit_map(trained[0], self.learnt)
        self._take(_placed(trained[0], self.learnt, self.by_sound))

    def _take(self, model: UsersModel) -> None:
        """Take over a model whose songs are the catalogue."""
        self.model = model
        inputs = standardised(
            model.song_inputs, model.has_input, model.input_mean, model.input_scale
        )
        known = np.where(self.learnt, np.arange(len(self.learnt)), -1)
        self._catalogue = Catalogue(known=known, inputs=inputs, has_input=model.has_input)
        self._has_place = model.song_embeddings.any(axis=1)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories: by the network, in numpy; see `SharedSpace`."""
        histories = queries.histories.among(self.song_ids)
        nobody = no_profiles(histories.owner_ids)
        return self.model.embed(in_plays(histories), self._catalogue, nobody).embeddings

    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue; see `SharedSpace`."""
        return self.model.song_embeddings

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Place songs by their vectors, those that were played too; see `SharedSpace`."""
        model = self.model
        self.refuse_sound(len(model.input_mean), sound.units.shape[1])
        has = np.asarray(sound.units.any(axis=1), np.bool_)
        z = standardised(sound.units, has, model.input_mean, model.input_scale)
        return np.where(has[:, None], _mapped(z, self.by_sound), 0).astype(np.float32)

    def _similarities(self, queries: Queries) -> FloatArray:
        model, recipe = self.model, self.recipe
        users = self.embed_users(queries) / np.float32(recipe.temperature)
        found = users @ model.song_embeddings.T
        found += np.float32(recipe.popularity) * model.song_bias
        found[:, ~self._has_place] = -np.inf
        return found.astype(np.float32, copy=False)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, config = self.model.state()
        del config["song_ids"], config["kind"]  # the channel keeps both
        config["recipe"] = json.loads(json.dumps(asdict(self.recipe)))
        learnt = self.learnt.astype(np.uint8)
        return {**tensors, "learnt": learnt, "by_sound": self.by_sound}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        recipe = dict(bundle.config["recipe"])
        channel = cls(YoutubeDnnRecipe(**{**recipe, "hidden": tuple(recipe["hidden"])}))
        channel.learnt = bundle.tensors["learnt"].astype(np.bool_)
        channel.by_sound = bundle.tensors["by_sound"]
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


def _fit_map(model: UsersModel, learnt: BoolArray) -> FloatArray:
    """Fit the map from standardised vectors, and a one, to learnt embeddings: (V + 1, E)."""
    known = learnt & model.has_input
    z = standardised(model.song_inputs, model.has_input, model.input_mean, model.input_scale)
    x = _with_ones(z[known])
    gram = x.T @ x
    gram += (RIDGE * np.trace(gram) / len(gram) + 1e-9) * np.eye(len(gram))
    found = np.linalg.solve(gram, x.T @ model.song_embeddings[known].astype(np.float64))
    return found.astype(np.float32)


def _mapped(z: FloatArray, by_sound: FloatArray) -> FloatArray:
    return of_unit_length((_with_ones(z) @ by_sound).astype(np.float32))


def _with_ones(z: FloatArray) -> Float64Array:
    return np.concatenate([z, np.ones((len(z), 1))], axis=1).astype(np.float64)


def _placed(model: UsersModel, learnt: BoolArray, by_sound: FloatArray) -> UsersModel:
    """Give songs that were not learnt the embedding that their vector says, or none."""
    embeddings = np.where(learnt[:, None], model.song_embeddings, 0).astype(np.float32)
    unknown = model.has_input & ~learnt
    z = standardised(model.song_inputs, model.has_input, model.input_mean, model.input_scale)
    embeddings[unknown] = _mapped(z[unknown], by_sound)
    lowest = model.song_bias[learnt].min() if learnt.any() else np.float32(0)
    return replace(
        model,
        song_embeddings=embeddings,
        song_bias=np.where(learnt, model.song_bias, lowest).astype(np.float32),
        id_embeddings=np.where(learnt[:, None], model.id_embeddings, 0).astype(np.float32),
    )
