"""Listening logs in Parquet or CSV, read with distrust.

    plays.parquet, plays.csv, plays.csv.gz  ──read_interactions──▶  Interactions

One row is one thing that happened: ``user_id``, ``song_id``, ``timestamp``, ``event`` (play,
finish, skip, like, dislike, playlist) and, where known, ``played_ratio`` and ``weight``. A
file is read in blocks. Every row is checked, and all mistakes come in one error with the
numbers of the first rows of each kind; rows count from 1, without the header.

`Rule` and `to_preferences` turn the events into liked and disliked songs.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError
from audiorec.listening.blocks import Block, interaction_blocks, is_simulated
from audiorec.listening.casting import (
    DATE,
    OUT_OF_RANGE,
    UNIT_NAMES,
    UNREADABLE,
    plain,
    to_floats,
    to_times,
)
from audiorec.listening.events import EVENTS, Interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rejected_rows import Problem, ProblemKind, ProblemLog, RowsError
from audiorec.listening.rule import Clause, Rule, load_rule
from audiorec.types import BoolArray

__all__ = [
    "EVENTS",
    "Clause",
    "Interactions",
    "Problem",
    "RowsError",
    "Rule",
    "load_rule",
    "read_interactions",
    "to_preferences",
    "unmatched",
]

# Players count the last buffer as played: a ratio up to this much is taken as 1.
CLAMPED_RATIO = 1.05
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6


def read_interactions(path: str | Path, *, skip_bad_rows: bool = False) -> Interactions:
    """Read a listening log.

    Parameters
    ----------
    path : path
        Parquet, CSV or CSV compressed by gzip, told apart by the name's end.
    skip_bad_rows : bool
        Leave rows out that cannot be used, and note them in ``problems``.

    Returns
    -------
    interactions : Interactions

    Raises
    ------
    InputError
        If the file is missing, is neither, lacks a column, or has no usable row.
    RowsError
        If some rows cannot be used (an `InputError` too; carries all problems).

    Examples
    --------
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> len(log), log.user_ids
    (9, ('ana', 'ben', 'eva'))
    >>> EVENTS[log.event[0]], log.song_ids[log.song[0]], round(float(log.played_ratio[0]), 2)
    ('finish', 'piano/etude.flac', 0.98)
    """
    path = Path(path)
    log = ProblemLog()
    skipped: list[int] = []
    parts = [_clean(block, log) for block in interaction_blocks(path, log, skipped)]
    rows_read = sum(rows for rows, _ in parts) + len(skipped)
    columns = _one_unit(_joined([part for _, part in parts]), log)
    problems = log.problems(skipped)
    if problems and not skip_bad_rows:
        raise RowsError(str(path), log.bad_rows, rows_read, problems)
    if len(columns["user"]) == 0:
        raise DamagedFileError(f"{path}: none of its {rows_read} rows can be used")
    return _interactions(columns, rows_read, problems, is_simulated(path))


def unmatched(interactions: Interactions, song_ids: Collection[str]) -> dict[str, int]:
    """Return the songs of a log that a catalogue does not have.

    Parameters
    ----------
    interactions : Interactions
    song_ids : collection of str
        The catalogue, for example ``store.ids``.

    Returns
    -------
    rows : dict of str to int
        Rows in the log by id; the most frequent first, equals in the order of their ids.
    """
    known = song_ids if isinstance(song_ids, (set, frozenset, dict)) else set(song_ids)
    counts = np.bincount(interactions.song, minlength=len(interactions.song_ids))
    absent = [i for i, song_id in enumerate(interactions.song_ids) if song_id not in known]
    absent.sort(key=lambda i: (-counts[i], i))
    return {interactions.song_ids[i]: int(counts[i]) for i in absent}


def _clean(block: Block, log: ProblemLog) -> tuple[int, dict[str, Any]]:
    """Return the block's rows, and the columns of those that can be used."""
    numbers, bad = block.numbers, np.zeros(len(block), np.bool_)

    def note(kind: ProblemKind, mask: BoolArray, column: Any) -> None:
        where = np.flatnonzero(mask)
        if len(where):
            log.add(kind, numbers[where], _example(column[int(where[0])]))
            bad[where] = True

    users, songs = block.column("user_id"), block.column("song_id")
    note(ProblemKind.USER, _empty(users), users)
    note(ProblemKind.SONG, _empty(songs), songs)
    events, known = _event_codes(block.column("event"))
    note(ProblemKind.EVENT, ~known, block.column("event"))
    times, units = to_times(block.column("timestamp"))
    note(ProblemKind.TIMESTAMP, units == UNREADABLE, block.column("timestamp"))
    note(ProblemKind.RANGE, units == OUT_OF_RANGE, block.column("timestamp"))
    ratios, wrong = _ratios(block)
    note(ProblemKind.RATIO, wrong, block.column("played_ratio"))
    weights, wrong = _weights(block)
    note(ProblemKind.WEIGHT, wrong, block.column("weight"))
    log.bad_rows += int(bad.sum())
    good = pa.array(~bad)
    # Encoded at once: ten million ids as texts would fill the memory.
    columns = {"user": pc.dictionary_encode(users.filter(good))}
    columns["song"] = pc.dictionary_encode(songs.filter(good))
    arrays = {"row": numbers, "timestamp": times, "unit": units, "event": events}
    arrays |= {"played_ratio": ratios, "weight": weights}
    return len(block), columns | {name: array[~bad] for name, array in arrays.items()}


