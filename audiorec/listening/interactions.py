"""Read and check listening logs in Parquet or CSV.

    plays.parquet, plays.csv, plays.csv.gz  ──read_interactions──▶  Interactions
    plays/dt=2026-11-25/*.parquet, …        ──read_interactions──▶  Interactions

One row is one event: ``user_id``, ``song_id``, ``timestamp``, ``event`` (play, finish, skip, like,
dislike, playlist, block) and optionally ``played_ratio`` and ``weight``. Files are read in blocks.
Every row is checked, and all problems are reported in one error with the numbers of the first rows
of each kind; rows are numbered from 1, without the header.

In a folder of days, times decide the order of rows, not folders. A row that occurs in two folders,
equal in every column, was delivered twice and counts once.
"""

import hashlib
import os
from collections.abc import Collection
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError
from audiorec.listening.casting import (
    DATE,
    OUT_OF_RANGE,
    UNIT_NAMES,
    UNREADABLE,
    to_floats,
    to_times,
    without_dictionary,
)
from audiorec.listening.days import Days, parse_day
from audiorec.listening.events import (
    ARTIST_EVENTS,
    EVENTS,
    LABELS,
    PLACES,
    ArtistEvents,
    Interactions,
    ProblemKind,
    ReadingNotes,
    RowProblem,
    RowsError,
    TextColumn,
)
from audiorec.listening.log_blocks import LogBlock, interaction_blocks
from audiorec.listening.log_files import log_files, select_days
from audiorec.types import BoolArray

# Players count the last buffer as played, so ratios up to this value are clamped to 1.
CLAMPED_RATIO = 1.05
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6
NO_TIME = len(UNIT_NAMES)  # unit of rows that only have an order in their session or list
_MIX = np.uint64(0x9E3779B97F4A7C15)  # multiplier of Fibonacci hashing


def read_interactions(
    path: str | os.PathLike[str],
    *,
    skip_bad_rows: bool = False,
    since: str | date | None = None,
    until: str | date | None = None,
    utc_offset: str = "",
) -> Interactions:
    """Read a listening log.

    Parameters
    ----------
    path : path or URI
        Parquet, CSV or gzip-compressed CSV, by file suffix; or a folder of days, such as
        ``plays/dt=2026-11-25/part-0.parquet``.
    skip_bad_rows : bool
        Leave out rows that cannot be used, and report them in ``problems``.
    since, until : date or str, optional
        First and last day of a folder of days; folders of other days are not opened. Rows with a
        time after the end of `until` are left out, also in a single file.
    utc_offset : str
        UTC offset of midnight, such as ``+08:00``; UTC by default.

    Returns
    -------
    interactions : Interactions

    Raises
    ------
    InputError
        If the file is missing, has another suffix, lacks a column, or has no usable row; if a
        folder has none of the days, or a file in it has a column of an unsuitable type.
    RowsError
        If some rows cannot be used (also an `InputError`; lists all problems).

    Examples
    --------
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> len(log), log.user_ids
    (9, ('ana', 'ben', 'eva'))
    >>> EVENTS[log.event[0]], log.song_ids[log.song[0]], round(float(log.played_ratio[0]), 2)
    ('finish', 'piano/etude.flac', 0.98)
    """
    ends = {
        name: parse_day(day, name) if isinstance(day, str) else day
        for name, day in (("since", since), ("until", until))
    }
    path = select_days(path, Days(utc_offset=utc_offset, **ends))
    notes = ReadingNotes()
    parts = [clean_block(block, notes) for block in interaction_blocks(path, notes)]
    rows_read = sum(rows for rows, _ in parts) + len(notes.skipped)
    columns = _once(_one_unit(_joined([part for _, part in parts]), notes), notes)
    problems = notes.problems()
    name = log_files(path).name
    if problems and not skip_bad_rows:
        raise RowsError(name, notes.bad_rows, rows_read, problems)
    if len(columns["user"]) == 0:
        raise DamagedFileError(f"{name}: none of its {rows_read} rows can be used")
    return _interactions(columns, rows_read, problems, notes)


