r"""The files of an export, single, in a zip or in a folder; large JSON; databases of servers.

    paths ──members──▶ [Member(name, open), ...]   sorted by name, opened one at a time
    [{...}, {...}]                      ──array_rows──▶  1, {...};  2, {...}
    {"user": "ana", "plays": [{...}]}   ──array_rows──▶  the values of its first array
    {...}\n{...}\n                      ──line_rows───▶  1, {...};  2, {...}
    a;b\n1;2\n                          ──delimited───▶  ["a", "b"];  ["1", "2"]
    path ──open_database──▶ `ServerDatabase`

Nothing is unpacked to disk. A file that is damaged is one error, with its name and the place.
"""

import csv
import io
import json
import lzma
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.user_files import input_errors, open_unpacked, refuse_devices
from audiorec.listening.imports.rows import LONGEST_KEPT

FAILURE = "cannot be read"
HEAD_BYTES = 1 << 18
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an export."""

    name: str  # its path for messages: ``export.zip/listens/2024/1.jsonl``
    # opens the file as a context manager; errors are `InputError`
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def members(paths: Sequence[Path], wanted: str) -> list[Member]:
    """List the files of an export whose names match `wanted`, a regular expression.

    Folders and zips are searched; a file given directly is taken whatever its name. The files are
    sorted by name, with numbers in numeric order.

    Raises `InputError` if a path is missing or damaged, or nothing in it matches.
    """
    pattern, result = re.compile(wanted, re.IGNORECASE), []
    for path in paths:
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
        if path.is_dir():
            inside = [p for p in path.rglob("*") if pattern.search(p.as_posix()) and p.is_file()]
            here = [_plain(one) for one in inside]
        elif path.suffix.lower() == ".zip":
            here = _zipped(path, pattern)
        else:
            here = [_plain(path)]
        if not here:
            raise DamagedFileError(f"{path}: holds no file with a name like {wanted!r}")
        result += sorted(here, key=lambda one: _by_number(one.name))
    return result


def _by_number(name: str) -> list[tuple[int, str]]:
    parts = _NUMBERS.split(name)
    return [(int(p), "") if n % 2 and len(p) < 19 else (0, p) for n, p in enumerate(parts)]


def _plain(path: Path) -> Member:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with input_errors(path, FAILURE):
            refuse_devices(path)
            with open_unpacked(path) as file:
                yield file

    return Member(str(path), opened)


def _zipped(path: Path, pattern: re.Pattern[str]) -> list[Member]:
    with input_errors(path, FAILURE), _zip_errors():
        if not path.is_file():  # a pipe would be waited for
            raise InputError("is not a file")
        archive = zipfile.ZipFile(path)  # closed with the last of its members
    inside = [one for one in archive.infolist() if not one.is_dir()]
    return [_member(path, archive, one) for one in inside if pattern.search(one.filename)]


def _member(path: Path, archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> Member:
    name = f"{path}/{about.filename}"

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with input_errors(name, FAILURE), _zip_errors(), archive.open(about) as file:
            yield file

    return Member(name, opened)


@contextmanager
def _zip_errors() -> Iterator[None]:
    """Convert errors of a zip, or of a file in it: damaged, encrypted, packed in another way."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"is not a zip, or is damaged: {error}") from error
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f"{error}; unpack it, and give the folder") from error


_BLANK = re.compile(r"[ \t\r\n]*")
_STRING_OR_ARRAY = re.compile(r'"(?:[^"\\]|\\.)*"|\[', re.DOTALL)
_DECODER = json.JSONDecoder()


class Broken(NamedTuple):
    """A line that is not valid JSON: the reason, and the beginning of the line."""

    reason: str
    content: str


