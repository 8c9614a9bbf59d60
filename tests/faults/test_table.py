"""The tables of faults and of hostile input name tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:tests|plugins)/[\w/-]+\.py)::(\w+)`")


@pytest.mark.parametrize("page", ["faults.md", "reference/security_checks.md"])
def test_every_row_names_a_test_that_is_there(page):
    text = (ROOT / "docs" / page).read_text()
    named = NAMED.findall(text)
    assert len(named) > 20
    for file, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), name
    tables = re.findall(r"^\| .* test \|\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()[1:]]
    assert len(rows) > 20
    for row in rows:
        assert NAMED.search(row), row
