"""The command blocks of the pages: which of them run in CI, and why the others do not.

A block is one of commands if its language is ``sh``, ``bash`` or ``console``, or if it has none
and a line of it begins with a command. A block runs in one of four ways:

- it has ``>>>``: pytest runs it as a doctest,
- it is in the README or on the page that follows it: `tests/test_readme.py`,
- it is on a page of `RUN`: `tests/test_blocks.py`,
- it is in a tutorial: `tests/test_tutorials.py`.

All others say why not, in a comment above the block, or once for a page on one of its first lines::

    <!-- not run: needs a Slurm cluster -->
"""

import re
from pathlib import Path
from typing import NamedTuple

from prose import ROOT, fences, pages

FIRST = ("README.md",)
RUN = ("docs/library.md", "docs/owner.md", "docs/plots.md", "docs/reference/store.md")
TUTORIALS = "docs/tutorials/"
COMMAND = re.compile(r"^(\$ |audiorec |pip |pipx |uv |uvx |python |bash |docker |mpc |curl )")
REASON = re.compile(r"<!-- not run: (\S.*?) -->")
SHELLS = ("sh", "bash", "console")


class Block(NamedTuple):
    """A block of commands: where it is, its lines, and why it does not run (empty: it runs)."""

    page: str
    line: int
    language: str
    lines: list[str]
    reason: str
    is_run: bool


def page_reason(text: str) -> str:
    """Return the reason that holds for a whole page: on one of its first five lines."""
    head = "\n".join(text.splitlines()[:5])
    found = REASON.search(head)
    return found[1] if found else ""


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the command blocks of a page."""
    lines, found = text.splitlines(), []
    whole = page_reason(text)
    for start, language, body in fences(text):
        is_doctest = any(line.lstrip().startswith(">>> ") for line in body)
        is_shell = language in SHELLS or (
            not language and any(COMMAND.match(line) for line in body)
        )
        if not (is_doctest or is_shell or language == "python"):
            continue
        above = next((line for line in reversed(lines[: start - 1]) if line.strip()), "")
        match = REASON.search(above)
        reason = match[1] if match else whole
        runs = page in (*FIRST, *RUN) or page.startswith(TUTORIALS)
        is_run = is_doctest or (is_shell and runs and not reason)
        found.append(Block(page, start, language, body, reason, is_run))
    return found


def all_blocks(root: Path = ROOT) -> list[Block]:
    """Return the command blocks of all pages."""
    return [
        block
        for path in pages(root)
        for block in blocks_of(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    ]


def faults(blocks: list[Block]) -> list[str]:
    """Return a line for each block that neither runs nor says why."""
    return [
        f"{block.page}:{block.line}: this block does not run in CI, and nothing says why: "
        "<!-- not run: REASON --> above it, or the page into RUN of scripts/prose_blocks.py"
        for block in blocks
        if not block.is_run and not block.reason
    ]


def count(blocks: list[Block]) -> str:
    """Return how many blocks run and how many have a reason."""
    run = sum(block.is_run for block in blocks)
    said = sum(not block.is_run and bool(block.reason) for block in blocks)
    return f"blocks: {run} run, {said} with a reason"
