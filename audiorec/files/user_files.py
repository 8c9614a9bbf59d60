"""Read what users give: lists, settings, small tables in CSV and Parquet, folders of songs.

    songs.txt      ──read_lines──▶    list of strings, one per line
    labels.csv     ──csv_rows──▶      iterator over rows of strings; `table_rows`: or Parquet
    users.parquet  ──read_table──▶    a `pyarrow.Table` of the wanted columns, from Parquet or CSV
    audiorec.toml  ──read_settings──▶ one of its tables ──from_table──▶ a dataclass
    "/music/a.mp3" ──split_below──▶   root, ["a.mp3"]  ──open_below──▶  a descriptor of the file

It must be a file or a pipe, texts must be UTF-8, and column names unique. Every problem raises an
`InputError` with a one-line message that names the file.
"""

import codecs
import csv
import errno
import gzip
import io
import json
import os
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import IO, Any, Literal, TextIO, TypeVar, Union, get_args, get_origin, get_type_hints

from audiorec.errors import DamagedFileError, InputError, MissingFileError, StoreError
from audiorec.files.visible import visible

CSV_ENDS = (".csv", ".csv.gz")
NAMED_COLUMNS = 20  # in a message
LONGEST_NAME, LONGEST_NAMES = 40, 300  # characters in a message, of one name and of all


def read_lines(source: str, failure: str, *, errors: str = "strict") -> list[str]:
    """Read a list with one entry per line; only line feeds end a line.

    Parameters
    ----------
    source : str
        A path, or ``-`` for stdin.
    failure : str
        Text for error messages, such as ``cannot read the list``.
    errors : str
        Handling of bytes that are not UTF-8, as for `open`.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with input_errors(source, failure):
        if source == "-":
            return [_bare(line) for line in _stdin(errors)]
        refuse_devices(Path(source))
        with Path(source).open(encoding="utf-8-sig", errors=errors, newline="\n") as file:
            return [_bare(line) for line in file]


def read_text(path: Path, failure: str) -> str:
    """Read a settings file in UTF-8."""
    with input_errors(path, failure):
        refuse_devices(path)
        return path.read_text("utf-8")


def csv_rows(
    path: str | Path, failure: str, *, needed: Sequence[str] = ()
) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a CSV or ``.tsv`` file as mappings of column name to string.

    A row shorter than the header lacks the last columns; the extra cells of a longer row are
    dropped. The columns in `needed` must occur exactly once in the header.
    """
    with input_errors(path, failure):
        refuse_devices(Path(path))
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            yield from csv_table(path, failure, needed=needed, file=file)[1]


def csv_table(
    path: str | Path, failure: str, *, file: TextIO, needed: Sequence[str] = ()
) -> tuple[list[str], Iterator[Mapping[str, str]]]:
    """Return the column names of an open CSV, and its rows as `csv_rows` yields them.

    `path` is used in messages, and its suffix ``.tsv`` means tab-separated; `file` must be opened
    with ``newline=""``.
    """
    delimiter = "\t" if str(path).lower().endswith(".tsv") else ","
    reader = csv.reader(file, delimiter=delimiter)
    with input_errors(path, failure):
        names = next(reader, [])
        _check_columns(needed, needed, names)

    def rows() -> Iterator[Mapping[str, str]]:
        # Not csv.DictReader, which pads short rows: very slow with ten thousand columns.
        with input_errors(path, failure):
            try:
                yield from (dict(zip(names, row, strict=False)) for row in reader if row)
            except csv.Error as error:
                raise InputError(f"line {reader.line_num}: {error}") from error

    return names, rows()


def table_rows(
    path: Path, failure: str, *, needed: Sequence[str], wanted: Sequence[str] = ()
) -> Iterator[Mapping[str, str | None]]:
    """Yield the rows of a ``.parquet`` file, or otherwise a CSV, as strings; see `csv_rows`."""
    if path.suffix.lower() != ".parquet":
        return csv_rows(path, failure, needed=needed)
    table = read_table(path, failure, needed=needed, wanted=wanted, texts=True)
    return iter(table.to_pylist())


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file, decompressed if its name ends in ``.gz``."""
    opened: IO[bytes]
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as opened:  # type: ignore[assignment]
        yield opened


def check_csv_header(path: Path, failure: str) -> list[str]:
    """Return the column names of a CSV or ``.csv.gz``, before another reader opens it."""
    with input_errors(path, failure):
        refuse_devices(path)
        if path.is_fifo():
            raise InputError("is a pipe, but must be read twice; give a file")
        with open_unpacked(path) as raw:
            file = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            return next(csv.reader(file), [])


class Utf8(io.RawIOBase):
    """Binary file wrapper that checks UTF-8, for readers that handle invalid bytes otherwise."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._lines = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes; raise `InputError` with the line number if they are not UTF-8."""
        data = self._file.read(size)
        try:
            self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._lines + data[: error.start].count(b"\n") + 1
            raise InputError(f"is not UTF-8 in line {line}") from error
        self._lines += data.count(b"\n")
        return data

    def readable(self) -> bool:
        """Return True."""
        return True


