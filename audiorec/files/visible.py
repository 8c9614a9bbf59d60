r"""Untrusted text on a screen: escaped, and in small tables for terminals and notebooks.

    "a\x1b[2J\u202eb"  ──visible──▶  r"a\x1b[2J\u202eb"
    columns, rows ──text_table──▶ str          ──html_table──▶ HTML
    `TableView`   ──.text───────▶ the first rows, with title and notes   ──.html──▶ the same

File names, tags, ids, users and column names are untrusted: every text goes through `visible`, and
in HTML also through `html.escape`.
"""

import json
import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Number, Real
from typing import Any

# Invisible characters that `str.isprintable` accepts (Default_Ignorable_Code_Point).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_JOINERS = frozenset("\u200c\u200d")  # with U+FE0E and U+FE0F, which are printable
# Unicode's other spaces, which `str.isprintable` rejects; Japanese titles contain them.
_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
    "\u205f\u3000"
)


def visible(text: str) -> str:
    r"""Return `text` as one line without control, bidirectional and invisible characters.

    Escaped in Python notation are control characters (C0, C1, DEL, including line breaks and tabs),
    line and paragraph separators, bidirectional controls, lone surrogates, and everything that a
    font renders as nothing: zero-width characters, rare variation selectors, tags, fillers, private
    and unassigned code points. Letters, marks and spaces of every script stay unchanged, as do
    joiners, which Persian titles and emoji need.

    Examples
    --------
    >>> print(visible("two\nlines\x1b[31m, \u202egpj.mp3, caf\udce9"))
    two\nlines\x1b[31m, \u202egpj.mp3, caf\udce9
    >>> print(visible("Björk – Jóga, 日本, ❤️"))
    Björk – Jóga, 日本, ❤️
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return "".join(c if _is_shown(c) else ascii(c)[1:-1] for c in text)


def visible_lines(text: str) -> str:
    """Return multi-line text with invisible characters escaped; line breaks and tabs stay."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in "\n\t" or _is_shown(c) else ascii(c)[1:-1] for c in text)


def visible_json(document: Any, *, indent: int | None = None) -> str:
    r"""Return JSON in which invisible characters are escaped; it parses to the same values.

    Parameters
    ----------
    document : object
        Any JSON value; other objects are written as strings.
    indent : int, optional
        As for `json.dumps`.

    Raises
    ------
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> print(visible_json({"song": "\x9b2J\u202e\U000e0041"}))
    {"song": "\u009b2J\u202e\udb40\udc41"}
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent, default=str, allow_nan=False)
    if text.isprintable() and text.isascii():
        return text
    # A line break here is layout: json.dumps has escaped those within strings.
    return "".join(c if c == "\n" or _is_shown(c) else json.dumps(c)[1:-1] for c in text)


def _is_shown(c: str) -> bool:
    return (c.isprintable() or c in _SPACES or c in _JOINERS) and not _INVISIBLE.match(c)


MAX_WIDTH = 60  # terminal columns of one cell
CUT = "…"


def text_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    r"""Format a table as lines of text; numeric columns are aligned to the right.

    Columns that are empty in every row are left out, and long cells are truncated.

    Examples
    --------
    >>> print(text_table(("song", "similarity"), [("etude", 0.91), ("a\nb", -0.3)]))
    song   similarity
    etude       0.910
    a\nb        -0.300
    """
    kept = _kept(columns, rows)
    cells = [[_cut(visible(columns[i])) for i in kept]]
    cells += [[_cut(cell_text(row[i])) for i in kept] for row in rows]
    to_right = [_is_numeric([row[i] for row in rows]) for i in kept]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [
            " " * (width - _width(text)) + text if right else text + " " * (width - _width(text))
            for text, width, right in zip(line, widths, to_right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = ""
) -> str:
    """Format a table as HTML, without styles or scripts.

    Examples
    --------
    >>> html_table(("song",), [("<b>",)])
    '<table><thead><tr><th>song</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    kept = _kept(columns, rows)
    head = "".join(f"<th>{_escaped(columns[i])}</th>" for i in kept)
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(cell_text(row[i]))}</td>" for i in kept) + "</tr>"
        for row in rows
    )
    title = f"<caption>{_escaped(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, slots=True)
class TableView:
    """The first rows of a table: of how many, under which title, with which notes."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    count: int
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return title, table and notes, as lines of text."""
        table = [text_table(self.columns, self.rows)] if self.rows else []
        more = self.count - len(self.rows)
        cut = [f"… {more} more"] if more > 0 else []
        return "\n".join([self.title, *table, *cut, *map(visible, self.notes)])

    def html(self) -> str:
        """Return the same as an HTML table, with the notes in its caption."""
        cut = f", the first {len(self.rows)}" if self.count > len(self.rows) else ""
        caption = "; ".join([self.title + cut, *self.notes])
        return html_table(self.columns, self.rows, caption=caption)


class ShownAsTable(ABC):
    """What a console and a notebook show as a table."""

    @abstractmethod
    def _view(self) -> TableView:
        """Return what is shown."""

    def __repr__(self) -> str:
        return self._view().text()

    def _repr_html_(self) -> str:
        return self._view().html()


def cell_text(value: object) -> str:
    """Format a value as one escaped line: floats with three decimals, None and NaN as empty."""
    if value is None:
        return ""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return "" if math.isnan(value) else f"{value:.3f}"
    return visible(str(value))


def clock(seconds: float) -> str:
    """Format seconds as ``h:mm:ss`` or ``m:ss``.

    Examples
    --------
    >>> clock(75), clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _kept(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[int]:
    filled = [any(row[i] not in (None, "") for row in rows) for i in range(len(columns))]
    return [i for i, is_filled in enumerate(filled) if is_filled or not rows]


def _is_numeric(values: Sequence[object]) -> bool:
    numbers = [isinstance(value, Number) for value in values if value is not None]
    return bool(numbers) and all(numbers)


def _escaped(text: str) -> str:
    import html  # what `audiorec --help` does not need

    return html.escape(visible(text))


def _width(text: str) -> int:
    """Return the width of a text in terminal columns."""
    return sum(_columns(c) for c in text)


def _columns(c: str) -> int:
    if c.isascii():
        return 1
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def _cut(text: str) -> str:
    if _width(text) <= MAX_WIDTH:
        return text
    kept, width = [], 1
    for c in text:
        width += _columns(c)
        if width > MAX_WIDTH:
            break
        kept.append(c)
    return "".join(kept) + CUT
