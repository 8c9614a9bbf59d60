"""Check every row of a store, and of the files beside it.

    "vecs.parquet"  ──verify──▶  Verification(rows, problems, counts)
    a few thousand rows ──check_vectors──▶ StoreProblem(file, row, song_id, check, reason) ...
    rows of scores.parquet, songs ──check_scores──▶ StoreProblem ...   (against their vectors)

Checks: the numbers (finite, possible as statistics of scores), the ids (present, unique, in order),
the extractor and the content hash of each row; whether every column, copies and maps still hold
what was written; whether scores, features and failures agree with the vectors, down to the
statistics of the score series; and, on request, whether the songs' files still exist unchanged.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns, StoreColumns
from audiorec.errors import Failure, StoreError
from audiorec.files.arrow import booleans, floats, matrix, view
from audiorec.files.storage import within_int64
from audiorec.files.tables import TableFile
from audiorec.store.inventory import files_beside
from audiorec.store.links import links_path
from audiorec.store.map_file import map_paths
from audiorec.store.schema import LISTS, Checked, Kind, StoreMetadata, open_checked, own_metadata
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS, BoolArray, FloatArray, Int64Array, Status

HASH_PATTERN = "^[0-9a-f]{32}$"
ROUNDING = 1e-5  # float32 numbers between 0 and 1
SUM_ROUNDING = 1e-3  # a head's scores sum to 1
MEAN_TOLERANCE = 1e-4  # mean over segments, relative
# Kurtosis divides by the fourth power of the spread, which amplifies rounding of the scores.
VECTOR_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StoreProblem:
    """One fault that a check found in a row or a file."""

    file: str
    row: int | None  # from 0, in file order; None if the whole file is meant
    song_id: str
    check: str  # for example ``finite`` or ``order_of_statistics``
    reason: str  # one line


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Consecutive rows of a file: a table with ``song_id``, whose first row is number `first`."""

    path: Path
    first: int
    table: Any

    def column(self, name: str) -> Any:
        """Return a column as one `pyarrow.Array`."""
        return self.table.column(name).combine_chunks()

    def numbers(self, name: str, width: int) -> FloatArray:
        """Return a column of vectors: shape (rows, `width`)."""
        return matrix(self.table.column(name), width)

    def where(self, bad: Any, check: str, reason: str) -> Iterator[StoreProblem]:
        """Yield a problem for each row of a mask, an Arrow array or shape (rows,)."""
        for row in np.flatnonzero(bad if isinstance(bad, np.ndarray) else booleans(bad)):
            yield self.problem(int(row), check, reason)

    def problem(self, row: int, check: str, reason: str) -> StoreProblem:
        """Return a problem for one row of the block."""
        song_id = self.table.column(StoreColumns.ID)[row].as_py()
        return StoreProblem(str(self.path), self.first + row, song_id or "", check, reason)


def check_vectors(block: RowBlock, metadata: StoreMetadata) -> Iterator[StoreProblem]:
    """Yield the problems of rows of ``vecs.parquet``, each row checked on its own."""
    vectors = block.numbers("vector", metadata.dimension)
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    yield from block.where(~finite, "finite", "a number of the vector is NaN or infinite")
    yield from _check_statistics(block, vectors, finite, metadata)
    yield from _check_lists(block, metadata)
    yield from check_extractor(block, metadata.extractor_id)
    yield from check_hashes(block)
    statuses = pc.is_in(block.column("status"), value_set=pa.array([str(s) for s in Status]))
    yield from block.where(pc.invert(statuses), "status", "unknown status")
    yield from block.where(
        pc.less(block.column("segments"), 1), "segments", "the vector has no segments"
    )
    long = block.column("duration_s")
    is_length = pc.and_(pc.is_finite(long), pc.greater(long, 0))
    yield from block.where(pc.invert(is_length), "duration", "the duration is not above 0")


