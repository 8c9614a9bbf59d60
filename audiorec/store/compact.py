"""Many files of rows become one: sorted, each song once, in row groups of a good size.

    compact(parts, "vecs.parquet")                            vectors alone
    combine({Kind.VECTORS: parts, Kind.SCORES: more}, {...})  everything of a store at once

The output depends on the rows alone: not on the order of the parts, on how rows are divided
among them, nor on parts that are given twice. Rows are streamed, so memory holds a batch of
each part; only ids and hashes of the songs are held whole, and those only where scores,
features or failures go along.

Scores and features belong to a sound: their rows stay only where the combined vectors have
the same ``song_id`` with the same ``content_hash``. A failure stays only where no vector is.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from audiorec.errors import InputError, MissingFileError, SpecMismatchError, StoreError
from audiorec.files.run_folder import RunFolder, run_folder_path
from audiorec.store.commit import (
    MARKER,
    commit_staged,
    discard_staged,
    finish_commit,
    real_target,
    staged_path,
)
from audiorec.store.parquet import Checked, open_checked, write_batches
from audiorec.store.records import RECORD_FILES
from audiorec.store.same_id import OnDuplicate
from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.store.sorted_rows import SCRATCH_ENDING, Keep, sorted_rows

# The vectors decide which other rows stay, and come into their place last.
PLACING_ORDER = (Kind.SCORES, Kind.FEATURES, Kind.ERRORS, Kind.VECTORS)
JOINER = ", "  # between the versions that several parts were made by


def compact(parts: Sequence[Path], out: Path, *, on_duplicate: OnDuplicate = "error") -> int:
    """Make one ``vecs.parquet`` of many.

    Parameters
    ----------
    parts : sequence of Path
        Files of vectors of one extractor, in any order; `out` may be among them.
    out : Path
        Replaced if it exists, whole or not at all.
    on_duplicate : {"error", "same", "newest", "first"}
        What happens to rows of one id that differ; see `without_duplicates`.

    Returns
    -------
    rows : int

    Raises
    ------
    InputError
        If there are no parts, or rows of one id may not be joined; names both parts.
    SpecMismatchError
        If two parts are of different extractors; names both.
    StoreError
        If a part is damaged, or an unfinished run holds `out`.

    Examples
    --------
    >>> import tempfile
    >>> part = Path("fixtures/formats/vecs-v1.parquet")
    >>> compact([part, part], Path(tempfile.mkdtemp()) / "vecs.parquet")
    5
    """
    return compact_kind(Kind.VECTORS, parts, out, on_duplicate=on_duplicate)


def compact_kind(
    kind: Kind, parts: Sequence[Path], out: Path, *, on_duplicate: OnDuplicate = "error"
) -> int:
    """Do as `compact` does for the files of one kind, scores for example."""
    return combine({kind: parts}, {kind: out}, on_duplicate=on_duplicate)[kind]


def combine(
    parts: Mapping[Kind, Sequence[Path]],
    outputs: Mapping[Kind, Path],
    *,
    on_duplicate: OnDuplicate = "error",
) -> dict[Kind, int]:
    """Make one file of each kind; all arrive together, or none.

    Parameters
    ----------
    parts : mapping of Kind to sequence of Path
    outputs : mapping of Kind to Path
        One for each kind of `parts`.
    on_duplicate : {"error", "same", "newest", "first"}
        See `without_duplicates`.

    Returns
    -------
    rows : dict of Kind to int
        An errors file without rows is not made anew.

    Raises
    ------
    InputError, SpecMismatchError, StoreError
        As for `compact`.
    """
    _check_outputs(parts, outputs)
    locked_by = outputs.get(Kind.VECTORS) or next(iter(outputs.values()))
    with ExitStack() as stack:
        opened = _open_all(parts, stack)
        metadata = _joint_metadata(opened)
        targets = {kind: real_target(path, kind) for kind, path in outputs.items()}
        folder, finished = stack.enter_context(_locked(locked_by, targets))
        if finished:  # what was cut off has changed them
            opened = _open_all(parts, stack)
        writer = _Writer(opened, metadata, targets, folder.path, on_duplicate)
        rows = {kind: writer.write(kind) for kind in reversed(PLACING_ORDER) if kind in parts}
        placed = {
            kind: targets[kind]
            for kind in PLACING_ORDER
            if kind in parts and (rows[kind] or kind != Kind.ERRORS or targets[kind].exists())
        }
        commit_staged(placed, folder)
    return rows


class _Writer:
    """Writes the combined rows of each kind to their staged files, the vectors first."""

    def __init__(
        self,
        opened: Mapping[Kind, Sequence[Checked]],
        metadata: Mapping[Kind, StoreMetadata],
        outputs: Mapping[Kind, Path],
        run_dir: Path,
        on_duplicate: OnDuplicate,
    ) -> None:
        self._opened = opened
        self._metadata = metadata
        self._outputs = outputs
        self._run_dir = run_dir
        self._on_duplicate: OnDuplicate = on_duplicate
        self._keep: Keep = lambda table: table

    def write(self, kind: Kind) -> int:
        """Write one kind; returns the number of rows."""
        staged = staged_path(self._outputs[kind], self._run_dir)
        rows = write_batches(staged, self._batches(kind), self._metadata[kind])
        if kind == Kind.VECTORS and len(self._opened) > 1:
            self._keep = _Songs(open_checked(staged, kind)).keep
        return rows

    def _batches(self, kind: Kind) -> Iterator[Any]:
        metadata = self._metadata[kind]
        schema = schema_of(metadata)
        tables = sorted_rows(
            self._opened[kind],
            schema.names,
            scratch=self._run_dir,
            on_duplicate=self._on_duplicate,
            keep=self._keep,
        )
        for table in tables:
            if "extractor_id" in schema.names:
                _check_extractor(table, metadata, self._opened[kind])
            yield from table.cast(schema).combine_chunks().to_batches()


class _Songs:
    """Ids and hashes of the combined vectors, in order."""

    def __init__(self, file: Checked) -> None:
        table = file.read(["song_id", "content_hash"])
        file.file.close()
        self._ids = table.column("song_id").combine_chunks()
        self._hashes = table.column("content_hash").combine_chunks()

    def keep(self, table: Any) -> Any:
        """Return the scores or features that belong to a song; the failures that do not.

        `table` is sorted by ``song_id``.
        """
        if len(table) == 0:
            return table
        ids = table.column("song_id").combine_chunks()
        low = bisect_left(_Texts(self._ids), ids[0].as_py())
        high = bisect_right(_Texts(self._ids), ids[-1].as_py())
        places = pc.index_in(ids, value_set=self._ids[low:high])
        if "content_hash" not in table.column_names:
            return table.filter(pc.is_null(places))
        theirs = self._hashes[low:high].take(places)  # null where there is no such song
        return table.filter(pc.equal(theirs, table.column("content_hash").combine_chunks()))


class _Texts(Sequence[str]):
    """An Arrow array of texts as a sequence, for bisection."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: Any) -> Any:
        return self._array[row].as_py()


