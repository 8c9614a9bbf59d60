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
"""

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.files.arrow import strings
from audiorec.files.user_files import read_table
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.recall.cold_start.tastes import HALF_LIFE_DAYS, Tastes
from audiorec.search.library import Library
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import FloatArray, IdMap, Int64Array, Preferences, name_numbers

ARTIST, SONG_ID = "artist", "song_id"
# Up to here in memory; more is kept in a file that is mapped, and that the system may drop from
# memory and read again.
IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartFiles:
    """What the caller names.

    Attributes
    ----------
    songs : Path
        New songs: ``embeddings.parquet``, or a store where songs are compared by vector.
    users : Path or None
        ``users.parquet``; without it users are their tastes.
    vectors : Path or None
        The store that holds the songs that users like.
    interactions : Path or None
    artists : Path or None
        Any Parquet file with song_id and artist, for limits by artist.
    by : {"auto", "embedding", "vector"}
        ``auto`` is by embedding where users are given.
    rule : Rule or None
        What makes a song liked.
    half_life_days : float or None
        Of likes in a taste.
    features : bool
        Columns for a ranker, where listening and vectors are given.
    heard : bool
        Songs come back to users who heard them.
    """

    songs: Path
    users: Path | None = None
    vectors: Path | None = None
    interactions: Path | None = None
    artists: Path | None = None
    by: Literal["auto", "embedding", "vector"] = "auto"
    rule: Rule | None = None
    half_life_days: float | None = HALF_LIFE_DAYS
    features: bool = True
    heard: bool = False

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
    log = preferences = None
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
    if files.artists is not None:
        songs = replace(songs, artist=_artists(files.artists, songs))
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
    catalogue = Library.open(files.vectors)
    tastes = Tastes(preferences, catalogue, half_life_days=files.half_life_days)
    return vector_sides(Library.open(files.songs), catalogue, tastes)


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
        Library.open(files.vectors),
        user_ids=users.ids,
        half_life_days=files.half_life_days,
    )
    return songs, users, tastes


def embedding_sides(songs: EmbeddingTable, users: EmbeddingTable) -> tuple[Side, Side]:
    """Bring songs and users of one space together; refuses others, and embeddings of length 0."""
    songs.metadata.check_same_space(users.metadata, f"{songs.path} and {users.path}")
    artist = None
    if ARTIST in songs.column_names:
        artist = name_numbers(songs.columns([ARTIST]).column(ARTIST).to_pylist())
    return (
        Side(songs.id_array, unit_embeddings(songs), artist, songs.model_id),
        Side(users.id_array, unit_embeddings(users), None, users.model_id),
    )


def vector_sides(songs: Library, catalogue: Library, tastes: Tastes) -> tuple[Side, Side, Tastes]:
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


def _artists(path: Path, songs: Side) -> Int64Array:
    """Return the artists of songs by a table of song_id and artist."""
    table = read_table(path, "cannot be read as a table", needed=(SONG_ID, ARTIST), texts=True)
    names = (table.column(name).to_pylist() for name in (SONG_ID, ARTIST))
    artist_of = dict(zip(*names, strict=True))
    numbers = name_numbers([artist_of.get(song) for song in songs.ids])
    if not (numbers >= 0).any():
        raise InputError(f"{path}: names the artist of none of the new songs")
    return numbers


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