def array_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each element of the first array in a JSON text.

    Elements are parsed one by one, since a list of plays takes ten times its length in memory.
    Raises `InputError` where the text is no JSON, with the row.
    """
    held = file.read().decode("utf-8-sig", "backslashreplace")
    found = next((one for one in _STRING_OR_ARRAY.finditer(held) if one[0] == "["), None)
    if found is None:
        raise InputError("holds no JSON array")
    row, at = 0, _after_blank(held, found.end())
    while held[at : at + 1] != "]":
        row += 1
        try:
            value, at = _DECODER.raw_decode(held, at)
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise InputError(f"is damaged or cut off at row {row}: {why}") from error
        yield row, value
        at = _after_blank(held, at)
        if held[at : at + 1] == ",":
            at = _after_blank(held, at + 1)
        elif held[at : at + 1] != "]":
            raise InputError(f"is damaged or cut off behind row {row}")
    if held.lstrip().startswith("[") and held[at + 1 :].strip():
        raise InputError(f"is damaged: it goes on behind row {row}, the last of its list")


def _after_blank(held: str, at: int) -> int:
    blank = _BLANK.match(held, at)
    return blank.end() if blank else at


def line_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each line; `Broken` for a line that is not JSON."""
    for row, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
        except (ValueError, RecursionError):
            shown = line[:LONGEST_KEPT].decode("utf-8", "backslashreplace")
            result = Broken("is no JSON", shown)
        yield row, result


def json_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Return `line_rows` of a file that has an object on its first line, else `array_rows`."""
    first, there, _ = file.read(HEAD_BYTES).partition(b"\n")
    file.seek(0)
    try:
        is_lines = bool(there) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        is_lines = False
    return line_rows(file) if is_lines else array_rows(file)


COLONS = "::"


def delimited(file: IO[bytes]) -> tuple[list[str], Iterator[list[str]]]:
    """Return the cells of the first line of a table, and those of each line that follows.

    Cells are separated by what is most frequent in the first line: ``,``, ``;``, ``|``, tabs or, as
    in MovieLens, ``::``.
    """
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="backslashreplace", newline="")
    first = next(lines, "")
    if first.count(COLONS) > 1:

        def split() -> Iterator[list[str]]:
            yield from (line.strip().split(COLONS) for line in lines)
            lines.detach()

        return first.strip().split(COLONS), split()
    form: dict[str, Any] = {"delimiter": max(",;\t|", key=first.count)}
    if form["delimiter"] == "\t":  # where a quotation mark is one
        form["quoting"] = csv.QUOTE_NONE

    def others() -> Iterator[list[str]]:
        reader = csv.reader(lines, **form)
        try:
            yield from filter(None, reader)
            lines.detach()  # or it warns that its file is open, which the caller closes
        except csv.Error as error:
            raise InputError(f"{FAILURE}: line {reader.line_num + 1}: {error}") from error

    return next(csv.reader([first], **form), []), others()


NO_DATABASE = "cannot be read"
MAGIC = b"SQLite format 3\0"


class ServerDatabase:
    """An open SQLite database."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def columns(self, table: str) -> frozenset[str]:
        """Return the column names of a table in lower case; empty if it does not exist."""
        result = self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return frozenset(row[0].lower() for row in result)

    def rows(self, query: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of a query; column names are case-insensitive."""
        with _errors(self.path):
            yield from self._connection.execute(query)


@contextmanager
def open_database(path: Path, needed: Mapping[str, Sequence[str]]) -> Iterator[ServerDatabase]:
    """Open a database, checking that it has the needed tables and columns.

    Raises `InputError` if the file is missing, is not SQLite, or lacks a table or column.

        with open_database(path, {"annotation": ("user_id", "item_id")}) as database:
            database.rows("SELECT ...")

    The server may be running: its file is opened read-only, together with its write-ahead log. A
    file without one is opened as immutable, so that SQLite writes nothing beside it.
    """
    with input_errors(path, NO_DATABASE):
        refuse_devices(path)
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InputError("is not an SQLite database")
    is_used = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro" + ("" if is_used else "&immutable=1")
    with _errors(path), closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
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
        raise DamagedFileError(f"{path}: {NO_DATABASE}: {error}") from error


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
