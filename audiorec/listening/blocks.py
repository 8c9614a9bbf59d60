"""The rows of a Parquet or CSV file of interactions, block by block, types not yet checked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from audiorec.errors import InputError
from audiorec.files.parquet_files import open_parquet, read_schema
from audiorec.files.user_files import Utf8, check_csv_header, input_errors, named, unpacked
from audiorec.listening.events import COLUMNS, EVENTS, OPTIONAL_COLUMNS
from audiorec.listening.rejected_rows import ProblemKind, ProblemLog
from audiorec.types import Int64Array

BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 16 << 20  # of a CSV
TEXT_COLUMNS = ("user_id", "song_id", "event")
CSV_ENDS = (".csv", ".csv.gz")
PARQUET_ENDS = (".parquet", ".pq")
FAILURE = "cannot be read"
METADATA_KEY = b"audiorec"  # the one JSON of every file that audiorec writes


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that follow each other.

    Attributes
    ----------
    table : pyarrow.RecordBatch
        ``user_id``, ``song_id`` and ``event`` are texts; other columns are of any type.
    first : int
        The number of its first row, from 1.
    """

    table: Any
    first: int

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def numbers(self) -> Int64Array:
        """Number of each row, from 1: shape (rows,), int64."""
        return np.arange(self.first, self.first + len(self))

    def column(self, name: str) -> Any:
        """Return a column as a `pyarrow.Array`; one that is not there holds nulls."""
        if name not in self.table.schema.names:
            return pa.nulls(len(self), pa.float64())
        return self.table.column(name)


def interaction_blocks(path: Path, log: ProblemLog, skipped: list[int]) -> Iterator[Block]:
    """Read a file block by block.

    Parameters
    ----------
    path : Path
        Its name tells Parquet from CSV.
    log : ProblemLog
        Takes rows of a CSV that have too many or too few columns.
    skipped : list of int
        Their numbers are appended. Later rows are numbered as if they were not there; see
        `ProblemLog.problems`.

    Raises
    ------
    InputError
        If the file is missing, damaged, neither format, or lacks a column.
    """
    if path.name.lower().endswith(CSV_ENDS):
        batches = _csv_batches(path, log, skipped)
    elif path.suffix.lower() in PARQUET_ENDS:
        batches = _parquet_batches(path)
    else:
        raise InputError(f"{path}: interactions are read from .parquet, .csv or .csv.gz files")
    first = 1
    with input_errors(path, FAILURE):
        for batch in batches:
            batch.validate(full=True)
            yield Block(batch, first)
            first += batch.num_rows


def is_simulated(path: Path) -> bool:
    """Return whether a file says of itself that it was simulated; only Parquet can."""
    if path.suffix.lower() not in PARQUET_ENDS:
        return False
    with input_errors(path, FAILURE):
        metadata = read_schema(path).metadata or {}
    try:
        content = json.loads(metadata.get(METADATA_KEY, b"{}"))
    except ValueError:  # another tool's key of the same name
        return False
    return isinstance(content, dict) and content.get("simulated") is True


def _parquet_batches(path: Path) -> Iterator[Any]:
    with open_parquet(path, memory_map=True) as file:
        schema = file.schema_arrow
        names = _known_columns(schema.names, path)
        for name in TEXT_COLUMNS:
            _check_text(schema.field(name), path)
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names):
            yield _as_texts(batch)


def _csv_batches(path: Path, log: ProblemLog, skipped: list[int]) -> Iterator[Any]:
    def skip(row: Any) -> str:
        number = row.number - 1  # the header is row 1
        log.add(ProblemKind.COLUMNS, [number], row.text)
        log.bad_rows += 1
        skipped.append(number)
        return "skip"

    check_csv_header(path, FAILURE)
    texts = dict.fromkeys((*COLUMNS, *OPTIONAL_COLUMNS), pa.string())
    # Read through Utf8: where a row that is skipped is no text, Arrow itself prints a traceback.
    with unpacked(path) as file:
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
    for name in COLUMNS:
        if names.count(name) != 1:
            raise InputError(
                f"{path}: column {name!r} is missing or stands twice; it has {named(names)}"
            )
    for name in OPTIONAL_COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} stands twice")
    return [name for name in (*COLUMNS, *OPTIONAL_COLUMNS) if name in names]


def _check_text(field: Any, path: Path) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not text and not (field.name != "event" and pa.types.is_integer(kind)):
        wanted = f"one of {', '.join(EVENTS)}" if field.name == "event" else "text or whole numbers"
        raise InputError(f"{path}: column {field.name!r} holds {kind}, expected {wanted}")


def _as_texts(batch: Any) -> Any:
    """Return the batch with ids and events as plain texts."""
    for name in TEXT_COLUMNS:
        place = batch.schema.get_field_index(name)
        column = batch.column(place)
        if column.type != pa.string():
            batch = batch.set_column(place, name, column.cast(pa.string()))
    return batch
