"""Listening logs in memory: one row per event, ids as numbers.

Unusable rows are counted by kind of problem, with the first row numbers of each kind.

Convert columns of various types to numbers, and mark the rows that cannot be converted.

Times may be timestamps, dates, ISO 8601 texts, or numbers. The unit of numbers (seconds,
milliseconds, microseconds or nanoseconds since 1970) is inferred from their size: from 1973 to
2100 the ranges of the units do not overlap.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.errors import DamagedFileError, ShapeError
from audiorec.files.arrow import scalar, view
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array

EVENTS = ("play", "finish", "skip", "like", "dislike", "playlist", "block")
ARTIST_EVENTS = ("follow", "block")  # about an artist, if the row has no song
LISTENING = ("play", "finish", "skip")  # events in which the song was heard
COLUMNS = (LogColumns.USER, LogColumns.SONG, LogColumns.TIME, LogColumns.EVENT)
OPTIONAL_COLUMNS = (LogColumns.PLAYED_RATIO, LogColumns.WEIGHT)
# Optional string columns of an event: its session, list, artist, and the product it came from.
LABELS = ("session_id", "list_id", "artist_id", "entry")
PLACES = ("session_id", "list_id")  # ordered by row number if times are missing
OLD_NAMES = {"playlist_id": "list_id"}
MICROSECONDS = 1e6
SCHEMA = pa.schema(  # of logs that audiorec writes
    [
        (LogColumns.USER, pa.string()),
        (LogColumns.SONG, pa.string()),
        (LogColumns.TIME, pa.timestamp("us", tz="UTC")),
        (LogColumns.EVENT, pa.string()),
        (LogColumns.PLAYED_RATIO, pa.float32()),
        (LogColumns.WEIGHT, pa.float32()),
    ]
)
NAMED_ROWS = 10  # row numbers reported for each kind
LONGEST_EXAMPLE = 40  # characters


class ProblemKind(StrEnum):
    """Why a row of a log cannot be used."""

    COLUMNS = "another number of columns than the header"
    USER = "no user_id"
    SONG = "no song_id"
    ARTIST = "no artist_id"
    EVENT = "unknown event"
    TIMESTAMP = "timestamp missing or unreadable"
    RANGE = "timestamp not between 1973 and 2100 in any unit"
    UNIT = "timestamp in another unit than most rows"
    RATIO = "played_ratio not a number from 0 to 1"
    WEIGHT = "weight not a number from 0.000001 to 1000000"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One kind of problem in a log, with examples."""

    kind: str  # a value of `ProblemKind`
    count: int  # affected rows
    rows: tuple[int, ...]  # numbers of the first affected rows, from 1 without a header
    example: str  # the value in the first of these rows
    file: str = ""  # the file of these rows, if the log is a folder

    def __str__(self) -> str:
        """Return kind, count, first rows and example in one line."""
        rows = ", ".join(map(str, self.rows)) + (", …" if self.count > len(self.rows) else "")
        rows += f" of {self.file}" if self.file else ""
        noun = "row" if self.count == 1 else "rows"
        example = f", for example {self.example!r}" if self.example else ""
        return f"{self.kind}: {self.count} {noun} ({rows}){example}"


