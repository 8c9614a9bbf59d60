"""Count the words of the documentation by kind, and say how readable each page is.

    python scripts/docs_words.py [--at REVISION] [--pages]

The kinds are the headings of ``docs/contents.md``; README belongs to the first. Words are those of
prose and tables, without code, targets of links and comments. Reading ease is Flesch's, over the
sentences of prose (90: a child's book, 60: a newspaper, 30: a paper); syllables are groups of
vowels. The reading time of a path counts 230 words a minute. ``--at`` counts an earlier revision
beside today's, by today's kinds; ``--pages`` has a line for every page.
"""

import argparse
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from prose import ROOT, page_prose, pages

PATHS = {
    "an owner": (
        "README.md",
        "docs/tutorials/evening_playlist.md",
        "docs/owner.md",
        "docs/page.md",
        "docs/find.md",
        "docs/duplicates.md",
    ),
    "a team": (
        "README.md",
        "docs/tutorials/from_log.md",
        "docs/team.md",
        "docs/listening.md",
        "docs/recall.md",
        "docs/recommend.md",
        "docs/tutorials/new_song.md",
        "docs/cold_start.md",
        "docs/ranker.md",
        "docs/operations.md",
        "docs/compared_teams.md",
        "docs/benchmarks/recall.md",
    ),
    "a contributor": (
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/own_channel.md",
        "docs/glossary.md",
    ),
}
READ = ("Tutorials", "How to", "Models", "Explanation")  # what is to be read, and not looked up
MOST = 600  # words of a page that says how to
PER_MINUTE = 230
LINK = re.compile(r"^- \[[^]]+\]\(([^)#]+\.md)\)", re.MULTILINE)
WORD = re.compile(r"[A-Za-z0-9][\w'.,%-]*")


def words(text: str) -> int:
    """Return the words of a page's prose and tables."""
    return len(WORD.findall(page_prose(text)))


def syllables(word: str) -> int:
    """Return the syllables of a word: groups of vowels, without a silent e at its end."""
    return max(1, len(re.findall(r"[aeiouy]+", re.sub(r"(?<=\w)e$", "", word.lower()))))


def reading_ease(text: str) -> float:
    """Return Flesch's reading ease of a page's sentences; tables and headings are no sentences."""
    lines = [line for line in page_prose(text).splitlines() if not re.match(r"\s*[|#]", line)]
    sentences = [
        found
        for part in re.split(r"(?<=[.!?])\s+|\n\s*\n|\n\s*[-*] ", "\n".join(lines))
        if len(found := re.findall(r"[A-Za-z']+", part)) > 2
    ]
    every = [word for sentence in sentences for word in sentence]
    if not every:
        return float("nan")
    per_word = sum(map(syllables, every)) / len(every)
    return 206.835 - 1.015 * len(every) / len(sentences) - 84.6 * per_word


def kinds() -> dict[str, str]:
    """Return the kind of each page by its path."""
    text = (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    found = {
        "README.md": "Tutorials",
        "docs/index.md": "Tutorials",
        "docs/contents.md": "Reference",
    }
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        found |= {normpath(f"docs/{page}"): kind for page in LINK.findall(body)}
    return found


def kind_of(path: str, known: dict[str, str]) -> str:
    """Return the kind of a page; decisions and pages beside others have their own."""
    return "Decisions" if "/decisions/" in path else known.get(path, "Other")


def texts(revision: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of each page, of today or of a revision."""
    if not revision:
        for page in pages():
            yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
        return

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    for path in git("ls-tree", "-r", "--name-only", revision).splitlines():
        if path.endswith(".md") and (path == "README.md" or path.startswith("docs/")):
            yield path, git("show", f"{revision}:{path}")


def long_pages() -> list[str]:
    """Return a line for each page that says how to in too many words."""
    known = kinds()
    return [
        f"{path}: {count} words, {MOST} at most"
        for path, text in texts()
        if kind_of(path, known).startswith("How to") and (count := words(text)) > MOST
    ]


def print_kinds(title: str, counted: dict[str, str], known: dict[str, str]) -> None:
    """Print a line for each kind of pages, and one for all that are to be read."""
    found: dict[str, list[str]] = {}
    for path in counted:
        found.setdefault(kind_of(path, known), []).append(path)
    print(f"{title}: {sum(map(words, counted.values())):,} words, {len(counted)} pages")
    for kind, paths in sorted(found.items()):
        ease = statistics.median(reading_ease(counted[path]) for path in paths)
        count = sum(words(counted[path]) for path in paths)
        print(f"  {kind}: {count:,} words, {len(paths)} pages, reading ease {ease:.0f}")
    read = [text for path, text in counted.items() if kind_of(path, known).startswith(READ)]
    print(f"  to be read: {sum(map(words, read)):,} words, {len(read)} pages")


def main() -> None:
    """Print words by kind, reading times, and a line for each page if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="", help="an earlier revision")
    parser.add_argument("--pages", action="store_true", help="a line for each page")
    arguments = parser.parse_args()
    known, now = kinds(), dict(texts())
    before = dict(texts(arguments.at)) if arguments.at else {}
    for title, counted in ((arguments.at, before), ("today", now)):
        if counted:
            print_kinds(title, counted, known)
    for reader, path_of_reader in PATHS.items():
        count = sum(words(now[path]) for path in path_of_reader if path in now)
        print(f"the path of {reader}: {count:,} words, {count / PER_MINUTE:.0f} minutes")
    if arguments.pages:
        for path, text in sorted(now.items(), key=lambda one: (kind_of(one[0], known), one[0])):
            old = before.get(path, "")
            was = f"  {words(old):6,} {reading_ease(old):4.0f}" if old else ""
            name = PurePosixPath(path)
            print(
                f"{kind_of(path, known)}: {name}  {words(text):6,} {reading_ease(text):4.0f}{was}"
            )


if __name__ == "__main__":
    main()
