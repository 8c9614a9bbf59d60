"""Remove a user from logs and files derived from them: ``listening forget USER FILE…``.

    logs, candidates, tables of users  ──forget──▶ the same files without the user's rows
    a folder of all of these, `serving/` or days ──forget──▶ the same for each in it
    a folder of prepared listening     ──forget──▶ its bucket without the user's sequence
    an alignment with other businesses ──forget──▶ the same rows, with an empty id for the user
    a model folder                     ──forget──▶ reported if the model must be retrained

What a killed job left of one of these files, under a temporary name, is removed whatever its age.

Each file is replaced atomically. Only files of known kinds are changed, and all of them are
inspected before the first one changes. A session or list without a user is its own user, as
everywhere. Models hold no user ids, but keep what they learnt until they are retrained, so
models trained on one of these logs are reported.
"""

import csv
import gzip
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns, LogColumns, ShownColumns
from audiorec.errors import DamagedFileError, InputError, StoreError
from audiorec.files.own_files import (
    read_object,
    refuse_link,
    remove_leftovers,
    replaced,
    run_folder_path,
    write_errors,
)
from audiorec.files.tables import GROUP_ROWS, TableFile, table_writer, write_plain
from audiorec.files.user_files import (
    CSV_ENDS,
    column_names,
    input_errors,
    open_unpacked,
    refuse_devices,
)
from audiorec.listening.events import OLD_NAMES, PLACES
from audiorec.listening.log_files import FAILURE, log_fingerprint
from audiorec.listening.prepare import sequences_table, write_manifest
from audiorec.listening.reading import MANIFEST, bucket_name, buckets_of, read_prepared
from audiorec.store.schema import own_metadata

MODEL_FILE = "model.json"
TABLES = (*CSV_ENDS, ".parquet", ".pq")
RUN_END = ".run"  # of folders of unfinished runs
UNFINISHED = "holds an unfinished run with data of users; finish"
NO_AGE = -3600.0  # seconds; a clock may go wrong
BATCH_ROWS = 1 << 16
# Kinds in the metadata of audiorec's own files that have one row per user or event.
OWN_KINDS = (
    "user_embeddings",
    "user_interests",
    "interactions",
    "audiences",
    "tastes",
    "song_lists",
    "recall_export",
    "unmatched_plays",  # written by an import beside its log
    "rejected_rows",
)
ALIGNMENT = "alignment"  # written by `audiorec_federated.alignment`
# Columns that identify the kind of files that audiorec did not write.
LOG = frozenset({LogColumns.SONG, LogColumns.EVENT})
CANDIDATES = frozenset({LogColumns.USER, LogColumns.SONG, "rank"})
EXPOSURES = frozenset({LogColumns.USER, LogColumns.SONG, ShownColumns.AT})
RANKED_LISTS = frozenset({LogColumns.USER, "list_id", "rank"})
TARGETS = frozenset({LogColumns.USER, LogColumns.SONG})


