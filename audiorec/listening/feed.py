"""Sequences in buckets of owners, as ``listening prepare`` wrote them.

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
from audiorec.errors import MissingStoreError, StoreError
from audiorec.files.json_files import parse_json, unsealed
from audiorec.files.own_files import read_own
from audiorec.files.tables import TableFile, check_columns
from audiorec.listening.sequences import Sequences
from audiorec.types import Int32Array, Int64Array, offsets, string_array

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
