"""How close the songs of a list are to others, and why: columns of its table, lines below it."""

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiorec_cli.shared.console import cell, out, print_table
from audiorec_cli.shared.table import fold

if TYPE_CHECKING:
    from audiorec.playlists.beside import Beside

CLOSER = "closer_than"  # "closer" on a terminal, where it is in percent


def print_songs(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    beside: "Beside",
    *,
    why: bool,
    title: str,
) -> None:
    """Print songs with how close each is after the first column; with reasons if asked.

    In a pipe it is a share from 0 to 1, and reasons are the last column; on a terminal it is in
    percent, and reasons are lines below the table, each after the first cell of its row.
    """
    drawn, width = sys.stdout.isatty(), shutil.get_terminal_size().columns
    shares = beside.percent if drawn else beside.shares
    reasons = beside.said if why else []
    last = reasons if why and not drawn else [None] * len(rows)
    made = [
        (row[0], share, *row[1:], *([reason] if reason is not None else []))
        for row, share, reason in zip(rows, shares, last, strict=True)
    ]
    closer = CLOSER.partition("_")[0] if drawn else CLOSER
    names = (columns[0], closer, *columns[1:], *(["why"] if why and not drawn else []))
    print_table(names, made, title=title)
    for row, reason in zip(rows if drawn else (), reasons, strict=False):
        if reason:
            for line in fold(f"{cell(row[0])}: {reason}", width):
                out(line)
