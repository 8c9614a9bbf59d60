"""Read and check listening logs in Parquet or CSV, block by block.

    plays.parquet, plays.csv, plays.csv.gz  ──read_interactions──▶  Interactions
    plays/dt=2026-11-25/*.parquet, …        ──read_interactions──▶  Interactions
                                            ──interaction_blocks─▶  `LogBlock`, `LogBlock`, ...

One row is one event: ``user_id``, ``song_id``, ``timestamp``, ``event`` (play, finish, skip, like,
dislike, playlist, block) and optionally ``played_ratio`` and ``weight``. In a file without an
``event`` each row is a play; one without a ``timestamp`` holds counts: ``weight`` plays of a song
by a user.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from audiorec.columns import LogColumns
from audiorec.errors import DamagedFileError, InputError, StoreError
from audiorec.files.arrow import booleans, mask, open_parquet, scalar, string_array, view
from audiorec.files.user_files import (
    Utf8,
    check_csv_header,
    column_list,
    input_errors,
    open_unpacked,
)
from audiorec.listening.events import (
    ARTIST_EVENTS,
    COLUMNS,
    DATE,
    EVENTS,
    LABELS,
    MAX_WEIGHT,
    MIN_WEIGHT,
    OLD_NAMES,
    OPTIONAL_COLUMNS,
    OUT_OF_RANGE,
    PLACES,
    UNIT_NAMES,
    UNREADABLE,
    ArtistEvents,
    Interactions,
    ProblemKind,
    ReadingNotes,
    RowProblem,
    RowsError,
    TextColumn,
    to_floats,
    to_times,
    without_dictionary,
)
from audiorec.listening.log_files import (
    DAY_SECONDS,
    FAILURE,
    PARQUET_ENDS,
    Days,
    LogFile,
    LogFiles,
    day_starts_s,
    opened_log,
    parse_day,
    select_days,
)
from audiorec.store.schema import own_metadata
from audiorec.types import BoolArray, Int64Array

BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 16 << 20  # of a CSV
TEXT_COLUMNS = (LogColumns.USER, LogColumns.SONG, LogColumns.EVENT, *LABELS, *OLD_NAMES)
KNOWN = (*COLUMNS, *OPTIONAL_COLUMNS, *LABELS, *OLD_NAMES)
CSV_ENDS = (".csv", ".csv.gz")
KIND, HOW = "interactions", "audiorec listening simulate --out world/ makes a simulated log"


@dataclass(frozen=True, slots=True)
class LogBlock:
    """Consecutive rows of a log."""

    table: Any  # ``user_id``, ``song_id`` and ``event`` are strings; other columns of any type
    first: int  # number of the first row, from 1
    unit: int | None = None  # time unit of its file, if files may differ: index in `UNIT_NAMES`
    folder: int = -1  # number of its folder, if there are several
    day: tuple[float, float] | None = None  # start and end of its folder's day, since 1970
    ends_s: float | None = None  # rows from this time on are left out

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def numbers(self) -> Int64Array:
        """Number of each row, from 1: shape (rows,), int64."""
        return np.arange(self.first, self.first + len(self))

    def text(self, name: str) -> Any:
        """Return a string column, also under its older name; nulls if it is missing."""
        names = [name, *(old for old, new in OLD_NAMES.items() if new == name)]
        there = [n for n in names if n in self.table.schema.names]
        return (
            without_dictionary(self.table.column(there[0]))
            if there
            else pa.nulls(len(self), pa.string())
        )

    def column(self, name: str) -> Any:
        """Return a column as a `pyarrow.Array`; nulls if it is missing."""
        if name not in self.table.schema.names:
            return pa.nulls(len(self), pa.float64())
        return self.table.column(name)


def interaction_blocks(log: LogFiles, notes: ReadingNotes) -> Iterator[LogBlock]:
    """Read a log block by block, from a Parquet or CSV file or a folder of days.

    The files of a folder may have different schemas: missing optional columns are null, unknown
    columns are ignored, and integers, floats, strings and times may have any width, unit and zone.
    CSV rows with too many or too few columns are recorded in `notes`.

    Raises `InputError` if a file is missing or damaged, lacks a column, or has one of a wrong type.
    """
    names = dict.fromkeys(file.folder for file in log.files)
    folders = dict(zip(names, range(len(names)), strict=True))
    if log.is_folder or log.days:
        notes.files_of(len(log.files), len(folders))
    about, first = LogBlock(None, 1, ends_s=log.days.ends_s), 1
    for file in log.files:
        if log.is_folder:
            notes.starts(first, file.name)
            about = replace(about, folder=folders[file.folder] if len(folders) > 1 else -1)
            about = replace(about, day=_day(log, file))
        for block in _file_blocks(file, log, notes, replace(about, first=first)):
            yield block
            first = block.first + len(block)


def _day(log: LogFiles, file: LogFile) -> tuple[float, float] | None:
    if file.day is None:
        return None
    starts = day_starts_s(file.day, log.days.utc_offset)
    return starts, starts + DAY_SECONDS


def _file_blocks(
    file: LogFile, log: LogFiles, notes: ReadingNotes, about: LogBlock
) -> Iterator[LogBlock]:
    """Yield the blocks of one file; `about` holds the fields common to all of them."""
    path, first = file.path, about.first
    with input_errors(path, FAILURE):
        if path.name.lower().endswith(CSV_ENDS):
            check_csv_header(path, FAILURE)
            batches = _csv_batches(path, notes, alone=not log.is_folder)
        elif path.suffix.lower() in PARQUET_ENDS:
            if log.is_folder:
                about = replace(about, unit=_unit_of(file))
            batches = _parquet_batches(file, notes, strict=log.is_folder)
        else:
            what = f"{path}: a log must be a .parquet, .csv or .csv.gz file"
            raise InputError(f"{what}: {_columns_of_logs(path)}")
        for batch in batches:
            batch.validate(full=True)
            yield replace(about, table=batch, first=first)
            first += batch.num_rows


def _parquet_batches(file: LogFile, notes: ReadingNotes, *, strict: bool) -> Iterator[Any]:
    """Yield the rows of a file; with `strict`, check the types of all columns."""
    with open_parquet(file.path, memory_map=True) as opened:
        schema = opened.schema_arrow
        about: dict[str, Any] = {}
        with suppress(StoreError):  # a key of the same name, written by another tool
            about = own_metadata(schema)
        if "format_version" in about and about.get("kind", KIND) != KIND:  # else of a script
            raise InputError(f"holds {about['kind']}, not listening; {HOW}")
        notes.simulated = notes.simulated or about.get("simulated") is True
        said = {n: v for n, v in file.keys.items() if n in KNOWN and n not in schema.names}
        known = _known_columns(file.path, [*schema.names, *said], alone=not strict)
        names = [name for name in known if name not in said]
        for name in names if strict else set(TEXT_COLUMNS) & set(names):
            _check_type(schema.field(name))
        for batch in opened.iter_batches(batch_size=BLOCK_ROWS, columns=names):
            yield _as_texts(_with(batch, said))


def _with(batch: Any, said: Mapping[str, str | None]) -> Any:
    """Add columns with constant values, from the keys of a folder, to a batch."""
    for name, value in said.items():
        column = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
        batch = batch.append_column(name, column)
    return batch


def _unit_of(file: LogFile) -> int | None:
    """Return the most frequent time unit of a file; None if it has no times."""
    with open_parquet(file.path, memory_map=True) as opened:
        schema = opened.schema_arrow
        if schema.names.count(LogColumns.TIME) != 1:
            return None
        kind = schema.field(LogColumns.TIME).type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return DATE
        counts = np.zeros(DATE + 1, np.int64)
        for batch in opened.iter_batches(batch_size=BLOCK_ROWS, columns=[LogColumns.TIME]):
            _, units = to_times(batch.column(0))
            counts += np.bincount(units[units >= 0], minlength=DATE + 1)
    return int(counts.argmax()) if counts.any() else None


def _csv_batches(path: Path, notes: ReadingNotes, *, alone: bool) -> Iterator[Any]:
    def skip(row: Any) -> str:
        notes.skip(row.number - 1, row.text)  # the header is row 1
        return "skip"

    texts = dict.fromkeys(KNOWN, pa.string())
    # Read through Utf8, since Arrow prints a traceback if a skipped row is not UTF-8.
    with open_unpacked(path) as file:
        reader = pa_csv.open_csv(
            pa.PythonFile(Utf8(file), "r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                column_types=texts, null_values=[""], strings_can_be_null=True
            ),
        )
        names = _known_columns(path, reader.schema.names, alone=alone)
        for batch in reader:
            yield batch.select(names)


def _known_columns(path: Path, names: list[str], *, alone: bool) -> list[str]:
    """Return the columns to read; `alone`: the file is no part of a folder of days."""
    needed = set(COLUMNS)
    # A session or list without a user is its own user, and is ordered even without times.
    if any(name in names for name in (*PLACES, *OLD_NAMES)):
        needed -= {LogColumns.USER, LogColumns.TIME}
    elif alone:
        needed -= {LogColumns.EVENT} | ({LogColumns.TIME} - set(names))
    for name in KNOWN:
        if names.count(name) > 1 or (name in needed and name not in names):
            other = [mark for mark in ";\t|" if len(names) == 1 and mark in names[0]]
            commas = f", separated by {other[0]!r} instead of commas" if other else ""
            raise InputError(
                f"column {name!r} is missing or duplicated; the columns are "
                f"{column_list(names)}{commas}; {_columns_of_logs(path, names)}"
            )
    for old, new in OLD_NAMES.items():
        if old in names and new in names:
            raise InputError(f"columns {old!r} and {new!r} mean the same: leave one out")
    return [name for name in KNOWN if name in names]


def _columns_of_logs(path: Path, names: Sequence[str] = ()) -> str:
    from audiorec.listening.imports.table import columns_of_logs  # which imports this module

    return columns_of_logs(path, names)


def _check_type(field: Any) -> None:
    """Refuse a column of a Parquet file if its type is unsuitable."""
    kind, types = field.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if field.name == LogColumns.EVENT:
        good, wanted = is_text, f"one of {', '.join(EVENTS)}"
    elif field.name in TEXT_COLUMNS:
        good, wanted = is_text or types.is_integer(kind), "text or whole numbers"
    elif field.name == LogColumns.TIME:
        is_time = types.is_timestamp(kind) or types.is_date(kind)
        good, wanted = is_text or is_number or is_time, "times, numbers or texts of them"
    else:
        good, wanted = is_number, "numbers"
    if not good and not types.is_null(kind):
        raise InputError(f"column {field.name!r} holds {kind}, expected {wanted}")


def _as_texts(batch: Any) -> Any:
    """Convert ids and events of a batch to plain strings."""
    for name in set(TEXT_COLUMNS) & set(batch.schema.names):
        place = batch.schema.get_field_index(name)
        column = batch.column(place)
        if column.type != pa.string():
            batch = batch.set_column(place, name, column.cast(pa.string()))
    return batch


# Players count the last buffer as played, so ratios up to this value are clamped to 1.
CLAMPED_RATIO = 1.05
NO_TIME = len(UNIT_NAMES)  # unit of rows that only have an order in their session or list
NONE = scalar(np.int32(-1))  # number of a missing text
_MIX = np.uint64(0x9E3779B97F4A7C15)  # multiplier of Fibonacci hashing


def read_interactions(
    path: str | os.PathLike[str],
    *,
    skip_bad_rows: bool = False,
    since: str | date | None = None,
    until: str | date | None = None,
    utc_offset: str = "",
) -> Interactions:
    """Read a listening log.

    Every row is checked, and all problems are reported in one error with the numbers of the first
    rows of each kind; rows are numbered from 1, without the header. In a folder of days, times
    decide the order of rows, not folders. A row that occurs in two folders, equal in every column,
    was delivered twice and counts once.

    Parameters
    ----------
    path : path or URI
        Parquet, CSV or gzip-compressed CSV, by file suffix; or a folder of days, such as
        ``plays/dt=2026-11-25/part-0.parquet``.
    skip_bad_rows : bool
        Leave out rows that cannot be used, and report them in ``problems``.
    since, until : date or str, optional
        First and last day of a folder of days; folders of other days are not opened. Rows with a
        time after the end of `until` are left out, also in a single file.
    utc_offset : str
        UTC offset of midnight, such as ``+08:00``; UTC by default.

    Returns
    -------
    interactions : Interactions

    Raises
    ------
    InputError
        If the file is missing, has another suffix, lacks a column, or has no usable row; if a
        folder has none of the days, or a file in it has a column of an unsuitable type.
    RowsError
        If some rows cannot be used (also an `InputError`; lists all problems).

    Examples
    --------
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> len(log), log.user_ids
    (9, ('ana', 'ben', 'eva'))
    >>> EVENTS[log.event[0]], log.song_ids[log.song[0]], round(float(log.played_ratio[0]), 2)
    ('finish', 'piano/etude.flac', 0.98)
    """
    ends = {
        name: parse_day(day, name) if isinstance(day, str) else day
        for name, day in (("since", since), ("until", until))
    }
    days = Days(utc_offset=utc_offset, **ends)
    return read_log(opened_log(select_days(path, days)), skip_bad_rows=skip_bad_rows)


def read_log(log: LogFiles, *, skip_bad_rows: bool = False) -> Interactions:
    """Read a log from its files; see `read_interactions`."""
    notes = ReadingNotes()
    parts = [clean_block(block, notes) for block in interaction_blocks(log, notes)]
    rows_read = sum(rows for rows, _ in parts) + len(notes.skipped)
    columns = _once(_one_unit(_joined([part for _, part in parts]), notes), notes)
    problems = notes.problems()
    if problems and not skip_bad_rows:
        raise RowsError(log.name, notes.bad_rows, rows_read, problems)
    if len(columns["user"]) == 0:
        raise DamagedFileError(f"{log.name}: none of its {rows_read} rows can be used")
    return _interactions(columns, rows_read, problems, notes)


def _interactions(
    columns: dict[str, Any], rows_read: int, problems: tuple[RowProblem, ...], notes: ReadingNotes
) -> Interactions:
    """Build the log, separating rows about songs from rows about artists."""
    user, user_ids = _used(columns["user"], columns["user_ids"])
    of_artist = columns[LogColumns.EVENT] >= len(EVENTS)
    main = {n: columns[n][~of_artist] for n in LogColumns.VALUES}
    song, song_ids = _used(columns["song"][~of_artist], columns["song_ids"])
    labels = {}
    for name in LABELS:
        number, texts = _used(columns[name][~of_artist], columns[f"{name}_ids"])
        if texts:
            labels[name] = TextColumn(number, texts)
    artist, artist_ids = _used(columns["artist_id"][of_artist], columns["artist_id_ids"])
    return Interactions(
        user_ids=user_ids,
        song_ids=song_ids,
        user=user[~of_artist],
        song=song,
        **main,
        rows_read=rows_read,
        problems=problems,
        simulated=notes.simulated,
        deliveries=notes.deliveries(),
        labels=labels,
        artists=ArtistEvents(
            artist_ids=artist_ids,
            user=user[of_artist],
            artist=artist,
            timestamp=columns[LogColumns.TIME][of_artist],
            event=(columns[LogColumns.EVENT][of_artist] - len(EVENTS)).astype(np.int8),
        ),
    )


def unmatched(interactions: Interactions, song_ids: Collection[str]) -> dict[str, int]:
    """Return the songs of a log that are not in a catalogue.

    Parameters
    ----------
    interactions : Interactions
    song_ids : collection of str
        The catalogue, for example ``store.ids``.

    Returns
    -------
    rows : dict of str to int
        Number of rows by song id; most frequent first, ties by id.
    """
    known = song_ids if isinstance(song_ids, (set, frozenset, dict)) else set(song_ids)
    counts = np.bincount(interactions.song, minlength=len(interactions.song_ids))
    absent = [i for i, song_id in enumerate(interactions.song_ids) if song_id not in known]
    absent.sort(key=lambda i: (-counts[i], i))
    return {interactions.song_ids[i]: int(counts[i]) for i in absent}


def clean_block(block: LogBlock, notes: ReadingNotes) -> tuple[int, dict[str, Any]]:
    """Check a block; return its number of rows, and the columns of the usable ones."""
    numbers, bad = block.numbers, np.zeros(len(block), np.bool_)

    def note(kind: ProblemKind, mask: BoolArray, column: Any) -> None:
        where = np.flatnonzero(mask)
        if len(where):
            notes.add(kind, numbers[where], _example(column[int(where[0])]))
            bad[where] = True

    labels: dict[str, Any] = {name: block.text(name) for name in LABELS}
    users = pc.coalesce(_filled(block.text(LogColumns.USER)), *(_filled(labels[n]) for n in PLACES))
    songs, no_song = block.text(LogColumns.SONG), _empty(block.text(LogColumns.SONG))
    note(ProblemKind.USER, _empty(users), block.text(LogColumns.USER))
    events = _event_codes(block, no_song)
    of_artist = events >= len(EVENTS)
    note(ProblemKind.SONG, no_song & ~of_artist, songs)
    note(ProblemKind.ARTIST, of_artist & _empty(labels["artist_id"]), labels["artist_id"])
    note(ProblemKind.EVENT, events < 0, block.column(LogColumns.EVENT))
    times, units = to_times(block.column(LogColumns.TIME))
    has_place = ~_empty(labels[PLACES[0]]) | ~_empty(labels[PLACES[1]])
    has_time = booleans(block.column(LogColumns.TIME).is_valid())
    is_counted = LogColumns.TIME not in block.table.schema.names
    units[~has_time & (has_place | is_counted)] = NO_TIME
    note(ProblemKind.TIMESTAMP, units == UNREADABLE, block.column(LogColumns.TIME))
    note(ProblemKind.RANGE, units == OUT_OF_RANGE, block.column(LogColumns.TIME))
    if block.unit is not None:
        times, units, other = _in_seconds(times, units, block.unit)
        note(ProblemKind.UNIT, other, block.column(LogColumns.TIME))
    ratios, wrong = _ratios(block)
    note(ProblemKind.RATIO, wrong, block.column(LogColumns.PLAYED_RATIO))
    weights, wrong = _weights(block)
    note(ProblemKind.WEIGHT, wrong, block.column(LogColumns.WEIGHT))
    notes.bad_rows += int(bad.sum())
    bad |= _out_of_days(times, units, block, notes, ~bad)
    good = mask(~bad)
    # Dictionary-encode here, since ids as strings would fill the memory.
    songs = pc.if_else(mask(of_artist), pa.nulls(len(songs), songs.type), songs)
    texts: dict[str, Any] = {"user": users, "song": songs, **labels}
    columns = {name: pc.dictionary_encode(_filled(c).filter(good)) for name, c in texts.items()}
    arrays: dict[str, npt.NDArray[Any]] = {"row": numbers, LogColumns.TIME: times, "unit": units}
    arrays |= {"event": events, "played_ratio": ratios, "weight": weights}
    columns |= {name: array[~bad] for name, array in arrays.items()}
    if block.folder >= 0:
        columns["folder"] = np.full(len(columns["unit"]), block.folder, np.int32)
        columns["same"] = _sameness(columns)
    return len(block), columns


def _in_seconds(times: Any, units: Any, unit: int) -> tuple[Any, Any, BoolArray]:
    """Convert times from one unit to seconds; also return which rows are in another unit."""
    counted = (units >= 0) & (units <= DATE)
    other = counted & (units != unit)
    scale = 1.0 if unit == DATE else 1000.0**unit
    return times / scale, np.where(counted, DATE, units).astype(units.dtype), other


def _out_of_days(
    times: Any, units: Any, block: LogBlock, notes: ReadingNotes, usable: BoolArray
) -> BoolArray:
    """Return which rows are after the last day; record rows outside their folder's day."""
    timed = usable & (units >= 0) & (units <= DATE)
    if block.day is None and block.ends_s is None:
        return np.zeros(len(times), np.bool_)
    scale = np.where(timed & (units < DATE), 1000.0 ** np.maximum(units, 0), 1.0)
    seconds = np.where(timed, times / scale, np.nan)
    behind = np.zeros(len(times), np.bool_)
    if block.ends_s is not None:
        behind = seconds >= block.ends_s
        notes.behind += int(behind.sum())
    if block.day is not None:
        notes.late += int((seconds < block.day[0]).sum())
        notes.ahead += int(((seconds >= block.day[1]) & ~behind).sum())
    return behind


