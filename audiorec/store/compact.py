"""Combine many files of rows into one: sorted, each song once, in well-sized row groups.

    compact(parts, "vecs.parquet")                            vectors alone
    combine({Kind.VECTORS: parts, Kind.SCORES: more}, {...})  everything of a store at once
    merge_stores(["home.parquet", "work.parquet"], "all.parquet")  stores of one extractor

The output depends only on the rows: not on the order of the parts, nor on how rows are divided
among them, nor on parts that are given twice. Rows are streamed, so memory holds one batch per
part; ids and hashes of all songs are held only if scores, features or failures are combined too.

Scores and features belong to the audio: their rows are kept only if the combined vectors have
the same ``song_id`` with the same ``content_hash``. A failure is kept only if its song has no
vector.

In a merge, rows of two stores with the same song id and ``content_hash`` are one song, and the
newer row is kept. If the hashes differ, two songs share an id: either the merge is refused, or
the first store wins.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow.compute as pc

from audiorec.errors import InputError, MissingFileError, SpecMismatchError, StoreError
from audiorec.files.run_folder import RunFolder, run_folder_path
from audiorec.store.commit import (
    MARKER,
    check_apart,
    commit_staged,
    finish_commit,
    real_target,
    staged_path,
    tidy,
)
from audiorec.store.parquet import Checked, open_checked, write_batches
from audiorec.store.records import RECORD_FILES
from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.store.sorted_rows import SCRATCH_ENDING, Keep, OnDuplicate, sorted_rows

V = TypeVar("V")
# The vectors decide which other rows are kept, and are moved into place last.
PLACING_ORDER = (Kind.SCORES, Kind.FEATURES, Kind.ERRORS, Kind.VECTORS)
JOINER = ", "  # between the versions of audiorec that made the parts
# Policies of a merge, where rows of the same audio may differ.
_POLICIES: Mapping[str, OnDuplicate] = {"error": "same", "first": "first"}


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
    see `without_duplicates` for `on_duplicate`. An empty errors file is not created.
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
                keep = _CombinedSongs(open_checked(staged, kind)).keep
        placed = {
            kind: targets[kind]
            for kind in PLACING_ORDER
            if kind in parts and (rows[kind] or kind != Kind.ERRORS or targets[kind].exists())
        }
        commit_staged(placed, folder)
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


class _CombinedSongs:
    """Ids and content hashes of the combined vectors, sorted by id."""

    def __init__(self, file: Checked) -> None:
        table = file.read(["song_id", "content_hash"])
        file.close()
        self._ids = table.column("song_id").combine_chunks()
        self._hashes = table.column("content_hash").combine_chunks()

    def keep(self, table: Any) -> Any:
        """Keep the score or feature rows that belong to a song; of failures, those without one."""
        if len(table) == 0:
            return table
        ids = table.column("song_id").combine_chunks()
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
                "extract FOLDER --upgrade --out STORE"
            )
    if not _bare_schema(ours).equals(_bare_schema(theirs)):
        raise StoreError(f"{first.path} and {other.path} have different columns")


def _bare_schema(metadata: StoreMetadata) -> Any:
    """Return the schema without the columns that a store may lack."""
    bare = replace(metadata, attributes={}, lists={}, sound_id="")
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
    names = rf"\d{{6}}{re.escape(SCRATCH_ENDING)}|{re.escape(MARKER)}"
    if (run_folder_path(out) / MARKER).exists():
        # An extraction interrupted in its commit left records, which the new files already contain.
        names = f"{names}|{RECORD_FILES}"
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


def merge_stores(
    stores: Sequence[Path],
    out: Path,
    *,
    on_duplicate: Literal["error", "first"] = "error",
    beside: Mapping[Kind, tuple[Sequence[Path], Path]] | None = None,
) -> dict[Kind, int]:
    """Merge two or more stores, and files beside them; return the number of rows by kind.

    Parameters
    ----------
    stores : sequence of Path
        Two or more ``vecs.parquet``; `out` may be one of them.
    out : Path
        Replaced if it exists, atomically together with the files beside it.
    on_duplicate : {"error", "first"}
        What to do if two different songs have the same id.
    beside : mapping of Kind to (sequence of Path, Path), optional
        Scores, features or failures to merge as well: their parts and their output.

    Raises
    ------
    SpecMismatchError
        If the stores are from different extractors; names both and what differs.
    InputError
        If there are fewer than two stores, or two songs have the same id; names both stores.
    StoreError
        If a file is damaged.
    """
    if len({path.resolve() for path in stores}) < 2:
        raise InputError("merge takes two stores or more")
    parts: dict[Kind, Sequence[Path]] = {Kind.VECTORS: stores}
    outputs = {Kind.VECTORS: out}
    for kind, (paths, target) in (beside or {}).items():
        parts[kind], outputs[kind] = paths, target
    return combine(parts, outputs, on_duplicate=_POLICIES[on_duplicate])
