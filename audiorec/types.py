"""Shared types that stages pass to each other when a plain array is not enough.

A class is here only if two values belong together: scores and their times, ids and their rows, a
waveform's origin and its status.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.floating[Any]]  # float16, float32 or float64

# Progress callbacks.
Progress = Callable[[int, int], None]  # done, total
StageProgress = Callable[[str, int, int], None]  # stage, done, total
LineProgress = Callable[[dict[str, Any]], None]  # one line of a training history

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = ("major", "minor")
STATISTICS = ("max", "min", "mean", "variance", "kurtosis", "skewness")


class Status(StrEnum):
    """Quality of the audio behind a vector, worst first."""

    DAMAGED = "damaged"  # audio is missing within the file
    TRUNCATED = "truncated"  # the file is shorter than its header claims
    PHASE_CANCELLED = "phase_cancelled"  # the channels cancel out; the first one was used
    SILENT = "silent"  # nothing above -80 dBFS
    SHORT = "short"  # shorter than one segment, padded with zeros
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """Source and decoding result of a waveform.

    Attributes
    ----------
    codec, decoder : str
        For example ``mp3`` and ``soundfile 0.14.0 (libsndfile 1.2.2)``.
    sample_rate, channels : int
        Of the source; the rate in hertz.
    duration_s : float
        Seconds decoded.
    claimed_s : float or None
        Seconds that the file's header claims; None without a trustworthy claim.
    packet_errors : int
        Packets that could not be read or decoded.
    content_hash : str
        The file's `content_hash`, if its packets passed by while it was decoded; else empty.
    status : Status
        The worst status that applies.
    """

    codec: str
    decoder: str
    sample_rate: int
    channels: int
    duration_s: float
    claimed_s: float | None = None
    packet_errors: int = 0
    content_hash: str = ""
    status: Status = Status.OK


@dataclass(frozen=True, slots=True)
class Features:
    """Features of T segments from one shipped backbone."""

    tags: FloatArray  # (T, 50): sigmoid outputs: the taggram
    penultimate: FloatArray  # (T, 200): the last hidden layer
    max_pool: FloatArray  # (T, 753): the convolutional features, pooled over the segment's frames
    mean_pool: FloatArray  # (T, 753)

    def __len__(self) -> int:
        return len(self.tags)

    def rows(self, which: slice) -> "Features":
        """Return some of the segments, as views."""
        return Features(
            self.tags[which],
            self.penultimate[which],
            self.max_pool[which],
            self.mean_pool[which],
        )


@dataclass(frozen=True, slots=True)
class AddedFeatures:
    """Outputs of an added network for T segments; None for an output it does not have."""

    scores: FloatArray | None = None  # (T, C): its own tags, each from 0 to 1
    embedding: FloatArray | None = None  # (T, D)

    def __len__(self) -> int:
        result = self.embedding if self.scores is None else self.scores
        return 0 if result is None else len(result)

    def rows(self, which: slice) -> "AddedFeatures":
        """Return some of the segments, as views."""
        some = (self.scores, self.embedding)
        return AddedFeatures(*(None if result is None else result[which] for result in some))


AnyFeatures = Features | AddedFeatures


@dataclass(frozen=True, slots=True)
class ScoreSeries:
    """Scores of a song over time.

    Attributes
    ----------
    scores : ndarray, shape (T, H), float32
        One row per segment, one column per class; each head's columns sum to 1.
    start_s : ndarray, shape (T,), float32
        Start of each segment, in seconds.
    classes : tuple of str, length H
        Column names as ``head/class``, for example ``version/vocal``.
    """

    scores: FloatArray
    start_s: FloatArray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.start_s), len(self.classes))
        if self.scores.shape != expected:
            raise ShapeError(f"scores must have shape {expected}, got {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Waveform overview for drawing: range and RMS of n pieces of equal length."""

    low: FloatArray  # (n,): smallest sample of each piece, full scale 1
    high: FloatArray  # (n,): largest sample
    rms: FloatArray  # (n,): root mean square
    duration_s: float  # total duration

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.low, self.high, self.rms)}
        if shapes != {(len(self.low),)}:
            raise ShapeError(
                f"the arrays of an envelope must have the same shape (n,), got {sorted(shapes)}"
            )

    def __len__(self) -> int:
        return len(self.low)


def string_array(texts: Any) -> Any:
    """Convert a collection of str to a `pyarrow.StringArray`; an Arrow array is returned as is.

    Examples
    --------
    >>> string_array(["song", "", "été"]).to_pylist()
    ['song', '', 'été']
    """
    import pyarrow as pa

    if isinstance(texts, pa.Array):
        return texts
    # Not `pyarrow.array`, which imports pandas if it is installed.
    encoded = [text.encode() for text in texts]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


@dataclass(frozen=True, slots=True, eq=False)
class IdMap:
    """Map from external ids to row indices.

    Attributes
    ----------
    ids : pyarrow.StringArray, or sequence of str
        Unique ids; the first is row 0.
    """

    ids: Any

    def rows(self, names: Any) -> Int64Array:
        """Return the row of each name (Arrow array or collection of str); -1 for an unknown one.

        Examples
        --------
        >>> IdMap(("a", "b")).rows(["b", "x", "a"])
        array([ 1, -1,  0])
        """
        from pyarrow import compute

        index = compute.index_in(string_array(names), value_set=string_array(self.ids))
        rows = np.frombuffer(index.buffers()[1], np.int32, len(index), 4 * index.offset)
        # Not `fill_null`, which imports pandas if it is installed.
        known = index.is_valid().cast("uint8")
        there = np.frombuffer(known.buffers()[1], np.uint8, len(known), known.offset)
        return np.where(there, rows, -1).astype(np.int64)