class KeptKind(StrEnum):
    """Kinds of files and folders that `forget` handles."""

    LOG = "log"
    CANDIDATES = "candidates"
    USERS = "users"
    PREPARED = "prepared"
    ALIGNED = "alignment"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Result of `forget` for one file or folder.

    Attributes
    ----------
    kind : KeptKind
    removed : int
        Rows removed, or plays for prepared listening. 0 for a model, which is not changed.
    left : int
        Rows or plays that remain.
    train_again : bool
        Whether a model was trained on one of the logs, or does not record on which.
    note : str
        Remark for people; may be empty.
    """

    path: Path
    kind: KeptKind
    removed: int = 0
    left: int = 0
    train_again: bool = False
    note: str = ""


def forget(user_id: str, paths: Sequence[Path]) -> list[Forgotten]:
    """Remove one user from files and folders.

    Temporary files that killed jobs left of them are removed as well, whatever their age.

    Parameters
    ----------
    user_id : str
        The exact id, not a pattern.
    paths : sequence of Path
        Logs, candidates and tables of users; folders of prepared listening and of models; folders
        that hold any of these, such as a log by day or the output of nightly runs. Tables without
        users in a folder are left alone.

    Returns
    -------
    list of Forgotten
        One for each path, but for a folder one for each file and model in it that holds users,
        unless all of them are parts of one log.

    Raises
    ------
    InputError
        If the id is empty, or a file is missing, damaged or of an unknown kind. Nothing has been
        changed then.
    StoreError
        The same for one of audiorec's own files, or for a link.
    """
    if not user_id:
        raise InputError("the user id is empty")
    parts = {path: {part: _kind(part) for part in _parts(path)} for path in paths}
    kinds = {part: kind for inside in parts.values() for part, kind in inside.items()}
    logs = _known_logs(kinds)
    result = []
    for path, inside in parts.items():
        found = [_forgotten(part, kind, user_id, logs) for part, kind in inside.items()]
        if set(inside.values()) == {KeptKind.LOG}:
            removed, left = sum(one.removed for one in found), sum(one.left for one in found)
            found = [Forgotten(path, KeptKind.LOG, removed, left)]
        result += found
        _remove_leftovers(path)
    return result


def _known_logs(kinds: Mapping[Path, KeptKind]) -> set[str]:
    """Return the fingerprints of the logs and alignments that a model may have learnt from."""
    logs: set[str] = set()
    for part, kind in kinds.items():
        if kind == KeptKind.LOG:
            logs.add(log_fingerprint(part))
        if kind == KeptKind.PREPARED:
            logs.add(str(read_prepared(part).about.get("log_fingerprint", "")))
        if kind == KeptKind.ALIGNED:
            logs.update(_alignments(part))
    return logs


def _forgotten(part: Path, kind: KeptKind, user_id: str, logs: set[str]) -> Forgotten:
    if kind == KeptKind.MODEL:
        return _model(part, logs)
    return Forgotten(part, kind, *_removed(part, kind, user_id))


def _remove_leftovers(path: Path) -> None:
    remove_leftovers(path.parent, path.name, least_s=NO_AGE)
    for folder, _, _ in os.walk(path):
        remove_leftovers(Path(folder), least_s=NO_AGE)


def _removed(path: Path, kind: KeptKind, user_id: str) -> tuple[int, int]:
    with write_errors(path):
        if kind == KeptKind.PREPARED:
            return _from_prepared(path, user_id)
        if kind == KeptKind.ALIGNED:
            return _from_alignment(path, user_id)
        if path.name.lower().endswith(CSV_ENDS):
            return _from_csv(path, user_id)
        return _from_parquet(path, user_id)


def _parts(path: Path) -> list[Path]:
    """Return the path itself, or what holds users in a folder of several things."""
    refuse_link(path)
    if not path.is_dir() or (path / MANIFEST).exists() or (path / MODEL_FILE).exists():
        return [path]
    result: list[Path] = []
    for above, folders, files in os.walk(path):
        here = Path(above)
        if (here / MANIFEST).exists() or (here / MODEL_FILE).exists():
            folders.clear()
            result.append(here)
            continue
        if unfinished := [name for name in folders if name.endswith(RUN_END)]:
            raise InputError(f"{here / unfinished[0]}: {UNFINISHED} the job, or remove the folder")
        folders[:] = sorted(folders)
        tables = [here / name for name in sorted(files) if _is_table(name)]
        result += [one for one in tables if _id_columns(column_names(one, FAILURE))]
    if not result:
        raise DamagedFileError(
            f"{path}: is neither a folder of prepared listening nor a model folder, and holds no "
            "table with users"
        )
    return result


def _is_table(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(TABLES)


def _kind(path: Path) -> KeptKind:
    """Return the kind of a path; refuse unknown kinds."""
    refuse_link(path)
    if path.is_dir():
        if (path / MANIFEST).exists():
            if read_prepared(path).about.get("by") != "user":
                raise InputError(
                    f"{path}: holds sessions or lists without users; forget the user in the log, "
                    "then run audiorec listening prepare again"
                )
            if run_folder_path(path).exists():
                raise InputError(
                    f"{run_folder_path(path)}: {UNFINISHED} audiorec listening prepare, or remove "
                    "the folder"
                )
            return KeptKind.PREPARED
        return KeptKind.MODEL
    if not _is_table(path.name):
        with input_errors(path, FAILURE):
            refuse_devices(path)
        raise DamagedFileError(f"{path}: is not a .parquet, .csv or .csv.gz file")
    names = column_names(path, FAILURE)
    twice = {name for name in names if names.count(name) > 1}
    if not path.name.lower().endswith(CSV_ENDS):
        said = str(_about(path).get("kind", ""))
        if said == ALIGNMENT and names == [LogColumns.USER]:
            return KeptKind.ALIGNED
        if said in OWN_KINDS and LogColumns.USER in names and not twice:
            return KeptKind.LOG if said == "interactions" else KeptKind.USERS
        if said:
            raise DamagedFileError(f"{path}: holds {said}, which has no rows per user")
    there = set(names)
    if twice:
        raise DamagedFileError(f"{path}: the column {min(twice)!r} is duplicated")
    if there >= LOG and there & {LogColumns.USER, *PLACES, *OLD_NAMES}:
        return KeptKind.LOG
    by_user = (CANDIDATES, EXPOSURES, RANKED_LISTS)
    if any(there >= one for one in by_user) or TARGETS <= there <= TARGETS | {ListColumns.GROUP}:
        return KeptKind.CANDIDATES
    if there >= TARGETS and there & {LogColumns.TIME, LogColumns.WEIGHT}:  # plays alone, or counts
        return KeptKind.LOG
    raise DamagedFileError(
        f"{path}: is not a listening log, table of users or list of candidates; inspect it: "
        "audiorec listening check"
    )


def _about(path: Path) -> dict[str, Any]:
    """Return the metadata of one of audiorec's own files; empty for other files."""
    with TableFile.open(path) as file:
        return own_metadata(file.schema)


def _alignments(path: Path) -> set[str]:
    """Return the alignment ids shared with other parties, which trained models record."""
    named = _about(path).get("alignments")
    return set(map(str, named)) if isinstance(named, list) else set()


