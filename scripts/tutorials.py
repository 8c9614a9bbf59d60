"""Run the tutorials and write below each block of commands what a terminal shows.

    uv run python scripts/tutorials.py [--check] [--notebooks FOLDER]

Each page of ``docs/tutorials/`` runs from top to bottom in a folder of its own that has the
fixtures of the repository. ``--check`` writes nothing and names what has changed; digits may
differ, since clocks and processors do. ``--notebooks`` writes each page as a notebook with the
same cells.
"""

import argparse
import difflib
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from prose import ROOT

PAGES = ROOT / "docs" / "tutorials"
WIDTH = "100"
BLOCK = re.compile(
    r"(?P<above>[^\n]*)\n\n?```sh\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Cell(NamedTuple):
    """A part of a page: prose, or commands with what they print."""

    text: str
    shown: str | None = None  # of commands


def cells(page: str) -> list[Cell]:
    """Return the parts of a page in order; a block that does not run is prose."""
    found, end = [], 0
    for match in BLOCK.finditer(page):
        if "not run:" in match["above"]:
            continue
        at = match.start("code") - len("```sh\n")
        found += [Cell(page[end:at].strip()), Cell(match["code"], match["shown"] or "")]
        end = match.end()
    return [*found, Cell(page[end:].strip())]


def surroundings(folder: Path) -> dict[str, str]:
    """Return the variables that a page's commands see: nothing of the user's own."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "AUDIOREC_CONFIG": "",
        "AUDIOREC_DATA": str(folder / "data"),
        "AUDIOREC_VECTORS": "",
        "COLUMNS": WIDTH,
        "TERM": "dumb",
    }


def run(code: str, folder: Path) -> str:
    """Run commands in a folder; return stdout, as on a terminal, and stderr, as in a pipe."""
    environment = {**os.environ, **surroundings(folder)}
    environment.pop("AUDIOREC_VECTORS")
    reader, writer = pty.openpty()
    with subprocess.Popen(
        ["bash", "-euc", code],
        cwd=folder,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        printed = bytearray()
        try:
            while part := os.read(reader, 1 << 16):
                printed += part
        except OSError:  # the other end is closed
            pass
        assert process.stderr is not None
        said = process.stderr.read().decode()
    os.close(reader)
    if process.returncode:
        raise RuntimeError(f"{code}\nended with {process.returncode}:\n{said}")
    text = STYLE.sub("", printed.decode()).replace("\r\n", "\n") + said
    lines = (line.rstrip().replace(f"{folder}{os.sep}", "") for line in text.splitlines())
    return "\n".join(lines).strip("\n") + "\n"


def run_page(page: Path, folder: Path) -> list[Cell]:
    """Run a page in a folder; return its parts with what the commands print today."""
    (folder / "fixtures").symlink_to(ROOT / "fixtures")
    return [
        cell if cell.shown is None else Cell(cell.text, run(cell.text, folder))
        for cell in cells(page.read_text(encoding="utf-8"))
    ]


def written(parts: list[Cell]) -> str:
    """Return a page from its parts."""
    texts = [
        part.text
        if part.shown is None
        else f"```sh\n{part.text}```"
        + (f"\n\n```text\n{part.shown}```" if part.shown.strip() else "")
        for part in parts
    ]
    return "\n\n".join(text for text in texts if text) + "\n"


def masked(text: str) -> list[str]:
    """Return the lines of a page with one mark for all numbers and blanks, without CPU times."""
    text = re.sub(r"CPU time .*", "CPU time", text)  # its parts are in the order of the day
    text = re.sub(r"\b[0-9a-f]{12,16}\b", "#", text)  # ids of runs
    return [re.sub(r"[\d.,:%\s─-]+", "#", line) for line in text.splitlines()]


def changed(page: Path, parts: list[Cell]) -> list[str]:
    """Return what a page says otherwise than the program does today."""
    old, new = page.read_text(encoding="utf-8"), written(parts)
    return list(difflib.unified_diff(masked(old), masked(new), page.name, "today", lineterm=""))


def notebook(parts: list[Cell]) -> dict[str, object]:
    """Return a page as a notebook: prose, and commands with their output."""

    def cell(part: Cell, number: int) -> dict[str, object]:
        common = {"id": f"cell-{number}", "metadata": {}}
        if part.shown is None:
            return {"cell_type": "markdown", "source": part.text, **common}
        shown = {"output_type": "stream", "name": "stdout", "text": part.shown}
        code = {"execution_count": None, "outputs": [shown] if part.shown.strip() else []}
        return {"cell_type": "code", "source": f"%%bash\n{part.text}", **code, **common}

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": [cell(part, n) for n, part in enumerate(parts) if part.text],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_notebook(parts: list[Cell], path: Path) -> None:
    """Write a page as a notebook, whose commands need the folder that has the fixtures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(parts), indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Run all pages; write them, or name what has changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name what has changed")
    parser.add_argument("--notebooks", type=Path, help="a folder for notebooks")
    parser.add_argument("pages", nargs="*", type=Path, help="by default all")
    arguments = parser.parse_args()
    faults = []
    for page in arguments.pages or sorted(PAGES.glob("*.md")):
        with tempfile.TemporaryDirectory() as folder:
            parts = run_page(page, Path(folder))
        if arguments.check:
            faults += changed(page, parts)
        else:
            page.write_text(written(parts), encoding="utf-8")
        if arguments.notebooks:
            write_notebook(parts, arguments.notebooks / f"{page.stem}.ipynb")
    print(*faults, sep="\n", end="\n" if faults else "")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
