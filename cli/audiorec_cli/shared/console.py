"""Output of commands: data and tables on stdout, messages on stderr, exit codes.

    columns, rows ──print_table──▶ aligned in a terminal (`draw`), tab-separated in a pipe
    error ──exit_code──▶ `Exit`, the same in every command (docs/reference/runs.md)
    stdout, stderr ──guard_streams──▶ `Guarded`: errors of the streams do not end a command

All text passes through `audiorec.files.visible`: names, tags and table cells cannot break a line, a
column, a JSON document or the terminal.
"""

import errno
import io
import os
import re
import select
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from errno import EACCES, ENOTDIR, EPERM, EROFS
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from audiorec.errors import (
    AudiorecError,
    ChannelFailedError,
    DamagedFileError,
    LostBlocksError,
    LostProcessError,
    PeerError,
    PlayerError,
    SongError,
    StoreError,
    WeightsError,
)
from audiorec.files import visible as plain
from audiorec.files.own_files import NO_ROOM, write_errors
from audiorec.files.visible import clock, visible_lines

if TYPE_CHECKING:
    from rich.console import Console


def visible(text: str) -> str:
    """Return a text as one line without control characters; see `audiorec.files.visible`.

    A remote file is read from a local copy; messages about the copy name the URI that the user
    gave.
    """
    return plain.visible(_named(text))


def visible_json(document: Any, *, indent: int | None = None) -> str:
    """Return JSON without control characters; see `audiorec.files.visible`."""
    return _named(plain.visible_json(document, indent=indent))


def _named(text: str) -> str:
    copies = sys.modules.get("audiorec.files.copies")  # not imported: there are no copies
    return text if copies is None else str(copies.with_shown_names(text))


GAP = "  "
DIGITS = 2  # decimals of a float on a terminal
FLOORS = (14, 28, 8, 16)  # least widths of texts, ids, texts, ids in four rounds of shrinking
WORD = 14  # longer words of a text may be broken
LOW, HIGH = 0.2, 0.8  # shares below are faint, above green
_BREAKS = re.compile(r"[^ _/-]*[ _/-]*")  # pieces after which a line may break
_NUMBER = re.compile(r"-?\d+(:\d\d)*(\.\d+)?")  # durations as well
_IDS = re.compile(r"(.*_)?(song|id|user|file)")
BOLD, FAINT, GREEN, CYAN = 1, 2, 32, 36


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in a pipe, and its label and layout on a terminal.

    `width` and `word` are the expected widths of the column and of its longest word; 0 measures all
    rows first. `right` marks a column of numbers if the width is given.
    """

    name: str
    label: str = ""
    width: int = 0
    word: int = 0
    right: bool = False
    shown: bool = True  # on a terminal; a pipe gets every column

    @property
    def heading(self) -> str:
        """The heading on a terminal."""
        return visible(self.label or self.name)

    @property
    def is_id(self) -> bool:
        """Whether it contains ids or file names, which users may retype."""
        return _IDS.fullmatch(self.name) is not None


def column(name: str | Column) -> Column:
    """Return a `Column` for a column or its name."""
    return name if isinstance(name, Column) else Column(name)


def text(value: object, digits: int) -> str:
    """Return a value as one escaped line; None is empty."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" if isinstance(value, float) else visible(str(value))


def draw(
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    width: int,
    digits: int = DIGITS,
    colour: bool = False,
) -> Iterator[str]:
    """Yield the lines of a table, `width` cells wide at most.

    Headings break between words, ids fold last. Numbers are right-aligned with two decimals; a
    column that is empty in all rows is left out. Rows are streamed if every column gives its
    expected width.
    """
    places = [n for n, c in enumerate(columns) if c.shown]
    if not all(columns[n].width for n in places):
        rows = list(rows)
        places = [n for n in places if not rows or any(r[n] not in (None, "") for r in rows)]
        columns = [_measured(c, n, rows, digits) for n, c in enumerate(columns)]
    shown = [columns[n] for n in places]
    layout = _Layout(shown, _widths(shown, width), digits, colour)
    yield from layout.lines([c.heading for c in shown], is_header=True)
    for row in rows:
        yield from layout.lines([row[n] for n in places])


