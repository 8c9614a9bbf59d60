"""Tables of many users side by side: all rows of the same users at a time, in flat memory.

    candidates, exposures, ids, ...  ──UserStream──▶ ──together──▶ one table a stream, users ascend

A file whose users ascend is read once. One that consists of several such stretches, as exposures
of many nights do, becomes a stream for each stretch; one in no order at all is sorted in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.tables import TableFile
from audiorec.recall.serving.tables import LARGEST_SORTED

MOST_STRETCHES = 1_000  # of one file that are read side by side
BATCH_ROWS = 1 << 16  # that are read at a time, of all stretches of a file together
LEAST_ROWS = 1 << 10
USERS = pa.schema([pa.field("user_id", pa.string(), nullable=False)])


class UserStream:
    """Tables in the order of ``user_id``, one after the other, and what is left of them."""

    def __init__(self, tables: Iterator[Any], schema: Any) -> None:
        self._tables = tables
        self._schema = schema
        self.table = schema.empty_table()
        self.is_over = False

    @property
    def last(self) -> str:
        """The user of the last row that was read."""
        return str(self.table.column("user_id")[-1].as_py())

    def fill(self) -> bool:
        """Read on if nothing is left; return whether there is something."""
        while not len(self.table) and not self.is_over:
            self.grow()
        return len(self.table) > 0

    def grow(self) -> None:
        """Read one table more."""
        more = next(self._tables, None)
        self.is_over = more is None
        if more is not None:
            self.table = pa.concat_tables([self.table, more]) if len(self.table) else more

    def before(self, bound: str | None) -> Any:
        """Give out the rows of the users before `bound`; all where it is None."""
        n = len(self.table)
        if bound is not None:
            n = int(pc.sum(pc.less(self.table.column("user_id"), bound)).as_py() or 0)
        found, self.table = self.table.slice(0, n), self.table.slice(n)
        return found


def together(streams: Sequence[UserStream]) -> Iterator[list[Any]]:
    """Yield a table a stream with all rows of some users; users ascend.

    Examples
    --------
    >>> a, b = (pa.table({"user_id": ids}, schema=USERS) for ids in (["u", "v"], ["v", "w"]))
    >>> streams = [UserStream(iter([one]), USERS) for one in (a, b)]
    >>> [[len(table) for table in block] for block in together(streams)]
    [[1, 0], [1, 1], [0, 1]]
    """
    while sum(stream.fill() for stream in streams):
        ends = [stream.last for stream in streams if not stream.is_over and len(stream.table)]
        # Users before the first end are complete in every stream; at the end of all, everyone is.
        bound = min(ends) if ends else None
        block = [stream.before(bound) for stream in streams]
        if any(map(len, block)):
            yield block
        for stream in streams:  # only those that hold the others up: memory stays flat
            if bound is not None and len(stream.table) and stream.last == bound:
                stream.grow()


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
