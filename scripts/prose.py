"""What is prose in the repository: pages without their code, docstrings, comments, messages.

Code is blanked out and lines are kept, so that a place in the prose is a place in the file.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**/*.md",
    "examples/**/*.md",
    "plugins/**/*.md",
    "benchmarks/**/*.md",
    "fixtures/audio/README.md",
    "fixtures/codecs/README.md",
    "fixtures/demo/README.md",
)
SOURCES = ("audiorec/**/*.py", "cli/**/*.py")
FENCE = re.compile(r"^ *(```+|~~~+)([\w-]*)")


class Piece(NamedTuple):
    """Some prose: the file, the line that it begins at, what it is, and its text."""

    path: str
    line: int
    kind: str  # page, docstring, comment, message
    text: str


def pages(root: Path = ROOT) -> list[Path]:
    """Return the Markdown pages of the repository; those that a build writes are left out."""
    found = {path for pattern in PAGES for path in root.glob(pattern)}
    return sorted(path for path in found if "docs/api/" not in path.as_posix())


def sources(root: Path = ROOT) -> list[Path]:
    """Return the modules whose docstrings, comments and messages are read."""
    return sorted(path for pattern in SOURCES for path in root.glob(pattern))


def fences(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each fenced block of a page: line of the fence (from 1), language, lines."""
    mark, start, language, body = "", 0, "", list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        match = FENCE.match(line)
        if not mark and match:
            mark, start, language, body = match[1], number, match[2], []
        elif mark and line.strip() == mark:
            yield start, language, body
            mark = ""
        elif mark:
            body.append(line)


def blank(text: str, pattern: str, flags: int = 0) -> str:
    """Replace what matches by spaces; line breaks stay."""
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=flags)


def without_fences(text: str) -> str:
    """Blank out the fenced blocks of a page."""
    lines = text.splitlines()
    for start, _, body in fences(text):
        lines[start - 1 : start + len(body) + 1] = [""] * (len(body) + 2)
    return "\n".join(lines)


def page_prose(text: str) -> str:
    """Blank out what is not prose in a page: code, targets of links, comments."""
    text = blank(without_fences(text), r"<!--.*?-->", re.DOTALL)
    text = blank(text, r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
    text = blank(text, r"\]\([^)\s]*\)")
    return blank(text, r"https?://\S+")


def docstring_prose(text: str) -> str:
    """Blank out what is not prose in a docstring or comment: code, examples, drawings."""
    text = blank(text, r"^ *(>>>|\.\.\. |audiorec ).*$", re.MULTILINE)
    text = blank(text, r"^.*[─▶◀│└┌┬┼].*$", re.MULTILINE)
    text = blank(text, r"(?<=::\n)(\n| {4,}.*\n?)+")
    text = blank(text, r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
    return blank(text, r"https?://\S+")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module: it is read once, whatever is asked of it."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def module_pieces(path: Path, root: Path = ROOT) -> Iterator[Piece]:
    """Yield the docstrings, messages and comments of a module.

    A message is any other string of two words or more: what is raised, said, logged or shown by
    ``--help``; SQL and JSON are among them, and do no harm.
    """
    name, source = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
    docstrings = set[int]()
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
                yield Piece(name, node.body[0].lineno, "docstring", docstring_prose(text))
    for node in nodes(path):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in docstrings and " " in text.strip():
            yield Piece(name, node.lineno, "message", docstring_prose(text))  # type: ignore[attr-defined]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#!|# (noqa|type:|%%)", token.string):
            yield Piece(name, token.start[0], "comment", docstring_prose(token.string[1:]))


def page_pieces(paths: Iterable[Path], root: Path = ROOT) -> Iterator[Piece]:
    """Yield the prose of pages."""
    for path in paths:
        text = page_prose(path.read_text(encoding="utf-8"))
        yield Piece(path.relative_to(root).as_posix(), 1, "page", text)


def all_pieces(root: Path = ROOT) -> Iterator[Piece]:
    """Yield all prose of the repository."""
    yield from page_pieces(pages(root), root)
    for path in sources(root):
        yield from module_pieces(path, root)


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield each table of a page as rows of cells, without the line below its headings."""
    found: list[list[str]] = []
    for line in [*without_fences(text).splitlines(), ""]:
        if line.startswith("|"):
            found.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif found:
            yield found[:1] + found[2:]
            found = []
