"""How a log is read: rows that are skipped, plays that are left out, and what users like.

    Interactions ──likes──▶ `Sequences` of songs, with times
    Interactions, Rule ──to_liked──▶ `Liked`: the songs that each user likes, dislikes, has heard
    Interactions ──follows──▶ `Sequences`: users, with artist names in place of songs
    DIR ──read_prepared──▶ `PreparedLog`: the sequences of one bucket, or of all

The bucket of an owner depends on its id alone, and owners within a bucket are sorted by id.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.columns import LogColumns
from audiorec.errors import InputError, MissingStoreError, StoreError
from audiorec.files.own_files import read_object
from audiorec.files.tables import TableFile, check_columns
from audiorec.listening.events import ARTIST_EVENTS, EVENTS, Interactions
from audiorec.listening.interactions import read_log
from audiorec.listening.log_files import LogFiles, opened_log
from audiorec.listening.rule import Rule, load_rule, to_preferences
from audiorec.listening.sequences import By, Sequences, to_sequences
from audiorec.types import (
    IdMap,
    Int32Array,
    Int64Array,
    Pairs,
    Preferences,
    normalised_name,
    offsets,
    string_array,
)


def likes(log: Interactions, owner_ids: tuple[str, ...]) -> Sequences:
    """Return the songs that the given users liked, oldest first, in the order of `owner_ids`.

    A song that was disliked or blocked afterwards is left out; for repeated likes the last one
    counts.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> found = likes(log, ("eva", "ana"))
    >>> [[found.song_ids[s] for s in found[row]] for row in range(2)]
    [[], ['rock/live.mp3']]
    """
    said = np.isin(log.event, [EVENTS.index(name) for name in ("like", "dislike", "block")])
    owner = IdMap(owner_ids).rows(log.user_ids)[log.user]
    rows = np.flatnonzero(said & (owner >= 0))
    rows = rows[np.lexsort((rows, log.timestamp[rows]))]  # rows without a time come last
    key = owner[rows] * max(1, len(log.song_ids)) + log.song[rows]
    _, back = np.unique(key[::-1], return_index=True)  # the last event of each user and song
    last = np.sort(len(rows) - 1 - back)
    rows = rows[last]
    rows = rows[log.event[rows] == EVENTS.index("like")]
    rows = rows[np.argsort(owner[rows], kind="stable")]
    starts = offsets(np.bincount(owner[rows], minlength=len(owner_ids)))
    return Sequences(owner_ids, log.song_ids, starts, log.song[rows], log.timestamp[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Liked:
    """Songs of U users by verdict, each song at most once per user.

    Attributes
    ----------
    liked, disliked, heard : Sequences
        Ordered by the time of the verdict. `heard` holds all songs of a user, including liked and
        disliked ones. The weights come from the rule.
    """

    liked: Sequences
    disliked: Sequences
    heard: Sequences


def to_liked(log: Interactions, rule: Rule | None = None) -> Liked:
    """Return what each user likes, dislikes and has heard, by a rule.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> found = to_liked(read_interactions("fixtures/formats/interactions-v1.csv")).liked
    >>> [(o, [found.song_ids[s] for s in found[u]]) for u, o in enumerate(found.owner_ids)]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('ana', ['piano/etude.flac', 'rock/live.mp3']), ('ben', ['rock/live.mp3']),
     ('eva', ['piano/prelude.flac', 'lost/gone.mp3'])]
    """
    preferences = to_preferences(log, rule)
    return Liked(
        liked=_in_order(preferences, preferences.liked),
        disliked=_in_order(preferences, preferences.disliked),
        heard=_in_order(preferences, preferences.heard),
    )


def _in_order(known: Preferences, pairs: Pairs) -> Sequences:
    """Sort pairs by user and time; those without a time come last, ordered by song."""
    order = np.lexsort((pairs.song, pairs.time, pairs.user))
    starts = offsets(np.bincount(pairs.user, minlength=len(known.user_ids)))
    columns = (pairs.song[order], pairs.time[order], pairs.weight[order])
    return Sequences(known.user_ids, known.song_ids, starts, *columns)


def follows(log: Interactions, owner_ids: tuple[str, ...]) -> Sequences:
    """Return the artists that the given users follow, in the order of `owner_ids`.

    `song_ids` of the result holds plain artist names (`audiorec.types.normalised_name`).
    """
    names = tuple(dict.fromkeys(map(normalised_name, log.artists.artist_ids)))
    artist = IdMap(names).rows([normalised_name(name) for name in log.artists.artist_ids])
    owner = IdMap(owner_ids).rows(log.user_ids)[log.artists.user]
    kept = np.flatnonzero((log.artists.event == ARTIST_EVENTS.index("follow")) & (owner >= 0))
    return Sequences.from_pairs(owner[kept], artist[log.artists.artist[kept]], owner_ids, names)


@dataclass(frozen=True, kw_only=True)
class LogReading:
    """How a log is read.

    Attributes
    ----------
    filter : tuple of str
        Plays to leave out: doubled, flood, looped, skip-chain.
    skip_bad_rows : bool
        Leave out rows that cannot be used, instead of refusing the log.
    likes : bool
        Histories are liked songs instead of plays.
    rule : Path, optional
        Rule for liked songs, in TOML or JSON.
    by : {"user", "session", "list"}, optional
        One history per user, session or list; by default per user, or as the model was trained.
    """

    filter: tuple[str, ...] = ()
    skip_bad_rows: bool = False
    likes: bool = False
    rule: Path | None = None
    by: By | None = None

    @cached_property
    def liking(self) -> Rule:
        """The rule for liked songs."""
        return Rule() if self.rule is None else load_rule(self.rule)

    def log(self, log: Path | LogFiles) -> Interactions:
        """Read a log."""
        files = opened_log(log) if isinstance(log, Path) else log
        return read_log(files, skip_bad_rows=self.skip_bad_rows)

    def plays(self, log: Interactions, by: By = "user") -> Sequences:
        """Return the finished plays of a log, in order of listening."""
        return to_sequences(log, by=by, filters=self.filter)

    def liked(self, log: Interactions) -> Liked:
        """Return the liked, disliked and heard songs of each user of a log."""
        return to_liked(log, self._rule_alone)

    def preferences(self, log: Interactions) -> Preferences:
        """Return what each user of a log likes, dislikes and has heard, with times and weights."""
        return to_preferences(log, self._rule_alone)

    @property
    def _rule_alone(self) -> Rule:
        if self.filter:
            raise InputError("filters leave out plays, likes go by a rule: leave filter out")
        return self.liking


MANIFEST, SONGS = "prepared.json", "songs.parquet"
FORMAT_VERSION = 1
KIND = "prepared_listening"
BUCKET_SCHEMA = pa.schema(
    [
        pa.field("owner_id", pa.string(), nullable=False),
        pa.field("songs", pa.list_(pa.int32()), nullable=False),  # rows of songs.parquet
        pa.field("times", pa.list_(pa.float64()), nullable=False),  # seconds since 1970 or NaN
    ]
)
SONGS_SCHEMA = pa.schema([pa.field(LogColumns.SONG, pa.string(), nullable=False)])
MAX_BUCKETS = 100_000
_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def bucket_name(bucket: int) -> str:
    """Return the file name of a bucket."""
    return f"bucket-{bucket:06d}.parquet"


def buckets_of(ids: Any, n_buckets: int) -> Int32Array:
    """Return the bucket of each id, by the FNV-1a hash of its UTF-8 bytes: shape (n,), int32.

    Examples
    --------
    >>> buckets_of(["ana", "ben", ""], 4)
    array([0, 3, 1], dtype=int32)
    """
    texts = string_array(ids)
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    start, length = offsets[:-1].astype(np.int64), np.diff(offsets)
    result = np.full(len(texts), _FNV_START)
    left = np.arange(len(texts))
    place = 0
    while len(left := left[length[left] > place]):
        result[left] = (result[left] ^ content[start[left] + place]) * _FNV_PRIME
        place += 1
    mixed = result ^ (result >> np.uint64(32))
    return (mixed % np.uint64(n_buckets)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class PreparedLog:
    """A folder of prepared listening, written by `audiorec.listening.prepare`."""

    path: Path
    # the manifest: ``by``, ``filters``, ``buckets``, ``owners``, ``plays``, ``songs``, ``log``,
    # ``log_fingerprint``, ``fingerprint``
    about: dict[str, Any]

    @property
    def n_buckets(self) -> int:
        """Number of buckets, including empty ones."""
        return int(self.about["buckets"])

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """Sorted song ids, indexed by song number."""
        with TableFile.open(self.path / SONGS) as file:
            result = tuple(file.read_as(SONGS_SCHEMA).column(LogColumns.SONG).to_pylist())
        if len(result) != self.about["songs"]:
            raise StoreError(f"{self.path / SONGS}: number of songs differs from {MANIFEST}")
        return result

    def table(self, bucket: int, columns: list[str] | None = None) -> Any:
        """Read a bucket as a `pyarrow.Table` with one row per owner."""
        with TableFile.open(self.path / bucket_name(bucket)) as file:
            check_columns(file.schema, BUCKET_SCHEMA, of_types=False)
            return file.read(columns or BUCKET_SCHEMA.names)

    def sequences(self, bucket: int) -> Sequences:
        """Read the sequences of one bucket, as `RecallData` takes them."""
        table = self.table(bucket)
        starts, song = _flat(table.column("songs"), np.int32)
        again, time = _flat(table.column("times"), np.float64)
        self._check_songs(bucket, song)
        if not np.array_equal(starts, again):
            raise StoreError(f"{self.path / bucket_name(bucket)}: songs and times differ in length")
        owners = tuple(table.column("owner_id").to_pylist())
        return Sequences(owners, self.song_ids, starts, song, time)

    def whole(self) -> Sequences:
        """Read all sequences, sorted by owner id, equal to `to_sequences` of the log."""
        parts = [self.sequences(bucket) for bucket in range(self.n_buckets)]
        owners = [owner for part in parts for owner in part.owner_ids]
        order = np.array(sorted(range(len(owners)), key=owners.__getitem__), np.int64)
        lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in parts)])
        song = np.concatenate([np.zeros(0, np.int32), *(part.song for part in parts)])
        time = np.concatenate([np.zeros(0), *(part.time for part in parts)])
        del parts
        return Sequences(tuple(owners), self.song_ids, offsets(lengths), song, time).take(order)

    def _check_songs(self, bucket: int, song: Int32Array) -> None:
        if len(song) and not 0 <= song.min() <= song.max() < int(self.about["songs"]):
            raise StoreError(f"{self.path / bucket_name(bucket)}: a song number is not in {SONGS}")


def is_prepared(path: Path) -> bool:
    """Return whether a folder is one that ``listening prepare`` wrote."""
    return (path / MANIFEST).is_file()


def read_prepared(path: Path) -> PreparedLog:
    """Open a folder of prepared listening; buckets are read on demand.

    Raises
    ------
    StoreError
        If it is missing, unfinished, damaged or of another format version.
    """
    if not path.is_dir():
        raise MissingStoreError(f"{path}: no such folder; make it: audiorec listening prepare")
    try:
        about = read_object(path / MANIFEST)
    except FileNotFoundError as error:
        raise MissingStoreError(
            f"{path}: has no {MANIFEST}; make it: audiorec listening prepare"
        ) from error
    except ValueError as error:
        raise StoreError(f"{path / MANIFEST}: {error}") from error
    if about.get("kind") != KIND or about.get("format_version") != FORMAT_VERSION:
        raise StoreError(
            f"{path / MANIFEST}: {about.get('kind')!r} of format {about.get('format_version')!r}, "
            f"this audiorec reads {KIND} of format {FORMAT_VERSION}"
        )
    counts = [about.get(name) for name in ("buckets", "songs", "owners", "plays")]
    good = all(type(count) is int and count >= 0 for count in counts)
    if not good or not 1 <= about["buckets"] <= MAX_BUCKETS:
        raise StoreError(f"{path / MANIFEST}: damaged: its counts are invalid")
    return PreparedLog(path, about)


def _flat(column: Any, kind: npt.DTypeLike) -> tuple[Int64Array, npt.NDArray[Any]]:
    """Return the start offsets and the values of a column of lists."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # depends on the Arrow release
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    values = array.flatten()
    if array.null_count or values.null_count:
        raise StoreError("prepared listening contains a null list or song")
    offsets = np.frombuffer(
        array.buffers()[1] or b"\0" * 4, np.int32, len(array) + 1, 4 * array.offset
    )
    width = np.dtype(kind).itemsize
    content = np.frombuffer(values.buffers()[1] or b"", kind, len(values), width * values.offset)
    return (offsets - offsets[0]).astype(np.int64), content
