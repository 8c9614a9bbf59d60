"""Check every row of a store, and of the files beside it.

    "vecs.parquet"  ──verify──▶  Verification(rows, problems, counts)

Checks: the numbers (finite, possible as statistics of scores), the ids (present, unique, in
order), the extractor and the content hash of each row; whether every column still holds what
was written, by checksums and digest; whether scores, features and failures agree with the
vectors, down to the statistics of the score series; and, on request, whether the songs' files
still exist unchanged. Rows are read a block at a time.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from audiorec.errors import StoreError
from audiorec.files.arrow import matrix
from audiorec.files.digests import DIGESTS_KEY, Digests
from audiorec.files.parquet_files import is_sealed
from audiorec.files.storage import within_int64
from audiorec.files.tables import TableFile, store_errors
from audiorec.store.embeddings import ID_COLUMNS
from audiorec.store.failures import own_failures
from audiorec.store.inventory import files_beside
from audiorec.store.parquet import Checked, open_checked
from audiorec.store.problems import (
    RowBlock,
    SeriesSong,
    StoreProblem,
    check_extractor,
    check_failures,
    check_features,
    check_scores,
    check_vectors,
    id_problems,
)
from audiorec.store.schema import METADATA_KEY, Kind
from audiorec.types import FloatArray

BLOCK_ROWS = 4_096
SERIES_BLOCK_ROWS = 64  # rows of scores or features: some are a megabyte each
MAX_PROBLEMS = 10_000  # listed; all are counted
KEY_COLUMNS = ("song_id", "content_hash", "segments")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(slots=True)
class Verification:
    """Result of `verify`: the problems found, and what could not be checked.

    Attributes
    ----------
    rows : dict of str to int
        Rows read, by file.
    problems : list of StoreProblem
        At most `max_problems`.
    counts : Counter of str
        Number of problems by check, all of them.
    not_looked_at : int
        Songs whose files are not on this machine's disks, or in a folder we may not read.
    notes : list of str
        What could not be checked, and why; these are not problems.
    """

    rows: dict[str, int] = field(default_factory=dict)
    problems: list[StoreProblem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    not_looked_at: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether no problem was found."""
        return not self.counts


