"""Figures that stand on two pages: the one that copies a figure links to the one that measured it.

A figure is an estimate with its interval, such as ``0.859 [0.832, 0.886]`` or ``71 % [57, 89]``.
If one stands on two pages, one of the two has it as the text of a link to the other. And whatever
figures a link's text has, with an interval or without, the page that it leads to has them as well.
So a figure that is measured again goes red wherever it was copied to. Some figures flatter when
they stand alone: a page that links to one of these links to those where others are ahead as well.
"""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from prose import ROOT, pages, without_fences

AS_WRITTEN = ("CHANGELOG.md", "docs/decisions/*")  # the record of what was measured then
NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
ESTIMATE = re.compile(rf"({NUMBER})(?: %)?(?: ± [\d.]+)? \[({NUMBER})(?:, |\u2013)({NUMBER})\]")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s#]+)[^)]*\)")
FIGURE = re.compile(r"[\d.,\[\] %±\u00d7/\u2013-]+")  # a link's text that is nothing but figures
FLATTERS = {  # a figure on the page that measured it: the figures that must stand beside it
    ("heads.md", "95 %"): {("heads.md", "4 %")},  # electronic music: hip hop
    ("find.md", "0.71"): {("find.md", text) for text in ("0.81", "0.57", "0.66", "0.68", "0.72")},
    ("recall.md", "0.231"): {("recall.md", "0.151"), ("recall.md", "0.143")},  # both of implicit
    ("recall.md", "0.518"): {("recall.md", "2.11"), ("recall.md", "1.63")},  # fits beside implicit
    ("sequence.md", "2.7"): {("recall.md", "178.2"), ("recall.md", "134.9")},  # ten batches: a fit
    ("sequence.md", "0.0904"): {("recall.md", "0.0921"), ("recall.md", "0.0928")},
    ("interests.md", "0.096"): {("interests.md", "0.4122")},  # an untuned rival: one interest
    ("performance.md", "1.36"): {("performance.md", text) for text in ("0.84", "0.55", "0.91")},
}


class Copy(NamedTuple):
    """A link whose text is a figure: its page and line, the text, and the page it leads to."""

    page: str
    line: int
    text: str
    target: Path


def plain(page: Path) -> str:
    """Return a page without code and emphasis, its minus signs as hyphens."""
    text = without_fences(page.read_text(encoding="utf-8"))
    return text.replace("\N{MINUS SIGN}", "-").replace("*", "")


def estimates(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the place of each estimate in a text, and its value and interval."""
    for match in ESTIMATE.finditer(text):
        yield match.start(), match.groups()


def numbers(text: str) -> set[str]:
    """Return the numbers of a text that are no part of an estimate."""
    return set(re.findall(rf"(?<![\w.]){NUMBER}(?![\w])", ESTIMATE.sub(" ", text)))


def copies(page: Path, root: Path = ROOT) -> Iterator[Copy]:
    """Yield the links of a page whose text is a figure."""
    text = plain(page)
    for match in LINK.finditer(text):
        if FIGURE.fullmatch(match[1]) and not match[2].startswith("http"):
            line = text.count("\n", 0, match.start()) + 1
            target = (page.parent / unquote(match[2])).resolve()
            yield Copy(page.relative_to(root).as_posix(), line, match[1], target)


def stale(root: Path = ROOT) -> list[str]:
    """Return a line for each figure that the page it links to does not have."""
    faults = []
    for copy in (copy for page in pages(root) for copy in copies(page, root)):
        text = plain(copy.target) if copy.target.is_file() else ""
        there = {values for _, values in estimates(text)}
        lost = [values for _, values in estimates(copy.text) if values not in there]
        single = numbers(copy.text) - set(re.findall(NUMBER, text))
        if lost or single:
            name = copy.target.name
            faults.append(f"{copy.page}:{copy.line}: {name} has no figure {copy.text}")
    return faults


def flattering(root: Path = ROOT) -> list[str]:
    """Return a line for each figure that a page links to without those that belong beside it."""
    there: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for page in pages(root):
        for copy in copies(page, root):
            if found := re.match(rf"{NUMBER}(?: %)?", copy.text):
                there[copy.page].add((copy.target.name, found[0]))
    return [
        f"{page}: links to {figure[1]} of {figure[0]} without {text} of {name}, which belongs there"
        for page, linked in there.items()
        for figure in sorted(linked & set(FLATTERS))
        for name, text in sorted(FLATTERS[figure] - linked)
    ]


def unlinked(root: Path = ROOT) -> list[str]:
    """Return a line for each estimate of two pages of which neither links to the other."""
    found: dict[tuple[str, ...], dict[Path, int]] = defaultdict(dict)
    for page in pages(root):
        if not any(fnmatch.fnmatch(page.relative_to(root).as_posix(), p) for p in AS_WRITTEN):
            text = plain(page)
            for at, values in estimates(text):
                if any(float(v.replace(",", "")) for v in values):  # nothing is equal to nothing
                    found[values].setdefault(page, text.count("\n", 0, at) + 1)
    linked = {
        (values, root / copy.page, copy.target)
        for page in pages(root)
        for copy in copies(page, root)
        for _, values in estimates(copy.text)
    }
    return [
        f"{page.relative_to(root).as_posix()}:{line}: {values[0]} [{values[1]}, {values[2]}] "
        f"stands in {other.relative_to(root).as_posix()} too: make one of the two a link"
        for values, places in found.items()
        for page, line in places.items()
        for other in places
        if page > other and not _is_linked(values, page, other, linked)
    ]


def _is_linked(
    values: tuple[str, ...], one: Path, other: Path, linked: set[tuple[tuple[str, ...], Path, Path]]
) -> bool:
    """Say whether a figure links one page to the other, or both to a third."""
    targets = [{t for v, page, t in linked if (v, page) == (values, p)} for p in (one, other)]
    return other in targets[0] or one in targets[1] or bool(targets[0] & targets[1])
