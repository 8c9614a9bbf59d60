"""Check the words of the repository: spelling, style, names, lengths, links, figures, blocks.

    uv run --group full python scripts/check_prose.py [--external] [--wrap]

``codespell`` reads pages and code; proselint the prose alone, without its rules of typography; the
words that the glossary forbids are looked for in pages, docstrings, comments, messages and help.
Prints a line for each fault and the counts; exits with 1 if there is a fault. ``--external`` lists
the addresses on the web, ``--wrap`` breaks lines of pages that are too long.
"""

import argparse
import ast
import fnmatch
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import prose_blocks
import prose_figures
import prose_links
import prose_names
from prose import ROOT, Piece, all_pieces, fences, nodes, pages, sources

LONGEST = 120  # characters of a line in a page; tables, headings and code are left alone
CODE = ("audiorec", "cli", "examples", "scripts", "benchmarks")
GLOSSARY = ROOT / "docs" / "glossary.md"
AS_WRITTEN = ("CHANGELOG.md", "docs/decisions/[0-9]*")  # the record of what was: words stay
NO_STYLE = (*AS_WRITTEN, "docs/glossary.md")
SHAPE = re.compile(r"\(([\w+*/ ²-]+(?:,[\w+*/ ².-]+)+|[\w+*/ -]+),?\)")
AXIS = re.compile(r"\d+|[A-Za-z]|[A-Za-z0-9] ?[+*/-] ?[A-Za-z0-9]")
STYLE_OFF = (
    "misc.capitalization.seasons",  # titles of songs have them
    "typography",  # signs are ours: straight quotes, three dots in examples
    "dates_times.dates",  # "from 2019-2021" is a range of a table
    "redundancy.misc.after_the_deadline",  # "in the future" of a forecast
    "weasel_words",
    "hedging",
    "annotations",
)
BULLET = re.compile(r"\s*(?:[-*+] |\d+\. )?")
BREAKS = re.compile(r"\s*([-*+] |\d+\. |[#|>]|```|<!--|!\[)")  # what begins something new
TWICE = re.compile(
    r"([A-Za-z]+)\s\1", re.IGNORECASE
)  # a word that is said twice; further apart it is a table
MEANT = ("for ever", "WITH REGARD TO")  # British; the licence of the weights


class Rule(NamedTuple):
    """A row of the glossary's table: what to say, what not, and where it may be said."""

    say: str
    words: list[str]
    places: list[str]  # patterns of paths
    phrases: list[str]  # that hold a word and are meant


def rules(text: str) -> list[Rule]:
    """Return the rows of the table below *Say, and not* in the glossary."""
    table = text.partition("## Say, and not")[2].partition("\n## ")[0]
    found = []
    for row in re.findall(r"^\| (?!say |---)(.+?) \| (.+?) \| ?(.*?) ?\|$", table, re.MULTILINE):
        excused = re.findall(r"`([^`]+)`", row[2])
        places = [text for text in excused if "/" in text or text.endswith(".md")]
        phrases = [text for text in excused if text not in places]
        found.append(Rule(row[0], [w.strip() for w in row[1].split(",")], places, phrases))
    return found


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Say whether a path fits one of some patterns."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def forbidden(pieces: Iterable[Piece], known: list[Rule]) -> Iterator[str]:
    """Yield a line for each forbidden word, by the file and line that it stands on."""
    forms = [
        (rule, re.compile(rf"(?<![\w./-])(?:{'|'.join(rule.words)})(?![\w/-])", re.IGNORECASE))
        for rule in known
    ]
    for piece in pieces:
        if matches(piece.path, AS_WRITTEN) or piece.path == "docs/glossary.md":
            continue
        for rule, form in forms:
            if matches(piece.path, rule.places):
                continue
            for match in form.finditer(piece.text):
                around = piece.text[max(0, match.start() - 40) : match.end() + 40]
                if any(phrase.lower() in around.lower() for phrase in rule.phrases):
                    continue
                line = piece.line + piece.text.count("\n", 0, match.start())
                yield f"{piece.path}:{line}: say {rule.say}, not {match[0]!r} ({piece.kind})"


def letters(text: str) -> set[str]:
    """Return the letters that the glossary's first table defines."""
    table = text.partition("| letter |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)
    return set(re.findall(r"`(\w)`", "".join(rows)))


def unknown_letters(docstrings: Iterable[tuple[str, int, str]], known: set[str]) -> Iterator[str]:
    """Yield a line for each letter of a shape that the glossary lacks."""
    for path, line, text in docstrings:
        for match in re.finditer(r"(shape )?" + SHAPE.pattern, text):
            axes = [axis.strip() for axis in match[2].split(",") if axis.strip()]
            is_shape = match[1] or (len(axes) > 1 and any(re.search("[A-Z]", a) for a in axes))
            if not is_shape or not all(AXIS.fullmatch(axis) for axis in axes):
                continue
            for letter in sorted(set(re.findall("[A-Za-z]", match[2])) - known):
                where = line + text.count("\n", 0, match.start())
                yield f"{path}:{where}: shape {match[0]}: the glossary has no letter {letter}"


def docstrings(paths: Iterable[Path], root: Path = ROOT) -> Iterator[tuple[str, int, str]]:
    """Yield path, line and text of every docstring."""
    for path in paths:
        for node in nodes(path):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node, clean=False)
                if text:
                    yield path.relative_to(root).as_posix(), node.body[0].lineno, text