def read_table(
    path: Path,
    failure: str,
    *,
    needed: Sequence[str] = (),
    wanted: Sequence[str] | None = (),
    texts: bool = False,
    types: Mapping[str, Any] | None = None,
    null_values: Sequence[str] | None = None,
) -> Any:
    """Read columns of a small table: CSV if its name ends in ``.csv`` or ``.csv.gz``, else Parquet.

    The columns in `needed` must exist; those in `wanted` (None: all) are read if they exist.
    With `texts`, numbers, dates and so on become strings, as in a CSV. For a CSV, `types` gives
    the types of columns that are not inferred, and `null_values` the strings read as null, by
    default Arrow's list.
    """
    import pyarrow as pa
    import pyarrow.csv

    from audiorec.files.arrow import open_parquet

    is_csv = path.name.lower().endswith(CSV_ENDS)
    names = column_names(path, failure)
    columns = [n for n in names if wanted is None or n in wanted or n in needed]
    with input_errors(path, failure):
        _check_columns(columns, needed, names)
        if is_csv:
            of_text = dict.fromkeys(columns, pa.string()) if texts else {}
            options: dict[str, Any] = {} if null_values is None else {"null_values": null_values}
            convert = pa.csv.ConvertOptions(
                column_types={**of_text, **(types or {})},
                include_columns=columns,
                strings_can_be_null=not texts,
                **options,
            )
            table = pa.csv.read_csv(path, convert_options=convert)
        else:
            with open_parquet(path) as file:
                table = file.read(columns=columns)
            if texts:
                table = table.cast(pa.schema([(n, pa.string()) for n in table.column_names]))
        table.validate(full=True)
        return table


def column_names(path: Path, failure: str) -> list[str]:
    """Return the column names of a CSV or Parquet table without reading its rows."""
    if path.name.lower().endswith(CSV_ENDS):
        return check_csv_header(path, failure)
    from audiorec.files.arrow import read_schema

    with input_errors(path, failure):
        refuse_devices(path)
        return read_schema(path).names


def refuse_devices(path: Path) -> None:
    """Refuse anything but a file or a pipe: a folder, a socket, a device, which may be endless."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise InputError("is neither a file nor a pipe")


@contextmanager
def input_errors(path: object, failure: str) -> Iterator[None]:
    """Convert errors while reading a user's file to an `InputError` that names the file."""
    import pyarrow as pa

    try:
        yield
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path}: {failure}: it contains text that is not UTF-8") from error
    except (StoreError, InputError) as error:
        kind = MissingFileError if isinstance(error, FileNotFoundError) else DamagedFileError
        text = str(error)
        raise kind(
            text if text.startswith(f"{path}: ") else f"{path}: {failure}: {text}"
        ) from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: {failure}: no such file") from error
    except (OSError, EOFError, csv.Error, zlib.error, pa.ArrowException, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        first_line = reason.split("\n", 1)[0]
        raise DamagedFileError(f"{path}: {failure}: {first_line}") from error


def _stdin(errors: str) -> TextIO:
    buffer = getattr(sys.stdin, "buffer", None)  # missing if stdin was replaced, as in tests
    if buffer is None:
        return sys.stdin
    return open(buffer.fileno(), encoding="utf-8-sig", errors=errors, newline="\n", closefd=False)


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def column_list(names: Sequence[str]) -> str:
    """Format column names for a message: at most 20 of them, long ones truncated."""
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:NAMED_COLUMNS])
    return visible(shown[:LONGEST_NAMES])


def _check_columns(columns: Sequence[str], needed: Sequence[str], names: Sequence[str]) -> None:
    """Check that `needed` columns exist and `columns` are unique among `names`."""
    counts = Counter(names)
    missing = [name for name in needed if name not in counts]
    if missing:
        raise InputError(
            f"has no column {' and '.join(sorted(missing))}; it has {column_list(names)}"
        )
    twice = [name for name in columns if counts[name] > 1]
    if twice:
        raise InputError(f"the column {twice[0]!r} is duplicated")


TABLES = ("library", "recall", "federated", "players")
T = TypeVar("T")


def read_settings(path: Path, table: str) -> Mapping[str, Any]:
    """Return one table of a settings file.

    Raises
    ------
    InputError
        If the file is missing, not TOML, lacks the table, or has an unknown one.
    """
    import tomllib  # what most commands do not need

    text = read_text(path, "cannot read the settings")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    unknown = [name for name in content if name not in TABLES]
    if unknown:
        raise InputError(f"{path}: unknown table {unknown[0]!r}; there are: {', '.join(TABLES)}")
    settings = content.get(table)
    if not isinstance(settings, Mapping):
        raise InputError(f"{path}: has no table [{table}]")
    return settings


