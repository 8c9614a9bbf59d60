"""Inputs of a cold-start job, opened and matched: songs and users as unit vectors in one space.

==============  ==================================  =====================================
by              songs                               users
==============  ==================================  =====================================
``embedding``   ``embeddings.parquet``              ``users.parquet``, of the same space
``vector``      a store of new songs                preference profiles over a store that
                                                    holds the songs they like
==============  ==================================  =====================================

    SongFacts, catalogue ──screen──▶ rows kept, copies of known audio, songs that are not music

All vectors are normalised to length 1, so a dot product is a cosine.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SpecMismatchError
from audiorec.files.arrow import integers, string_array
from audiorec.files.user_files import read_table
from audiorec.listening.reading import LogReading
from audiorec.recall.cold_start.assign import HALF_LIFE_DAYS, Tastes
from audiorec.search.music import is_music
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap, Int64Array, Preferences, name_numbers

MUSIC = "music"  # a column of embeddings: whether the song is music


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """Metadata of n songs; None for values missing from the file."""

    content_hash: tuple[str | None, ...]
    uri: tuple[str | None, ...]
    title: tuple[str | None, ...]
    artist: tuple[str | None, ...]
    music: tuple[bool | None, ...]

    @classmethod
    def of_store(cls, store: VectorStore) -> "SongFacts":
        """Read the columns of a store; music flags are derived from the scores."""
        texts = {name: tuple(store.column(name).to_pylist()) for name in TEXTS}
        return cls(**texts, music=tuple(is_music(store).tolist()))

    @classmethod
    def of_embeddings(cls, table: EmbeddingTable) -> "SongFacts":
        """Read the columns that are present and have the types written by `recall songs`."""
        result: dict[str, Any] = {}
        for name in (*TEXTS, MUSIC):
            values: Sequence[Any] = [None] * len(table)
            if name in table.column_names:
                column = table.columns([name]).column(name)
                if column.type == (pa.bool_() if name == MUSIC else pa.string()):
                    values = column.to_pylist()
            result[name] = tuple(values)
        return cls(**result)

    def take(self, rows: Int64Array) -> "SongFacts":
        """Return the metadata of the given songs."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return SongFacts(**{name: tuple(v[i] for i in rows) for name, v in values.items()})


TEXTS = ("content_hash", "uri", "title", "artist")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAudio:
    """A supposedly new song, and the catalogue song with the same audio."""

    song_id: str
    same_as: str  # its id in the catalogue; its file if the ids are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Result of screening new songs."""

    kept: Int64Array  # rows of the songs that get lists, ascending
    known: tuple[KnownAudio, ...] = ()  # songs that are not new, kept or not
    not_music: tuple[str, ...] = ()  # ids of the other songs that are not music, kept or not
    # ids of copies in the catalogue, each with the row of the new song with the same audio
    copies: tuple[tuple[str, int], ...] = ()


def screen(
    ids: Sequence[str],
    facts: SongFacts,
    catalogue: SearchableStore | None,
    *,
    keep_known: bool = False,
    include_non_music: bool = False,
) -> Screening:
    """Find copies of known audio and songs that are not music among new songs.

    A copy of a catalogue song, under any id, is not new: its audio has the same content hash. The
    same file in the catalogue is not a copy, so one store may hold both known and new songs.
    Speech, noise, silence and jingles are not recommended (`audiorec.search.choice`).

    Parameters
    ----------
    ids : sequence of str, length n
    facts : SongFacts
        Metadata of these songs.
    catalogue : SearchableStore, optional
        The known songs; without it, no song is a copy.
    keep_known, include_non_music : bool
        Report copies of known audio, or songs that are not music, but keep them.
    """
    copies = [] if catalogue is None else _copies(facts, catalogue)
    known: dict[int, str] = {}
    for song_id, uri, row in copies:
        if song_id != ids[row]:
            known[row] = song_id
        elif facts.uri[row] not in (None, uri):
            known.setdefault(row, uri)
    noise = [i for i, music in enumerate(facts.music) if music is False and i not in known]
    left_out = set(() if keep_known else known) | set(() if include_non_music else noise)
    return Screening(
        kept=np.array([i for i in range(len(ids)) if i not in left_out], np.int64),
        known=tuple(KnownAudio(song_id=ids[i], same_as=known[i]) for i in sorted(known)),
        not_music=tuple(ids[i] for i in noise),
        copies=tuple((song_id, row) for song_id, _, row in copies if song_id != ids[row]),
    )


def _copies(facts: SongFacts, catalogue: SearchableStore) -> list[tuple[str, str, int]]:
    """Return id and file of each copy in the catalogue, and the row of the new song."""
    rows_of: dict[str, list[int]] = {}
    for row, content in enumerate(facts.content_hash):
        if content is not None:
            rows_of.setdefault(content, []).append(row)
    hashes = string_array(list(rows_of))
    rows = IdMap(hashes).rows(catalogue.column("content_hash").combine_chunks())
    theirs = np.flatnonzero(rows >= 0)
    same = zip(theirs.tolist(), rows[theirs].tolist(), strict=True)
    uris = catalogue.column("uri")
    return [
        (catalogue.id_array[at].as_py(), uris[at].as_py(), row)
        for at, number in same
        for row in rows_of[hashes[number].as_py()]
    ]


