"""The user model: a history of liked songs and a profile become one embedding.

    history ─▶ weighted mean of song vectors (V) ─┐
            ─▶ weighted mean of id embeddings (I) ─┼─▶ dense layers, ReLU ─▶ (E,), length 1
            ─▶ how many songs, and whether any     │
    profile ─▶ demographics (A) ───────────────────┘

It is numpy alone: torch is needed to train one (`trainer`), not to use it. The song
side of the training, one unit vector a song, stays in the model: where a song is warm its
similarity to a user is the best that the model can say.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.learning.bundle import Bundle, read_bundle, write_bundle
from audiorec.listening.history import Histories, Likes, histories, mean_inputs, whole
from audiorec.listening.profiles import Encoder, Profiles
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array

KIND = "users_model"
N_COUNTS = 2  # columns that say how long a history is
BLOCK_ROWS = 2_048  # users at a time: of 100 songs and 84 numbers each, 140 MB
MAX_LAYERS = 8
SONG_TABLES = ("song_embeddings", "song_bias", "id_embeddings", "song_inputs")
TENSORS = (*SONG_TABLES, "input_mean", "input_scale")  # of a bundle, as they stand in the model
Layers = tuple[tuple[FloatArray, FloatArray], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """The songs that histories speak of, as the model sees them."""

    # (S,): the song's row among the model's own songs, -1 for a song it has not met
    known: Int64Array
    # (S, V): standardised vectors; 0 for a song without one. V is 0 in a model of ids alone
    inputs: FloatArray
    has_input: BoolArray  # (S,)

    def __len__(self) -> int:
        return len(self.known)


@dataclass(frozen=True, slots=True)
class UserEmbeddings:
    """What a model says of U users."""

    embeddings: FloatArray  # (U, E): of length 1
    history: Int64Array  # (U,): liked songs that were used

    @property
    def profile_only(self) -> BoolArray:
        """Which users had no history, so that only their profile speaks: shape (U,), bool."""
        none: BoolArray = self.history == 0
        return none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsersModel:
    """A trained user model.

    Attributes
    ----------
    song_ids : tuple of str, length S
        The songs that it was trained on.
    song_embeddings : ndarray, shape (S, E), float32
        Their embeddings, of length 1: the users' counterpart.
    song_bias : ndarray, shape (S,), float32
        How popular each is, whoever listens; no part of a similarity.
    id_embeddings : ndarray, shape (S, I), float32
        What a song in a history stands for; I may be 0.
    song_inputs : ndarray, shape (S, V), float32
        The vectors that it was trained on, as they were given; V may be 0.
    has_input : ndarray, shape (S,), bool
    input_mean, input_scale : ndarray, shape (V,), float32
        Standardisation of vectors.
    layers : tuple of (weight, bias)
        Weights of shape (in, out) and biases of shape (out,); ReLU between layers.
    encoder : Encoder
    half_life_days : float or None
    max_history : int
    info : mapping
        How it was trained, on what, and what it scored; plain JSON values.
    model_id : str
        Empty until the model has been saved.
    """

    song_ids: tuple[str, ...]
    song_embeddings: FloatArray
    song_bias: FloatArray
    id_embeddings: FloatArray
    song_inputs: FloatArray
    has_input: BoolArray
    input_mean: FloatArray
    input_scale: FloatArray
    layers: Layers
    encoder: Encoder
    half_life_days: float | None
    max_history: int
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    model_id: str = ""

    def __post_init__(self) -> None:
        n = len(self.song_ids)
        lengths = {len(self.song_embeddings), len(self.song_bias), len(self.has_input)}
        if lengths | {len(self.id_embeddings), len(self.song_inputs)} != {n}:
            raise ShapeError(f"every table of songs must have {n} rows")
        if not self.input_mean.shape == self.input_scale.shape == self.song_inputs.shape[1:]:
            raise ShapeError("input_mean and input_scale must fit the song inputs")
        width = n_columns(self.song_inputs.shape[1], self.id_embeddings.shape[1], self.encoder)
        for weight, bias in self.layers:
            if weight.shape != (width, len(bias)):
                raise ShapeError(f"a layer must take {width} columns, got {weight.shape}")
            width = len(bias)
        if not self.layers or self.song_embeddings.shape[1] != width:
            raise ShapeError(f"users have {width} numbers, songs {self.song_embeddings.shape[1]}")

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return int(self.song_embeddings.shape[1])

    def catalogue(
        self,
        song_ids: Sequence[str],
        vectors: FloatArray | None = None,
        has_vector: BoolArray | None = None,
    ) -> Catalogue:
        """Look up songs.

        Parameters
        ----------
        song_ids : sequence of str, length n
        vectors : ndarray, shape (n, V), optional
            Vectors of the kind that the model was trained on; by default the model's own,
            which it has of its own songs alone.
        has_vector : ndarray, shape (n,), bool, optional
            Which rows of `vectors` count; all by default.

        Raises
        ------
        ShapeError
            If the vectors have another width than those of the training.
        """
        known = IdMap(self.song_ids).rows(song_ids)
        if vectors is None:
            has_vector = (known >= 0) & np.append(self.has_input, False)[known]
            vectors = (
                self.song_inputs[np.where(has_vector, known, 0)]
                if len(self.song_ids)
                else np.zeros((len(known), self.song_inputs.shape[1]), np.float32)
            )
        if vectors.shape != (len(known), len(self.input_mean)):
            raise ShapeError(
                f"the model reads vectors of {len(self.input_mean)} numbers, got {vectors.shape}"
            )
        if has_vector is None:
            has_vector = np.ones(len(known), np.bool_)
        return Catalogue(
            known=known,
            inputs=standardised(vectors, has_vector, self.input_mean, self.input_scale),
            has_input=has_vector & (len(self.input_mean) > 0),
        )

    def embed(self, likes: Likes, catalogue: Catalogue, profiles: Profiles) -> UserEmbeddings:
        """Embed users by all that they liked.

        Parameters
        ----------
        likes : Likes
            Of U users; songs are rows of `catalogue`.
        catalogue : Catalogue
        profiles : Profiles
            Of the same users, in the same order.

        Raises
        ------
        ShapeError
            If likes and profiles differ in U.
        """
        if len(likes) != len(profiles):
            raise ShapeError(f"likes of {len(likes)} users, profiles of {len(profiles)}")
        spans = whole(likes, max_history=self.max_history)
        demographics = self.encoder.encode(profiles)
        embeddings = np.empty((len(likes), self.dimension), np.float32)
        history = np.empty(len(likes), np.int64)
        for start in range(0, len(likes), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(likes)))
            past = histories(likes, spans.take(rows), half_life_days=self.half_life_days)
            part = self.embed_histories(past, catalogue, demographics[rows])
            embeddings[rows], history[rows] = part.embeddings, part.history
        return UserEmbeddings(embeddings, history)

    def embed_histories(
        self, past: Histories, catalogue: Catalogue, demographics: FloatArray
    ) -> UserEmbeddings:
        """Embed lists of songs with encoded demographics, (n, A) float32."""
        with_ids = self.id_embeddings.shape[1] > 0
        by_vector, by_id, history = split_history(past, catalogue, with_ids=with_ids)
        columns = [
            mean_inputs(by_vector, catalogue.inputs),
            mean_inputs(by_id, self.id_embeddings),
            length_columns(history, self.max_history),
            demographics,
        ]
        x = np.concatenate(columns, axis=1).astype(np.float32)
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if i + 1 < len(self.layers):
                x = np.maximum(x, 0)
        return UserEmbeddings(of_unit_length(x), history)

    def save(
        self, path: str | os.PathLike[str], *, card: str, files: Mapping[str, str] | None = None
    ) -> str:
        """Write the model as a bundle; return its `model_id`.

        Raises
        ------
        InputError
            If `path` is a folder of something else.
        """
        tensors, config = self.state()
        return write_bundle(path, tensors=tensors, config=config, card=card, files=files)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return tensors and config of a bundle."""
        tensors: dict[str, npt.NDArray[Any]] = {name: getattr(self, name) for name in TENSORS}
        tensors["has_input"] = self.has_input.astype(np.uint8)
        for i, (weight, bias) in enumerate(self.layers):
            tensors |= {f"weight_{i}": weight, f"bias_{i}": bias}
        config = {
            **self.info,
            "kind": KIND,
            "architecture": {
                "dimension": self.dimension,
                "layers": len(self.layers),
                "half_life_days": self.half_life_days,
                "max_history": self.max_history,
            },
            "demographics": self.encoder.to_json(),
            "song_ids": list(self.song_ids),
        }
        return tensors, config

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "UsersModel":
        """Read a model that `save` wrote.

        Raises
        ------
        WeightsError
            If the folder is missing, damaged, or holds something else.
        """
        bundle = read_bundle(path, kind=KIND)
        return cls.of_bundle(bundle, str(path))

    @classmethod
    def of_bundle(
        cls, bundle: Bundle, place: str, song_ids: Sequence[str] | None = None
    ) -> "UsersModel":
        """Undo `state`; `song_ids` stand in for those of the config, `place` in a message.

        Raises
        ------
        WeightsError
            If the parts do not fit each other.
        """
        tensors, config = bundle.tensors, bundle.config
        own = ("kind", "architecture", "demographics", "song_ids")
        try:
            shape = config["architecture"]
            half_life = shape["half_life_days"]
            n_layers = min(int(shape["layers"]), MAX_LAYERS)
            names = config["song_ids"] if song_ids is None else song_ids
            return cls(
                song_ids=tuple(str(name) for name in names),
                **{name: tensors[name] for name in TENSORS},
                has_input=tensors["has_input"].astype(np.bool_),
                layers=tuple(
                    (tensors[f"weight_{i}"], tensors[f"bias_{i}"]) for i in range(n_layers)
                ),
                encoder=Encoder.from_json(config["demographics"]),
                half_life_days=None if half_life is None else float(half_life),
                max_history=int(shape["max_history"]),
                info={key: value for key, value in config.items() if key not in own},
                model_id=bundle.model_id,
            )
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise WeightsError(f"{place}: not a sound users model: {error!r}") from error


