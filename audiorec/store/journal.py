"""Journal of a resumable run: finished songs lie in small Parquet files until the run is committed.

During a run its rows are kept in ``<vectors file>.run/``: a lock, and parts that appear by rename,
each a file of one kind, sorted, as the output will be. `Journal.commit` merges them with the
previous output into new files, all replaced together, and removes the folder.

    Journal.open(outputs, metadata)  →  what is known: .known() .failures() .hashes(kind)
        .append_song(...)  .append_copy(...)  .append_failure(...)     once per song
        .commit(keep=...)                                              once per run

A process killed at any point loses the songs in flight and those that were finished in the last
`PART_S` seconds; the next `Journal.open` resumes the run, even if it was interrupted in its commit.
A part that is damaged costs its songs. A journal must be used from one thread.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.files.arrow import booleans, integers, mask, one_chunk, string_array, view
from audiorec.files.arrow import rows as arrow_rows
from audiorec.files.own_files import (
    RunFolder,
    replaced,
    run_folder_path,
    unfinished_files,
    write_errors,
)
from audiorec.files.tables import TableFile
from audiorec.store.commit import (
    MARKER,
    PART_FILES,
    check_apart,
    commit_staged,
    pending_moves,
    real_target,
    staged_path,
    tidy,
)
from audiorec.store.compact import SCRATCH_FILES, CombinedSongs, sorted_rows
from audiorec.store.records import feature_values, row_batch, score_values
from audiorec.store.schema import (
    LISTS,
    Kind,
    StoreMetadata,
    check_ids,
    open_checked,
    schema_of,
    write_batches,
)
from audiorec.types import FloatArray, ScoreSeries

T = TypeVar("T")
Keep = AbstractSet[str] | Callable[[str], bool]
# Vectors come last: a song counts as done once its vector is written, and a reader that sees
# new vectors finds the other files updated as well.
WRITE_ORDER = (Kind.SCORES, Kind.FEATURES, Kind.ERRORS, Kind.VECTORS)
SERIES = (Kind.SCORES, Kind.FEATURES)
RUN_FILES = rf"{PART_FILES}|{SCRATCH_FILES}|{re.escape(MARKER)}"
PART_S = 2.0  # seconds of work in a part, at most
PART_ROWS = 512
PART_BYTES = 32 << 20
GROUPS_HELD = 2  # row groups: moved and unmoved songs are read in two interleaved orders
EVENT = "event"  # column: which row of a song is the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Paths of the output files of a run; None for those not requested."""

    vectors: Path
    errors: Path
    scores: Path | None = None
    features: Path | None = None

    @property
    def run_dir(self) -> Path:
        """The folder that holds an unfinished run."""
        return run_folder_path(self.vectors)

    def paths(self) -> dict[Kind, Path]:
        """Return the requested paths, in writing order."""
        paths = {kind: getattr(self, kind.value) for kind in WRITE_ORDER}
        return {kind: Path(path) for kind, path in paths.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one kind: the previous output has number 0, parts of the run grow from 1."""

    number: int
    path: Path

    def read(self, columns: list[str]) -> Any:
        """Return whole columns as a `pyarrow.Table`."""
        with TableFile.open(self.path) as file:
            return file.read(columns)


class Journal:
    """The rows of one run, and the output of earlier runs.

    Use `Journal.open` in a ``with`` statement: left without `commit`, the next run resumes from it.
    """

    def __init__(self, outputs: Outputs, metadata: StoreMetadata, folder: RunFolder | None) -> None:
        self.outputs = outputs
        self._paths = {kind: real_target(path, kind) for kind, path in outputs.paths().items()}
        self.metadata = metadata
        self._metadata = {kind: replace(metadata, kind=kind) for kind in self._paths}
        self._schemas = {kind: schema_of(made) for kind, made in self._metadata.items()}
        self._folder = folder
        self._parts: dict[Kind, list[Part]] = {kind: [] for kind in self._paths}
        self._places: dict[Kind, dict[str, tuple[Part, int]]] = {}
        self._group = lru_cache(maxsize=GROUPS_HELD)(_row_group)
        self._starts = lru_cache(maxsize=None)(_group_starts)
        self._known: tuple[Any, Any] | None = None
        self._pending: dict[Kind, list[Any]] = {}
        self._pending_ids: set[str] = set()
        self._since, self._bytes = 0.0, 0
        self._number = 1
        self.damaged = 0  # unreadable parts of earlier starts

    @classmethod
    def open(
        cls, outputs: Outputs, metadata: StoreMetadata, *, overwrite: bool = False
    ) -> "Journal":
        """Begin a run, or resume an interrupted one; missing folders are created.

        The kind in `metadata` does not matter. `overwrite` discards an unfinished run and ignores
        the previous output, which stays in place until the commit.

        Raises `InputError` if two outputs are the same file; `SpecMismatchError` if the previous
        output is from another extractor; `StoreError` if another run holds this output, it cannot
        be written, or the file there is damaged, not a store, or has columns that would be lost.
        """
        check_apart(outputs.paths().values())
        with write_errors(outputs.vectors), ExitStack() as on_error:
            for path in outputs.paths().values():
                path.parent.mkdir(parents=True, exist_ok=True)
            folder = RunFolder(outputs.vectors, RUN_FILES)
            on_error.callback(folder.release)
            journal = cls(outputs, metadata, folder)
            tidy(journal._paths, folder, forget=overwrite)
            if not overwrite:
                journal._find_previous(journal._paths)
            journal._find_parts(folder.names())
            on_error.pop_all()
        return journal

    @classmethod
    def open_read_only(cls, outputs: Outputs, metadata: StoreMetadata) -> "Journal":
        """Open read-only: what `open` would know, without taking the lock or changing anything."""
        check_apart(outputs.paths().values())
        names = unfinished_files(outputs.vectors, RUN_FILES)
        journal = cls(outputs, metadata, None)
        moves = pending_moves(journal._paths, outputs.run_dir)
        staged = {target: path for path, target in (moves or {}).items()}
        journal._find_previous({k: staged.get(p, p) for k, p in journal._paths.items()})
        journal._find_parts(names if moves is None else [])
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        # What ends the run is told, and not that its last rows have no room either.
        with suppress(*([StoreError] if kind else [])):
            self.close()

    def known(self, columns: Sequence[str] | None = None) -> Any:
        """Return the newest row of each song that had one before this start.

        `columns` are by default all but the lists of numbers.
        """
        return self._newest(Kind.VECTORS, columns)

    def failures(self, columns: Sequence[str] | None = None) -> Any:
        """Return the songs whose newest event is a failure: columns of the errors file."""
        return self._newest(Kind.ERRORS, columns)

    def hashes(self, kind: Kind) -> frozenset[str]:
        """Return the content hashes for which a row of this kind exists.

        A song known by hash for every requested kind needs no decoding: either its id is known, or
        `append_copy` copies its rows.
        """
        if kind == Kind.ERRORS:
            raise InputError("failures have no content hash")
        return frozenset(self._content_places(kind))

    def append_song(
        self,
        row: Mapping[str, Any],
        *,
        scores: ScoreSeries | None = None,
        features: Mapping[str, FloatArray] | None = None,
    ) -> None:
        """Add one finished song; it is on disk within `PART_S` seconds of work.

        `row` has the columns of ``vecs.parquet``; ``extractor_id`` and, unless given,
        ``extracted_at`` are filled in. `scores` are required if scores or features are among the
        outputs, `features` (series (T, D) by name of the backbone output, ``msd.penultimate``) if
        features are. Raise `StoreError` if the disk is full, and `InputError` or `ShapeError` if a
        value does not fit.
        """
        if Kind.SCORES in self._paths or Kind.FEATURES in self._paths:
            _given(scores, "scores")
        if Kind.FEATURES in self._paths:
            _given(features, "features")
        row = {"extracted_at": datetime.now(UTC), **row}
        self._append(self._with_series(row, scores, features))

    def append_copy(
        self,
        content_hash: str,
        changes: Mapping[str, Any],
        *,
        scores: ScoreSeries | None = None,
        features: Mapping[str, FloatArray] | None = None,
    ) -> None:
        """Copy the row of known audio to a moved, renamed, retagged or duplicate song.

        `content_hash` is one of ``hashes(Kind.VECTORS)``. Existing scores and features are carried
        over in the commit; pass them only if they were missing. `changes` are the columns to
        replace, including ``song_id``.
        """
        place = self._content_places(Kind.VECTORS).get(content_hash)
        if place is None:
            raise InputError(f"no known song has the content hash {content_hash!r}")
        values = arrow_rows(self._row(*place))[0]
        self._append(self._with_series({**values, **changes}, scores, features))

    def append_failure(self, row: Mapping[str, Any]) -> None:
        """Add a row of the errors file; if its song had a vector, it is dropped."""
        self._append({Kind.ERRORS: {"failed_at": datetime.now(UTC), **row}})

    def commit(self, *, keep: Keep | None = None) -> dict[Kind, int]:
        """Merge everything into the final files, remove the folder and close; return rows by kind.

        `keep` selects the song ids to keep in all files. A file that would not change is left
        untouched, and an empty errors file is not created.
        """
        folder = self._held()
        self._flush()
        dropped, failed = self._gone(keep)
        gone = pa.concat_arrays([dropped, failed])
        rows: dict[Kind, int] = {}
        changed: dict[Kind, Path] = {}
        with write_errors(self.outputs.vectors), ExitStack() as on_error:

            def merge(kind: Kind, keep_rows: Callable[[Any], Any]) -> Path:
                """Return the file with the merged rows: a new one, or the old one as it is."""
                path = self._paths[kind]
                count = self._unchanged(kind, keep_rows)
                if count is not None:
                    rows[kind] = count
                    return path
                staged = staged_path(path, folder.path)
                on_error.callback(staged.unlink, missing_ok=True)
                batches = self._merged(kind, keep_rows, folder.path)
                rows[kind] = write_batches(staged, batches, self._metadata[kind])
                if rows[kind] or kind != Kind.ERRORS or path.exists():
                    changed[kind] = path
                else:
                    staged.unlink()
                return staged

            vectors = merge(Kind.VECTORS, lambda table: _without(table, gone))
            songs = CombinedSongs(open_checked(vectors, Kind.VECTORS))
            merge(Kind.ERRORS, lambda table: songs.keep(_without(table, dropped)))
            for kind in (kind for kind in SERIES if kind in self._paths):
                self._adopt(kind, songs)
                merge(kind, songs.keep)
            on_error.pop_all()
            commit_staged({kind: changed[kind] for kind in WRITE_ORDER if kind in changed}, folder)
        folder.clear(last=MARKER)
        folder.release(remove=True)
        return {kind: rows[kind] for kind in self._paths}

    def close(self) -> None:
        """Write what is pending and release the lock: the next start finds all rows."""
        try:
            self._flush()
        finally:
            if self._folder is not None:
                self._folder.release()

    def _merged(self, kind: Kind, keep: Callable[[Any], Any], scratch: Path) -> Iterator[Any]:
        """Yield the newest rows of a kind, sorted by id, those that `keep` returns."""
        parts: list[Any] = [part.path for part in self._parts[kind]]
        with ExitStack() as stack:
            if self._parts[kind] and self._parts[kind][0].number == 0:  # it may be unsorted
                parts[0] = stack.enter_context(open_checked(parts[0], kind))
            schema = self._schemas[kind]
            found = sorted_rows(parts, schema, scratch=scratch, on_duplicate="last", keep=keep)
            for table in found:
                yield from table.cast(schema).combine_chunks().to_batches()

    def _unchanged(self, kind: Kind, keep: Callable[[Any], Any]) -> int | None:
        """Return the rows of the previous output if a merge would not change it; else None."""
        if [part.number for part in self._parts[kind]] != [0]:
            return None
        (part,) = self._parts[kind]
        columns = [StoreColumns.ID, *(["content_hash"] if kind in SERIES else [])]
        keys = part.read(columns)
        ids = keys.column(StoreColumns.ID).combine_chunks()
        if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is False:
            return None
        return len(keys) if len(keep(keys)) == len(keys) else None

    def _gone(self, keep: Keep | None) -> tuple[Any, Any]:
        """Return the ids that `keep` does not select, and those whose newest event is a failure."""
        ids, events = self._events()
        is_kept = (
            (lambda _: True) if keep is None else keep if callable(keep) else keep.__contains__
        )
        others = [name for name in ids.to_pylist() if not is_kept(name)] if keep is not None else []
        return string_array(others), ids.filter(mask(view(events, np.int64) % 2 == 0))

    def _events(self) -> tuple[Any, Any]:
        """Return the ids of all songs, and the newest event of each, as two arrays.

        An event is twice the number of its part, and 1 more for a vector.
        """
        kinds = (Kind.ERRORS, Kind.VECTORS)
        keys = pa.concat_tables([self._rows(kind, [StoreColumns.ID]) for kind in kinds])
        # Not `group_by`, which imports pandas.
        order = [(StoreColumns.ID, "ascending"), (EVENT, "descending")]
        keys = keys.take(pc.sort_indices(keys, sort_keys=order))
        ids, events = _one(keys.column(StoreColumns.ID)), _one(keys.column(EVENT))
        is_first = np.ones(len(ids), np.bool_)
        is_first[1:] = booleans(pc.not_equal(ids[1:], ids[:-1]))
        return ids.filter(mask(is_first)), events.filter(mask(is_first))

    def _rows(self, kind: Kind, columns: Sequence[str]) -> Any:
        """Return columns of all rows of a kind, and which event of its song each one is."""
        schema = pa.schema([self._schemas[kind].field(name) for name in columns])
        tables = [_with_event(pa.Table.from_batches([], schema), 0)]
        for part in self._parts[kind]:
            table = part.read(list(columns)).select(columns).replace_schema_metadata()
            tables.append(_with_event(table, 2 * part.number + (kind == Kind.VECTORS)))
        return pa.concat_tables(tables)

    def _newest(self, kind: Kind, columns: Sequence[str] | None) -> Any:
        """Return the rows of a kind that are the newest event of their song."""
        if self._known is None:
            self._known = self._events()
        ids, events = self._known
        others = (name for name in self._schemas[kind].names if name not in ("vector", *LISTS))
        names = list(columns or others)
        rows = self._rows(kind, list(dict.fromkeys([StoreColumns.ID, *names])))
        latest = events.take(pc.index_in(_one(rows.column(StoreColumns.ID)), value_set=ids))
        return rows.filter(pc.equal(latest, _one(rows.column(EVENT)))).select(names)

    def _adopt(self, kind: Kind, songs: CombinedSongs) -> None:
        """Copy scores or features of known audio to songs that have none under their own id.

        They belong to the audio, not to the id: a renamed song keeps them.
        """
        self._places.pop(kind, None)
        places = self._content_places(kind)
        there: set[Any] = set()
        for part in self._parts[kind]:
            keys = part.read([StoreColumns.ID, "content_hash"])
            there |= set(zip(*(column.to_pylist() for column in keys.columns), strict=True))
        for song_id, content_hash in songs.pairs():
            if (song_id, content_hash) in there or content_hash not in places:
                continue
            row = self._row(*places[content_hash])
            at = row.schema.get_field_index(StoreColumns.ID)
            row = row.set_column(at, row.schema.field(at), string_array([song_id]))
            self._add({kind: row.to_batches()[0]})
        self._flush()

    def _with_series(
        self,
        row: Mapping[str, Any],
        scores: ScoreSeries | None,
        features: Mapping[str, FloatArray] | None,
    ) -> dict[Kind, Mapping[str, Any]]:
        """Return the rows of one song by kind: its vector, and the requested series."""
        rows: dict[Kind, Mapping[str, Any]] = {Kind.VECTORS: row}
        names = str(row.get(StoreColumns.ID, "")), str(row.get("content_hash", ""))
        if Kind.SCORES in self._paths and scores is not None:
            rows[Kind.SCORES] = score_values(*names, scores)
        if Kind.FEATURES in self._paths and scores is not None and features is not None:
            rows[Kind.FEATURES] = feature_values(*names, scores.start_s, features)
        return rows

    def _append(self, rows: Mapping[Kind, Mapping[str, Any]]) -> None:
        self._held()
        batches = {}
        for kind in rows:
            values = dict(rows[kind])
            if "extractor_id" in self._schemas[kind].names:
                values["extractor_id"] = self._metadata[kind].extractor_id
            batches[kind] = row_batch(values, self._schemas[kind])
        song_id = batches[next(iter(batches))].column(0)[0].as_py()
        if song_id in self._pending_ids:  # a part has one event of a song
            self._flush()
        self._pending_ids.add(song_id)
        self._add(batches)

    def _add(self, batches: Mapping[Kind, Any]) -> None:
        """Add the rows of a song to the next part, and write it if it is due."""
        if not self._pending:
            self._since, self._bytes = time.monotonic(), 0
        for kind, batch in batches.items():
            self._pending.setdefault(kind, []).append(batch)
            self._bytes += batch.nbytes
        is_full = self._bytes >= PART_BYTES or max(map(len, self._pending.values())) >= PART_ROWS
        if is_full or time.monotonic() - self._since >= PART_S:
            self._flush()

    def _flush(self) -> None:
        """Write the pending rows as parts, the vectors last."""
        if not self._pending:
            return
        folder = self._held().path
        with write_errors(self.outputs.run_dir):
            for kind in (kind for kind in WRITE_ORDER if kind in self._pending):
                table = pa.Table.from_batches(self._pending[kind], self._schemas[kind])
                path = folder / f"{kind}-{self._number:06d}.parquet"
                with replaced(path) as temporary:
                    rows = table.combine_chunks().sort_by(StoreColumns.ID).to_batches()
                    write_batches(temporary, rows, self._metadata[kind])
                self._parts[kind].append(Part(self._number, path))
        self._number += 1
        self._pending.clear()
        self._pending_ids.clear()

    def _held(self) -> RunFolder:
        if self._folder is None:
            raise InputError(f"{self.outputs.vectors}: opened read-only; use Journal.open to write")
        return self._folder

    def _find_previous(self, paths: Mapping[Kind, Path]) -> None:
        """Take the previous output as the first part of each kind."""
        for kind, path in paths.items():
            if not path.exists():
                continue
            with open_checked(path, kind, extra_columns=False) as file:
                # A failure is about the file, not the numbers, so any extractor's is kept.
                if kind != Kind.ERRORS:
                    self._check_extractor(path, file.metadata)
                if not self._is_alike(kind, file.metadata):
                    raise StoreError(
                        f"{path}: has different columns from those this run writes; use "
                        "`overwrite`, or give another path"
                    )
            self._parts[kind].append(Part(0, path))

    def _find_parts(self, names: Sequence[str]) -> None:
        """Take the parts left by earlier starts of this run."""
        for name in names:
            match = re.fullmatch(PART_FILES, name)
            if match is None:
                continue
            kind, number = Kind(match[1]), int(match[2])
            self._number = max(self._number, number + 1)
            if kind in self._paths and self._is_of_use(self.outputs.run_dir / name, kind):
                self._parts[kind].append(Part(number, self.outputs.run_dir / name))
        for parts in self._parts.values():
            parts.sort(key=lambda part: part.number)

    def _is_of_use(self, path: Path, kind: Kind) -> bool:
        """Whether a part can be read, and has the columns of this run."""
        try:
            with open_checked(path, kind, extra_columns=False) as file:
                self._check_extractor(path, file.metadata)
                alike = self._is_alike(kind, file.metadata)
                if alike and not check_ids(file.read().column(StoreColumns.ID), path):
                    raise StoreError(f"{path}: its rows are not sorted")
        except SpecMismatchError:
            raise
        except StoreError:
            self.damaged += 1
            return False
        return alike  # otherwise its songs are extracted again

    def _is_alike(self, kind: Kind, metadata: StoreMetadata) -> bool:
        ours = self._metadata[kind]
        same = kind != Kind.VECTORS or metadata.optional == ours.optional
        return bool(same and schema_of(metadata).equals(schema_of(ours)))

    def _check_extractor(self, path: Path, found: StoreMetadata) -> None:
        ours = self._metadata[Kind.VECTORS]
        if found.extractor_id != ours.extractor_id:
            raise SpecMismatchError(
                f"{path}: made by extractor {found.extractor_id}, this run uses "
                f"{ours.extractor_id} ({ours.what_differs(found)}); "
                "use `overwrite` to start afresh, or give another output"
            )

    def _content_places(self, kind: Kind) -> dict[str, tuple[Part, int]]:
        """Return part and row of the newest row of each content hash."""
        if kind not in self._places:
            self._places[kind] = {
                text: (part, row)
                for part in self._parts.get(kind, [])
                for row, text in enumerate(part.read(["content_hash"]).column(0).to_pylist())
            }
        return self._places[kind]

    def _row(self, part: Part, row: int) -> Any:
        """Return one row as a `pyarrow.Table`."""
        starts = self._starts(part.path)
        group = int(np.searchsorted(starts, row, side="right")) - 1
        return self._group(part.path, group).slice(row - starts[group], 1)


def _row_group(path: Path, group: int) -> Any:
    with TableFile.open(path) as file:
        return file.read_group(group)


def _group_starts(path: Path) -> list[int]:
    with TableFile.open(path) as file:
        return file.group_starts()


def _one(column: Any) -> Any:
    """Return a column as one array; where there is no chunk, `combine_chunks` imports pandas."""
    return one_chunk(column) if column.num_chunks else pa.nulls(0, column.type)


def _with_event(table: Any, event: int) -> Any:
    return table.append_column(EVENT, integers(np.full(len(table), event, np.int64)))


def _without(table: Any, ids: Any) -> Any:
    """Return the rows that have none of some ids."""
    return table.filter(pc.invert(pc.is_in(table.column(StoreColumns.ID), value_set=ids)))


def _given(value: T | None, name: str) -> T:
    if value is None:
        raise InputError(f"{name} are among the outputs: pass them for every song")
    return value
