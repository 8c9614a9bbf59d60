"""Check every row of a store, and of the files beside it.

    "vecs.parquet"  ──verify──▶  Verification(rows, problems, counts)
    a few thousand rows ──check_numbers──▶ StoreProblem(file, row, song_id, check, reason) ...

Every page is read, so that its checksum is compared. Beside that: whether numbers are finite, ids
present, unique and in order, and all rows of one extractor; whether scores, features and failures
are of the songs in the vectors; and, on request, whether the songs' files still exist unchanged.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import LogColumns, StoreColumns
from audiorec.errors import StoreError
from audiorec.files.arrow import matrix, view
from audiorec.files.storage import within_int64
from audiorec.files.tables import TableFile
from audiorec.store.inventory import files_beside
from audiorec.store.links import links_path
from audiorec.store.map_file import map_paths
from audiorec.store.schema import LISTS, Checked, Kind, StoreMetadata, open_checked, own_metadata


@dataclass(frozen=True, slots=True)
class StoreProblem:
    """One fault that a check found in a row or a file."""

    file: str
    row: int | None  # from 0, in file order; None if the whole file is meant
    song_id: str
    check: str  # for example ``finite`` or ``file_gone``
    reason: str  # one line


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Consecutive rows of a file: a table with ``song_id``, whose first row is number `first`."""

    path: Path
    first: int
    table: Any

    def column(self, name: str) -> Any:
        """Return a column as one `pyarrow.Array`."""
        return self.table.column(name).combine_chunks()

    def problem(self, row: int, check: str, reason: str) -> StoreProblem:
        """Return a problem for one row of the block."""
        song_id = self.table.column(StoreColumns.ID)[row].as_py()
        return StoreProblem(str(self.path), self.first + row, song_id or "", check, reason)


def check_numbers(block: RowBlock, metadata: StoreMetadata) -> Iterator[StoreProblem]:
    """Yield rows of ``vecs.parquet`` with a number that is NaN or infinite."""
    vectors = matrix(block.table.column("vector"), metadata.dimension)
    for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
        yield block.problem(row, "finite", "a number of the vector is NaN or infinite")
    for name in metadata.lists:
        column = block.column(name)
        if not np.isfinite(view(column.flatten(), LISTS[name])).all():
            for row, cell in enumerate(column.to_pylist()):
                if cell is not None and not np.isfinite(cell).all():
                    yield block.problem(row, name, "a number is NaN or infinite")
    yield from check_extractor(block, metadata.extractor_id)


def id_problems(block: RowBlock) -> Iterator[StoreProblem]:
    """Yield ids that are empty, repeated or out of order, among all rows of a file."""
    ids = block.column(StoreColumns.ID)
    grows = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
    if grows and not ids.null_count and (len(ids) == 0 or ids[0].as_py()):
        return  # strictly ascending ids are unique
    seen: set[str] = set()
    previous = ""
    for row, song_id in enumerate(ids.to_pylist()):
        if not song_id:
            yield block.problem(row, StoreColumns.ID, "the row has no song_id")
        elif song_id in seen:
            yield block.problem(row, StoreColumns.ID, "another row has the same song_id")
        elif song_id < previous:
            yield block.problem(
                row, "order", "the id is out of order; to sort: audiorec store compact"
            )
        seen.add(song_id)
        previous = song_id or previous


def check_extractor(block: RowBlock, extractor_id: str) -> Iterator[StoreProblem]:
    """Yield rows from another extractor than the file's."""
    column = block.column("extractor_id")
    if pc.all(pc.equal(column, extractor_id)).as_py() is not False:
        return
    for row, result in enumerate(column.to_pylist()):
        if result != extractor_id:
            reason = f"the row is from extractor {result}, the file from {extractor_id}"
            yield block.problem(row, "extractor_id", reason)


