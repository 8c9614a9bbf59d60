"""Read the Parquet files of Yambda, Yandex Music's data set of listens, likes and dislikes.

    listens.parquet      uid, item_id, timestamp, is_organic, played_ratio_pct, ...  ──▶  play
    likes.parquet        uid, item_id, timestamp, is_organic                         ──▶  like
    dislikes.parquet     the same                                                    ──▶  dislike
    multi_event.parquet  all of them, told apart by event_type

The file name tells the kind of its rows. In ``sequential`` files each row is a user, and the other
columns are lists. ``timestamp`` counts seconds from an unpublished origin, in steps of five; it is
added to `ORIGIN`, so order and intervals are right, but dates are not. ``played_ratio_pct`` above
100 means that the listener rewound, and counts as 1. ``unlike`` and ``undislike`` revoke an event,
which a log cannot express: they are rejected. ``is_organic`` becomes ``entry``: ``organic`` or
``recommended``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, MissingFileError
from audiorec.files.arrow import open_parquet
from audiorec.files.user_files import column_list, input_errors
from audiorec.listening.events import FIRST_S, LAST_S, to_floats
from audiorec.listening.imports.rows import ImportedBlock, RejectedRow, SourceRow, stored_text

FAILURE = "cannot be read"
ORIGIN = 946_684_800.0  # seconds since 1970: start of the year 2000, an arbitrary choice
EVENTS = {"listen": "play", "like": "like", "dislike": "dislike"}
TAKEN_BACK = ("unlike", "undislike")
BATCH_ROWS = 1 << 16
NEEDED = ("uid", "item_id", "timestamp")
OPTIONAL = ("is_organic", "played_ratio_pct", "event_type")
PERCENT = 100.0


def read(paths: Sequence[Path], _user: str) -> Iterator[SourceRow]:
    """Yield the rows of each file in blocks."""
    for path in paths:
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
        with input_errors(path, FAILURE), open_parquet(path, memory_map=True) as file:
            yield from _file(path, file)


def _file(path: Path, file: Any) -> Iterator[SourceRow]:
    names = file.schema_arrow.names
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DamagedFileError(f"{path}: has no column {missing[0]!r}; it has {column_list(names)}")
    kind = _kind(path, names)
    columns = [*NEEDED, *(name for name in OPTIONAL if name in names)]
    row = 1
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        batch.validate(full=True)
        for flat in _flat(batch):
            yield from _events(str(path), row, flat, kind)
            row += flat.num_rows


def _kind(path: Path, names: Sequence[str]) -> str | None:
    """Return the kind of all rows; None if a column gives it per row."""
    if "event_type" in names:
        return None
    kind = path.stem.removesuffix("s")
    if kind in (*EVENTS, *TAKEN_BACK):
        return kind
    if "played_ratio_pct" in names:
        return "listen"
    raise DamagedFileError(
        f"{path}: cannot tell whether these are likes or dislikes; name the file as in Yambda: "
        "likes.parquet or dislikes.parquet"
    )


def _flat(batch: Any) -> Iterator[Any]:
    """Yield tables with one event per row; lists are unnested, one user at a time."""
    table = pa.Table.from_batches([batch])
    lists = [f.name for f in table.schema if _is_list(f.type)]
    if not lists:
        yield table
        return
    for n in range(table.num_rows):
        one = table.slice(n, 1)
        parts = {name: pc.list_flatten(one.column(name)).combine_chunks() for name in lists}
        size = len(parts[lists[0]])
        if {len(part) for part in parts.values()} != {size}:
            raise DamagedFileError(f"the lists of user {one.column('uid')[0]} differ in length")
        same = {
            name: pa.repeat(one.column(name)[0], size)
            for name in table.column_names
            if name not in lists
        }
        whole = pa.table({**same, **parts})
        for start in range(0, size, BATCH_ROWS):
            yield whole.slice(start, BATCH_ROWS)


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _events(file: str, first: int, table: Any, kind: str | None) -> Iterator[SourceRow]:
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    times, bad = to_floats(columns["timestamp"])
    times = times + ORIGIN
    in_range = (times >= FIRST_S) & (times < LAST_S)
    unusable = bad | ~in_range | ~_valid(columns["uid"]) | ~_valid(columns["item_id"])
    kinds = pa.repeat(kind, len(times)) if kind else columns["event_type"].cast(pa.string())
    known = pc.is_in(kinds, value_set=pa.array(list(EVENTS))).to_numpy(zero_copy_only=False)
    for n in np.flatnonzero(unusable | ~known):
        yield _aside(file, first + int(n), table.slice(int(n), 1), kinds[int(n)].as_py())
    good = ~unusable
    for name, event in EVENTS.items():
        mask = pc.equal(kinds, name).fill_null(False).to_numpy(zero_copy_only=False) & good
        if mask.any():
            yield _block(columns, times, mask, event)


def _block(columns: dict[str, Any], times: Any, mask: Any, event: str) -> ImportedBlock:
    picked = {name: column.filter(pa.array(mask)) for name, column in columns.items()}
    n = int(mask.sum())
    ratios = np.full(n, np.nan, np.float32)
    if event == "play" and "played_ratio_pct" in picked:
        percent, _ = to_floats(picked["played_ratio_pct"])
        percent[~(percent >= 0)] = np.nan
        ratios = np.minimum(percent / PERCENT, 1).astype(np.float32)
    entry = pa.nulls(n, pa.string())
    if "is_organic" in picked:
        organic = picked["is_organic"].cast(pa.int64()).cast(pa.bool_())
        entry = pc.if_else(organic, "organic", "recommended")
    return ImportedBlock(
        song=picked["item_id"].cast(pa.string()),
        user=picked["uid"].cast(pa.string()),
        time_s=times[mask],
        event=event,
        played_ratio=ratios,
        entry=entry,
    )


def _aside(file: str, row: int, one: Any, kind: object) -> RejectedRow:
    content = one.to_pylist()[0]
    user = "" if content["uid"] is None else str(content["uid"])
    is_known = kind in (*EVENTS, *TAKEN_BACK)
    reason = (
        f"is an {kind}: it takes back what a log of events cannot"
        if kind in TAKEN_BACK
        else "has no user, no item or no time that can be used"
        if is_known
        else "has an event_type that is not known"
    )
    is_mistake = kind not in TAKEN_BACK
    return RejectedRow(
        reason=reason,
        file=file,
        row=row,
        content=stored_text(content),
        is_mistake=is_mistake,
        user=user,
    )


def _valid(column: Any) -> Any:
    return column.is_valid().to_numpy(zero_copy_only=False)
