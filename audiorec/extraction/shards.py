"""Process one shard of a manifest into one part of a store: the unit of a distributed run.

    read_shard(manifest, i, n) ──process_shard──▶ <out>/part-00003-of-00016.vecs.parquet
                                                  <out>/part-00003-of-00016.errors.parquet
                                                  <out>/part-00003-of-00016.done.json
    shard_tasks(manifest, n) ──an engine──▶ outcomes ──gather──▶ `ShardsReport`

Shard i of n contains the rows from ``i * N // n`` up to ``(i + 1) * N // n`` (exclusive) of a
manifest of N rows: every song is in exactly one shard.
"""

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiorec.errors import AudiorecError, InputError, MissingFileError, StoreError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.manifest import Manifest, with_current_stat
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.run import RunOptions, run, run_metadata
from audiorec.files.own_files import (
    TEMPORARY,
    check_tree,
    refuse_other_than_folder,
    remove_tree,
    replaced,
)
from audiorec.files.storage import (
    Entry,
    check_writable,
    exists,
    fetch,
    files_in,
    find,
    is_uri,
    join,
    put,
    read,
    write,
)
from audiorec.runs.report import RunProgress, RunReport, Stopped
from audiorec.spec import fingerprint
from audiorec.store.journal import RUN_FILES, Outputs
from audiorec.store.schema import Kind, write_batches

