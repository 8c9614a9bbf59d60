"""Write docs/benchmarks/genre_outside.md, and every piece of other makers beside it as CSV.

    python scripts/heads/genre_outside_page.py docs/model_cards/head_figures.json \
        docs/benchmarks/genre_outside.md

The figures are those that `train_heads.py` leaves beside the heads.
"""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from head_card import places_of, row
from head_outside import MAKERS, shares_of

TOP = """# Genre outside GTZAN, piece by piece

What lies behind the outside figure of the genre head's [model card](../model_cards/heads.md). Each
piece was judged by a head that heard nothing of its maker: three answers with their mean scores. A
label is the word of its maker. Where the head fails can be read from it: trap loops, most of
what is hip hop here, are called electronic, and so is some orchestral game music. The same recipe
on GTZAN alone, which has no electronic music, calls none of it so: it is right about none of the
electronic pieces, and about most of the others, where what was learnt from other makers does harm.

Written by `python scripts/heads/genre_outside_page.py docs/model_cards/head_figures.json
docs/benchmarks/genre_outside.md`. Intervals are over makers:

| | pieces | makers | right first | in the top three |
|---|---|---|---|---|
{rows}
"""
END = """
[genre_outside.csv](genre_outside.csv) has every piece. Those without a genre are twelve songs of
Jonathan Coulton that nobody labelled, by the shipped head, which heard none of them.
"""
Answers = dict[str, list[str]]


def by_genre(pieces: Answers) -> dict[str, Answers]:
    """Return the pieces and their answers by the genre that their maker names."""
    found: dict[str, Answers] = {maker.genre: {} for maker in MAKERS}
    for name, answers in pieces.items():
        corpus, stem = name.split("/")[0], name.rsplit("/", 1)[1]
        for maker in MAKERS:
            marked = not maker.marks or any(mark in stem for mark in maker.marks)
            if maker.corpus == corpus and marked:
                found[maker.genre][name] = answers
    return found


def total(name: str, genres: dict[str, Answers]) -> str:
    """Return the row of some genres: pieces, makers, and the shares right."""
    pieces = [(genre, *item) for genre, found in genres.items() for item in found.items()]
    maker = np.array([piece.split("/")[0] for _, piece, _ in pieces])
    place = np.array(
        [[*(a.split()[0] for a in answers), genre].index(genre) for genre, _, answers in pieces]
    )
    return row(name, len(pieces), len(set(maker)), *places_of(shares_of(place, maker)))


def totals(found: dict[str, Any]) -> list[str]:
    """Return the rows of all pieces, by the shipped recipe and by the same on GTZAN alone."""
    lines = []
    for kind, of in (("maker left out", ""), ("no maker heard", ", learnt from GTZAN alone")):
        genres = by_genre(found[f"outside, {kind}"]["pieces"])
        rest = {genre: pieces for genre, pieces in genres.items() if genre != "electronic"}
        lines += [total(f"all{of}", genres), total(f"not electronic{of}", rest)]
    return lines


def page(found: dict[str, Any]) -> str:
    """Return the page, of the figures of genre."""
    return TOP.format(rows="\n".join(totals(found))) + END


def table(found: dict[str, Any]) -> str:
    """Return the CSV of all pieces: the genre that the maker names, and three answers."""
    genres = by_genre(found["outside, maker left out"]["pieces"]) | {"": found["listed"]}
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(("genre", "piece", "first", "second", "third"))
    for genre, pieces in genres.items():
        for name, answers in pieces.items():
            write((genre, name, *answers))
    return out.getvalue()


def main() -> None:
    """Write the page and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    found = json.loads(args.figures.read_text())["genre"]
    args.page.write_text(page(found))
    args.page.with_suffix(".csv").write_text(table(found))


if __name__ == "__main__":
    main()
