"""Tables of many users side by side: all rows of the same users at a time, in flat memory.

    exposures, ids, what was served, ...  ──▶ `UserStream` ──together──▶ one table a stream

A file whose users ascend is read once. One that consists of several such stretches, as exposures
of many nights do, becomes a stream for each stretch; one in no order at all is sorted in memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.tables import TableFile
from audiorec.recall.serving.tables import LARGEST_SORTED, USERS, UserStream

MOST_STRETCHES = 1_000  # of one file that are read side by side
BATCH_ROWS = 1 << 16  # that are read at a time, of all stretches of a file together
LEAST_ROWS = 1 << 10


def ids_stream(chunks: Iterator[Any]) -> UserStream:
    """Return a stream of ids alone, some at a time: each a `pyarrow.StringArray`."""
    return UserStream((pa.Table.from_arrays([c], schema=USERS) for c in chunks), USERS)


def stretches(path: Path, schema: Any, fit: Callable[[Any], Any]) -> list[UserStream]:
    """Return streams that have all rows of a Parquet file between them.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema
        Of the tables that `fit` returns.
    fit : callable
        From a table of the file, all columns, to one of `schema`; it may leave rows out.

    Raises
    ------
    InputError
        If the file has no order and too many rows to be sorted.
    """
    with TableFile.open(path) as file:
        starts = _starts(file)
        if len(starts) > MOST_STRETCHES:
            if len(file) > LARGEST_SORTED:
                raise InputError(
                    f"{path}: {len(file):,} rows that are not in the order of their users, at "
                    f"most {LARGEST_SORTED:,} are sorted; sort them by user_id"
                )
            whole = fit(file.read()).sort_by([("user_id", "ascending")])
            return [UserStream(iter([whole]), schema)]
        ends = [*starts[1:], len(file)]
    rows = max(LEAST_ROWS, BATCH_ROWS // max(1, len(starts)))
    parts = (_stretch(path, a, b, rows) for a, b in zip(starts, ends, strict=True) if b > a)
    return [UserStream(map(fit, part), schema) for part in parts]


def _starts(file: TableFile) -> list[int]:
    """Return the rows at which the users of a file do not ascend any more; the first is one."""
    found, at, last = [0], 0, None
    for table in file.batches(BATCH_ROWS, ["user_id"]):
        users = pa.concat_arrays(table.column("user_id").cast(pa.string()).chunks)
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
    """Yield the rows ``first:stop`` of a file, from the row groups that hold them."""
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
