r"""The files of an export, single, in a zip or in a folder; large JSON; databases of servers.

    paths ──members──▶ [Member(name, open), ...]   sorted by name, opened one at a time
    [{...}, {...}]                      ──array_rows──▶  1, {...};  2, {...}
    {"user": "ana", "plays": [{...}]}   ──array_rows──▶  the values of its first array
    {...}\n{...}\n                      ──line_rows───▶  1, {...};  2, {...}
    path ──open_database──▶ `ServerDatabase`

All of it is untrusted. Nothing is unpacked to disk, so names in an archive cannot escape from a
folder, and members are unpacked no further than they are read.
"""

import bz2
import io
import json
import lzma
import os
import re
import sqlite3
import struct
import zipfile
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.user_files import input_errors, refuse_devices
from audiorec.listening.imports.rows import LONGEST_KEPT

FAILURE = "cannot be read"
MOST_MEMBERS = 100_000
MOST_UNPACKED = 200  # maximum compression ratio; JSON of plays compresses to a twentieth
SMALL = 16 << 20  # uncompressed bytes that are always allowed
MOST_MEMORY = 128 << 20  # bytes, of an unpacker; the largest setting of 7-Zip takes 68 MB
PIECE_BYTES = 1 << 16
_NUMBERS = re.compile(r"(\d+)")
_LZMA_HEAD = struct.Struct("<HH")  # version, length of the properties that follow
_LZMA_PROPERTIES, _LZMA_ENDS = 5, 1 << 1  # bytes; the flag of a member that has an end mark
_SIZE_UNKNOWN = (1 << 64) - 1


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
            with path.open("rb") as file:
                yield file

    return Member(str(path), opened)


def _zipped(path: Path, pattern: re.Pattern[str]) -> list[Member]:
    with input_errors(path, FAILURE):
        if not path.is_file():
            raise InputError("is not a file")
        with _zip_errors():
            archive = zipfile.ZipFile(path)  # closed with the last of its members
        inside = archive.infolist()
        if len(inside) > MOST_MEMBERS:
            raise InputError(f"has {len(inside)} files, more than {MOST_MEMBERS}")
        wanted = [one for one in inside if pattern.search(one.filename) and not one.is_dir()]
        if sum(one.compress_size for one in wanted) > path.stat().st_size:
            raise InputError("is damaged: its files together are larger than itself")
    return [_member(path, archive, one) for one in wanted]


