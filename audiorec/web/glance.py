"""The library at a glance: bars of songs by genre, year, tempo, length, format and artist.

Each bar has the condition that selects its songs, as ``find --only`` and the page's search take it,
and counts what that condition selects.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from audiorec.search.filters import (
    TEXT_COLUMNS,
    UNKNOWN,
    matching,
    numbers_of,
    parse_conditions,
    text_codes,
)
from audiorec.web.song_columns import SongColumns, class_words

MOST_BARS = 12
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 10, 15)  # minutes
SLOWEST, FASTEST, BEATS = 60, 190, 10
FEW_YEARS = 20  # more are shown by decade
Bar = tuple[str, str]  # what it is called, and its condition


def glance_of(shelf: SongColumns) -> dict[str, Any]:
    """Return totals of a library and its charts, in values that JSON can hold."""
    library = shelf.library
    charts = {
        "genre": _genres(shelf),
        "year": _years(shelf),
        "tempo": _tempi(shelf),
        "length": _lengths(),
        "format": _texts(shelf, "codec"),
        "artist": _texts(shelf, "artist"),
    }
    with shelf.lock:
        artists, albums = (len(text_codes(library, n)[1]) for n in ("artist", "album"))
        seconds = float(sum(library.column("duration_s").to_pylist()))
        counted = {
            name: [
                {"label": label, "only": only, "songs": int(n)}
                for label, only in bars
                if (n := matching(library, parse_conditions(only)).sum())
            ]
            for name, bars in charts.items()
        }
    return {
        "songs": len(library),
        "music": int(library.music.sum()),
        "hours": round(seconds / 3600, 1),
        "artists": artists,
        "albums": albums,
        "charts": counted,
    }


def _genres(shelf: SongColumns) -> Iterator[Bar]:
    for name in shelf.heads.get("genre", ()):
        yield class_words(f"genre/{name}"), f"genre={name}"


def _years(shelf: SongColumns) -> Iterator[Bar]:
    if "year" not in shelf.library.metadata.tags:
        return
    years = numbers_of(shelf.library, "year")
    known = np.unique(years[~np.isnan(years)]).astype(int)
    if len(known) and known[-1] - known[0] < FEW_YEARS:
        yield from ((str(year), f"year={year}") for year in known.tolist())
    else:
        for decade in np.unique(known // 10 * 10).tolist():
            yield f"{decade}s", f"year>={decade}, year<{decade + 10}"


def _tempi(shelf: SongColumns) -> Iterator[Bar]:
    if "bpm" not in shelf.library.metadata.attributes:
        return
    yield f"under {SLOWEST}", f"bpm<{SLOWEST}"
    for bpm in range(SLOWEST, FASTEST, BEATS):
        yield f"{bpm} to {bpm + BEATS - 1}", f"bpm>={bpm}, bpm<{bpm + BEATS}"
    yield f"{FASTEST} and more", f"bpm>={FASTEST}"


def _lengths() -> Iterator[Bar]:
    for low, high in pairwise(LENGTHS):
        yield f"{low} to {high} min", f"duration>={low}:00, duration<{high}:00"
    yield f"{LENGTHS[-1]} min and more", f"duration>={LENGTHS[-1]}:00"


def _texts(shelf: SongColumns, column: str) -> Iterator[Bar]:
    assert column in TEXT_COLUMNS  # noqa: S101 - a condition's name
    codes, texts = text_codes(shelf.library, column)
    for code, _ in Counter(codes[codes != UNKNOWN].tolist()).most_common(MOST_BARS):
        quoted = texts[code].replace('"', '""')
        yield texts[code][:100], f'{column}="{quoted}"'
