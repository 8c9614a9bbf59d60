"""The youtube-dnn network in numpy: embeds a history and a profile.

    history ─▶ weighted mean of song vectors (V) ─┐
            ─▶ weighted mean of id embeddings (I) ─┼─▶ dense layers, ReLU ─▶ (E,), length 1
            ─▶ log length, and whether any         │
    profile ─▶ demographics (A) ───────────────────┘

If ids and embeddings have the same width, the mean of the ids is added before normalisation.
Torch is needed for training (`trainer`), not for answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError
from audiorec.listening.history import Histories, Likes, all_spans, histories, mean_inputs
from audiorec.listening.profiles import Encoder
from audiorec.types import BoolArray, FloatArray, Int64Array

N_COUNTS = 2  # columns for the length of a history
BLOCK_ROWS = 2_048  # users per block: with 100 songs of 84 numbers each, 140 MB
SONG_TABLES = ("song_embeddings", "song_bias", "id_embeddings", "song_inputs")
TENSORS = (*SONG_TABLES, "input_mean", "input_scale")  # in a bundle, by attribute
Layers = tuple[tuple[FloatArray, FloatArray], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """The songs of the histories, as rows of the model."""

    # (S,): row of the song in the model's tables, -1 for a song without an id
    known: Int64Array
    # (S, V): standardised vectors; 0 for a song without one. V is 0 if only ids are used
    inputs: FloatArray
    has_input: BoolArray  # (S,)

    def __len__(self) -> int:
        return len(self.known)


@dataclass(frozen=True, slots=True)
class UserEmbeddings:
    """Embeddings of U users."""

    embeddings: FloatArray  # (U, E): of length 1
    history: Int64Array  # (U,): number of songs of the history that were used


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsersModel:
    """A trained network and its song tables.

    Attributes
    ----------
    song_embeddings : ndarray, shape (S, E), float32
        Of length 1, in the same space as users.
    song_bias : ndarray, shape (S,), float32
        Popularity of each song, the same for all users; not part of the embedding.
    id_embeddings : ndarray, shape (S, I), float32
        Embedding of a song as part of a history; I may be 0.
    song_inputs : ndarray, shape (S, V), float32
        The vectors that it was trained on, not standardised; V may be 0.
    has_input : ndarray, shape (S,), bool
    input_mean, input_scale : ndarray, shape (V,), float32
        Standardisation of the vectors.
    layers : tuple of (weight, bias)
        Weights of shape (in, out) and biases of shape (out,); ReLU between layers.
    encoder : Encoder
    half_life : float or None
        In days, as `Likes` counts them.
    max_history : int
    """

    song_embeddings: FloatArray
    song_bias: FloatArray
    id_embeddings: FloatArray
    song_inputs: FloatArray
    has_input: BoolArray
    input_mean: FloatArray
    input_scale: FloatArray
    layers: Layers
    encoder: Encoder
    half_life: float | None
    max_history: int

    def __post_init__(self) -> None:
        tables = [*(getattr(self, name) for name in SONG_TABLES), self.has_input]
        if len({len(table) for table in tables}) != 1:
            raise ShapeError(f"tables of songs have {[len(table) for table in tables]} rows")
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
    def digest(self) -> str:
        """Hash of all arrays, sixteen hex digits."""
        found = sha256()
        for name, array in sorted(self.tensors().items()):
            found.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]

    def standardised(self, vectors: FloatArray, rows: BoolArray) -> FloatArray:
        """Return vectors (n, V) standardised as in training, and 0 outside of `rows` (n,)."""
        return standardised(vectors, rows, self.input_mean, self.input_scale)

    def catalogue(self, learnt: BoolArray) -> Catalogue:
        """Return the model's songs as a catalogue; songs of `learnt` (S,) have an id."""
        known = np.where(learnt, np.arange(len(learnt)), -1)
        inputs = self.standardised(self.song_inputs, self.has_input)
        return Catalogue(known=known, inputs=inputs, has_input=self.has_input)

    def embed(self, likes: Likes, catalogue: Catalogue, demographics: FloatArray) -> UserEmbeddings:
        """Embed U users by their whole history; `demographics` (U, A) are encoded profiles."""
        spans = all_spans(likes, max_history=self.max_history)
        embeddings = np.empty((len(likes), self.song_embeddings.shape[1]), np.float32)
        history = np.empty(len(likes), np.int64)
        for start in range(0, len(likes), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(likes)))
            past = histories(likes, spans.take(rows), half_life_days=self.half_life)
            part = self.embed_histories(past, catalogue, demographics[rows])
            embeddings[rows], history[rows] = part.embeddings, part.history
        return UserEmbeddings(embeddings, history)

    def embed_histories(
        self, past: Histories, catalogue: Catalogue, demographics: FloatArray
    ) -> UserEmbeddings:
        """Embed histories together with encoded profiles, (n, A) float32."""
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
        if columns[1].shape == x.shape:
            x = x + columns[1]
        return UserEmbeddings(of_unit_length(x), history)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, to store in a bundle."""
        tensors: dict[str, npt.NDArray[Any]] = {name: getattr(self, name) for name in TENSORS}
        tensors["has_input"] = self.has_input.astype(np.uint8)
        for i, (weight, bias) in enumerate(self.layers):
            tensors |= {f"weight_{i}": weight, f"bias_{i}": bias}
        return tensors

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], **others: Any) -> "UsersModel":
        """Undo `tensors`; KeyError or ShapeError if they do not fit together."""
        n_layers = sum(name.startswith("weight_") for name in tensors)
        layers = tuple((tensors[f"weight_{i}"], tensors[f"bias_{i}"]) for i in range(n_layers))
        arrays: dict[str, Any] = {name: tensors[name] for name in TENSORS}
        has_input = tensors["has_input"].astype(np.bool_)
        return cls(**arrays, has_input=has_input, layers=layers, **others)


def n_columns(n_inputs: int, id_width: int, encoder: Encoder) -> int:
    """Return the number of input columns of the first layer."""
    return n_inputs + id_width + N_COUNTS + len(encoder.names)


def split_history(
    past: Histories, catalogue: Catalogue, *, with_ids: bool
) -> tuple[Histories, Histories, Int64Array]:
    """Split a history into songs with a vector, and songs with an id of the model.

    The first are rows of the catalogue, the second of the model's tables. The third is the number
    of songs that are in either, (n,).
    """
    has_input = catalogue.has_input[past.song]
    known = catalogue.known[past.song]
    has_id = (known >= 0) & with_ids
    by_id = Histories(past.starts, known, past.weight).keep(has_id)
    return past.keep(has_input), by_id, past.keep(has_input | has_id).lengths


def length_columns(history: Int64Array, max_history: int) -> FloatArray:
    """Return log(1 + n), relative to the longest history, and whether n > 0: (n, 2) float32."""
    length = np.log1p(history) / np.log1p(max_history)
    return np.stack([length, history > 0], axis=1).astype(np.float32)


def standardised(
    vectors: FloatArray, rows: BoolArray, mean: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return ``(vectors - mean) / scale``, zeros in all other rows: shape (S, V), float32."""
    scaled = (vectors.astype(np.float64) - mean) / scale
    return np.where(rows[:, None], scaled, 0.0).astype(np.float32)


def of_unit_length(x: FloatArray) -> FloatArray:
    """Scale rows to length 1, float32; zero rows stay zero."""
    length = np.sqrt(np.square(x.astype(np.float64)).sum(axis=1, keepdims=True))
    return (x / np.where(length > 0, length, 1.0)).astype(np.float32)