def offsets(lengths: npt.NDArray[Any] | Sequence[int]) -> Int64Array:
    """Return where rows of these lengths begin that lie one after another, and the end: (n + 1,).

    Examples
    --------
    >>> offsets([2, 0, 1]).tolist()
    [0, 2, 2, 3]
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def entries(first: Int64Array | int, lengths: npt.NDArray[np.integer]) -> Int64Array:
    """Return ``first[i]``, ``first[i] + 1`` and so on, ``lengths[i]`` numbers, of all rows: (P,).

    Examples
    --------
    >>> entries(np.array([5, 0]), np.array([2, 3])).tolist(), entries(0, np.array([2, 3])).tolist()
    ([5, 6, 0, 1, 2], [0, 1, 0, 1, 2])
    """
    starts = offsets(lengths)
    return np.arange(starts[-1]) + np.repeat(first - starts[:-1], lengths)


def nth(key: npt.NDArray[np.integer]) -> Int64Array:
    """Return the number of earlier occurrences of each key: (n,), from 0.

    Examples
    --------
    >>> nth(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    is_sorted = (key[1:] >= key[:-1]).all()
    order = slice(None) if is_sorted else np.argsort(key, kind="stable")
    new, places = np.ones(len(key), np.bool_), np.arange(len(key))
    new[1:] = np.diff(key[order]) != 0
    result = np.empty(len(key), np.int64)
    result[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    return result


class Ragged:
    """Base class of rows of different lengths that lie one after another.

    Row i has the entries ``starts[i]:starts[i + 1]``. A subclass is a frozen dataclass; `COLUMNS`
    names its fields with one value per entry, (P,) each or None.
    """

    __slots__ = ()
    COLUMNS: ClassVar[tuple[str, ...]]
    starts: Int64Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """Number of entries of each row: shape (n,)."""
        return np.diff(self.starts)

    @property
    def owner(self) -> Int64Array:
        """Row of each entry: shape (P,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def place(self) -> Int64Array:
        """Position of each entry in its row, from 0: shape (P,)."""
        return entries(0, self.lengths)

    def keep(self, mask: BoolArray) -> Self:
        """Keep only the entries selected by `mask` (P,); all rows stay, also without entries."""
        return self._with(offsets(mask)[self.starts], mask)

    def _with(self, starts: Int64Array, chosen: npt.NDArray[Any], **others: Any) -> Self:
        """Return rows with other `starts`, of the entries `chosen` (numbers or a mask)."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in self.COLUMNS}
        columns = {name: None if a is None else a[chosen] for name, a in columns.items()}
        return replace(cast(Any, self), starts=starts, **columns, **others)


def unit(rows: npt.NDArray[Any]) -> FloatArray:
    """Scale rows (..., d) to length 1, float32; rows of zeros stay zero.

    Examples
    --------
    >>> unit(np.array([[3.0, -4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, -0.800000011920929], [0.0, 0.0]]
    """
    return (rows / lengths_of(rows)).astype(np.float32)


def rows_or_zeros(values: FloatArray, rows: Int64Array) -> FloatArray:
    """Return the given rows (n,) of a table, and zeros for -1: (n, W) float32.

    Examples
    --------
    >>> rows_or_zeros(np.eye(2, dtype=np.float32), np.array([1, -1])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    result = np.zeros((len(rows), values.shape[1]), np.float32)
    result[rows >= 0] = values[rows[rows >= 0]]
    return result


def lengths_of(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the length of each row (..., d) as a divisor: shape (..., 1), 1 for rows of zeros."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.where(lengths > 0, lengths, 1)


def normalised_name(name: str | None) -> str:
    r"""Normalise an artist's name for comparison; equal plain names mean the same artist.

    Ignores case, whitespace and Unicode variants of a letter, but not accents and punctuation
    (docs/decisions/0025-same-artist.md). Empty without a name, which matches nobody.

    Examples
    --------
    >>> normalised_name("  The  BEATLES "), normalised_name("Bjo\u0308rk"), normalised_name(None)
    ('the beatles', 'björk', '')
    """
    folded = unicodedata.normalize("NFKC", name or "").casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def name_numbers(names: Iterable[str | None]) -> Int64Array:
    """Assign numbers to names, equal for equal plain names: shape (n,), -1 without a name.

    Examples
    --------
    >>> name_numbers(["Ayla", None, "bob", "Ayla ", ""]).tolist()
    [0, -1, 1, 0, -1]
    """
    numbers: dict[str, int] = {"": -1}
    return np.array(
        [numbers.setdefault(normalised_name(n), len(numbers) - 1) for n in names], np.int64
    )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Unique user-song pairs, sorted by user and then by song."""

    user: Int32Array  # (P,): index into the table of user ids that belongs to the pairs
    song: Int32Array  # (P,): the same for songs
    weight: FloatArray  # (P,): weight of the pair, above 0
    time: Float64Array  # (P,): last occurrence, seconds since 1970; NaN if unknown

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.user, self.song, self.weight, self.time)}
        if shapes != {(len(self.user),)}:
            raise ShapeError(
                f"the arrays of pairs must have the same shape (P,), got {sorted(shapes)}"
            )

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: npt.NDArray[Any]) -> "Pairs":
        """Return the pairs at `rows` (indices or a mask), in that order."""
        return Pairs(self.user[rows], self.song[rows], self.weight[rows], self.time[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Liked, disliked and heard songs of each user."""

    user_ids: tuple[str, ...]  # sorted; the pairs have indices into them
    song_ids: tuple[str, ...]
    liked: Pairs
    disliked: Pairs  # disjoint from `liked`
    # all songs that a user encountered, including liked and disliked ones; the weight is the count
    heard: Pairs
