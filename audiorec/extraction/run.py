"""Run many songs through the pipeline into the output files, resumable at any point.

    sources ──plan──▶ todo ──worker processes──▶ journal ──commit──▶ vecs.parquet
                                                                     vecs.errors.parquet
                                                                     vecs.copies.parquet
                                                                     (scores, features)

Every song is on disk within seconds after it is done (`audiorec.store.journal`); the final files
are replaced once, at the end. An interrupted run resumes when the same call is repeated.

    config, the store ──prepare───────────▶ `Prepared`: Extractor, StoreMetadata
    source, `Song`         ──extracted_row▶ columns of vecs.parquet
    source, `Answer`       ──failure_row──▶ columns of the errors file
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from audiorec.audio.tags import SongTags
from audiorec.columns import StoreColumns
from audiorec.distribution import created_by, version_of
from audiorec.errors import Failure, InputError, SongError, StoreError
from audiorec.extraction.catalogue import Source, find_songs
from audiorec.extraction.originals import hear_copies
from audiorec.extraction.pipeline import Extractor, ExtractorConfig, KnownContent, Song
from audiorec.extraction.plan import (
    KnownFailure,
    KnownSong,
    Plan,
    Policy,
    RunOptions,
    failures_to_report,
    known_to_exist,
    plan_run,
    rows_to_drop,
)
from audiorec.files.storage import is_uri
from audiorec.runs.report import RunProgress, RunReport, SongOutcome, Stopped
from audiorec.runs.workers import Answer, Workers
from audiorec.store.inventory import errors_path
from audiorec.store.journal import Journal, Outputs
from audiorec.store.links import update_links
from audiorec.store.schema import GENRE_TAG, TAGS, Kind, StoreMetadata, feature_column, open_checked


def place_columns(source: Source) -> dict[str, Any]:
    """Return the columns of a song's id and location."""
    return {name: getattr(source, name) for name in (StoreColumns.ID, "uri", "size", "mtime_ns")}


def tag_columns(tags: SongTags, also: Collection[str]) -> dict[str, Any]:
    """Return the columns of a file's tags, with those of `TAGS` that the store has."""
    result = asdict(tags)
    result[GENRE_TAG] = result.pop("genre")
    return {name: value for name, value in result.items() if name not in TAGS or name in also}


def heard_columns(song: Song) -> dict[str, Any]:
    """Return the columns beside the vector that an older row of the song may lack."""
    return {**song.attributes, **song.lists}


