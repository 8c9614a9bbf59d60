"""Read SQLite files of music servers, read-only and as untrusted input.

    with opened(path, {"annotation": ("user_id", "item_id")}) as database:
        database.rows("SELECT ...")

The server may be running: its file is opened read-only, together with its write-ahead log. A file
without a write-ahead log is opened as immutable, so that SQLite writes nothing beside it. Only
plain tables are read: a view or virtual table of the same name could run arbitrary code.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from audiorec.errors import DamagedFileError, InputError
from audiorec.files.user_files import input_errors, refuse_devices

FAILURE = "cannot be read"
MAGIC = b"SQLite format 3\0"
LONGEST_CELL = 1 << 20  # bytes


class ServerDatabase:
    """An open SQLite database with access to its plain tables."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        found = connection.execute("SELECT name, type, sql FROM main.sqlite_master")
        self._plain = {
            name
            for name, kind, sql in found
            if kind == "table" and "VIRTUAL" not in str(sql).upper()[:32]
        }

    def columns(self, table: str) -> frozenset[str]:
        """Return the column names of a plain table in lower case; empty if it does not exist."""
        if table not in self._plain:
            return frozenset()
        quoted = table.replace('"', '""')
        found = self._connection.execute(f'PRAGMA main.table_info("{quoted}")')
        return frozenset(row[1].lower() for row in found)

    def rows(self, query: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of a trusted query; column names are case-insensitive."""
        with _errors(self.path):
            yield from self._connection.execute(query)


@contextmanager
def open_database(path: Path, needed: Mapping[str, Sequence[str]]) -> Iterator[ServerDatabase]:
    """Open a database, checking that it has the needed tables and columns.

    Raises `InputError` if the file is missing, is not SQLite, or lacks a table or column.
    """
    with input_errors(path, FAILURE):
        refuse_devices(path)
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InputError("is not an SQLite database")
    is_used = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro" + ("" if is_used else "&immutable=1")
    with _errors(path), closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
        database = ServerDatabase(path, connection)
        for table, columns in needed.items():
            there = database.columns(table)
            missing = [name for name in columns if name not in there]
            if missing:
                what = f"column {missing[0]!r} in {table!r}" if there else f"table {table!r}"
                raise DamagedFileError(f"{path}: has no {what}: not a database of this server")
        yield database


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DamagedFileError(f"{path}: {FAILURE}: {error}") from error


def select_columns(names: frozenset[str], wanted: Sequence[str], table: str) -> str:
    """Return the column list of a SELECT, with NULL for columns missing in this version.

    Examples
    --------
    >>> select_columns(frozenset({"title"}), ["title", "isrc"], "m")
    'm.title AS title, NULL AS isrc'
    """
    parts = [f"{table}.{n} AS {n}" if n in names else f"NULL AS {n}" for n in wanted]
    return ", ".join(parts)


def row_text(row: sqlite3.Row) -> dict[str, Any]:
    """Convert a row to a dict, to be stored as text."""
    return dict(zip(row.keys(), tuple(row), strict=True))
