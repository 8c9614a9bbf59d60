"""Padded batches from sequences in buckets, in memory or prepared on disk.

    `Sequences` ──split_in_buckets──▶ `MemoryFeed`  ┐
    DIR ──read_prepared──▶ `PreparedLog` ┴──padded_batches(seed)──▶ `PaddedBatch` …

The bucket of an owner depends on its id alone, and owners within a bucket are sorted by id. So the
same seed gives the same batches either way, while only one bucket of a prepared log is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.columns import LogColumns
from audiorec.errors import InputError, MissingStoreError, StoreError
from audiorec.files.json_files import parse_json, unsealed
from audiorec.files.own_files import read_own
from audiorec.files.tables import TableFile, check_columns
from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, Int32Array, Int64Array, offsets, string_array

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
MAX_MANIFEST_BYTES = 1 << 20
MAX_BUCKETS = 100_000
PADDING = -1
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
    found = np.full(len(texts), _FNV_START)
    left = np.arange(len(texts))
    place = 0
    while len(left := left[length[left] > place]):
        found[left] = (found[left] ^ content[start[left] + place]) * _FNV_PRIME
        place += 1
    mixed = found ^ (found >> np.uint64(32))
    return (mixed % np.uint64(n_buckets)).astype(np.int32)


class Feed(Protocol):
    """Interface of sequences in buckets."""

    @property
    def song_ids(self) -> tuple[str, ...]:
        """Song ids, indexed by song number."""

    @property
    def n_buckets(self) -> int:
        """Number of buckets, including empty ones."""

    def lists(self, bucket: int) -> tuple[Int64Array, Int32Array]:
        """Return the start of each owner's songs, (U + 1,), and the songs, (P,)."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryFeed:
    """Sequences in memory, with the interface of prepared ones."""

    sequences: Sequences
    n_buckets: int
    bucket_of: Int32Array  # (U,)

    @property
    def song_ids(self) -> tuple[str, ...]:
        """Song ids, indexed by song number."""
        return self.sequences.song_ids

    def lists(self, bucket: int) -> tuple[Int64Array, Int32Array]:
        """Return the start of each owner's songs, (U + 1,), and the songs, (P,)."""
        part = self.sequences.take(self.bucket_of == bucket)
        return part.starts, part.song


def split_in_buckets(sequences: Sequences, n_buckets: int) -> MemoryFeed:
    """Assign sequences to buckets; their owners must be sorted by id."""
    return MemoryFeed(sequences, n_buckets, buckets_of(sequences.owner_ids, n_buckets))


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
            found = tuple(file.read_as(SONGS_SCHEMA).column(LogColumns.SONG).to_pylist())
        if len(found) != self.about["songs"]:
            raise StoreError(f"{self.path / SONGS}: number of songs differs from {MANIFEST}")
        return found

    def table(self, bucket: int, columns: list[str] | None = None) -> Any:
        """Read a bucket as a `pyarrow.Table` with one row per owner."""
        with TableFile.open(self.path / bucket_name(bucket)) as file:
            check_columns(file.schema, BUCKET_SCHEMA, of_types=False)
            return file.read(columns or BUCKET_SCHEMA.names)

    def lists(self, bucket: int) -> tuple[Int64Array, Int32Array]:
        """Return the start of each owner's songs, (U + 1,), and the songs, (P,)."""
        starts, song = _flat(self.table(bucket, ["songs"]).column("songs"), np.int32)
        self._check_songs(bucket, song)
        return starts, song

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
        about = unsealed(
            parse_json(read_own(path / MANIFEST, MAX_MANIFEST_BYTES), max_bytes=MAX_MANIFEST_BYTES)
        )
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


@dataclass(frozen=True, slots=True, eq=False)
class PaddedBatch:
    """The newest songs of B owners, oldest first, padded at the end."""

    song: Int32Array  # (B, L): `PADDING` after the last song
    length: Int64Array  # (B,)

    @property
    def is_song(self) -> BoolArray:
        """Mask of the positions that hold a song: shape (B, L), bool."""
        mask: BoolArray = self.song != PADDING
        return mask


def padded_batches(
    feed: Feed, size: int, length: int, *, seed: int, epoch: int = 0, shortest: int = 1
) -> Iterator[PaddedBatch]:
    """Yield padded batches of every owner's newest songs, shuffled by seed and epoch.

    The buckets are shuffled, and so are the owners within each; the remainder of a bucket is
    filled up from the next.

    Parameters
    ----------
    feed : Feed
    size : int
        Owners per batch; the last batch may be smaller.
    length : int
        Maximum songs per owner.
    shortest : int
        Owners with fewer songs are skipped.

    Raises
    ------
    InputError
        If `size`, `length` or `shortest` is below 1.
    """
    if min(size, length, shortest) < 1:
        raise InputError("batch size, length and shortest must be at least 1")
    rng = np.random.default_rng([seed, epoch])
    rest: list[tuple[Int32Array, Int64Array]] = []
    waiting = 0
    for bucket in rng.permutation(feed.n_buckets).tolist():
        starts, song = feed.lists(bucket)
        owners = np.flatnonzero(np.diff(starts) >= shortest)
        owners = rng.permutation(owners)
        at = 0
        while at < len(owners):
            rows = owners[at : at + size - waiting]
            at += len(rows)
            rest.append(_newest(starts, song, rows, length))
            waiting += len(rows)
            if waiting == size:
                yield _batch(rest)
                rest, waiting = [], 0
    if rest:
        yield _batch(rest)


def _newest(
    starts: Int64Array, song: Int32Array, rows: Int64Array, length: int
) -> tuple[Int32Array, Int64Array]:
    stop = starts[rows + 1]
    counts = np.minimum(stop - starts[rows], length)
    place = np.arange(counts.max())
    at = (stop - counts)[:, None] + place
    there = place < counts[:, None]
    padded = np.where(there, song[np.minimum(at, len(song) - 1)], np.int32(PADDING))
    return padded, counts


def _batch(parts: list[tuple[Int32Array, Int64Array]]) -> PaddedBatch:
    if len(parts) == 1:
        return PaddedBatch(*parts[0])
    widest = max(songs.shape[1] for songs, _ in parts)
    songs = np.full((sum(len(s) for s, _ in parts), widest), PADDING, np.int32)
    row = 0
    for part, _ in parts:
        songs[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return PaddedBatch(songs, np.concatenate([counts for _, counts in parts]))


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
