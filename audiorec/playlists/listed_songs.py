"""A list of songs in playing order, as text for a terminal and as HTML for a notebook.

columns, notes ──list_text, list_html──▶ a table: times as on a clock, notes below it
"""

from collections.abc import Mapping, Sequence
from typing import Any

from audiorec.files.text_tables import clock, html_table, text_table
from audiorec.files.visible import visible

TIMES = {"start_s": "start", "duration_s": "length"}  # shown as on a clock, under these names
MOST_ROWS = 60  # of a table; the rest is counted


def list_text(columns: Mapping[str, Sequence[Any]], notes: Sequence[str]) -> str:
    """Return a title, a table and the notes, a line each."""
    title, names, rows, more = _table(columns)
    cut = [f"… {more} more"] if more else []
    return "\n".join(
        [title, text_table(names, rows), *cut, *(f"note: {visible(n)}" for n in notes)]
    )


def list_html(columns: Mapping[str, Sequence[Any]], notes: Sequence[str]) -> str:
    """Return the same as an HTML table; the notes stand in its caption."""
    title, names, rows, more = _table(columns)
    cut = [f"the first {len(rows)}"] if more else []
    return html_table(names, rows, caption="; ".join([title, *cut, *notes]))


def _table(
    columns: Mapping[str, Sequence[Any]],
) -> tuple[str, tuple[str, ...], list[tuple[object, ...]], int]:
    shown = {
        TIMES.get(name, name): [clock(v) for v in values] if name in TIMES else list(values)
        for name, values in columns.items()
        if name != "album"  # for which a terminal has no room
    }
    rows = list(zip(*shown.values(), strict=True))
    n, seconds = len(rows), sum(columns["duration_s"])
    title = f"{n} song{'s' * (n != 1)}, {clock(seconds)}"
    return title, tuple(shown), rows[:MOST_ROWS], max(0, n - MOST_ROWS)
