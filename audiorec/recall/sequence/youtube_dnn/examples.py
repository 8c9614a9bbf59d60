"""Likes as examples to learn from: who is held out, what an epoch holds, what a batch holds.

Each draw has a generator of its own, seeded by what it is for, so that an epoch and a step can
be made again without those before them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.learning.seeds import generator
from audiorec.listening.history import Histories, Likes, Spans, before, histories
from audiorec.listening.profiles import Profiles
from audiorec.recall.sequence.youtube_dnn.model import Catalogue, length_columns, split_history
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.types import BoolArray, FloatArray, Int64Array

# What random numbers are for; the second part of a seed.
HELD_OUT, EPOCH, STEP, JUDGE = range(4)
MIN_SCALE = 1e-6  # a column of vectors that does not vary is not blown up


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsersData:
    """What a user model is trained on."""

    likes: Likes  # of U users; songs are rows of the tables below
    song_ids: tuple[str, ...]  # length S
    # (S, V): any vector or embedding of each song; V is 0 where ids alone are used
    vectors: FloatArray
    has_vector: BoolArray  # (S,)
    profiles: Profiles  # of the U users, in their order
    info: Mapping[str, Any]  # where the data comes from, to keep in the model

    def __post_init__(self) -> None:
        if not len(self.song_ids) == len(self.vectors) == len(self.has_vector):
            raise ShapeError("song_ids, vectors and has_vector must agree in S")
        if len(self.likes) != len(self.profiles):
            raise ShapeError("likes and profiles must agree in U")
        if len(self.likes.song) and self.likes.song.max() >= len(self.song_ids):
            raise ShapeError("a like names a song that is not there")

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits of everything that is learnt from."""
        data = sha256()
        for array in (self.likes.starts, self.likes.song, self.likes.weight, self.likes.time):
            data.update(np.ascontiguousarray(array).tobytes())
        data.update(np.ascontiguousarray(self.vectors * self.has_vector[:, None]).tobytes())
        texts = [self.song_ids, self.profiles.user_ids, self.profiles.categories]
        data.update(json.dumps(texts).encode())
        for name, numbers in self.profiles.numbers.items():
            data.update(name.encode() + np.ascontiguousarray(numbers).tobytes())
        return data.hexdigest()[:16]


def standardisation(data: UsersData) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of each column over the songs with a vector: (V,), float32."""
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

    user: Int64Array  # (B,): row of the user, and of the song that was liked
    target: Int64Array  # (B,)
    by_vector: Histories  # as `split_history` gives them
    by_id: Histories
    lengths: FloatArray  # (B, 2)

    def __len__(self) -> int:
        return len(self.user)


class Examples:
    """The likes of a training as examples.

    Their songs are rows of `catalogue`, which are also the rows of the model's tables.
    """

    def __init__(self, likes: Likes, catalogue: Catalogue, recipe: UsersRecipe) -> None:
        self.likes = likes
        self.catalogue = catalogue
        self.recipe = recipe
        self.user = likes.user
        self._spans = before(likes, max_history=recipe.max_history)

    def batch(self, places: Int64Array, *, drop: BoolArray | None = None) -> LikeBatch:
        """Return the examples at places (B,) in the sequences of likes.

        Where `drop` (B,), the history is hidden, so that the profile alone has to answer.
        """
        spans = self._spans.take(places)
        if drop is not None:
            spans = Spans(spans.first, np.where(drop, spans.first, spans.stop), spans.without)
        past = histories(self.likes, spans, half_life_days=self.recipe.half_life_days)
        by_vector, by_id, history = split_history(
            past, self.catalogue, with_ids=self.recipe.id_width > 0
        )
        lengths = length_columns(history, self.recipe.max_history)
        return LikeBatch(self.user[places], self.likes.song[places], by_vector, by_id, lengths)


def held_out(likes: Likes, recipe: UsersRecipe) -> BoolArray:
    """Choose the likes that say when to stop, (E,) bool; some must be left on both sides."""
    rng = generator(recipe.seed, HELD_OUT)
    counts = np.diff(likes.starts)
    if recipe.hold_out == "users":
        able = np.flatnonzero(counts > 0)
        hint = "hold out later likes instead"
    else:
        able = np.flatnonzero(counts > 1)
        able = able[~np.isnan(likes.time[likes.starts[able]])]  # without times nothing is later
        hint = "hold out users instead"
    wanted = min(max(1, round(recipe.held_out_share * len(able))), len(able) - 1)
    if wanted < 1:
        raise InputError(f"too few users with likes to hold any out by {recipe.hold_out}; {hint}")
    chosen = rng.choice(able, wanted, replace=False)
    held = np.zeros(len(likes.song), np.bool_)
    if recipe.hold_out == "users":
        held[np.isin(likes.user, chosen)] = True
    else:
        held[likes.starts[chosen + 1] - 1] = True
    return held


def epoch_places(
    likes: Likes, learnt_from: BoolArray, recipe: UsersRecipe, epoch: int
) -> Int64Array:
    """Return the examples of one epoch, shuffled: at most `targets_per_user` of each user."""
    rng = generator(recipe.seed, EPOCH, epoch)
    places = rng.permutation(np.flatnonzero(learnt_from))
    user = likes.user[places]
    order = np.argsort(user, kind="stable")
    counts = np.bincount(user, minlength=len(likes))
    nth = np.empty(len(places), np.int64)  # of the user's examples in this epoch
    nth[order] = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places[nth < recipe.targets_per_user]