def _interactions(
    columns: dict[str, Any], rows_read: int, problems: tuple[RowProblem, ...], notes: ReadingNotes
) -> Interactions:
    """Build the log, separating rows about songs from rows about artists."""
    user, user_ids = _used(columns["user"], columns["user_ids"])
    of_artist = columns["event"] >= len(EVENTS)
    main = {n: columns[n][~of_artist] for n in ("timestamp", "event", "played_ratio", "weight")}
    song, song_ids = _used(columns["song"][~of_artist], columns["song_ids"])
    labels = {}
    for name in LABELS:
        number, texts = _used(columns[name][~of_artist], columns[f"{name}_ids"])
        if texts:
            labels[name] = TextColumn(number, texts)
    artist, artist_ids = _used(columns["artist_id"][of_artist], columns["artist_id_ids"])
    return Interactions(
        user_ids=user_ids,
        song_ids=song_ids,
        user=user[~of_artist],
        song=song,
        **main,
        rows_read=rows_read,
        problems=problems,
        simulated=notes.simulated,
        deliveries=notes.deliveries(),
        labels=labels,
        artists=ArtistEvents(
            artist_ids=artist_ids,
            user=user[of_artist],
            artist=artist,
            timestamp=columns["timestamp"][of_artist],
            event=(columns["event"][of_artist] - len(EVENTS)).astype(np.int8),
        ),
    )


def unmatched(interactions: Interactions, song_ids: Collection[str]) -> dict[str, int]:
    """Return the songs of a log that are not in a catalogue.

    Parameters
    ----------
    interactions : Interactions
    song_ids : collection of str
        The catalogue, for example ``store.ids``.

    Returns
    -------
    rows : dict of str to int
        Number of rows by song id; most frequent first, ties by id.
    """
    known = song_ids if isinstance(song_ids, (set, frozenset, dict)) else set(song_ids)
    counts = np.bincount(interactions.song, minlength=len(interactions.song_ids))
    absent = [i for i, song_id in enumerate(interactions.song_ids) if song_id not in known]
    absent.sort(key=lambda i: (-counts[i], i))
    return {interactions.song_ids[i]: int(counts[i]) for i in absent}


def clean_block(block: LogBlock, notes: ReadingNotes) -> tuple[int, dict[str, Any]]:
    """Check a block; return its number of rows, and the columns of the usable ones."""
    numbers, bad = block.numbers, np.zeros(len(block), np.bool_)

    def note(kind: ProblemKind, mask: BoolArray, column: Any) -> None:
        where = np.flatnonzero(mask)
        if len(where):
            notes.add(kind, numbers[where], _example(column[int(where[0])]))
            bad[where] = True

    labels: dict[str, Any] = {name: block.text(name) for name in LABELS}
    users = pc.coalesce(_filled(block.text("user_id")), *(_filled(labels[n]) for n in PLACES))
    songs, no_song = block.text("song_id"), _empty(block.text("song_id"))
    note(ProblemKind.USER, _empty(users), block.text("user_id"))
    events = _event_codes(block.column("event"), no_song)
    of_artist = events >= len(EVENTS)
    note(ProblemKind.SONG, no_song & ~of_artist, songs)
    note(ProblemKind.ARTIST, of_artist & _empty(labels["artist_id"]), labels["artist_id"])
    note(ProblemKind.EVENT, events < 0, block.column("event"))
    times, units = to_times(block.column("timestamp"))
    has_place = ~_empty(labels[PLACES[0]]) | ~_empty(labels[PLACES[1]])
    has_time = block.column("timestamp").is_valid().to_numpy(zero_copy_only=False)
    units[~has_time & has_place] = NO_TIME
    note(ProblemKind.TIMESTAMP, units == UNREADABLE, block.column("timestamp"))
    note(ProblemKind.RANGE, units == OUT_OF_RANGE, block.column("timestamp"))
    if block.unit is not None:
        times, units, other = _in_seconds(times, units, block.unit)
        note(ProblemKind.UNIT, other, block.column("timestamp"))
    ratios, wrong = _ratios(block)
    note(ProblemKind.RATIO, wrong, block.column("played_ratio"))
    weights, wrong = _weights(block)
    note(ProblemKind.WEIGHT, wrong, block.column("weight"))
    notes.bad_rows += int(bad.sum())
    bad |= _out_of_days(times, units, block, notes, ~bad)
    good = pa.array(~bad)
    # Dictionary-encode here, since ids as strings would fill the memory.
    songs = pc.if_else(pa.array(of_artist), None, songs)
    texts: dict[str, Any] = {"user": users, "song": songs, **labels}
    columns = {name: pc.dictionary_encode(_filled(c).filter(good)) for name, c in texts.items()}
    arrays: dict[str, npt.NDArray[Any]] = {"row": numbers, "timestamp": times, "unit": units}
    arrays |= {"event": events, "played_ratio": ratios, "weight": weights}
    columns |= {name: array[~bad] for name, array in arrays.items()}
    if block.folder >= 0:
        columns["folder"] = np.full(len(columns["unit"]), block.folder, np.int32)
        columns["same"] = _sameness(columns)
    return len(block), columns