def _from_alignment(path: Path, user_id: str) -> tuple[int, int]:
    """Replace the user's id in an alignment by an empty one, so that row numbers do not change."""
    with TableFile.open(path) as file:
        schema, table = file.schema, file.read([LogColumns.USER])
    ids = table.column(LogColumns.USER)
    gone = pc.equal(ids, user_id)
    removed, named = (int(pc.sum(one).as_py() or 0) for one in (gone, pc.not_equal(ids, "")))
    if removed:
        kept = pc.if_else(gone, "", ids)
        write_plain(path, pa.table({LogColumns.USER: kept}).cast(schema))
    return removed, named - removed


def _model(path: Path, logs: set[str]) -> Forgotten:
    """Report whether a model was trained on one of the logs, by its recorded fingerprints."""
    try:
        config = read_object(path / MODEL_FILE)
    except ValueError as error:
        raise StoreError(f"{path / MODEL_FILE}: not JSON: {error}") from error
    named = config.get("log_fingerprints")
    if not isinstance(named, list):
        note = "does not record its training log; train it again if it was one of these"
        return Forgotten(path, KeptKind.MODEL, train_again=True, note=note)
    learnt = bool(logs & set(map(str, named)))
    note = "was not trained on any of these logs as they were before"
    if learnt:
        note = "was trained on one of these logs: train it again"
    return Forgotten(path, KeptKind.MODEL, train_again=learnt, note=note)


def _from_parquet(path: Path, user_id: str) -> tuple[int, int]:
    with TableFile.open(path) as file:
        rows = len(file)
        columns = _id_columns(file.schema.names)
        _check_ids(path, file.schema, columns)
        keep = [
            ~_is_of(user_id, [batch.column(name) for name in columns])
            for batch in file.batches(BATCH_ROWS, columns)
        ]
        removed = rows - int(sum(mask.sum() for mask in keep))
        if removed:
            _write_kept(path, file, keep)
    return removed, rows - removed


def _write_kept(path: Path, file: TableFile, keep: list[Any]) -> None:
    """Rewrite a file with the rows of `keep`."""
    schema = file.schema
    batches = zip(file.batches(BATCH_ROWS), keep, strict=True)
    kept = (batch.filter(pa.array(mask)) for batch, mask in batches)
    with table_writer(path, schema) as writer:
        for table in kept:
            writer.write_table(table.cast(schema), row_group_size=GROUP_ROWS)


def _id_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that identify a row's user; the first non-empty one counts."""
    known = (LogColumns.USER, PLACES[0], PLACES[1], *OLD_NAMES)
    return [name for name in known if name in names]


def _check_ids(path: Path, schema: Any, columns: Sequence[str]) -> None:
    for name in columns:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not texts and not pa.types.is_integer(kind):
            raise DamagedFileError(f"{path}: column {name!r} holds {kind}, expected text")


def _is_of(user_id: str, columns: Sequence[Any]) -> Any:
    texts = [column.combine_chunks().cast(pa.string()) for column in columns]
    filled = [pc.if_else(pc.equal(pc.binary_length(t), 0), None, t) for t in texts]
    owner = filled[0] if len(filled) == 1 else pc.coalesce(*filled)
    return pc.equal(owner, user_id).fill_null(False).to_numpy(zero_copy_only=False)


def _from_csv(path: Path, user_id: str) -> tuple[int, int]:
    """Copy a CSV row by row; cells are unchanged, but redundant quotes are dropped."""
    names = column_names(path, FAILURE)
    places = [names.index(name) for name in _id_columns(names)]

    def is_gone(row: list[str]) -> bool:
        cells = (row[place] for place in places if place < len(row))
        return next((cell for cell in cells if cell), None) == user_id

    removed = left = 0
    for row in _csv_rows(path):
        removed += is_gone(row)
        left += bool(row)
    left -= removed + 1  # the header
    if not removed:
        return 0, left
    with open_unpacked(path) as file:
        ending = "\r\n" if file.readline().endswith(b"\r\n") else "\n"
    is_packed = path.suffix.lower() == ".gz"
    with (
        replaced(path) as temporary,
        gzip.open(temporary, "wb") if is_packed else temporary.open("wb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target, lineterminator=ending)
        writer.writerows(row for row in _csv_rows(path) if not is_gone(row))
    return removed, left


def _csv_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV, starting with the header."""
    with input_errors(path, FAILURE), open_unpacked(path) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        yield from csv.reader(file)


def _from_prepared(path: Path, user_id: str) -> tuple[int, int]:
    """Rewrite one bucket without the user's sequence, then update the manifest's counts."""
    log = read_prepared(path)
    bucket = int(buckets_of([user_id], log.n_buckets)[0])
    sequences = log.sequences(bucket)
    keep = np.array([owner != user_id for owner in sequences.owner_ids], np.bool_)
    plays = int(log.about["plays"])
    if keep.all():
        return 0, plays
    removed = int(sequences.lengths[~keep].sum())
    write_plain(path / bucket_name(bucket), sequences_table(sequences.take(keep)))
    about = {**log.about, "owners": int(log.about["owners"]) - 1, "plays": plays - removed}
    write_manifest(path, about)
    return removed, plays - removed
