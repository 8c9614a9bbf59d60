"""Read a table of events whose columns have names of their own: CSV, tabs, RecBole, Parquet.

    events.tsv.gz, u.data, ml-100k.inter, events.parquet  ──meaning_of──▶ `TableMeaning`
    the same, `TableColumns`  ──read──▶ blocks, rejected rows
    the columns of a file that is no log  ──import_command──▶ the command that makes it one

Text has a header, unless it is MovieLens', and commas, tabs, semicolons, bars or double colons
between its cells, by its first line. Columns that are not named are recognised by their spelling
(`audiorec.listening.imports.spellings`).
"""

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.errors import AudiorecError, InputError
from audiorec.files.arrow import booleans, open_parquet
from audiorec.files.arrow import mask as to_mask
from audiorec.files.user_files import column_list, input_errors, open_unpacked
from audiorec.listening.events import (
    COLUMNS,
    DATE,
    EVENTS,
    LISTENING,
    to_floats,
    to_times,
    without_dictionary,
)
from audiorec.listening.imports.archives import FAILURE, HEAD_BYTES, delimited, members
from audiorec.listening.imports.rows import (
    NO_TIME,
    WRONG_TIME,
    ImportedBlock,
    RejectedRow,
    SourceRow,
    stored_text,
)
from audiorec.listening.imports.spellings import (
    ROLES,
    plain_name,
    recognise,
    seconds_of,
    spelt,
    truths,
    whole_of,
)
from audiorec.listening.log_files import PARQUET_ENDS
from audiorec.types import FloatArray

