"""Read a table of events whose columns have names of their own: CSV, tabs, RecBole, Parquet.

    events.tsv.gz, ml-100k.inter, events.parquet, `TableColumns`  ──read──▶ blocks, rejected rows
    the columns of a file that is no log  ──import_command──▶ the command that makes it one

Text has a header and commas, tabs, semicolons or bars between its cells, by its first line. The
columns of RecBole are named with or without their types: ``user_id:token`` is ``user_id``, too.
"""

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.errors import InputError
from audiorec.files.arrow import booleans, open_parquet
from audiorec.files.arrow import mask as to_mask
from audiorec.files.user_files import column_list, input_errors, open_unpacked
from audiorec.listening.events import COLUMNS, DATE, EVENTS, to_floats, to_times, without_dictionary
from audiorec.listening.imports.archives import FAILURE, HEAD_BYTES, delimited, members
from audiorec.listening.imports.rows import (
    NO_TIME,
    WRONG_TIME,
    ImportedBlock,
    RejectedRow,
    SourceRow,
    stored_text,
)
from audiorec.listening.log_files import PARQUET_ENDS

TEXTS = r"\.(csv|tsv|txt|dat|inter)(\.gz)?$"
BLOCK_ROWS = 1 << 16
GUESSES = {  # parts of names, as public data has them
    "user": ("user", "uid", "listener", "account", "customer"),
    "song": ("song", "item", "track", "movie", "artist"),
    "time": ("time", "date", "played_at"),
    "event": ("event", "action"),
    "rating": ("rating", "stars"),
    "weight": ("weight", "count", "plays"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumns:
    """The names of a table's columns; empty for what it does not have.

    Attributes
    ----------
    user, song : str
    time : str
        Without one, the table becomes a log of counts.
    event : str
        One of `audiorec.listening.events.EVENTS` in each row; without one, all are plays.
    rating : str
        Rows rated below `least_rating` are set aside.
    weight : str
        How often the row counts.
    """

    user: str = LogColumns.USER
    song: str = LogColumns.SONG
    time: str = ""
    event: str = ""
    rating: str = ""
    weight: str = ""
    least_rating: float = 4.0

    def places(self, names: Sequence[str]) -> dict[str, int]:
        """Return where each column is among `names`; raise `InputError` if it is not there."""
        plain = [name.partition(":")[0].strip() for name in names]
        found = {}
        for role in GUESSES:
            if wanted := getattr(self, role):
                if wanted not in (*names, *plain):
                    raise InputError(f"has no column {wanted!r}; it has {column_list(names)}")
                found[role] = (names if wanted in names else plain).index(wanted)
        return found


def read(
    paths: Sequence[Path], user: str, columns: TableColumns | None = None
) -> Iterator[SourceRow]:
    """Yield the rows of each file in blocks; `user` is for rows that name none."""
    columns = columns or TableColumns()
    for path in paths:
        yield from (_parquet if path.suffix.lower() in PARQUET_ENDS else _texts)(
            path, columns, user
        )


def _parquet(path: Path, columns: TableColumns, user: str) -> Iterator[SourceRow]:
    with input_errors(path, FAILURE), open_parquet(path, memory_map=True) as file:
        names, first = file.schema_arrow.names, 1
        asked = {role: names[place] for role, place in columns.places(names).items()}
        for batch in file.iter_batches(BLOCK_ROWS, columns=list(set(asked.values()))):
            batch.validate(full=True)
            cells = {role: without_dictionary(batch.column(n)) for role, n in asked.items()}
            numbers = np.arange(first, first + batch.num_rows)
            yield from _blocks(str(path), numbers, cells, columns, user)
            first += batch.num_rows


def _texts(path: Path, columns: TableColumns, user: str) -> Iterator[SourceRow]:
    for member in members([path], TEXTS):
        with member.open() as file:
            names, lines = delimited(file)
            places, numbered = columns.places(names), enumerate(lines, 1)
            while rows := list(islice(numbered, BLOCK_ROWS)):
                for number, cells in rows:
                    if len(cells) != len(names):
                        why = f"has {len(cells)} columns, the header {len(names)}"
                        yield _rejected(member.name, number, cells, why)
                good = [row for row in rows if len(row[1]) == len(names)]
                texts = {
                    role: pa.array([cells[place].strip() or None for _, cells in good], pa.string())
                    for role, place in places.items()
                }
                numbers = np.array([number for number, _ in good], np.int64)
                yield from _blocks(member.name, numbers, texts, columns, user)


def _blocks(
    file: str, numbers: Any, cells: Mapping[str, Any], columns: TableColumns, user: str
) -> Iterator[SourceRow]:
    """Yield the rows that cannot be used, each with its reason, and a block for each event."""
    n = len(numbers)
    users, songs = (cells[role].cast(pa.string()) for role in ("user", "song"))
    if user:
        users = users.fill_null(user)
    times, weights, events = np.full(n, np.nan), None, pa.repeat("play", n)
    why = np.full(n, "", object)

    def refuse(mask: Any, reason: str) -> None:
        why[mask & (why == "")] = reason

    for column, reason in ((users, "names no user"), (songs, "names no song")):
        refuse(~booleans(pc.greater(pc.binary_length(column), 0)), reason)
    if "time" in cells:
        times, units = to_times(cells["time"])
        refuse(np.isnan(times), NO_TIME)
        refuse(units < 0, WRONG_TIME)
        times = times / 1000.0 ** np.where(units < DATE, np.maximum(units, 0), 0)
    if "event" in cells:
        events = cells["event"].cast(pa.string())
        known = booleans(pc.is_in(events, value_set=pa.array(EVENTS)))
        refuse(~known, f"its event is not one of {', '.join(EVENTS)}")
    if "weight" in cells:
        weights, _ = to_floats(cells["weight"])
        refuse(~(weights > 0), "its weight is not above 0")
    low = np.zeros(n, np.bool_)
    if "rating" in cells:
        rated, _ = to_floats(cells["rating"])
        refuse(np.isnan(rated), "has no rating that can be read")
        low = (rated < columns.least_rating) & (why == "")
        refuse(low, f"is rated below {columns.least_rating:g}")
    for at in np.flatnonzero(why != "").tolist():
        content = {role: column[at].as_py() for role, column in cells.items()}
        yield _rejected(file, int(numbers[at]), content, why[at], is_mistake=not low[at])
    for event in EVENTS:
        mask = booleans(pc.equal(events, event)) & (why == "")
        if mask.any():
            kept = to_mask(mask)
            yield ImportedBlock(
                song=songs.filter(kept),
                user=users.filter(kept),
                time_s=times[mask],
                event=event,
                played_ratio=np.full(int(mask.sum()), np.nan, np.float32),
                entry=pa.nulls(int(mask.sum()), pa.string()),
                weight=None if weights is None else weights[mask].astype(np.float32),
            )


def _rejected(
    file: str, row: int, content: object, reason: str, *, is_mistake: bool = True
) -> RejectedRow:
    shown = stored_text(content)
    return RejectedRow(reason=reason, file=file, row=row, content=shown, is_mistake=is_mistake)


def columns_of_logs(path: Path, names: Sequence[str]) -> str:
    """Return which columns a log has, and the command that makes one of a file with others."""
    is_text = path.suffix.lower() not in PARQUET_ENDS
    if len(names) < 2 and is_text:  # all in one, not separated by commas; or not known yet
        names = _names_of(path)
    return (
        f"a log has {', '.join(COLUMNS[:-1])} and, unless each row is a play, {COLUMNS[-1]}; "
        f"one of play counts user_id, song_id, weight; other names: {import_command(path, names)}"
    )


def import_command(path: Path, names: Sequence[str]) -> str:
    """Return the command that imports a table with these columns.

    Examples
    --------
    >>> import_command(Path("u.inter"), ["user_id:token", "item_id:token", "timestamp:float"])
    'audiorec listening import table u.inter --user-column user_id --song-column item_id \
--time-column timestamp'
    """
    plain = [name.partition(":")[0].strip() for name in names]
    asked = ["audiorec", "listening", "import", "table", str(path)]
    for role, words in GUESSES.items():
        fits = (name for word in words for name in plain if word in name.lower())
        name = next(fits, role.upper() if role in ("user", "song") else "")
        if name:
            asked += [f"--{role}-column", name]
            plain = [one for one in plain if one != name]
    return shlex.join(asked)


def _names_of(path: Path) -> list[str]:
    with suppress(InputError, OSError, EOFError), open_unpacked(path) as file:
        return delimited(io.BytesIO(file.read(HEAD_BYTES)))[0]
    return []