def _check_lists(block: RowBlock, metadata: StoreMetadata) -> Iterator[StoreProblem]:
    """Yield lists beside the vector of another length, that are not finite, or incomplete."""
    columns = {name: block.column(name) for name in metadata.lists}
    for name, column in columns.items():
        good = pc.equal(pc.list_value_length(column), metadata.lists[name])
        wrong = ~booleans(pc.fill_null(good, True))
        yield from block.where(wrong, name, f"is not {metadata.lists[name]} numbers")
        numbers = view(column.flatten(), LISTS[name])
        if np.isfinite(numbers).all():
            continue
        for row, cell in enumerate(column.to_pylist()):
            if cell is not None and not np.isfinite(cell).all():
                yield block.problem(row, name, "a number is NaN or infinite")
    there = [booleans(pc.is_valid(column)) for column in columns.values()]
    if there:
        some = np.any(there, axis=0) & ~np.all(there, axis=0)
        yield from block.where(some, "lists", f"not all of {', '.join(columns)} are there")


def id_problems(block: RowBlock) -> Iterator[StoreProblem]:
    """Yield ids that are empty, repeated or out of order, among all rows of a file."""
    ids = block.column(StoreColumns.ID)
    grows = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
    if grows and not ids.null_count and (len(ids) == 0 or ids[0].as_py()):
        return  # strictly ascending ids are unique
    seen: set[str] = set()
    previous = ""
    for row, song_id in enumerate(ids.to_pylist()):
        if not song_id:
            yield block.problem(row, StoreColumns.ID, "the row has no song_id")
        elif song_id in seen:
            yield block.problem(row, StoreColumns.ID, "another row has the same song_id")
        elif song_id < previous:
            yield block.problem(
                row, "order", "the id is out of order; to sort: audiorec store compact"
            )
        seen.add(song_id)
        previous = song_id or previous


def check_extractor(block: RowBlock, extractor_id: str) -> Iterator[StoreProblem]:
    """Yield rows from another extractor than the file's."""
    column = block.column("extractor_id")
    if pc.all(pc.equal(column, extractor_id)).as_py() is not False:
        return
    for row, result in enumerate(column.to_pylist()):
        if result != extractor_id:
            reason = f"the row is from extractor {result}, the file from {extractor_id}"
            yield block.problem(row, "extractor_id", reason)


def check_hashes(block: RowBlock) -> Iterator[StoreProblem]:
    """Yield rows whose content hash is malformed."""
    good = pc.match_substring_regex(block.column("content_hash"), HASH_PATTERN)
    yield from block.where(pc.invert(good), "content_hash", "is not 32 hex digits")


def check_failures(block: RowBlock) -> Iterator[StoreProblem]:
    """Yield the problems of rows of an errors file, each row checked on its own."""
    statuses = pc.is_in(block.column("status"), value_set=pa.array([str(f) for f in Failure]))
    yield from block.where(pc.invert(statuses), "status", "unknown status")
    yield from block.where(
        pc.less(block.column("attempts"), 1), "attempts", "a failure with no attempts"
    )


def _check_statistics(
    block: RowBlock, vectors: FloatArray, finite: BoolArray, metadata: StoreMetadata
) -> Iterator[StoreProblem]:
    """Yield rows whose statistics cannot come from any series of scores."""
    names = metadata.statistics
    by_class = vectors.reshape(len(vectors), len(metadata.classes), len(names))
    of = {name: by_class[:, :, n] for n, name in enumerate(names)}
    if "variance" in of:
        bad = (of["variance"] < 0).any(axis=1) & finite
        yield from block.where(bad, "variance", "a variance is below 0")
    if not {"max", "mean", "min"} <= of.keys():
        return
    high, middle, low = of["max"], of["mean"], of["min"]
    bad = ((high < middle - ROUNDING) | (middle < low - ROUNDING)).any(axis=1) & finite
    yield from block.where(bad, "order_of_statistics", "not max >= mean >= min in every class")
    bad = ((high > 1 + ROUNDING) | (low < -ROUNDING)).any(axis=1) & finite
    yield from block.where(bad, "range", "a score is below 0 or above 1")


@dataclass(frozen=True, slots=True)
class SeriesSong:
    """A song's entry in the vectors file: content hash, segment count, vector."""

    content_hash: str
    segments: int
    vector: FloatArray


