"""Read the rows of a log file by file and block by block, checking columns and their types.

    one file, or a folder of days  ──interaction_blocks──▶  `LogBlock`, `LogBlock`, ...

The files of a folder may have different schemas: missing optional columns are null, unknown columns
are ignored, and integers, floats, strings and times may have any width, unit and zone. A column of
an unsuitable type is an error that names the file and the column.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from audiorec.errors import InputError
from audiorec.files.parquet_files import open_parquet
from audiorec.files.user_files import (
    Utf8,
    check_csv_header,
    column_list,
    input_errors,
    open_unpacked,
)
from audiorec.listening.casting import DATE, to_times, without_dictionary
from audiorec.listening.days import DAY_SECONDS, day_starts_s
from audiorec.listening.events import (
    COLUMNS,
    EVENTS,
    LABELS,
    OLD_NAMES,
    OPTIONAL_COLUMNS,
    PLACES,
    ReadingNotes,
)
from audiorec.listening.log_files import PARQUET_ENDS, LogFile, LogFiles, log_files
from audiorec.types import Int64Array

BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 16 << 20  # of a CSV
TEXT_COLUMNS = ("user_id", "song_id", "event", *LABELS, *OLD_NAMES)
KNOWN = (*COLUMNS, *OPTIONAL_COLUMNS, *LABELS, *OLD_NAMES)
CSV_ENDS = (".csv", ".csv.gz")
FAILURE = "cannot be read"
METADATA_KEY = b"audiorec"  # key of the JSON metadata in every file that audiorec writes


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


def interaction_blocks(path: Path, notes: ReadingNotes) -> Iterator[LogBlock]:
    """Read a log block by block, from a Parquet or CSV file or a folder of days.

    CSV rows with too many or too few columns are recorded in `notes`.

    Raises
    ------
    InputError
        If a file is missing or damaged, lacks a column, or has one of a wrong type.
    """
    with input_errors(path, FAILURE):
        log = log_files(path)
    folders = {
        name: number for number, name in enumerate(dict.fromkeys(f.folder for f in log.files))
    }
    if log.is_folder or log.days:
        notes.files_of(len(log.files), len(folders))
    about = LogBlock(None, 1, ends_s=log.days.ends_s)
    first = 1
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
            batches = _csv_batches(path, notes)
        elif path.suffix.lower() in PARQUET_ENDS:
            if log.is_folder:
                about = replace(about, unit=_unit_of(file))
            batches = _parquet_batches(file, notes, strict=log.is_folder)
        else:
            raise InputError(f"{path}: a log must be a .parquet, .csv or .csv.gz file")
        for batch in batches:
            batch.validate(full=True)
            yield replace(about, table=batch, first=first)
            first += batch.num_rows


def _parquet_batches(file: LogFile, notes: ReadingNotes, *, strict: bool) -> Iterator[Any]:
    """Yield the rows of a file; with `strict`, check the types of all columns."""
    path = file.path
    with open_parquet(path, memory_map=True) as opened:
        schema = opened.schema_arrow
        notes.simulated = notes.simulated or _says_simulated(schema.metadata or {})
        said = {n: v for n, v in file.keys.items() if n in KNOWN and n not in schema.names}
        names = [n for n in _known_columns([*schema.names, *said], path) if n not in said]
        for name in names if strict else set(TEXT_COLUMNS) & set(names):
            _check_type(schema.field(name), path)
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
        if schema.names.count("timestamp") != 1:
            return None
        kind = schema.field("timestamp").type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return DATE
        counts = np.zeros(DATE + 1, np.int64)
        for batch in opened.iter_batches(batch_size=BLOCK_ROWS, columns=["timestamp"]):
            _, units = to_times(batch.column(0))
            counts += np.bincount(units[units >= 0], minlength=DATE + 1)
    return int(counts.argmax()) if counts.any() else None


def _says_simulated(metadata: Mapping[bytes, bytes]) -> bool:
    try:
        content = json.loads(metadata.get(METADATA_KEY, b"{}"))
    except ValueError:  # a key of the same name, written by another tool
        return False
    return isinstance(content, dict) and content.get("simulated") is True


def _csv_batches(path: Path, notes: ReadingNotes) -> Iterator[Any]:
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
        names = _known_columns(reader.schema.names, path)
        for batch in reader:
            yield batch.select(names)


def _known_columns(names: list[str], path: Path) -> list[str]:
    # A session or list without a user is its own user, and is ordered even without times.
    has_place = any(name in names for name in (*PLACES, *OLD_NAMES))
    for name in KNOWN:
        needed = name in COLUMNS and not (has_place and name in ("user_id", "timestamp"))
        if names.count(name) > 1 or (needed and name not in names):
            raise InputError(
                f"{path}: column {name!r} is missing or duplicated; the columns are "
                f"{column_list(names)}"
            )
    for old, new in OLD_NAMES.items():
        if old in names and new in names:
            raise InputError(f"{path}: columns {old!r} and {new!r} mean the same: leave one out")
    return [name for name in KNOWN if name in names]


def _check_type(field: Any, path: Path) -> None:
    """Refuse a column of a Parquet file if its type is unsuitable."""
    kind, types = field.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if field.name == "event":
        good, wanted = is_text, f"one of {', '.join(EVENTS)}"
    elif field.name in TEXT_COLUMNS:
        good, wanted = is_text or types.is_integer(kind), "text or whole numbers"
    elif field.name == "timestamp":
        is_time = types.is_timestamp(kind) or types.is_date(kind)
        good, wanted = is_text or is_number or is_time, "times, numbers or texts of them"
    else:
        good, wanted = is_number, "numbers"
    if not good and not types.is_null(kind):
        raise InputError(f"{path}: column {field.name!r} holds {kind}, expected {wanted}")


def _as_texts(batch: Any) -> Any:
    """Convert ids and events of a batch to plain strings."""
    for name in set(TEXT_COLUMNS) & set(batch.schema.names):
        place = batch.schema.get_field_index(name)
        column = batch.column(place)
        if column.type != pa.string():
            batch = batch.set_column(place, name, column.cast(pa.string()))
    return batch
