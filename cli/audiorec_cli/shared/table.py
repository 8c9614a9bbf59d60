"""A table for a person: it fits the terminal, breaks no word of a header, and folds ids last.

    columns, rows, width ──draw──▶ lines

Numbers stand at the right and have two digits; a column that is empty in all rows is left out.
Rows that take their time are drawn as they come where every column says how wide it is likely
to be.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from audiorec_cli.shared.named import visible

GAP = "  "
DIGITS = 2  # of a float; the smallest part of it that a person compares
FLOORS = (14, 28, 8, 16)  # cells that texts, ids, and again texts and ids keep at first
WORD = 14  # a longer word of a text may be broken
LOW, HIGH = 0.2, 0.8  # a share is drawn faint below, green above
_BREAKS = re.compile(r"[^ _/-]*[ _/-]*")  # pieces that a line may end after
_NUMBER = re.compile(r"-?\d+(:\d\d)*(\.\d+)?")  # durations as well
_IDS = re.compile(r"(.*_)?(song|id|user|file)")
BOLD, FAINT, GREEN, CYAN = 1, 2, 32, 36


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name for a pipe, and what a person sees.

    `width` and `word` are how wide it and the longest word in it are likely to be, 0 where all
    rows are looked at first; `right` says that such a column holds numbers.
    """

    name: str
    label: str = ""
    width: int = 0
    word: int = 0
    right: bool = False
    shown: bool = True  # to a person; a pipe gets every column

    @property
    def heading(self) -> str:
        """What a person reads above it."""
        return visible(self.label or self.name)

    @property
    def is_id(self) -> bool:
        """Whether it holds what has to be typed to name a song."""
        return _IDS.fullmatch(self.name) is not None


def column(name: str | Column) -> Column:
    """Return a column of a name."""
    return name if isinstance(name, Column) else Column(name)


def text(value: object, digits: int) -> str:
    """Return a value as one visible line; None is empty."""
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
        """Yield a row's lines: the first of every cell, the second of every cell, ..."""
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
    """Share the width: headers are folded first, then texts, then ids, then all."""
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
    """Take cells from the widest of some columns, down to their floors, until all have room."""
    able = [n for n in places if widths[n] > floors[n]]
    while able and sum(widths) > room:
        widest = max(able, key=lambda n: (widths[n], n))
        widths[widest] -= 1
        if widths[widest] <= floors[widest]:
            able.remove(widest)


def fold(cell: str, width: int) -> list[str]:
    """Cut a text into lines: after a space or one of ``_/-`` where it can be, else anywhere."""
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
    """Return how many cells of a terminal a text takes: a Chinese letter takes two."""
    if cell.isascii():
        return len(cell)
    from rich.cells import cell_len

    return cell_len(cell)