def _check_outputs(parts: Mapping[Kind, Sequence[Path]], outputs: Mapping[Kind, Path]) -> None:
    if not parts or not all(parts.values()):
        raise InputError("no part files to combine")
    if set(parts) != set(outputs):
        raise InputError(f"an output is needed for each of: {', '.join(sorted(parts))}")
    if len({path.resolve() for path in outputs.values()}) != len(outputs):
        raise InputError(f"two outputs are one file: {', '.join(map(str, outputs.values()))}")
    for path in outputs.values():
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the file, for example vecs.parquet")
        if not path.parent.is_dir():
            raise MissingFileError(f"{path.parent}: no such folder")


def _open_all(parts: Mapping[Kind, Sequence[Path]], stack: ExitStack) -> dict[Kind, list[Checked]]:
    """Open every part once, however often and by whatever name it is given."""
    opened: dict[Kind, list[Checked]] = {}
    for kind, paths in parts.items():
        different: dict[Path, Path] = {}
        for path in paths:
            different.setdefault(path.resolve(), path)
        opened[kind] = []
        for path in different.values():
            file = open_checked(path, kind, extra_columns=False)
            stack.callback(file.file.close)
            opened[kind].append(file)
    return opened


def _joint_metadata(opened: Mapping[Kind, Sequence[Checked]]) -> dict[Kind, StoreMetadata]:
    """Return what the combined files say of themselves.

    Versions of packages may differ from part to part: all of them are named. Failures are
    a matter of the files and not of the numbers, so those of another extractor pass.
    """
    first = opened.get(Kind.VECTORS, next(iter(opened.values())))[0]
    for kind, files in opened.items():
        for file in files if kind != Kind.ERRORS or kind == first.metadata.kind else ():
            _check_same(first, file)
    found = {kind: _joint(files) for kind, files in opened.items()}
    if Kind.ERRORS in found:
        of = _joint(opened[first.metadata.kind])
        found[Kind.ERRORS] = replace(of, kind=Kind.ERRORS)
    return found


