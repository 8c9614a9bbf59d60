"""Rows of all output files from a run and earlier output; and files put in place, all or none.

    parts ──newest_events, event_picks, content_picks──▶ picks ──picked_rows──▶ rows of a new file
    new files, staged beside their targets ──commit_staged──▶ all of them in place, or none

Every source of rows is a *part*: the previous Parquet file, or the records of one start of the run.
Planning looks only at ids, hashes and the order of events; the rows themselves are then read part
by part, one row group at a time, so memory does not grow with the file.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import integers, string_array
from audiorec.files.own_files import RunFolder, read_object, refuse_foreign, sync, write_own
from audiorec.store.schema import Checked, Kind, open_checked

SEQUENCE = "sequence"  # column of the records: counts the events of a run over all its starts
BEFORE = -1  # sequence of every row of the previous output
GROUPS_HELD = 2  # row groups: moved and unmoved songs are read in two interleaved orders

Keep = AbstractSet[str] | Callable[[str], bool]


class RowPart(Protocol):
    """A source of rows: key columns for planning, and rows by number."""

    def __len__(self) -> int: ...

    def table(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`."""

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop` as record batches."""

    def close(self) -> None:
        """Close the file."""


class Pick(NamedTuple):
    """One row of an output: its song id, and the part and row that it is taken from."""

    song_id: str
    part: int
    row: int


@dataclass(frozen=True, slots=True)
class Event:
    """The newest event of a song: a vector or a failure, and where its row is."""

    sequence: int
    kind: Kind
    part: int
    row: int


class ParquetPart:
    """The previous output as a part."""

    def __init__(self, file: Checked) -> None:
        self.file = file
        self._starts = file.group_starts()
        self._group = lru_cache(maxsize=GROUPS_HELD)(file.read_group)

    def __len__(self) -> int:
        return len(self.file)

    def table(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`; all rows are ``sequence`` -1."""
        table = self.file.read([name for name in columns if name != SEQUENCE])
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
            yield from rows.to_batches()
            start = end

    def close(self) -> None:
        """Close the file and drop the cached row groups."""
        self._group.cache_clear()
        self.file.file.close()


def newest_events(parts: Mapping[Kind, Sequence[RowPart]]) -> dict[str, Event]:
    """Return the newest event of every song: its last vector or its last failure."""
    newest: dict[str, Event] = {}
    for kind in (Kind.ERRORS, Kind.VECTORS):  # at equal sequence (previous output) vectors win
        for number, part in enumerate(parts[kind]):
            keys = part.table([StoreColumns.ID, SEQUENCE])
            ids, sequences = (keys.column(n).to_pylist() for n in (StoreColumns.ID, SEQUENCE))
            for row, (song_id, sequence) in enumerate(zip(ids, sequences, strict=True)):
                known = newest.get(song_id)
                if known is None or sequence >= known.sequence:
                    newest[song_id] = Event(sequence, kind, number, row)
    return newest


def rows_by_content(parts: Sequence[RowPart]) -> dict[str, tuple[int, int]]:
    """Return the part and row of the newest row of each ``content_hash``."""
    result: dict[str, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        hashes = part.table(["content_hash"]).column("content_hash").to_pylist()
        result.update((text, (number, row)) for row, text in enumerate(hashes))
    return result


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
    """Return the rows of the scores or features file for the songs of the vectors file.

    Scores and features belong to the audio, not to the id: a song takes the newest row with its
    ``content_hash``, so a renamed song keeps them, and never gets those of other audio.
    """
    places = rows_by_content(parts)
    hashes = [p.table(["content_hash"]).column("content_hash").to_pylist() for p in vectors]
    picks = []
    for song in songs:
        place = places.get(hashes[song.part][song.row])
        if place is not None:
            picks.append(Pick(song.song_id, *place))
    return picks


def picked_rows(parts: Sequence[RowPart], picks: Sequence[Pick], schema: Any) -> Iterator[Any]:
    """Yield the picked rows in order as record batches of `schema`, under their new ids."""
    for run in _runs(picks):
        names = iter(pick.song_id for pick in run)
        for batch in parts[run[0].part].slices(run[0].row, run[-1].row + 1):
            ids = string_array([next(names) for _ in range(len(batch))])
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
    ids = parts[0].table([StoreColumns.ID]).column(StoreColumns.ID).to_pylist()
    return bool(ids == [pick.song_id for pick in picks])


def _runs(picks: Sequence[Pick]) -> Iterator[Sequence[Pick]]:
    """Cut the picks into runs of consecutive rows of one part."""
    start = 0
    for stop in range(1, len(picks) + 1):
        if stop < len(picks):
            last, this = picks[stop - 1], picks[stop]
            if (last.part, last.row + 1) == (this.part, this.row):
                continue
        yield picks[start:stop]
        start = stop


MARKER = "commit.json"
MARKER_SCHEMA = "audiorec/commit/2"
Targets = Mapping[Kind, Path]


def real_target(path: Path, kind: Kind) -> Path:
    """Resolve an output path; if it is a link, it must lead to a store file of this kind."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    try:
        open_checked(target, kind).file.close()
    except StoreError as error:
        raise StoreError(
            f"{path}: links to something other than a {kind} file of audiorec ({error}); remove "
            "the link, or name its target instead"
        ) from error
    return target


