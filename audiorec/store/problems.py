"""Checks of one block of rows of a store.

a few thousand rows ──check_vectors──▶ StoreProblem(file, row, song_id, check, reason) ...
rows of scores.parquet, songs ──check_scores──▶ StoreProblem ...   (against their vectors)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import Failure
from audiorec.files.arrow import booleans, floats, matrix, view
from audiorec.store.schema import LISTS, StoreMetadata
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
        song_id = self.table.column("song_id")[row].as_py()
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
    ids = block.column("song_id")
    grows = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
    if grows and not ids.null_count and (len(ids) == 0 or ids[0].as_py()):
        return  # strictly ascending ids are unique
    seen: set[str] = set()
    previous = ""
    for row, song_id in enumerate(ids.to_pylist()):
        if not song_id:
            yield block.problem(row, "song_id", "the row has no song_id")
        elif song_id in seen:
            yield block.problem(row, "song_id", "another row has the same song_id")
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
    for row, found in enumerate(column.to_pylist()):
        if found != extractor_id:
            reason = f"the row is from extractor {found}, the file from {extractor_id}"
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
    lengths, scores = _series(block, "scores", len(metadata.classes))
    times, start_s = _series(block, "start_s", 1)
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
        lengths, series = _series(block, name, width)
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


def _series(block: RowBlock, name: str, width: int) -> tuple[Int64Array, FloatArray]:
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