ENDINGS = {
    Kind.VECTORS: "vecs.parquet",
    Kind.ERRORS: "errors.parquet",
    Kind.SCORES: "scores.parquet",
    Kind.FEATURES: "features.parquet",
}
MARK = "done.json"
MAX_PART_BYTES = 64 << 30
_PART = re.compile(r"part-(\d{5})-of-(\d{5})\.(" + "|".join([*ENDINGS.values(), MARK]) + ")")
MARK_SCHEMA = "audiorec/shard/1"
MAX_MARK_BYTES = 1 << 20
MAX_SHARDS = 99_999
WORK_FOLDER = ".work"  # in a local output folder, for unfinished shards
_OUTPUT = r"(?:vecs|errors|scores|features)\.parquet"
# Files in the folder of one shard: outputs, their unfinished run, and fetched songs.
WORK_FILES = re.compile(
    rf"{_OUTPUT}|{_OUTPUT}\.run/(?:{RUN_FILES}|lock|lock\.soft)?|(?:[^/]+/)?{TEMPORARY}"
    rf"|\.{_OUTPUT}\.{_OUTPUT}\.run\.staged|songs/(?:audiorec-song-[^/]+/(?:song[^/]*)?)?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` (from 0) of `count`: a range of rows of a manifest.

    `created_at` is the time of the run: ``extracted_at`` and ``failed_at`` in all rows.
    """

    index: int
    count: int
    sources: tuple[Source, ...]
    created_at: datetime

    def __post_init__(self) -> None:
        check_shard(self.index, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardConfig:
    """Picklable configuration for processing shards.

    Attributes
    ----------
    extractor : ExtractorConfig
    options : RunOptions
        Only ``jobs``, ``limits`` and ``max_failures`` are used; the others are fixed for shards.
    scores, features : bool
        Also write parts of score series, or of backbone features.
    work_dir : path or None
        Folder for unfinished shards. By default beside the output if that is local, so that an
        interrupted shard resumes; otherwise a temporary folder.
    redo : bool
        Process finished parts again.
    """

    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    options: RunOptions = field(default_factory=lambda: RunOptions(jobs=1))
    scores: bool = False
    features: bool = False
    work_dir: Path | None = None
    redo: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of files that each shard writes, in the order of writing."""
        extra = [k for k in (Kind.SCORES, Kind.FEATURES) if getattr(self, k.value)]
        return (*extra, Kind.ERRORS, Kind.VECTORS)


@dataclass(frozen=True, slots=True)
class ShardReport:
    """Result of one shard.

    `kept` means that it was already finished and nothing was done; its songs then count as
    ``unchanged`` or ``failed_before``. `run` has the paths of the files.
    """

    index: int
    count: int
    fingerprint: str
    kept: bool
    run: RunReport


def check_shard(index: int, count: int) -> None:
    """Raise `InputError` unless `count` is 1 to 99,999 and `index` below it."""
    if not 1 <= count <= MAX_SHARDS:
        raise InputError(f"the number of shards must be 1 to {MAX_SHARDS}, got {count}")
    if not 0 <= index < count:
        raise InputError(
            f"with {count} shards, the shard must be 0/{count} to {count - 1}/{count}, got {index}"
        )


def read_shard(manifest: str, index: int, count: int) -> Shard:
    """Read the rows of shard `index` (from 0) of `count`; the manifest is a path or URI.

    Raises
    ------
    InputError
        If there is no such shard, or the manifest is invalid.
    """
    check_shard(index, count)
    with Manifest.open(manifest) as rows:
        bounds = [k * len(rows) // count for k in (index, index + 1)]
        return Shard(index, count, tuple(rows.sources(*bounds)), rows.created_at)


def process_shard(
    shard: Shard,
    out: str,
    config: ShardConfig | None = None,
    *,
    progress: Callable[[RunProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> ShardReport:
    """Write one part of a store; every engine runs this function.

    It is pure: the same rows, audio and extractor give the same bytes, so it may run twice,
    anywhere, in any order, even concurrently. ``extracted_at`` is the manifest's time, not the
    current time.

    Files are written atomically, and the marker ``done.json`` comes last: with it the part is
    finished, and a second call keeps the part if its fingerprint (songs, extractor and requested
    files) is the same. ``errors.parquet`` always exists, ``scores.parquet`` and
    ``features.parquet`` on request. All are ordinary store files.

    Parameters
    ----------
    shard : Shard
        From `read_shard`.
    out : str
        Folder or URI of the parts.
    config : ShardConfig, optional
    progress : callable, optional
        Called after every song.
    stop : Event, optional
        When set, the songs in progress are finished and no part is written.

    Returns
    -------
    report : ShardReport
        Failed songs do not raise an error: they are rows of the part's errors file.

    Raises
    ------
    StoreError
        If `out` cannot be written, or another process works on the same part on the same disk.
    """
    config = config or ShardConfig()
    mark = _fingerprint(shard, config)
    if not config.redo and (kept := _kept(shard, out, config, mark)) is not None:
        return kept
    if is_uri(out):
        check_writable(out)
    with _work_folder(shard, out, config, mark) as work:
        outputs = Outputs(**{kind.value: work / ENDINGS[kind] for kind in config.kinds})
        result = run(
            [with_current_stat(source) for source in shard.sources],
            outputs,
            config=config.extractor,
            options=replace(
                config.options, by_content=False, at=shard.created_at, scratch=work / "songs"
            ),
            progress=progress,
            stop=stop,
        )
        if result.stopped is None:
            sizes = _put_files(shard, out, config, outputs)
            result.outputs = {kind: _place(shard, out, kind) for kind in config.kinds}
            _put_mark(shard, out, mark, result, sizes)
            _remove(work)
    return ShardReport(shard.index, shard.count, mark, False, result)


def _fingerprint(shard: Shard, config: ShardConfig) -> str:
    """Return a hash of everything that a part's rows depend on, except the time."""
    songs = hashlib.sha256()
    for s in shard.sources:
        problem = [s.problem] if s.problem else []
        songs.update(json.dumps([s.song_id, s.uri, s.size, s.mtime_ns, *problem]).encode())
    extractor = Extractor(config.extractor)
    return fingerprint(
        {
            "extractor_id": extractor.extractor_id,
            "kinds": config.kinds,
            **{
                name: made for name in ("attributes", "lists") if (made := getattr(extractor, name))
            },
            "max_duration_s": config.extractor.max_duration_s,
            "songs": songs.hexdigest(),
        }
    )


def _kept(shard: Shard, out: str, config: ShardConfig, mark: str) -> ShardReport | None:
    """Return the report of a finished part with the same fingerprint; None otherwise."""
    content = read(_place(shard, out, MARK), max_bytes=MAX_MARK_BYTES)
    try:
        found = json.loads(content or b"{}")
        if found.get("fingerprint") != mark:
            return None
        for kind in config.kinds:
            entry = find(_place(shard, out, kind))
            if entry is None or entry.size != found["bytes"][kind.value]:
                return None
        made = RunReport.from_dict(found["run"])
    except (ValueError, KeyError, TypeError, AttributeError):  # not a marker of ours
        return None
    result = RunReport(
        found=made.found,
        unchanged=made.usable,
        failed_before=made.failed + made.failed_before,
        rows=made.rows,
        outputs=made.outputs,
        extractor_id=made.extractor_id,
    )
    return ShardReport(shard.index, shard.count, mark, True, result)


def _place(shard: Shard, out: str, ending: Kind | str) -> str:
    return join(out, part_name(shard.index, shard.count, ending))


@contextmanager
def _work_folder(shard: Shard, out: str, config: ShardConfig, mark: str) -> Iterator[Path]:
    """Provide the folder for an unfinished part; one beside the output survives a crash."""
    name = part_name(shard.index, shard.count, mark)
    root = config.work_dir or (None if is_uri(out) else Path(out.removeprefix("file://")))
    if root is None:
        with tempfile.TemporaryDirectory(prefix="audiorec-shard-") as folder:
            (Path(folder) / "songs").mkdir()
            yield Path(folder)
        return
    work = root / WORK_FOLDER / name
    refuse_other_than_folder(work.parent)
    refuse_other_than_folder(work)
    if work.exists():
        check_tree(work, WORK_FILES)
        if config.redo:
            remove_tree(work, WORK_FILES)
    try:
        (work / "songs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root}: cannot be written: {error.strerror}") from error
    yield work


def _put_files(shard: Shard, out: str, config: ShardConfig, outputs: Outputs) -> dict[str, int]:
    """Move the files to their destinations and return their sizes in bytes, by kind.

    A part without failures has an empty errors file.
    """
    paths = outputs.paths()
    for kind, path in paths.items():
        if not path.exists():
            metadata = run_metadata(Extractor(config.extractor), outputs)
            with replaced(path) as temporary:  # an empty table would make pyarrow import pandas
                write_batches(temporary, [], replace(metadata, kind=kind))
    sizes = {kind.value: path.stat().st_size for kind, path in paths.items()}
    for kind, path in paths.items():
        put(path, _place(shard, out, kind))
    return sizes


def _put_mark(
    shard: Shard, out: str, mark: str, result: RunReport, sizes: Mapping[str, int]
) -> None:
    content: Mapping[str, Any] = {
        "schema": MARK_SCHEMA,
        "index": shard.index,
        "count": shard.count,
        "fingerprint": mark,
        "created_at": shard.created_at.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": sizes,
        "run": result.to_dict(),
    }
    text = json.dumps(content, sort_keys=True, indent=1)
    write(_place(shard, out, MARK), text.encode())


def _remove(work: Path) -> None:
    """Remove a shard's work folder, and their common folder if it is empty then."""
    remove_tree(work, WORK_FILES)
    work.rmdir()
    if work.parent.name == WORK_FOLDER:
        with suppress(OSError):  # it contains another shard
            work.parent.rmdir()


def part_name(index: int, count: int, ending: Kind | str) -> str:
    """Return the name of a part's file.

    Examples
    --------
    >>> part_name(3, 16, Kind.VECTORS), part_name(3, 16, MARK)
    ('part-00003-of-00016.vecs.parquet', 'part-00003-of-00016.done.json')
    """
    text = ENDINGS[ending] if isinstance(ending, Kind) else ending
    return f"part-{index:05d}-of-{count:05d}.{text}"


def part_of(name: str) -> tuple[int, int, str] | None:
    """Return index, count and ending of a file named by `part_name`; None for any other.

    Examples
    --------
    >>> part_of("part-00003-of-00016.vecs.parquet"), part_of("vecs.parquet")
    ((3, 16, 'vecs.parquet'), None)
    """
    match = _PART.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]), match[3])


def finished_parts(folder: str, *, whole: bool = True) -> dict[Kind, list[Entry]]:
    """List the files of the finished parts in a folder or at a URI, in the order of shards.

    Raises `InputError` if no part is finished or, with `whole`, if any is missing; otherwise
    unfinished parts, which have no marker, are left out. Raises `StoreError` for parts of
    different shard counts (such as 16 and 32), which would contain the same songs twice, and for a
    part with its marker but without its files.
    """
    named = {entry.name: entry for entry in files_in(folder)}
    parts = [part for name in named if (part := part_of(name)) is not None]
    numbers = sorted((index, count) for index, count, ending in parts if ending == MARK)
    _check_numbers(folder, numbers, whole)
    result: dict[Kind, list[Entry]] = {kind: [] for kind in ENDINGS}
    for index, count in numbers:
        for kind in ENDINGS:
            name = part_name(index, count, kind)
            if name in named:
                result[kind].append(named[name])
            elif kind in (Kind.VECTORS, Kind.ERRORS):
                raise StoreError(
                    f"{folder}: {name} is missing; run the same audiorec shards again to restore it"
                )
    return result


def _check_numbers(folder: str, numbers: Sequence[tuple[int, int]], whole: bool) -> None:
    if not numbers:
        kind = InputError if exists(folder) else MissingFileError
        raise kind(f"{folder}: no finished parts; create them: audiorec shards MANIFEST N")
    counts = sorted({count for _, count in numbers})
    if len(counts) > 1:
        raise StoreError(
            f"{folder}: contains parts of {' and of '.join(map(str, counts))} shards; "
            "keep only those of one count"
        )
    missing = sorted(set(range(counts[0])) - {index for index, _ in numbers})
    if whole and missing:
        some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {counts[0]} shards are not finished: {some}; "
            "run the same audiorec shards again to finish them"
        )


@contextmanager
def local_parts(
    folder: str, scratch: Path | None = None, *, whole: bool = True
) -> Iterator[dict[Kind, list[Path]]]:
    """Provide the finished parts of a folder as local files, by kind.

    Parts in an object store are copied to `scratch` (by default the system's temporary folder) and
    removed when the ``with`` statement ends; kinds without parts are left out.

    Raises
    ------
    InputError, StoreError
        As for `finished_parts`, or if a part cannot be read.
    """
    result = finished_parts(folder, whole=whole)
    parts = {kind: entries for kind, entries in result.items() if entries}
    if not is_uri(folder):
        yield {kind: [Path(e.place) for e in entries] for kind, entries in parts.items()}
        return
    with tempfile.TemporaryDirectory(prefix="audiorec-parts-", dir=scratch) as copies:
        for entry in (e for entries in parts.values() for e in entries):
            fetch(entry.place, Path(copies) / entry.name, max_bytes=MAX_PART_BYTES)
        yield {k: [Path(copies) / e.name for e in entries] for k, entries in parts.items()}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard by name: the machine that works on it reads its rows itself.

    `manifest` and `out` are paths or URIs that mean the same on every machine.
    """

    manifest: str
    index: int
    count: int
    out: str
    config: ShardConfig

    @property
    def jobs(self) -> int:
        """Processors that it takes."""
        return self.config.options.jobs

    def attempt(
        self,
        progress: Callable[[RunProgress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> "ShardOutcome":
        """Make the part; what goes wrong on purpose is an answer, not an exception."""
        try:
            shard = read_shard(self.manifest, self.index, self.count)
            report = process_shard(shard, self.out, self.config, progress=progress, stop=stop)
        except AudiorecError as error:
            return ShardOutcome(self.index, error=error)
        except OSError as error:  # a full or failing disk: this machine's, not the shard's
            return ShardOutcome(self.index, message=f"{type(error).__name__}: {error}")
        return ShardOutcome(self.index, report=report)

    def lost(self, message: str) -> "ShardOutcome":
        """Return what became of it if its process died once too often."""
        return ShardOutcome(self.index, message=message)


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What became of one shard.

    Attributes
    ----------
    index : int
    report : ShardReport or None
        Of a shard that ended; its ``run.stopped`` says whether before its songs did.
    error : AudiorecError or None
        What it raised on purpose.
    message : str
        What is known of a shard that was lost: its process died once too often, say.
    """

    index: int
    report: ShardReport | None = None
    error: AudiorecError | None = None
    message: str = ""


def shard_tasks(manifest: str, count: int, out: str, config: ShardConfig) -> list[ShardTask]:
    """Return a task for each shard of a manifest; paths become absolute.

    On one machine they run in threads, each with a disposable child for the songs.
    """
    check_shard(0, count)
    places = [p if is_uri(p) else os.path.abspath(p) for p in (manifest, out)]  # noqa: PTH100
    heads = tuple(path.absolute() for path in config.extractor.heads)
    work = config.work_dir.absolute() if config.work_dir else None
    config = replace(config, extractor=replace(config.extractor, heads=heads), work_dir=work)
    return [ShardTask(places[0], index, count, places[1], config) for index in range(count)]


@dataclass(slots=True)
class ShardsReport:
    """What came of a run over shards.

    Attributes
    ----------
    total, made, kept : int
        Shards: of the manifest, made by this run, and finished before it.
    lost : dict of int to str
        Shards without a part, and why. The same command tries them again.
    run : RunReport
        Songs and seconds of all finished shards.
    """

    total: int
    made: int = 0
    kept: int = 0
    lost: dict[int, str] = field(default_factory=dict)
    run: RunReport = field(default_factory=RunReport)

    @property
    def is_whole(self) -> bool:
        """Whether every shard has its part."""
        return self.made + self.kept == self.total

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "shards": self.total,
            "made": self.made,
            "kept": self.kept,
            "lost": {str(index): why for index, why in sorted(self.lost.items())},
            **self.run.to_dict(),
        }


def gather(
    outcomes: Iterable[ShardOutcome],
    total: int,
    *,
    after_each: Callable[[ShardOutcome, ShardsReport], None] | None = None,
) -> ShardsReport:
    """Count outcomes as they come; `after_each` is called after every shard.

    Raises
    ------
    AudiorecError
        What a shard raised on purpose and would befall every one: a manifest that cannot be
        read, another spec, missing weights or a missing extra.
    """
    report = ShardsReport(total)
    for outcome in outcomes:
        if outcome.error is not None and not isinstance(outcome.error, StoreError):
            raise outcome.error
        _count(report, outcome)
        if after_each is not None:
            after_each(outcome, report)
    if not report.is_whole and report.run.stopped is None and not report.lost:
        report.run.stopped = Stopped.INTERRUPTED
    return report


def _count(report: ShardsReport, outcome: ShardOutcome) -> None:
    shard = outcome.report
    if shard is None:
        report.lost[outcome.index] = outcome.message or str(outcome.error)
        return
    report.run.add(shard.run)
    if shard.run.stopped is not None:
        return
    if shard.kept:
        report.kept += 1
    else:
        report.made += 1
