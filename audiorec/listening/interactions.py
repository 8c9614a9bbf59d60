"""Listening logs in Parquet or CSV, read with distrust.

    plays.parquet, plays.csv, plays.csv.gz  ──read_interactions──▶  Interactions

One row is one thing that happened: ``user_id``, ``song_id``, ``timestamp``, ``event`` (play,
finish, skip, like, dislike, playlist) and, where known, ``played_ratio`` and ``weight``. A
file is read in blocks. Every row is checked, and all mistakes come in one error with the
numbers of the first rows of each kind; rows count from 1, without the header.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from audiorec.errors import DamagedFileError, InputError
from audiorec.files.parquet_files import open_parquet
from audiorec.files.user_files import Utf8, check_csv_header, input_errors, named, unpacked
from audiorec.listening.casting import (
    DATE,
    OUT_OF_RANGE,
    UNIT_NAMES,
    UNREADABLE,
    plain,
    to_floats,
    to_times,
)
from audiorec.listening.events import (
    ARTIST_EVENTS,
    COLUMNS,
    EVENTS,
    LABELS,
    OLD_NAMES,
    OPTIONAL_COLUMNS,
    PLACES,
    ArtistEvents,
    Interactions,
    Labels,
    ProblemKind,
    ReadingNotes,
    RowProblem,
    RowsError,
)
from audiorec.types import BoolArray, Int64Array

# Players count the last buffer as played: a ratio up to this much is taken as 1.
CLAMPED_RATIO = 1.05
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6
BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 16 << 20  # of a CSV
TEXT_COLUMNS = ("user_id", "song_id", "event", *LABELS, *OLD_NAMES)
NO_TIME = len(UNIT_NAMES)  # a row whose order is that of its session or list
CSV_ENDS = (".csv", ".csv.gz")
PARQUET_ENDS = (".parquet", ".pq")
FAILURE = "cannot be read"
METADATA_KEY = b"audiorec"  # the one JSON of every file that audiorec writes


@dataclass(frozen=True, slots=True)
class LogBlock:
    """Rows that follow each other."""

    table: Any  # ``user_id``, ``song_id`` and ``event`` are texts; other columns are of any type
    first: int  # the number of its first row, from 1

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def numbers(self) -> Int64Array:
        """Number of each row, from 1: shape (rows,), int64."""
        return np.arange(self.first, self.first + len(self))

    def text(self, name: str) -> Any:
        """Return a column of texts, by an older name where it has that; nulls if there is none."""
        names = [name, *(old for old, new in OLD_NAMES.items() if new == name)]
        there = [n for n in names if n in self.table.schema.names]
        return plain(self.table.column(there[0])) if there else pa.nulls(len(self), pa.string())

    def column(self, name: str) -> Any:
        """Return a column as a `pyarrow.Array`; one that is not there holds nulls."""
        if name not in self.table.schema.names:
            return pa.nulls(len(self), pa.float64())
        return self.table.column(name)


def interaction_blocks(path: Path, notes: ReadingNotes) -> Iterator[LogBlock]:
    """Read a file, whose name tells Parquet from CSV, block by block.

    Rows of a CSV that have too many or too few columns are noted.
    """
    with input_errors(path, FAILURE):
        if path.name.lower().endswith(CSV_ENDS):
            check_csv_header(path, FAILURE)
            batches = _csv_batches(path, notes)
        elif path.suffix.lower() in PARQUET_ENDS:
            batches = _parquet_batches(path, notes)
        else:
            raise InputError(f"{path}: interactions are read from .parquet, .csv or .csv.gz files")
        first = 1
        for batch in batches:
            batch.validate(full=True)
            yield LogBlock(batch, first)
            first += batch.num_rows


def _parquet_batches(path: Path, notes: ReadingNotes) -> Iterator[Any]:
    with open_parquet(path, memory_map=True) as file:
        schema = file.schema_arrow
        notes.simulated = _says_simulated(schema.metadata or {})
        names = _known_columns(schema.names, path)
        for name in set(TEXT_COLUMNS) & set(names):
            _check_text(schema.field(name), path)
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names):
            yield _as_texts(batch)


def _says_simulated(metadata: Mapping[bytes, bytes]) -> bool:
    try:
        content = json.loads(metadata.get(METADATA_KEY, b"{}"))
    except ValueError:  # another tool's key of the same name
        return False
    return isinstance(content, dict) and content.get("simulated") is True


def _csv_batches(path: Path, notes: ReadingNotes) -> Iterator[Any]:
    def skip(row: Any) -> str:
        notes.skip(row.number - 1, row.text)  # the header is row 1
        return "skip"

    texts = dict.fromkeys((*COLUMNS, *OPTIONAL_COLUMNS, *LABELS, *OLD_NAMES), pa.string())
    # Read through Utf8: where a row that is skipped is no text, Arrow itself prints a traceback.
    with unpacked(path) as file:
        reader = pa_csv.open_csv(
            pa.PythonFile(Utf8(file), "r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                column_types=texts, null_values=[""], strings_can_be_null=True
            ),
        )
        names = _known_columns(reader.schema.names, path)
        for batch in reader:
            yield batch.select(names)


def _known_columns(names: list[str], path: Path) -> list[str]:
    known = (*COLUMNS, *OPTIONAL_COLUMNS, *LABELS, *OLD_NAMES)
    # A session or a list without a user is its own, and has an order without times.
    has_place = any(name in names for name in (*PLACES, *OLD_NAMES))
    for name in known:
        needed = name in COLUMNS and not (has_place and name in ("user_id", "timestamp"))
        if names.count(name) > 1 or (needed and name not in names):
            raise InputError(
                f"{path}: column {name!r} is missing or stands twice; it has {named(names)}"
            )
    for old, new in OLD_NAMES.items():
        if old in names and new in names:
            raise InputError(f"{path}: columns {old!r} and {new!r} are one: leave one out")
    return [name for name in known if name in names]


def _check_text(field: Any, path: Path) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not text and not (field.name != "event" and pa.types.is_integer(kind)):
        wanted = f"one of {', '.join(EVENTS)}" if field.name == "event" else "text or whole numbers"
        raise InputError(f"{path}: column {field.name!r} holds {kind}, expected {wanted}")


def _as_texts(batch: Any) -> Any:
    """Return the batch with ids and events as plain texts."""
    for name in set(TEXT_COLUMNS) & set(batch.schema.names):
        place = batch.schema.get_field_index(name)
        column = batch.column(place)
        if column.type != pa.string():
            batch = batch.set_column(place, name, column.cast(pa.string()))
    return batch


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
    notes = ReadingNotes()
    parts = [clean_block(block, notes) for block in interaction_blocks(path, notes)]
    rows_read = sum(rows for rows, _ in parts) + len(notes.skipped)
    columns = _one_unit(_joined([part for _, part in parts]), notes)
    problems = notes.problems()
    if problems and not skip_bad_rows:
        raise RowsError(str(path), notes.bad_rows, rows_read, problems)
    if len(columns["user"]) == 0:
        raise DamagedFileError(f"{path}: none of its {rows_read} rows can be used")
    return _interactions(columns, rows_read, problems, notes.simulated)


def _interactions(
    columns: dict[str, Any], rows_read: int, problems: tuple[RowProblem, ...], simulated: bool
) -> Interactions:
    """Part the rows that name a song from those that name an artist."""
    user, user_ids = _used(columns["user"], columns["user_ids"])
    of_artist = columns["event"] >= len(EVENTS)
    main = {n: columns[n][~of_artist] for n in ("timestamp", "event", "played_ratio", "weight")}
    song, song_ids = _used(columns["song"][~of_artist], columns["song_ids"])
    labels = {}
    for name in LABELS:
        number, texts = _used(columns[name][~of_artist], columns[f"{name}_ids"])
        if texts:
            labels[name] = Labels(number, texts)
    artist, artist_ids = _used(columns["artist_id"][of_artist], columns["artist_id_ids"])
    return Interactions(
        user_ids=user_ids,
        song_ids=song_ids,
        user=user[~of_artist],
        song=song,
        **main,
        rows_read=rows_read,
        problems=problems,
        simulated=simulated,
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


def clean_block(block: LogBlock, notes: ReadingNotes) -> tuple[int, dict[str, Any]]:
    """Return the block's rows, and the columns of those that can be used."""
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
    ratios, wrong = _ratios(block)
    note(ProblemKind.RATIO, wrong, block.column("played_ratio"))
    weights, wrong = _weights(block)
    note(ProblemKind.WEIGHT, wrong, block.column("weight"))
    notes.bad_rows += int(bad.sum())
    good = pa.array(~bad)
    # Encoded already here: ids as texts would fill the memory.
    songs = pc.if_else(pa.array(of_artist), None, songs)
    texts: dict[str, Any] = {"user": users, "song": songs, **labels}
    columns = {name: pc.dictionary_encode(_filled(c).filter(good)) for name, c in texts.items()}
    arrays: dict[str, npt.NDArray[Any]] = {"row": numbers, "timestamp": times, "unit": units}
    arrays |= {"event": events, "played_ratio": ratios, "weight": weights}
    return len(block), columns | {name: array[~bad] for name, array in arrays.items()}


