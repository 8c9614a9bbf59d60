"""The files of a cold start, opened and matched: songs and users as unit vectors in one space.

==============  ==================================  =====================================
by              songs                               users
==============  ==================================  =====================================
``embedding``   ``embeddings.parquet``              ``users.parquet``, of the same space
``vector``      a store of new songs                preference profiles over a store that
                                                    holds the songs they like
==============  ==================================  =====================================

Everything is brought to length 1, so that a dot product is a cosine. Beside the two sides
stand what was heard already and who likes what.

Without any trained model a user's taste is a *preference profile*: the weighted mean of the
liked songs' vectors, standardised and weighted as `similar` does it, brought to length 1. For a
ranker the plain vectors matter: their weighted mean, and their weighted standard deviation,
which tells a listener of one kind of music from a listener of everything. Weights are those of
the user model's histories: ``log2(1 + w)`` of a like's weight, halved with every half-life that
it is older than the user's newest like.
"""

import tempfile
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.evaluation.baselines import unit
from audiorec.files.arrow import strings
from audiorec.files.user_files import read_table
from audiorec.listening.history import (
    Histories,
    Likes,
    histories,
    mean_and_spread,
    mean_inputs,
    whole,
)
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Space
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import FloatArray, IdMap, Int64Array, Pairs, Preferences, name_numbers

