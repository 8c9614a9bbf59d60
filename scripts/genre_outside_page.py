"""Print docs/model_cards/genre_outside.md: every piece of other makers, and what it is called.

    python scripts/genre_outside_page.py docs/model_cards/head_figures.json \
        > docs/model_cards/genre_outside.md

The figures are those that `train_heads.py` leaves beside the heads.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from head_outside import MAKERS

TOP = """# Genre outside GTZAN, piece by piece

What lies behind the outside figure of the genre head's [model card](heads.md). Each piece was
judged by a head that heard nothing of its maker: three answers with their mean scores. A label is
the word of its maker. Where the head fails can be read from it: trap loops, most of *Hiphop* below,
are called electronic, and so is some orchestral game music.

Written by `python scripts/genre_outside_page.py docs/model_cards/head_figures.json`.
"""
LISTED = """
## Songs that nobody labelled

Twelve songs of Jonathan Coulton, by the shipped head, which heard none of them.
"""
HEAD = "| piece | first | second | third |\n|---|---|---|---|"


def page(found: dict[str, Any]) -> str:
    """Return the whole page, of the figures of genre."""
    pieces = found["outside, maker left out"]["pieces"]
    lines = [TOP]
    for genre in dict.fromkeys(maker.genre for maker in MAKERS):
        lines.append(f"## {genre.capitalize()}\n\n{HEAD}")
        makers = [maker for maker in MAKERS if maker.genre == genre]
        for name, answers in pieces.items():
            corpus, stem = name.split("/")[0], name.rsplit("/", 1)[1]
            here = [m for m in makers if m.corpus == corpus]
            if any(not m.marks or any(mark in stem for mark in m.marks) for m in here):
                lines.append(f"| {name} | {' | '.join(answers)} |")
        lines.append("")
    lines.append(f"{LISTED.lstrip()}\n{HEAD}")
    lines += [f"| {name} | {' | '.join(answers)} |" for name, answers in found["listed"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    print(page(json.loads(parser.parse_args().figures.read_text())["genre"]), end="")


if __name__ == "__main__":
    main()
