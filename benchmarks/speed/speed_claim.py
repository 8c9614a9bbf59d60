"""Say from where to where audiorec is as fast as bliss, and in which rows bliss is ahead.

    python -m benchmarks bench_peers ... > LINES; python -m benchmarks speed_claim LINES...
    python -m benchmarks speed_claim docs/benchmarks/performance.md

From the lines of ``bench_peers``, or from the tables of the page that were made of them. Prints a
JSON line for each way to measure: the lowest and the highest ratio over all rows, and the rows by
who is ahead. What is said of speed anywhere is said by these lines, so no row is left out.
"""

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from prose import tables

MEASURES = ("CPU time of one core", "wall clock, one process", "wall clock, two processes")


class Row(NamedTuple):
    """One song in one format: how many times as fast as bliss audiorec is, by each measure."""

    name: str
    times: tuple[float, float, float]


def from_reports(reports: Iterable[dict[str, Any]]) -> list[Row]:
    """Return the rows of what ``bench_peers`` reports; those of other peers are passed over."""
    found: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for line in reports:
        if line.get("bench", "").startswith("peers/"):
            song = found.setdefault((line["format"], line["audio_s"]), {})
            song[line["bench"].removeprefix("peers/")] = line
    rows = []
    for (form, seconds), song in found.items():
        if not {"audiorec", "bliss"} <= set(song):
            continue
        walls = (
            median(song["audiorec"][wall]) / median(song["bliss"][wall])
            for wall in ("x_wall", "x_wall_of_two")
        )
        times = (median(song["bliss"]["audiorec_is_faster_by"]), *walls)
        rows.append(Row(f"{form} of {seconds:.0f} s", times))
    return rows


def from_page(text: str) -> list[Row]:
    """Return the rows of the two tables in which bliss stands on the page of performance."""
    rows = []
    for headings, *body in tables(text):
        if headings[0] == "four-minute MP3":
            song = {cells[0]: [float(cell.split()[0]) for cell in cells[1:]] for cells in body}
            ours, theirs = song["plain `extract`"], song["bliss"]
            walls = (a / b for a, b in zip(ours[1:3], theirs[1:3], strict=True))
            rows.append(Row("four minutes of MP3", (theirs[3], *walls)))
        elif headings[0].startswith("one minute"):
            for name, our_cell, _, their_cell, faster in body:
                pairs = zip(our_cell.split("; "), their_cell.split("; "), strict=True)
                _, *walls = (float(a) / float(b) for a, b in pairs)
                rows.append(Row(name, (float(faster.split()[0]), *walls)))
    return rows


def claim(rows: list[Row]) -> list[dict[str, object]]:
    """Return a line for each way to measure: the range over all rows, and who is ahead in which."""
    lines: list[dict[str, object]] = []
    for number, measure in enumerate(MEASURES):
        times = {row.name: row.times[number] for row in rows}
        lines.append(
            {
                "beside_bliss": measure,
                "from": f"{min(times.values()):.2f}",
                "to": f"{max(times.values()):.2f}",
                "audiorec_ahead": ", ".join(n for n, ratio in times.items() if ratio > 1) or "none",
                "bliss_ahead": ", ".join(n for n, ratio in times.items() if ratio < 1) or "none",
            }
        )
    return lines


def main() -> None:
    """Read files of lines, or the page, and print the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    rows: list[Row] = []
    for file in parser.parse_args().files:
        text = file.read_text(encoding="utf-8")
        is_page = re.search(r"^\|", text, re.MULTILINE)
        lines = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
        rows += from_page(text) if is_page else from_reports(lines)
    if not rows:
        parser.error("no row has both audiorec and bliss")
    for line in claim(rows):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