ARTIST, SONG_ID = "artist", "song_id"
# Up to here in memory; more is kept in a file that is mapped, and that the system may drop from
# memory and read again.
IN_MEMORY_BYTES = 1 << 30
BLOCK_ROWS = 2_048  # users at a time: of 100 songs and 84 numbers each, 140 MB
HALF_LIFE_DAYS = 90.0
MAX_HISTORY = 100  # newest likes


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartFiles:
    """What the caller names."""

    songs: Path  # new songs: ``embeddings.parquet``, or a store where songs are compared by vector
    users: Path | None = None  # ``users.parquet``; without it users are their tastes
    vectors: Path | None = None  # the store that holds the songs that users like
    interactions: Path | None = None
    artists: Path | None = None  # any Parquet file with song_id and artist, for limits by artist
    # ``auto`` is by embedding where users are given
    by: Literal["auto", "embedding", "vector"] = "auto"
    rule: Rule | None = None  # what makes a song liked
    half_life_days: float | None = HALF_LIFE_DAYS  # of likes in a taste
    features: bool = True  # columns for a ranker, where listening and vectors are given
    heard: bool = False  # songs come back to users who heard them

    @property
    def compares(self) -> Literal["embedding", "vector"]:
        """What songs and users are compared by."""
        if self.by == "auto":
            return "embedding" if self.users is not None else "vector"
        return self.by

    def identity(self) -> dict[str, Any]:
        """Return what decides the inputs of a job, in plain JSON values."""
        names = ("songs", "users", "vectors", "interactions", "artists")
        return {
            **{name: _state_of(getattr(self, name)) for name in names},
            "by": self.compares,
            "rule": asdict(self.rule or Rule()),
            "half_life_days": self.half_life_days,
            "features": self.features,
            "heard": self.heard,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Songs or users."""

    id_array: Any  # length n
    units: FloatArray  # (n, W): of length 1
    # (n,): number of each song's artist, -1 where unknown; None where there is no such column
    artist: Int64Array | None = None
    made_by: str = ""  # the model or extractor that the numbers come from

    def __len__(self) -> int:
        return len(self.id_array)

    @property
    def ids(self) -> list[str]:
        """Ids, one a row."""
        ids: list[str] = self.id_array.to_pylist()
        return ids


@dataclass(frozen=True, slots=True)
class TasteFeatures:
    """What a ranker reads of n users."""

    songs: Int64Array  # (n,): liked songs with a vector
    mean: FloatArray  # (n, V): 0 for a user without one
    spread: FloatArray  # (n, V)


class Tastes:
    """The liked songs over the vectors of a store, of users in the order of `user_ids`.

    By default they are all users of the preferences.
    """

    def __init__(
        self,
        preferences: Preferences,
        store: SearchableStore,
        *,
        user_ids: Sequence[str] | None = None,
        half_life_days: float | None = HALF_LIFE_DAYS,
        max_history: int = MAX_HISTORY,
    ) -> None:
        self.user_ids = tuple(preferences.user_ids if user_ids is None else user_ids)
        self._store = store
        self._half_life = half_life_days
        self._likes = _likes(preferences, self.user_ids, store.ids)
        self._spans = whole(self._likes, max_history=max_history)

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def dimension(self) -> int:
        """Numbers in a vector of the store."""
        return self._store.metadata.dimension

    @property
    def counts(self) -> Int64Array:
        """Liked songs with a vector of each user, as far as they are read: shape (U,)."""
        return self._spans.stop - self._spans.first

    def take(self, users: Int64Array) -> "Tastes":
        """Return the tastes of some users, by their numbers."""
        chosen = copy(self)
        chosen.user_ids = tuple(self.user_ids[i] for i in users)
        chosen._spans = self._spans.take(users)
        return chosen

    def features(self, users: Int64Array) -> TasteFeatures:
        """Return what a ranker reads of some users."""
        past = self._histories(users)
        mean, spread = mean_and_spread(past, self._store.vectors)
        return TasteFeatures(self.counts[users], mean, spread)

    def profiles(self, space: Space) -> FloatArray:
        """Return the preference profiles of all users: shape (U, W), float32.

        Of length 1; zeros for a user without liked songs. `space` is of the same store.
        """
        found = np.empty((len(self), space.matrix.shape[1]), np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            users = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            mean = mean_inputs(self._histories(users), space.matrix)
            found[users] = unit(mean.astype(np.float64))
        return found

    def _histories(self, users: Int64Array) -> Histories:
        return histories(self._likes, self._spans.take(users), half_life_days=self._half_life)


def _likes(preferences: Preferences, user_ids: Sequence[str], song_ids: Sequence[str]) -> Likes:
    """Return the likes of these users of these songs, numbered by both."""
    liked = preferences.liked
    user = IdMap(user_ids).rows(preferences.user_ids)[liked.user]
    song = IdMap(song_ids).rows(preferences.song_ids)[liked.song]
    pairs = Pairs(user.astype(np.int32), song.astype(np.int32), liked.weight, liked.time)
    return Likes.from_pairs(pairs.take((user >= 0) & (song >= 0)), len(user_ids))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColdStartInputs:
    """What a job is made of."""

    songs: Side
    users: Side
    heard: tuple[Int64Array, Int64Array] | None  # rows of pairs that must not come back
    tastes: Tastes | None  # of the same users
    strangers: int  # users without a liked song of the store, where there are tastes
    simulated: bool  # whether the listening is made up


def open_inputs(files: ColdStartFiles) -> ColdStartInputs:
    """Open everything and match it.

    Raises
    ------
    InputError
        If a file that is needed is not named, or ids do not meet.
    StoreError
        If a file is not what it should be.
    SpecMismatchError
        If songs and users are not of one space.
    """
    log = preferences = artist_of = None
    if files.artists is not None:
        artist_of = _read_artists(files.artists)
    if files.interactions is not None:
        log = read_interactions(files.interactions)
        preferences = to_preferences(log, files.rule)
    if files.compares == "vector":
        songs, users, tastes = _by_vector(files, preferences)
        strangers = len(preferences.user_ids) - len(users) if preferences else 0
    else:
        songs, users, tastes = _by_embedding(files, preferences)
        strangers = 0 if tastes is None else int((tastes.counts == 0).sum())
    heard = None
    if preferences is not None and not files.heard:
        heard = heard_pairs(preferences, songs, users)
    if artist_of is not None:
        numbers = name_numbers([artist_of.get(song) for song in songs.ids])
        if not (numbers >= 0).any():
            raise InputError(f"{files.artists}: names the artist of none of the new songs")
        songs = replace(songs, artist=numbers)
    return ColdStartInputs(
        songs=songs,
        users=users,
        heard=heard,
        tastes=tastes if files.features else None,
        strangers=strangers,
        simulated=log is not None and log.simulated,
    )


def _by_vector(
    files: ColdStartFiles, preferences: Preferences | None
) -> tuple[Side, Side, Tastes | None]:
    if files.users is not None:
        raise InputError("by vector, users are their tastes: leave --users out")
    if files.vectors is None or preferences is None:
        raise InputError(
            "without --users, tastes are made of listening: give --interactions, and --vectors "
            "with the songs that users like"
        )
    catalogue = SearchableStore.open(files.vectors)
    tastes = Tastes(preferences, catalogue, half_life_days=files.half_life_days)
    return vector_sides(SearchableStore.open(files.songs), catalogue, tastes)


def _by_embedding(
    files: ColdStartFiles, preferences: Preferences | None
) -> tuple[Side, Side, Tastes | None]:
    if files.users is None:
        raise InputError("by embedding, users need embeddings: give --users")
    songs, users = embedding_sides(
        EmbeddingTable.open(files.songs, kind="songs"),
        EmbeddingTable.open(files.users, kind="users"),
    )
    if preferences is None or files.vectors is None or not files.features:
        return songs, users, None
    tastes = Tastes(
        preferences,
        SearchableStore.open(files.vectors),
        user_ids=users.ids,
        half_life_days=files.half_life_days,
    )
    return songs, users, tastes


def embedding_sides(songs: EmbeddingTable, users: EmbeddingTable) -> tuple[Side, Side]:
    """Bring songs and users of one space together; refuses others, and embeddings of length 0."""
    songs.metadata.check_same_space(users.metadata, f"{songs.path} and {users.path}")
    new, others = (
        Side(table.id_array, unit_embeddings(table), None, table.model_id)
        for table in (songs, users)
    )
    if ARTIST in songs.column_names:
        artists = songs.columns([ARTIST]).column(ARTIST).to_pylist()
        new = replace(new, artist=name_numbers(artists))
    return new, others


def vector_sides(
    songs: SearchableStore, catalogue: SearchableStore, tastes: Tastes
) -> tuple[Side, Side, Tastes]:
    """Bring new songs and the tastes of users together, without any model.

    Users without a liked song of the catalogue are left out of sides and tastes. Means and
    deviations of the catalogue, which holds the songs that users like, standardise both sides.
    Stores of two extractors are a `SpecMismatchError`.
    """
    theirs, ours = songs.metadata.extractor_id, catalogue.metadata.extractor_id
    if theirs != ours:
        raise SpecMismatchError(
            f"{songs.path} was made by extractor {theirs}, {catalogue.path} by {ours}: "
            "extract both with one"
        )
    known = np.flatnonzero(tastes.counts)
    if not len(known):
        raise InputError(
            f"no user likes a song of {catalogue.path}: interactions and store need the same ids"
        )
    tastes = tastes.take(known)
    space = catalogue.space("vector", use_index=False)
    new = Side(
        strings(songs.ids),
        space.prepare(songs.read_vectors()),
        name_numbers(songs.column(ARTIST).to_pylist()),
        theirs,
    )
    return new, Side(strings(tastes.user_ids), tastes.profiles(space), None, ours), tastes


def heard_pairs(
    preferences: Preferences, songs: Side, users: Side
) -> tuple[Int64Array, Int64Array]:
    """Return the songs and the users of what was heard already, by their rows."""
    heard = preferences.heard
    song = IdMap(songs.ids).rows(preferences.song_ids)[heard.song]
    user = IdMap(users.ids).rows(preferences.user_ids)[heard.user]
    both = (song >= 0) & (user >= 0)
    return song[both], user[both]


def unit_embeddings(table: EmbeddingTable) -> FloatArray:
    """Read embeddings, each brought to length 1, one row group at a time: (n, D) float32.

    One of length 0, which has no direction, is refused.
    """
    units = _room((len(table), table.dimension))
    for start, block in table.blocks():
        length = np.sqrt(np.square(block.astype(np.float64)).sum(axis=1, keepdims=True))
        zero = np.flatnonzero(length == 0)
        if len(zero):
            name = table.id_array[start + int(zero[0])].as_py()
            raise InputError(f"{table.path}: the embedding of {name!r} has length 0")
        units[start : start + len(block)] = block / length
    return units


def _read_artists(path: Path) -> dict[str, str | None]:
    table = read_table(path, "cannot be read as a table", needed=(SONG_ID, ARTIST), texts=True)
    return dict(zip(*(table.column(n).to_pylist() for n in (SONG_ID, ARTIST)), strict=True))


def _state_of(path: Path | None) -> list[Any]:
    """Return what tells one state of a file from another, without reading it."""
    if path is None:
        return []
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _room(shape: tuple[int, int]) -> FloatArray:
    """Return an array to fill, in memory or, if it is large, over a file without a name."""
    if 4 * shape[0] * shape[1] <= IN_MEMORY_BYTES:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it, a crash leaves nothing
        return np.memmap(file, np.float32, "w+", shape=shape)
