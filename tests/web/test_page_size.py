"""Both pages that name the size of the page name the same, and it is that of its files."""

import re
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = (
    ("docs/page.md", r"the page is (\d+) kB"),
    ("docs/benchmarks/page.md", r"Without songs the page is (\d+) kB"),
)


def test_the_size_of_the_page_is_told_alike_and_is_that_of_its_files():
    told = {int(re.search(form, (ROOT / page).read_text())[1]) for page, form in NAMED}
    static = Path(str(files("audiorec.web"))) / "static"
    kilobytes = sum(path.stat().st_size for path in static.rglob("*") if path.is_file()) / 1000
    (size,) = told
    assert 0.8 * kilobytes <= size <= kilobytes  # not every font is asked for
