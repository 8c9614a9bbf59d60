"""Read exposures, and candidates as they were served, as streams sorted by user.

exposures.parquet            ──read_shown───▶ streams of user, song, time, product, run
served/ of an earlier export ──read_served──▶ streams of recent rows, in the current columns

Read tables of many users in parallel, one block of users at a time, in constant memory.

    exposures, ids, served candidates, ...  ──▶ `UserStream` ──together──▶ one table per stream

A file sorted by user becomes one stream. A file that consists of several sorted stretches, such as
the exposures of many nights, becomes one stream per stretch; an unsorted file is sorted in memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ShownColumns
from audiorec.errors import InputError
from audiorec.files.tables import TableFile
from audiorec.files.user_files import column_names, input_errors, read_table
from audiorec.listening.casting import UNITS, to_times
from audiorec.listening.log_files import log_files
from audiorec.recall.serving.tables import LARGEST_SORTED, USERS, UserStream

MOST_STRETCHES = 1_000  # a file with more stretches is sorted in memory
BATCH_ROWS = 1 << 16  # rows read at a time, over all stretches of a file
LEAST_ROWS = 1 << 10  # minimum rows read at a time from one stretch


def ids_stream(chunks: Iterator[Any]) -> UserStream:
    """Return a stream of user ids, from chunks that are each a `pyarrow.StringArray`."""
    return UserStream((pa.Table.from_arrays([c], schema=USERS) for c in chunks), USERS)


def sorted_streams(path: Path, schema: Any, fit: Callable[[Any], Any]) -> list[UserStream]:
    """Return streams sorted by user that together hold all rows of a Parquet file.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema
        Schema of the tables that `fit` returns.
    fit : callable
        Converts a table with all columns of the file to one of `schema`; may drop rows.

    Raises
    ------
    InputError
        If the file is unsorted and has too many rows to be sorted in memory.
    """
    with TableFile.open(path) as file:
        starts = _starts(file)
        if len(starts) > MOST_STRETCHES:
            if len(file) > LARGEST_SORTED:
                raise InputError(
                    f"{path}: {len(file):,} rows are not sorted by user_id, and at most "
                    f"{LARGEST_SORTED:,} can be sorted in memory; sort the file"
                )
            whole = fit(file.read()).sort_by([(ShownColumns.USER, "ascending")])
            return [UserStream(iter([whole]), schema)]
        ends = [*starts[1:], len(file)]
    rows = max(LEAST_ROWS, BATCH_ROWS // max(1, len(starts)))
    parts = (_stretch(path, a, b, rows) for a, b in zip(starts, ends, strict=True) if b > a)
    return [UserStream(map(fit, part), schema) for part in parts]


def _starts(file: TableFile) -> list[int]:
    """Return the first row of each stretch in which users ascend."""
    found, at, last = [0], 0, None
    for table in file.batches(BATCH_ROWS, [ShownColumns.USER]):
        users = pa.concat_arrays(table.column(ShownColumns.USER).cast(pa.string()).chunks)
        if not len(users):
            continue
        if last is not None and (users[0].as_py() or "") < last:
            found.append(at)
        falls = pc.indices_nonzero(pc.greater(users[:-1], users[1:])) if len(users) > 1 else []
        found += [at + int(fall.as_py()) + 1 for fall in falls[: MOST_STRETCHES + 1]]
        if len(found) > MOST_STRETCHES:
            break
        at, last = at + len(users), users[-1].as_py() or ""
    return found


def _stretch(path: Path, first: int, stop: int, rows: int) -> Iterator[Any]:
    """Yield the rows ``first:stop`` of a file, reading only the row groups that hold them."""
    with TableFile.open(path) as file:
        starts = file.group_starts()
        groups = [g for g in range(len(starts) - 1) if starts[g] < stop and starts[g + 1] > first]
        at = starts[groups[0]]
        for batch in file.file.iter_batches(batch_size=rows, row_groups=groups):
            table = pa.Table.from_batches([batch])
            low, high = max(0, first - at), min(len(table), stop - at)
            at += len(table)
            if high > low:
                yield table.slice(low, high - low)


FAILURE = "cannot be read as exposures"
NEEDED = (ShownColumns.USER, ShownColumns.SONG, ShownColumns.AT)
OPTIONAL = ("entry", ShownColumns.RUN)
SHOWN = pa.schema(
    [
        pa.field(ShownColumns.USER, pa.string(), nullable=False),
        pa.field(ShownColumns.SONG, pa.string(), nullable=False),
        pa.field(ShownColumns.AT, pa.float64(), nullable=False),  # seconds since 1970
        pa.field("entry", pa.string()),
        pa.field(ShownColumns.RUN, pa.string()),
    ]
)


def read_shown(path: Path, entry: str | None, ends_s: float | None = None) -> list[UserStream]:
    """Return streams of the exposures of one product, or of all if `entry` is None.

    `path` is a table or a folder of tables; exposures at `ends_s` (seconds since 1970) or later are
    left out.

    Raises
    ------
    InputError
        If a table lacks a column, or a row lacks an id or a time.
    """
    return [stream for one in tables_of(path) for stream in _shown(one, entry, ends_s)]


def _shown(path: Path, entry: str | None, ends_s: float | None) -> list[UserStream]:
    """Return streams of one table of exposures."""
    missing = [name for name in NEEDED if name not in column_names(path, FAILURE)]
    if missing:
        raise InputError(f"{path}: {FAILURE}: has no column {' and '.join(missing)}")

    def fit(table: Any) -> Any:
        return _fitted(path, table, entry, ends_s)

    if path.suffix == ".parquet":
        return sorted_streams(path, SHOWN, fit)
    types = {name: pa.string() for name in (*NEEDED[:2], *OPTIONAL)}
    whole = read_table(path, FAILURE, needed=NEEDED, wanted=OPTIONAL, types=types)
    return [UserStream(iter([fit(whole).sort_by([(ShownColumns.USER, "ascending")])]), SHOWN)]


def tables_of(path: Path) -> list[Path]:
    """Return the tables of exposures at a path: itself, or those of a folder."""
    return [one.path for one in log_files(path).files]


def entries_of(path: Path) -> set[str]:
    """Return the products in exposures."""
    found: set[str] = set()
    for one in tables_of(path):
        found |= _entries(one)
    return {text for text in found if text}


def _entries(path: Path) -> set[str]:
    if "entry" not in column_names(path, FAILURE):
        return set()
    if path.suffix != ".parquet":
        table = read_table(path, FAILURE, needed=("entry",), texts=True)
        return set(table.column("entry").to_pylist())
    found: set[str] = set()
    with TableFile.open(path) as file:
        for table in file.batches(BATCH_ROWS, ["entry"]):
            found |= set(table.column("entry").cast(pa.string()).unique().to_pylist())
    return found


def read_served(folder: Path, schema: Any, *, since: float, without: str) -> list[UserStream]:
    """Return streams of the served candidates of an earlier export, in the columns of `schema`.

    Rows shown before `since` (seconds since 1970) and rows of the run `without` are left out.
    Columns of removed channels are dropped; those of new channels are null.
    """

    def fit(table: Any) -> Any:
        moment = pc.cast(table.column(ShownColumns.AT), pa.int64()).to_numpy() / 1e6
        young = pa.array(moment >= since)
        other = pc.not_equal(table.column(ShownColumns.RUN), without)
        kept = table.filter(pc.and_(young, other))
        columns = [
            kept.column(field.name).cast(field.type)
            if field.name in kept.column_names
            else pa.nulls(len(kept), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    return [
        one
        for path in sorted(folder.glob("part-*.parquet"))
        for one in sorted_streams(path, schema, fit)
    ]


def _fitted(path: Path, table: Any, entry: str | None, ends_s: float | None) -> Any:
    with input_errors(path, FAILURE):
        columns = {name: table.column(name).cast(pa.string()) for name in NEEDED[:2]}
        for name in OPTIONAL:
            there = name in table.column_names
            columns[name] = table.column(name).cast(pa.string()) if there else _nothing(table)
        if any(columns[name].null_count for name in NEEDED[:2]):
            raise InputError("a row has no user_id or song_id")
        times, units = to_times(table.column(ShownColumns.AT))
        times = times / np.where((units > 0) & (units < len(UNITS)), 1000.0**units, 1.0)
        if (units < 0).any():
            raise InputError("a row has no valid time in shown_at")
        columns[ShownColumns.AT] = pa.array(times)
    found = pa.table([columns[field.name] for field in SHOWN], schema=SHOWN)
    if entry is not None and "entry" in table.column_names:
        found = found.filter(pc.equal(found.column("entry"), entry).fill_null(False))
    if ends_s is not None:
        found = found.filter(pc.less(found.column(ShownColumns.AT), ends_s))
    return found


def _nothing(table: Any) -> Any:
    return pa.chunked_array([pa.nulls(len(table), pa.string())])
