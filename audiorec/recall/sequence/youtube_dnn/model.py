"""The youtube-dnn network in numpy, its recipe, and plays as its training examples.

    history ─▶ weighted mean of song vectors (V) ─┐
            ─▶ weighted mean of id embeddings (I) ─┼─▶ dense layers, ReLU ─▶ (E,), length 1
            ─▶ log length, and whether any         │
    profile ─▶ demographics (A) ───────────────────┘

If ids and embeddings have the same width, the mean of the ids is added before normalisation. Torch
is needed for training (`trainer`), not for answers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.learning.machine import generator
from audiorec.learning.next_plays import FEWEST_NEW
from audiorec.listening.history import (
    DAY_S,
    Histories,
    Likes,
    Spans,
    all_spans,
    histories,
    history_spans,
    mean_inputs,
)
from audiorec.listening.profiles import Encoder, Profiles
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.types import BoolArray, FloatArray, Int64Array, nth, unit

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
        result = sha256()
        for name, array in sorted(self.tensors().items()):
            result.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return result.hexdigest()[:16]

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
        return UserEmbeddings(unit(x.astype(np.float64)), history)

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


HoldOut = Literal["later", "users"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YouTubeDNNRecipe:
    """Settings of youtube-dnn; the same recipe, data and seed give the same weights.

    Attributes
    ----------
    dimension : int
        Width of an embedding.
    hidden : tuple of int
        Units of the dense layers between the history and the embedding.
    id_width : int or None
        Width of the id embedding of a song in a history; 0: songs are read by sound only; None:
        the same as `dimension`. If it equals `dimension`, the mean of the history is added to the
        output of the layers, and id embeddings start as the song embeddings: training then
        converges several times as fast.
    half_life_plays : float or None
        Number of later plays after which a play counts half; None: no decay.
    half_life_days : float or None
        Days after which a like counts half, for models trained on liked songs; None: no decay.
        Likes without a time do not decay.
    max_history : int
        Number of newest songs of a history that are read.
    history_dropout : float
        Share of examples whose history is hidden, so that the profile alone is trained too; only
        used if there are profiles.
    dropout : float
        Dropout of hidden units.
    targets_per_user : int
        Examples per user and epoch, at most, so that heavy listeners do not dominate.
    temperature : float
        Divisor of cosines in the softmax.
    popularity : float
        Weight of a song's learnt popularity in its similarity; 0: cosine only.
    negatives : int
        Negative songs shared by a batch; smaller catalogues are used whole.
    negative_power : float
        Negatives are drawn in proportion to their plays to this power.
    learning_rate : float
        Peak rate of Adam; linear warm-up over at most 100 steps, then cosine decay to 0 at
        `max_epochs`.
    weight_decay : float
        Weight decay of the dense layers.
    clip : float
        Maximum gradient norm of a step.
    batch_size : int
        Examples per step.
    max_epochs : int
        Maximum number of epochs, over which the learning rate decays.
    max_examples : int
        Maximum number of examples over all epochs: a large log is trained for fewer epochs, but
        for at least one.
    patience : int
        Training stops after this many epochs without a better validation loss.
    hold_out : {"later", "users"}
        The validation part: the last play of some users, or all plays of some users. ``users`` if
        no play has an order.
    held_out_share : float
        Share of users in the validation part.
    seed : int
        Seed of all random numbers.
    """

    dimension: int = 96
    hidden: tuple[int, ...] = (128, 64)
    id_width: int | None = None
    half_life_plays: float | None = 3.0
    half_life_days: float | None = 90.0
    max_history: int = 100
    history_dropout: float = 0.1
    dropout: float = 0.1
    targets_per_user: int = 20
    temperature: float = 0.1
    popularity: float = 1.0
    negatives: int = 512
    negative_power: float = 0.75
    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    batch_size: int = 2_048
    max_epochs: int = 60
    max_examples: int = 5_000_000
    patience: int = 6
    hold_out: HoldOut = "later"
    held_out_share: float = 0.1
    seed: int = 0

    @property
    def ids(self) -> int:
        """Width of an id embedding."""
        return self.dimension if self.id_width is None else self.id_width

    @property
    def is_residual(self) -> bool:
        """Whether the mean of the id embeddings is added to the output of the layers."""
        return self.ids == self.dimension

    def __post_init__(self) -> None:
        whole = ("dimension", "max_history", "targets_per_user", "negatives", "batch_size")
        least = (*whole, "max_epochs", "max_examples", "patience", "hidden")
        check_fields(self, **dict.fromkeys(least, ">=1"), id_width=">=0", held_out_share="(0, 1)")
        check_fields(self, history_dropout="[0, 1)", dropout="[0, 1)", temperature=">0")
        check_fields(self, learning_rate=">0", clip=">0", half_life_plays=">0", half_life_days=">0")


# Purposes of random numbers: the second part of a seed.
HELD_OUT, EPOCH, STEP, JUDGE = range(4)
OLD_SHARE = 1 / 3  # of the plays that a trained model has learnt from, drawn anew in each epoch
MIN_SCALE = 1e-6  # relative; columns that vary less are not rescaled


def as_likes(found: Sequences, *, in_days: bool) -> Likes:
    """Convert sequences to the network's input.

    Parameters
    ----------
    found : Sequences
        Weights are damped to ``log2(1 + w)``; without weights all entries count 1.
    in_days : bool
        Whether age is in days. Owners with an entry without a time have no order. If False, the
        position serves as time: an entry ages by one day with each later one.
    """
    song = found.song.astype(np.int64)
    ones = np.ones(len(song)) if found.weight is None else found.weight.astype(np.float64)
    weight = np.log2(1.0 + ones)
    if in_days:
        unordered = np.zeros(len(found), np.bool_)
        unordered[found.owner[np.isnan(found.time)]] = True
        time = np.where(unordered[found.owner], np.nan, found.time)
    else:
        time = (found.place * DAY_S).astype(np.float64)
    return Likes(found.starts, song, weight, time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPlays:
    """Training data."""

    likes: Likes  # of U users; songs are rows of the tables below
    # (S, V): sound vectors of the songs; V is 0 if only ids are used
    vectors: FloatArray
    has_vector: BoolArray  # (S,)
    profiles: Profiles  # of the U users, in their order

    def __post_init__(self) -> None:
        if len(self.vectors) != len(self.has_vector):
            raise ShapeError("vectors and has_vector must agree in S")
        if len(self.likes) != len(self.profiles):
            raise ShapeError("likes and profiles must agree in U")
        if len(self.likes.song) and self.likes.song.max() >= len(self.vectors):
            raise ShapeError("a like refers to a song that does not exist")

    @property
    def fingerprint(self) -> str:
        """Hash of all training data, sixteen hex digits."""
        data = sha256()
        for array in (self.likes.starts, self.likes.song, self.likes.weight, self.likes.time):
            data.update(np.ascontiguousarray(array).tobytes())
        data.update(np.ascontiguousarray(self.vectors * self.has_vector[:, None]).tobytes())
        data.update(json.dumps(dict(self.profiles.categories)).encode())
        for name, numbers in self.profiles.numbers.items():
            data.update(name.encode() + np.ascontiguousarray(numbers).tobytes())
        return data.hexdigest()[:16]


def standardisation(data: TrainingPlays) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of each column over songs with a vector: (V,), float32."""
    rows = data.vectors[data.has_vector].astype(np.float64)
    if not len(rows):
        width = data.vectors.shape[1]
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    spread = rows.std(axis=0)
    small = spread <= MIN_SCALE * np.abs(rows).max(axis=0)
    return rows.mean(axis=0).astype(np.float32), np.where(small, 1.0, spread).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LikeBatch:
    """B examples."""

    user: Int64Array  # (B,): row of the user, and of the target song
    target: Int64Array  # (B,)
    by_vector: Histories  # as returned by `split_history`
    by_id: Histories
    lengths: FloatArray  # (B, 2)

    def __len__(self) -> int:
        return len(self.user)