def check_scores(
    block: RowBlock, metadata: StoreMetadata, songs: Sequence[SeriesSong | None]
) -> Iterator[StoreProblem]:
    """Yield score series that are impossible, or do not match the vectors file."""
    yield from check_hashes(block)
    lengths, scores = _flat_series(block, "scores", len(metadata.classes))
    times, start_s = _flat_series(block, "start_s", 1)
    heads = _heads(metadata.classes)
    for row, song in enumerate(songs):
        reason = _of_no_song(block, row, song)
        if song is None or reason:
            yield block.problem(row, "no_such_song", reason)
            continue
        of_row = scores[lengths[row] : lengths[row + 1]]
        starts = start_s[times[row] : times[row + 1], 0]
        reason = _score_reason(of_row, starts, song, heads, metadata)
        if reason:
            yield block.problem(row, "scores", reason)


def check_features(
    block: RowBlock, metadata: StoreMetadata, songs: Sequence[SeriesSong | None]
) -> Iterator[StoreProblem]:
    """Yield features that are not finite, or whose count or mean does not match."""
    yield from check_hashes(block)
    bad = set()
    for row, song in enumerate(songs):
        reason = _of_no_song(block, row, song)
        if reason:
            bad.add(row)
            yield block.problem(row, "no_such_song", reason)
    for name, width in metadata.features.items():
        lengths, series = _flat_series(block, name, width)
        means = block.numbers(f"{name}_mean", width)
        for row, song in enumerate(songs):
            if song is not None and row not in bad:
                of_row = series[lengths[row] : lengths[row + 1]]
                reason = _feature_reason(of_row, means[row], song)
                if reason:
                    yield block.problem(row, "features", f"{name}: {reason}")


def _of_no_song(block: RowBlock, row: int, song: SeriesSong | None) -> str:
    if song is None:
        return "the vectors file has no song with this id"
    if block.table.column("content_hash")[row].as_py() != song.content_hash:
        return "the song with this id has another content_hash"
    return ""


def _score_reason(
    scores: FloatArray,
    start_s: FloatArray,
    song: SeriesSong,
    heads: Sequence[slice],
    metadata: StoreMetadata,
) -> str:
    """Say what is wrong with one song's scores, shape (T, H); empty if nothing is."""
    if not (np.isfinite(scores).all() and np.isfinite(start_s).all()):
        return "a score or a time is NaN or infinite"
    if not len(scores) == len(start_s) == song.segments:
        return f"{len(scores)} scores and {len(start_s)} times for {song.segments} segments"
    if (np.diff(start_s) <= 0).any():
        return "the segments do not follow each other in time"
    sums = [scores[:, head].sum(axis=1) for head in heads]
    if any((np.abs(total - 1) > SUM_ROUNDING).any() for total in sums):
        return "the scores of a head do not sum to 1"
    if metadata.statistics == STATISTICS and len(scores):
        expected = summarise(scores)
        # Older numpy warns about numbers that are not finite.
        if not np.isfinite(song.vector).all() or not np.allclose(
            expected, song.vector, rtol=VECTOR_TOLERANCE, atol=VECTOR_TOLERANCE
        ):
            return "the vector does not match these scores"
    return ""


def _feature_reason(series: FloatArray, mean: FloatArray, song: SeriesSong) -> str:
    """Say what is wrong with one output of a song, shape (T, D); empty if nothing is."""
    if not (np.isfinite(series).all() and np.isfinite(mean).all()):
        return "a number is NaN or infinite"
    if len(series) != song.segments:
        return f"{len(series)} rows for {song.segments} segments"
    expected = series.mean(axis=0, dtype=np.float64)
    if not np.allclose(expected, mean, rtol=MEAN_TOLERANCE, atol=MEAN_TOLERANCE):
        return "the mean does not match the series"
    return ""


def _flat_series(block: RowBlock, name: str, width: int) -> tuple[Int64Array, FloatArray]:
    """Return each row's offset, shape (rows + 1,), and all series concatenated."""
    column = block.column(name)
    lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
    flat = column.flatten()
    numbers = floats(flat.flatten() if pa.types.is_fixed_size_list(flat.type) else flat)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), numbers.reshape(-1, width)


def _heads(classes: Sequence[str]) -> list[slice]:
    """Return the slice of columns of each head; a head's classes are adjacent."""
    names = [name.partition("/")[0] for name in classes]
    starts = [n for n, name in enumerate(names) if n == 0 or name != names[n - 1]]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]


