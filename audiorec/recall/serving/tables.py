"""Read several tables of candidates in parallel, one block of users at a time.

    a.parquet, b.parquet, ... ──user_blocks──▶ one table per file, with the rows of the next users
    tables sorted by user ──▶ `UserStream` ──merge_streams──▶ the same for any schema
    tables (one per channel) ──CandidateRows.of──▶ `CandidateRows`: user, song, source as numbers
    any of these tables ──`UserRows`──▶ the rows of one user, in memory that threads may share

Memory does not grow with the number of users.
"""

import mmap
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import encoded, integers
from audiorec.files.own_files import refuse_link
from audiorec.files.tables import TableFile
from audiorec.files.user_files import column_names, input_errors, read_table
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA
from audiorec.recall.serving.rules import UNKNOWN, ExcludedLists
from audiorec.types import BoolArray, Float64Array, Int64Array, nth

BATCH_ROWS = 1 << 16  # rows of a file that are read at a time
LARGEST_SORTED = 20_000_000  # maximum rows of a table that must be sorted in memory
FIRST_ROWS = 1_000  # rows that are read at a time to find the name of the channel
FAILURE = "cannot be read as candidates"
USERS = pa.schema([pa.field(ListColumns.USER, pa.string(), nullable=False)])
NEEDED = (ListColumns.USER, ListColumns.SONG)


def user_blocks(paths: Sequence[Path], *, rows: int | None = None) -> Iterator[list[Any]]:
    """Yield tables of `SCHEMA`, one per file, with all rows of a block of users, in order of users.

    Parameters
    ----------
    paths : sequence of path
        ``candidates.parquet`` of audiorec, or any table with ``user_id``, ``song_id`` and, if its
        rows are not in order, ``rank``. Files sorted by user are streamed; others are sorted in
        memory.
    rows : int, optional
        Rows of a file that are read at a time; by default `BATCH_ROWS`.

    Raises
    ------
    InputError
        If a table lacks a column, or is unsorted and too large to be sorted in memory.
    """
    rows = rows or BATCH_ROWS
    return merge_streams([UserStream(candidates_by_user(path, rows), SCHEMA) for path in paths])


def channels_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the channel of each table; the file name if it names no channel or several.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    channels = []
    for path in paths:
        names = channels_in(path)
        channels.append(names.pop() if len(names) == 1 else path.stem)
    return tuple(channels)


def channels_in(path: Path) -> set[str]:
    """Return the channels named in the first rows of a table, other than the default list."""
    named = (texts - {None, "", DEFAULT} for texts in texts_in(path, "channel", FIRST_ROWS))
    return next(filter(None, named), set())


def texts_in(path: Path, name: str, rows: int, failure: str = FAILURE) -> Iterator[set[str]]:
    """Yield the different texts of a column in each `rows` rows of a table; none without it."""
    if name not in column_names(path, failure):
        return
    if path.suffix != ".parquet":
        yield set(read_table(path, failure, needed=(name,), texts=True).column(name).to_pylist())
        return
    with TableFile.open(path) as file:
        for table in file.batches(rows, [name]):
            yield set(table.column(name).cast("string").unique().to_pylist())


class UserStream:
    """A buffered stream of tables sorted by ``user_id``."""

    def __init__(self, tables: Iterator[Any], schema: Any) -> None:
        self._tables = tables
        self._schema = schema
        self.table = schema.empty_table()
        self.is_over = False

    @property
    def last(self) -> str:
        """The user of the last buffered row."""
        return str(self.table.column(ListColumns.USER)[-1].as_py())

    def fill(self) -> bool:
        """Read until the buffer has rows or the stream ends; return whether it has rows."""
        while not len(self.table) and not self.is_over:
            self.grow()
        return len(self.table) > 0

    def grow(self) -> None:
        """Read one more table into the buffer."""
        more = next(self._tables, None)
        self.is_over = more is None
        if more is not None:
            self.table = pa.concat_tables([self.table, more]) if len(self.table) else more

    def before(self, bound: str | None) -> Any:
        """Remove and return the rows of users before `bound`, or all rows if it is None."""
        n = len(self.table)
        if bound is not None:
            n = int(pc.sum(pc.less(self.table.column(ListColumns.USER), bound)).as_py() or 0)
        result, self.table = self.table.slice(0, n), self.table.slice(n)
        return result


