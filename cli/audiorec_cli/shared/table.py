"""Aligned tables that fit the terminal: headings break between words, ids fold last.

    columns, rows, width ──draw──▶ lines

Numbers are right-aligned with two decimals; a column that is empty in all rows is left out. Rows
are streamed if every column gives its expected width.

Text for users: escaped, and with the URIs that they gave. A remote file is read from a local copy;
messages about the copy name its URI.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audiorec.files import visible as plain


def visible(text: str) -> str:
    """Return a text as one line without control characters; see `audiorec.files.visible`."""
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
    """Yield the lines of a table, `width` cells wide at most."""
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
