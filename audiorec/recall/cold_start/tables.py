"""Formats of the cold-start output files.

===================  =================================================================
column               what
===================  =================================================================
song_id, user_id     text; in lists of songs the user comes first
similarity           float32: the cosine
rank                 int32: rank in the list, from 1
exposure_share       float32: the candidate's share of the list's exposures, sum 1
preference_songs     int32, if there are tastes: number of liked songs in the user's taste
===================  =================================================================

Lists are sorted by id, rows of a list by rank. If listening and vectors were given, user features
for a ranker are written beside them, in ``<stem>.tastes.parquet`` (`taste_schema`). Both files have
the fingerprint of the job, so that a reader can check that they belong together.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.distribution import created_by
from audiorec.errors import StoreError
from audiorec.files.arrow import float_array, floats, integers, one_chunk, view
from audiorec.files.tables import TableFile
from audiorec.recall.cold_start.assign import ListedPairs, ListOf, Tastes
from audiorec.recall.cold_start.sides import Side
from audiorec.store.schema import METADATA_KEY, own_metadata, vector_array, vector_type
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array, nth

FORMAT_VERSION = 1
TASTES_VERSION = 1
TASTES = "tastes"
SHOWN_LISTS = 10  # lists in a summary
KINDS: dict[ListOf, str] = {"audience": "audiences", "songs": "song_lists"}
IDS: dict[ListOf, tuple[str, str]] = {
    "audience": (ListColumns.SONG, ListColumns.USER),
    "songs": (ListColumns.USER, ListColumns.SONG),
}


def list_schema(lists: ListOf, info: Mapping[str, Any], *, tastes: bool) -> Any:
    """Return the schema of a file of lists; `info` goes into its metadata.

    It has a column of preferences if there are `tastes`.
    """
    columns = [(name, pa.string()) for name in IDS[lists]]
    columns += [
        ("similarity", pa.float32()),
        ("rank", pa.int32()),
        ("exposure_share", pa.float32()),
    ]
    if tastes:
        columns.append(("preference_songs", pa.int32()))
    return _schema(columns, {"kind": KINDS[lists], "format_version": FORMAT_VERSION, **info})


def taste_schema(info: Mapping[str, Any], width: int) -> Any:
    """Return the schema of a file of tastes over vectors of `width` numbers.

    ===================  =================================================================
    user_id              text; one row per user with a liked song with a vector, by id
    preference_songs     int32: the number of these songs
    preference_mean      list of float32[V]: the weighted mean of their vectors
    preference_spread    list of float32[V]: their weighted standard deviation
    ===================  =================================================================
    """
    columns = [(ListColumns.USER, pa.string()), ("preference_songs", pa.int32())]
    columns += [(f"preference_{n}", vector_type(width)) for n in ("mean", "spread")]
    return _schema(columns, {"kind": TASTES, "format_version": TASTES_VERSION, **info})


def _schema(columns: list[tuple[str, Any]], metadata: dict[str, Any]) -> Any:
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns]
    about = {**metadata, "created_by": created_by()}
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(about).encode()})


def tastes_path(lists: Path) -> Path:
    """Return the path of the tastes of a file of lists.

    Examples
    --------
    >>> tastes_path(Path("night/audience.parquet")).as_posix()
    'night/audience.tastes.parquet'
    """
    return lists.with_name(f"{lists.stem}.tastes.parquet")


def taste_table(users: Side, tastes: Tastes, rows: Int64Array, schema: Any) -> Any:
    """Return the tastes of the given users as a table."""
    features = tastes.features(rows)
    columns = {
        ListColumns.USER: users.id_array.take(integers(rows)),
        "preference_songs": integers(features.songs),
        "preference_mean": vector_array(features.mean),
        "preference_spread": vector_array(features.spread),
    }
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def remove_tastes(lists: Path) -> None:
    """Remove a file of tastes left by an earlier job; keep a file of another kind."""
    path = tastes_path(lists)
    if not path.exists():
        return
    with suppress(StoreError), TableFile.open(path) as file:
        result = own_metadata(file.schema)
        if result.get("kind") == TASTES:
            path.unlink()


def list_table(
    lists: ListOf,
    songs: Side,
    users: Side,
    pairs: ListedPairs,
    schema: Any,
    tastes: Tastes | None,
) -> Any:
    """Return the rows of lists as a table; `pairs` are sorted by list, most similar first."""
    group = pairs.song if lists == "audience" else pairs.user
    rank = nth(group)
    columns: dict[str, Any] = {
        ListColumns.SONG: songs.id_array.take(integers(pairs.song)),
        ListColumns.USER: users.id_array.take(integers(pairs.user)),
        "similarity": float_array(np.clip(pairs.similarity, -1.0, 1.0)),
        "rank": integers(rank + 1),
        "exposure_share": float_array(_exposure_shares(rank)),
    }
    if tastes is not None:
        columns["preference_songs"] = integers(tastes.counts[pairs.user])
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def pair_schema(what: str, identity: str) -> Any:
    """Return the schema of intermediate pairs of a job."""
    columns = [("song", pa.int32()), ("user", pa.int32()), ("similarity", pa.float32())]
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns]
    metadata = json.dumps({"kind": what, "fingerprint": identity})
    return pa.schema(fields, metadata={METADATA_KEY: metadata.encode()})


def pair_table(pairs: ListedPairs, schema: Any) -> Any:
    """Return pairs as a table."""
    arrays = [integers(pairs.song), integers(pairs.user), float_array(pairs.similarity)]
    arrays = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def read_pairs(path: Path) -> ListedPairs:
    """Read pairs from a file written from `pair_table`."""
    with TableFile.open(path) as file:
        table = file.read()
    song, user = (view(one_chunk(table.column(name)), np.int32) for name in ("song", "user"))
    chunks = [floats(chunk) for chunk in table.column("similarity").chunks]
    return ListedPairs(song, user, np.concatenate([np.empty(0, np.float32), *chunks]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryList:
    """One list of a summary."""

    of: str  # the song or user that the list belongs to
    length: int
    best: float  # similarity of the first candidate
    first: tuple[str, ...]  # the first candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSummary:
    """Summary of a file of lists."""

    rows: int
    filled: int  # lists with at least one candidate
    full: int  # lists of the requested length
    shown: tuple[SummaryList, ...]  # the first lists


def summarise_lists(path: Path, k: int, *, candidates: int = 3) -> ListSummary:
    """Summarise a file of lists of length `k`: counts, and its first lists."""
    rows = filled = full = 0
    shown: list[SummaryList] = []
    with TableFile.open(path) as file:
        names = file.schema.names[:2]
        for group in range(file.file.num_row_groups):
            rank = view(one_chunk(file.read_group(group, ["rank"]).column("rank")), np.int32)
            if filled <= SHOWN_LISTS and len(rank):
                table = file.read_group(group, [*names, "similarity"])
                _show(table.select([*names, "similarity"]), rank, shown, filled, candidates)
            rows += len(rank)
            filled += int((rank == 1).sum())
            full += int((rank == k).sum())
    return ListSummary(rows=rows, filled=filled, full=full, shown=tuple(shown))


def _show(
    table: Any, rank: Int32Array, shown: list[SummaryList], before: int, candidates: int
) -> None:
    """Add a row group's part of the first lists; `before` lists started in earlier groups."""
    starts = np.flatnonzero(rank == 1)
    lead = int(starts[0]) if len(starts) else len(rank)  # rows of a list continued from before
    if lead and before == len(shown):
        last = shown[-1]
        more = table.column(1)[: min(lead, candidates - len(last.first))].to_pylist()
        shown[-1] = replace(last, length=last.length + lead, first=(*last.first, *more))
    ends = [*starts[1:].tolist(), len(rank)]
    new = list(zip(starts.tolist(), ends, strict=False))[: SHOWN_LISTS - len(shown)]
    for start, end in new:
        of, first, best = (table.column(i)[start : min(end, start + candidates)] for i in range(3))
        shown.append(
            SummaryList(
                of=of[0].as_py(),
                length=end - start,
                best=best[0].as_py(),
                first=tuple(first.to_pylist()),
            )
        )


def rank_weights(rank: Int64Array) -> Float64Array:
    """Return the exposure weight of a candidate by its rank from 0: shape (n,).

    Examples
    --------
    >>> rank_weights(np.arange(4)).round(3).tolist()
    [1.0, 0.631, 0.5, 0.431]
    """
    return 1.0 / np.log2(2.0 + rank)


def _exposure_shares(rank: Int64Array) -> FloatArray:
    """Return each pair's share of the exposures of its list, given its rank from 0."""
    starts = np.flatnonzero(rank == 0)
    lengths = np.diff(np.append(starts, len(rank)))
    weight = rank_weights(rank)
    shares = weight / np.repeat(np.add.reduceat(weight, starts), lengths) if len(rank) else weight
    return shares.astype(np.float32)
