"""Every cell about another program has a source, with a version and a day that is not too old."""

from datetime import date

import check_rivals
import pytest
from check_rivals import PAGES, ROOT, SOURCES, cells_of, faults, read_sources

OWNERS, TEAMS = PAGES
TABLE = """\
| | audiorec | Other 2.1 |
|---|---|---|
| input | folders | {cell} |
"""
BESIDE = """
| program | better there | better here |
|---|---|---|
| Player 4 | an app | a map |
"""
FIGURES = """
| what | audiorec | the other | who is ahead |
|---|---|---|---|
| speed | 1 | Other: 2 | Other |
"""
READ = """\
| program | read on | what was read |
|---|---|---|
| Other 2.1 | {other} | its source |
| Player 4 | {player} | its makers' page |

| program | rows | where |
|---|---|---|
| Other 2.1 | {rows} | `config.py` |
| Player 4 | better there | example.org |

| program | rows | where |
|---|---|---|
"""


def found(
    cell="servers",
    other="2026-08-21",
    player="2026-08-01",
    rows="input",
    on=None,
):
    pages = {OWNERS: TABLE.format(cell=cell) + BESIDE + FIGURES, TEAMS: ""}
    return faults(pages, READ.format(other=other, player=player, rows=rows), on)


def texts():
    return {name: (ROOT / name).read_text() for name in PAGES}


def test_the_comparisons_have_a_recent_source_for_each_cell():
    assert faults(texts(), (ROOT / SOURCES).read_text()) == []


def test_the_cells_of_both_pages_are_looked_at():
    cells = [cell for page, text in texts().items() for cell in cells_of(page, text)]
    assert len(cells) > 100
    assert ("AudioMuse-AI 3.4.0", "input") in {(cell.program, cell.row) for cell in cells}
    days = read_sources((ROOT / SOURCES).read_text()).days
    assert {cell.program for cell in cells} == set(days)


def test_whoever_lets_the_sources_grow_old_is_told_by_the_day_that_is_given():
    assert found() == []
    assert found(on=date(2027, 7, 31)) == []
    (fault,) = found(on=date(2027, 8, 10))
    assert fault == (
        f"{SOURCES}: Player 4: read on 2026-08-01, which is not within a year before 2027-08-10"
    )
    assert len(found(player="2025-08-01")) == 1  # a year behind the newest, whatever day it is
    assert len(found(on=date(2026, 8, 11))) == 1  # a day to come


def test_a_cell_without_a_source_is_found_and_a_dash_needs_none():
    (fault, dead) = found(rows="runs as")
    assert fault == f"{OWNERS}: Other 2.1, input: {SOURCES} has no source"
    assert dead == f"{SOURCES}: Other 2.1, runs as: {OWNERS} has no such cell"
    assert found(cell="–")[0].endswith("has no such cell")  # noqa: RUF001


@pytest.mark.parametrize("day", ["", "August 2026", "2026-13-01"])
def test_a_day_that_is_none_is_found(day):
    (fault,) = found(other=day)
    assert fault == f"{SOURCES}: Other 2.1: {day!r} is no day such as 2026-12-31"


def test_a_program_without_a_version_is_found():
    pages = {OWNERS: BESIDE.replace("Player 4", "Player"), TEAMS: ""}
    told = READ.format(other="2026-08-21", player="2026-08-01", rows="input")
    assert "Player: names no version" in faults(pages, told)
    assert f"Player: has no day in {SOURCES}" in faults(pages, told)


def test_the_command_prints_the_faults_and_ends_with_1(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check_rivals.py", "--on", "2026-12-31"])
    assert check_rivals.main() == 0
    assert capsys.readouterr().out == "faults of what is said of other programs: 0\n"
    monkeypatch.setattr("sys.argv", ["check_rivals.py", "--on", "2999-01-01"])
    assert check_rivals.main() == 1