BLOCK_ROWS = 4_096
SERIES_BLOCK_ROWS = 64  # rows of scores or features: some are a megabyte each
MAX_PROBLEMS = 10_000  # listed; all are counted
KEY_COLUMNS = (StoreColumns.ID, "content_hash", "segments")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(slots=True)
class Verification:
    """Result of `verify`: the problems found.

    Attributes
    ----------
    rows : dict of str to int
        Rows read, by file.
    problems : list of StoreProblem
        At most `MAX_PROBLEMS`.
    counts : Counter of str
        Number of problems by check, all of them.
    not_looked_at : int
        Songs whose files are not on this machine's disks, or in a folder we may not read.
    """

    rows: dict[str, int] = field(default_factory=dict)
    problems: list[StoreProblem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    not_looked_at: int = 0

    @property
    def is_good(self) -> bool:
        """Whether no problem was found."""
        return not self.counts


def verify(
    vectors: Path,
    *,
    beside: Mapping[Kind, Path | None] | None = None,
    files: bool = False,
) -> Verification:
    """Check every row of a store.

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``, or any other table written by audiorec (embeddings, users,
        neighbours), of which only the damage is checked.
    beside : mapping of Kind to Path, optional
        Paths of scores, features and errors that do not have their usual names.
    files : bool
        Also check that every song's file exists with the same size and modification time.

    Raises
    ------
    StoreError
        If `vectors` is not a store or its rows cannot be read. A damaged file beside it is
        reported as a problem instead.

    Examples
    --------
    >>> found = verify(Path("fixtures/formats/vecs-v1.parquet"))
    >>> found.is_good, found.rows
    (True, {'fixtures/formats/vecs-v1.parquet': 5})
    """
    result = Verification()

    def note(problems: Iterable[StoreProblem]) -> None:
        for problem in problems:
            result.counts[problem.check] += 1
            if len(result.problems) < MAX_PROBLEMS:
                result.problems.append(problem)

    if _is_other_table(vectors):
        note(_changes_of_table(vectors, result))
        return result
    with ExitStack() as stack:
        # All are opened first: a run that ends meanwhile replaces them one by one.
        store = stack.enter_context(open_checked(vectors, Kind.VECTORS))
        others: list[Checked] = []
        for kind, path in files_beside(vectors, beside).items():
            with _noted(path, note):
                others.append(stack.enter_context(open_checked(path, kind)))
        result.rows[str(vectors)] = len(store)
        note(id_problems(RowBlock(vectors, 0, store.read([StoreColumns.ID]))))
        check = partial(check_vectors, metadata=store.metadata)
        note(_each_block(store, BLOCK_ROWS, check))
        if files:
            note(_file_problems(store, result))
        songs = _VectorRows(store)
        for file in others:
            with _noted(file.path, note):
                note(_problems_beside(file, songs, result))
    for path in filter(Path.exists, (links_path(vectors), *map_paths(vectors))):
        with _noted(path, note, "; remove it"):
            note(_changes_of_table(path, result))
    return result


@contextmanager
def _noted(
    path: Path, note: Callable[[Iterable[StoreProblem]], None], advice: str = ""
) -> Iterator[None]:
    """Note that a file cannot be read, instead of raising the error."""
    try:
        yield
    except StoreError as error:
        reason = str(error).removeprefix(f"{path}: ")
        note([StoreProblem(str(path), None, "", "file", f"{reason}{advice}")])


def _changes_of_table(path: Path, result: Verification) -> Iterator[StoreProblem]:
    """Read any table, whose damage is then detected."""
    with TableFile.open(path) as file:
        result.rows[str(path)] = len(file)
        yield from _each_block(file, BLOCK_ROWS, lambda _: ())


def _is_other_table(path: Path) -> bool:
    """Whether a file is a table of audiorec other than the four of a store."""
    with TableFile.open(path) as file:
        kind, names = own_metadata(file.schema).get("kind"), file.schema.names
    if kind is None:  # neighbours and other plain tables
        return "vector" not in names and not {StoreColumns.ID, LogColumns.USER}.isdisjoint(names)
    return kind not in tuple(Kind)


def _each_block(
    file: TableFile, rows: int, check: Callable[[RowBlock], Iterable[StoreProblem]]
) -> Iterator[StoreProblem]:
    """Yield what a check finds in each block."""
    for block in _blocks(file, rows):
        yield from check(block)


def _problems_beside(
    file: Checked, songs: "_VectorRows", result: Verification
) -> Iterator[StoreProblem]:
    """Yield the problems of scores, features or errors, and where they differ from the vectors."""
    result.rows[str(file.path)] = len(file)
    yield from id_problems(RowBlock(file.path, 0, file.read([StoreColumns.ID])))
    rows = _failures if file.metadata.kind == Kind.ERRORS else _series
    yield from rows(file, songs)


def _failures(file: Checked, songs: "_VectorRows") -> Iterator[StoreProblem]:
    def check(block: RowBlock) -> Iterator[StoreProblem]:
        yield from check_failures(block)
        for row, song_id in enumerate(block.table.column(StoreColumns.ID).to_pylist()):
            if song_id in songs:
                reason = "the song is among both the failures and the vectors"
                yield block.problem(row, "both", reason)

    yield from _each_block(file, BLOCK_ROWS, check)


def _series(file: Checked, songs: "_VectorRows") -> Iterator[StoreProblem]:
    metadata, ours = file.metadata, songs.store.metadata
    if metadata.extractor_id != ours.extractor_id:
        reason = f"made by extractor {metadata.extractor_id}, the vectors by {ours.extractor_id}"
        yield StoreProblem(str(file.path), None, "", "extractor_id", reason)
        return
    of_kind = check_scores if metadata.kind == Kind.SCORES else check_features

    def check(block: RowBlock) -> Iterator[StoreProblem]:
        yield from check_extractor(block, metadata.extractor_id)
        found = [songs.get(name) for name in block.table.column(StoreColumns.ID).to_pylist()]
        yield from of_kind(block, metadata, found)

    yield from _each_block(file, SERIES_BLOCK_ROWS, check)


class _VectorRows:
    """The songs of a store by id: hash and segments in memory, vectors read on demand."""

    def __init__(self, store: Checked) -> None:
        self.store = store
        table = store.read(list(KEY_COLUMNS))
        ids = table.column(StoreColumns.ID).to_pylist()
        self._rows = {song_id: row for row, song_id in enumerate(ids)}
        self._hashes = table.column("content_hash")
        self._segments = table.column("segments")
        self._starts = store.group_starts()
        self._group = lru_cache(maxsize=2)(self._vectors)

    def __contains__(self, song_id: object) -> bool:
        return song_id in self._rows

    def get(self, song_id: str) -> SeriesSong | None:
        """Return a song's entry in the vectors file; None if it has no such song."""
        row = self._rows.get(song_id)
        if row is None:
            return None
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        vector = self._group(group)[row - self._starts[group]]
        return SeriesSong(self._hashes[row].as_py(), self._segments[row].as_py(), vector)

    def _vectors(self, group: int) -> FloatArray:
        table = self.store.read_group(group, ["vector"])
        return matrix(table.column("vector"), self.store.metadata.dimension)


def _file_problems(store: Checked, result: Verification) -> Iterator[StoreProblem]:
    """Yield songs whose file is missing or has changed."""
    columns = [StoreColumns.ID, "uri", "size", "mtime_ns"]
    for block in _blocks(store, BLOCK_ROWS, columns):
        for row, song in enumerate(block.table.to_pylist()):
            if "://" in song["uri"]:
                result.not_looked_at += 1
                continue
            try:
                info = _stat(song["uri"])
            except PermissionError:  # it may exist
                result.not_looked_at += 1
                continue
            if info is None:
                yield block.problem(row, "file_gone", f"no file at {song['uri']}")
            elif (info.st_size, within_int64(info.st_mtime_ns)) != (song["size"], song["mtime_ns"]):
                reason = f"{song['uri']} has changed: extract it again"
                yield block.problem(row, "file_changed", reason)


def _stat(uri: str) -> os.stat_result | None:
    """Return a file's status, None if it is missing.

    A name that is not UTF-8 is stored in the uri with backslash escapes.
    """
    name = uri.encode()
    for path in (name, _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()), name)):
        try:
            return os.stat(path)  # noqa: PTH116 - a Path cannot hold bytes
        except PermissionError:
            raise
        except (OSError, ValueError):
            continue
    return None


def _blocks(file: TableFile, rows: int, columns: Sequence[str] | None = None) -> Iterator[RowBlock]:
    first = 0
    for table in file.batches(rows, columns):
        yield RowBlock(file.path, first, table)
        first += len(table)