def check_apart(paths: Collection[Path]) -> None:
    """Refuse outputs if two of them are the same file."""
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError(f"two outputs are the same file: {', '.join(map(str, paths))}")


def staged_path(target: Path, run_dir: Path) -> Path:
    """Return the path of the staged content of `target`: a hidden file in the same folder."""
    return target.with_name(f".{target.name}.{run_dir.name}.staged")


def commit_staged(targets: Targets, folder: RunFolder) -> None:
    """Replace each target (as `real_target` returns it) with its staged file, in this order.

    New files are first written completely beside their targets. Then one small file, the marker,
    names them. Once the marker exists the commit is decided: the next run that finds it carries out
    the remaining renames. Without a marker, the next run discards the staged files. A marker may
    have been planted, so it is not trusted with paths: it only says which kinds of file are to be
    moved.
    """
    staged = [staged_path(target, folder.path) for target in targets.values()]
    marker = folder.path / MARKER
    files = {kind: target.name for kind, target in targets.items()}
    try:
        for path in staged:
            sync(path)
        write_own(marker, json.dumps({"schema": MARKER_SCHEMA, "files": files}))
    except OSError:
        if not marker.exists():  # not committed: free the disk space
            for path in staged:
                path.unlink(missing_ok=True)
        raise
    finish_commit(targets, folder.path)


def finish_commit(targets: Targets, run_dir: Path) -> bool:
    """Carry out the moves that a marker lists (`pending_moves`); return whether there was one."""
    moves = pending_moves(targets, run_dir)
    for staged, target in (moves or {}).items():
        staged.replace(target)
        sync(target.parent)
    return moves is not None


def pending_moves(targets: Targets, run_dir: Path) -> dict[Path, Path] | None:
    """Return the moves left to do, staged to target; None if there is no marker."""
    marker = run_dir / MARKER
    try:
        names = _read_marker(marker)
    except FileNotFoundError:
        return None
    moves = {}
    for kind, name in names.items():
        if kind not in targets or targets[kind].name != name:
            raise StoreError(
                f"{marker}: a run was interrupted while it wrote {name!r}, which is not an output "
                "of this command: finish that run with the same command, or remove the folder"
            )
        staged = staged_path(targets[kind], run_dir)
        if os.path.lexists(staged):
            refuse_foreign(staged)
            open_checked(staged, kind).file.close()
            moves[staged] = targets[kind]
        elif not targets[kind].exists():
            raise StoreError(f"{targets[kind]}: lost: neither it nor {staged.name} exists any more")
    return moves


def _read_marker(marker: Path) -> dict[Kind, str]:
    try:
        content = read_object(marker)
        if content.get("schema") != MARKER_SCHEMA:
            raise StoreError(
                f"{marker}: not written by this version of audiorec; inspect its folder, and "
                "remove it to start afresh"
            )
        return {Kind(kind): str(name) for kind, name in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{marker}: damaged; inspect its folder, and remove it to start afresh"
        ) from error


def tidy(targets: Targets, folder: RunFolder, *, forget: bool) -> None:
    """Finish an interrupted commit, or discard an undecided one; with `forget`, discard both."""
    if forget or finish_commit(targets, folder.path):
        folder.clear(last=MARKER)
    for target in targets.values():
        staged = staged_path(target, folder.path)
        if os.path.lexists(staged):  # left over from an interrupted run
            refuse_foreign(staged)
            staged.unlink()
