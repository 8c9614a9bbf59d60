"""Journal of a resumable run: every finished song is on disk before the next one.

During a run its rows are kept in ``<vectors file>.run/``: a lock and, for every start of the
run, one file of records per kind of output. `Journal.commit` merges them with the previous
output into new files, all replaced together, and removes the folder.

    Journal.open(outputs, metadata)  →  what is known: .known() .failures() .hashes(kind)
        .append_song(...)  .append_copy(...)  .append_failure(...)     once per song
        .commit(keep=...)                                              once per run

A process killed at any point loses only the songs in flight; the next `Journal.open` resumes
the run, even if it was interrupted in its commit. A journal must be used from one thread.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.files.arrow import rows as arrow_rows
from audiorec.files.own_files import RunFolder, run_folder_path, unfinished_files, write_errors
from audiorec.store.commit import (
    MARKER,
    SEQUENCE,
    Event,
    Keep,
    ParquetPart,
    Pick,
    RowPart,
    check_apart,
    commit_staged,
    content_picks,
    event_picks,
    is_unchanged,
    newest_events,
    pending_moves,
    pick_table,
    picked_rows,
    real_target,
    rows_by_content,
    staged_path,
    tidy,
)
from audiorec.store.links import MOST, Newcomers
from audiorec.store.records import (
    RECORD_FILES,
    RecordPart,
    RecordWriter,
    append_all,
    feature_values,
    row_batch,
    score_values,
)
from audiorec.store.schema import (
    LISTS,
    Kind,
    StoreMetadata,
    open_checked,
    schema_of,
    write_batches,
)
from audiorec.types import FloatArray, ScoreSeries

T = TypeVar("T")
# Vectors come last: a song counts as done once its vector is written, and a reader that sees
# new vectors finds the other files updated as well.
WRITE_ORDER = (Kind.SCORES, Kind.FEATURES, Kind.ERRORS, Kind.VECTORS)
RUN_FILES = rf"{RECORD_FILES}|{re.escape(MARKER)}"


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


class Journal:
    """The rows of one run, and the output of earlier runs.

    Use `Journal.open` in a ``with`` statement: left without `commit`, the next run resumes from it.
    """

    def __init__(self, outputs: Outputs, metadata: StoreMetadata, folder: RunFolder | None) -> None:
        self.outputs = outputs
        self._paths = {kind: real_target(path, kind) for kind, path in outputs.paths().items()}
        self.metadata = metadata
        self._metadata = {kind: replace(metadata, kind=kind) for kind in self._paths}
        sequence = pa.field(SEQUENCE, pa.int64(), nullable=False)
        self._schemas = {k: schema_of(m).append(sequence) for k, m in self._metadata.items()}
        self._folder = folder
        self._parts: dict[Kind, list[RowPart]] = {kind: [] for kind in self._paths}
        self._writers: dict[Kind, RecordWriter] = {}
        self._places: dict[Kind, dict[str, tuple[int, int]]] = {}
        self._known: dict[str, Event] | None = None
        self._number = 1
        self._sequence = 0
        self.damaged = 0  # unreadable stretches in the records of earlier starts

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
            on_error.callback(journal.close)
            tidy(journal._paths, folder, forget=overwrite)
            if not overwrite:
                journal._read_previous(journal._paths)
            journal._read_starts(folder.names())
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
        journal._read_previous({k: staged.get(p, p) for k, p in journal._paths.items()})
        journal._read_starts(names if moves is None else [])
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def known(self) -> Any:
        """Return the newest row, without lists, of each song that had one before this start."""
        return self._newest_table(Kind.VECTORS)

    def failures(self) -> Any:
        """Return the songs whose newest event is a failure: the columns of the errors file."""
        return self._newest_table(Kind.ERRORS)

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
        """Write one finished song to disk.

        `row` has the columns of ``vecs.parquet``; ``extractor_id`` and, unless given,
        ``extracted_at`` are filled in. `scores` are required if scores or features are among the
        outputs, `features` (series (T, D) by name of the backbone output, ``msd.penultimate``) if
        features are. Raise `StoreError` if the disk is full, leaving the journal unchanged, and
        `InputError` or `ShapeError` if a value does not fit.
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
        """Copy the rows of known audio to a moved, renamed, retagged or duplicate song.

        `content_hash` is one of ``hashes(Kind.VECTORS)``. Existing scores and features are carried
        over; pass them only if they were missing. `changes` are the columns to replace, including
        ``song_id``.
        """
        place = self._content_places(Kind.VECTORS).get(content_hash)
        if place is None:
            raise InputError(f"no known song has the content hash {content_hash!r}")
        part, row = place
        batch = next(self._parts[Kind.VECTORS][part].slices(row, row + 1))
        values = arrow_rows(batch)[0]
        values.pop(SEQUENCE, None)
        self._append(self._with_series({**values, **changes}, scores, features))

    def append_failure(self, row: Mapping[str, Any]) -> None:
        """Write a row of the errors file to disk; if its song had a vector, it is dropped."""
        self._append({Kind.ERRORS: {"failed_at": datetime.now(UTC), **row}})

    def commit(
        self, *, keep: Keep | None = None, newcomers: Newcomers | None = None
    ) -> dict[Kind, int]:
        """Merge everything into the final files, remove the folder and close; return rows by kind.

        `keep` selects the song ids to keep in all files. A file that would not change is left
        untouched, and an empty errors file is not created. `newcomers` sees the rows of the vectors
        file as they are written, if few of them are new.
        """
        folder = self._held()
        self._close_writers()
        self._read_start(self._number)
        picks = self._plan(keep)
        changed = {
            kind: path
            for kind, path in self._paths.items()
            if not is_unchanged(self._parts[kind], picks[kind])
            and (picks[kind] or kind != Kind.ERRORS or path.exists())
        }
        with write_errors(self.outputs.vectors), ExitStack() as on_error:
            for kind, path in changed.items():
                staged = staged_path(path, folder.path)
                on_error.callback(staged.unlink, missing_ok=True)
                metadata = self._metadata[kind]
                batches = picked_rows(self._parts[kind], picks[kind], schema_of(metadata))
                if kind == Kind.VECTORS and newcomers is not None:
                    batches = self._seen(batches, newcomers)
                write_batches(staged, batches, metadata)
            on_error.pop_all()
            self._close_parts()  # Windows cannot replace an open file
            commit_staged(changed, folder)
        folder.clear(last=MARKER)
        folder.release(remove=True)
        return {kind: len(picks[kind]) for kind in self._paths}

    def _seen(self, batches: Iterator[Any], newcomers: Newcomers) -> Iterator[Any]:
        """Return the batches of the vectors file such that newcomers sees them."""
        parts = self._parts[Kind.VECTORS]
        if not parts or not isinstance(parts[0], ParquetPart) or sum(map(len, parts[1:])) > MOST:
            return batches
        metadata = self._metadata[Kind.VECTORS]
        names = schema_of(metadata).names
        tables = [part.table(names) for part in parts[1:]]
        rows = (
            pa.concat_tables(tables) if tables else pa.Table.from_batches([], schema_of(metadata))
        )
        return newcomers.pass_by(rows, batches, metadata)

    def close(self) -> None:
        """Close files and release the lock; appended rows are kept for the next start."""
        self._close_writers()
        self._close_parts()
        if self._folder is not None:
            self._folder.release()

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
        self._sequence += 1
        batches = {}
        for kind in (k for k in WRITE_ORDER if k in rows):
            values = {**rows[kind], SEQUENCE: self._sequence}
            if "extractor_id" in self._schemas[kind].names:
                values["extractor_id"] = self._metadata[kind].extractor_id
            batches[kind] = row_batch(values, self._schemas[kind])
        with write_errors(self.outputs.run_dir):
            append_all([(self._writer(kind), batch) for kind, batch in batches.items()])

    def _writer(self, kind: Kind) -> RecordWriter:
        if kind not in self._writers:
            path = self._held().path / f"{kind}-{self._number:04d}.rows"
            header = {"metadata": self._metadata[kind].to_json()}
            self._writers[kind] = RecordWriter(path, header)
        return self._writers[kind]

    def _held(self) -> RunFolder:
        if self._folder is None:
            raise InputError(f"{self.outputs.vectors}: opened read-only; use Journal.open to write")
        return self._folder

    def _read_previous(self, paths: Mapping[Kind, Path]) -> None:
        """Load the previous output as the first part of each kind."""
        for kind, path in paths.items():
            if not path.exists():
                continue
            file = open_checked(path, kind, extra_columns=False)
            # A failure is about the file, not the numbers, so any extractor's is kept.
            if kind != Kind.ERRORS:
                self._check_extractor(path, file.metadata)
            ours = self._metadata[kind]
            same = kind == Kind.ERRORS or file.metadata.optional == ours.optional
            if not same or not schema_of(file.metadata).equals(schema_of(ours)):
                raise StoreError(
                    f"{path}: has different columns from those this run writes; use --overwrite, "
                    "or give another path"
                )
            self._parts[kind].append(ParquetPart(file))

    def _read_starts(self, names: Sequence[str]) -> None:
        """Load the records left by earlier starts of this run."""
        numbers = {int(match[2]) for name in names if (match := re.fullmatch(RECORD_FILES, name))}
        for number in sorted(numbers):
            for part in self._read_start(number):
                sequences = part.table([SEQUENCE]).column(SEQUENCE).to_pylist()
                self._sequence = max(self._sequence, *sequences, 0)
        self._number = max(numbers, default=0) + 1

    def _read_start(self, number: int) -> list[RecordPart]:
        """Load the usable records of one start."""
        result = []
        for kind in self._paths:
            path = self.outputs.run_dir / f"{kind}-{number:04d}.rows"
            if not os.path.lexists(path):
                continue
            part = RecordPart(path)
            with ExitStack() as unused:
                unused.callback(part.close)
                if self._is_of_use(part, kind):
                    part.use(self._schemas[kind])
                    self._parts[kind].append(part)
                    result.append(part)
                    unused.pop_all()
            self.damaged += part.damaged
        return result

    def _is_of_use(self, part: RecordPart, kind: Kind) -> bool:
        if part.header is None:  # killed while writing the first bytes, or damaged
            return False
        try:
            metadata = StoreMetadata.from_json(str(part.header.get("metadata")))
        except StoreError as error:
            raise StoreError(f"{part.path}: {error}; remove its folder to start afresh") from error
        self._check_extractor(part.path, metadata)
        # The last start had other outputs or columns: its rows have to be redone.
        ours = self._metadata[kind]
        if metadata.kind != kind or metadata.optional != ours.optional:
            return False
        return bool(schema_of(ours).equals(schema_of(metadata)))

    def _check_extractor(self, path: Path, found: StoreMetadata) -> None:
        ours = self._metadata[Kind.VECTORS]
        if found.extractor_id != ours.extractor_id:
            raise SpecMismatchError(
                f"{path}: made by extractor {found.extractor_id}, this run uses "
                f"{ours.extractor_id} ({ours.what_differs(found)}); "
                "use --overwrite to start afresh, or give another output"
            )

    def _newest_table(self, kind: Kind) -> Any:
        if self._known is None:
            self._known = newest_events(self._parts)
        schema = pa.schema(
            [f for f in schema_of(self._metadata[kind]) if f.name not in ("vector", *LISTS)]
        )
        return pick_table(self._parts[kind], event_picks(self._known, kind), schema)

    def _content_places(self, kind: Kind) -> dict[str, tuple[int, int]]:
        if kind not in self._places:
            self._places[kind] = rows_by_content(self._parts.get(kind, []))
        return self._places[kind]

    def _plan(self, keep: Keep | None) -> dict[Kind, list[Pick]]:
        events = newest_events(self._parts)
        picks = {k: event_picks(events, k, keep) for k in (Kind.VECTORS, Kind.ERRORS)}
        vectors = self._parts[Kind.VECTORS]
        for kind in (Kind.SCORES, Kind.FEATURES):
            if kind in self._paths:
                picks[kind] = content_picks(picks[Kind.VECTORS], vectors, self._parts[kind])
        return picks

    def _close_writers(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _close_parts(self) -> None:
        for parts in self._parts.values():
            for part in parts:
                part.close()
            parts.clear()


def _given(value: T | None, name: str) -> T:
    if value is None:
        raise InputError(f"{name} are among the outputs: pass them for every song")
    return value
