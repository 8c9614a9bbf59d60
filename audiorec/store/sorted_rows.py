"""External merge sort: rows of many files in id order, a batch at a time.

    files ──runs──▶ sorted runs ──merged──▶ tables: sorted, each id once

A sorted file is one run. An unsorted file is cut into pieces that are sorted in memory and
written to a scratch folder. All runs are then read side by side: rows up to the smallest of the
last ids at hand can be emitted. Many runs are first merged into fewer, longer ones. Memory
holds one batch per run, however many rows there are.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import booleans, integers
from audiorec.files.parquet_files import WRITING
from audiorec.files.tables import TableFile, with_nulls
from audiorec.store.parquet import Checked
from audiorec.store.schema import MARKS

PART = "part"  # additional column: the number of the part that a row is from
TIMES = ("extracted_at", "failed_at")  # columns that say when a row was made
FAN_IN = 32  # runs that are read side by side
BATCH_BYTES = 1 << 18
MAX_BATCH_ROWS = 8_192
PIECE_BYTES = 32 << 20  # piece of an unsorted file
SCRATCH_ENDING = ".run.parquet"

OnDuplicate = Literal["error", "same", "newest", "first"]
Keep = Callable[[Any], Any]  # returns the rows to keep, of sorted rows


@dataclass(frozen=True, slots=True)
class Run:
    """A Parquet file whose ids are strictly ascending."""

    file: TableFile
    part: int | None  # the part of all its rows; None if a column says it row by row

    def tables(self, schema: Any, keep: Keep) -> Iterator[Any]:
        """Yield the rows in order with the column `PART`, in batches."""
        if self.part is None:  # a scratch file: filtered already
            yield from _batches(self.file, [*schema.names, PART], BATCH_BYTES)
            return
        for table in _complete(self.file, schema, BATCH_BYTES):
            yield with_part(keep(table), self.part)


def sorted_rows(
    parts: Sequence[Checked],
    schema: Any,
    *,
    scratch: Path,
    on_duplicate: OnDuplicate,
    keep: Keep = lambda table: table,
) -> Iterator[Any]:
    """Yield the rows of all parts, sorted by ``song_id``, each id once (`without_duplicates`).

    They have the columns of `schema`; nullable ones that a part lacks are null in its rows.
    `scratch` is a folder for temporary runs, which are removed once they have been read. `keep`
    filters sorted rows; dropped rows do not count as duplicates.
    """
    names = [str(part.path) for part in parts]
    numbers = count()

    def rows_of(runs: Sequence[Run]) -> Iterator[Any]:
        for table in _merged(runs, schema, keep):
            yield without_duplicates(table, names, on_duplicate)

    def write(tables: Iterator[Any]) -> list[Run]:
        path = scratch / f"{next(numbers):06d}{SCRATCH_ENDING}"
        return _write_run(path, tables)

    runs: list[Run] = []
    for number, part in enumerate(parts):
        if _is_sorted(part):
            runs.append(Run(part, number))
            continue
        for piece in _complete(part, schema, PIECE_BYTES):
            table = with_part(keep(piece.sort_by("song_id")), number)
            runs += write(iter([without_duplicates(table, names, on_duplicate)]))
    while len(runs) > FAN_IN:
        groups = [runs[i : i + FAN_IN] for i in range(0, len(runs), FAN_IN)]
        runs = [run for group in groups for run in _replaced(group, write(rows_of(group)))]
    for table in rows_of(runs):
        yield table.drop_columns([PART])
    _replaced(runs, [])


def _batches(file: TableFile, columns: Sequence[str], n_bytes: int) -> Iterator[Any]:
    """Yield a file's rows as tables of about `n_bytes`."""
    footer = file.file.metadata
    total = sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))
    rows = min(MAX_BATCH_ROWS, max(1, n_bytes * footer.num_rows // max(1, total)))
    yield from file.batches(rows, columns)


def _complete(file: TableFile, schema: Any, n_bytes: int) -> Iterator[Any]:
    """Yield a file's rows with all columns of `schema`, in its order."""
    there = [name for name in schema.names if name in file.schema.names]
    lacking = [field for field in schema if field.name not in there]
    for table in _batches(file, there, n_bytes):
        yield with_nulls(table, lacking).select(schema.names)


def _is_sorted(part: Checked) -> bool:
    """Whether ids are strictly ascending; a row without an id raises `StoreError`."""
    last: Any = None
    for table in _batches(part, ["song_id"], BATCH_BYTES):
        ids = table.column("song_id").combine_chunks()
        if ids.null_count or pc.min(pc.binary_length(ids)).as_py() == 0:
            raise StoreError(f"{part.path}: a row has no song_id")
        first = ids[0].as_py()
        grows = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
        if not grows or (last is not None and last >= first):
            return False
        last = ids[-1].as_py()
    return True


def _write_run(path: Path, tables: Iterator[Any]) -> list[Run]:
    """Write sorted tables to a scratch file; write no file if there are no tables."""
    first = next(tables, None)
    if first is None:
        return []
    with pq.ParquetWriter(path, first.schema, **WRITING) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    return [Run(TableFile.open(path), None)]


def _replaced(old: Sequence[Run], new: list[Run]) -> list[Run]:
    """Remove the scratch files of runs that have been read; return `new`, which replaces them."""
    for run in old:
        if run.part is None:
            run.file.close()
            run.file.path.unlink()
    return new


class _Cursor:
    """Read position in one run."""

    def __init__(self, tables: Iterator[Any]) -> None:
        self._tables = tables
        self._table: Any = None
        self._ids: list[str] = []

    def fill(self) -> bool:
        """Load the next rows if none are at hand; return False at the end of the run."""
        while not self._ids:
            self._table = next(self._tables, None)
            if self._table is None:
                return False
            self._ids = self._table.column("song_id").to_pylist()
        return True

    @property
    def last(self) -> str:
        return self._ids[-1]

    def up_to(self, bound: str) -> Any:
        """Take the rows whose id is at most `bound`."""
        n = bisect_right(self._ids, bound)
        taken = self._table.slice(0, n)
        self._table, self._ids = self._table.slice(n), self._ids[n:]
        return taken


def _merged(runs: Sequence[Run], schema: Any, keep: Keep) -> Iterator[Any]:
    """Yield all rows of the runs, sorted; all rows of one id are in one table."""
    cursors = [_Cursor(run.tables(schema, keep)) for run in runs]
    while cursors := [cursor for cursor in cursors if cursor.fill()]:
        # Every row with an id up to this one is at hand.
        bound = min(cursor.last for cursor in cursors)
        taken = [table for cursor in cursors if len(table := cursor.up_to(bound))]
        if len(taken) == 1:
            yield taken[0]
            continue
        joined = pa.concat_tables(taken).combine_chunks()
        order = [("song_id", "ascending"), (PART, "ascending")]
        yield joined.take(pc.sort_indices(joined, sort_keys=order))


def without_duplicates(table: Any, names: Sequence[str], policy: OnDuplicate) -> Any:
    """Keep one row per song id, of rows sorted by id, with the column `PART`.

    Rows that are equal in every column count as one, whatever the policy: a part that was made
    twice, or given twice, changes nothing. If rows with the same id differ, the policy decides
    which one is kept; if none is, `InputError` names the id and both parts (`names`):

    ======  ==========================================================================
    error   none
    same    as newest if they are the same audio (same ``content_hash``; for failures
            the same ``uri``), otherwise none
    newest  the newest of those with the most of `MARKS`, so that no sound is lost; independent of
            the order of the parts
    first   the one from the first part
    ======  ==========================================================================
    """
    ids = table.column("song_id").combine_chunks()
    if len(ids) < 2:
        return table
    repeated = np.flatnonzero(booleans(pc.equal(ids[1:], ids[:-1])))
    if not len(repeated):
        return table
    kept = np.ones(len(ids), np.bool_)
    for start, stop in _runs(repeated):
        kept[start:stop] = False
        kept[start + _chosen(table.slice(start, stop - start), names, policy)] = True
    return table.take(integers(np.flatnonzero(kept)))


def _runs(repeated: Any) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each id's rows; `repeated`: rows whose successor has the same id."""
    breaks = np.flatnonzero(np.diff(repeated) > 1)
    starts = repeated[np.concatenate([[0], breaks + 1])]
    ends = repeated[np.concatenate([breaks, [len(repeated) - 1]])]
    yield from zip(starts.tolist(), (ends + 2).tolist(), strict=True)


def _chosen(rows: Any, names: Sequence[str], policy: OnDuplicate) -> int:
    """Return the index of the row to keep, of rows with the same id."""
    content = rows.drop_columns([PART])
    first = content.slice(0, 1)
    different = [n for n in range(1, len(rows)) if not content.slice(n, 1).equals(first)]
    parts = rows.column(PART).to_pylist()
    if policy == "first" or not different:
        return int(parts.index(min(parts)))
    values = content.to_pylist()
    sound = "content_hash" if "content_hash" in content.column_names else "uri"
    sounds = {value[sound] for value in values}
    if policy == "error" or (policy == "same" and len(sounds) > 1):
        a, b = names[parts[0]], names[parts[different[0]]]
        what = "different songs have" if len(sounds) > 1 else "different rows have"
        raise InputError(f"{what} the id {values[0]['song_id']!r}: one in {a}, one in {b}")
    # Sort key by time; the text breaks ties between rows of the same time.
    ages = [
        (
            sum(row.get(mark) is not None for mark in MARKS),
            *(row[name] for name in TIMES if name in row),
            repr(row),
        )
        for row in values
    ]
    return ages.index(max(ages))


def with_part(table: Any, number: int) -> Any:
    """Add the column `PART`."""
    column = integers(np.full(len(table), number, np.int64))
    return table.append_column(pa.field(PART, pa.int64(), nullable=False), column)
