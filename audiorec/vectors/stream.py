"""An append-only file of rows that outlives its writer.

A stream is a series of Arrow IPC messages: the schema, then one record batch a row. Each
row is handed to the operating system before `StreamWriter.append` returns, so a writer
that is killed loses at most the row it was writing. `StreamPart` reads up to the first
message that is not whole and passes over what comes after it.

(A power failure may lose more, since rows are not forced to the disk one by one.)
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.errors import StoreError

MAX_BATCHES_HELD = 1_024  # one-row batches are joined before their headers pile up


class StreamWriter:
    """Appends record batches to a new file.

    Parameters
    ----------
    path : Path
        Must not exist.
    schema : pyarrow.Schema
        Its first column is a text that names the row and is never empty.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self.schema = schema
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self.size = 0  # bytes of whole messages
        self._write(schema.serialize())

    def append(self, batch: Any) -> None:
        """Write one record batch; if that fails, the file is as before."""
        self._write(batch.serialize())

    def cut(self, size: int) -> None:
        """Take back everything after the first `size` bytes."""
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = size

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, message: Any) -> None:
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self.size += len(message)
        except BaseException:  # a full disk, or Ctrl-C between two parts
            self.cut(self.size)
            raise


class StreamPart:
    """The whole rows of a stream, found by one walk over the file and read one by one.

    Parameters
    ----------
    path : Path
        A file that a `StreamWriter` wrote, wherever that ended.

    Attributes
    ----------
    schema : pyarrow.Schema or None
        None if not even the schema is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.schema: Any = None
        self._offsets: list[int] = []
        # A mapping, so that a garbled length cannot make Arrow ask for memory.
        self._file: Any = pa.memory_map(os.fspath(path)) if path.stat().st_size else None
        if self._file is not None:
            self._walk()

    def __len__(self) -> int:
        return len(self._offsets)

    def batch(self, row: int) -> Any:
        """Return one row as a record batch over the mapped file."""
        self._file.seek(self._offsets[row])
        return pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self.schema)

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop`, one batch each."""
        return map(self.batch, range(start, stop))

    def table(self, columns: list[str]) -> Any:
        """Return some columns of all rows as a `pyarrow.Table` in memory."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        tables, pending = [], []
        for row in range(len(self)):
            pending.append(self.batch(row).select(columns))
            if len(pending) == MAX_BATCHES_HELD or row == len(self) - 1:
                tables.append(pa.Table.from_batches(pending, schema).combine_chunks())
                pending = []
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def close(self) -> None:
        """Give the mapping back."""
        if self._file is not None:
            self._file.close()

    def _walk(self) -> None:
        size = self._file.size()
        try:
            self.schema = pa.ipc.read_schema(pa.ipc.read_message(self._file))
            while (offset := self._file.tell()) < size:
                batch = pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self.schema)
                batch.validate(full=True)
                # A power failure may leave zeros where a row should be: its key is empty.
                if self._file.tell() > size or len(batch) != 1 or not batch.column(0)[0].as_py():
                    break
                self._offsets.append(offset)
        except (pa.ArrowException, OSError, EOFError, ValueError):
            return  # the torn end: everything before it is good


def append_all(pairs: list[tuple[StreamWriter, Any]]) -> None:
    """Append a batch to each of several streams in turn: all of them, or none."""
    sizes = [writer.size for writer, _ in pairs]
    try:
        for writer, batch in pairs:
            writer.append(batch)
    except BaseException:
        for (writer, _), size in zip(pairs, sizes, strict=True):
            writer.cut(size)
        raise


def next_number(folder: Path) -> int:
    """Return the number of the next start: one more than any stream in `folder` has.

    Raises
    ------
    StoreError
        If a file there is called like a stream but has no number.
    """
    numbers = [0]
    for path in folder.glob("*.arrows"):
        text = path.stem.rpartition("-")[2]
        if not text.isdecimal():
            raise StoreError(f"{path}: not a stream of audiorec")
        numbers.append(int(text))
    return max(numbers) + 1
