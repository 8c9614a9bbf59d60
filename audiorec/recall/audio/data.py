"""Divide listening into training data and a panel for early stopping, and draw training pairs.

    pairs, songs, parts  ──make_material──▶  `Material`: training data, and a panel to judge on

Songs of test artists are excluded: nothing in training can depend on them.

Draw training pairs of an anchor and a liked song, and their negatives. Every draw has its own
generator, seeded by the recipe's seed, the epoch and the batch: a resumed training draws exactly
what it would have drawn without the interruption.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.evaluation.ranking import Panel, auc_per_user
from audiorec.learning.machine import generator
from audiorec.learning.negatives import NegativeSampler
from audiorec.listening.sequences import Sequences
from audiorec.recall.audio.held_out import Parts, SplitPart
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.data import RecallData
from audiorec.store.features import SongSegments
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """Training data of a tower; raises `InputError` if there is no pair to learn from."""

    songs: SongSegments  # all songs, including those for judging only
    groups: Int64Array  # (S,): artist of each song
    pool: Int64Array  # (n,): rows of the training songs
    liked: Pairs  # of anchors and songs; only songs of `pool`
    disliked: Pairs  # of anchors and songs
    heard: Pairs
    anchors: FloatArray  # (U, E): embeddings of the users

    def __post_init__(self) -> None:
        if not len(self.liked):
            raise InputError(
                "no user likes a song of the training part: check that the log and the features "
                "use the same ids"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PairBatch:
    """B anchors, the liked song of each, and its negatives."""

    anchor: Int64Array  # (B,)
    liked: Int64Array  # (B,)
    others: Int64Array  # (B, m)
    usable: BoolArray  # (B, m)
    key: tuple[int, int, int]  # seed of further draws for this batch


class Batches:
    """The batches of an epoch, drawn reproducibly."""

    def __init__(self, data: TrainingData, recipe: UserAudioRecipe) -> None:
        self.data = data
        self.recipe = recipe
        likes = np.bincount(data.liked.song, minlength=len(data.songs))
        self._sampler = NegativeSampler(
            data.heard, data.disliked, data.pool, likes, recipe.negative_rule
        )
        self._cumulative = np.cumsum(_pair_weights(data, recipe.balance))
        self.pairs_per_epoch = min(len(data.liked), recipe.pairs_per_epoch)

    def __len__(self) -> int:
        return -(-self.pairs_per_epoch // self.recipe.batch_size)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[PairBatch]:
        """Yield the batches of an epoch, starting at number `first`."""
        rng = generator(self.recipe.seed, epoch)
        at = np.searchsorted(self._cumulative, rng.random(self.pairs_per_epoch), side="right")
        pairs = np.minimum(at, len(self.data.liked) - 1)
        size = self.recipe.batch_size
        for number in range(first, len(self)):
            yield self._batch(pairs[number * size : (number + 1) * size], epoch, number)

    def _batch(self, pairs: Int64Array, epoch: int, number: int) -> PairBatch:
        anchor = self.data.liked.user[pairs].astype(np.int64)
        liked = self.data.liked.song[pairs].astype(np.int64)
        key = (self.recipe.seed, epoch, number)
        others, usable = self._sampler.sample(anchor, generator(*key, 1))
        usable &= others != liked[:, None]
        return PairBatch(anchor, liked, others, usable, key)


def _pair_weights(data: TrainingData, balance: float) -> Float64Array:
    """Return the probability of each liked pair: shape (P,), sums to 1."""
    artist = data.groups[data.liked.song]
    pairs_of = np.bincount(artist)
    weights = pairs_of[artist].astype(np.float64) ** -balance
    return weights / weights.sum()


JUDGED_USERS = 2_000  # users of the panel, at most
SIDES = ("liked", "disliked", "heard")  # kinds of pairs
MIN_JUDGED = 5  # users; with fewer there is no panel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchors:
    """Users that liked songs are placed near."""

    ids: tuple[str, ...]
    embeddings: FloatArray  # (U, E)
    space: str = ""  # the model that made the embeddings, or empty


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The data of one training."""

    data: TrainingData
    # users and songs of the artists held out for early stopping; `users` are numbers of anchors.
    # None if too few users like any of them
    panel: Panel | None
    panel_songs: Int64Array  # (n,): rows of the panel's songs in ``data.songs``
    fingerprint: str  # hash of all the data

    def judge(self, anchors: FloatArray, songs: FloatArray) -> float:
        """Return the mean AUC of the panel's users, given all anchors and all songs."""
        assert self.panel is not None  # noqa: S101 - the caller only judges with a panel
        similarities = anchors[self.panel.users] @ songs[self.panel_songs].T
        return float(auc_per_user(similarities, self.panel.liked, self.panel.candidates).mean())


