"""Convert logs larger than memory to sequences in buckets: ``listening prepare``.

    log ──blocks, checked──▶ pieces of `PIECE_ROWS` rows, one row group per bucket   one pass
    a bucket's row groups ──bucket_sequences──▶ its owners' plays, in order   bucket by bucket

The sequences equal those of `to_sequences` on the same log in memory: all rows of an owner are in
one bucket, so its order, repeats and finished plays need no other data. Unfinished work is in
``DIR.run/``: a job that was interrupted while reading the log starts over, one interrupted later
resumes with the missing buckets.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from re import compile as pattern
from threading import Event
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.distribution import created_by
from audiorec.engines.tasks import Engine
from audiorec.errors import (
    AudiorecError,
    DamagedFileError,
    InputError,
    LostBlocksError,
    StoreError,
)
from audiorec.files.arrow import arrow_array
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import RunFolder, check_tree, read_own, remove_tree, replaced
from audiorec.files.parquet_files import open_parquet
from audiorec.files.tables import TableFile, write_plain
from audiorec.files.user_files import input_errors
from audiorec.listening.buckets import bucket_sequences, sequences_table
from audiorec.listening.casting import DATE, UNIT_NAMES
from audiorec.listening.events import (
    ProblemKind,
    ReadingNotes,
    RowsError,
)
from audiorec.listening.feed import (
    BUCKET_SCHEMA,
    FORMAT_VERSION,
    KIND,
    MANIFEST,
    SONGS,
    SONGS_SCHEMA,
    bucket_name,
)
from audiorec.listening.interactions import NO_TIME, clean_block
from audiorec.listening.log_blocks import FAILURE, interaction_blocks
from audiorec.listening.log_files import (
    PARQUET_ENDS,
    files_fingerprint,
    is_rereadable,
    log_files,
    log_name,
)
from audiorec.listening.sequences import LABEL_OF, Sequences
from audiorec.listening.spill import PrepareSpec, Spill, piece_name, rows_of_pieces
from audiorec.spec import fingerprint
from audiorec.types import Int32Array, StageProgress

JOB, NUMBERS = "job.json", "numbers.parquet"
FOLDER_FILES = r"bucket-\d{6}\.parquet|songs\.parquet|prepared\.json"
RUN_FILES = rf"{FOLDER_FILES}|piece-\d{{6}}\.parquet|numbers\.parquet|job\.json"
MAX_JOB_BYTES = 64 << 20
NUMBERS_SCHEMA = pa.schema([("rank", pa.int32())])


@dataclass(frozen=True, slots=True)
class BucketOutcome:
    """Result of a `BucketTask`, as returned by an engine."""

    index: int
    message: str = ""  # the error; empty on success


@dataclass(frozen=True, slots=True)
class BucketTask:
    """A bucket to make from the pieces of a log, as a task for `audiorec.engines`.

    Workers must share the disk that `folder` is on.
    """

    folder: str
    index: int  # of the bucket
    groups: tuple[tuple[int, ...], ...]  # for each piece, the bucket of each row group
    unit: int
    spec: PrepareSpec
    jobs: ClassVar[int] = 1

    def attempt(self, *, stop: Event | None = None) -> BucketOutcome:  # noqa: ARG002 - is finished
        """Write the bucket's file; return errors as an outcome instead of raising them."""
        folder = Path(self.folder)
        try:
            with TableFile.open(folder / NUMBERS) as file:
                rank = file.read_as(NUMBERS_SCHEMA).column("rank").to_numpy()
            parts = []
            for number, groups in enumerate(self.groups):
                if self.index in groups:
                    with TableFile.open(folder / piece_name(number)) as piece:
                        parts.append(piece.read_group(groups.index(self.index)))
            _write_bucket(folder, self.index, parts, rank, self.unit, self.spec)
        except (AudiorecError, OSError) as error:
            return self.lost(f"{type(error).__name__}: {error}")
        return BucketOutcome(self.index)

    def lost(self, message: str) -> BucketOutcome:
        """Return the outcome of a task that failed, or whose process died too often."""
        return BucketOutcome(self.index, message)


def log_fingerprint(path: Path) -> str:
    """Return a fingerprint (16 hex digits) of a log's bytes, to identify files derived from it.

    For a folder of days it covers the files that are read and the last day.
    """
    return files_fingerprint(path)