def from_table(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from the keys of a table; missing keys keep their defaults.

    Raises
    ------
    InputError
        If a key is unknown, a value has the wrong type, or the dataclass refuses it; the message
        begins with `where`.
    """
    try:
        return kind(**{name: as_field_type(kind, name, value) for name, value in content.items()})
    except (InputError, TypeError) as error:  # a field without a default may be missing
        raise InputError(f"{where}: {error}") from error


def as_field_type(kind: type, name: str, value: Any) -> Any:
    """Convert a value to the type of a dataclass field; lists become tuples.

    Raises
    ------
    InputError
        If there is no such field, or the value has the wrong type.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Recipe:
    ...     rate: float = 0.1
    ...     hidden: tuple[int, ...] = ()
    >>> as_field_type(Recipe, "rate", 1), as_field_type(Recipe, "hidden", [8, 4])
    (1.0, (8, 4))
    """
    known = {field.name for field in fields(kind)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"unknown setting {name!r}; there are: {names}")
    return as_type(get_type_hints(kind)[name], name, value)


WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}
WORDS |= {str: "text"} | {kind | None: words for kind, words in WORDS.items()}


def as_type(wanted: Any, name: str, value: Any) -> Any:
    """Convert a value to a given type; lists become tuples, and strings paths where needed.

    Raises
    ------
    InputError
        If it has the wrong type; the message begins with `name`.

    Examples
    --------
    >>> as_type(float | None, "rate", 1), as_type(list[str], "name", ["a"])
    (1.0, ('a',))
    """
    read = _as_tuples(value)
    if isinstance(read, int) and not isinstance(read, bool) and not _takes(wanted, read):
        read = float(read)
    if isinstance(read, tuple) and _takes(wanted, tuple(map(_as_float, read))):
        read = read if _takes(wanted, read) else tuple(map(_as_float, read))
    if not _takes(wanted, read):
        read = _as_paths(read) if _takes(wanted, _as_paths(read)) else read
    if not _takes(wanted, read):
        choices = get_args(wanted) if get_origin(wanted) is Literal else ()
        if choices:
            raise InputError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
        shown = WORDS.get(wanted) or str(wanted).replace("typing.", "")
        raise InputError(f"{name} must be {shown}, got {value!r}")
    return read


def parse_value(text: str) -> Any:
    """Parse the value of a setting on the command line: JSON if valid, otherwise the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _as_paths(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_paths, value))
    return Path(value) if isinstance(value, str) else value


def _as_float(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_float, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _takes(wanted: Any, value: Any) -> bool:
    """Return whether a value matches the type `wanted`."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return value in arguments
    if origin in (Union, UnionType):
        return any(_takes(one, value) for one in arguments)
    if origin in (tuple, list):
        return isinstance(value, tuple) and all(_takes(arguments[0], part) for part in value)
    if isinstance(wanted, type) and issubclass(wanted, Path):
        return isinstance(value, Path)
    return type(value) is (origin or wanted) or (
        isinstance(value, Mapping) and origin is not None and issubclass(origin, Mapping)
    )


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
BY_DESCRIPTOR = os.open in os.supports_dir_fd  # not on Windows


def split_below(roots: Sequence[str], path: str) -> tuple[str, list[str]] | None:
    """Split a path into the root that it lies below and the remaining components.

    Parameters
    ----------
    roots : sequence of str
        Absolute paths.
    path : str
        As stored; the file system is not accessed.

    Returns
    -------
    found : (str, list of str) or None
        None for a relative path, a URI, a path with ``..``, or one outside all roots.

    Examples
    --------
    >>> split_below(["/music"], "/music/a/b.mp3")
    ('/music', ['a', 'b.mp3'])
    >>> split_below(["/music"], "/music/../etc/passwd") is None
    True
    """
    if "\0" in path or "://" in path or not Path(path).is_absolute():
        return None
    for root in roots:
        below = path.removeprefix(root.rstrip(os.sep) + os.sep)
        parts = below.split(os.sep)  # noqa: PTH206 - dots are not dropped
        if below != path and all(part not in ("", os.curdir, os.pardir) for part in parts):
            return root, parts
    return None


def open_below(root: str, parts: Sequence[str]) -> int:
    """Open a file for reading; raise `OSError` if any component is a link.

    A path from a store or another file may point anywhere. It is opened component by component, so
    that no path leads out of the folders that the user has allowed.
    """
    with folder_below(root, parts[:-1]) as folder:
        if folder is not None:
            return os.open(parts[-1], os.O_RDONLY | _BINARY | _FLAGS, dir_fd=folder)
    place = os.path.join(root, *parts)  # noqa: PTH118
    _refuse_links(root, parts)
    return os.open(place, os.O_RDONLY | _BINARY | _FLAGS)


@contextmanager
def folder_below(root: str, parts: Sequence[str]) -> Iterator[int | None]:
    """Yield a descriptor of a folder for use as ``dir_fd``; `OSError` if a component is a link.

    Yields None on systems without ``dir_fd`` (Windows), after checking the path for links.
    """
    if not BY_DESCRIPTOR:
        _refuse_links(root, parts)
        yield None
        return
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | _FOLDER | _FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _refuse_links(root: str, parts: Sequence[str]) -> None:
    place = os.path.join(root, *parts)  # noqa: PTH118
    if os.path.realpath(place) != os.path.join(os.path.realpath(root), *parts):  # noqa: PTH118
        raise OSError(errno.ELOOP, "is a link")