def _event_codes(column: Any, no_song: BoolArray) -> npt.NDArray[np.int8]:
    """Return numbers in `EVENTS`, behind them those in `ARTIST_EVENTS`; -1 for neither."""
    column = plain(column)
    of_song, of_artist = (
        pc.index_in(column, value_set=pa.array(names)).fill_null(-1).to_numpy(zero_copy_only=False)
        for names in (EVENTS, ARTIST_EVENTS)
    )
    is_artist = (of_artist >= 0) & (no_song | (of_song < 0))
    codes: npt.NDArray[np.int8] = np.where(is_artist, len(EVENTS) + of_artist, of_song)
    return codes.astype(np.int8)


def _filled(texts: Any) -> Any:
    """Return texts with null for those that are empty."""
    return pc.if_else(pa.array(_empty(texts)), None, plain(texts))


def _example(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):  # a time that Python's dates do not reach
        return scalar.value


def _empty(ids: Any) -> BoolArray:
    lengths = pc.binary_length(plain(ids)).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) == 0, np.bool_)


def _ratios(block: LogBlock) -> tuple[Any, BoolArray]:
    ratios, bad = to_floats(block.column("played_ratio"))
    bad |= (ratios < 0) | (ratios > CLAMPED_RATIO)
    # Not as it stands where it is bad: it may be more than float32 holds.
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
    """Return numbers (P,) into the texts of all columns, and the texts: both sorted by id."""
    encoded = pa.chunked_array(columns).unify_dictionaries()
    texts = encoded.chunk(0).dictionary
    order = pc.sort_indices(texts)
    rank = np.empty(len(texts), np.int32)
    rank[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    chunks = [chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks]
    numbers = np.concatenate(chunks)
    return np.append(rank, np.int32(-1))[numbers], texts.take(order)


def _one_unit(columns: dict[str, Any], notes: ReadingNotes) -> dict[str, Any]:
    """Turn numbers of the most frequent unit into seconds; rows in another one are bad."""
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
        names = ("user", "song", *LABELS, "timestamp", "event", "played_ratio", "weight")
        columns |= {name: columns[name][~other] for name in names}
    if usual != DATE:
        columns["timestamp"] = columns["timestamp"] / 1000.0**usual
    return columns


def _used(numbers: Any, ids: Any) -> tuple[Any, tuple[str, ...]]:
    """Leave out ids that only rows had which are not there."""
    used = np.zeros(len(ids) + 1, np.bool_)
    used[numbers] = True  # -1, for none, is the last place
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    place[-1] = -1
    return place[numbers], tuple(ids.filter(pa.array(used[:-1])).to_pylist())
