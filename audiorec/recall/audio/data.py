"""A log, a catalogue and users become what a metric model learns from.

    log, songs, users  ──prepare──▶  `Prepared`: training data, a judge, and counts

Songs of test artists are not among them: nothing of a training can depend on them.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.evaluation.comparison import Panel
from audiorec.evaluation.ranking import auc_per_user
from audiorec.learning.factors import factorise
from audiorec.learning.seeds import generator
from audiorec.listening.baskets import song_pairs
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.recall.audio.batches import TrainingData
from audiorec.recall.audio.held_out import Parts, SplitPart, assign_parts, find_store, groups_of
from audiorec.recall.audio.recipe import TrainingOptions
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.segments import SongSegments
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, Pairs, Preferences

JUDGED_USERS = 2_000  # at most, when training asks whether artists that were held out gain
SIDES = ("liked", "disliked", "heard")  # of `Preferences`
MIN_JUDGED = 5  # users; fewer say nothing


class TrainingSongs(ABC):
    """Songs that can be heard.

    Attributes
    ----------
    path : Path
        The file that lists them.
    audio_spec : mapping
        Everything between a file and a segment.
    cache : Path
        A folder that lasts as long as the training.
    backbone : str
        The network that is trained along; empty where none is.
    identity : str
        Stands for what the tower begins with, beside the options.
    """

    path: Path
    ids: tuple[str, ...]
    extractor_id: str
    audio_spec: dict[str, Any]
    end_to_end: bool
    cache: Path
    backbone: str
    identity: str

    @abstractmethod
    def load(self, rows: Int64Array, max_segments: int) -> tuple[SongSegments, Int64Array]:
        """Return the segments of some songs, and the numbers of those that could be heard."""

    @abstractmethod
    def tower(self, options: TrainingOptions, data: TrainingData, device: str) -> Any:
        """Build an untrained tower and initialise it from the data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchors:
    """Who the likes are of."""

    ids: tuple[str, ...]  # users, or songs where songs are anchors
    # (U, E): None where they are learnt, or where they are songs
    embeddings: FloatArray | None = None
    space: str = ""  # the model that made the embeddings; empty where none did
    are_songs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What a training needs."""

    data: TrainingData
    # users and songs of the artists that say when to stop; `users` are numbers of anchors. None
    # where too few users like any of them
    panel: Panel | None
    panel_songs: Int64Array  # (n,): numbers of the panel's songs in ``data.songs``
    fingerprint: str  # of all numbers in it

    def judge(self, anchors: FloatArray, songs: FloatArray) -> float:
        """Return the mean AUC of the panel's users, given all anchors and all songs."""
        assert self.panel is not None  # noqa: S101 - the caller only judges with a panel
        similarities = anchors[self.panel.users] @ songs[self.panel_songs].T
        return float(auc_per_user(similarities, self.panel.liked, self.panel.candidates).mean())


def users_of(table: EmbeddingTable, preferences: Preferences) -> tuple[Anchors, Preferences]:
    """Return the users that have an embedding, and their preferences alone; refuses none."""
    rows = table.row_numbers(list(preferences.user_ids))
    if not (rows >= 0).any():
        raise InputError(
            f"{table.path}: holds none of the log's {len(rows)} users, "
            f"for example {preferences.user_ids[0]!r}"
        )
    place = np.where(rows >= 0, np.cumsum(rows >= 0) - 1, -1)
    ids = tuple(u for u, r in zip(preferences.user_ids, rows, strict=True) if r >= 0)
    kept = Preferences(
        user_ids=ids,
        song_ids=preferences.song_ids,
        **{n: _renumbered(getattr(preferences, n), user=place) for n in SIDES},
    )
    space = table.metadata.space or table.model_id
    return Anchors(ids=ids, embeddings=table.embeddings[rows[rows >= 0]], space=space), kept


