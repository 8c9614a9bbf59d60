"""Lay out search results as tables: for a terminal, a notebook, and pandas.

    ids, similarities, songs' columns ──one_query──▶ rank, similarity, song, artist, title
    ids, similarities (Q, k)          ──several_queries──▶ one row per query
                                      ──found_columns──▶ columns of a DataFrame

A long table is truncated, and states how many rows are hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.files.visible import clock, html_table, text_table
from audiorec.types import BoolArray, Float64Array

MOST_ROWS = 20  # rows per table; further rows are only counted
TAGS = ("artist", "title", "album", "duration_s")

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]], int]  # title, columns, rows, all


def one_query(
    song_ids: npt.NDArray[Any], similarities: Float64Array, songs: Sequence[Mapping[str, Any]]
) -> Table:
    """Return the neighbours of one query as a table; `songs` covers the first `MOST_ROWS`."""
    rows: list[tuple[object, ...]] = [
        (
            rank,
            float(similarities[rank - 1]),
            song["song_id"],
            song["artist"],
            song["title"],
            clock(song["duration_s"]),
        )
        for rank, song in enumerate(songs, 1)
    ]
    n = len(song_ids)
    columns = ("rank", "similarity", "song_id", "artist", "title", "length")
    return f"{n} neighbour{'s' * (n != 1)}", columns, rows, n


def several_queries(song_ids: npt.NDArray[Any], similarities: Float64Array) -> Table:
    """Return the nearest song of each query (Q, k), one row per query."""
    n, k = song_ids.shape
    rows: list[tuple[object, ...]] = [
        (query, song_ids[query, 0], float(similarities[query, 0]))
        for query in range(min(n, MOST_ROWS) if k else 0)
    ]
    return (
        f"up to {k} neighbours of each of {n} queries",
        ("query", "nearest", "similarity"),
        rows,
        n,
    )


def as_text(table: Table) -> str:
    """Format a table as lines of text."""
    title, columns, rows, n = table
    more = [f"… {n - len(rows)} more"] if n > len(rows) else []
    return "\n".join([title, *([text_table(columns, rows)] if rows else []), *more])


def as_html(table: Table) -> str:
    """Format a table as HTML; ids and tags are escaped."""
    title, columns, rows, n = table
    more = f", the first {len(rows)}" if n > len(rows) else ""
    return html_table(columns, rows, caption=title + more)


def found_columns(
    song_ids: npt.NDArray[Any],
    similarities: Float64Array,
    songs: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Return the result as columns, one row per neighbour; `songs` is for one query only."""
    if songs is not None:
        fixed = {"rank": np.arange(1, len(song_ids) + 1), "song_id": song_ids}
        tags = {name: [song[name] for song in songs] for name in TAGS}
        return {**fixed, "similarity": similarities, **tags}
    there: BoolArray = song_ids != np.array(None)
    query, place = np.nonzero(there)
    return {
        "query": query,
        "rank": place + 1,
        "song_id": song_ids[there],
        "similarity": similarities[there],
    }
