"""What stages hand to each other, where plain arrays are not enough.

A class stands here only if two values must travel together: scores and their times, a
song's similarity and its id, the samples' origin and its status.
"""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# How a job says how far it is.
Progress = Callable[[int, int], None]  # done, total
StageProgress = Callable[[str, int, int], None]  # what, done, total
LineProgress = Callable[[dict[str, Any]], None]  # a line of a training's history

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = ("major", "minor")
STATISTICS = ("max", "min", "mean", "variance", "kurtosis", "skewness")


class Status(StrEnum):
    """How good the audio behind a vector was, worst first."""

    DAMAGED = "damaged"  # packets were lost on the way
    TRUNCATED = "truncated"  # the file ends before its header says
    PHASE_CANCELLED = "phase_cancelled"  # the channels cancel out; the first one was used
    SILENT = "silent"  # nothing above -80 dB of full scale
    SHORT = "short"  # shorter than one segment, padded with zeros
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """Where a waveform came from and how its decoding ended.

    Attributes
    ----------
    codec, decoder : str
        For example ``mp3`` and ``soundfile 0.14.0 (libsndfile 1.2.2)``.
    sample_rate, channels : int
        Of the source, in hertz and counted.
    duration_s : float
        Seconds that were decoded.
    claimed_s : float or None
        Seconds that the file's header promises, where it has a trustworthy one.
    packet_errors : int
        Packets that the decoder could not read.
    status : Status
        The worst that applies.
    """

    codec: str
    decoder: str
    sample_rate: int
    channels: int
    duration_s: float
    claimed_s: float | None = None
    packet_errors: int = 0
    status: Status = Status.OK


@dataclass(frozen=True, slots=True)
class Features:
    """What one backbone says of T segments."""

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
    """What a network that a user added says of T segments; None for what it does not say."""

    scores: FloatArray | None = None  # (T, C): its own tags, each from 0 to 1
    embedding: FloatArray | None = None  # (T, D)

    def __len__(self) -> int:
        found = self.embedding if self.scores is None else self.scores
        return 0 if found is None else len(found)

    def rows(self, which: slice) -> "AddedFeatures":
        """Return some of the segments, as views."""
        some = (self.scores, self.embedding)
        return AddedFeatures(*(None if found is None else found[which] for found in some))


AnyFeatures = Features | AddedFeatures


@dataclass(frozen=True, slots=True)
class ScoreSeries:
    """The tagger's scores over time.

    Attributes
    ----------
    scores : ndarray, shape (T, H), float32
        One row per segment, one column per class; each head's columns sum to 1.
    start_s : ndarray, shape (T,), float32
        Where each segment starts, in seconds.
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

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`: a row a segment, indexed by ``start_s``, a column a class.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        return _views().frame(self)

    def plot(self, *, title: str = "") -> Any:
        """Draw the scores over time; see `audiorec.plots`.

        Parameters
        ----------
        title : str
            What stands above it, for example the song's name.

        Returns
        -------
        figure : matplotlib.figure.Figure
            Notebooks show it; ``figure.savefig("song.png")`` keeps it.

        Raises
        ------
        MissingExtraError
            Without matplotlib.
        """
        return _views().figure(self, title=title)

    def __repr__(self) -> str:
        return str(_views().text(self))

    def _repr_html_(self) -> str:
        return str(_views().html(self))


def _views() -> Any:
    """Return the module that shows score series to people.

    It is loaded by its name, when a series is shown: the base imports nothing above it, and this
    is the one place where it calls upwards (`BY_NAME` in tests/test_layers.py).
    """
    return import_module("audiorec.library.score_views")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A waveform as it is drawn: the range and the loudness of n equal pieces of time."""

    low: FloatArray  # (n,): the smallest sample of each piece, full scale 1
    high: FloatArray  # (n,): the largest
    rms: FloatArray  # (n,): root mean square
    duration_s: float  # of all pieces together

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.low, self.high, self.rms)}
        if shapes != {(len(self.low),)}:
            raise ShapeError(f"an envelope must have one shape (n,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.low)


def strings(texts: Any) -> Any:
    """Return a `pyarrow.StringArray` of a collection of str; one that is there comes back.

    Examples
    --------
    >>> strings(["song", "", "été"]).to_pylist()
    ['song', '', 'été']
    """
    import pyarrow as pa

    if isinstance(texts, pa.Array):
        return texts
    # Without `pyarrow.array`, which imports pandas where it is installed.
    encoded = [text.encode() for text in texts]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


@dataclass(frozen=True, slots=True, eq=False)
class IdMap:
    """External ids, and the rows that they stand for.

    Attributes
    ----------
    ids : pyarrow.StringArray, or sequence of str
        Each once; the first is row 0.
    """

    ids: Any

    def rows(self, names: Any) -> Int64Array:
        """Return the row of each name, an Arrow array or a collection of str: -1 where unknown.

        Examples
        --------
        >>> IdMap(("a", "b")).rows(["b", "x", "a"])
        array([ 1, -1,  0])
        """
        from pyarrow import compute

        found = compute.index_in(strings(names), value_set=strings(self.ids))
        rows = np.frombuffer(found.buffers()[1], np.int32, len(found), 4 * found.offset)
        # Not by `fill_null`, which imports pandas where it is installed.
        known = found.is_valid().cast("uint8")
        there = np.frombuffer(known.buffers()[1], np.uint8, len(known), known.offset)
        return np.where(there, rows, -1).astype(np.int64)


def plain_name(name: str | None) -> str:
    r"""Return a name as it is compared; songs are of one artist if the names' plain forms agree.

    Case, blanks and Unicode's several forms of one letter do not count; accents and signs do
    (docs/decisions/0025-same-artist.md). Without a name it is empty, and that is nobody.

    Examples
    --------
    >>> plain_name("  The  BEATLES "), plain_name("Bjo\u0308rk"), plain_name(None)
    ('the beatles', 'björk', '')
    """
    folded = unicodedata.normalize("NFKC", name or "").casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def name_numbers(names: Iterable[str | None]) -> Int64Array:
    """Give names numbers, equal where the plain names are: shape (n,), -1 where there is none.

    Examples
    --------
    >>> name_numbers(["Ayla", None, "bob", "Ayla ", ""]).tolist()
    [0, -1, 1, 0, -1]
    """
    numbers: dict[str, int] = {"": -1}
    return np.array([numbers.setdefault(plain_name(n), len(numbers) - 1) for n in names], np.int64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """User-song pairs, each once, sorted by user and then by song."""

    user: Int32Array  # (P,): numbers of rows in the tables of ids that go with the pairs
    song: Int32Array  # (P,)
    weight: FloatArray  # (P,): how much the pair counts, above 0
    time: Float64Array  # (P,): when it last happened, seconds since 1970; NaN where unknown

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.user, self.song, self.weight, self.time)}
        if shapes != {(len(self.user),)}:
            raise ShapeError(f"pairs must have one shape (P,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: npt.NDArray[Any]) -> "Pairs":
        """Return the pairs at `rows` (numbers or a mask), in that order."""
        return Pairs(self.user[rows], self.song[rows], self.weight[rows], self.time[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Who likes and who dislikes which songs."""

    user_ids: tuple[str, ...]  # what the numbers in the pairs stand for, sorted
    song_ids: tuple[str, ...]
    liked: Pairs
    disliked: Pairs  # no pair stands in both
    # everything that a user met, liked and disliked included; its weight is the number of times
    heard: Pairs