def merge_streams(streams: Sequence[UserStream]) -> Iterator[list[Any]]:
    """Yield one table per stream with all rows of a block of users, in order of users.

    Examples
    --------
    >>> a, b = (pa.table({"user_id": ids}, schema=USERS) for ids in (["u", "v"], ["v", "w"]))
    >>> streams = [UserStream(iter([one]), USERS) for one in (a, b)]
    >>> [[len(table) for table in block] for block in merge_streams(streams)]
    [[1, 0], [1, 1], [0, 1]]
    """
    while sum(stream.fill() for stream in streams):
        ends = [stream.last for stream in streams if not stream.is_over and len(stream.table)]
        # Users before the smallest last user are complete in every stream.
        bound = min(ends) if ends else None
        block = [stream.before(bound) for stream in streams]
        if any(map(len, block)):
            yield block
        for stream in streams:  # read only streams that block the others, to bound memory
            if bound is not None and len(stream.table) and stream.last == bound:
                stream.grow()


def candidates_by_user(path: Path, rows: int) -> Iterator[Any]:
    """Yield the rows of a file as tables of `SCHEMA`, sorted by user."""
    if is_by_user(path, rows):
        with TableFile.open(path, mapped=False) as file:
            for table in file.batches(rows, SCHEMA.names):
                yield fitted(table, path)
        return
    yield sorted_by_user(path)


def is_by_user(path: Path, rows: int = BATCH_ROWS) -> bool:
    """Return whether a file has the columns of `SCHEMA` and is sorted by user."""
    if path.suffix != ".parquet" or not set(column_names(path, FAILURE)) >= set(SCHEMA.names):
        return False
    with TableFile.open(path, mapped=False) as file:
        return _ascend(file, rows)


def sorted_by_user(path: Path) -> Any:
    """Read a whole file and sort it by user and rank.

    Raises
    ------
    InputError
        If it has more than `LARGEST_SORTED` rows.
    """
    if path.suffix == ".parquet" and set(column_names(path, FAILURE)) >= set(SCHEMA.names):
        with TableFile.open(path, mapped=False) as file:
            if len(file) > LARGEST_SORTED:
                raise InputError(
                    f"{path}: {len(file):,} rows are not sorted by user_id, and at most "
                    f"{LARGEST_SORTED:,} can be sorted in memory; sort the file, or write it with "
                    "audiorec recall candidates"
                )
            result = fitted(file.read(SCHEMA.names), path)
    else:
        result = _foreign(path)
    keys = (ListColumns.USER, "cold", "rank")
    return result.sort_by([(name, "ascending") for name in keys])


def _ascend(file: TableFile, rows: int) -> bool:
    """Return whether the users of a file ascend."""
    last = ""
    for table in file.batches(rows, [ListColumns.USER]):
        users = pa.concat_arrays(table.column(ListColumns.USER).cast(pa.string()).chunks)
        if len(users):
            falls = pc.any(pc.greater(users[:-1], users[1:])).as_py()
            if falls or (users[0].as_py() or "") < last:
                return False
            last = users[-1].as_py() or ""
    return True


def fitted(table: Any, path: Path, schema: Any = SCHEMA) -> Any:
    """Return the columns of a schema, with its types; refuse others, and nulls where it has none.

    Raises
    ------
    InputError
        Names the file.
    """
    with input_errors(path, FAILURE):
        result = table.select(schema.names).cast(schema)
    for field in schema:
        if not field.nullable and result.column(field.name).null_count:
            raise InputError(f"{path}: {FAILURE}: a row has no {field.name}")
    return result


