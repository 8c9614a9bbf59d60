"""Check what the comparisons say of other programs: each cell has a source that is recent.

    python scripts/check_rivals.py [--on DATE]

A table of a page that compares names a program with its version, in a column's heading or in a
row's first cell. ``docs/compared_sources.md`` says on which day that version was read, and for each
cell in which file or on which page. Prints a line for each cell without a source, each source
without a cell, each program without a version or a day, and each day that is more than a year
before DATE, which is today where it is not given; exits with 1 if there is one.

CI asks for today, so a comparison grows old on main. The tests ask for the newest day that the
sources name: they stay as they are, whenever and wherever somebody runs them.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from prose import ROOT, tables

PAGES = ("docs/compared_owners.md", "docs/compared_teams.md")
SOURCES = "docs/compared_sources.md"
OURS = "audiorec"
BESIDE = "better there"  # heading of the column where programs are rows
MEASURED = "the other"  # heading of the column whose figures a linked page has, with its command
NOTHING = ("", "–")  # noqa: RUF001
OLDEST = 366  # days


class Cell(NamedTuple):
    """A cell about another program: the page, the program with its version, the row's name."""

    page: str
    program: str
    row: str


class Read(NamedTuple):
    """What the page of sources holds: a day for each program, and the cells that have a source."""

    days: dict[str, str]
    cells: set[Cell]


def cells_of(page: str, text: str) -> Iterator[Cell]:
    """Yield the cells of a page that say something of another program."""
    for headings, *rows in tables(text):
        if MEASURED in headings:
            continue
        if BESIDE in headings:
            yield from (Cell(page, row[0], BESIDE) for row in rows)
        elif OURS in headings:
            for row in rows:
                theirs = zip(headings[2:], row[2:], strict=True)
                yield from (
                    Cell(page, name, row[0]) for name, said in theirs if said not in NOTHING
                )


def read_sources(text: str) -> Read:
    """Return the days and the cells of the page of sources; its sections follow the pages."""
    first, *sections = list(tables(text))
    days = {row[0]: row[1] for row in first[1:]}
    cells = set()
    for page, section in zip(PAGES, sections, strict=True):
        for program, rows, where in section[1:]:
            if where not in NOTHING:
                cells |= {Cell(page, program, row.strip()) for row in rows.split(";")}
    return Read(days, cells)


def faults(pages: dict[str, str], sources: str, on: date | None = None) -> list[str]:
    """Return a line for each fault.

    Parameters
    ----------
    pages : dict
        The texts of the pages that compare, by name.
    sources : str
        The text of the page of sources.
    on : date, optional
        The day to count from; the newest day of the sources where it is not given.

    Returns
    -------
    list of str
        Empty if each cell has a source, each source a cell, and no day is too old.
    """
    days, with_source = read_sources(sources)
    said = [cell for page, text in pages.items() for cell in cells_of(page, text)]
    found = [
        f"{cell.page}: {cell.program}, {cell.row}: {SOURCES} has no source"
        for cell in said
        if cell not in with_source
    ]
    found += [
        f"{SOURCES}: {cell.program}, {cell.row}: {cell.page} has no such cell"
        for cell in sorted(with_source - set(said))
    ]
    named = {cell.program for cell in said}
    found += [f"{name}: has no day in {SOURCES}" for name in sorted(named - set(days))]
    found += [f"{SOURCES}: {name}: in no comparison" for name in sorted(set(days) - named)]
    found += [f"{name}: names no version" for name in sorted(named) if not re.search(r"\d", name)]
    return found + list(_too_old(days, on))


def _too_old(days: dict[str, str], on: date | None) -> Iterator[str]:
    """Yield a line for each day that is none, is still to come, or is more than a year before."""
    known: dict[str, date] = {}
    for name, day in days.items():
        try:
            known[name] = date.fromisoformat(day)
        except ValueError:
            yield f"{SOURCES}: {name}: {day!r} is no day such as 2026-12-31"
    last = on or max(known.values(), default=date.min)
    for name, read in known.items():
        if not 0 <= (last - read).days <= OLDEST:
            yield f"{SOURCES}: {name}: read on {read}, which is not within a year before {last}"


def main() -> int:
    """Check the pages of the repository, print the faults, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", type=date.fromisoformat, default=date.today(), metavar="DATE")
    arguments = parser.parse_args()
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    found = faults(pages, (ROOT / SOURCES).read_text(encoding="utf-8"), arguments.on)
    print(*found, f"faults of what is said of other programs: {len(found)}", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