class Examples:
    """The plays of a training as examples, each with the history before it.

    Songs are rows of `catalogue`, which are also the rows of the model's tables.

    Each draw has its own generator, seeded by its purpose, so any epoch or step can be reproduced
    without the ones before it.
    """

    def __init__(
        self, likes: Likes, catalogue: Catalogue, recipe: YouTubeDNNRecipe, half_life: float | None
    ) -> None:
        self.likes, self.catalogue = likes, catalogue
        self.recipe, self.half_life = recipe, half_life
        self.user = likes.owner
        self._spans = history_spans(likes, max_history=recipe.max_history)

    def batch(self, places: Int64Array, *, drop: BoolArray | None = None) -> LikeBatch:
        """Return the examples at positions (B,) in the sequences of likes.

        Where `drop` (B,) is set, the history is hidden, so that only the profile is left.
        """
        spans = self._spans.take(places)
        if drop is not None:
            spans = Spans(spans.first, np.where(drop, spans.first, spans.stop), spans.without)
        past = histories(self.likes, spans, half_life_days=self.half_life)
        by_vector, by_id, history = split_history(
            past, self.catalogue, with_ids=self.recipe.ids > 0
        )
        lengths = length_columns(history, self.recipe.max_history)
        return LikeBatch(self.user[places], self.likes.song[places], by_vector, by_id, lengths)


