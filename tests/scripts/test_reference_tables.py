"""Tables of the reference that the site makes of declarations: each has its page, none a gap."""

from pathlib import Path

import pytest
from reference_tables import TABLES, columns

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("mark", TABLES)
def test_one_page_has_the_mark(mark):
    pages = [path.name for path in REFERENCE.glob("*.md") if mark in path.read_text()]
    assert len(pages) == 1


@pytest.mark.parametrize("mark", TABLES)
def test_every_cell_says_something(mark):
    rows = [line for line in TABLES[mark]().splitlines() if line.startswith("|")]
    assert len(rows) > 10
    assert [row for row in rows if "|  |" in row or "``" in row] == []


def test_an_export_has_seven_tables():
    text = columns()
    samples = ("samples_recall", "samples_ranking")
    for name in ("songs", "users", "interests_CHANNEL", "candidates", *samples, "served"):
        assert f"**{name}**. " in text
    assert text.count("| column | kind | meaning |") == 7
