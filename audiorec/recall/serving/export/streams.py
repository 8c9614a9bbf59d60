"""Read tables of many users in parallel, one block of users at a time, in constant memory.

    exposures, ids, served candidates, ...  ──▶ `UserStream` ──together──▶ one table per stream

A file sorted by user becomes one stream. A file that consists of several sorted stretches, such as
the exposures of many nights, becomes one stream per stretch; an unsorted file is sorted in memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.tables import TableFile
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
            whole = fit(file.read()).sort_by([("user_id", "ascending")])
            return [UserStream(iter([whole]), schema)]
        ends = [*starts[1:], len(file)]
    rows = max(LEAST_ROWS, BATCH_ROWS // max(1, len(starts)))
    parts = (_stretch(path, a, b, rows) for a, b in zip(starts, ends, strict=True) if b > a)
    return [UserStream(map(fit, part), schema) for part in parts]


def _starts(file: TableFile) -> list[int]:
    """Return the first row of each stretch in which users ascend."""
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