def extracted_row(source: Source, song: Song, tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return a song's row in ``vecs.parquet``; `tags` as from `tag_columns`."""
    info = song.info
    return {
        **place_columns(source),
        "vector": song.vector,
        "content_hash": song.content_hash,
        "duration_s": info.duration_s,
        "claimed_s": info.claimed_s,
        "loudness_lufs": song.loudness_lufs,
        "segments": len(song.series),
        "status": str(info.status),
        "source_rate": info.sample_rate,
        "source_channels": info.channels,
        "codec": info.codec,
        "decoder": info.decoder,
        "packet_errors": info.packet_errors,
        **tags,
        **heard_columns(song),
    }


def failure_row(source: Source, answer: Answer, attempts: int) -> dict[str, Any]:
    """Return a failed song's row in the errors file."""
    error = answer.error
    stage, status, message = "worker", answer.failure or Failure.CRASHED, answer.message
    decoder = None
    if isinstance(error, SongError):
        stage, status, message = error.stage, error.failure, error.reason
        decoder = error.decoder
    return {
        **place_columns(source),
        "stage": stage,
        "status": str(status),
        "message": message,
        "decoder": decoder,
        "attempts": attempts,
    }


TAGS_BY = "tags 1"  # how genre, year and language are read
PACKAGES = ("audiorec", "av", "numpy", "onnxruntime", "scipy", "soundfile", "soxr")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin.

    Attributes
    ----------
    outputs : Outputs
    options : RunOptions
    extractor : Extractor
    metadata : StoreMetadata
        What its files say of it.
    """

    outputs: Outputs
    options: RunOptions
    extractor: Extractor
    metadata: StoreMetadata

    def run(
        self,
        sources: Sequence[Source],
        *,
        progress: Callable[[RunProgress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> RunReport:
        """Extract `sources`; see `audiorec.extraction.run.run`."""
        overwrite = self.options.policy is Policy.OVERWRITE
        with Journal.open(self.outputs, self.metadata, overwrite=overwrite) as journal:
            stop = stop or threading.Event()
            work = _Extraction(journal, self.extractor, self.options, progress, stop)
            work.report.extractor_id = self.extractor.extractor_id
            return work.go(sources)


def prepare(config: ExtractorConfig, outputs: Outputs, options: RunOptions) -> Prepared:
    """Return a run that writes `outputs`, with its extractor and the metadata of its files.

    A store that is extended keeps the columns that it has.
    """
    stored = None
    if options.policy is not Policy.OVERWRITE and outputs.vectors.exists():
        # An invalid store raises its error when it is opened for writing.
        with suppress(StoreError), open_checked(outputs.vectors, Kind.VECTORS) as file:
            stored = file.metadata

    if stored is not None:
        config = replace(config, attributes=bool(stored.attributes), sound=bool(stored.lists))
    extractor = Extractor(config)
    metadata = run_metadata(extractor, outputs, options.feature_outputs)
    return Prepared(outputs, options, extractor, metadata)


def run_metadata(
    extractor: Extractor, outputs: Outputs, feature_outputs: tuple[str, ...] | None = None
) -> StoreMetadata:
    """Return the metadata of the files that `extractor` writes; see `StoreMetadata`."""
    names = feature_outputs or extractor.networks.feature_outputs
    names = names if outputs.features else ()
    return StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id=extractor.extractor_id,
        classes=extractor.classes,
        statistics=extractor.heads.statistics,
        spec=extractor.config.spec.to_dict(),
        weights=tuple(extractor.weights_with(names)),
        features={feature_column(name): extractor.networks.width(name) for name in names},
        attributes=extractor.attributes,
        tags=dict.fromkeys(TAGS, TAGS_BY),
        lists=extractor.lists,
        sound_id=extractor.sound_id,
        packages={name: version_of(name) for name in PACKAGES},
        created_by=created_by(),
    )


__all__ = [
    "Policy",
    "RunOptions",
    "extract",
    "make_outputs",
    "preview",
    "run",
]

HOPELESS = 50  # failures without a success: a wrong folder, not fifty bad songs
HANDLER = "audiorec.extraction.pipeline:song_handler"  # run by the worker processes
FETCHING_HANDLER = "audiorec.files.storage:handler"  # the same, for songs in object stores


def extract(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    scores: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    errors: str | os.PathLike[str] | None = None,
    vector_only: bool = False,
    jobs: int = 0,
    progress: Callable[[RunProgress], None] | None = None,
) -> RunReport:
    """Extract folders, files or globs into a store.

    Parameters
    ----------
    paths : path or sequence of path
        Folders are walked recursively; see `catalogue.find_songs` for what counts as a song.
    out : path
        The ``vecs.parquet`` to create or extend.
    scores, features : path, optional
        Also write the score series, or the backbone features, to these files.
    errors : path, optional
        File for failures; by default ``vecs.errors.parquet`` beside ``vecs.parquet``.
    vector_only : bool
        Write the vector alone, without sound, tempo, key and moods. A store that is extended keeps
        the columns that it has.
    jobs : int
        Worker processes; 0 for one per CPU core.
    progress : callable, optional
        Called after every song.

    Returns
    -------
    report : RunReport
        Counts by status. Failed songs do not raise an error: they are rows of `errors`.

    Raises
    ------
    InputError
        If a path does not exist or two files have the same id.
    SpecMismatchError
        If `out` was written by another extractor.
    StoreError
        If `out` is not a store, or another run is writing to it.

    Examples
    --------
    >>> import audiorec, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> clip = "fixtures/audio/jazz-vibraphone.mp3"
    >>> report = audiorec.extract(clip, out=f"{folder}/vecs.parquet", jobs=1)
    >>> report.extracted, report.failed
    (1, 0)
    """
    many = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    outputs = make_outputs(out, scores=scores, features=features, errors=errors)
    config = ExtractorConfig(attributes=not vector_only, sound=not vector_only)
    options = RunOptions(jobs=jobs)
    return run(find_songs(many), outputs, config=config, options=options, progress=progress)


def make_outputs(
    out: str | os.PathLike[str],
    *,
    scores: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    errors: str | os.PathLike[str] | None = None,
) -> Outputs:
    """Return the output files of a run; for failures see `audiorec.store.inventory.errors_path`."""
    if is_uri(os.fspath(out)):
        raise InputError(f"{out}: a remote store is made from parts: audiorec shards")
    vectors = Path(out)
    if vectors.is_dir():
        raise InputError(f"{vectors}: is a folder; name a file in it, for example vecs.parquet")
    return Outputs(
        vectors=vectors,
        errors=Path(errors) if errors else errors_path(vectors),
        scores=Path(scores) if scores else None,
        features=Path(features) if features else None,
    )


def run(
    sources: Sequence[Source],
    outputs: Outputs,
    *,
    config: ExtractorConfig | None = None,
    options: RunOptions | None = None,
    progress: Callable[[RunProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> RunReport:
    """Extract `sources` into `outputs`; the full form of `extract`.

    When `stop` is set, the songs in progress are finished and the run ends without a commit: its
    results stay in the run folder, and the same call resumes from there.
    """
    ready = prepare(config or ExtractorConfig(), outputs, options or RunOptions())
    return ready.run(sources, progress=progress, stop=stop)


def preview(
    sources: Sequence[Source],
    outputs: Outputs,
    *,
    config: ExtractorConfig | None = None,
    options: RunOptions | None = None,
) -> Plan:
    """Return what `run` would do, without opening a song or changing an output."""
    options = options or RunOptions()
    if options.policy is Policy.OVERWRITE or not (
        outputs.vectors.exists() or outputs.run_dir.exists()
    ):
        return _plan(None, sources, options)
    metadata = prepare(config or ExtractorConfig(), outputs, options).metadata
    with Journal.open_read_only(outputs, metadata) as journal:
        return _plan(journal, sources, options)


class _Extraction:
    """State of one run: journal, counts and stop condition."""

    def __init__(
        self,
        journal: Journal,
        extractor: Extractor,
        options: RunOptions,
        progress: Callable[[RunProgress], None] | None,
        stop: threading.Event,
    ) -> None:
        self.journal = journal
        self.config = extractor.config
        self.feature_outputs = extractor.networks.feature_outputs
        self.options = options
        self.progress = progress
        self.stop = stop
        self.report = RunReport(outputs=journal.outputs.paths())
        # Reproducible rows (with a fixed time) must not depend on the number of attempts.
        before = _failures(journal) if options.at is None else []
        self.attempts = {f.song_id: f.attempts for f in before}
        self.unseen: list[Source] = []
        self.places: dict[str, list[str]] = {}  # uris by content hash
        if options.by_content:
            for song in _known(journal, None):
                self.places.setdefault(song.content_hash, []).append(song.uri)
        # Existing rows are kept, unless rows must be reproducible.
        self.known = set(self.places) if options.at is None else set()

    def go(self, sources: Sequence[Source]) -> RunReport:
        """Carry out the plan, then commit unless stopped."""
        started = time.monotonic()
        plan = _plan(self.journal, sources, self.options)
        self.report.found = len(sources)
        self.report.damaged_records = self.journal.damaged
        self.report.unchanged = len(plan.unchanged)
        self.report.failed_before = len(plan.failed_before)
        for source, song in plan.relabelled:
            self.journal.append_copy(song.content_hash, place_columns(source))
        self.report.relabelled += len(plan.relabelled)
        moved = {song.content_hash for _, song in plan.relabelled}
        moved |= self._work(plan.todo)
        if self.report.stopped is None:
            with self._writing():
                dropped = self._dropped(sources, moved)
                vectors = self.journal.outputs.vectors
                self.report.rows = self.journal.commit(keep=lambda song: song not in dropped)
                if self.options.by_content:  # else it is a part of a store, which merging compares
                    update_links(vectors)
                    hear_copies(vectors, self.stop)
        self.report.wall_s = time.monotonic() - started
        return self.report

    def _work(self, todo: Sequence[Source]) -> set[str]:
        """Extract `todo`; return the content hashes that were already known."""
        self.unseen = self._failures_of([source for source in todo if source.problem])
        todo = [source for source in todo if not source.problem]
        total = len(self.unseen) + len(todo)
        for source in self.unseen:
            if not self.stop.is_set():
                # Nothing to open: the failure is already known.
                error = SongError(source.uri, Failure.UNREADABLE, source.problem, stage="walk")
                self._done(self._record(source, Answer(source.path, error=error)), total)
        waiting: dict[str, list[Source]] = {}  # one file may have several ids
        for source in todo:
            waiting.setdefault(source.path, []).append(source)
        moved: set[str] = set()
        if not todo:
            return moved
        with self._workers(todo) as workers:
            going_on = takewhile(lambda _: not self.stop.is_set(), todo)
            for answer in workers.map_unordered(source.path for source in going_on):
                source = waiting[answer.item].pop()
                if answer.error is not None and not isinstance(answer.error, SongError):
                    raise answer.error  # not the song's fault: it would hit every song
                if isinstance(answer.value, KnownContent):
                    moved.add(answer.value.content_hash)
                self._done(self._record(source, answer), total)
        if self.stop.is_set() and self.report.stopped is None and self.report.done < total:
            self.report.stopped = Stopped.INTERRUPTED
        return moved

    def _failures_of(self, unseen: Sequence[Source]) -> list[Source]:
        if not unseen:
            return []
        with_vector = {known.song_id for known in _known(self.journal, None)}
        return failures_to_report(unseen, with_vector, prune=self.options.prune)

    def _done(self, song: SongOutcome, total: int) -> None:
        """Report progress, and stop the run after too many failures."""
        report = self.report
        if self.progress is not None:
            counts = {"done": report.done, "total": total, "failed": report.failed}
            self.progress(
                RunProgress(**counts, audio_s=report.audio_s, song_id=song.song_id, song=song)
            )
        if self._is_hopeless(total):
            self.stop.set()
            self.report.stopped = Stopped.MAX_FAILURES

    def _workers(self, todo: Sequence[Source]) -> Workers:
        kept = self.options.feature_outputs or self.feature_outputs
        outputs = kept if self.journal.outputs.features else ()
        known = frozenset[str]()
        if self.options.by_content:
            known = _complete_hashes(self.journal)
        handler = self.options.handler or HANDLER
        arguments: tuple[Any, ...] = (self.config, known, outputs)
        if any(is_uri(source.path) for source in todo):
            handler, arguments = FETCHING_HANDLER, (handler, arguments, self.options.scratch)
        jobs = min(self.options.jobs or os.cpu_count() or 1, len(todo))
        return Workers(handler, arguments, jobs=jobs, limits=self.options.limits)

    def _record(self, source: Source, answer: Answer) -> SongOutcome:
        """Write an answer to the journal and count it."""
        outcome = partial(SongOutcome, source.song_id, source.uri, wall_s=answer.wall_s)
        if isinstance(answer.value, KnownContent):  # its vector is copied
            columns = {**place_columns(source), **self._tags(answer.value.tags)}
            self.journal.append_copy(answer.value.content_hash, columns)
            if self._is_copy(source, answer.value.content_hash):
                self.report.copies += 1
                return outcome("copied")
            self.report.reused += 1
            return outcome("reused")
        if isinstance(answer.value, Song):
            return self._record_song(source, answer.value, outcome)
        row = failure_row(source, answer, self.attempts.get(source.song_id, 0) + 1)
        with self._writing():
            self.journal.append_failure(row | self._at("failed_at"))
        failed = outcome("failed", row["status"], row["message"])
        self.report.fail(failed)
        return failed

    def _record_song(
        self, source: Source, song: Song, outcome: Callable[..., SongOutcome]
    ) -> SongOutcome:
        scores, features, tags = song.series, song.features, self._tags(song.tags)
        with self._writing():
            if song.content_hash in self.known:  # scores, features or columns were missing
                columns = {**place_columns(source), **tags, **heard_columns(song)}
                self.journal.append_copy(
                    song.content_hash, columns, scores=scores, features=features
                )
            else:
                row = extracted_row(source, song, tags) | self._at("extracted_at")
                self.journal.append_song(row, scores=scores, features=features)
        status, audio_s = str(song.info.status), song.info.duration_s
        self.report.count(status, audio_s)
        self.report.spend(song.cpu_s)
        means = song.series.scores.mean(axis=0, dtype=float).tolist()
        by_class = dict(zip(song.series.classes, means, strict=True))
        self.report.scores.add(by_class, album=song.tags.album or "")
        return outcome("extracted", status, audio_s=audio_s, cpu_s=song.cpu_s)

    def _tags(self, tags: SongTags) -> dict[str, Any]:
        return tag_columns(tags, self.journal.metadata.tags)

    def _is_copy(self, source: Source, content_hash: str) -> bool:
        """Return whether the audio is known from another file that still exists."""
        places = self.places.get(content_hash, [])
        return source.uri not in places and any(map(known_to_exist, places))

    def _at(self, column: str) -> dict[str, Any]:
        return {} if self.options.at is None else {column: self.options.at}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        started = time.thread_time()
        try:
            yield
        finally:
            self.report.spend({"write": time.thread_time() - started})

    def _dropped(self, sources: Sequence[Source], moved: set[str]) -> set[str]:
        dropped = rows_to_drop(
            [*sources, *self.unseen],
            _known(self.journal, None),
            _failures(self.journal),
            moved=moved,
            prune=self.options.prune,
            roots=self.options.roots,
        )
        self.report.pruned = len(dropped.song_ids - dropped.healed)
        self.report.unpruned = dropped.kept
        return dropped.song_ids

    def _is_hopeless(self, total: int) -> bool:
        failed, limit = self.report.failed, self.options.max_failures
        if limit is None:
            # Inaccessible folders say nothing about the songs that were found.
            aside = len(self.unseen) if len(self.unseen) < self.report.found else 0
            return failed - aside >= HOPELESS and failed == self.report.done
        return failed > (limit * total if isinstance(limit, float) else limit)


def _plan(journal: Journal | None, sources: Sequence[Source], options: RunOptions) -> Plan:
    known = _known(journal, _complete_hashes(journal)) if journal else []
    failures = _failures(journal) if journal else []
    plan = plan_run(sources, known, failures, retry_failed=options.retry_failed)
    if not options.by_content:
        plan.todo.extend(source for source, _known_song in plan.relabelled)
        plan.relabelled.clear()
    return plan


def _complete_hashes(journal: Journal) -> frozenset[str]:
    """Return the content hashes that have a row in every file."""
    kinds = [kind for kind in journal.outputs.paths() if kind != Kind.ERRORS]
    return frozenset.intersection(*(journal.hashes(kind) for kind in kinds))


def _known(journal: Journal, hashes: frozenset[str] | None) -> list[KnownSong]:
    names = (StoreColumns.ID, "uri", "size", "mtime_ns", "content_hash")
    rows = journal.known(names).to_pylist()
    return [KnownSong(**r) for r in rows if hashes is None or r["content_hash"] in hashes]


def _failures(journal: Journal) -> list[KnownFailure]:
    names = (StoreColumns.ID, "uri", "size", "mtime_ns", "attempts", "status")
    return [KnownFailure(**row) for row in journal.failures(names).to_pylist()]
