"""Print docs/model_cards/song_labels.md: the card of the head for whole songs.

    python scripts/song_labels_page.py docs/model_cards/song_labels.json \
        > docs/model_cards/song_labels.md

The figures are those that `train_song_labels.py` leaves beside the head.
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


def page(found: Figures) -> str:
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
        test=row("GTZAN test, by tags", test["all"]["rows"], "", *numbers(test["all"])[1:]),
        test_none=percent(test["none of the ten, clear"]),
        alone=f"{100 * test[TEN.format('443')]:.1f}",
        both=f"{100 * test[TEN.format('443 and 53')]:.1f}",
    )


TEN = "GTZAN's ten, {}"
NAMES = {"jingju_arias": "Beijing opera", "sonic-pi-loops": "drum and other loops"}


def judged(name: str, curve: list[Figures], found: Figures) -> str:
    """Return the row of one set of songs: before, then today at the limit."""
    before = found["before"][name]
    at = next(point for point in curve if point["limit"] == found["limit"])
    first, two = percent(before["first"]), percent(before["two"])
    return row(name, at["rows"], f"{first}, {two}", *numbers(at)[1:])


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
    print(page(json.loads(parser.parse_args().figures.read_text())), end="")


if __name__ == "__main__":
    main()