def _pages_of_today() -> Iterator[tuple[str, int, str]]:
    for path in pages():
        name = path.relative_to(ROOT).as_posix()
        if not matches(name, AS_WRITTEN):
            yield name, 1, path.read_text(encoding="utf-8")


def too_long(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of what is longer than it may be and could be broken."""
    code = {
        number for start, _, body in fences(text) for number in range(start, start + len(body) + 2)
    }
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) <= LONGEST or number in code or re.match(r"\s*[|#]|\s*<!--", line):
            continue
        if " " in line.strip():
            yield number, line


def wrapped(text: str) -> str:
    """Break the lines that are too long; what is left of one goes before the next of its paragraph.

    No line begins with what would make a list or a heading of it.
    """
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if len(line) > LONGEST and number + 1 in dict(too_long("\n".join(lines))):
            mark = BULLET.match(line)[0]  # type: ignore[index]
            cut = max(
                (m.start() for m in re.finditer(r" (?![-*+#>|] |\d+[.)] )", line[: LONGEST + 1])),
                default=0,
            )
            if cut > len(mark):
                rest, indent = line[cut + 1 :], " " * len(mark)
                lines[number] = line[:cut]
                after = lines[number + 1] if number + 1 < len(lines) else ""
                if after.strip() and not BREAKS.match(after):
                    lines[number + 1] = f"{indent}{rest} {after.strip()}"
                else:
                    lines.insert(number + 1, indent + rest)
        number += 1
    return "\n".join(lines) + "\n"


def spelling(paths: Iterable[Path | str], root: Path = ROOT) -> list[str]:
    """Return what codespell finds, by the settings in pyproject.toml."""
    run = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, paths)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in (0, 65):
        raise RuntimeError(f"codespell: {run.stderr.strip()}")
    return [line.removeprefix("./") for line in run.stdout.splitlines() if " ==> " in line]


@cache
def linter() -> Callable[[str, str], list[tuple[int, str]]]:
    """Return a function from a name and a text to the lines and remarks of proselint."""
    from proselint.checks import __register__
    from proselint.registry import CheckRegistry
    from proselint.tools import LintFile

    CheckRegistry().register_many(__register__)

    def lint(name: str, text: str) -> list[tuple[int, str]]:
        page, faults = LintFile(name, text), []
        for found in page.lint():
            result = found.check_result
            there = page.content[slice(*result.span)].strip()
            is_table = "illusion" in result.check_path and not TWICE.fullmatch(there)
            if not (is_table or result.check_path.startswith(STYLE_OFF) or there in MEANT):
                line = page.content.count("\n", 0, result.span[0])
                faults.append((line, f"{result.message} ({result.check_path})"))
        return faults

    return lint


def style(pieces: Iterable[Piece]) -> Iterator[str]:
    """Yield a line for each fault of style that proselint finds.

    It reads a file at once: its docstrings, each on its lines.
    """
    lint = linter()
    read = (p for p in pieces if p.kind in ("page", "docstring") and not matches(p.path, NO_STYLE))
    for path, of_file in groupby(read, key=attrgetter("path")):
        text = ""
        for piece in sorted(of_file, key=attrgetter("line")):
            text += "\n" * (piece.line - 1 - text.count("\n")) + piece.text
        for line, message in lint(path, text):
            yield f"{path}:{line}: {message}"


def spelling_and_style() -> dict[str, list[str]]:
    """Return the faults that other programs find, by what was checked."""
    read = [path.relative_to(ROOT) for path in pages()]
    code = [name for name in CODE if (ROOT / name).is_dir()]  # a source archive has no benchmarks
    return {
        "misspellings": spelling([*read, *code]),
        "faults of style": list(style(all_pieces())),
    }


def words_and_lines() -> dict[str, list[str]]:
    """Return the faults that no package is needed for, by what was checked."""
    glossary = GLOSSARY.read_text(encoding="utf-8")
    long = [
        f"{name}:{number}: {len(line)} characters, {LONGEST} at most"
        for path in pages()
        for name in [path.relative_to(ROOT).as_posix()]
        for number, line in too_long(path.read_text(encoding="utf-8"))
    ]
    return {
        "forbidden words": list(forbidden(all_pieces(), rules(glossary))),
        "unknown names": list(prose_names.unknown([*docstrings(sources()), *_pages_of_today()])),
        "unknown letters": list(unknown_letters(docstrings(sources()), letters(glossary))),
        "long lines": long,
        "broken links": prose_links.broken(),
        "dead pages": prose_links.dead(),
        "figures of another page": [
            *prose_figures.stale(),
            *prose_figures.unlinked(),
            *prose_figures.flattering(),
        ],
        "blocks without a reason": prose_blocks.faults(prose_blocks.all_blocks()),
    }


def main() -> int:
    """Check everything, print faults and counts, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--external", action="store_true", help="list addresses on the web")
    parser.add_argument("--wrap", action="store_true", help="break lines that are too long")
    arguments = parser.parse_args()
    if arguments.external:
        print("\n".join(prose_links.external()))
        return 0
    if arguments.wrap:
        for path in pages():
            text = path.read_text(encoding="utf-8")
            if list(too_long(text)):
                path.write_text(wrapped(text), encoding="utf-8")
        return 0
    faults = spelling_and_style() | words_and_lines()
    for name, lines in faults.items():
        print(*lines, f"{name}: {len(lines)}", sep="\n")
    print(prose_blocks.count(prose_blocks.all_blocks()))
    lengths = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in pages())
    print(f"pages: {len(pages())}, lines: {lengths}, links out: {len(prose_links.external())}")
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main())