ARTIST, SONG_ID = "artist", StoreColumns.ID
# Larger arrays are kept in a memory-mapped temporary file, which the system can page out.
IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartFiles:
    """Input files and options of a cold-start job.

    Attributes
    ----------
    half_life_days : float, optional
        Days in which a like loses half its weight in a taste; 0: none is lost.
    tastes : bool
        Write the users' tastes to a second file, for a ranker, if listening and vectors are given.
    keep_known : bool
        Keep copies of known songs.
    include_non_music : bool
        Keep speech, noise, silence and jingles.
    """

    songs: Path  # new songs: ``embeddings.parquet``, or a store for comparison by vector
    users: Path | None = None  # ``users.parquet``; by default users are represented by tastes
    vectors: Path | None = None  # the store with the songs that users like
    interactions: Path | None = None
    artists: Path | None = None  # Parquet file with song_id and artist, for limits by artist
    reading: LogReading = field(default_factory=LogReading)  # also says which songs count as liked
    keep_heard: bool = False  # recommend songs to users who have heard them
    half_life_days: float | None = HALF_LIFE_DAYS
    tastes: bool = True
    keep_known: bool = False
    include_non_music: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_life_days", self.half_life_days or None)

    @property
    def compares(self) -> Literal["embedding", "vector"]:
        """Space in which songs and users are compared: learnt, if there are embeddings of users."""
        return "embedding" if self.users is not None else "vector"

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the inputs of a job, as plain JSON values."""
        names = ("songs", "users", "vectors", "interactions", "artists")
        return {
            **{name: _state_of(getattr(self, name)) for name in names},
            "by": self.compares,
            "rule": asdict(self.reading.liking),
            "half_life_days": self.half_life_days,
            "tastes": self.tastes,
            "heard": self.keep_heard,
            "keep_known": self.keep_known,
            "include_non_music": self.include_non_music,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Songs or users as unit vectors."""

    id_array: Any  # length n
    units: FloatArray  # (n, W): rows of length 1
    # (n,): number of each song's artist, -1 if unknown; None without such a column
    artist: Int64Array | None = None
    made_by: str = ""  # id of the model or extractor

    def __len__(self) -> int:
        return len(self.id_array)

    def take(self, rows: Int64Array) -> "Side":
        """Return the given rows, numbers in ascending order."""
        if len(rows) == len(self):
            return self  # no copy: it may be mapped and larger than memory
        artist = None if self.artist is None else self.artist[rows]
        units = self.units[rows]
        return replace(
            self, id_array=self.id_array.take(integers(rows)), units=units, artist=artist
        )

    @property
    def ids(self) -> list[str]:
        """Ids, one per row."""
        return self.id_array.to_pylist()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColdStartInputs:
    """Inputs of a cold-start job."""

    songs: Side  # songs that get lists
    users: Side
    heard: tuple[Int64Array, Int64Array] | None  # (song rows, user rows) of excluded pairs
    tastes: Tastes | None  # of the same users
    strangers: int  # users without a liked song in the store, if there are tastes
    simulated: bool | None  # whether the log is simulated; None without a log
    facts: SongFacts  # metadata of `songs`
    screening: Screening  # result of screening all songs of the file
    offered: int  # number of songs in the file


def open_inputs(files: ColdStartFiles) -> ColdStartInputs:
    """Open all input files and match their ids.

    Raises
    ------
    InputError
        If a required file is not given, no ids match, or no song is new.
    StoreError
        If a file is invalid.
    SpecMismatchError
        If songs and users are in different spaces.
    """
    by = _vector_files(files) if files.compares == "vector" else _embedding_files(files)
    log = preferences = artist_of = None
    if files.artists is not None:
        artist_of = _read_artists(files.artists)
    if files.interactions is not None:
        log = files.reading.log(files.interactions)
        preferences = files.reading.preferences(log)
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
    if preferences is not None and not files.keep_heard:
        heard = heard_pairs(preferences, songs, users, copies=screening.copies)
        heard = _renumber_kept(heard, screening.kept, len(songs))
    if artist_of is not None:
        numbers = name_numbers([artist_of.get(song) for song in songs.ids])
        if not (numbers >= 0).any():
            raise InputError(f"{files.artists}: has no artist for any of the new songs")
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
    """Refuse a file without new songs; the error names the option that keeps them."""
    if len(screening.kept) or not offered:
        return
    why = [
        f"{len(names)} {words}"
        for names, words in (
            (screening.known, "known audio (`keep_known`)"),
            (screening.not_music, "not music (`include_non_music`)"),
        )
        if names
    ]
    raise InputError(f"{path}: none of its {offered} songs is new: {', '.join(why)}")


def _renumber_kept(
    pairs: tuple[Int64Array, Int64Array], kept: Int64Array, n_songs: int
) -> tuple[Int64Array, Int64Array]:
    """Return the pairs of kept songs, renumbered."""
    place = np.full(n_songs, -1)
    place[kept] = np.arange(len(kept))
    song, user = place[pairs[0]], pairs[1]
    return song[song >= 0], user[song >= 0]


