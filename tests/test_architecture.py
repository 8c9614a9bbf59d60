"""`docs/architecture.md` and the index of decisions, held to what is there."""

import re
import tomllib
from pathlib import Path

from test_layers import MAY_IMPORT

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "audiorec"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DECISIONS = ROOT / "docs" / "decisions"
INDEX = (DECISIONS / "README.md").read_text()
PACKAGES = {
    path.parent.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("__init__.py")
    if path.parent != PACKAGE
}
MODULES = {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def section(heading: str) -> str:
    """Return the text of a section of the page."""
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_rooms_are_the_packages():
    rows = re.findall(r"^\| `([\w/]+)` \| (\S.*) \|$", section("The rooms"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(PACKAGES)


def drawn_rows() -> list[list[str]]:
    """Return the names in the boxes of the drawing, from the top row down."""
    rows = section("The house").split("```")[1].splitlines()
    return [names for row in rows if (names := re.findall(r"\[(\w+)\]", row))]


def test_the_drawing_names_every_package_and_no_other():
    names = [name for row in drawn_rows() for name in row]
    assert sorted(names) == sorted({name for name in PACKAGES if "/" not in name} | MODULES)


def test_what_may_be_imported_is_drawn_below():
    level = {name: place for place, row in enumerate(drawn_rows()) for name in row}
    beside = {("learning", "runs"), ("options", "errors"), ("spec", "errors"), ("types", "errors")}
    beside.add(("types", "spec"))
    upwards = [
        (here, there)
        for here, allowed in MAY_IMPORT.items()
        for there in {name.partition(".")[0] for name in allowed} - {here.partition(".")[0]}
        if level[there] <= level[here.partition(".")[0]] and (here, there) not in beside
    ]
    assert upwards == []


def test_the_modules_that_the_page_names_are_there():
    named = re.findall(r"`([^`\n]+\.py)`", PAGE)
    assert named
    assert [n for n in named if not (PACKAGE / n).exists() and not (ROOT / n).exists()] == []


def test_the_table_of_dependencies_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    declared = {re.match(r"[\w-]+", text)[0] for text in sum(extras.values(), core)}
    rows = re.findall(r"^\| ([a-z].*?) \| .+ \|$", section("Dependencies"), re.MULTILINE)
    names = {n for row in rows[1:] for n in re.findall(r"[\w-]+", re.sub(r"\(.*?\)", "", row))}
    assert names == declared
    assert set(re.findall(r"extra `(\w+)`", " ".join(rows))) == set(extras)


def test_the_index_has_a_line_for_every_decision():
    rows = re.findall(r"^- \[(\d{4}) [^]]+\]\((\S+)\)$", INDEX, re.MULTILINE)
    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [name for _, name in rows] == pages
    assert all(name.startswith(number) for number, name in rows)


def test_a_decision_says_what_was_decided():
    for path in DECISIONS.glob("[0-9]*.md"):
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}"), path
        assert re.search(r"\*\*(Decided|Found)", text), path


def test_contributing_is_one_page_with_five_commands():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert text.count("\n") <= 70
    commands = text.partition("## Five commands")[2].split("```")[1].strip().splitlines()[1:]
    assert len(commands) == 5
    assert all(line.startswith(("uv run ", "bash ")) and "#" in line for line in commands)
