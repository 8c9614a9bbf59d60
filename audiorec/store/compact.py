"""Combine many files of rows into one: sorted, each song once, in well-sized row groups.

    compact(parts, "vecs.parquet")                            vectors alone
    combine({Kind.VECTORS: parts, Kind.SCORES: more}, {...})  everything of a store at once
    files ──sorted_rows──▶ tables: sorted, each id once

The output depends only on the rows: not on the order of the parts, nor on how rows are divided
among them, nor on parts that are given twice. Rows are streamed, so memory holds one batch per
part; ids and hashes of all songs are held only if scores, features or failures are combined too.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, MissingFileError, SpecMismatchError, StoreError
from audiorec.files.arrow import WRITING, booleans, integers
from audiorec.files.own_files import RunFolder, run_folder_path
from audiorec.files.tables import TableFile, with_nulls
from audiorec.store.commit import (
    MARKER,
    PART_FILES,
    check_apart,
    commit_staged,
    finish_commit,
    real_target,
    staged_path,
    tidy,
)
from audiorec.store.corrections import merge_corrections
from audiorec.store.links import update_links
from audiorec.store.schema import (
    MARKS,
    Checked,
    Kind,
    StoreMetadata,
    open_checked,
    schema_of,
    write_batches,
)

PART = "part"  # additional column: the number of the part that a row is from
TIMES = ("extracted_at", "failed_at")  # columns that say when a row was made
FAN_IN = 32  # runs that are read side by side
BATCH_BYTES = 1 << 18
MAX_BATCH_ROWS = 8_192
PIECE_BYTES = 32 << 20  # piece of an unsorted file
SCRATCH_ENDING = ".run.parquet"
SCRATCH_FILES = rf"\d{{6}}{re.escape(SCRATCH_ENDING)}"

OnDuplicate = Literal["error", "same", "newest", "first", "last"]
Keep = Callable[[Any], Any]  # returns the rows to keep, of sorted rows


@dataclass(frozen=True, slots=True)
class Run:
    """A Parquet file whose ids are strictly ascending; one given by its path is open while read."""

    file: TableFile | Path
    part: int | None  # the part of all its rows; None if a column says it row by row

    def tables(self, schema: Any, keep: Keep) -> Iterator[Any]:
        """Yield the rows in order with the column `PART`, in batches."""
        with ExitStack() as stack:
            file = self.file
            if isinstance(file, Path):
                file = stack.enter_context(TableFile.open(file))
            if self.part is None:  # a scratch file: filtered already
                yield from _file_batches(file, [*schema.names, PART], BATCH_BYTES)
                return
            for table in _complete(file, schema, BATCH_BYTES):
                yield with_part(keep(table), self.part)


def sorted_rows(
    parts: Sequence[Checked | Path],
    schema: Any,
    *,
    scratch: Path,
    on_duplicate: OnDuplicate,
    keep: Keep = lambda table: table,
) -> Iterator[Any]:
    """Yield the rows of all parts, sorted by ``song_id``, each id once (`without_duplicates`).

    They have the columns of `schema`; nullable ones that a part lacks are null in its rows. A part
    that is given by its path is known to be sorted, and is open only while it is read.
    `scratch` is a folder for temporary runs, which are removed once they have been read. `keep`
    filters sorted rows; dropped rows do not count as duplicates.

    A sorted file is one run. An unsorted file is cut into pieces that are sorted in memory and
    written to `scratch`. All runs are then read side by side: rows up to the smallest of the last
    ids at hand can be emitted. Many runs are first merged into fewer, longer ones.
    """
    names = [str(part if isinstance(part, Path) else part.path) for part in parts]
    numbers = count()

    def rows_of(runs: Sequence[Run]) -> Iterator[Any]:
        for table in _merged(runs, schema, keep):
            yield without_duplicates(table, names, on_duplicate)

    def write(tables: Iterator[Any]) -> list[Run]:
        path = scratch / f"{next(numbers):06d}{SCRATCH_ENDING}"
        return _write_run(path, tables)

    runs: list[Run] = []
    for number, part in enumerate(parts):
        if isinstance(part, Path) or _is_sorted(part):
            runs.append(Run(part, number))
            continue
        for piece in _complete(part, schema, PIECE_BYTES):
            table = with_part(keep(piece.sort_by(StoreColumns.ID)), number)
            runs += write(iter([without_duplicates(table, names, on_duplicate)]))
    while len(runs) > FAN_IN:
        # The first part may be a large store to which the others are added.
        groups = [runs[i : i + FAN_IN] for i in range(1, len(runs), FAN_IN)]
        runs[1:] = [run for group in groups for run in _replaced(group, write(rows_of(group)))]
    for table in rows_of(runs):
        yield table.drop_columns([PART])
    _replaced(runs, [])


def _file_batches(file: TableFile, columns: Sequence[str], n_bytes: int) -> Iterator[Any]:
    """Yield a file's rows as tables of about `n_bytes`."""
    footer = file.file.metadata
    total = sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))
    rows = min(MAX_BATCH_ROWS, max(1, n_bytes * footer.num_rows // max(1, total)))
    yield from file.batches(rows, columns)


def _complete(file: TableFile, schema: Any, n_bytes: int) -> Iterator[Any]:
    """Yield a file's rows with all columns of `schema`, in its order."""
    there = [name for name in schema.names if name in file.schema.names]
    lacking = [field for field in schema if field.name not in there]
    for table in _file_batches(file, there, n_bytes):
        yield with_nulls(table, lacking).select(schema.names)


def _is_sorted(part: Checked) -> bool:
    """Whether ids are strictly ascending; a row without an id raises `StoreError`."""
    last: Any = None
    for table in _file_batches(part, [StoreColumns.ID], BATCH_BYTES):
        ids = table.column(StoreColumns.ID).combine_chunks()
        if ids.null_count or pc.min(pc.binary_length(ids)).as_py() == 0:
            raise StoreError(f"{part.path}: a row has no song_id")
        first = ids[0].as_py()
        grows = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
        if not grows or (last is not None and last >= first):
            return False
        last = ids[-1].as_py()
    return True


def _write_run(path: Path, tables: Iterator[Any]) -> list[Run]:
    """Write sorted tables to a scratch file; write no file if there are no tables."""
    first = next(tables, None)
    if first is None:
        return []
    with pq.ParquetWriter(path, first.schema, **WRITING) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    return [Run(path, None)]


def _replaced(old: Sequence[Run], new: list[Run]) -> list[Run]:
    """Remove the scratch files of runs that have been read; return `new`, which replaces them."""
    for run in old:
        if run.part is None and isinstance(run.file, Path):
            run.file.unlink()
    return new


class _Cursor:
    """Read position in one run."""

    def __init__(self, tables: Iterator[Any]) -> None:
        self._tables = tables
        self._table: Any = None
        self._ids: list[str] = []

    def fill(self) -> bool:
        """Load the next rows if none are at hand; return False at the end of the run."""
        while not self._ids:
            self._table = next(self._tables, None)
            if self._table is None:
                return False
            self._ids = self._table.column(StoreColumns.ID).to_pylist()
        return True

    @property
    def last(self) -> str:
        return self._ids[-1]

    def up_to(self, bound: str) -> Any:
        """Take the rows whose id is at most `bound`."""
        n = bisect_right(self._ids, bound)
        taken = self._table.slice(0, n)
        self._table, self._ids = self._table.slice(n), self._ids[n:]
        return taken


def _merged(runs: Sequence[Run], schema: Any, keep: Keep) -> Iterator[Any]:
    """Yield all rows of the runs, sorted; all rows of one id are in one table."""
    cursors = [_Cursor(run.tables(schema, keep)) for run in runs]
    while cursors := [cursor for cursor in cursors if cursor.fill()]:
        # Every row with an id up to this one is at hand.
        bound = min(cursor.last for cursor in cursors)
        taken = [table for cursor in cursors if len(table := cursor.up_to(bound))]
        if len(taken) == 1:
            yield taken[0]
            continue
        joined = pa.concat_tables(taken).combine_chunks()
        order = [(StoreColumns.ID, "ascending"), (PART, "ascending")]
        yield joined.take(pc.sort_indices(joined, sort_keys=order))


def without_duplicates(table: Any, names: Sequence[str], policy: OnDuplicate) -> Any:
    """Keep one row per song id, of rows sorted by id, with the column `PART`.

    Rows that are equal in every column count as one, whatever the policy: a part that was made
    twice, or given twice, changes nothing. If rows with the same id differ, the policy decides
    which one is kept; if none is, `InputError` names the id and both parts (`names`):

    ======  ==========================================================================
    error   none
    same    as newest if they are the same audio (same ``content_hash``; for failures
            the same ``uri``), otherwise none
    newest  the newest of those with the most of `MARKS`, so that no sound is lost; independent of
            the order of the parts
    first   the one from the first part
    last    the one from the last part
    ======  ==========================================================================
    """
    ids = table.column(StoreColumns.ID).combine_chunks()
    if len(ids) < 2:
        return table
    repeated = np.flatnonzero(booleans(pc.equal(ids[1:], ids[:-1])))
    if not len(repeated):
        return table
    kept = np.ones(len(ids), np.bool_)
    for start, stop in _runs(repeated):
        kept[start:stop] = False
        kept[start + _chosen(table.slice(start, stop - start), names, policy)] = True
    return table.take(integers(np.flatnonzero(kept)))


def _runs(repeated: Any) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each id's rows; `repeated`: rows whose successor has the same id."""
    breaks = np.flatnonzero(np.diff(repeated) > 1)
    starts = repeated[np.concatenate([[0], breaks + 1])]
    ends = repeated[np.concatenate([breaks, [len(repeated) - 1]])]
    yield from zip(starts.tolist(), (ends + 2).tolist(), strict=True)


def _chosen(rows: Any, names: Sequence[str], policy: OnDuplicate) -> int:
    """Return the index of the row to keep, of rows with the same id."""
    content = rows.drop_columns([PART])
    first = content.slice(0, 1)
    different = [n for n in range(1, len(rows)) if not content.slice(n, 1).equals(first)]
    parts = rows.column(PART).to_pylist()
    if policy == "first" or not different:
        return int(parts.index(min(parts)))
    if policy == "last":
        return int(parts.index(max(parts)))
    values = content.to_pylist()
    sound = "content_hash" if "content_hash" in content.column_names else "uri"
    sounds = {value[sound] for value in values}
    if policy == "error" or (policy == "same" and len(sounds) > 1):
        a, b = names[parts[0]], names[parts[different[0]]]
        what = "different songs have" if len(sounds) > 1 else "different rows have"
        raise InputError(f"{what} the id {values[0][StoreColumns.ID]!r}: one in {a}, one in {b}")
    # Sort key by time; the text breaks ties between rows of the same time.
    ages = [
        (
            sum(row.get(mark) is not None for mark in MARKS),
            *(row[name] for name in TIMES if name in row),
            repr(row),
        )
        for row in values
    ]
    return ages.index(max(ages))


def with_part(table: Any, number: int) -> Any:
    """Add the column `PART`."""
    column = integers(np.full(len(table), number, np.int64))
    return table.append_column(pa.field(PART, pa.int64(), nullable=False), column)


V = TypeVar("V")
# The vectors decide which other rows are kept, and are moved into place last.
PLACING_ORDER = (Kind.SCORES, Kind.FEATURES, Kind.ERRORS, Kind.VECTORS)
JOINER = ", "  # between the versions of audiorec that made the parts
# Policies of a merge, where rows of the same audio may differ.


def compact(parts: Sequence[Path], out: Path, *, on_duplicate: OnDuplicate = "error") -> int:
    """Combine many ``vecs.parquet`` into one.

    Parameters
    ----------
    parts : sequence of Path
        Files of vectors from one extractor, in any order; `out` may be among them.
    out : Path
        Replaced atomically if it exists.
    on_duplicate : {"error", "same", "newest", "first"}
        What to do if rows with the same id differ; see `without_duplicates`.

    Returns
    -------
    rows : int

    Raises
    ------
    InputError
        If there are no parts, or rows with the same id conflict; names both parts.
    SpecMismatchError
        If two parts are from different extractors; names both.
    StoreError
        If a part is damaged, or an unfinished run has locked `out`.

    Examples
    --------
    >>> import tempfile
    >>> part = Path("fixtures/formats/vecs-v1.parquet")
    >>> compact([part, part], Path(tempfile.mkdtemp()) / "vecs.parquet")
    5
    """
    kind = Kind.VECTORS
    return combine({kind: parts}, {kind: out}, on_duplicate=on_duplicate)[kind]


def combine(
    parts: Mapping[Kind, Sequence[Path]],
    outputs: Mapping[Kind, Path],
    *,
    on_duplicate: OnDuplicate = "error",
) -> dict[Kind, int]:
    """Combine the parts of each kind into one file; return the number of rows by kind.

    All files are replaced together, or none. `outputs` names one file for each kind in `parts`;
    see `without_duplicates` for `on_duplicate`. An empty errors file is not created. Audio that
    meets in the new store for the first time is compared (`update_links`). The corrections beside
    the stores are kept, the newest of each.

    Scores and features belong to the audio: their rows are kept only if the combined vectors have
    the same ``song_id`` with the same ``content_hash``. A failure is kept only if its song has no
    vector. Rows of two stores with the same song id and ``content_hash`` are one song, and the
    newer row is kept. If the hashes differ, two songs share an id: either the merge is refused, or
    the first store wins.
    """
    _check_outputs(parts, outputs)
    locked_by = outputs.get(Kind.VECTORS) or next(iter(outputs.values()))
    with ExitStack() as stack:
        opened = _open_all(parts, stack)
        metadata = _joint_metadata(opened)
        targets = {kind: real_target(path, kind) for kind, path in outputs.items()}
        folder, finished = stack.enter_context(_locked(locked_by, targets))
        if finished:  # finishing the interrupted commit changed the parts
            opened = _open_all(parts, stack)
        rows: dict[Kind, int] = {}
        keep: Keep = lambda table: table  # noqa: E731
        for kind in (k for k in reversed(PLACING_ORDER) if k in parts):
            staged = staged_path(targets[kind], folder.path)
            batches = _batches(opened[kind], metadata[kind], folder.path, on_duplicate, keep)
            rows[kind] = write_batches(staged, batches, metadata[kind])
            if kind == Kind.VECTORS and len(opened) > 1:
                keep = CombinedSongs(open_checked(staged, kind)).keep
        placed = {
            kind: targets[kind]
            for kind in PLACING_ORDER
            if kind in parts and (rows[kind] or kind != Kind.ERRORS or targets[kind].exists())
        }
        commit_staged(placed, folder)
    if Kind.VECTORS in placed:
        merge_corrections([*parts[Kind.VECTORS], outputs[Kind.VECTORS]], outputs[Kind.VECTORS])
        update_links(outputs[Kind.VECTORS])
    return rows


def _batches(
    parts: Sequence[Checked],
    metadata: StoreMetadata,
    scratch: Path,
    on_duplicate: OnDuplicate,
    keep: Keep,
) -> Iterator[Any]:
    """Yield the combined rows of one kind."""
    schema = schema_of(metadata)
    for table in sorted_rows(parts, schema, scratch=scratch, on_duplicate=on_duplicate, keep=keep):
        if "extractor_id" in schema.names:
            _check_extractor(table, metadata, parts)
        yield from table.cast(schema).combine_chunks().to_batches()


class CombinedSongs:
    """Ids and content hashes of the combined vectors, sorted by id."""

    def __init__(self, file: Checked) -> None:
        table = file.read([StoreColumns.ID, "content_hash"])
        file.close()
        self._ids = table.column(StoreColumns.ID).combine_chunks()
        self._hashes = table.column("content_hash").combine_chunks()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield id and content hash of each song."""
        return zip(self._ids.to_pylist(), self._hashes.to_pylist(), strict=True)

    def keep(self, table: Any) -> Any:
        """Keep the score or feature rows that belong to a song; of failures, those without one."""
        if len(table) == 0:
            return table
        ids = table.column(StoreColumns.ID).combine_chunks()
        rows, text = range(len(self._ids)), lambda row: self._ids[row].as_py()
        low = bisect_left(rows, ids[0].as_py(), key=text)
        high = bisect_right(rows, ids[-1].as_py(), key=text)
        places = pc.index_in(ids, value_set=self._ids[low:high])
        if "content_hash" not in table.column_names:
            return table.filter(pc.is_null(places))
        theirs = self._hashes[low:high].take(places)  # null where there is no such song
        return table.filter(pc.equal(theirs, table.column("content_hash").combine_chunks()))


def _check_outputs(parts: Mapping[Kind, Sequence[Path]], outputs: Mapping[Kind, Path]) -> None:
    if not parts or not all(parts.values()):
        raise InputError("no parts to combine")
    if set(parts) != set(outputs):
        raise InputError(f"an output is needed for each of: {', '.join(sorted(parts))}")
    check_apart(outputs.values())
    for path in outputs.values():
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the file, for example vecs.parquet")
        if not path.parent.is_dir():
            raise MissingFileError(f"{path.parent}: no such folder")


def _open_all(parts: Mapping[Kind, Sequence[Path]], stack: ExitStack) -> dict[Kind, list[Checked]]:
    """Open every part once, even if it is given several times or by different names."""
    opened: dict[Kind, list[Checked]] = {}
    for kind, paths in parts.items():
        different: dict[Path, Path] = {}
        for path in paths:
            different.setdefault(path.resolve(), path)
        opened[kind] = []
        for path in different.values():
            file = open_checked(path, kind, extra_columns=False)
            stack.callback(file.close)
            opened[kind].append(file)
    return opened


def _joint_metadata(opened: Mapping[Kind, Sequence[Checked]]) -> dict[Kind, StoreMetadata]:
    """Return the metadata of each combined file; raise if the parts do not fit together.

    Failures from another extractor are accepted, since they are about files, not numbers.
    """
    first = opened.get(Kind.VECTORS, next(iter(opened.values())))[0]
    for kind, files in opened.items():
        for file in files if kind != Kind.ERRORS or kind == first.metadata.kind else ():
            _check_same(first, file)
    metadata = {kind: _joint(files) for kind, files in opened.items()}
    if Kind.ERRORS in metadata:
        of = _joint(opened[first.metadata.kind])
        metadata[Kind.ERRORS] = replace(of, kind=Kind.ERRORS)
    return metadata


def _check_same(first: Checked, other: Checked) -> None:
    ours, theirs = first.metadata, other.metadata
    if ours.extractor_id != theirs.extractor_id:
        raise SpecMismatchError(
            f"{first.path} was made by extractor {ours.extractor_id}, {other.path} by "
            f"{theirs.extractor_id} ({ours.what_differs(theirs)}): they cannot be combined; "
            "extract one of them again (audiorec extract FOLDER --out NEW.parquet)"
        )
    if ours.kind != theirs.kind:
        return
    both = ours.optional.keys() & theirs.optional.keys()
    for name in sorted(both):
        if ours.optional[name] != theirs.optional[name]:
            raise StoreError(
                f"{first.path} and {other.path}: {name!r} was not made alike "
                f"({ours.optional[name]}; {theirs.optional[name]}); to make it again: audiorec "
                "extract FOLDER --overwrite --out STORE"
            )
    if not _bare_schema(ours).equals(_bare_schema(theirs)):
        raise StoreError(f"{first.path} and {other.path} have different columns")


def _bare_schema(metadata: StoreMetadata) -> Any:
    """Return the schema without the columns that a store may lack."""
    bare = replace(metadata, attributes={}, tags={}, lists={}, sound_id="")
    return schema_of(bare).remove_metadata()


def _joint(files: Sequence[Checked]) -> StoreMetadata:
    """Return the joint metadata of files of one kind and extractor, independent of their order."""
    all_of = [file.metadata for file in files]
    first = min(all_of, key=StoreMetadata.to_json)
    names = sorted({name for metadata in all_of for name in metadata.packages})
    return replace(
        first,
        features={k: v for metadata in all_of for k, v in sorted(metadata.features.items())},
        attributes=_union(metadata.attributes for metadata in all_of),
        tags=_union(metadata.tags for metadata in all_of),
        lists=_union(metadata.lists for metadata in all_of),
        sound_id=max(metadata.sound_id for metadata in all_of),
        format_version=max(metadata.format_version for metadata in all_of),
        packages={n: _versions(m.packages.get(n, "") for m in all_of) for n in names},
        created_by=_versions(metadata.created_by for metadata in all_of),
    )


def _union(mappings: Iterable[Mapping[str, V]]) -> dict[str, V]:
    """Join mappings that agree where they overlap, keys sorted."""
    return dict(sorted({k: v for one in mappings for k, v in one.items()}.items()))


def _versions(texts: Iterable[str]) -> str:
    return JOINER.join(sorted({one for text in texts for one in text.split(JOINER) if one}))


def _check_extractor(table: Any, metadata: StoreMetadata, files: Sequence[Checked]) -> None:
    ids = pc.unique(table.column("extractor_id")).to_pylist()
    others = [name for name in ids if name != metadata.extractor_id]
    if others:
        raise SpecMismatchError(
            f"{', '.join(str(file.path) for file in files[:3])}: some rows are from extractor "
            f"{others[0]}, but the metadata says {metadata.extractor_id}; to list them: audiorec "
            "store verify"
        )


@contextmanager
def _locked(out: Path, targets: Mapping[Kind, Path]) -> Iterator[tuple[RunFolder, bool]]:
    """Lock the outputs; yield the run folder, and whether an interrupted commit was finished.

    Afterwards no temporary file is left, unless the commit itself was interrupted: then the next
    command that writes these outputs finishes it.
    """
    names = rf"{SCRATCH_FILES}|{re.escape(MARKER)}"
    if (run_folder_path(out) / MARKER).exists():
        # An extraction interrupted in its commit left parts, which the new files already contain.
        names = f"{names}|{PART_FILES}"
    folder = RunFolder(out, names)
    clean = False
    try:
        finished = finish_commit(targets, folder.path)
        tidy(targets, folder, forget=True)
        clean = True
        yield folder, finished
        folder.clear(last=MARKER)
    finally:
        clean = clean and not (folder.path / MARKER).exists()
        if clean:
            for target in targets.values():
                staged_path(target, folder.path).unlink(missing_ok=True)
            folder.clear()
        folder.release(remove=clean)
