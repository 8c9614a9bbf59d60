"""The files of a cold start, opened and matched: two sides, what was heard, who likes what."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from audiorec.errors import InputError
from audiorec.files.user_files import read_table
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.recall.cold_start.sides import (
    ARTIST,
    Side,
    embedding_sides,
    file_identity,
    heard_pairs,
    vector_sides,
)
from audiorec.recall.cold_start.tastes import HALF_LIFE_DAYS, Tastes
from audiorec.search.library import Library
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import Int64Array, Preferences, name_numbers

By = Literal["auto", "embedding", "vector"]
SONG_ID = "song_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
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
    by: By = "auto"
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
            **{name: file_identity(getattr(self, name)) for name in names},
            "by": self.compares,
            "rule": asdict(self.rule or Rule()),
            "half_life_days": self.half_life_days,
            "features": self.features,
            "heard": self.heard,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What a job is made of.

    Attributes
    ----------
    songs, users : Side
    heard : (songs, users) or None
        Rows of pairs that must not come back.
    tastes : Tastes or None
        Of the same users.
    strangers : int
        Users without a liked song of the store, where there are tastes.
    simulated : bool
        Whether the listening is made up.
    """

    songs: Side
    users: Side
    heard: tuple[Int64Array, Int64Array] | None
    tastes: Tastes | None
    strangers: int
    simulated: bool


def gather(files: Files) -> Inputs:
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
        tastes_out = tastes if files.features else None
    else:
        songs, users, tastes_out = _by_embedding(files, preferences)
        strangers = 0 if tastes_out is None else int((tastes_out.counts == 0).sum())
    heard = None
    if preferences is not None and not files.heard:
        heard = heard_pairs(preferences, songs, users)
    if files.artists is not None:
        songs = Side(songs.id_array, songs.units, _artists(files.artists, songs), songs.made_by)
    return Inputs(
        songs=songs,
        users=users,
        heard=heard,
        tastes=tastes_out,
        strangers=strangers,
        simulated=log is not None and log.simulated,
    )


def _by_vector(files: Files, preferences: Preferences | None) -> tuple[Side, Side, Tastes]:
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
    files: Files, preferences: Preferences | None
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


def _artists(path: Path, songs: Side) -> Int64Array:
    """Return the artists of songs by a table of song_id and artist."""
    table = read_table(path, "cannot be read as a table", needed=(SONG_ID, ARTIST), texts=True)
    names = (table.column(name).to_pylist() for name in (SONG_ID, ARTIST))
    artist_of = dict(zip(*names, strict=True))
    numbers = name_numbers([artist_of.get(song) for song in songs.ids])
    if not (numbers >= 0).any():
        raise InputError(f"{path}: names the artist of none of the new songs")
    return numbers
