"""Turn the JSON lines of a benchmark into a Markdown table for the docs.

    python -m benchmarks bench_peers ... | python -m benchmarks table [COLUMN ...]

One table for all lines with the same keys, in the order of their first lines, of all columns or of
those named; three numbers in a list are a minimum, a median and a maximum and are written
``median [min–max]``.
"""

import json
import sys
from collections.abc import Collection, Iterable

HIDDEN = ("machine", "python", "onnxruntime")


def cell(value: object) -> str:
    """Return one figure as text."""
    if isinstance(value, list) and len(value) == 3:
        low, middle, high = value
        return f"{middle} [{low}–{high}]"  # noqa: RUF001
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def tables(lines: Iterable[str], wanted: Collection[str] = ()) -> Iterable[str]:
    """Yield the lines of all tables, with the columns that are wanted or with all."""
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    groups: dict[tuple[str, ...], list[dict[str, object]]] = {}
    for row in rows:
        shown = (c for c in row if c not in HIDDEN and (not wanted or c in wanted))
        groups.setdefault(tuple(shown), []).append(row)
    for columns, group in groups.items():
        yield "| " + " | ".join(c.replace("_", " ") for c in columns) + " |"
        yield "|" + "---|" * len(columns)
        for row in group:
            yield "| " + " | ".join(cell(row[c]) for c in columns) + " |"
        yield ""


if __name__ == "__main__":
    print("\n".join(tables(sys.stdin, sys.argv[1:])))