def prepare(
    path: Path,
    out: Path,
    spec: PrepareSpec | None = None,
    *,
    progress: StageProgress | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Write the sequences of a log to a folder of buckets; return its manifest.

    Parameters
    ----------
    path : Path
        Parquet, CSV or gzip-compressed CSV, or a folder of days.
    out : Path
        The output folder; replaced if it holds prepared listening and nothing else.
    progress : callable, optional
        Called with ("rows", done, total) while the log is read, then with ("buckets", done, total).
    engine : callable, optional
        Runs the bucket tasks (`audiorec.engines.tasks.engine_of`). By default buckets are made
        in this process, one after the other.

    Raises
    ------
    InputError
        If the log is missing, is not a log, or lacks a column.
    RowsError
        If some rows cannot be used, unless `spec` says to skip them.
    StoreError
        If `out` holds other files, or another run is writing to it.
    LostBlocksError
        If the engine failed to make some buckets; the others are kept.
    """
    spec, tell = spec or PrepareSpec(), progress or (lambda _what, _done, _total: None)
    if out.exists():
        check_tree(out, pattern(FOLDER_FILES))
    if not is_rereadable(path):
        next(interaction_blocks(path, ReadingNotes()))  # raises the precise error
        raise InputError(f"{path}: is not a regular file, but must be read twice")
    of = log_fingerprint(path)
    identity = fingerprint(
        {"log": of, "by": spec.by, "buckets": spec.buckets, "filters": sorted(spec.filters)}
        | {"skip_bad_rows": spec.skip_bad_rows, "format": FORMAT_VERSION}
    )
    run = RunFolder(out, RUN_FILES)
    try:
        job = _read_job(run, identity) or _spill(path, run, spec, identity, tell)
        if engine is not None:
            _send_buckets(engine, run, job, spec, tell)
        manifest = _make_buckets(run, job, spec, tell)
        manifest = {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "log": log_name(path),
            "log_fingerprint": of,
            "fingerprint": identity,
            "by": spec.by,
            "filters": sorted(spec.filters),
            **manifest,
            "created_by": created_by(),
        }
        _move(run, out, manifest)
        run.clear(last=JOB)
        run.release(remove=True)
    finally:
        if run.path.is_dir() and JOB not in run.names():  # nothing to resume from
            run.clear()
            run.release(remove=True)
        run.release()
    return manifest


def _read_job(run: RunFolder, identity: str) -> dict[str, Any] | None:
    """Return the result of the first pass, if it is complete and belongs to this job."""
    if JOB not in run.names():
        run.clear()
        return None
    try:
        job = unsealed(parse_json(read_own(run.path / JOB, MAX_JOB_BYTES), max_bytes=MAX_JOB_BYTES))
        if job["fingerprint"] == identity and _is_job(job):
            return job
    except (ValueError, KeyError, StoreError):  # damaged, as by a power failure: start over
        pass
    run.clear(last=JOB)
    return None


def _is_job(job: dict[str, Any]) -> bool:
    """Return whether a job file is valid; the folder may come from anywhere."""
    counts = [job.get(name) for name in ("unit", "songs", "rows_read", "rows_left_out")]
    groups = job.get("groups")
    return (
        all(type(count) is int and count >= 0 for count in counts)
        and job["unit"] < len(UNIT_NAMES)
        and isinstance(groups, list)
        and all(isinstance(g, list) and all(type(b) is int for b in g) for g in groups)
    )


def _spill(
    path: Path, run: RunFolder, spec: PrepareSpec, identity: str, tell: StageProgress
) -> dict[str, Any]:
    """Read the log once, writing pieces; return the data that the buckets need."""
    notes, rows_read, total = ReadingNotes(), 0, _rows_in(path)
    spill = Spill(run.path, spec)
    for block in interaction_blocks(path, notes):
        rows, columns = clean_block(block, notes)
        rows_read += rows
        spill.add(columns)
        tell("rows", rows_read, max(total, rows_read))
    spill.write()
    rows_read += len(notes.skipped)
    usual = _usual_unit(spill, notes)
    problems = notes.problems()
    if problems and not spec.skip_bad_rows:
        raise RowsError(log_files(path).name, notes.bad_rows, rows_read, problems)
    if not spill.groups:
        what = f"has no {LABEL_OF[spec.by]}" if spec.by in LABEL_OF and rows_read else "can be used"
        raise DamagedFileError(f"{log_files(path).name}: none of its {rows_read} rows {what}")
    used = spill.units_of_song[: len(spill.songs)] & np.int16(1 << usual | 1 << NO_TIME) != 0
    texts = spill.songs
    order = pc.sort_indices(texts).to_numpy()
    order = order[used[order]]
    rank = np.full(len(texts), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ids = texts.take(arrow_array(order.astype(np.int64), pa.int64()))
    write_plain(run.path / SONGS, pa.table({"song_id": ids}).cast(SONGS_SCHEMA))
    write_plain(run.path / NUMBERS, pa.table({"rank": arrow_array(rank, pa.int32())}))
    job = {
        "fingerprint": identity,
        "groups": spill.groups,
        "unit": usual,
        "songs": len(order),
        "rows_read": rows_read,
        "rows_left_out": notes.bad_rows,
    }
    deliveries = notes.deliveries()
    if deliveries is not None:  # repeated deliveries are only found bucket by bucket, later
        job["deliveries"] = {n: c for n, c in asdict(deliveries).items() if n != "again"}
    _write_json(run.path / JOB, job)
    return job


def _rows_in(path: Path) -> int:
    """Return the number of rows of a Parquet log; CSV files count as 0."""
    total = 0
    with input_errors(path, FAILURE):
        files = log_files(path).files
    for one in files:
        if one.path.suffix.lower() in PARQUET_ENDS:
            with input_errors(one.path, FAILURE), open_parquet(one.path) as file:
                total += file.metadata.num_rows
    return total


def _usual_unit(spill: Spill, notes: ReadingNotes) -> int:
    """Return the most frequent time unit; rows in other units are recorded as bad."""
    counts = spill.units[:NO_TIME]
    usual = int(counts.argmax()) if counts.any() else DATE
    others = [code for code in np.flatnonzero(counts).tolist() if code != usual]
    for code in sorted(others, key=lambda code: spill.first_rows[code][0]):
        rows, number = spill.first_rows[code], spill.first_number[code]
        example = f"{number:.0f} is in {UNIT_NAMES[code]}, not {UNIT_NAMES[usual]}"
        notes.add(ProblemKind.UNIT, rows, example, more=int(counts[code]) - len(rows))
        notes.bad_rows += int(counts[code])
    return usual


def _send_buckets(
    engine: Engine, run: RunFolder, job: dict[str, Any], spec: PrepareSpec, tell: StageProgress
) -> None:
    """Make the missing buckets with an engine."""
    groups = tuple(map(tuple, job["groups"]))
    folder = str(run.path.absolute())
    missing = [n for n in range(spec.buckets) if not _is_made(run.path / bucket_name(n))]
    tasks = [BucketTask(folder, number, groups, job["unit"], spec) for number in missing]
    lost: dict[int, str] = {}
    made = spec.buckets - len(missing)
    for outcome in engine(tasks):
        if outcome.message:
            lost[outcome.index] = outcome.message
        else:
            made += 1
            tell("buckets", made, spec.buckets)
    if lost:
        told = tuple((f"bucket {n}", why) for n, why in sorted(lost.items()))
        raise LostBlocksError(str(run.path).removesuffix(".run"), told, spec.buckets)
    if made < spec.buckets:
        raise KeyboardInterrupt  # the engine was stopped, so stop this job too


def _write_bucket(
    folder: Path,
    bucket: int,
    parts: list[Any],
    rank: Int32Array,
    unit: int,
    spec: PrepareSpec,
) -> Sequences:
    """Write the sequences of one bucket, given its row groups in log order."""
    rows = rows_of_pieces(parts)
    found = bucket_sequences(rows, rank, unit=unit, spec=spec)
    write_plain(folder / bucket_name(bucket), sequences_table(found))
    return found


def _make_buckets(
    run: RunFolder, job: dict[str, Any], spec: PrepareSpec, tell: StageProgress
) -> dict[str, Any]:
    """Make the missing buckets; return the counts over all buckets."""
    with TableFile.open(run.path / NUMBERS) as file:
        rank = file.read_as(NUMBERS_SCHEMA).column("rank").to_numpy()
    pieces = [TableFile.open(run.path / piece_name(n)) for n in range(len(job["groups"]))]
    places = [{bucket: g for g, bucket in enumerate(groups)} for groups in job["groups"]]
    owners = plays = 0
    try:
        for bucket in range(spec.buckets):
            target = run.path / bucket_name(bucket)
            if not _is_made(target):
                parts = [
                    piece.read_group(place[bucket])
                    for piece, place in zip(pieces, places, strict=True)
                    if bucket in place
                ]
                found = _write_bucket(run.path, bucket, parts, rank, job["unit"], spec)
                owners, plays = owners + len(found), plays + len(found.song)
            else:
                with TableFile.open(target) as file:
                    owners += len(file)
                    plays += len(file.read(["songs"]).column("songs").combine_chunks().flatten())
            tell("buckets", bucket + 1, spec.buckets)
    finally:
        for piece in pieces:
            piece.close()
    return {
        "buckets": spec.buckets,
        "owners": owners,
        "plays": plays,
        "songs": job["songs"],
        "rows_read": job["rows_read"],
        "rows_left_out": job["rows_left_out"],
        **({"deliveries": job["deliveries"]} if "deliveries" in job else {}),
    }


def _is_made(path: Path) -> bool:
    """Return whether a valid bucket exists from an interrupted run."""
    try:
        with TableFile.open(path) as file:
            return bool(file.schema.equals(BUCKET_SCHEMA))
    except StoreError:  # missing, or truncated by a power failure
        return False


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(sealed(content), indent=1) + "\n", encoding="utf-8")


def _move(run: RunFolder, out: Path, manifest: dict[str, Any]) -> None:
    """Move finished files to the output folder; the manifest, written last, makes it valid."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    remove_tree(out, pattern(FOLDER_FILES))
    for name in [SONGS, *map(bucket_name, range(manifest["buckets"]))]:
        (run.path / name).replace(out / name)
    write_manifest(out, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a folder of prepared listening."""
    _write_json(folder / MANIFEST, manifest)