def make_material(
    anchors: Anchors,
    pairs: Mapping[str, Pairs],
    songs: SongSegments,
    groups: tuple[str, ...],
    parts: Parts,
    *,
    dimension: int,
    seed: int,
) -> Material:
    """Sort pairs into those that are learnt from and those that are judged on.

    `pairs` are ``liked``, ``disliked`` and ``heard``: users are numbers of anchors, songs are
    numbers of `songs`, which are of the parts TRAIN and VALID. `dimension` is of embeddings that
    are learnt; `seed` draws the judged users where there are very many.
    """
    train = parts == SplitPart.TRAIN
    _, group_numbers = np.unique(np.asarray(groups), return_inverse=True)
    if anchors.are_songs:  # an anchor song that is held out must not be learnt from either
        usable = {n: p.take(train[p.song] & train[p.user]) for n, p in pairs.items()}
    else:
        usable = {n: p.take(train[p.song]) for n, p in pairs.items()}
    data = TrainingData(
        songs=songs,
        groups=group_numbers.astype(np.int64),
        pool=np.flatnonzero(train),
        anchors=_embeddings(anchors, usable["liked"], len(songs), dimension),
        anchors_are_learnt=anchors.embeddings is None,
        **usable,
    )
    panel_songs = np.flatnonzero(parts == SplitPart.VALID)
    judged = pairs
    if anchors.are_songs:
        judged = {n: p.take(train[p.user]) for n, p in pairs.items()}
    elif anchors.embeddings is None:  # learnt users are known by their liked training songs
        known = np.isin(judged["liked"].user, usable["liked"].user)
        judged = {**judged, "liked": judged["liked"].take(known)}
    panel = make_panel(judged, len(anchors.ids), panel_songs, seed=seed, most=JUDGED_USERS)
    return Material(
        data=data,
        panel=panel,
        panel_songs=panel_songs,
        fingerprint=_fingerprint(data, panel_songs, panel),
    )


def _embeddings(anchors: Anchors, liked: Pairs, n_songs: int, dimension: int) -> FloatArray | None:
    """Return the anchors' embeddings, or where they begin: what the learnt-from likes say."""
    if anchors.are_songs or anchors.embeddings is not None:
        return anchors.embeddings
    if not len(liked):
        return np.zeros((len(anchors.ids), dimension), np.float32)
    return factorise(liked, len(anchors.ids), n_songs, dimension=dimension)


def make_panel(
    pairs: Mapping[str, Pairs],
    n_users: int,
    songs: Int64Array,
    *,
    seed: int = 0,
    most: int = 0,
    users: BoolArray | None = None,
) -> Panel | None:
    """Choose who is judged on which songs; None if fewer than `MIN_JUDGED` users can be.

    A user is judged on the liked songs among `songs` (n,) against the disliked and the unheard
    ones; songs that were heard and are neither do not count. `users` (n_users,) says which users
    are asked at all; of more than `most` (0: no limit) so many are drawn.
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
    """Return which of the users has a pair with which of the songs: shape (Q, n), bool."""
    place = np.full(n_users, -1, np.int64)
    place[users] = np.arange(len(users))
    mine = place[pairs.user] >= 0
    found = np.zeros((len(users), len(songs)), np.bool_)
    found[place[pairs.user[mine]], np.searchsorted(songs, pairs.song[mine])] = True
    return found


def _fingerprint(data: TrainingData, panel_songs: Int64Array, panel: Panel | None) -> str:
    digest = hashlib.sha256("\0".join(data.songs.song_ids).encode("utf-8", "surrogatepass"))
    arrays: list[npt.NDArray[Any]] = [data.songs.offsets, data.groups, data.pool, panel_songs]
    for pairs in (data.liked, data.disliked, data.heard):
        arrays += [pairs.user, pairs.song]
    if data.anchors is not None:
        arrays.append(data.anchors)
    if panel is not None:
        arrays += [panel.users, panel.liked, panel.candidates]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    values = data.songs.values  # every segment where they are small features
    step = 1 if values.ndim == 2 else max(1, len(values) // 1000)
    digest.update(np.ascontiguousarray(values[::step]).tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What a training begins with."""

    material: Material
    anchors: Anchors
    # pairs, anchors, songs and artists that are learnt from; users of the log, and those of them
    # that have no embedding
    counts: dict[str, int]
    simulated: bool  # the log says that it is made up