def _foreign(path: Path) -> Any:
    """Read a table of another tool; missing columns get default values."""
    names = column_names(path, FAILURE)
    table = read_table(path, FAILURE, needed=NEEDED, wanted=[n for n in SCHEMA.names if n in names])
    n = len(table)
    usual = {
        "channel": pa.repeat(pa.scalar(path.stem), n),
        "similarity": pa.repeat(pa.scalar(float("nan")), n),  # NaN: no ties
        "reason": pa.repeat(pa.scalar("external"), n),
        "evidence": pa.nulls(n, pa.string()),
        "interest": pa.nulls(n, pa.int32()),
        "cold": pa.repeat(pa.scalar(False), n),
        "model_id": pa.repeat(pa.scalar(""), n),
    }
    usual["rank"] = integers(np.arange(1, n + 1))  # in the order of its rows
    columns = {name: table.column(name) if name in names else usual[name] for name in SCHEMA.names}
    return fitted(pa.table(columns), path)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateRows:
    """n candidates of a block of users, from all channels."""

    table: Any  # as `SCHEMA`: all rows of the block
    at: Int64Array  # (n,): rows of the table
    user: Int64Array  # (n,): positions in `user_ids`
    song: Int64Array  # (n,): positions in `song_ids`
    source: Int64Array  # (n,): number of the channel's table
    user_ids: Any  # a `pyarrow.StringArray`, sorted
    song_ids: Any

    @classmethod
    def of(cls, tables: Sequence[Any]) -> "CandidateRows":
        """Build from tables of `SCHEMA`, one per channel."""
        table = pa.concat_tables(tables).combine_chunks()
        source = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
        user, user_ids = encoded(table.column(ListColumns.USER))
        song, song_ids = encoded(table.column(ListColumns.SONG))
        return cls(table, np.arange(len(table)), user, song, source, user_ids, song_ids)

    def take(self, rows: Any) -> "CandidateRows":
        """Return the rows at an index array or a mask, in that order."""
        columns = (self.at[rows], self.user[rows], self.song[rows], self.source[rows])
        return CandidateRows(self.table, *columns, self.user_ids, self.song_ids)

    def numbers(self, name: str) -> Any:
        """Return a column of integers or flags; null becomes `UNKNOWN`."""
        column = self.table.column(name).cast(pa.int64())
        return pc.fill_null(column, UNKNOWN).to_numpy()[self.at]

    def are_of(self, channel: str) -> BoolArray:
        """Return which rows come from a channel."""
        result = pc.equal(self.table.column("channel"), channel).to_numpy().astype(np.bool_)
        return np.asarray(result[self.at], np.bool_)

    def places(self, *, by_interest: bool = False) -> Float64Array:
        """Return the place of each row in its list, from 0; cold songs are counted separately.

        There is a list for each user and table; with `by_interest`, for each interest as well.
        Adjacent rows of equal similarity share the mean of their places, since their order is
        arbitrary.
        """
        rank = self.numbers("rank")
        split = self.numbers("interest") if by_interest else np.zeros_like(rank)
        lists = key_of(self.source, self.user, self.numbers("cold"), split)
        by_rank = None if _ascends(lists, rank) else np.lexsort((self.song, rank, lists))
        similarity = self.table.column("similarity").to_numpy()[self.at]
        if by_rank is not None:
            lists, similarity = lists[by_rank], similarity[by_rank]
        alike = np.ones(len(rank), np.bool_)
        alike[1:] = (lists[1:] != lists[:-1]) | (similarity[1:] != similarity[:-1])
        run = np.cumsum(alike) - 1
        mean = np.bincount(run, nth(lists)) / np.bincount(run) if len(run) else np.empty(0)
        if by_rank is None:
            return np.asarray(mean[run], np.float64)
        place = np.empty(len(rank))
        place[by_rank] = mean[run]
        return place

    def is_among(self, excluded: ExcludedLists | None, names: Any = None) -> BoolArray:
        """Return which rows are in the excluded list of their user.

        Songs are looked up by `names`, a `pyarrow.StringArray`; by default by their ids.
        """
        if excluded is None or not len(self.user):
            return np.zeros(len(self.user), np.bool_)
        user, number = excluded.pairs_of(self.user_ids)
        song = excluded.songs.rows(self.song_ids if names is None else names)[self.song]
        width = excluded.width + 1
        return np.isin(self.user * width + song, user * width + number) & (song >= 0)