def _check_same(first: Checked, other: Checked) -> None:
    ours, theirs = first.metadata, other.metadata
    if ours.extractor_id != theirs.extractor_id:
        raise SpecMismatchError(
            f"{first.path} was made by extractor {ours.extractor_id}, {other.path} by "
            f"{theirs.extractor_id} ({ours.what_differs(theirs)}): they cannot be one store; "
            "extract one of them again"
        )
    same_kind = ours.kind == theirs.kind
    if same_kind and not schema_of(ours).remove_metadata().equals(
        schema_of(theirs).remove_metadata()
    ):
        raise StoreError(f"{first.path} and {other.path} have different columns")


def _joint(files: Sequence[Checked]) -> StoreMetadata:
    """Return the metadata of files of one kind and one extractor, whatever their order."""
    all_of = [file.metadata for file in files]
    first = min(all_of, key=StoreMetadata.to_json)
    names = sorted({name for metadata in all_of for name in metadata.packages})
    return replace(
        first,
        features={k: v for metadata in all_of for k, v in sorted(metadata.features.items())},
        packages={n: _versions(m.packages.get(n, "") for m in all_of) for n in names},
        created_by=_versions(metadata.created_by for metadata in all_of),
    )


def _versions(texts: Iterable[str]) -> str:
    return JOINER.join(sorted({one for text in texts for one in text.split(JOINER) if one}))


def _check_extractor(table: Any, metadata: StoreMetadata, files: Sequence[Checked]) -> None:
    ids = pc.unique(table.column("extractor_id")).to_pylist()
    others = [name for name in ids if name != metadata.extractor_id]
    if others:
        raise SpecMismatchError(
            f"among the rows of {', '.join(str(file.path) for file in files[:3])} are some of "
            f"extractor {others[0]}, the files say {metadata.extractor_id}; audiorec store "
            "verify names them"
        )


@contextmanager
def _locked(out: Path, targets: Mapping[Kind, Path]) -> Iterator[tuple[RunFolder, bool]]:
    """Hold the outputs; gives the folder, and whether a commit that was cut off was finished.

    Afterwards nothing is left beside them, unless the commit itself was cut off: then
    whoever writes these outputs next carries it through.
    """
    names = rf"\d{{6}}{re.escape(SCRATCH_ENDING)}|{re.escape(MARKER)}"
    if (run_folder_path(out) / MARKER).exists():
        # An extraction that was cut off in its commit left records, which are in the new files.
        names = f"{names}|{RECORD_FILES}"
    folder = RunFolder(out, names)
    clean = False
    try:
        finished = finish_commit(targets, folder.path)
        folder.clear(last=MARKER)
        for target in targets.values():
            discard_staged(target, folder.path)
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