def held_out_new(likes: Likes, is_new: BoolArray | None) -> BoolArray | None:
    """Choose what a trained model is judged on, (E,) bool: the last play of users, if it is new.

    None if too few have a new play, or none has an order.
    """
    if is_new is None or np.isnan(likes.time).any():
        return None
    able = np.flatnonzero(np.diff(likes.starts) > 1)
    able = able[is_new[likes.starts[able + 1] - 1]]
    if len(able) < FEWEST_NEW:
        return None
    held = np.zeros(len(likes.song), np.bool_)
    held[likes.starts[able + 1] - 1] = True
    return held


def held_out(likes: Likes, recipe: YouTubeDNNRecipe) -> BoolArray:
    """Choose the validation part, (E,) bool; neither side is left empty."""
    rng = generator(recipe.seed, HELD_OUT)
    counts = np.diff(likes.starts)
    able = np.flatnonzero(counts > 1)
    able = able[~np.isnan(likes.time[likes.starts[able]])]  # without times there is no last one
    by_users = recipe.hold_out == "users" or not len(able)
    if by_users:
        able = np.flatnonzero(counts > 0)
    wanted = min(
        max(1, round(recipe.held_out_share * len(able))), len(able) - (1 if by_users else 0)
    )
    if wanted < 1:
        raise InputError(
            "youtube-dnn: one user with one play leaves nothing for validation; give more plays"
        )
    chosen = rng.choice(able, wanted, replace=False)
    held = np.zeros(len(likes.song), np.bool_)
    if by_users:
        held[np.isin(likes.owner, chosen)] = True
    else:
        held[likes.starts[chosen + 1] - 1] = True
    return held


def epochs_of(likes: Likes, recipe: YouTubeDNNRecipe) -> int:
    """Return the maximum number of epochs, limited by `max_examples`."""
    of_an_epoch = int(np.minimum(np.diff(likes.starts), recipe.targets_per_user).sum())
    return min(recipe.max_epochs, max(1, recipe.max_examples // max(1, of_an_epoch)))


def epoch_places(
    likes: Likes,
    learnt_from: BoolArray,
    recipe: YouTubeDNNRecipe,
    epoch: int,
    is_new: BoolArray | None = None,
) -> Int64Array:
    """Return the examples of one epoch, shuffled: at most `targets_per_user` per user.

    Where some are known to be new, all of these and a share of the others.
    """
    rng = generator(recipe.seed, EPOCH, epoch)
    if is_new is not None:
        drawn = learnt_from & (is_new | (rng.random(len(is_new)) < OLD_SHARE))
        learnt_from = drawn if drawn.any() else learnt_from
    places = rng.permutation(np.flatnonzero(learnt_from))
    return places[nth(likes.owner[places]) < recipe.targets_per_user]