Matched = tuple[Side, Side, Tastes | None, SongFacts]


@dataclass(frozen=True, slots=True)
class _ByVector:
    """Stores of the new songs and of the songs that users like."""

    songs: SearchableStore
    catalogue: SearchableStore

    def match(self, files: ColdStartFiles, preferences: Preferences | None) -> Matched:
        """Return songs, users with a liked catalogue song, their tastes, and song metadata."""
        if preferences is None:
            raise InputError(NO_TASTES)
        tastes = Tastes(preferences, self.catalogue, half_life_days=files.half_life_days)
        heard = IdMap(self.catalogue.id_array).rows(preferences.song_ids) >= 0
        if heard.any() and not tastes.counts.any():
            raise InputError(
                f"the log has {int(heard.sum()):,} songs of {self.catalogue.path}, but no user "
                "likes one of them by the interaction rule; change it: `rule`"
            )
        return *vector_sides(self.songs, self.catalogue, tastes), SongFacts.of_store(self.songs)


@dataclass(frozen=True, slots=True)
class _ByEmbedding:
    """Embeddings of new songs and of users."""

    songs: EmbeddingTable
    users: EmbeddingTable
    catalogue: SearchableStore | None

    def match(self, files: ColdStartFiles, preferences: Preferences | None) -> Matched:
        """Return songs, users, tastes if the files allow, and song metadata."""
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
    "without `users`, tastes are computed from a log: give `interactions` LOG, and `vectors` with "
    "the songs that users like (audiorec extract FOLDER --out vecs.parquet)"
)


def _vector_files(files: ColdStartFiles) -> _ByVector:
    if files.vectors is None or files.interactions is None:
        raise InputError(NO_TASTES)
    return _ByVector(SearchableStore.open(files.songs), SearchableStore.open(files.vectors))


def _embedding_files(files: ColdStartFiles) -> _ByEmbedding:
    assert files.users is not None  # noqa: S101 - otherwise songs are compared by vector
    return _ByEmbedding(
        EmbeddingTable.open(files.songs, kind="songs"),
        EmbeddingTable.open(files.users, kind="users"),
        SearchableStore.open(files.vectors) if files.vectors is not None else None,
    )


def embedding_sides(songs: EmbeddingTable, users: EmbeddingTable) -> tuple[Side, Side]:
    """Return songs and users of one space as sides; refuse embeddings of length 0."""
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
    """Return new songs and tastes of users as sides, without a trained model.

    Users without a liked song in the catalogue are left out of sides and tastes. Both sides are
    standardised by means and deviations of the catalogue. Raises `SpecMismatchError` if the stores
    have different extractors.
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
            f"no user likes a song in {catalogue.path}: log and store must use the same ids; "
            f"compare them: audiorec listening check LOG --vectors {catalogue.path}"
        )
    tastes = tastes.take(known)
    space = catalogue.space("vector")
    new = Side(
        string_array(songs.ids),
        space.prepare(songs.read_vectors()),
        name_numbers(songs.column(ARTIST).to_pylist()),
        theirs,
    )
    return new, Side(string_array(tastes.user_ids), tastes.profiles(space), None, ours), tastes


def heard_pairs(
    preferences: Preferences,
    songs: Side,
    users: Side,
    *,
    copies: Sequence[tuple[str, int]] = (),
) -> tuple[Int64Array, Int64Array]:
    """Return song rows and user rows of all heard pairs.

    `copies` are other ids of songs with their rows: a user who heard a copy has heard the song.
    """
    heard = preferences.heard
    user = IdMap(users.ids).rows(preferences.user_ids)[heard.user]
    result = [IdMap(songs.ids).rows(preferences.song_ids)[heard.song]]
    rest = list(copies)
    while rest:  # one pass, unless a copy stands for several new songs
        row_of = dict(rest)
        rows = np.array([*row_of.values(), -1])
        result.append(rows[IdMap(list(row_of)).rows(preferences.song_ids)][heard.song])
        rest = [(name, row) for name, row in rest if row_of[name] != row]
    song, user = np.concatenate(result), np.tile(user, len(result))
    both = (song >= 0) & (user >= 0)
    pairs = np.unique(song[both] * len(users) + user[both])  # several copies may have been heard
    return pairs // len(users), pairs % len(users)


def unit_embeddings(table: EmbeddingTable) -> FloatArray:
    """Read embeddings by row group and normalise them to length 1: (n, D) float32.

    Raises `InputError` for an embedding of length 0, which has no direction.
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
    """Return name, size and modification time of a file, to detect changes without reading it."""
    if path is None:
        return []
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _room(shape: tuple[int, int]) -> FloatArray:
    """Return an uninitialised array, in memory or, if large, over an anonymous file."""
    if 4 * shape[0] * shape[1] <= IN_MEMORY_BYTES:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # lives as long as the mapping, also after a crash
        return np.memmap(file, np.float32, "w+", shape=shape)
