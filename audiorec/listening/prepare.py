"""Convert logs larger than memory to sequences in buckets: ``listening prepare``.

    log ──blocks, checked──▶ `Spill`: pieces of `PIECE_ROWS` rows, one row group per bucket
    a bucket's row groups ──bucket_sequences──▶ its owners' plays, in order   bucket by bucket

The sequences equal those of `to_sequences` on the same log in memory: all rows of an owner are in
one bucket, so its order, repeats and finished plays need no other data. Unfinished work is in
``DIR.run/``: a job that was interrupted while reading the log starts over, one interrupted later
resumes with the missing buckets.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from re import compile as pattern
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import DamagedFileError, InputError, LostBlocksError, StoreError
from audiorec.files.arrow import arrow_array, encoded, integers, open_parquet
from audiorec.files.own_files import (
    RunFolder,
    check_tree,
    read_object,
    remove_tree,
    sealed,
    write_own,
)
from audiorec.files.tables import INPUTS, TableFile, table_writer, write_plain
from audiorec.files.user_files import input_errors
from audiorec.listening.events import (
    DATE,
    EVENTS,
    NAMED_ROWS,
    OLD_NAMES,
    PLACES,
    UNIT_NAMES,
    Interactions,
    ProblemKind,
    ReadingNotes,
    RowsError,
    TextColumn,
)
from audiorec.listening.interactions import (
    NO_TIME,
    clean_block,
    delivered_again,
    interaction_blocks,
)
from audiorec.listening.log_files import (
    FAILURE,
    PARQUET_ENDS,
    LogFiles,
    log_fingerprint,
    opened_log,
)
from audiorec.listening.reading import (
    BUCKET_SCHEMA,
    FORMAT_VERSION,
    KIND,
    MANIFEST,
    MAX_BUCKETS,
    SONGS,
    SONGS_SCHEMA,
    bucket_name,
    buckets_of,
)
from audiorec.listening.sequences import LABEL_OF, PER_USER, Sequences, in_order, without_noise
from audiorec.runs.blocks import outcomes_of
from audiorec.runs.tasks import Engine
from audiorec.spec import fingerprint
from audiorec.types import Int32Array, StageProgress, string_array

BUCKETS = 64
PIECE_ROWS = 2_000_000
PIECE_SCHEMA = pa.schema(
    [
        ("owner_id", pa.string()),
        ("song", pa.int32()),
        ("time", pa.float64()),
        ("unit", pa.int8()),
        (LogColumns.EVENT, pa.int8()),
        (LogColumns.PLAYED_RATIO, pa.float32()),
    ]
)
# Additional columns for a log in several folders, to detect rows that were delivered twice.
OF_FOLDERS = (("folder", pa.int32()), ("same", pa.uint64()))
PreparedBy = Literal["user", "session", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSpec:
    """Options of `prepare` that determine its sequences."""

    by: PreparedBy = "user"  # "session" and "list" need their column in the log
    buckets: int = BUCKETS
    filters: tuple[str, ...] = ()  # names in `PER_USER`
    skip_bad_rows: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.buckets <= MAX_BUCKETS:
            raise InputError(f"buckets must be from 1 to {MAX_BUCKETS}, got {self.buckets}")
        if self.by not in ("user", *LABEL_OF):
            raise InputError(f"sequences must be by user, session or list, got {self.by!r}")
        odd = [name for name in self.filters if name not in PER_USER]
        if odd or (self.filters and self.by != "user"):
            raise InputError(
                f"a prepared log can be filtered by {', '.join(PER_USER)}, in sequences by user; "
                f"got {', '.join(self.filters)} by {self.by}"
            )


class Spill:
    """Collector of checked rows that writes them in pieces sorted by bucket."""

    def __init__(self, folder: Path, spec: PrepareSpec) -> None:
        self.folder, self.spec = folder, spec
        self.groups: list[list[int]] = []  # for each piece, the bucket of each row group
        self.songs = string_array([])  # in order of first occurrence
        self.units_of_song = np.zeros(1 << 16, np.int16)  # one bit per unit
        self.units = np.zeros(len(UNIT_NAMES) + 1, np.int64)
        self.first_rows: dict[int, list[int]] = {}  # by unit
        self.first_number: dict[int, float] = {}  # by unit, the raw time in the first row
        self._waiting: list[tuple[Any, Int32Array]] = []
        self._rows = 0

    def add(self, columns: dict[str, Any]) -> None:
        """Add the usable rows of a block, as returned by `clean_block`."""
        unit, event = columns["unit"], columns[LogColumns.EVENT]
        song = self._numbered(columns["song"], unit)
        for code in np.unique(unit).tolist():
            at = np.flatnonzero(unit == code)
            self.units[code] += len(at)
            self.first_number.setdefault(code, float(columns[LogColumns.TIME][at[0]]))
            known = self.first_rows.setdefault(code, [])
            known += columns["row"][at[: NAMED_ROWS - len(known)]].tolist()
        owners = columns[LABEL_OF.get(self.spec.by, "user")]
        keep = owners.is_valid().to_numpy(zero_copy_only=False)
        if self.spec.by != "user":
            keep &= event < len(EVENTS)
        of_text = buckets_of(owners.dictionary, self.spec.buckets)
        codes = owners.indices.fill_null(0).to_numpy()
        bucket = of_text[codes] if len(of_text) else np.zeros(0, np.int32)
        table = pa.table(
            {
                "owner_id": owners.dictionary_decode(),
                "song": arrow_array(song, pa.int32()),
                "time": arrow_array(np.ascontiguousarray(columns[LogColumns.TIME]), pa.float64()),
                "unit": arrow_array(unit.astype(np.int8), pa.int8()),
                LogColumns.EVENT: arrow_array(event.astype(np.int8), pa.int8()),
                LogColumns.PLAYED_RATIO: arrow_array(
                    columns[LogColumns.PLAYED_RATIO], pa.float32()
                ),
            }
        )
        for name, kind in OF_FOLDERS:
            if name in columns:
                table = table.append_column(name, arrow_array(columns[name], kind))
        if not keep.all():
            table = table.filter(pa.array(keep))
            bucket = bucket[keep] if len(bucket) else bucket
        self._waiting.append((table, bucket))
        self._rows += len(table)
        if self._rows >= PIECE_ROWS:
            self.write()

    def write(self) -> None:
        """Write the collected rows as one piece."""
        if not self._rows:
            return
        table = pa.concat_tables([t for t, _ in self._waiting]).combine_chunks()
        bucket = np.concatenate([b for _, b in self._waiting])
        self._waiting, self._rows = [], 0
        order = np.argsort(bucket, kind="stable")
        counts = np.bincount(bucket, minlength=self.spec.buckets)
        there = np.flatnonzero(counts)
        path = self.folder / piece_name(len(self.groups))
        with table_writer(path, table.schema) as writer:
            stops = np.cumsum(counts)
            for b in there.tolist():
                rows = order[stops[b] - counts[b] : stops[b]]
                part = table.take(integers(rows))
                writer.write_table(part, row_group_size=len(part))
        self.groups.append(there.tolist())

    def _numbered(self, songs: Any, unit: npt.NDArray[Any]) -> Int32Array:
        # A lookup in Arrow is three times as fast as one lookup per string in a Python dict.
        texts = string_array(songs.dictionary)
        index = pc.index_in(texts, value_set=self.songs)
        is_new = index.is_null().to_numpy(zero_copy_only=False)
        of_text = index.fill_null(0).to_numpy().astype(np.int32)
        of_text[is_new] = len(self.songs) + np.arange(is_new.sum())
        if is_new.any():
            self.songs = pa.concat_arrays([self.songs, texts.filter(pa.array(is_new))])
        codes = songs.indices.fill_null(-1).to_numpy()
        song: Int32Array = np.append(of_text, np.int32(-1))[codes]
        if len(self.songs) > len(self.units_of_song):
            more = max(len(self.songs), 2 * len(self.units_of_song)) - len(self.units_of_song)
            self.units_of_song = np.append(self.units_of_song, np.zeros(more, np.int16))
        for code in np.unique(unit).tolist():
            used = song[(unit == code) & (song >= 0)]
            self.units_of_song[used] |= np.int16(1 << code)
        return np.ascontiguousarray(song, np.int32)


def piece_name(number: int) -> str:
    """Return the file name of a piece."""
    return f"piece-{number:06d}.parquet"


def rows_of_pieces(parts: list[Any]) -> Any:
    """Join the rows of one bucket from all pieces, without repeated deliveries: `PIECE_SCHEMA`."""
    rows = pa.concat_tables(
        [PIECE_SCHEMA.empty_table(), *(part.select(PIECE_SCHEMA.names) for part in parts)]
    )
    if not parts or "folder" not in parts[0].schema.names:
        return rows
    whole = pa.concat_tables(parts)
    folder, same, time = (whole.column(n).to_numpy() for n in ("folder", "same", "time"))
    return rows.filter(pa.array(~delivered_again(folder, same, ~np.isnan(time))))


def bucket_sequences(rows: Any, rank: Int32Array, *, unit: int, spec: PrepareSpec) -> Sequences:
    """Build the sequences of one bucket.

    Parameters
    ----------
    rows : pyarrow.Table
        Has `PIECE_SCHEMA`, in the order of the log.
    rank : ndarray, shape (S,), int32
        The final number of each song.
    unit : int
        The time unit, an index into `UNIT_NAMES`; rows in other units are left out.
    """
    units = rows.column("unit").to_numpy()
    good = (units == unit) | (units == NO_TIME)
    if not good.all():
        rows = rows.filter(pa.array(good))
    owner, owner_ids = encoded(rows.column("owner_id"))
    time, event = rows.column("time").to_numpy(), rows.column(LogColumns.EVENT).to_numpy()
    of_song = event < len(EVENTS)
    n_rows = int(of_song.sum())
    song = rows.column("song").to_numpy()[of_song]
    label = LABEL_OF.get(spec.by)
    log = Interactions(
        user_ids=tuple(owner_ids.to_pylist()),
        song_ids=(),
        user=owner[of_song].astype(np.int32),
        song=rank[song],
        timestamp=time[of_song] / (1.0 if unit == DATE else 1000.0**unit),
        event=event[of_song],
        played_ratio=rows.column(LogColumns.PLAYED_RATIO).to_numpy()[of_song],
        weight=np.ones(n_rows, np.float32),
        labels={} if label is None else {label: TextColumn(owner[of_song], owner_ids)},
    )
    return in_order(without_noise(log, spec.filters), spec.by)


def sequences_table(found: Sequences) -> Any:
    """Convert sequences to a `pyarrow.Table` of `BUCKET_SCHEMA`."""
    starts = pa.array(found.starts.astype(np.int32))
    columns = [
        string_array(found.owner_ids),
        pa.ListArray.from_arrays(starts, arrow_array(np.ascontiguousarray(found.song), pa.int32())),
        pa.ListArray.from_arrays(
            starts, arrow_array(np.ascontiguousarray(found.time), pa.float64())
        ),
    ]
    return pa.Table.from_arrays(columns, schema=BUCKET_SCHEMA)


JOB, NUMBERS = "job.json", "numbers.parquet"
FOLDER_FILES = r"bucket-\d{6}\.parquet|songs\.parquet|prepared\.json"
RUN_FILES = rf"{FOLDER_FILES}|piece-\d{{6}}\.parquet|numbers\.parquet|job\.json|{INPUTS}"
NUMBERS_SCHEMA = pa.schema([("rank", pa.int32())])


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
        Runs the bucket tasks (`audiorec.runs.tasks.engine_of`). By default buckets are made
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
    log = opened_log(path)
    of = log_fingerprint(log)
    identity = fingerprint(
        {"log": of, "by": spec.by, "buckets": spec.buckets, "filters": sorted(spec.filters)}
        | {"skip_bad_rows": spec.skip_bad_rows, "format": FORMAT_VERSION}
    )
    run = RunFolder(out, RUN_FILES)
    try:
        job = _read_job(run, identity) or _spill(log, run, spec, identity, tell)
        if engine is not None:
            _send_buckets(engine, run, job, spec, tell)
        manifest = _make_buckets(run, job, spec, tell)
        manifest = {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "log": log.name.rstrip("/").rpartition("/")[2] or log.name,
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
        job = read_object(run.path / JOB)
        if job["fingerprint"] == identity:
            return job
    except (ValueError, KeyError, StoreError):  # damaged, as by a power failure: start over
        pass
    run.clear(last=JOB)
    return None


def _spill(
    log: LogFiles, run: RunFolder, spec: PrepareSpec, identity: str, tell: StageProgress
) -> dict[str, Any]:
    """Read the log once, writing pieces; return the data that the buckets need."""
    notes, rows_read, total = ReadingNotes(), 0, _rows_in(log)
    spill = Spill(run.path, spec)
    for block in interaction_blocks(log, notes):
        if not {LogColumns.TIME, *PLACES, *OLD_NAMES} & set(block.table.schema.names):
            raise InputError(
                f"{log.name}: no timestamp: a log of counts, which has no sequences to prepare; "
                "train on the log itself"
            )
        rows, columns = clean_block(block, notes)
        rows_read += rows
        spill.add(columns)
        tell("rows", rows_read, max(total, rows_read))
    spill.write()
    rows_read += len(notes.skipped)
    usual = _usual_unit(spill, notes)
    problems = notes.problems()
    if problems and not spec.skip_bad_rows:
        raise RowsError(log.name, notes.bad_rows, rows_read, problems)
    if not spill.groups:
        what = f"has no {LABEL_OF[spec.by]}" if spec.by in LABEL_OF and rows_read else "can be used"
        raise DamagedFileError(f"{log.name}: none of its {rows_read} rows {what}")
    used = spill.units_of_song[: len(spill.songs)] & np.int16(1 << usual | 1 << NO_TIME) != 0
    texts = spill.songs
    order = pc.sort_indices(texts).to_numpy()
    order = order[used[order]]
    rank = np.full(len(texts), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ids = texts.take(integers(order))
    write_plain(run.path / SONGS, pa.table({LogColumns.SONG: ids}).cast(SONGS_SCHEMA))
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


def _rows_in(log: LogFiles) -> int:
    """Return the number of rows of a Parquet log; CSV files count as 0."""
    total = 0
    for one in log.files:
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
    folder = run.path.absolute()
    make = partial(_make_bucket, folder, job["groups"], job["unit"], spec)
    missing = [n for n in range(spec.buckets) if not _is_made(run.path / bucket_name(n))]
    lost: dict[int, str] = {}
    made = spec.buckets - len(missing)
    for outcome in outcomes_of(engine, make, int, missing, folder):
        if outcome.message:
            lost[outcome.index] = outcome.message
        else:
            made += 1
            tell("buckets", made, spec.buckets)
    if lost:
        reasons = tuple((f"bucket {n}", why) for n, why in sorted(lost.items()))
        raise LostBlocksError(str(run.path).removesuffix(".run"), reasons, spec.buckets)
    if made < spec.buckets:
        raise KeyboardInterrupt  # the engine was stopped, so stop this job too


def _make_bucket(
    folder: Path, groups: list[list[int]], unit: int, spec: PrepareSpec, bucket: int
) -> None:
    """Write one bucket's file from the pieces of a log; workers share the disk of `folder`."""
    with TableFile.open(folder / NUMBERS) as file:
        rank = file.read_as(NUMBERS_SCHEMA).column("rank").to_numpy()
    parts = []
    for number, own in enumerate(groups):
        if bucket in own:
            with TableFile.open(folder / piece_name(number)) as piece:
                parts.append(piece.read_group(own.index(bucket)))
    _write_bucket(folder, bucket, parts, rank, unit, spec)


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
    sequences = bucket_sequences(rows, rank, unit=unit, spec=spec)
    write_plain(folder / bucket_name(bucket), sequences_table(sequences))
    return sequences


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
                result = _write_bucket(run.path, bucket, parts, rank, job["unit"], spec)
                owners, plays = owners + len(result), plays + len(result.song)
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
    write_own(path, json.dumps(sealed(content), indent=1) + "\n")


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