TEXTS = r"\.(csv|tsv|txt|dat|data|inter)(\.gz)?$"
BLOCK_ROWS = 1 << 16
HEAD_ROWS = 1000  # from which units and scales are told
GUESSES = {  # parts of names, for the command that an error proposes
    "user": ("user", "uid", "listener", "account", "customer"),
    "song": ("song", "item", "track", "movie", "artist"),
    "time": ("time", "date", "played_at"),
}
# MovieLens' u.data and ratings.dat have no header.
HEADLESS = (LogColumns.USER, "item_id", "rating", LogColumns.TIME)
LEAST_RATING = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumns:
    """The names of a table's columns: None to recognise one, empty if the table has none.

    Attributes
    ----------
    user, song : str, optional
    time : str, optional
        Without one, the table becomes a log of counts.
    event : str, optional
        One of `audiorec.listening.events.EVENTS` in each row; without one, all are plays.
    skip : str, optional
        Whether the song was skipped: the play becomes a skip.
    played, length : str, optional
        How long the song was heard, and how long it is; together the played ratio.
    ratio : str, optional
        The share of the song that was heard, from 0 to 1 or in per cent.
    rating : str, optional
        Rows rated below `least_rating` are set aside.
    weight : str, optional
        How often the row counts.
    least_rating : float
    """

    user: str | None = None
    song: str | None = None
    time: str | None = None
    event: str | None = None
    skip: str | None = None
    played: str | None = None
    length: str | None = None
    ratio: str | None = None
    rating: str | None = None
    weight: str | None = None
    least_rating: float = LEAST_RATING

    def given(self) -> dict[str, str]:
        """Return the columns that are named, or said to be missing, by role."""
        named = {role: getattr(self, role) for role in ROLES}
        return {role: name for role, name in named.items() if name is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMeaning:
    """What the columns of a table mean, and in which units.

    Attributes
    ----------
    names : mapping of str to str
        The column of each role.
    unused : mapping of str to str
        Columns that are not read, each with a reason or an empty text.
    played_s, length_s : float
        Seconds in a unit of the columns of durations.
    whole : float
        The ratio of a song that was heard to its end: 1 or 100.
    least_rating : float
    """

    names: Mapping[str, str]
    unused: Mapping[str, str]
    played_s: float = 1.0
    length_s: float = 1.0
    whole: float = 1.0
    least_rating: float = LEAST_RATING

    def lines(self) -> list[str]:
        """Say what each column becomes, and which are not used."""
        names = self.names
        units = {0.001: "milliseconds", 1.0: "seconds"}
        said = [f"{names[role]} → {role}" for role in ("user", "song", "time") if role in names]
        if "event" in names:
            said.append(f"{names['event']} → event")
        if "skip" in names:
            said.append(f"{names['skip']} → event skip")
        if "ratio" in names:
            percent = " (per cent)" if self.whole > 1 else ""
            said.append(f"{names['ratio']} → played_ratio{percent}")
        elif "played" in names and "length" in names:
            scale = f"{units[self.played_s]} / {units[self.length_s]}"
            said.append(f"{names['played']} / {names['length']} → played_ratio ({scale})")
        if "rating" in names:
            said.append(f"{names['rating']} → rows below {self.least_rating:g} are set aside")
        if "weight" in names:
            said.append(f"{names['weight']} → weight")
        lines = [f"columns: {'; '.join(said)}"]
        if self.unused:
            left = (f"{name} ({why})" if why else name for name, why in self.unused.items())
            lines.append(f"not used: {', '.join(left)}")
        return lines

    def places(self, names: Sequence[str]) -> dict[str, int]:
        """Return where each column is among `names`; raise `InputError` if it is not there."""
        plain = [plain_name(name) for name in names]
        found = {}
        for role, wanted in self.names.items():
            if wanted not in (*names, *plain):
                raise InputError(f"has no column {wanted!r}; it has {column_list(names)}")
            found[role] = (names if wanted in names else plain).index(wanted)
        return found


def meaning_of(
    paths: Sequence[Path], columns: TableColumns | None = None, user: str = ""
) -> TableMeaning:
    """Say what the columns of a table mean, by those that are named and by the first rows.

    Raises
    ------
    InputError
        If a named column is missing, or none is known for the users, unless `user` is given, or
        for the songs; the message has a command to run.
    """
    columns = columns or TableColumns()
    path = paths[0]
    names, sample = _head(path)
    given = columns.given()
    asked = TableMeaning(names={r: n for r, n in given.items() if n}, unused={})
    with input_errors(path, FAILURE):
        at = asked.places(names)
    given |= {role: names[place] for role, place in at.items()}
    found = recognise(names, given, sample)
    missing = [role for role in ("user", "song") if role not in found.names]
    if user:
        missing = [role for role in missing if role != "user"]
    if missing:
        roles = " and ".join(f"a {role}" for role in missing)
        raise InputError(
            f"{path}: no column is known for {roles}; it has {column_list(names)}; name them: "
            f"{import_command(path, names)}"
        )
    shown = {role: plain_name(name) for role, name in found.names.items()}
    of = {role: sample[name] for role, name in found.names.items()}
    units = {
        f"{role}_s": seconds_of(shown[role], of[role])
        for role in ("played", "length")
        if role in shown
    }
    return TableMeaning(
        names=shown,
        unused=found.unused,
        whole=whole_of(shown["ratio"], of["ratio"]) if "ratio" in shown else 1.0,
        least_rating=columns.least_rating,
        **units,
    )


def reads_as_log(path: Path) -> bool:
    """Return whether a file is for the reader of logs: a log, or nothing that a table could be."""
    if not path.is_file():
        return True
    try:
        names, _ = _head(path)
        return {LogColumns.USER, LogColumns.SONG} <= set(names) or not meaning_of([path])
    except AudiorecError:
        return True


def _head(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the columns of a table, or of the first one of a folder, and its first rows."""
    if path.suffix.lower() in PARQUET_ENDS:
        with input_errors(path, FAILURE), open_parquet(path, memory_map=True) as file:
            names = list(file.schema_arrow.names)
            batch = next(file.iter_batches(HEAD_ROWS), None)
            batch = file.schema_arrow.empty_table() if batch is None else batch
            return names, {n: without_dictionary(batch.column(i)) for i, n in enumerate(names)}
    member = members([path], TEXTS)[0]
    with member.open() as opened:
        names, lines = _cells(opened)
        rows = [row for row in islice(lines, HEAD_ROWS) if len(row) == len(names)]
    texts = {
        name: pa.array([row[place].strip() or None for row in rows], pa.string())
        for place, name in enumerate(names)
    }
    return names, texts


def _cells(file: IO[bytes]) -> tuple[list[str], Iterator[list[str]]]:
    """Return the header and the cells of a text; of MovieLens' files the header that they lack."""
    names, lines = delimited(file)
    is_headless = len(names) == len(HEADLESS) and all(map(_is_number, names))
    return (list(HEADLESS), chain([names], lines)) if is_headless else (names, lines)


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()


def read(
    paths: Sequence[Path], user: str, columns: TableColumns | None = None
) -> Iterator[SourceRow]:
    """Yield the rows of each file in blocks; `user` is for rows that name none."""
    meaning = meaning_of(paths, columns, user)
    for path in paths:
        yield from (_parquet if path.suffix.lower() in PARQUET_ENDS else _texts)(
            path, meaning, user
        )


def _parquet(path: Path, meaning: TableMeaning, user: str) -> Iterator[SourceRow]:
    with input_errors(path, FAILURE), open_parquet(path, memory_map=True) as file:
        names, first = file.schema_arrow.names, 1
        asked = {role: names[place] for role, place in meaning.places(names).items()}
        for batch in file.iter_batches(BLOCK_ROWS, columns=list(set(asked.values()))):
            batch.validate(full=True)
            cells = {role: without_dictionary(batch.column(n)) for role, n in asked.items()}
            numbers = np.arange(first, first + batch.num_rows)
            yield from _blocks(str(path), numbers, cells, meaning, user)
            first += batch.num_rows


def _texts(path: Path, meaning: TableMeaning, user: str) -> Iterator[SourceRow]:
    for member in members([path], TEXTS):
        with member.open() as file:
            names, lines = _cells(file)
            places, numbered = meaning.places(names), enumerate(lines, 1)
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
                yield from _blocks(member.name, numbers, texts, meaning, user)


def _blocks(
    file: str, numbers: Any, cells: Mapping[str, Any], meaning: TableMeaning, user: str
) -> Iterator[SourceRow]:
    """Yield the rows that cannot be used, each with its reason, and a block for each event."""
    n = len(numbers)
    songs = cells["song"].cast(pa.string())
    users = cells["user"].cast(pa.string()) if "user" in cells else pa.nulls(n, pa.string())
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
    if "skip" in cells:
        skipped, unreadable = truths(cells["skip"])
        refuse(unreadable, "its skip is neither true nor false")
        is_play = booleans(pc.equal(events, "play"))
        events = pc.if_else(to_mask(skipped & is_play), "skip", events)
    if "weight" in cells:
        weights, _ = to_floats(cells["weight"])
        refuse(~(weights > 0), "its weight is not above 0")
    low = np.zeros(n, np.bool_)
    if "rating" in cells:
        rated, _ = to_floats(cells["rating"])
        refuse(np.isnan(rated), "has no rating that can be read")
        low = (rated < meaning.least_rating) & (why == "")
        refuse(low, f"is rated below {meaning.least_rating:g}")
    for at in np.flatnonzero(why != "").tolist():
        content = {role: column[at].as_py() for role, column in cells.items()}
        yield _rejected(file, int(numbers[at]), content, why[at], is_mistake=not low[at])
    ratios = _ratios(cells, meaning, n)
    for event in EVENTS:
        mask = booleans(pc.equal(events, event)) & (why == "")
        if mask.any():
            kept = to_mask(mask)
            yield ImportedBlock(
                song=songs.filter(kept),
                user=users.filter(kept),
                time_s=times[mask],
                event=event,
                played_ratio=ratios[mask]
                if event in LISTENING
                else np.full_like(ratios, np.nan)[mask],
                entry=pa.nulls(int(mask.sum()), pa.string()),
                weight=None if weights is None else weights[mask].astype(np.float32),
            )


def _ratios(cells: Mapping[str, Any], meaning: TableMeaning, n: int) -> FloatArray:
    """Return the share of the song that was heard in each row, (P,), at most 1; NaN if unknown."""
    if "ratio" in cells:
        values = to_floats(cells["ratio"])[0] / meaning.whole
    elif "played" in cells and "length" in cells:
        played = to_floats(cells["played"])[0] * meaning.played_s
        length = to_floats(cells["length"])[0] * meaning.length_s
        values = played / np.where(length > 0, length, np.nan)
    else:
        return np.full(n, np.nan, np.float32)
    values = np.where(np.isfinite(values) & (values >= 0), np.minimum(values, 1.0), np.nan)
    return values.astype(np.float32)


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
    plain = [plain_name(name) for name in names]
    asked = ["audiorec", "listening", "import", "table", str(path)]
    for role, words in GUESSES.items():
        fits = (name for word in words for name in plain if word in name.lower())
        name = spelt(role, plain) or next(fits, role.upper() if role in ("user", "song") else "")
        if name:
            asked += [f"--{role}-column", name]
            plain = [one for one in plain if one != name]
    return shlex.join(asked)


def _names_of(path: Path) -> list[str]:
    with suppress(InputError, OSError, EOFError), open_unpacked(path) as file:
        return delimited(io.BytesIO(file.read(HEAD_BYTES)))[0]
    return []
