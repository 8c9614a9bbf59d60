"""The youtube-dnn channel: songs near the embedding of a user's plays or likes and profile.

    sequences, profiles, sound ──each play and those before it──▶ training ──▶ `UsersModel`
    history, profile ──embed──▶ user (E,) ──dot product with all songs──▶ similarities

Each play is a training example. The age of a play is the number of later plays; the age of a like
(data with weights) is in days. A song without a play gets an embedding from its vector and its
artist, if these are known (`SoundMap`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, Unpack

import numpy as np

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.learning.bundle import Bundle, texts_as_arrays, texts_of_arrays
from audiorec.listening.profiles import Encoder, Profiles, no_profiles
from audiorec.recall.contract.channel import FitRun, Tensors, Trained
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.warm import JUDGED_ON_NEW, Start
from audiorec.recall.sequence.youtube_dnn.model import (
    TrainingPlays,
    UserEmbeddings,
    UsersModel,
    YouTubeDNNRecipe,
    as_likes,
)
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    IdMap,
    Int64Array,
    normalised_name,
    unit,
)

RIDGE = 0.1  # as a multiple of the mean eigenvalue
SHRINK = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoundMap:
    """A map from sound and artist to embeddings of width E, for songs without a play.

        embedding of a learnt song  ≈  ridge(its vector)  +  mean residual of its artist's songs
        embedding of a new song     =  the same two parts, scaled to length 1

    An artist's residual is shrunk by counting `SHRINK` further songs without one: one song says
    less about an artist than ten do.
    """

    # (V + 1, E): ridge weights from standardised vectors and a constant 1 to embeddings
    by_sound: FloatArray
    # length A: plain names (`audiorec.types.normalised_name`) of artists with a learnt song, sorted
    artists: tuple[str, ...] = ()
    by_artist: FloatArray  # (A, E): residual of each artist, which is added

    def __post_init__(self) -> None:
        if self.by_artist.shape != (len(self.artists), self.by_sound.shape[1]):
            raise ShapeError(
                f"{len(self.artists)} artists of width {self.by_sound.shape[1]} expected, "
                f"got {self.by_artist.shape}"
            )

    @classmethod
    def fit(
        cls,
        embeddings: FloatArray,
        z: FloatArray,
        has_vector: BoolArray,
        artists: Sequence[str],
        learnt: BoolArray,
    ) -> Self:
        """Fit to the songs in `learnt` (S,).

        Parameters
        ----------
        embeddings : ndarray, shape (S, E)
        z : ndarray, shape (S, V)
            Standardised vectors, zeros outside of `has_vector` (S,). V may be 0.
        artists : sequence of str, length S
            Plain names; empty if unknown.
        """
        heard = learnt & has_vector if z.shape[1] else learnt
        x = _with_ones(z[heard])
        gram = x.T @ x
        gram += (RIDGE * np.trace(gram) / len(gram) + 1e-9) * np.eye(len(gram))
        by_sound = np.linalg.solve(gram, x.T @ embeddings[heard].astype(np.float64))
        named = learnt & np.array([bool(name) for name in artists], np.bool_)
        left = embeddings[named] - _with_ones(z[named]) @ by_sound
        own = [artists[row] for row in np.flatnonzero(named).tolist()]
        names, artist = np.unique(np.array(own, object), return_inverse=True)
        total = np.zeros((len(names), embeddings.shape[1]))
        np.add.at(total, artist, left)
        count = np.bincount(artist, minlength=len(names))[:, None]
        return cls(
            by_sound=by_sound.astype(np.float32),
            artists=tuple(names.tolist()),
            by_artist=(total / (count + SHRINK)).astype(np.float32),
        )

    def place(self, z: FloatArray, has_vector: BoolArray, artists: Sequence[str]) -> FloatArray:
        """Return the embeddings of any songs: (n, E) float32, zeros if nothing is known."""
        number = self._numbers(artists)
        parts = np.append(self.by_artist, np.zeros((1, self.by_artist.shape[1]), np.float32), 0)
        result = _with_ones(z) @ self.by_sound + parts[number]
        known = has_vector | (number >= 0)
        return unit(np.where(known[:, None], result, 0).astype(np.float64))

    def _numbers(self, artists: Sequence[str]) -> Int64Array:
        return IdMap(self.artists).rows(tuple(artists)).astype(np.int64)

    def tensors(self) -> dict[str, Any]:
        """Return all arrays by name, to store in a bundle."""
        names = texts_as_arrays("artists", self.artists)
        return {"by_sound": self.by_sound, "by_artist": self.by_artist, **names}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Any]) -> Self:
        """Undo `tensors`; bundles from before artists were used have no artist tensors."""
        by_sound = tensors["by_sound"]
        if "by_artist" not in tensors:
            return cls(by_sound=by_sound, by_artist=np.zeros((0, by_sound.shape[1]), np.float32))
        artists = texts_of_arrays("artists", tensors)
        return cls(by_sound=by_sound, artists=artists, by_artist=tensors["by_artist"])


def artists_among(context: Context, song_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the plain artist name of each song, from side information or sound, or ""."""
    side = context.side
    if side is not None and "artist" in side.categories:
        named = side.named("artist")
        return tuple(normalised_name(named.get(song)) for song in song_ids)
    if context.sound is not None:
        return context.sound.among(song_ids).artists
    return ("",) * len(song_ids)