def _measured(about: Column, place: int, rows: Sequence[Sequence[object]], digits: int) -> Column:
    values = [row[place] for row in rows if row[place] not in (None, "")]
    cells = [text(value, digits) for value in values]
    return Column(
        about.name,
        about.label,
        width=max([1, *map(_length, cells)]),
        word=max([1, *(_length(p.rstrip()) for one in cells for p in _pieces(one))]),
        right=bool(values) and all(map(_is_number, values)),
        shown=about.shown,
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: Sequence[Column]
    widths: Sequence[int]
    digits: int
    colour: bool

    def lines(self, values: Sequence[object], *, is_header: bool = False) -> Iterator[str]:
        """Yield the lines of a row, with folded cells side by side."""
        cells = [
            fold(text(value, self.digits), width)
            for value, width in zip(values, self.widths, strict=True)
        ]
        codes = [
            self._paint(about, value, is_header=is_header)
            for about, value in zip(self.columns, values, strict=True)
        ]
        for n in range(max(map(len, cells), default=0)):
            pieces = [lines[n] if n < len(lines) else "" for lines in cells]
            yield GAP.join(map(_padded, pieces, self.widths, self.columns, codes)).rstrip()

    def _paint(self, about: Column, value: object, *, is_header: bool) -> int:
        if is_header or not self.colour:
            return BOLD * self.colour
        if isinstance(value, float) and 0 <= value <= 1:
            return GREEN if value >= HIGH else FAINT if value < LOW else 0
        return CYAN if about.is_id else 0


def _padded(piece: str, width: int, about: Column, code: int) -> str:
    space = " " * (width - _length(piece))
    painted = f"\033[{code}m{piece}\033[0m" if code and piece else piece
    return space + painted if about.right else painted + space


def _widths(columns: Sequence[Column], total: int) -> list[int]:
    """Distribute the width: fold headings first, then texts, then ids, then everything."""
    heads = [max(map(_length, _pieces(c.heading)), default=1) for c in columns]
    room = total - len(GAP) * (len(columns) - 1)
    widths = [max(_length(c.heading), c.width) for c in columns]
    if sum(widths) > room:
        widths = [max(n, c.width) for n, c in zip(heads, columns, strict=True)]
    texts = [n for n, c in enumerate(columns) if not (c.right or c.is_id)]
    ids = [n for n, c in enumerate(columns) if c.is_id and not c.right]
    words = [max(n, min(c.word, WORD)) for n, c in zip(heads, columns, strict=True)]
    for places, floor in zip((texts, ids) * 2, FLOORS, strict=True):
        least = words if places is texts else heads
        _shrink(widths, places, room, [max(n, floor) for n in least])
    _shrink(widths, texts + ids, room, heads)
    _shrink(widths, range(len(columns)), room, [1] * len(columns))
    return widths


def _shrink(widths: list[int], places: Iterable[int], room: int, floors: Sequence[int]) -> None:
    """Shrink the widest of the given columns, down to their floors, until all columns fit."""
    able = [n for n in places if widths[n] > floors[n]]
    while able and sum(widths) > room:
        widest = max(able, key=lambda n: (widths[n], n))
        widths[widest] -= 1
        if widths[widest] <= floors[widest]:
            able.remove(widest)


def fold(cell: str, width: int) -> list[str]:
    """Fold a text into lines: after a space or one of ``_/-`` if possible, else anywhere."""
    if cell.isascii() and len(cell) <= width:
        return [cell]
    lines, line = [], ""
    for piece in _pieces(cell):
        if _length(line + piece.rstrip()) > width and line:
            lines.append(line.rstrip())
            line = ""
        for letter in piece:
            if _length(line + letter) > width and letter != " ":
                lines.append(line.rstrip())
                line = ""
            line += letter
    return [*lines, line.rstrip()]


def _pieces(cell: str) -> list[str]:
    return [piece for piece in _BREAKS.findall(cell) if piece]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) or bool(_NUMBER.fullmatch(str(value)))


def _length(cell: str) -> int:
    """Return the width of a text in terminal cells; a Chinese character takes two."""
    if cell.isascii():
        return len(cell)
    from rich.cells import cell_len

    return cell_len(cell)


REFUSALS = (*NO_ROOM, EROFS, EACCES, EPERM, ENOTDIR)
NO_USE = (
    *(SongError, StoreError, WeightsError, DamagedFileError),
    *(PeerError, PlayerError, LostProcessError, ChannelFailedError),
)
FIGURE_DIGITS = 3  # decimals of a float in a pipe, or of an evaluation figure


class Exit(IntEnum):
    """Exit code of the process; 1 is a bug."""

    OK = 0
    USAGE = 2  # an invalid option, an unknown id, a missing file
    SOME_FAILED = 3
    NOTHING_USABLE = 4  # a damaged file, a file of the wrong kind, no songs
    TOO_MANY_FAILURES = 5
    OUTPUT_LOST = 6  # the work is done, but stdout could not be written
    INTERRUPTED = 130


