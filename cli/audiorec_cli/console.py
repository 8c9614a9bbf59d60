"""How every command speaks: data on stdout, everything else on stderr, exit codes.

Exit codes: 0 all good, 1 a bug, 2 usage, 3 finished but some songs failed, 4 nothing
usable, 5 stopped by --max-failures, 130 interrupted.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class Exit(IntEnum):
    """What the process returns."""

    OK = 0
    USAGE = 2
    SOME_FAILED = 3
    NOTHING_USABLE = 4
    TOO_MANY_FAILURES = 5
    INTERRUPTED = 130


def say(text: str) -> None:
    """Print one line of remark on stderr; a name in it cannot break the line or the terminal."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(printable(shown), file=sys.stderr)


def out(text: str) -> None:
    """Print one line of data on stdout; if its reader has gone away, that ends the command."""
    try:
        print(printable(text))
    except BrokenPipeError:  # here, because click would call it a failure
        os._exit(Exit.OK)


def flush() -> None:
    """Send what is left in the buffer, with the same regard for a reader that has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(Exit.OK)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout; its key ``schema`` names its form and version."""
    out(json.dumps(document, ensure_ascii=False, indent=2, default=str, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str) -> None:
    """Print rows: a drawn table for a person, tab-separated values for a pipe."""
    if not sys.stdout.isatty():
        out("\t".join(columns))
        for row in rows:
            out("\t".join(cell(value) for value in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:  # folded, not cut: an id has to be whole to be typed
        table.add_column(column, overflow="fold")
    for row in rows:  # as Text: a title may hold square brackets
        table.add_row(*(Text(cell(value)) for value in row))
    Console().print(table)


def stderr_console() -> "Console":
    """Return the rich console that progress is drawn on."""
    from rich.console import Console

    return Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))


def cell(value: object) -> str:
    """Return a value as one line of text without tabs or control characters."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "".join(c if c.isprintable() else " " for c in str(value))


def printable(text: str) -> str:
    """Return text that the terminal's encoding can show."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def file_size(n_bytes: int) -> str:
    """Return bytes as kB, MB or GB.

    Examples
    --------
    >>> file_size(20_400), file_size(3_400_000), file_size(12_000_000_000)
    ('20.4 kB', '3.4 MB', '12.0 GB')
    """
    if n_bytes < 100_000:
        return f"{n_bytes / 1e3:.1f} kB"
    megabytes = n_bytes / 1e6
    return f"{megabytes:.1f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def duration(seconds: float) -> str:
    """Return seconds as ``h:mm:ss`` or ``m:ss``.

    Examples
    --------
    >>> duration(75), duration(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