def verify(
    vectors: Path,
    *,
    beside: Mapping[Kind, Path | None] | None = None,
    files: bool = False,
    max_problems: int = MAX_PROBLEMS,
) -> Verification:
    """Check every row of a store.

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``, or any other table written by audiorec (embeddings, users,
        neighbours), of which only the digests are checked.
    beside : mapping of Kind to Path, optional
        Paths of scores, features and errors that do not have their usual names.
    files : bool
        Also check that every song's file exists with the same size and modification time.
    max_problems : int
        Limit on the problems listed.

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
            if len(result.problems) < max_problems:
                result.problems.append(problem)

    if _is_other_table(vectors):
        with TableFile.open(vectors) as file:
            result.rows[str(vectors)] = len(file)
            note(_each_block(file, BLOCK_ROWS, lambda _: (), result))
        return result
    with open_checked(vectors, Kind.VECTORS) as store:
        result.rows[str(vectors)] = len(store)
        note(id_problems(RowBlock(vectors, 0, store.read(["song_id"]))))
        check = partial(check_vectors, metadata=store.metadata)
        note(_each_block(store, BLOCK_ROWS, check, result))
        if files:
            note(_file_problems(store, result))
        songs = _VectorRows(store)
        for kind, path in files_beside(vectors, beside).items():
            note(_problems_beside(kind, path, songs, result))
    return result


def _is_other_table(path: Path) -> bool:
    """Whether a file is a table of audiorec other than the four of a store."""
    with TableFile.open(path) as file:
        metadata = file.footer
    try:
        kind = json.loads(metadata.get(METADATA_KEY, b"{}"))["kind"]
    except (ValueError, RecursionError, KeyError, TypeError):
        kind = None
    return kind not in tuple(Kind) if DIGESTS_KEY in metadata else kind in tuple(ID_COLUMNS)


def _each_block(
    file: TableFile,
    rows: int,
    check: Callable[[RowBlock], Iterable[StoreProblem]],
    result: Verification,
) -> Iterator[StoreProblem]:
    """Yield what a check finds in each block, then the columns whose digest does not match."""
    digests = Digests(file.schema)
    for block in _blocks(file, rows):
        digests.update(block.table)
        yield from check(block)
    yield from _changes(file, digests, result)


def _changes(file: TableFile, digests: Digests, result: Verification) -> Iterator[StoreProblem]:
    """Yield the columns whose digest does not match."""
    path, stored = file.path, file.digests
    with store_errors(path):
        whole = is_sealed(path)
    if stored is None:
        result.notes.append(
            f"{path}: unverifiable: it has no digests, so a changed number may go unnoticed; "
            "files that audiorec writes now have them"
        )
        return
    if not whole:
        result.notes.append(f"{path}: rewritten by another program; its values were checked")
    for reason in digests.differences(stored):
        yield StoreProblem(str(path), None, "", "digest", reason)


def _problems_beside(
    kind: Kind, path: Path, songs: "_VectorRows", result: Verification
) -> Iterator[StoreProblem]:
    """Yield the problems of scores, features or errors, and where they differ from the vectors."""
    try:
        with open_checked(path, kind) as file:
            if kind != Kind.ERRORS:
                result.rows[str(path)] = len(file)
            yield from id_problems(RowBlock(path, 0, file.read(["song_id"])))
            rows = _failures if kind == Kind.ERRORS else _series
            yield from rows(file, songs, result)
    except StoreError as error:
        reason = str(error).removeprefix(f"{path}: ")
        yield StoreProblem(str(path), None, "", "file", reason)


def _failures(file: Checked, songs: "_VectorRows", result: Verification) -> Iterator[StoreProblem]:
    own = own_failures(file, songs.store)  # another store's are skipped
    result.rows[str(file.path)] = int(own.sum())

    def check(block: RowBlock) -> Iterator[StoreProblem]:
        ours = own[block.first :]
        yield from (p for p in check_failures(block) if p.row is None or own[p.row])
        for row, song_id in enumerate(block.table.column("song_id").to_pylist()):
            if song_id in songs and ours[row]:
                reason = "the song is among both the failures and the vectors"
                yield block.problem(row, "both", reason)

    yield from _each_block(file, BLOCK_ROWS, check, result)


def _series(file: Checked, songs: "_VectorRows", result: Verification) -> Iterator[StoreProblem]:
    metadata, ours = file.metadata, songs.store.metadata
    if metadata.extractor_id != ours.extractor_id:
        reason = f"made by extractor {metadata.extractor_id}, the vectors by {ours.extractor_id}"
        yield StoreProblem(str(file.path), None, "", "extractor_id", reason)
        return
    of_kind = check_scores if metadata.kind == Kind.SCORES else check_features

    def check(block: RowBlock) -> Iterator[StoreProblem]:
        yield from check_extractor(block, metadata.extractor_id)
        found = [songs.get(name) for name in block.table.column("song_id").to_pylist()]
        yield from of_kind(block, metadata, found)

    yield from _each_block(file, SERIES_BLOCK_ROWS, check, result)


class _VectorRows:
    """The songs of a store by id: hash and segments in memory, vectors read on demand."""

    def __init__(self, store: Checked) -> None:
        self.store = store
        table = store.read(list(KEY_COLUMNS))
        ids = table.column("song_id").to_pylist()
        self._rows = {song_id: row for row, song_id in enumerate(ids)}
        self._hashes = table.column("content_hash")
        self._segments = table.column("segments")
        self._starts = store.group_starts()
        self._group = lru_cache(maxsize=2)(self._vectors)

    def __contains__(self, song_id: object) -> bool:
        return song_id in self._rows

    def get(self, song_id: str) -> SeriesSong | None:
        """Return a song's entry in the vectors file; None if it has no such song."""
        row = self._rows.get(song_id)
        if row is None:
            return None
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        vector = self._group(group)[row - self._starts[group]]
        return SeriesSong(self._hashes[row].as_py(), self._segments[row].as_py(), vector)

    def _vectors(self, group: int) -> FloatArray:
        table = self.store.read_group(group, ["vector"])
        return matrix(table.column("vector"), self.store.metadata.dimension)


def _file_problems(store: Checked, result: Verification) -> Iterator[StoreProblem]:
    """Yield songs whose file is missing or has changed."""
    columns = ["song_id", "uri", "size", "mtime_ns"]
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
