"""Output of commands: data on stdout, messages on stderr, exit codes.

All text passes through `audiorec.files.visible`: names, tags and table cells cannot break a line, a
column, a JSON document or the terminal.

An error has the same exit code in every command (docs/reference/runs.md): only `exit_code` maps
errors to codes.

Errors of the standard streams do not end a command:

    2>&-        replaced by /dev/null, so that no file of the store gets descriptor 2
    | head -1   output that nobody reads is dropped
    >/dev/full  dropped as well; `lost_output` returns the reason, for the exit code

A run commits its work before it reports, so an error in reporting must not undo or hide the work:
the streams swallow it, once, for everything that prints. They also escape text that does not come
from the commands themselves, such as usage errors and tracebacks with file names.
"""

import errno
import io
import os
import select
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from errno import EACCES, ENOTDIR, EPERM, EROFS
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from audiorec.errors import (
    AudiorecError,
    DamagedFileError,
    LostBlocksError,
    LostProcessError,
    PeerError,
    PlayerError,
    SongError,
    StoreError,
    WeightsError,
)
from audiorec.files.own_files import NO_ROOM, write_errors
from audiorec.files.visible import visible_lines
from audiorec_cli.shared.table import (
    DIGITS,
    Column,
    column,
    draw,
    fold,
    text,
    visible,
    visible_json,
)

if TYPE_CHECKING:
    from rich.console import Console

REFUSALS = (*NO_ROOM, EROFS, EACCES, EPERM, ENOTDIR)
NO_USE = (
    *(SongError, StoreError, WeightsError, DamagedFileError),
    *(PeerError, PlayerError, LostProcessError),
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


def say(remark: str) -> None:
    """Print one line on stderr."""
    print(visible(remark), file=sys.stderr)


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
    a terminal if every column has a fixed width. Of no rows a terminal shows nothing.
    """
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
    from audiorec.files.visible import clock

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