def exit_code(error: AudiorecError) -> Exit:
    """Return the exit code for an error."""
    if isinstance(error, FileNotFoundError):
        return Exit.USAGE
    if isinstance(error, LostBlocksError):
        return Exit.SOME_FAILED
    return Exit.NOTHING_USABLE if isinstance(error, NO_USE) else Exit.USAGE


@contextmanager
def system_errors(output: str = "the output") -> Iterator[None]:
    """Turn what the system refuses, such as space on a full disk, into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, AudiorecError) or error.errno not in REFUSALS:
            raise
        place = error.filename or output
        if error.errno in NO_ROOM:
            with write_errors(place):
                raise
        raise StoreError(f"{place}: {os.strerror(error.errno).lower()}") from error


_options: dict[str, str] = {}  # of the command that runs: its options by the names in Python


def name_options(options: Mapping[str, str]) -> None:
    """Say how the arguments that remarks name are called on the command line."""
    _options.clear()
    _options.update(options)


def as_options(text: str) -> str:
    """Return a remark of the library for the command line: `` `time_column` `` is --time-column.

    A value stays with its name: `` `also=copies` `` is --also copies. Names that the command does
    not have stay as they are.
    """

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in _options:
            return match[0]
        return f"{_options[name]} {value}" if value else _options[name]

    return ARGUMENT.sub(option, text)


ARGUMENT = re.compile(r"`([a-z]\w*)(?:=([^`]+))?`")
_held: list[str] | None = None  # remarks of a table that is being printed


def say(remark: str) -> None:
    """Print one line on stderr: behind what was printed before it, and never inside a table."""
    line = visible(as_options(remark))
    if _held is not None:
        _held.append(line)
        return
    # Where both streams are one pipe, rows in the buffer would come behind later remarks.
    with suppress(RuntimeError):  # a signal arrived while stdout was being written
        sys.stdout.flush()
    print(line, file=sys.stderr)


@contextmanager
def remarks_behind() -> Iterator[None]:
    """Hold back remarks until a table is complete."""
    global _held
    if _held is not None:
        yield
        return
    held: list[str] = []
    _held = held
    try:
        yield
    finally:
        _held = None
        for line in held:
            say(line)


def no_songs() -> click.exceptions.Exit:
    """Say that no songs were found; return the exception to raise."""
    say("error: no songs found: no file there looks like audio")
    return click.exceptions.Exit(Exit.NOTHING_USABLE)


def out(*cells: object) -> None:
    """Print one line of data on stdout, values separated by tabs."""
    print("\t".join(map(cell, cells)))


def flush() -> None:
    """Flush stdout; see `streams` for a closed pipe."""
    sys.stdout.flush()


def out_lines(lines: str) -> None:
    """Print several lines on stdout."""
    for line in lines.split("\n"):
        out(line)


def out_folded(line: str) -> None:
    """Print one line on stdout, folded to the width of a terminal if stdout is one."""
    width = shutil.get_terminal_size().columns
    first, *rest = fold(cell(line), width - 2) if sys.stdout.isatty() else [cell(line)]
    print("\n  ".join([first, *rest]))


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout; its key ``schema`` names its schema and version."""
    print(visible_json(document, indent=2))