def _sameness(columns: dict[str, Any]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each row, which is equal for rows equal in all columns."""
    total = np.zeros(len(columns["unit"]), np.uint64)
    for name in ("user", "song", *LABELS):
        texts = columns[name].dictionary.to_pylist()
        digests = (hashlib.blake2b(t.encode(), digest_size=8).digest() for t in texts)
        of_text = np.frombuffer(b"".join([*digests, bytes(8)]), np.uint64)
        total = (total ^ of_text[view(columns[name].indices.fill_null(NONE), np.int32)]) * _MIX
    # Rounded to milliseconds, since files in other time units may differ in the last digits.
    columns = {**columns, LogColumns.TIME: np.rint(columns[LogColumns.TIME] * 1000.0)}
    for name in LogColumns.VALUES:
        # Canonical forms of zero and NaN.
        numbers = np.where(np.isnan(columns[name]), np.nan, columns[name] + 0.0).astype(np.float64)
        total = (total ^ (total >> np.uint64(29)) ^ numbers.view(np.uint64)) * _MIX
    return total


def delivered_again(
    folder: npt.NDArray[Any], same: npt.NDArray[Any], timed: BoolArray
) -> BoolArray:
    """Return which rows are already in an earlier folder, equal in every column: (P,).

    Rows without a time never count as repeated: a list may contain a song twice.
    """
    order = np.lexsort((folder, same))
    starts = np.append(True, same[order][1:] != same[order][:-1])[: len(order)]
    first = folder[order][np.flatnonzero(starts)][np.cumsum(starts) - 1] if len(order) else folder
    again = np.zeros(len(folder), np.bool_)
    again[order] = folder[order] > first
    return again & timed


def _once(columns: dict[str, Any], notes: ReadingNotes) -> dict[str, Any]:
    """Drop rows that were delivered twice."""
    if "folder" not in columns:
        return columns
    folder, same = columns.pop("folder"), columns.pop("same")
    again = delivered_again(folder, same, ~np.isnan(columns[LogColumns.TIME]))
    notes.again += int(again.sum())
    names = ("user", "song", *LABELS, *LogColumns.VALUES)
    return columns | {name: columns[name][~again] for name in names}


def _event_codes(block: LogBlock, no_song: BoolArray) -> npt.NDArray[np.int8]:
    """Return indices into ``EVENTS + ARTIST_EVENTS``, -1 if unknown; plays if there is none."""
    if LogColumns.EVENT not in block.table.schema.names:
        return np.full(len(block), EVENTS.index("play"), np.int8)
    column = without_dictionary(block.column(LogColumns.EVENT))
    of_song, of_artist = (
        view(pc.index_in(column, value_set=string_array(names)).fill_null(NONE), np.int32)
        for names in (EVENTS, ARTIST_EVENTS)
    )
    is_artist = (of_artist >= 0) & (no_song | (of_song < 0))
    return np.where(is_artist, len(EVENTS) + of_artist, of_song).astype(np.int8)


def _filled(texts: Any) -> Any:
    """Replace empty strings by null."""
    texts = without_dictionary(texts)
    return pc.if_else(mask(~_empty(texts)), texts, pa.nulls(len(texts), texts.type))


def _example(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):  # a time outside the range of Python's dates
        return scalar.value


def _empty(ids: Any) -> BoolArray:
    texts = without_dictionary(ids)
    return ~booleans(pc.and_kleene(texts.is_valid(), pc.binary_length(texts).cast(pa.bool_())))


def _ratios(block: LogBlock) -> tuple[Any, BoolArray]:
    ratios, bad = to_floats(block.column(LogColumns.PLAYED_RATIO))
    bad |= (ratios < 0) | (ratios > CLAMPED_RATIO)
    # Replace bad values, which may exceed float32.
    return np.where(bad, np.nan, np.minimum(ratios, 1.0)).astype(np.float32), bad


def _weights(block: LogBlock) -> tuple[Any, BoolArray]:
    column = block.column(LogColumns.WEIGHT)
    weights, bad = to_floats(column)
    given = booleans(column.is_valid())
    bad |= given & ~((weights >= MIN_WEIGHT) & (weights <= MAX_WEIGHT))
    return np.where(given & ~bad, weights, 1.0).astype(np.float32), bad


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if not parts:
        return {"user": np.empty(0, np.int32)}
    joined: dict[str, Any] = {}
    for name in ("user", "song", *LABELS):
        joined[name], joined[f"{name}_ids"] = _numbered([part.pop(name) for part in parts])
    for name in list(parts[0]):
        joined[name] = np.concatenate([part.pop(name) for part in parts])
    return joined


def _numbered(columns: list[Any]) -> tuple[Any, Any]:
    """Return indices (P,) into the sorted distinct strings of all columns, and these strings."""
    encoded = pa.chunked_array(columns).unify_dictionaries()
    texts = encoded.chunk(0).dictionary
    order = pc.sort_indices(texts)
    rank = np.empty(len(texts), np.int32)
    rank[view(order, np.uint64)] = np.arange(len(texts), dtype=np.int32)
    chunks = [view(chunk.indices.fill_null(NONE), np.int32) for chunk in encoded.chunks]
    numbers = np.concatenate(chunks)
    return np.append(rank, np.int32(-1))[numbers], texts.take(order)


def _one_unit(columns: dict[str, Any], notes: ReadingNotes) -> dict[str, Any]:
    """Convert times from the most frequent unit to seconds; drop rows in other units as bad."""
    if len(columns["user"]) == 0:
        return columns
    units, times, rows = columns.pop("unit"), columns[LogColumns.TIME], columns.pop("row")
    timed = units != NO_TIME
    usual = int(np.bincount(units[timed]).argmax()) if timed.any() else DATE
    other = timed & (units != usual)
    if other.any():
        first = int(np.flatnonzero(other)[0])
        example = f"{times[first]:.0f} is in {UNIT_NAMES[units[first]]}, not {UNIT_NAMES[usual]}"
        notes.add(ProblemKind.UNIT, rows[other], example)
        notes.bad_rows += int(other.sum())
        names = ["user", "song", *LABELS, *LogColumns.VALUES]
        names += [name for name in ("folder", "same") if name in columns]
        columns |= {name: columns[name][~other] for name in names}
    if usual != DATE:
        columns[LogColumns.TIME] = columns[LogColumns.TIME] / 1000.0**usual
    return columns


def _used(numbers: Any, ids: Any) -> tuple[Any, tuple[str, ...]]:
    """Drop ids without rows, and renumber the others."""
    used = np.zeros(len(ids) + 1, np.bool_)
    used[numbers] = True  # -1 (none) is the last index
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    place[-1] = -1
    return place[numbers], tuple(ids.filter(mask(used[:-1])).to_pylist())
