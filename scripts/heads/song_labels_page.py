"""Print docs/model_cards/song_labels.md: the card of the head for whole songs.

    python scripts/heads/song_labels_page.py docs/model_cards/song_labels.json \
        docs/model_cards/song_labels_open.json > docs/model_cards/song_labels.md

The figures are those that `train_song_labels.py` and `train_open_labels.py` leave beside the heads.
"""

import argparse
import json
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_suffix(".md")
OUTSIDE = (
    "all", "without drum loops", "not electronic, without drum loops",
    "electronic, without drum loops", "hip hop",
)  # fmt: skip
Figures = dict[str, Any]


def page(found: Figures, free: Figures) -> str:
    """Return the whole page."""
    rows = {name: found["outside"][name] for name in OUTSIDE} | found["inside"]
    styles = found["styles"].items()
    test = found["test"]
    return WORDS.read_text().format(
        limit=f"{found['limit']:.2f}",
        table="\n".join(judged(name, of, found) for name, of in rows.items()),
        curve="\n".join(risk(*points) for points in points_of(found)),
        without="\n".join(without(name, of) for name, of in found["without a genre"].items()),
        styles="\n".join(style(name, of) for name, of in styles),
        test=row(TEST, test["all"]["rows"], "", *numbers(test["all"])[1:]),
        test_none=percent(test["none of the ten, clear"]),
        alone=f"{100 * test[TEN.format('443')]:.1f}",
        both=f"{100 * test[TEN.format('443 and 53')]:.1f}",
        open_limit=f"{free['limit']:.2f}",
        pieces=", ".join(f"{count} {name}" for name, count in free["pieces"].items()),
        open="\n".join(compared(found, free)),
    )


TEN, TEST = "GTZAN's ten, {}", "GTZAN test, by tags"
NAMES = {"jingju_arias": "Beijing opera", "sonic-pi-loops": "drum and other loops"}


def judged(name: str, curve: list[Figures], found: Figures) -> str:
    """Return the row of one set of songs: before, then today at the limit."""
    before = found["before"][name]
    at = next(point for point in curve if point["limit"] == found["limit"])
    first, two = percent(before["first"]), percent(before["two"])
    return row(name, at["rows"], f"{first}, {two}", *numbers(at)[1:])


def compared(found: Figures, free: Figures) -> list[str]:
    """Return the rows of the head from free audio beside those of the other, set by set."""
    ours, theirs = at_limit(found), at_limit(free)
    return [
        row(name.removesuffix(", artists left out"), of["rows"], *one[1:], *other[1:])
        for name, of in theirs.items()
        for one, other in [(numbers(ours[name]), numbers(of))]
    ]


def at_limit(figures: Figures) -> dict[str, Figures]:
    """Return the sets that both heads are judged by, each at its head's limit."""
    curves = {name: figures["outside"][name] for name in OUTSIDE[:4]}
    test, inside = figures.get("test", {}).get("all"), figures["inside"]
    for corpus in ("gtzan", "gtzan_actcv", "taggrams"):
        curves[corpus] = inside.get(corpus) or inside[f"{corpus}, artists left out"]
    found = {
        name: next(point for point in of if point["limit"] == figures["limit"])
        for name, of in curves.items()
    }
    return found | {TEST: test or inside[TEST][0]}


def numbers(at: Figures) -> tuple[object, ...]:
    """Return rows, right first, among two, clear and right if clear."""
    low, high = at["right_if_clear_95"]
    right = f"{percent(at['right_if_clear'])} [{100 * low:.0f}, {100 * high:.0f}]"
    return (at["rows"], percent(at["first"]), percent(at["two"]), percent(at["clear"]), right)


def points_of(found: Figures) -> list[tuple[Figures, ...]]:
    """Return the points of the curves that are printed, limit by limit."""
    names = ("without drum loops", "not electronic, without drum loops")
    outside = [found["outside"][name] for name in names]
    inside = [found["inside"][f"{corpus}, artists left out"] for corpus in ("gtzan", "gtzan_actcv")]
    return list(zip(*outside, *inside, strict=True))


def risk(*points: Figures) -> str:
    """Return a row of the curve of risk against coverage."""
    cells = [f"{percent(p['clear'])}, {percent(p['right_if_clear'])}" for p in points]
    return row(f"{points[0]['limit']:.2f}", *cells)


def style(name: str, found: Figures) -> str:
    """Return the row of a style at its limit, or at the last where it has none."""
    at = next((p for p in found["curve"] if p["limit"] == found["limit"]), None)
    shown = ("none", "", "") if at is None else (
        f"{at['limit']:.2f}", percent(at["found"]), percent(at["right"])
    )  # fmt: skip
    return row(name, found["songs"], found["artists"], *shown)


def without(name: str, found: Figures) -> str:
    """Return the row of a set of songs without a genre of the ten."""
    most = sorted(found["as"].items(), key=lambda item: -item[1])
    named = ", ".join(f"{genre} {count}" for genre, count in most)
    return row(NAMES.get(name, name), found["rows"], percent(found["clear"]), named)


def percent(share: float) -> str:
    """Return a share as whole percent."""
    return f"{100 * share:.0f} %"


def row(*cells: object) -> str:
    """Return the row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("free", type=Path, help="the same of the head from free audio")
    args = parser.parse_args()
    print(page(*(json.loads(path.read_text()) for path in (args.figures, args.free))), end="")


if __name__ == "__main__":
    main()