def n_columns(n_inputs: int, id_width: int, encoder: Encoder) -> int:
    """Return the number of columns that the first layer reads."""
    return n_inputs + id_width + N_COUNTS + len(encoder.names)


def split_history(
    past: Histories, catalogue: Catalogue, *, with_ids: bool
) -> tuple[Histories, Histories, Int64Array]:
    """Return what is averaged: songs with a vector, and songs with an id of the model's own.

    The first are rows of the catalogue, the second of the model's tables. How many songs are in
    either, (n,), comes third.
    """
    has_input = catalogue.has_input[past.song]
    known = catalogue.known[past.song]
    has_id = (known >= 0) & with_ids
    by_id = Histories(past.starts, known, past.weight).keep(has_id)
    return past.keep(has_input), by_id, past.keep(has_input | has_id).counts


def length_columns(history: Int64Array, max_history: int) -> FloatArray:
    """Return how long histories are, (n, 2) float32: log(1 + n) in units of the longest's, any."""
    length = np.log1p(history) / np.log1p(max_history)
    return np.stack([length, history > 0], axis=1).astype(np.float32)


def standardised(
    vectors: FloatArray, rows: BoolArray, mean: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return ``(vectors - mean) / scale``, and 0 in all other rows: shape (S, V), float32."""
    scaled = (vectors.astype(np.float64) - mean) / scale
    return np.where(rows[:, None], scaled, 0.0).astype(np.float32)


def of_unit_length(x: FloatArray) -> FloatArray:
    """Return rows of length 1, float32; a row of zeros stays."""
    length = np.sqrt(np.square(x.astype(np.float64)).sum(axis=1, keepdims=True))
    return (x / np.where(length > 0, length, 1.0)).astype(np.float32)