def _in_seconds(times: Any, units: Any, unit: int) -> tuple[Any, Any, BoolArray]:
    """Convert times from one unit to seconds; also return which rows are in another unit."""
    counted = (units >= 0) & (units <= DATE)
    other = counted & (units != unit)
    scale = 1.0 if unit == DATE else 1000.0**unit
    return times / scale, np.where(counted, DATE, units).astype(units.dtype), other


def _out_of_days(
    times: Any, units: Any, block: LogBlock, notes: ReadingNotes, usable: BoolArray
) -> BoolArray:
    """Return which rows are after the last day; record rows outside their folder's day."""
    timed = usable & (units >= 0) & (units <= DATE)
    if block.day is None and block.ends_s is None:
        return np.zeros(len(times), np.bool_)
    scale = np.where(timed & (units < DATE), 1000.0 ** np.maximum(units, 0), 1.0)
    seconds = np.where(timed, times / scale, np.nan)
    behind = np.zeros(len(times), np.bool_)
    if block.ends_s is not None:
        behind = seconds >= block.ends_s
        notes.behind += int(behind.sum())
    if block.day is not None:
        notes.late += int((seconds < block.day[0]).sum())
        notes.ahead += int(((seconds >= block.day[1]) & ~behind).sum())
    return behind


def _sameness(columns: dict[str, Any]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each row, which is equal for rows equal in all columns."""
    total = np.zeros(len(columns["unit"]), np.uint64)
    for name in ("user", "song", *LABELS):
        texts = columns[name].dictionary.to_pylist()
        digests = (hashlib.blake2b(t.encode(), digest_size=8).digest() for t in texts)
        of_text = np.frombuffer(b"".join([*digests, bytes(8)]), np.uint64)
        total = (total ^ of_text[columns[name].indices.fill_null(-1).to_numpy()]) * _MIX
    # Rounded to milliseconds, since files in other time units may differ in the last digits.
    columns = {**columns, "timestamp": np.rint(columns["timestamp"] * 1000.0)}
    for name in ("timestamp", "event", "played_ratio", "weight"):
        # Canonical forms of zero and NaN.
        numbers = np.where(np.isnan(columns[name]), np.nan, columns[name] + 0.0).astype(np.float64)
        total = (total ^ (total >> np.uint64(29)) ^ numbers.view(np.uint64)) * _MIX
    return total


def delivered_again(
    folder: npt.NDArray[Any], same: npt.NDArray[Any], timed: BoolArray
) -> BoolArray:
    """Return which rows are already in an earlier folder, equal in every column: (P,).

    Rows without a time never count as repeated: a list may contain a song twice.
    """
    order = np.lexsort((folder, same))
    starts = np.append(True, same[order][1:] != same[order][:-1])[: len(order)]
    first = folder[order][np.flatnonzero(starts)][np.cumsum(starts) - 1] if len(order) else folder
    again = np.zeros(len(folder), np.bool_)
    again[order] = folder[order] > first
    return again & timed


def _once(columns: dict[str, Any], notes: ReadingNotes) -> dict[str, Any]:
    """Drop rows that were delivered twice."""
    if "folder" not in columns:
        return columns
    folder, same = columns.pop("folder"), columns.pop("same")
    again = delivered_again(folder, same, ~np.isnan(columns["timestamp"]))
    notes.again += int(again.sum())
    names = ("user", "song", *LABELS, "timestamp", "event", "played_ratio", "weight")
    return columns | {name: columns[name][~again] for name in names}


def _event_codes(column: Any, no_song: BoolArray) -> npt.NDArray[np.int8]:
    """Return indices into ``EVENTS + ARTIST_EVENTS``; -1 if unknown."""
    column = without_dictionary(column)
    of_song, of_artist = (
        pc.index_in(column, value_set=pa.array(names)).fill_null(-1).to_numpy(zero_copy_only=False)
        for names in (EVENTS, ARTIST_EVENTS)
    )
    is_artist = (of_artist >= 0) & (no_song | (of_song < 0))
    codes: npt.NDArray[np.int8] = np.where(is_artist, len(EVENTS) + of_artist, of_song)
    return codes.astype(np.int8)


def _filled(texts: Any) -> Any:
    """Replace empty strings by null."""
    return pc.if_else(pa.array(_empty(texts)), None, without_dictionary(texts))


def _example(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):  # a time outside the range of Python's dates
        return scalar.value


def _empty(ids: Any) -> BoolArray:
    lengths = pc.binary_length(without_dictionary(ids)).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) == 0, np.bool_)


def _ratios(block: LogBlock) -> tuple[Any, BoolArray]:
    ratios, bad = to_floats(block.column("played_ratio"))
    bad |= (ratios < 0) | (ratios > CLAMPED_RATIO)
    # Replace bad values, which may exceed float32.
    return np.where(bad, np.nan, np.minimum(ratios, 1.0)).astype(np.float32), bad


def _weights(block: LogBlock) -> tuple[Any, BoolArray]:
    column = block.column("weight")
    weights, bad = to_floats(column)
    given = column.is_valid().to_numpy(zero_copy_only=False)
    bad |= given & ~((weights >= MIN_WEIGHT) & (weights <= MAX_WEIGHT))
    return np.where(given & ~bad, weights, 1.0).astype(np.float32), bad


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if not parts:
        return {"user": np.empty(0, np.int32)}
    joined: dict[str, Any] = {}
    for name in ("user", "song", *LABELS):
        joined[name], joined[f"{name}_ids"] = _numbered([part.pop(name) for part in parts])
    for name in list(parts[0]):
        joined[name] = np.concatenate([part.pop(name) for part in parts])
    return joined


def _numbered(columns: list[Any]) -> tuple[Any, Any]:
    """Return indices (P,) into the sorted distinct strings of all columns, and these strings."""
    encoded = pa.chunked_array(columns).unify_dictionaries()
    texts = encoded.chunk(0).dictionary
    order = pc.sort_indices(texts)
    rank = np.empty(len(texts), np.int32)
    rank[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    chunks = [chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks]
    numbers = np.concatenate(chunks)
    return np.append(rank, np.int32(-1))[numbers], texts.take(order)


def _one_unit(columns: dict[str, Any], notes: ReadingNotes) -> dict[str, Any]:
    """Convert times from the most frequent unit to seconds; drop rows in other units as bad."""
    if len(columns["user"]) == 0:
        return columns
    units, times, rows = columns.pop("unit"), columns["timestamp"], columns.pop("row")
    timed = units != NO_TIME
    usual = int(np.bincount(units[timed]).argmax()) if timed.any() else DATE
    other = timed & (units != usual)
    if other.any():
        first = int(np.flatnonzero(other)[0])
        example = f"{times[first]:.0f} is in {UNIT_NAMES[units[first]]}, not {UNIT_NAMES[usual]}"
        notes.add(ProblemKind.UNIT, rows[other], example)
        notes.bad_rows += int(other.sum())
        names = ["user", "song", *LABELS, "timestamp", "event", "played_ratio", "weight"]
        names += [name for name in ("folder", "same") if name in columns]
        columns |= {name: columns[name][~other] for name in names}
    if usual != DATE:
        columns["timestamp"] = columns["timestamp"] / 1000.0**usual
    return columns


def _used(numbers: Any, ids: Any) -> tuple[Any, tuple[str, ...]]:
    """Drop ids without rows, and renumber the others."""
    used = np.zeros(len(ids) + 1, np.bool_)
    used[numbers] = True  # -1 (none) is the last index
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    place[-1] = -1
    return place[numbers], tuple(ids.filter(pa.array(used[:-1])).to_pylist())
