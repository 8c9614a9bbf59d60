"""What would make lists of a store better, told once per store on a terminal.

What has been told is kept in ``hints.json`` in the user's data folder, not beside the store, which
may be read-only. Where it cannot be kept, it is told again.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import AudiorecError
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import own_data_folder, read_own, replaced
from audiorec_cli.shared.console import say

if TYPE_CHECKING:
    from audiorec.library.library import Library

FILE = "hints.json"
MOST_BYTES = 1 << 20
MOST_STORES = 500
TAGGED = 0.5  # share of songs with an artist, at least


def hint_once(store: "Library", by: str | Path, *, silent: bool = False) -> None:
    """Print what would make lists of a store better, each hint once; nothing but on a terminal."""
    if silent or not (sys.stdout.isatty() and sys.stderr.isatty()):
        return
    place = str(store.path.resolve())
    told = _told()
    new = {kind: line for kind, line in _hints(store, by) if kind not in told.get(place, ())}
    for line in new.values():
        say(f"hint: {line}")
    if new:
        kept = {name: kinds for name, kinds in told.items() if name != place}
        _keep({**kept, place: sorted({*told.get(place, ()), *new})})


def _hints(store: "Library", by: str | Path) -> Iterator[tuple[str, str]]:
    """Yield what the store lacks: its kind, and what to run."""
    basis = store.default_space(by)
    if str(by) == "auto" and basis.by == "vector" and basis.note:
        yield "sound", basis.note
    artists = store.column("artist")
    if len(store) and (len(artists) - artists.null_count) / len(artists) < TAGGED:
        line = (
            f"{artists.null_count:,} of {len(artists):,} songs have no artist tag, so limits per "
            "artist pass them: tag the files, and run audiorec extract again"
        )
        yield "tags", line


def _told() -> dict[str, list[str]]:
    """Return the kinds of hints that were told, by store; nothing if they cannot be read."""
    try:
        text = read_own(own_data_folder() / FILE, MOST_BYTES)
        content: Any = parse_json(text, max_bytes=MOST_BYTES)
    except (AudiorecError, OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        name: [kind for kind in kinds if isinstance(kind, str)]
        for name, kinds in content.items()
        if isinstance(kinds, list)
    }


def _keep(told: Mapping[str, list[str]]) -> None:
    newest = dict(list(told.items())[-MOST_STORES:])
    try:
        folder = own_data_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(folder / FILE) as temporary:
            temporary.write_text(json.dumps(newest, indent=1) + "\n", encoding="utf-8")
    except (AudiorecError, OSError):
        return
