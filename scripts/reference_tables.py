"""Print the tables of the reference that code declares: channels, settings, columns, metrics.

    uv run python scripts/reference_tables.py

A page of ``docs/reference`` has the mark of each, ``<!-- the channels -->``, and the documentation
site has the table in its place (docs/conf.py). None is committed, so none can be out of date.
"""

import json
from collections.abc import Callable, Iterable

from audiorec.recall.contract.training import settings_of
from audiorec.recall.registry import CHANNELS, channel_class
from audiorec.recall.serving.export.schema import (
    FEATURES,
    ExportParts,
    SpaceColumns,
    export_tables,
)
from audiorec.runs.prometheus import MEANINGS

PARTS = ExportParts(
    channels=[("CHANNEL", "CHANNEL")],
    spaces=[
        SpaceColumns(slug="CHANNEL", channel="CHANNEL", width=40),
        SpaceColumns(slug="CHANNEL", channel="CHANNEL", width=32, of_interests=True),
    ],
    vector=84,
    unit=42,
)  # an export with everything that one may have


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown; a bar within a cell is escaped."""
    names = list(heads)
    lines = [names, ["---"] * len(names), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def channels() -> str:
    """Return a row for each channel of audiorec itself."""
    kinds = [channel_class(name) for name in CHANNELS.own()]
    rows = [
        (f"`{kind.name}`", str(kind.__doc__).partition("\n")[0], kind.horizon) for kind in kinds
    ]
    return table(("channel", "proposes", "horizon"), rows)


def settings() -> str:
    """Return a table for each channel that has settings."""
    found = {
        name: settings_of(getattr(channel_class(name), "Recipe", None)) for name in CHANNELS.own()
    }
    return "\n\n".join(
        f"### `{name}`\n\n"
        + table(
            ("setting", "default", "meaning"),
            [(f"`{one.name}`", f"`{json.dumps(one.default)}`", one.meaning) for one in rows],
        )
        for name, rows in found.items()
        if rows
    )


def columns() -> str:
    """Return the columns of each table of an export, without the features, which have formulas."""
    return "\n\n".join(
        f"**{one.name}**. {one.about}\n\n"
        + table(
            ("column", "kind", "meaning"),
            [(f"`{c.name}`", c.kind, c.about) for c in one.columns if c not in FEATURES],
        )
        for one in export_tables(PARTS)
    )


def metrics() -> str:
    """Return a row for each metric of a job."""
    return table(("metric", "meaning"), [(f"`{name}`", text) for name, text in MEANINGS.items()])


TABLES: dict[str, Callable[[], str]] = {
    "<!-- the channels -->": channels,
    "<!-- the settings of channels -->": settings,
    "<!-- the columns of an export -->": columns,
    "<!-- the metrics -->": metrics,
}

if __name__ == "__main__":
    for mark, made in TABLES.items():
        print(f"{mark}\n\n{made()}\n")
