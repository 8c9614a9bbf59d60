"""What the owner of a library says of its songs: beside the store, and above all that is heard.

    store, "tune", "genre", "soul"  ──correct──▶ a row of ``corrections.csv`` beside the store
    store                           ──by_row───▶ {"genre": {3: "soul"}, "tempo": {3: "90"}}

A correction belongs to the audio, by its content hash, so it survives a new extraction, a move and
a merge; where the audio has been replaced, it belongs to the song's id. The newest of a song and a
field counts; an empty value takes the field back.
"""

import csv
import io
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.copies import beside
from audiorec.files.own_files import write_own
from audiorec.files.user_files import csv_rows

CORRECTIONS_FILE = "corrections.csv"
MOST_LETTERS = 100  # of a genre
SLOWEST, FASTEST, NO_BEAT = 20.0, 400.0, "none"
NOT_MUSIC = "other"
_writing = threading.Lock()


class Correction(NamedTuple):
    """One row of ``corrections.csv``; `time` is in UTC, as ISO 8601."""

    song_id: str
    content_hash: str
    field: str
    value: str
    time: str


def _version(value: str, store: Any) -> str:
    there = [name.partition("/")[2] for name in store.metadata.classes if name[:8] == "version/"]
    return _one_of(value, there)


def _genre(value: str, _: Any) -> str:
    if not value or len(value) > MOST_LETTERS or not value.isprintable():
        raise InputError(f"a genre is a text of 1 to {MOST_LETTERS} letters, got {value!r}")
    return value


def _tempo(value: str, _: Any) -> str:
    try:
        is_beat = value == NO_BEAT or SLOWEST <= float(value) <= FASTEST
    except ValueError:
        is_beat = False
    if not is_beat:
        limits = f"{SLOWEST:g} to {FASTEST:g} beats per minute, or {NO_BEAT}"
        raise InputError(f"a tempo is {limits}, got {value!r}")
    return value


def _music(value: str, _: Any) -> str:
    return _one_of(value, ["yes", "no"])


def _one_of(value: str, there: Sequence[str]) -> str:
    if value not in there:
        raise InputError(f"there are {', '.join(there) or 'none'}, got {value!r}")
    return value


# What can be corrected, and what checks a value.
FIELDS: Mapping[str, Callable[[str, Any], str]] = {
    "version": _version,
    "genre": _genre,
    "tempo": _tempo,
    "music": _music,
}


def correct(store: Any, song_id: str, field: str, value: str) -> None:
    """Write what a song is into ``corrections.csv`` beside its store.

    Parameters
    ----------
    store : VectorStore
        It has to be opened again to show the correction; `Library.correct` needs no such care.
    song_id : str
        Exactly as in the store.
    field : {"version", "genre", "tempo", "music"}
    value : str
        A class of the store's version head; any genre or style, by name; beats per minute, or
        ``none``; ``yes`` or ``no``. Empty to take a correction back.

    Raises
    ------
    InputError
        If the field is unknown, or the value is none of it.
    UnknownSongError
        If the store has no such song.
    """
    if field not in FIELDS:
        raise InputError(f"no field {field!r} can be corrected, only {', '.join(FIELDS)}")
    checked = FIELDS[field](value.strip(), store) if value.strip() else ""
    row = store.rows([store.row_number(song_id)])[0]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = Correction(song_id, row["content_hash"], field, checked, now)
    path = store.path.with_name(CORRECTIONS_FILE)
    with _writing:
        write_corrections(path, [*read_corrections(path), new])


def read_corrections(path: Path) -> list[Correction]:
    """Read ``corrections.csv``, oldest first; empty if there is none.

    Raises `InputError` if a column is missing.
    """
    if not path.exists():
        return []
    rows = csv_rows(path, "cannot read the corrections", needed=Correction._fields)
    read = (Correction(*(row[name] or "" for name in Correction._fields)) for row in rows)
    return sorted(read, key=lambda one: one.time)


def write_corrections(path: Path, corrections: Iterable[Correction]) -> None:
    """Write corrections in order of time: of each song's audio and field, the last one."""
    last = {(one.content_hash, one.field): one for one in corrections}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Correction._fields, *sorted(last.values(), key=lambda one: one.time)])
    write_own(path, text.getvalue())


def merge_corrections(stores: Sequence[Path], output: Path) -> None:
    """Write the corrections beside some stores beside a new one."""
    every = [one for store in stores for one in read_corrections(store.with_name(CORRECTIONS_FILE))]
    if every:
        every.sort(key=lambda one: one.time)
        write_corrections(output.with_name(CORRECTIONS_FILE), every)


def by_row(store: Any) -> dict[str, dict[int, str]]:
    """Return the values that are corrected, by field and row of a store."""
    result: dict[str, dict[int, str]] = {field: {} for field in FIELDS}
    corrections = read_corrections(beside(store.path, CORRECTIONS_FILE))
    if not corrections:
        return result
    rows_of: dict[str, list[int]] = {}
    for row, content in enumerate(store.column("content_hash").to_pylist()):
        rows_of.setdefault(content, []).append(row)
    # Those of the very audio come last, and so count.
    for one in sorted(corrections, key=lambda one: one.content_hash in rows_of):
        rows = rows_of.get(one.content_hash)
        if rows is None:
            rows = [store.row_number(one.song_id)] if one.song_id in store else []
        for row in rows:
            if one.field in result:
                result[one.field][row] = one.value
    return {
        field: {row: value for row, value in values.items() if value}
        for field, values in result.items()
    }


def with_tempos(table: Any, tempos: Mapping[int, str], rows: Sequence[int] | range) -> Any:
    """Return some rows of a store as a table in which the corrected tempos stand."""
    columns = [
        name for name in ("bpm", "bpm_confidence", "bpm_other") if name in table.column_names
    ]
    if not tempos or not columns:
        return table
    value = {row: None if tempo == NO_BEAT else float(tempo) for row, tempo in tempos.items()}
    corrected = pa.array(np.isin(rows, list(value)))
    for name in columns:
        known = {row: None if bpm is None else 1.0 for row, bpm in value.items()}
        new = {"bpm": value, "bpm_confidence": known}.get(name, {})
        at = table.schema.get_field_index(name)
        kind = table.schema.field(name)
        put = pa.array([new.get(row) for row in rows], kind.type)
        table = table.set_column(at, kind, pc.if_else(corrected, put, table.column(name)))
    return table


def with_corrections(
    table: Any, corrections: Mapping[str, Mapping[int, str]], rows: Sequence[int] | range
) -> Any:
    """Return the same with a column ``corrected_genre`` and so on for each corrected field."""
    table = with_tempos(table, corrections["tempo"], rows)
    for field, values in corrections.items():
        if values:
            column = pa.array([values.get(row) for row in rows], pa.string())
            table = table.append_column(f"corrected_{field}", column)
    return table