def print_json_lines(documents: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object per line."""
    for document in documents:
        print(visible_json(document))


def print_table(
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[object]],
    *,
    title: str,
    digits: int = DIGITS,
) -> None:
    """Print rows: an aligned table on a terminal, tab-separated values in a pipe.

    `digits` is the number of decimals of a float on a terminal. Rows are streamed in a pipe, and on
    a terminal if every column has a fixed width. Of no rows a terminal shows nothing. Remarks that
    are made while rows are computed come behind the table.
    """
    with remarks_behind():
        _print_table(columns, rows, title, digits)


def _print_table(
    columns: Sequence[str | Column], rows: Iterable[Sequence[object]], title: str, digits: int
) -> None:
    table = [column(one) for one in columns]
    if not sys.stdout.isatty():
        out(*(one.name for one in table))
        for row in rows:
            out(*row)
        return
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    paper, colour = drawn_on(sys.stdout), is_coloured(sys.stdout)
    width = shutil.get_terminal_size().columns
    heading = fold(visible(title), width)
    for line in (f"\033[3m{one}\033[0m" if colour else one for one in heading):
        print(line, file=paper)
    for line in draw(table, chain([first], rows), width=width, digits=digits, colour=colour):
        print(line, file=paper, flush=True)


def print_facts(facts: Mapping[str, object], *, title: str) -> None:
    """Print names and values as a table, without the key ``schema``."""
    rows = [(name, value) for name, value in facts.items() if name != "schema"]
    print_table(("what", "value"), rows, title=title, digits=FIGURE_DIGITS)


def print_document(document: Mapping[str, Any], *, json: bool, title: str) -> None:
    """Print one flat document as JSON or as a table."""
    if json:
        print_json(document)
    else:
        print_facts(document, title=title)


def is_coloured(stream: TextIO) -> bool:
    """Whether to colour a stream: it is a terminal, and the environment does not forbid it."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def stderr_console() -> "Console":
    """Return the rich console for progress on stderr."""
    from rich.console import Console

    return Console(file=drawn_on(sys.stderr), no_color=bool(os.environ.get("NO_COLOR")))


def drawn_on(stream: TextIO) -> TextIO:
    """Return the unescaped stream, for output that contains its own escape sequences."""
    return getattr(stream, "unguarded", stream)


def cell(value: object) -> str:
    """Return a value as one escaped line; floats have three decimals, None is empty."""
    return text(value, FIGURE_DIGITS)


def file_size(n_bytes: int) -> str:
    """Return a number of bytes as kB, MB or GB.

    Examples
    --------
    >>> file_size(20_400), file_size(3_400_000), file_size(12_000_000_000)
    ('20.4 kB', '3.4 MB', '12.0 GB')
    """
    if n_bytes < 100_000:
        return f"{n_bytes / 1e3:.1f} kB"
    megabytes = n_bytes / 1e6
    return f"{megabytes:.1f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def counted(count: int, one: str, more: str = "") -> str:
    """Return a number of things: ``1 song``, ``1,200 songs``; `more` if the plural is no -s."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def duration(seconds: float) -> str:
    """Return seconds as ``h:mm:ss`` or ``m:ss``."""
    return clock(seconds)


STANDARD = 3  # descriptors: stdin, stdout, stderr


class Guarded(io.TextIOWrapper):
    """A text stream that escapes control and bidirectional characters, and never fails.

    It writes to the file of `replaced`. `unguarded` writes there without escaping, for rich and
    help pages, which colour text on a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.replaced = stream  # kept alive: its destructor would close the file
        self.sink = Sink(getattr(stream.buffer, "raw", stream.buffer))
        # stderr is unbuffered: a buffered writer refuses reentrant writes, and a signal handler
        # may print during one.
        errors = stream is sys.stderr
        buffer: Any = self.sink if errors else io.BufferedWriter(self.sink)
        # Write-through, so that text of both wrappers stays in order.
        layout: dict[str, Any] = {
            "encoding": stream.encoding,
            "errors": "backslashreplace",
            "line_buffering": stream.isatty(),
            "write_through": True,
        }
        super().__init__(buffer, **layout)
        self.unguarded: TextIO = io.TextIOWrapper(buffer, **layout)

    def write(self, text: str, /) -> int:
        """Write text; return its length."""
        super().write(visible_lines(text))
        return len(text)


class Sink(io.RawIOBase):
    """Raw stream that drops all bytes after the first failed write; `lost` has the error."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all bytes or drop the rest; return the number of bytes given."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self.lost is None:
            try:
                sent: int | None = self._raw.write(rest)
            except OSError as error:
                self.lost = error
                break
            if sent is None:  # a full non-blocking pipe
                select.select([], [self._raw], [])
            rest = rest[sent or 0 :]
        return size

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._raw.isatty()


def guard_streams() -> None:
    """Replace the standard streams by guarded ones; call this before anything else.

    Streams that are already replaced, for example by a test, are left alone.

        2>&-        replaced by /dev/null, so that no file of the store gets descriptor 2
        | head -1   output that nobody reads is dropped
        >/dev/full  dropped as well; `lost_output` returns the reason, for the exit code

    A run commits its work before it reports, so an error in reporting must not undo or hide the
    work. Text that does not come from the commands themselves is escaped too, such as usage errors
    and tracebacks with file names.
    """
    _open_missing_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = Guarded(sys.stdout or _standing_in(1))
    if sys.stderr is sys.__stderr__:
        sys.stderr = Guarded(sys.stderr or _standing_in(2))


def lost_output() -> str | None:
    """Flush stdout; return why it could not be written, None if it was.

    A closed pipe also returns None: it is no error, since ``head`` ends this way.
    """
    sys.stdout.flush()
    lost = sys.stdout.sink.lost if isinstance(sys.stdout, Guarded) else None
    if lost is None or lost.errno == errno.EPIPE:
        return None
    return lost.strerror or str(lost)


def _open_missing_descriptors() -> None:
    """Open /dev/null for closed standard descriptors; child processes inherit it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < STANDARD:  # the lowest free descriptor
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _standing_in(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)