def prepare(
    songs: TrainingSongs,
    interactions: Path,
    options: TrainingOptions,
    *,
    users: Path | None,
    store: Path | None,
) -> Prepared:
    """Read everything that a training needs and sort it.

    Artists come from `store`, by default the one beside the songs' file; `users` is a
    ``users.parquet``. What does not fit each other is an `InputError`.
    """
    groups = groups_of(songs.ids, find_store(store, songs.path))
    parts = assign_parts(songs.ids, groups, options.split)
    log = read_interactions(interactions)
    if options.pairs_from == "likes":
        preferences = to_preferences(log, options.rule, song_ids=songs.ids)
        anchors, pairs = _of_users(users, preferences, songs, interactions, options)
        n_users = len(preferences.user_ids)
    else:
        together = song_pairs(interactions, log, songs.ids, source=options.pairs_from)
        anchors = Anchors(ids=songs.ids, are_songs=True)
        pairs = {"liked": together, "disliked": together.take(np.zeros(0, int)), "heard": together}
        n_users = len(log.user_ids)
    loaded, chosen = songs.load(_worth_loading(songs, pairs, parts), options.max_segments)
    place = np.full(len(songs.ids), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    users_too = place if anchors.are_songs else None
    pairs = {n: _renumbered(p, user=users_too, song=place) for n, p in pairs.items()}
    if anchors.are_songs:
        anchors = Anchors(ids=loaded.song_ids, are_songs=True)
    own_groups = tuple(groups[i] for i in chosen)
    material = make_material(
        anchors,
        pairs,
        loaded,
        own_groups,
        parts[chosen],
        dimension=options.embedding,
        seed=options.split.seed,
    )
    return Prepared(
        material=material,
        anchors=anchors,
        counts=_counts(material, anchors, n_users),
        simulated=log.simulated,
    )


def _of_users(
    users: Path | None,
    preferences: Preferences,
    songs: TrainingSongs,
    interactions: Path,
    options: TrainingOptions,
) -> tuple[Anchors, dict[str, Pairs]]:
    """Return the users and their pairs with the numbers of all songs."""
    if not preferences.user_ids:
        raise InputError(f"{interactions}: has no event of a song of {songs.path}")
    anchors = Anchors(ids=preferences.user_ids)
    if users is not None:
        table = EmbeddingTable.open(users, kind="users")
        if table.dimension != options.embedding:
            raise InputError(
                f"{users}: embeddings of {table.dimension} numbers, the model is to have "
                f"{options.embedding}"
            )
        anchors, preferences = users_of(table, preferences)
    return anchors, sides_of(preferences, songs.ids)


def _worth_loading(songs: TrainingSongs, pairs: Mapping[str, Pairs], parts: Parts) -> Int64Array:
    """Return the songs that may be learnt from or that say when to stop."""
    wanted = (parts == SplitPart.TRAIN) | (parts == SplitPart.VALID)
    if songs.end_to_end:  # what nobody met would cost as much to decode as the rest
        met = np.zeros(len(parts), np.bool_)
        for side in pairs.values():
            met[side.song] = True
        wanted &= met
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        raise InputError("no song is left to learn from: all belong to held-out artists")
    return chosen


def sides_of(preferences: Preferences, song_ids: Sequence[str]) -> dict[str, Pairs]:
    """Return the pairs of each of `SIDES`, whose songs are places in `song_ids`."""
    number = IdMap(song_ids).rows(preferences.song_ids)
    return {n: _renumbered(getattr(preferences, n), song=number) for n in SIDES}


def _renumbered(
    pairs: Pairs, *, user: Int64Array | None = None, song: Int64Array | None = None
) -> Pairs:
    """Give users and songs other numbers; pairs of one whose number is -1 are left out."""
    users = pairs.user if user is None else user[pairs.user].astype(np.int32)
    songs = pairs.song if song is None else song[pairs.song].astype(np.int32)
    return Pairs(users, songs, pairs.weight, pairs.time).take((users >= 0) & (songs >= 0))


def _counts(material: Material, anchors: Anchors, n_users: int) -> dict[str, int]:
    data = material.data
    learnt = np.unique(data.liked.song)
    return {
        "liked_pairs": len(data.liked),
        "disliked_pairs": len(data.disliked),
        "anchors": len(np.unique(data.liked.user)),
        "songs": len(learnt),
        "artists": len(np.unique(data.groups[learnt])),
        "users_in_log": n_users,
        "users_without_embedding": 0 if anchors.are_songs else n_users - len(anchors.ids),
    }
