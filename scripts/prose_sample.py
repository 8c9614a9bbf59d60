"""Put words of an earlier revision beside those of today, chosen at random with seed 1.

    python scripts/prose_sample.py f828194

Prints twenty docstrings, ten messages and five pages of that revision and what they are now, then
counts for both: pages, lines of docs, broken links, blocks that run, forbidden words, letters that
its glossary lacks. A docstring is found again by the qualified name of what it describes, wherever
that has moved to; a message by its function and its place among the messages there.
"""

import argparse
import ast
import io
import random
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import check_prose
import prose_blocks
import prose_links
from prose import ROOT, all_pieces, pages, sources

SEED, DOCSTRINGS, MESSAGES, PAGES = 1, 20, 10, 5
LINES = 12  # shown of a page


class Named(NamedTuple):
    """A text: the file, the qualified name of what it belongs to, its place there, and the text."""

    path: str
    name: str
    place: int
    text: str


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield the qualified name and node of each function and class; a module has no name."""
    yield "", tree
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, parent = waiting.pop(0)
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{node.name}"
                yield name, node
                waiting.append((f"{name}.", node))


def raised(node: ast.AST) -> list[str]:
    """Return the messages that a function raises itself, in order, placeholders in braces."""
    found = []
    for inner in ast.walk(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            for argument in inner.exc.args:
                if isinstance(argument, ast.JoinedStr | ast.Constant):
                    text = ast.unparse(argument)
                    if " " in text:
                        found.append(text)
    return found


def texts(root: Path) -> tuple[list[Named], list[Named]]:
    """Return the docstrings and the messages of a tree."""
    docstrings, messages = [], []
    for path in sources(root):
        where = path.relative_to(root).as_posix()
        for name, node in definitions(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node)  # type: ignore[arg-type]
            if text:
                docstrings.append(Named(where, name, 0, text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                messages += [Named(where, name, i, m) for i, m in enumerate(raised(node))]
    return docstrings, messages


def again(old: Named, now: list[Named]) -> Named | None:
    """Find a text of the earlier revision in today's: in its file, else anywhere by its name."""
    same = [text for text in now if (text.name, text.place) == (old.name, old.place)]
    here = [text for text in same if text.path == old.path]
    moved = [text for text in same if old.name and Path(text.path).name == Path(old.path).name]
    found = here or moved or (same if old.name and len(same) == 1 else [])
    return found[0] if found else None


def show(kind: str, old: list[Named], now: list[Named], count: int) -> None:
    """Print some texts of the earlier revision, chosen at random, and what they are now."""
    for number, text in enumerate(random.Random(SEED).sample(old, count), start=1):  # noqa: S311
        found = again(text, now)
        print(f"\n### {kind} {number}: {text.path} {text.name}\n\nbefore:\n\n{indented(text.text)}")
        if found is None:
            print("\nnow: gone, or under another name")
        else:
            moved = "" if found.path == text.path else f" ({found.path})"
            print(f"\nnow{moved}:\n\n{indented(found.text)}")


def indented(text: str) -> str:
    """Return a text as a block of code."""
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def show_pages(before: Path) -> None:
    """Print the first lines of some pages, before and now."""
    names = [path.relative_to(before).as_posix() for path in pages(before)]
    for number, name in enumerate(random.Random(SEED).sample(names, PAGES), start=1):  # noqa: S311
        print(f"\n### Page {number}: {name}")
        for when, root in (("before", before), ("now", ROOT)):
            if not (root / name).is_file():
                print(f"\n{when}: no such page")
                continue
            lines = (root / name).read_text(encoding="utf-8").splitlines()
            print(f"\n{when}, {len(lines)} lines:\n\n{indented(chr(10).join(lines[:LINES]))}")


def counts(root: Path) -> dict[str, int]:
    """Return what can be counted in a tree; words by the glossary of today, letters by its own."""
    glossary = check_prose.GLOSSARY.read_text(encoding="utf-8")
    blocks = prose_blocks.all_blocks(root)
    known = check_prose.letters((root / "docs" / "glossary.md").read_text(encoding="utf-8"))
    written = [path.read_text(encoding="utf-8") for path in pages(root)]
    return {
        "pages": len(written),
        "lines of docs": sum(len(text.splitlines()) for text in written),
        "broken links": len(prose_links.broken(root)),
        "pages that nothing leads to": len(prose_links.dead(root)),
        "blocks that run": sum(block.is_run for block in blocks),
        "blocks with a reason": sum(not b.is_run and bool(b.reason) for b in blocks),
        "blocks with neither": len(prose_blocks.faults(blocks)),
        "forbidden words": len(
            list(check_prose.forbidden(all_pieces(root), check_prose.rules(glossary)))
        ),
        "unknown letters": len(
            list(check_prose.unknown_letters(check_prose.docstrings(sources(root), root), known))
        ),
    }


def main() -> None:
    """Print the sample and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="the earlier revision")
    base = parser.parse_args().base
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder).resolve()
        archive = subprocess.run(
            ["git", "archive", base], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(before, filter="data")
        (old_docs, old_said), (docs, said) = texts(before), texts(ROOT)
        print(f"# Words of {base} and of today, chosen at random with seed {SEED}\n\n## Docstrings")
        show("Docstring", old_docs, docs, DOCSTRINGS)
        print("\n## Messages")
        show("Message", old_said, said, MESSAGES)
        print("\n## Pages")
        show_pages(before)
        print("\n## Counts\n\n| | before | now |\n|---|---|---|")
        now = counts(ROOT)
        for name, value in counts(before).items():
            print(f"| {name} | {value:,} | {now[name]:,} |")


if __name__ == "__main__":
    main()