def _ascends(lists: Int64Array, rank: Int64Array) -> bool:
    """Return whether rows are sorted by list and, within a list, by strictly ascending rank."""
    same = lists[1:] == lists[:-1]
    return bool(((lists[1:] > lists[:-1]) | (same & (rank[1:] > rank[:-1]))).all())


def key_of(*columns: Any) -> Int64Array:
    """Encode each row of integer columns as one number, preserving lexicographic order."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        key = key * (high - low + 1) + (column.astype(np.int64) - low)
    return key


class UserRows:
    """A table with one group of rows for each user, in memory that threads may share.

    The file is read once, on first use, into a temporary one that is mapped into memory: the system
    may drop its pages, and a reader of Parquet must not be asked by two threads at once.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema

    Raises
    ------
    StoreError
        If the file is damaged or a link; on first use, if rows of a user do not stand together.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        refuse_link(path)
        self._schema = schema
        self._file = TableFile.open(path, mapped=False)  # later replacements have no effect
        self._reading = threading.Lock()
        self._read: tuple[Any, dict[str, tuple[int, int]]] | None = None

    @property
    def users(self) -> Collection[str]:
        """The users, each once."""
        return self._rows[1].keys()

    def of(self, user_id: str, most: int | None = None) -> Any:
        """Return the rows of a user as a table, at most the first so many; empty for no user."""
        table, places = self._rows
        start, stop = places.get(user_id, (0, 0))
        rows = table.slice(start, stop - start if most is None else min(most, stop - start))
        return pa.Table.from_arrays([*map(_unfolded, rows.columns)], schema=self._schema)

    @property
    def _rows(self) -> tuple[Any, dict[str, tuple[int, int]]]:
        """Return all rows, and where those of each user start and stop."""
        with self._reading:
            if self._read is None:
                self._read = self._mapped(self._file)
                self._file.close()
            return self._read

    def _mapped(self, file: TableFile) -> tuple[Any, dict[str, tuple[int, int]]]:
        places: dict[str, tuple[int, int]] = {}
        rows, last = 0, None
        kinds = [_folded(pa.array([], field.type)).type for field in self._schema]
        schema = pa.schema([f.with_type(k) for f, k in zip(self._schema, kinds, strict=True)])
        with tempfile.TemporaryFile() as whole:
            with pa.ipc.new_stream(whole, schema) as writer:
                for batch in file.batches(BATCH_ROWS, schema.names):
                    table = fitted(batch, file.path, self._schema).combine_chunks()
                    runs = pc.run_end_encode(table.column(ListColumns.USER).chunk(0))
                    ends = np.asarray(runs.run_ends, np.int64) + rows
                    for user, end in zip(runs.values.to_pylist(), ends.tolist(), strict=True):
                        if user in places and user != last:
                            raise StoreError(f"{file.path}: rows are not grouped by user")
                        places[user] = places.get(user, (rows, 0))[0], end
                        rows, last = end, user
                    columns = [_folded(column.chunk(0)) for column in table.columns]
                    writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            if not rows:
                return schema.empty_table(), {}
            whole.flush()
            pages = mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_stream(pa.py_buffer(pages)).read_all(), places


def _folded(column: Any) -> Any:
    """Return an array whose texts are stored once."""
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _unfolded(column: Any) -> Any:
    """Return a column of such arrays with plain texts."""
    if not pa.types.is_dictionary(column.type):
        return column
    parts = [part.dictionary.take(part.indices) for part in column.chunks]
    return pa.chunked_array(parts, pa.string())
