"""Which rows a file gets when earlier output and the streams of a run come together.

Every source of rows is a *part*: the previous Parquet file, or one stream of one start of
the run. Planning looks at ids, hashes and the order of events only; the rows themselves are
then drawn part by part, a row group at a time, whatever the size of the whole.

Rules: the newest event of a song decides, be it a vector or a failure. Scores and features
belong to a sound, not to a name: a song takes the newest row with its ``content_hash``, so
a renamed song keeps them, and those of other content are never taken for its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import integers, strings
from audiorec.store.parquet import Checked
from audiorec.store.schema import Kind

SEQUENCE = "sequence"  # column of the streams: counts the events of a run over all its starts
BEFORE = -1  # the sequence of everything in the previous output
GROUPS_HELD = 2  # row groups: moved and unmoved songs are drawn in two interleaved orders

Keep = AbstractSet[str] | Callable[[str], bool]


class RowPart(Protocol):
    """Rows that can be planned by their keys and drawn by their number."""

    def __len__(self) -> int: ...

    def table(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`."""

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop` as record batches."""

    def close(self) -> None:
        """Let go of the file."""


class Pick(NamedTuple):
    """One row of an output: the name it gets, and where it comes from."""

    song_id: str
    part: int
    row: int


@dataclass(frozen=True, slots=True)
class Event:
    """The newest that is known of a song."""

    sequence: int
    kind: Kind
    part: int
    row: int


class ParquetPart:
    """The previous output as a part; fields that it is `lacking` are null in every row."""

    def __init__(self, file: Checked, lacking: Sequence[Any] = ()) -> None:
        self.file = file
        self._lacking = {field.name: field for field in lacking}
        self._starts = file.group_starts()
        self._group = lru_cache(maxsize=GROUPS_HELD)(file.read_group)

    def __len__(self) -> int:
        return len(self.file)

    def table(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`; all rows are ``sequence`` -1."""
        there = [name for name in columns if name != SEQUENCE and name not in self._lacking]
        table = self._completed(self.file.read(there), columns)
        if SEQUENCE in columns:
            before = integers(np.full(len(self), BEFORE, np.int64))
            table = table.append_column(SEQUENCE, before)
        return table.select(columns)

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop` as record batches."""
        while start < stop:
            group = int(np.searchsorted(self._starts, start, side="right")) - 1
            first, end = self._starts[group], min(stop, self._starts[group + 1])
            rows = self._group(group).slice(start - first, end - start)
            yield from self._completed(rows, self._lacking).to_batches()
            start = end

    def _completed(self, table: Any, columns: Iterable[str]) -> Any:
        """Return a table with those of the columns that are lacking as nulls."""
        for name in columns:
            if name in self._lacking:
                if name in table.column_names:  # by another method
                    table = table.drop_columns([name])
                field = self._lacking[name]
                table = table.append_column(field, pa.nulls(len(table), field.type))
        return table

    def close(self) -> None:
        """Let go of the file and of the row groups that are held."""
        self._group.cache_clear()
        self.file.file.close()


class TablePart:
    """Rows in memory as a part of what was before the run."""

    def __init__(self, table: Any) -> None:
        before = integers(np.full(len(table), BEFORE, np.int64))
        self._rows = table.append_column(SEQUENCE, before)

    def __len__(self) -> int:
        return len(self._rows)

    def table(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`; all rows are ``sequence`` -1."""
        return self._rows.select(columns)

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop` as record batches."""
        yield from self._rows.slice(start, stop - start).to_batches()

    def close(self) -> None:
        """Do nothing: there is no file."""


def newest_events(parts: Mapping[Kind, Sequence[RowPart]]) -> dict[str, Event]:
    """Return the newest event of every song: its last vector or its last failure."""
    newest: dict[str, Event] = {}
    for kind in (Kind.ERRORS, Kind.VECTORS):  # at equal sequence, in old output, vectors win
        for number, part in enumerate(parts[kind]):
            keys = part.table(["song_id", SEQUENCE])
            ids, sequences = (keys.column(n).to_pylist() for n in ("song_id", SEQUENCE))
            for row, (song_id, sequence) in enumerate(zip(ids, sequences, strict=True)):
                known = newest.get(song_id)
                if known is None or sequence >= known.sequence:
                    newest[song_id] = Event(sequence, kind, number, row)
    return newest


def rows_by_content(parts: Sequence[RowPart]) -> dict[str, tuple[int, int]]:
    """Return where the newest row of each ``content_hash`` is: its part and row."""
    found: dict[str, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        hashes = part.table(["content_hash"]).column("content_hash").to_pylist()
        found.update((name, (number, row)) for row, name in enumerate(hashes))
    return found


def event_picks(events: Mapping[str, Event], kind: Kind, keep: Keep | None = None) -> list[Pick]:
    """Return the rows of the vectors or errors file, sorted by id."""
    kept = (lambda _: True) if keep is None else keep if callable(keep) else keep.__contains__
    return [
        Pick(song_id, event.part, event.row)
        for song_id, event in sorted(events.items())
        if event.kind == kind and kept(song_id)
    ]


def content_picks(
    songs: Sequence[Pick], vectors: Sequence[RowPart], parts: Sequence[RowPart]
) -> list[Pick]:
    """Return the rows of the scores or features file for the songs of the vectors file."""
    places = rows_by_content(parts)
    hashes = [p.table(["content_hash"]).column("content_hash").to_pylist() for p in vectors]
    picks = []
    for song in songs:
        place = places.get(hashes[song.part][song.row])
        if place is not None:
            picks.append(Pick(song.song_id, *place))
    return picks


def draw_rows(parts: Sequence[RowPart], picks: Sequence[Pick], schema: Any) -> Iterator[Any]:
    """Yield the picked rows in order as record batches of `schema`, under their new ids."""
    for run in _runs(picks):
        names = iter(pick.song_id for pick in run)
        for batch in parts[run[0].part].slices(run[0].row, run[-1].row + 1):
            ids = strings([next(names) for _ in range(len(batch))])
            others = [batch.column(name) for name in schema.names[1:]]
            yield pa.record_batch([ids, *others], schema=schema)


def pick_table(parts: Sequence[RowPart], picks: Sequence[Pick], schema: Any) -> Any:
    """Return the columns of `schema` of the picked rows as one table, grouped by part."""
    tables = []
    for number, part in enumerate(parts):
        rows = [pick.row for pick in picks if pick.part == number]
        if rows:
            tables.append(part.table(schema.names).take(integers(rows)))
    return pa.concat_tables(tables) if tables else pa.Table.from_batches([], schema)


def is_unchanged(parts: Sequence[RowPart], picks: Sequence[Pick]) -> bool:
    """Whether the picks are just the previous output, row by row and under the same ids."""
    if not parts or not isinstance(parts[0], ParquetPart) or len(picks) != len(parts[0]):
        return False
    if any((pick.part, pick.row) != (0, row) for row, pick in enumerate(picks)):
        return False
    ids = parts[0].table(["song_id"]).column("song_id").to_pylist()
    return bool(ids == [pick.song_id for pick in picks])


def _runs(picks: Sequence[Pick]) -> Iterator[Sequence[Pick]]:
    """Cut the picks into runs of neighbouring rows of one part."""
    start = 0
    for stop in range(1, len(picks) + 1):
        if stop < len(picks):
            last, this = picks[stop - 1], picks[stop]
            if (last.part, last.row + 1) == (this.part, this.row):
                continue
        yield picks[start:stop]
        start = stop