def _member(path: Path, archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> Member:
    name = f"{path}/{about.filename}"

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        if about.file_size > SMALL + MOST_UNPACKED * about.compress_size:
            raise DamagedFileError(
                f"{name}: {about.compress_size} bytes would expand to {about.file_size}"
            )
        with input_errors(name, FAILURE):
            with _zip_errors():
                file = _unpacked(archive, about)
            try:
                with file:
                    yield file
            except zipfile.BadZipFile as error:  # a wrong checksum
                raise InputError(f"is damaged: {error}") from error

    return Member(name, opened)


@contextmanager
def _zip_errors() -> Iterator[None]:
    """Convert errors of opening a zip, or a file in it: damaged, encrypted, of a later version."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise InputError(f"is not a zip, or is damaged: {error}") from error
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(str(error)) from error


def _unpacked(archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> IO[bytes]:
    if about.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return archive.open(about)
    if about.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise InputError(
            f"is packed by method {about.compress_type}, which cannot be unpacked here: unpack "
            "it and give the folder"
        )
    packed = copy(about)  # the same bytes, as they are stored
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, about.compress_size
    packed.CRC = None  # type: ignore[assignment]  # of the unpacked bytes, which `_Unpacker` checks
    return io.BufferedReader(_Unpacker(archive.open(packed), about), PIECE_BYTES)


class _Unpacker(io.RawIOBase):
    """The content of a member packed by bzip2 or LZMA; never more of it than is read."""

    def __init__(self, packed: IO[bytes], about: zipfile.ZipInfo) -> None:
        self._packed, self._about = packed, about
        self._begin()

    def _begin(self) -> None:
        self._at = self._crc = 0
        self._packed.seek(0)
        self._fed = b""
        self._engine: bz2.BZ2Decompressor | lzma.LZMADecompressor
        if self._about.compress_type == zipfile.ZIP_BZIP2:
            self._engine = bz2.BZ2Decompressor()
        else:  # the same stream as in a file of the old format .lzma, but for its head
            _, length = _LZMA_HEAD.unpack(self._packed.read(_LZMA_HEAD.size).ljust(4, b"\0"))
            if length != _LZMA_PROPERTIES:
                raise InputError("is damaged: its LZMA properties cannot be read")
            ends = self._about.flag_bits & _LZMA_ENDS
            size = _SIZE_UNKNOWN if ends else self._about.file_size
            self._fed = self._packed.read(length) + size.to_bytes(8, "little")
            self._engine = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MOST_MEMORY)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Return to the beginning, or tell the position; nothing else is needed."""
        if (offset, whence) == (0, os.SEEK_SET):
            self._begin()
        elif (offset, whence) != (0, os.SEEK_CUR):
            raise io.UnsupportedOperation("seek")
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Unpack into a buffer; raise `InputError` if the content is not what the zip states."""
        most = min(len(buffer), self._about.file_size - self._at)
        data = self._piece(most) if most else b""
        buffer[: len(data)] = data
        self._at += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._at == self._about.file_size and self._crc != self._about.CRC:
            raise InputError("is damaged: its checksum is wrong")
        return len(data)

    def _piece(self, most: int) -> bytes:
        while not self._engine.eof:
            if not self._fed and self._engine.needs_input:
                self._fed = self._packed.read(PIECE_BYTES)
                if not self._fed:
                    break
            try:
                data = self._engine.decompress(self._fed, most)
            except (lzma.LZMAError, MemoryError) as error:
                raise InputError(f"cannot be unpacked: {error}") from error
            self._fed = b""
            if data:
                return data
        raise InputError("is damaged: it ends too early")

    def close(self) -> None:
        self._packed.close()
        super().close()


CHUNK_BYTES = 1 << 18
LONGEST_VALUE = 1 << 24  # characters of a value in an array; a Last.fm page has 200,000
LONGEST_LINE = 1 << 22  # bytes of a line
LONGEST_TOKEN = 32  # characters of a number or word that the end of the window may cut
LONGEST_GAP = 1 << 12  # characters between two objects, where damage is skipped
MOST_AGAIN = 1 << 24  # characters that may be parsed in vain, so that less of the text is lost
DROPPED = 1 << 14  # characters; errors of the parser count the lines before them
AFTER_NUMBER = tuple(" \t\r\n,]")
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"\}\s*,\s*(?=\{)")
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING_OR_ARRAY = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|\[', re.DOTALL)


class Broken(NamedTuple):
    """A part of a file that is not valid JSON: the reason, and the beginning of the part."""

    reason: str
    content: str


def array_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each element of the first array in a JSON text.

    A damaged part is yielded as `Broken`, up to the next apparent start of an object (between
    ``}`` and ``{``), or else up to the end of the file.

    The standard library parses each value; only the brackets and commas between them are handled
    here. (A pull parser such as ijson would raise an error for a truncated file instead of yielding
    all complete values.) Time grows with the length of a text alone, and memory with its longest
    value, however it is broken.
    """
    text = _Text(file)
    if not _find_array(text):
        yield 1, Broken("holds no JSON array", text.beginning())
        return
    row, is_sure = 0, True
    while True:
        row += 1
        next_letter = text.letter()
        if next_letter == "]":
            rest = text.behind_end()
            # A comma is followed by other keys of the object that contains the list.
            if rest and not (is_sure and rest.startswith(",")):
                yield row, Broken("is damaged, and goes on behind the end of a list", rest)
            return
        if next_letter == "," and row > 1:
            text.skip(1)
            next_letter = text.letter()
        if not next_letter:
            yield row, Broken("is cut off", "")
            return
        result, parsed = _value(text)
        if not isinstance(result, Broken):
            yield row, result
            if text.letter() in (",", "]", ""):
                continue
            row, result = row + 1, Broken("is no JSON", "")
        lost, goes_on = text.skip_damage(parsed)
        yield row, Broken(result.reason, lost)
        if not goes_on:
            return
        is_sure = False


def line_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each line; `Broken` for a line that is not JSON."""
    row = 0
    while line := file.readline(LONGEST_LINE + 1):
        row += 1
        if len(line) > LONGEST_LINE:
            yield row, Broken(f"is longer than {LONGEST_LINE} bytes", _shown(line))
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            continue
        if not line.strip():
            continue
        try:
            result = json.loads(line)
        except (ValueError, RecursionError):
            result = Broken("is no JSON", _shown(line))
        yield row, result


def is_lines(head: bytes) -> bool:
    """Return whether a file with this beginning has one JSON object per line."""
    first, there, _rest = head.partition(b"\n")
    if not there:
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _shown(line: bytes) -> str:
    return line[:LONGEST_KEPT].decode("utf-8", "backslashreplace")


class _Text:
    """Window on a text file: `held` from `at` on, extended on demand."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = getincrementaldecoder("utf-8-sig")("backslashreplace")
        self._is_over = False
        self._again = MOST_AGAIN
        self.held, self.at = "", 0

    @property
    def length(self) -> int:
        """Number of characters in the window."""
        return len(self.held) - self.at

    def more(self) -> bool:
        """Extend the window to twice its length; return False if there is nothing more.

        A long value is thus parsed a few times, not again for every chunk.
        """
        before, parts = self.length, [self.held[self.at :]]
        length = before
        while length <= 2 * before and not self._is_over:
            data = self._file.read(CHUNK_BYTES)
            self._is_over = not data
            parts.append(self._decoder.decode(data, final=not data))
            length += len(parts[-1])
        if length > before:
            self.held, self.at = "".join(parts), 0
        return length > before

    def skip(self, letters: int) -> None:
        """Move the beginning of the window."""
        self.at += letters
        if self.at > DROPPED:
            self.held, self.at = self.held[self.at :], 0

    def beginning(self) -> str:
        """Return the beginning of the window, as much as is stored of a rejected row."""
        return self.held[self.at : self.at + LONGEST_KEPT]

    def behind_end(self) -> str:
        """Skip the bracket that ends a list, and enclosing brackets; return what follows."""
        self.skip(1)
        while self.letter() in ("]", "}") and self.length:
            self.skip(1)
        return self.beginning()

    def letter(self) -> str:
        """Skip white space and return the next character without consuming it; "" at the end."""
        while True:
            blank = _BLANK.match(self.held, self.at)
            self.skip(len(blank[0]) if blank else 0)
            if self.length or not self.more():
                return self.held[self.at : self.at + 1]

    def skip_damage(self, parsed: int) -> tuple[str, bool]:
        """Skip to the next object; return the beginning of what is lost, and whether there is one.

        It is looked for from the start of the damage. Once too much has been parsed in vain, it is
        looked for behind the `parsed` characters instead.
        """
        self._again -= parsed
        lost, shown = 0, self.beginning()
        start = self.at + (parsed if self._again < 0 else 0)
        while (result := _BETWEEN.search(self.held, start)) is None:
            end = max(start, len(self.held) - LONGEST_GAP)
            lost, self.at = lost + end - self.at, end
            if not self.more():
                return shown, False
            start = self.at
        shown = shown[: lost + result.start() + 1 - self.at]
        self.skip(result.end() - self.at)
        return shown, True


def _find_array(text: _Text) -> bool:
    """Advance past the opening bracket of the first array; return False if there is none."""
    while True:
        end = len(text.held)
        for result in _STRING_OR_ARRAY.finditer(text.held, text.at):
            if result[0] == "[":
                text.skip(result.end() - text.at)
                return True
            if not result[1]:  # the string continues beyond the window
                end = result.start()
                break
        text.at = end
        if text.length > LONGEST_VALUE or not text.more():
            return False


def _value(text: _Text) -> tuple[Any, int]:
    """Return the next value, or a `Broken` and the number of characters parsed in vain."""
    while True:
        held, at = text.held, text.at
        try:
            value, end = _DECODER.raw_decode(held, at)
        except json.JSONDecodeError as error:
            is_string = error.msg.startswith("Unterminated string")
            if is_string or error.pos > len(held) - LONGEST_TOKEN:
                if text.length > LONGEST_VALUE:
                    reason = f"has a value longer than {LONGEST_VALUE} letters"
                    return Broken(reason, ""), text.length
                if text.more():
                    continue
            parsed = text.length if is_string else error.pos - at
            return Broken("is cut off or no JSON", ""), parsed
        except RecursionError:
            return Broken("is nested too deeply", ""), text.length
        except ValueError:
            return Broken("has a number with too many digits", ""), text.length
        # A number may continue beyond the window: 0, then .5
        is_open = isinstance(value, (int, float)) and held[end : end + 1] not in AFTER_NUMBER
        if is_open and end > len(held) - LONGEST_TOKEN and text.more():
            continue
        text.skip(end - at)
        return value, 0


NO_DATABASE = "cannot be read"
MAGIC = b"SQLite format 3\0"
LONGEST_CELL = 1 << 20  # bytes


class ServerDatabase:
    """An open SQLite database with access to its plain tables.

    A view or virtual table of the same name could run arbitrary code.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        result = connection.execute("SELECT name, type, sql FROM main.sqlite_master")
        self._plain = {
            name
            for name, kind, sql in result
            if kind == "table" and "VIRTUAL" not in str(sql).upper()[:32]
        }

    def columns(self, table: str) -> frozenset[str]:
        """Return the column names of a plain table in lower case; empty if it does not exist."""
        if table not in self._plain:
            return frozenset()
        quoted = table.replace('"', '""')
        result = self._connection.execute(f'PRAGMA main.table_info("{quoted}")')
        return frozenset(row[1].lower() for row in result)

    def rows(self, query: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of a trusted query; column names are case-insensitive."""
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