class RowsError(DamagedFileError):
    """Some rows of a log cannot be used.

    Attributes
    ----------
    path : str
    bad_rows, rows : int
        Rows with a problem, and all rows.
    problems : tuple of RowProblem
    """

    def __init__(
        self, path: str, bad_rows: int, rows: int, problems: tuple[RowProblem, ...]
    ) -> None:
        super().__init__(path, bad_rows, rows, problems)
        self.path = path
        self.bad_rows = bad_rows
        self.rows = rows
        self.problems = problems

    def __str__(self) -> str:
        """Return file, number of rows and problems in one line."""
        result = "; ".join(map(str, self.problems))
        return (
            f"{self.path}: {self.bad_rows} of {self.rows} rows cannot be used: {result}. "
            "Correct them, or leave them out (`skip_bad_rows`)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Statistics of a log that was delivered in day folders.

    Attributes
    ----------
    files, folders : int
        Number of files and folders read.
    late : int
        Rows with a time before the day of their folder.
    ahead : int
        Rows with a time after the day of their folder, from clocks that run fast.
    behind : int
        Rows left out because their time is after the last selected day.
    again : int
        Rows left out because an earlier folder has the same row, equal in every column.
    """

    files: int
    folders: int
    late: int
    ahead: int
    behind: int
    again: int


class ReadingNotes:
    """Collector of problems and statistics while a log is read block by block."""

    def __init__(self) -> None:
        self.late = self.ahead = self.behind = self.again = 0  # as in `Deliveries`
        self._files: list[tuple[int, str]] = []  # first row and name of each file of a folder
        self._read: tuple[int, int] | None = None
        self.bad_rows = 0  # rows with at least one problem
        # Ascending numbers of rows that the CSV parser skipped. Later rows are numbered without
        # them until `problems` corrects it.
        self.skipped: list[int] = []
        self.simulated = False  # from the metadata of a Parquet file
        self._found: dict[ProblemKind, tuple[int, list[int], str]] = {}

    def add(
        self,
        kind: ProblemKind,
        rows: Sequence[int] | npt.NDArray[Any],
        example: Any,
        *,
        more: int = 0,
    ) -> None:
        """Record a problem of `rows` (from 1, ascending) and of `more` unnumbered rows.

        `example` is the value in the first of them.
        """
        if len(rows) == 0:
            return
        count, first, shown = self._found.get(kind, (0, [], _shown(example)))
        missing = NAMED_ROWS - len(first)
        self._found[kind] = (count + len(rows) + more, [*first, *map(int, rows[:missing])], shown)

    def skip(self, row: int, text: str) -> None:
        """Record a row whose number of columns differs from the header."""
        self.add(ProblemKind.COLUMNS, [row], text)
        self.bad_rows += 1
        self.skipped.append(row)

    def files_of(self, files: int, folders: int) -> None:
        """Record how many files, in how many folders, will be read."""
        self._read = (files, folders)

    def starts(self, row: int, file: str) -> None:
        """Record the number of the first row of a file in a folder."""
        self._files.append((row, file))

    def deliveries(self) -> Deliveries | None:
        """Return the delivery statistics; None for a single file read whole."""
        if self._read is None:
            return None
        counts = {n: getattr(self, n) for n in ("late", "ahead", "behind", "again")}
        return Deliveries(files=self._read[0], folders=self._read[1], **counts)

    def problems(self) -> tuple[RowProblem, ...]:
        """Return all problems in the order of `ProblemKind`."""
        ordered = sorted(self._found.items(), key=lambda item: list(ProblemKind).index(item[0]))
        return tuple(
            RowProblem(str(kind), count, *self._named(kind, rows, example))
            for kind, (count, rows, example) in ordered
        )

    def _named(
        self, kind: ProblemKind, rows: Sequence[int], example: str
    ) -> tuple[tuple[int, ...], str, str]:
        """Return row numbers relative to their file, the example, and the file if in a folder."""
        if not self._files:
            shown = rows if kind == ProblemKind.COLUMNS else self._shifted(rows)
            return tuple(shown), example, ""
        starts = [start for start, _ in self._files]
        of = [bisect_right(starts, row) - 1 for row in rows]
        start, file = self._files[of[0]]
        inside = tuple(r - start + 1 for r, one in zip(rows, of, strict=True) if one == of[0])
        return inside, example, file

    def _shifted(self, rows: Sequence[int]) -> list[int]:
        # The i-th skipped row shifts all rows from skipped[i] - i on by one.
        before = np.asarray(self.skipped, np.int64) - np.arange(len(self.skipped))
        return [row + int(np.searchsorted(before, row, side="right")) for row in rows]


def _shown(example: Any) -> str:
    text = "" if example is None else str(example)
    return text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - 1] + "…"


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn:
    """An optional string column of a log."""

    number: Int32Array  # (P,): an index into `texts`; -1 for none
    texts: tuple[str, ...]  # sorted

    def take(self, rows: npt.NDArray[Any]) -> "TextColumn":
        """Return the labels of the given rows; the table of texts is unchanged."""
        return TextColumn(self.number[rows], self.texts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArtistEvents:
    """F rows of a log about an artist instead of a song: follows and blocks."""

    artist_ids: tuple[str, ...] = ()
    user: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))  # (F,)
    artist: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))  # (F,)
    timestamp: Float64Array = field(default_factory=lambda: np.empty(0))  # (F,): NaN for none
    event: npt.NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    # indices into `ARTIST_EVENTS`

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """P events of a listening log, in the order of the file.

    Attributes
    ----------
    user_ids, song_ids : tuple of str
        Sorted; each has at least one event.
    user, song : ndarray, shape (P,), int32
        Indices into `user_ids` and `song_ids`.
    timestamp : ndarray, shape (P,), float64
        Seconds since 1970, UTC; NaN if only the order in a session or list is known, or counts.
    event : ndarray, shape (P,), int8
        Indices into `EVENTS`.
    played_ratio : ndarray, shape (P,), float32
        The share of the song that was heard, 0 to 1; NaN if unknown.
    weight : ndarray, shape (P,), float32
        How many times the row counts, above 0; 1 by default.
    rows_read : int
        Rows of the file, including those left out.
    problems : tuple of RowProblem
        Why rows were left out; empty unless the reader was told to skip bad rows.
    simulated : bool
        Whether the log was made by `simulate`.
    deliveries : Deliveries, optional
        Statistics of a log in day folders, or of which some days were read.
    labels : mapping of str to TextColumn
        Columns of `LABELS` that the file has, by name.
    artists : ArtistEvents
        Rows about an artist instead of a song; their users are in `user_ids`.
    """

    user_ids: tuple[str, ...]
    song_ids: tuple[str, ...]
    user: Int32Array
    song: Int32Array
    timestamp: Float64Array
    event: npt.NDArray[np.int8]
    played_ratio: FloatArray
    weight: FloatArray
    rows_read: int = 0
    problems: tuple[RowProblem, ...] = ()
    simulated: bool = False
    deliveries: Deliveries | None = None
    labels: Mapping[str, TextColumn] = field(default_factory=dict)
    artists: ArtistEvents = field(default_factory=ArtistEvents)

    def __post_init__(self) -> None:
        columns = (self.user, self.song, self.timestamp, self.event, self.played_ratio, self.weight)
        shapes = {column.shape for column in columns}
        if shapes != {(len(self.user),)}:
            raise ShapeError(f"interactions must have one shape (P,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def is_counted(self) -> bool:
        """Whether rows are counts of plays: no row has a time, a session or a list."""
        placed = any(name in self.labels for name in PLACES)
        return len(self) > 0 and not placed and bool(np.isnan(self.timestamp).all())

    @property
    def user_id(self) -> Any:
        """User id of each row, as a `pyarrow.DictionaryArray`."""
        return _dictionary(self.user, self.user_ids)

    @property
    def song_id(self) -> Any:
        """Song id of each row, as a `pyarrow.DictionaryArray`."""
        return _dictionary(self.song, self.song_ids)

    def take(self, rows: npt.NDArray[Any]) -> "Interactions":
        """Return the events at `rows` (numbers or a mask); the id tables are unchanged."""
        columns = (
            "user",
            "song",
            LogColumns.TIME,
            LogColumns.EVENT,
            LogColumns.PLAYED_RATIO,
            LogColumns.WEIGHT,
        )
        labels = {name: label.take(rows) for name, label in self.labels.items()}
        return replace(self, labels=labels, **{n: getattr(self, n)[rows] for n in columns})

    def to_table(self) -> Any:
        """Return a `pyarrow.Table` of the six columns of `SCHEMA`, strings dictionary-encoded."""
        unknown = np.isnan(self.timestamp)
        stamps = np.rint(np.where(unknown, 0, self.timestamp) * MICROSECONDS).astype(np.int64)
        ratio = pa.array(self.played_ratio, mask=np.isnan(self.played_ratio))
        columns = {
            LogColumns.USER: self.user_id,
            LogColumns.SONG: self.song_id,
            LogColumns.TIME: pa.array(stamps, mask=unknown).cast(pa.timestamp("us", tz="UTC")),
            LogColumns.EVENT: _dictionary(self.event.astype(np.int32), EVENTS),
            LogColumns.PLAYED_RATIO: ratio,
            LogColumns.WEIGHT: pa.array(self.weight),
        }
        return pa.table(columns)


def is_listening(event: npt.NDArray[np.int8]) -> BoolArray:
    """Return which events are plays, finishes or skips: shape (P,), bool."""
    return np.isin(event, [EVENTS.index(name) for name in LISTENING])


def _dictionary(numbers: Int32Array, ids: tuple[str, ...]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(ids, pa.string()))


Codes = npt.NDArray[np.int8]

FIRST_S, LAST_S = 1e8, 4_102_444_800.0  # March 1973 and the end of 2099, seconds since 1970
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6
UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
DATE, UNREADABLE, OUT_OF_RANGE = len(UNITS), -1, -2  # codes beside the units of numbers
UNIT_NAMES = (*UNITS, "dates")
_DATE = r"^\d{4}-"
_ZONE = r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$"
_NANOSECONDS = 1e9


def to_floats(column: Any) -> tuple[Float64Array, BoolArray]:
    """Convert numbers or numeric texts to float64; return values and invalid rows, (P,) each.

    Values are NaN for nulls and invalid rows.
    """
    column = without_dictionary(column)
    if pa.types.is_boolean(column.type):
        return np.full(len(column), np.nan), np.ones(len(column), np.bool_)
    cast, bad = _cast(column, pa.float64())
    return _floats(cast), bad


def to_times(column: Any) -> tuple[Float64Array, Codes]:
    """Convert times (timestamps, dates, texts or numbers); return values and units, (P,) each.

    Dates become seconds since 1970; numbers are unchanged. Units are indices into `UNIT_NAMES`,
    or `UNREADABLE` or `OUT_OF_RANGE`.
    """
    column = without_dictionary(column)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _checked_dates(_seconds(column))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        numbers, _ = to_floats(column)
        return numbers, _units(numbers)
    return _text_times(column)


def without_dictionary(column: Any) -> Any:
    """Return a column as one array without dictionary encoding."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _text_times(column: Any) -> tuple[Float64Array, Codes]:
    # Dates are not tried as numbers: a cast that fails is repeated row by row.
    is_date = pc.match_substring_regex(column, _DATE).fill_null(False)
    numbers, bad = to_floats(pc.if_else(is_date, pa.scalar(None, column.type), column))
    units = _units(numbers)
    texts = np.flatnonzero(bad | is_date.to_numpy(zero_copy_only=False))
    if len(texts):
        dates = column.take(pa.array(texts))
        zoned = pc.match_substring_regex(dates, _ZONE).to_numpy(zero_copy_only=False)
        for zone, mask in (("UTC", zoned), (None, ~zoned)):
            part = dates.filter(pa.array(mask))
            stamps, _ = _cast(part, pa.timestamp("ns", tz=zone))
            where = texts[mask]
            numbers[where], units[where] = _checked_dates(_seconds(stamps))
    return numbers, units


def _seconds(stamps: Any) -> Float64Array:
    """Convert timestamps or dates to seconds since 1970; times without a zone are in UTC."""
    if pa.types.is_date(stamps.type):
        stamps = stamps.cast(pa.timestamp("s"))
    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": _NANOSECONDS}[stamps.type.unit]
    return _floats(stamps.cast(pa.int64()).cast(pa.float64(), safe=False)) / per_second


def _checked_dates(seconds: Float64Array) -> tuple[Float64Array, Codes]:
    units = np.full(len(seconds), DATE, np.int8)
    units[~((seconds >= FIRST_S) & (seconds < LAST_S))] = OUT_OF_RANGE
    units[np.isnan(seconds)] = UNREADABLE
    return seconds, units


def _units(numbers: Float64Array) -> Codes:
    units = np.full(len(numbers), OUT_OF_RANGE, np.int8)
    for place in range(len(UNITS)):
        scale = 1000.0**place
        units[(numbers >= FIRST_S * scale) & (numbers < LAST_S * scale)] = place
    units[np.isnan(numbers)] = UNREADABLE
    return units


def _cast(column: Any, kind: Any) -> tuple[Any, BoolArray]:
    """Cast all values that can be cast; others become null and are marked as bad."""
    try:
        safe = not pa.types.is_floating(kind)  # 2**53 + 1 may lose its last digit
        return pc.cast(column, kind, safe=safe), np.zeros(len(column), np.bool_)
    except pa.ArrowInvalid:
        if len(column) == 1:
            return pa.nulls(1, kind), np.ones(1, np.bool_)
    except pa.ArrowNotImplementedError:  # for example a list
        return pa.nulls(len(column), kind), np.ones(len(column), np.bool_)
    # Bisect, since the cast does not report which row failed.
    middle = len(column) // 2
    halves = [_cast(part, kind) for part in (column[:middle], column[middle:])]
    return pa.concat_arrays([h[0] for h in halves]), np.concatenate([h[1] for h in halves])


def _floats(column: Any) -> Float64Array:
    """Convert a float64 Arrow array to a new array; nulls become NaN."""
    return np.array(view(column.fill_null(scalar(np.nan)), np.float64))