def _with_ones(z: FloatArray) -> Float64Array:
    return np.concatenate([z, np.ones((len(z), 1))], axis=1).astype(np.float64)


class YouTubeDNN(SharedSpace):
    """Songs near a user embedding of history and profile; new songs by their sound."""

    name = "youtube-dnn"
    serves = frozenset({"history", "profile", "cold_song"})
    goes_on = together = needs_torch = True
    Recipe = YouTubeDNNRecipe

    def __init__(self, recipe: YouTubeDNNRecipe | None = None) -> None:
        self.recipe = recipe or YouTubeDNNRecipe()

    def _fit(self, data: RecallData, *, start: Start | None = None, **run: Unpack[FitRun]) -> None:
        from audiorec.learning.processes import join_processes
        from audiorec.recall.sequence.youtube_dnn.trainer import train

        self.in_days = data.plays.weight is not None
        self.made_by = "" if data.sound is None else data.sound.made_by
        first = None if start is None else self._first(start, data)
        material = _material(data, first, in_days=self.in_days)
        with join_processes() as processes:
            result = train(
                material,
                self.recipe if start is None else start.recipe(self.recipe),
                self._half_life,
                start=first,
                is_new=None if start is None else start.is_new,
                **run,
                processes=processes,
            )
        if result is None:  # stopped: no model to answer with
            self.song_ids = ()
            return
        model, done = result
        self.trained = Trained.of(done, judged_on=self._judged_on(start))
        self.learnt = data.counts > 0
        if start is not None:
            self.learnt |= start.learnt
        artists = artists_among(data.context, data.song_ids)
        z = model.standardised(model.song_inputs, model.has_input)
        self.placing = SoundMap.fit(model.song_embeddings, z, model.has_input, artists, self.learnt)
        places = self.placing.place(z, model.has_input, artists)
        self._take(_placed(model, self.learnt, places))

    def _first(self, start: Start, data: RecallData) -> UsersModel:
        """Return the model to go on from, with the songs of the data; new ones by sound, or 0."""
        older: YouTubeDNN = start.channel
        if older.in_days != self.in_days:
            raise InputError("youtube-dnn: goes on from likes with `likes`, and from plays without")
        width = 0 if data.sound is None else data.sound.values.shape[1]
        if width != (learnt := len(older.model.input_mean)):
            raise InputError(
                f"youtube-dnn: the model to go on from was trained on {learnt} numbers of sound "
                f"per song, got {width}: give the same `vectors`, or train "
                "without `start`"
            )
        older.check_maker(self.made_by)
        model = older.model
        has = start.rows(model.has_input[:, None].astype(np.float32))[:, 0] > 0
        inputs = start.rows(model.song_inputs)
        if data.sound is not None:
            today = data.sound.among(data.song_ids).values
            inputs = np.where(today.any(axis=1, keepdims=True), today, inputs)
            has |= np.asarray(today.any(axis=1), np.bool_)
        z = model.standardised(inputs, has)
        placed = older.placing.place(z, has, artists_among(data.context, data.song_ids))
        songs = np.where(start.learnt[:, None], start.rows(model.song_embeddings), placed)
        least = model.song_bias[older.learnt].min()
        bias = np.where(start.learnt, start.rows(model.song_bias[:, None])[:, 0], least)
        ids = start.rows(model.id_embeddings)
        if self.recipe.is_residual:
            ids = np.where(start.learnt[:, None], ids, songs)  # as a new network begins
        return replace(
            model,
            song_embeddings=songs.astype(np.float32),
            song_bias=bias.astype(np.float32),
            id_embeddings=ids.astype(np.float32),
            song_inputs=inputs.astype(np.float32),
            has_input=has,
        )

    @property
    def _half_life(self) -> float | None:
        return self.recipe.half_life_days if self.in_days else self.recipe.half_life_plays

    def _judged_on(self, start: Start | None) -> str:
        if start is not None:
            return JUDGED_ON_NEW
        what = "liked song" if self.in_days else "play"
        whose = f"{self.recipe.held_out_share:.0%} of the users"
        part = f"all {what}s" if self.recipe.hold_out == "users" else f"the last {what}"
        return f"{part} of {whose}, among all songs; it also chose the number of epochs"

    def _take(self, model: UsersModel) -> None:
        """Take over a model whose songs are the catalogue."""
        self.model = model
        self._catalogue = model.catalogue(self.learnt)
        self._has_place = model.song_embeddings.any(axis=1)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories and profiles with the network, in numpy; see `SharedSpace`."""
        result = self._embed(queries)
        known = result.history > 0
        if queries.profiles is not None:
            known |= self.model.encoder.knows(queries.profiles)
        return np.where(known[:, None], result.embeddings, 0).astype(np.float32)

    def songs_used(self, queries: Queries) -> Int64Array:
        """Return how many entries of each history the embedding uses; see `SharedSpace`."""
        return self._embed(queries).history

    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue; see `SharedSpace`."""
        return self.model.song_embeddings

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Embed songs by vector and artist, even if they were played; see `SharedSpace`."""
        model = self.model
        self.check_maker(sound.made_by)
        self.refuse_sound(len(model.input_mean), sound.values.shape[1])
        has = np.asarray(sound.values.any(axis=1), np.bool_)
        z = model.standardised(sound.values, has)
        result = self.placing.place(z, has, sound.artists)
        return np.where(has[:, None], result, 0).astype(np.float32)

    def check_maker(self, made_by: str) -> None:
        """Raise `SpecMismatchError` if sound was made by another extractor than in training."""
        if len(self.model.input_mean) and made_by and made_by != self.made_by:
            raise SpecMismatchError(
                f"youtube-dnn: trained on {self.made_by}, got {made_by}: extract the songs "
                "the same way, or train the model again (audiorec recall train youtube-dnn)"
            )

    def _embed(self, queries: Queries) -> UserEmbeddings:
        histories = queries.histories.among(self.song_ids)
        people = queries.profiles or no_profiles(histories.owner_ids)
        demographics = self.model.encoder.encode(people)
        likes = as_likes(histories, in_days=self.in_days)
        return self.model.embed(likes, self._catalogue, demographics)

    def similarities(self, users: FloatArray) -> FloatArray:
        """Return similarities that include a song's learnt popularity; see `SharedSpace`."""
        result = users / np.float32(self.recipe.temperature) @ self.model.song_embeddings.T
        result += np.float32(self.recipe.popularity) * self.model.song_bias
        result[:, ~self._has_place] = -np.inf
        result[~users.any(axis=1)] = -np.inf  # popularity alone is no proposal to a stranger
        return result.astype(np.float32, copy=False)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors = self.model.tensors()
        config = {
            "recipe": json.loads(json.dumps(asdict(self.recipe))),
            "learnt_from": "likes" if self.in_days else "plays",
            "sound": self.made_by,
            "demographics": self.model.encoder.to_json(),
        }
        learnt = self.learnt.astype(np.uint8)
        return {**tensors, "learnt": learnt, **self.placing.tensors()}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        config, tensors = bundle.config, bundle.tensors
        recipe = dict(config["recipe"])
        channel = cls(YouTubeDNNRecipe(**{**recipe, "hidden": tuple(recipe["hidden"])}))
        channel.in_days = config["learnt_from"] == "likes"
        channel.made_by = str(config["sound"])
        channel.learnt = tensors["learnt"].astype(np.bool_)
        channel.placing = SoundMap.of_tensors(tensors)
        model = UsersModel.of_tensors(
            tensors,
            encoder=Encoder.from_json(config["demographics"]),
            half_life=channel._half_life,
            max_history=channel.recipe.max_history,
        )
        if len(channel.learnt) != len(model.song_bias):
            raise ShapeError("learnt must have a value for each song")
        channel._take(model)
        return channel