def _example(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):  # a time that Python's dates do not reach
        return scalar.value


def _empty(ids: Any) -> BoolArray:
    lengths = pc.binary_length(plain(ids)).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) == 0, np.bool_)


def _event_codes(column: Any) -> tuple[Any, BoolArray]:
    found = pc.index_in(plain(column), value_set=pa.array(EVENTS)).fill_null(-1)
    codes = found.to_numpy(zero_copy_only=False).astype(np.int8)
    return codes, codes >= 0


def _ratios(block: Block) -> tuple[Any, BoolArray]:
    ratios, bad = to_floats(block.column("played_ratio"))
    bad |= (ratios < 0) | (ratios > CLAMPED_RATIO)
    # Not as it stands where it is bad: it may be more than float32 holds.
    return np.where(bad, np.nan, np.minimum(ratios, 1.0)).astype(np.float32), bad


def _weights(block: Block) -> tuple[Any, BoolArray]:
    column = block.column("weight")
    weights, bad = to_floats(column)
    given = column.is_valid().to_numpy(zero_copy_only=False)
    bad |= given & ~((weights >= MIN_WEIGHT) & (weights <= MAX_WEIGHT))
    return np.where(given & ~bad, weights, 1.0).astype(np.float32), bad


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if not parts:
        return {"user": np.empty(0, np.int32)}
    joined: dict[str, Any] = {}
    for name in ("user", "song"):
        joined[name], joined[f"{name}_ids"] = _numbered([part.pop(name) for part in parts])
    for name in list(parts[0]):
        joined[name] = np.concatenate([part.pop(name) for part in parts])
    return joined


def _numbered(columns: list[Any]) -> tuple[Any, Any]:
    """Return numbers (E,) into the texts of all columns, and the texts: both sorted by id."""
    encoded = pa.chunked_array(columns).unify_dictionaries()
    texts = encoded.chunk(0).dictionary
    order = pc.sort_indices(texts)
    rank = np.empty(len(texts), np.int32)
    rank[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    numbers = [chunk.indices.to_numpy() for chunk in encoded.chunks]
    return rank[np.concatenate(numbers)], texts.take(order)


def _one_unit(columns: dict[str, Any], log: ProblemLog) -> dict[str, Any]:
    """Turn numbers of the most frequent unit into seconds; rows in another one are bad."""
    if len(columns["user"]) == 0:
        return columns
    units, times, rows = columns.pop("unit"), columns["timestamp"], columns.pop("row")
    usual = int(np.bincount(units).argmax())
    other = units != usual
    if other.any():
        first = int(np.flatnonzero(other)[0])
        example = f"{times[first]:.0f} is in {UNIT_NAMES[units[first]]}, not {UNIT_NAMES[usual]}"
        log.add(ProblemKind.UNIT, rows[other], example)
        log.bad_rows += int(other.sum())
        names = ("user", "song", "timestamp", "event", "played_ratio", "weight")
        columns |= {name: columns[name][~other] for name in names}
    if usual != DATE:
        columns["timestamp"] = columns["timestamp"] / 1000.0**usual
    return columns


def _interactions(
    columns: dict[str, Any], rows_read: int, problems: tuple[Problem, ...], simulated: bool
) -> Interactions:
    for name in ("user", "song"):
        columns[name], columns[f"{name}_ids"] = _used(columns[name], columns[f"{name}_ids"])
    return Interactions(**columns, rows_read=rows_read, problems=problems, simulated=simulated)


def _used(numbers: Any, ids: Any) -> tuple[Any, tuple[str, ...]]:
    """Leave out ids that only bad rows had."""
    used = np.zeros(len(ids), np.bool_)
    used[numbers] = True
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return place[numbers], tuple(ids.filter(pa.array(used)).to_pylist())