BLOCK_ROWS = 4_096
SERIES_BLOCK_ROWS = 64  # rows of scores or features: some are a megabyte each
MAX_PROBLEMS = 10_000  # listed; all are counted
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(slots=True)
class Verification:
    """Result of `verify`: the problems found.

    Attributes
    ----------
    rows : dict of str to int
        Rows read, by file.
    problems : list of StoreProblem
        At most `MAX_PROBLEMS`.
    counts : Counter of str
        Number of problems by check, all of them.
    not_looked_at : int
        Songs whose files are not on this machine's disks, or in a folder we may not read.
    """

    rows: dict[str, int] = field(default_factory=dict)
    problems: list[StoreProblem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    not_looked_at: int = 0

    @property
    def is_good(self) -> bool:
        """Whether no problem was found."""
        return not self.counts


def verify(
    vectors: Path,
    *,
    beside: Mapping[Kind, Path | None] | None = None,
    files: bool = False,
) -> Verification:
    """Check every row of a store.

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``, or any other table written by audiorec (embeddings, users,
        neighbours), of which only the damage is checked.
    beside : mapping of Kind to Path, optional
        Paths of scores, features and errors that do not have their usual names.
    files : bool
        Also check that every song's file exists with the same size and modification time.

    Raises
    ------
    StoreError
        If `vectors` is not a store or its rows cannot be read. A damaged file beside it is
        reported as a problem instead.

    Examples
    --------
    >>> found = verify(Path("fixtures/formats/vecs-v1.parquet"))
    >>> found.is_good, found.rows
    (True, {'fixtures/formats/vecs-v1.parquet': 5})
    """
    result = Verification()

    def note(problems: Iterable[StoreProblem]) -> None:
        for problem in problems:
            result.counts[problem.check] += 1
            if len(result.problems) < MAX_PROBLEMS:
                result.problems.append(problem)

    if _is_other_table(vectors):
        note(_changes_of_table(vectors, result))
        return result
    with ExitStack() as stack:
        # All are opened first: a run that ends meanwhile replaces them one by one.
        store = stack.enter_context(open_checked(vectors, Kind.VECTORS))
        others: list[Checked] = []
        for kind, path in files_beside(vectors, beside).items():
            with _noted(path, note):
                others.append(stack.enter_context(open_checked(path, kind)))
        result.rows[str(vectors)] = len(store)
        note(id_problems(RowBlock(vectors, 0, store.read([StoreColumns.ID]))))
        check = partial(check_numbers, metadata=store.metadata)
        note(_each_block(store, BLOCK_ROWS, check))
        if files:
            note(_file_problems(store, result))
        songs = _hashes(store)
        for file in others:
            with _noted(file.path, note):
                note(_problems_beside(file, songs, store.metadata, result))
    for path in filter(Path.exists, (links_path(vectors), *map_paths(vectors))):
        with _noted(path, note, "; remove it"):
            note(_changes_of_table(path, result))
    return result


@contextmanager
def _noted(
    path: Path, note: Callable[[Iterable[StoreProblem]], None], advice: str = ""
) -> Iterator[None]:
    """Note that a file cannot be read, instead of raising the error."""
    try:
        yield
    except StoreError as error:
        reason = str(error).removeprefix(f"{path}: ")
        note([StoreProblem(str(path), None, "", "file", f"{reason}{advice}")])


def _changes_of_table(path: Path, result: Verification) -> Iterator[StoreProblem]:
    """Read any table, whose damage is then detected."""
    with TableFile.open(path) as file:
        result.rows[str(path)] = len(file)
        yield from _each_block(file, BLOCK_ROWS, lambda _: ())


def _is_other_table(path: Path) -> bool:
    """Whether a file is a table of audiorec other than the four of a store."""
    with TableFile.open(path) as file:
        kind, names = own_metadata(file.schema).get("kind"), file.schema.names
    if kind is None:  # neighbours and other plain tables
        return "vector" not in names and not {StoreColumns.ID, LogColumns.USER}.isdisjoint(names)
    return kind not in tuple(Kind)


def _each_block(
    file: TableFile, rows: int, check: Callable[[RowBlock], Iterable[StoreProblem]]
) -> Iterator[StoreProblem]:
    """Yield what a check finds in each block."""
    for block in _blocks(file, rows):
        yield from check(block)


def _hashes(file: Checked) -> dict[str, str]:
    """Return the content hash of each song."""
    table = file.read([StoreColumns.ID, "content_hash"])
    ids, hashes = (column.to_pylist() for column in table.columns)
    return dict(zip(ids, hashes, strict=True))


def _problems_beside(
    file: Checked, songs: Mapping[str, str], ours: StoreMetadata, result: Verification
) -> Iterator[StoreProblem]:
    """Yield the problems of scores, features or errors, and where they differ from the vectors."""
    result.rows[str(file.path)] = len(file)
    rows = RowBlock(file.path, 0, file.read([StoreColumns.ID]))
    yield from id_problems(rows)
    failed = file.metadata.kind == Kind.ERRORS
    if not failed and file.metadata.extractor_id != ours.extractor_id:
        made = f"made by extractor {file.metadata.extractor_id}"
        reason = f"{made}, the vectors by {ours.extractor_id}"
        yield StoreProblem(str(file.path), None, "", "extractor_id", reason)
        return
    if failed:
        for row, name in enumerate(rows.column(StoreColumns.ID).to_pylist()):
            if name in songs:
                reason = "the song is among both the failures and the vectors"
                yield rows.problem(row, "both", reason)
    else:
        for row, (name, audio) in enumerate(_hashes(file).items()):
            if songs.get(name) != audio:
                reason = "the vectors file has no song with this id and content_hash"
                yield rows.problem(row, "no_such_song", reason)
    yield from _each_block(file, SERIES_BLOCK_ROWS, lambda _: ())


def _file_problems(store: Checked, result: Verification) -> Iterator[StoreProblem]:
    """Yield songs whose file is missing or has changed."""
    columns = [StoreColumns.ID, "uri", "size", "mtime_ns"]
    for block in _blocks(store, BLOCK_ROWS, columns):
        for row, song in enumerate(block.table.to_pylist()):
            if "://" in song["uri"]:
                result.not_looked_at += 1
                continue
            try:
                info = _stat(song["uri"])
            except PermissionError:  # it may exist
                result.not_looked_at += 1
                continue
            if info is None:
                yield block.problem(row, "file_gone", f"no file at {song['uri']}")
            elif (info.st_size, within_int64(info.st_mtime_ns)) != (song["size"], song["mtime_ns"]):
                reason = f"{song['uri']} has changed: extract it again"
                yield block.problem(row, "file_changed", reason)


def _stat(uri: str) -> os.stat_result | None:
    """Return a file's status, None if it is missing.

    A name that is not UTF-8 is stored in the uri with backslash escapes.
    """
    name = uri.encode()
    for path in (name, _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()), name)):
        try:
            return os.stat(path)  # noqa: PTH116 - a Path cannot hold bytes
        except PermissionError:
            raise
        except (OSError, ValueError):
            continue
    return None


def _blocks(file: TableFile, rows: int, columns: Sequence[str] | None = None) -> Iterator[RowBlock]:
    first = 0
    for table in file.batches(rows, columns):
        yield RowBlock(file.path, first, table)
        first += len(table)
