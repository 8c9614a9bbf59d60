"""The files of a cold start, opened and matched: songs and users as unit vectors in one space.

==============  ==================================  =====================================
by              songs                               users
==============  ==================================  =====================================
``embedding``   ``embeddings.parquet``              ``users.parquet``, of the same space
``vector``      a store of new songs                preference profiles over a store that
                                                    holds the songs they like
==============  ==================================  =====================================

Everything is brought to length 1, so that a dot product is a cosine. Beside the two sides
stand what was heard already, who likes what, and which songs are not new or no music.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.files.arrow import integers, strings
from audiorec.files.user_files import read_table
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.recall.cold_start.newcomers import Screening, SongFacts, screen
from audiorec.recall.cold_start.tastes import HALF_LIFE_DAYS, Tastes
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import FloatArray, IdMap, Int64Array, Preferences, name_numbers

ARTIST, SONG_ID = "artist", "song_id"
# Up to here in memory; more is kept in a file that is mapped, and that the system may drop from
# memory and read again.
IN_MEMORY_BYTES = 1 << 30


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
    tastes: bool = True  # for a ranker, where listening and vectors are given
    heard: bool = False  # songs come back to users who heard them
    keep_known: bool = False  # copies of songs of `vectors` count as new
    include_non_music: bool = False  # speech, noise, silence and jingles, too

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
            "tastes": self.tastes,
            "heard": self.heard,
            "keep_known": self.keep_known,
            "include_non_music": self.include_non_music,
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

    def take(self, rows: Int64Array) -> "Side":
        """Return some of the rows, by their ascending numbers."""
        if len(rows) == len(self):
            return self  # which may be mapped, and larger than memory
        artist = None if self.artist is None else self.artist[rows]
        units = self.units[rows]
        return replace(
            self, id_array=self.id_array.take(integers(rows)), units=units, artist=artist
        )

    @property
    def ids(self) -> list[str]:
        """Ids, one a row."""
        ids: list[str] = self.id_array.to_pylist()
        return ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColdStartInputs:
    """What a job is made of."""

    songs: Side  # those that get lists
    users: Side
    heard: tuple[Int64Array, Int64Array] | None  # rows of pairs that must not come back
    tastes: Tastes | None  # of the same users
    strangers: int  # users without a liked song of the store, where there are tastes
    simulated: bool | None  # whether the listening is made up; None where none was given
    facts: SongFacts  # of `songs`
    screening: Screening  # what came of looking at all songs of the file
    offered: int  # how many these are


def open_inputs(files: ColdStartFiles) -> ColdStartInputs:
    """Open everything and match it.

    Raises
    ------
    InputError
        If a file that is needed is not named, ids do not meet, or no song is new.
    StoreError
        If a file is not what it should be.
    SpecMismatchError
        If songs and users are not of one space.
    """
    by = _vector_files(files) if files.compares == "vector" else _embedding_files(files)
    log = preferences = artist_of = None
    if files.artists is not None:
        artist_of = _read_artists(files.artists)
    if files.interactions is not None:
        log = read_interactions(files.interactions)
        preferences = to_preferences(log, files.rule)
    songs, users, tastes, facts = by.match(files, preferences)
    strangers = 0 if tastes is None else int((tastes.counts == 0).sum())
    if files.compares == "vector" and preferences is not None:
        strangers = len(preferences.user_ids) - len(users)
    screening = screen(
        songs.ids,
        facts,
        by.catalogue,
        keep_known=files.keep_known,
        include_non_music=files.include_non_music,
    )
    _check_left(files.songs, len(songs), screening)
    heard = None
    if preferences is not None and not files.heard:
        heard = heard_pairs(preferences, songs, users, copies=screening.copies)
        heard = _of_kept(heard, screening.kept, len(songs))
    if artist_of is not None:
        numbers = name_numbers([artist_of.get(song) for song in songs.ids])
        if not (numbers >= 0).any():
            raise InputError(f"{files.artists}: names the artist of none of the new songs")
        songs = replace(songs, artist=numbers)
    return ColdStartInputs(
        songs=songs.take(screening.kept),
        users=users,
        heard=heard,
        tastes=tastes if files.tastes else None,
        strangers=strangers,
        simulated=None if log is None else log.simulated,
        facts=facts.take(screening.kept),
        screening=screening,
        offered=len(songs),
    )


def _check_left(path: Path, offered: int, screening: Screening) -> None:
    """Refuse a file of which no song is new; says which option keeps them."""
    if len(screening.kept) or not offered:
        return
    why = [
        f"{len(names)} {words}"
        for names, words in (
            (screening.known, "known audio (--keep-known)"),
            (screening.not_music, "no music (--include-non-music)"),
        )
        if names
    ]
    raise InputError(f"{path}: none of its {offered} songs is new: {', '.join(why)}")


def _of_kept(
    pairs: tuple[Int64Array, Int64Array], kept: Int64Array, n_songs: int
) -> tuple[Int64Array, Int64Array]:
    """Return the pairs of songs that are kept, numbered among these."""
    place = np.full(n_songs, -1)
    place[kept] = np.arange(len(kept))
    song, user = place[pairs[0]], pairs[1]
    return song[song >= 0], user[song >= 0]


Matched = tuple[Side, Side, Tastes | None, SongFacts]


@dataclass(frozen=True, slots=True)
class _ByVector:
    """A store of new songs, and the one that holds the songs that users like."""

    songs: SearchableStore
    catalogue: SearchableStore

    def match(self, files: ColdStartFiles, preferences: Preferences | None) -> Matched:
        """Return songs, users who like some of the catalogue, their tastes, facts."""
        if preferences is None:
            raise InputError(NO_TASTES)
        tastes = Tastes(preferences, self.catalogue, half_life_days=files.half_life_days)
        return *vector_sides(self.songs, self.catalogue, tastes), SongFacts.of_store(self.songs)


@dataclass(frozen=True, slots=True)
class _ByEmbedding:
    """Embeddings of new songs and of users."""

    songs: EmbeddingTable
    users: EmbeddingTable
    catalogue: SearchableStore | None

    def match(self, files: ColdStartFiles, preferences: Preferences | None) -> Matched:
        """Return songs, users, their tastes where the files tell of them, facts."""
        songs, users = embedding_sides(self.songs, self.users)
        tastes = None
        if preferences is not None and self.catalogue is not None and files.tastes:
            tastes = Tastes(
                preferences,
                self.catalogue,
                user_ids=users.ids,
                half_life_days=files.half_life_days,
            )
        return songs, users, tastes, SongFacts.of_embeddings(self.songs)


NO_TASTES = (
    "without --users, tastes are made of listening: give --interactions LOG, and --vectors with "
    "the songs that users like (audiorec extract FOLDER --out vecs.parquet)"
)


def _vector_files(files: ColdStartFiles) -> _ByVector:
    if files.users is not None:
        raise InputError("by vector, users are their tastes: leave --users out")
    if files.vectors is None or files.interactions is None:
        raise InputError(NO_TASTES)
    return _ByVector(SearchableStore.open(files.songs), SearchableStore.open(files.vectors))


def _embedding_files(files: ColdStartFiles) -> _ByEmbedding:
    if files.users is None:
        raise InputError(
            "by embedding, users need embeddings: give --users, made by audiorec recall users or "
            "audiorec metric train"
        )
    return _ByEmbedding(
        EmbeddingTable.open(files.songs, kind="songs"),
        EmbeddingTable.open(files.users, kind="users"),
        SearchableStore.open(files.vectors) if files.vectors is not None else None,
    )


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
            f"extract the new songs again: audiorec extract FOLDER --out {songs.path} --overwrite"
        )
    known = np.flatnonzero(tastes.counts)
    if not len(known):
        raise InputError(
            f"no user likes a song of {catalogue.path}: interactions and store need the same ids; "
            f"audiorec listening check LOG --vectors {catalogue.path} compares them"
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
    preferences: Preferences,
    songs: Side,
    users: Side,
    *,
    copies: Sequence[tuple[str, int]] = (),
) -> tuple[Int64Array, Int64Array]:
    """Return the songs and the users of what was heard already, by their rows.

    `copies` are other ids of songs, with their rows: who heard a copy has heard the song.
    """
    heard = preferences.heard
    user = IdMap(users.ids).rows(preferences.user_ids)[heard.user]
    found = [IdMap(songs.ids).rows(preferences.song_ids)[heard.song]]
    rest = list(copies)
    while rest:  # once, but for copies that stand for several new songs
        row_of = dict(rest)
        rows = np.array([*row_of.values(), -1])
        found.append(rows[IdMap(list(row_of)).rows(preferences.song_ids)][heard.song])
        rest = [(name, row) for name, row in rest if row_of[name] != row]
    song, user = np.concatenate(found), np.tile(user, len(found))
    both = (song >= 0) & (user >= 0)
    pairs = np.unique(song[both] * len(users) + user[both])  # several copies may have been heard
    return pairs // len(users), pairs % len(users)


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