def make_material(
    anchors: Anchors,
    pairs: Mapping[str, Pairs],
    songs: SongSegments,
    groups: tuple[str, ...],
    parts: Parts,
    *,
    seed: int,
) -> Material:
    """Divide pairs into a training part and a panel to judge on.

    `pairs` are ``liked``, ``disliked`` and ``heard``: users are numbers of anchors, songs are rows
    of `songs`, which are in the parts TRAIN and VALID. `seed` samples the judged users if
    there are very many.
    """
    train = parts == SplitPart.TRAIN
    _, group_numbers = np.unique(np.asarray(groups), return_inverse=True)
    data = TrainingData(
        songs=songs,
        groups=group_numbers.astype(np.int64),
        pool=np.flatnonzero(train),
        anchors=anchors.embeddings,
        **{n: p.take(train[p.song]) for n, p in pairs.items()},
    )
    panel_songs = np.flatnonzero(parts == SplitPart.VALID)
    panel = make_panel(pairs, len(anchors.ids), panel_songs, seed=seed, most=JUDGED_USERS)
    return Material(
        data=data,
        panel=panel,
        panel_songs=panel_songs,
        fingerprint=_fingerprint(data, panel_songs, panel),
    )


def make_panel(
    pairs: Mapping[str, Pairs],
    n_users: int,
    songs: Int64Array,
    *,
    seed: int = 0,
    most: int = 0,
    users: BoolArray | None = None,
) -> Panel | None:
    """Choose the users to judge and their songs; None if fewer than `MIN_JUDGED` qualify.

    A user is judged on liked songs among `songs` (n,) against disliked and unheard ones; songs
    that were heard, but neither liked nor disliked, do not count. `users` (n_users,) selects the
    users to consider; more than `most` (0: no limit) are sampled down to `most`.
    """
    inside = {name: p.take(np.isin(p.song, songs)) for name, p in pairs.items()}
    asked = np.unique(inside["liked"].user).astype(np.int64)
    if users is not None:
        asked = asked[users[asked]]
    if most and len(asked) > most:
        asked = np.sort(generator(seed, 77).choice(asked, most, replace=False))
    liked, disliked, heard = (_matrix(inside[name], asked, songs, n_users) for name in SIDES)
    candidates = ~heard | liked | disliked
    good = (liked & candidates).any(1) & (candidates & ~liked).any(1)
    if good.sum() < MIN_JUDGED:
        return None
    return Panel(
        users=asked[good],
        liked=liked[good],
        candidates=candidates[good],
        likes=np.bincount(np.searchsorted(songs, inside["liked"].song), minlength=len(songs)),
    )


def _matrix(pairs: Pairs, users: Int64Array, songs: Int64Array, n_users: int) -> BoolArray:
    """Return which of the users have a pair with which of the songs: shape (Q, n), bool."""
    place = np.full(n_users, -1, np.int64)
    place[users] = np.arange(len(users))
    mine = place[pairs.user] >= 0
    matrix = np.zeros((len(users), len(songs)), np.bool_)
    matrix[place[pairs.user[mine]], np.searchsorted(songs, pairs.song[mine])] = True
    return matrix


def _fingerprint(data: TrainingData, panel_songs: Int64Array, panel: Panel | None) -> str:
    digest = hashlib.sha256("\0".join(data.songs.song_ids).encode("utf-8", "surrogatepass"))
    arrays: list[npt.NDArray[Any]] = [data.songs.offsets, data.groups, data.pool, panel_songs]
    for pairs in (data.liked, data.disliked, data.heard):
        arrays += [pairs.user, pairs.song]
    arrays.append(data.anchors)
    if panel is not None:
        arrays += [panel.users, panel.liked, panel.candidates]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    values = data.songs.values  # hash every segment of small features
    step = 1 if values.ndim == 2 else max(1, len(values) // 1000)
    digest.update(np.ascontiguousarray(values[::step]).tobytes())
    return digest.hexdigest()[:16]


def renumbered(
    pairs: Pairs, *, user: Int64Array | None = None, song: Int64Array | None = None
) -> Pairs:
    """Renumber users and songs; drop pairs in which either has the new number -1."""
    users = pairs.user if user is None else user[pairs.user].astype(np.int32)
    songs = pairs.song if song is None else song[pairs.song].astype(np.int32)
    return Pairs(users, songs, pairs.weight, pairs.time).take((users >= 0) & (songs >= 0))


def verdict_pairs(data: RecallData) -> dict[str, Pairs]:
    """Return the liked, disliked and heard pairs of users and songs, in catalogue rows."""
    liked = _pairs(data.plays)
    disliked, heard = (
        None if side is None else _pairs(side.among(data.song_ids))
        for side in (data.disliked, data.heard)
    )
    return {
        "liked": liked,
        "disliked": no_pairs(liked) if disliked is None else disliked,
        "heard": liked if heard is None else heard,
    }


def _pairs(plays: Sequences) -> Pairs:
    """Return the distinct pairs of owner and song."""
    user, song, times = plays.distinct()
    never = np.full(len(user), np.nan)
    return Pairs(user.astype(np.int32), song.astype(np.int32), times.astype(np.float32), never)


def no_pairs(pairs: Pairs) -> Pairs:
    """Return no pairs."""
    return pairs.take(np.zeros(0, np.int64))
