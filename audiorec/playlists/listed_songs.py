"""Display songs in playing order: as text for a terminal, as HTML for a notebook.

columns, notes ──list_text, list_html──▶ a table with clock times, and the notes
"""

from collections.abc import Mapping, Sequence
from typing import Any

from audiorec.files.visible import clock, html_table, text_table, visible

TIMES = {"start_s": "start", "duration_s": "length"}  # shown as clock times, under these names
MOST_ROWS = 60  # rows per table; further rows are only counted


def list_text(columns: Mapping[str, Sequence[Any]], notes: Sequence[str]) -> str:
    """Return a title, a table and the notes, one note per line."""
    title, names, rows, more = _table(columns)
    cut = [f"… {more} more"] if more else []
    return "\n".join(
        [title, text_table(names, rows), *cut, *(f"note: {visible(n)}" for n in notes)]
    )


def list_html(columns: Mapping[str, Sequence[Any]], notes: Sequence[str]) -> str:
    """Return the same as an HTML table, with the notes in its caption."""
    title, names, rows, more = _table(columns)
    cut = [f"the first {len(rows)}"] if more else []
    return html_table(names, rows, caption="; ".join([title, *cut, *notes]))


def _table(
    columns: Mapping[str, Sequence[Any]],
) -> tuple[str, tuple[str, ...], list[tuple[object, ...]], int]:
    shown = {
        TIMES.get(name, name): [clock(v) for v in values] if name in TIMES else list(values)
        for name, values in columns.items()
        if name != "album"  # omitted: too wide for a terminal
    }
    rows = list(zip(*shown.values(), strict=True))
    n, seconds = len(rows), sum(columns["duration_s"])
    title = f"{n} song{'s' * (n != 1)}, {clock(seconds)}"
    return title, tuple(shown), rows[:MOST_ROWS], max(0, n - MOST_ROWS)