def _material(data: RecallData, first: UsersModel | None, *, in_days: bool) -> TrainingPlays:
    plays, n = data.plays, len(data.song_ids)
    vectors, has = np.zeros((n, 0), np.float32), np.zeros(n, np.bool_)
    if first is not None:
        vectors, has = first.song_inputs, first.has_input
    elif data.sound is not None:
        vectors = data.sound.among(data.song_ids).values
        has = np.asarray(vectors.any(axis=1), np.bool_)
        if not has[data.counts > 0].any():
            raise InputError(
                "youtube-dnn: no song of the log has a vector: log and vectors need the same ids; "
                "audiorec listening check LOG --vectors STORE compares them"
            )
    people = data.context.profiles
    return TrainingPlays(
        likes=as_likes(plays, in_days=in_days),
        vectors=vectors,
        has_vector=has,
        profiles=_of(people, plays.owner_ids),
    )


def _of(people: Profiles | None, owner_ids: tuple[str, ...]) -> Profiles:
    return no_profiles(owner_ids) if people is None else people.for_users(owner_ids)


def _placed(model: UsersModel, learnt: BoolArray, places: FloatArray) -> UsersModel:
    """Give songs without a learnt embedding their computed one, (S, E); zeros if unknown."""
    return replace(
        model,
        song_embeddings=np.where(learnt[:, None], model.song_embeddings, places),
        song_bias=np.where(learnt, model.song_bias, model.song_bias[learnt].min()).astype(
            np.float32
        ),
        id_embeddings=np.where(learnt[:, None], model.id_embeddings, 0).astype(np.float32),
    )
