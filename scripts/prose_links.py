"""Links of the pages: where each leads, and which of them lead nowhere.

Links within the repository are looked up, headings included; addresses on the web are listed and
not fetched, since CI has no network.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from prose import ROOT, blank, pages, without_fences

LINK = re.compile(r"(?<!\\)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ROOT_PAGE = "docs/index.md"


def text_of(path: Path) -> str:
    """Return a page without its code."""
    return blank(without_fences(path.read_text(encoding="utf-8")), r"(`+)(?!`).+?(?<!`)\1(?!`)")


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and target of each link and picture of a page."""
    text = without_fences(path.read_text(encoding="utf-8"))
    code = text_of(path)
    for match in LINK.finditer(text):
        if code[match.start()] == "]":  # not in code
            yield text.count("\n", 0, match.start()) + 1, match[1]


def anchors(path: Path) -> set[str]:
    """Return the anchors that a code host gives the headings of a page."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(without_fences(path.read_text(encoding="utf-8"))):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f"{slug}-{count}"] = 1
    return set(found)


def broken(root: Path = ROOT) -> list[str]:
    """Return a line for each link within the repository that leads nowhere."""
    faults, known = [], dict[Path, set[str]]()
    for page in pages(root):
        for line, target in links(page):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / unquote(name)).resolve() if name else page
            place = f"{page.relative_to(root).as_posix()}:{line}: {target}"
            if not path.exists():
                faults.append(f"{place}: no such file")
            elif anchor and path.suffix == ".md":
                if path not in known:
                    known[path] = anchors(path)
                if anchor not in known[path]:
                    faults.append(f"{place}: no heading with this anchor")
    return faults


def external(root: Path = ROOT) -> list[str]:
    """Return the addresses on the web that pages link to."""
    return sorted({t for page in pages(root) for _, t in links(page) if t.startswith("http")})


def dead(root: Path = ROOT) -> list[str]:
    """Return the pages that cannot be reached from the first page of the documentation."""
    first = (root / ROOT_PAGE).resolve()
    first = first if first.is_file() else (root / "README.md").resolve()  # before there was one
    reached, waiting = {first}, [first]
    while waiting:
        page = waiting.pop()
        for _, target in links(page):
            path = (page.parent / unquote(target.partition("#")[0])).resolve()
            if path.suffix == ".md" and path.is_file() and path not in reached:
                reached.add(path)
                waiting.append(path)
    return [
        f"{page.relative_to(root).as_posix()}: no way leads here from {ROOT_PAGE}"
        for page in pages(root)
        if page.resolve() not in reached
    ]
