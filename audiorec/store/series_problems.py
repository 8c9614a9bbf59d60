"""What is wrong with score series and features, seen beside the vectors they belong to.

rows of scores.parquet, songs ──check_scores──▶ Problem ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.files.arrow import floats
from audiorec.store.problems import Block, Problem, check_hashes
from audiorec.store.schema import StoreMetadata
from audiorec.tagger.statistics import summarize
from audiorec.types import STATISTICS, FloatArray, Int64Array

SUM_ROUNDING = 1e-3  # of a head's scores, which sum to 1
MEAN_TOLERANCE = 1e-4  # of a mean over segments, relative
# Kurtosis divides by the fourth power of the spread: last bits of a score show there.
VECTOR_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Song:
    """What the vectors file says of a song.

    Attributes
    ----------
    content_hash : str
    segments : int
    vector : ndarray, shape (V,)
    """

    content_hash: str
    segments: int
    vector: FloatArray


def check_scores(
    block: Block, metadata: StoreMetadata, songs: Sequence[Song | None]
) -> Iterator[Problem]:
    """Yield score series that are impossible, or not those of the vector beside them.

    Parameters
    ----------
    block : Block
        Rows of ``scores.parquet``.
    metadata : StoreMetadata
    songs : sequence of Song or None
        Of each row what the vectors file says.
    """
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
    block: Block, metadata: StoreMetadata, songs: Sequence[Song | None]
) -> Iterator[Problem]:
    """Yield features that are not finite, too few, or have another mean than theirs.

    Parameters
    ----------
    block : Block
        Rows of ``features.parquet``.
    metadata : StoreMetadata
    songs : sequence of Song or None
    """
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


def _of_no_song(block: Block, row: int, song: Song | None) -> str:
    if song is None:
        return "the vectors have no song of this id"
    if block.table.column("content_hash")[row].as_py() != song.content_hash:
        return "the song of this id has another content_hash"
    return ""


def _score_reason(
    scores: FloatArray,
    start_s: FloatArray,
    song: Song,
    heads: Sequence[slice],
    metadata: StoreMetadata,
) -> str:
    """Say what is wrong with one song's scores (T, H); empty if nothing is."""
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
        expected = summarize(scores)
        # Older releases of numpy warn where a number is not finite.
        if not np.isfinite(song.vector).all() or not np.allclose(
            expected, song.vector, rtol=VECTOR_TOLERANCE, atol=VECTOR_TOLERANCE
        ):
            return "the vector is not made of these scores"
    return ""


def _feature_reason(series: FloatArray, mean: FloatArray, song: Song) -> str:
    """Say what is wrong with one output (T, D) of a song; empty if nothing is."""
    if not (np.isfinite(series).all() and np.isfinite(mean).all()):
        return "a number is NaN or infinite"
    if len(series) != song.segments:
        return f"{len(series)} rows for {song.segments} segments"
    expected = series.mean(axis=0, dtype=np.float64)
    if not np.allclose(expected, mean, rtol=MEAN_TOLERANCE, atol=MEAN_TOLERANCE):
        return "the mean is not that of the series"
    return ""


def _series(block: Block, name: str, width: int) -> tuple[Int64Array, FloatArray]:
    """Return where each row's series begins, shape (rows + 1,), and all series as one."""
    column = block.column(name)
    lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
    flat = column.flatten()
    numbers = floats(flat.flatten() if pa.types.is_fixed_size_list(flat.type) else flat)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), numbers.reshape(-1, width)


def _heads(classes: Sequence[str]) -> list[slice]:
    """Return the columns of each head; its classes stand together.

    Examples
    --------
    >>> _heads(("version/vocal", "version/other", "genre/rock"))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    names = [name.partition("/")[0] for name in classes]
    starts = [n for n, name in enumerate(names) if n == 0 or name != names[n - 1]]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]
