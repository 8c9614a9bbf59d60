"""Plan a run: its options, which songs to extract, which rows to drop, and the CPU time.

    sources, known, failed ──plan_run─────▶ Plan(todo, unchanged, relabelled, failed_before)
    the same, at the end   ──rows_to_drop─▶ Dropped(song_ids, healed, kept)
    sources, outputs       ──estimate─────▶ seconds of audio by their headers, CPU seconds

A row is dropped only if its song is known to be gone. A folder without permission, a disk that does
not respond or is not mounted, a path beyond the system's limit: none of these proves it.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from audiorec.audio.tags import header_duration_s
from audiorec.errors import SongError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.reader import song_reader
from audiorec.runs.workers import Limits
from audiorec.store.journal import Outputs
from audiorec.tagger.features import split_input

_ESCAPE = re.compile(rb"\\x([89a-f][0-9a-f])")  # an escaped byte that is not UTF-8, in a uri


class Policy(StrEnum):
    """What to do with an existing output."""

    EXTEND = "extend"  # keep its rows, add new ones
    OVERWRITE = "overwrite"  # start from scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a run; none of them changes a vector."""

    jobs: int = 0  # worker processes, each with one thread; 0 for one per CPU core
    policy: Policy = Policy.EXTEND
    retry_failed: bool = False  # retry songs that failed before, even if unchanged
    prune: bool = False  # drop songs whose file is gone, except below inaccessible places
    # folders that were searched, as absolute paths in printable form. With `prune`, rows below a
    # root without a single song are kept: its disk may not be mounted.
    roots: tuple[str, ...] = ()
    # reuse the vector of a song with the same audio. If False, every song is decoded, and rows do
    # not depend on the songs extracted before.
    by_content: bool = True
    limits: Limits = field(default_factory=Limits)  # time and memory limits per song
    # stop after this many failures; a float is a share of the songs to extract. None stops only if
    # the first fifty songs all fail.
    max_failures: int | float | None = None
    # value of ``extracted_at`` and ``failed_at``; by default the current time for each song
    at: datetime | None = None
    # folder for songs fetched from object stores while in use; by default the system's temporary
    # folder
    scratch: Path | None = None
    # ``package.module:function`` that returns the worker's function, instead of
    # `audiorec.extraction.pipeline.song_handler`, with the same arguments
    handler: str | None = None
    # backbone outputs in a features file, if one is written; None for the ``feature_outputs`` of
    # the run's networks
    feature_outputs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class KnownSong:
    """A song that already has a vector."""

    song_id: str
    uri: str
    size: int
    mtime_ns: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A file that failed when it was last tried."""

    song_id: str
    uri: str
    size: int
    mtime_ns: int
    attempts: int
    status: str


@dataclass(slots=True)
class Plan:
    """Work of a run, with each song in exactly one of the lists.

    Attributes
    ----------
    todo : list of Source
        Songs to open: new, changed, moved, retagged or to be retried; and inaccessible places.
    unchanged : list of Source
        Songs to skip.
    relabelled : list of (Source, KnownSong)
        The same file under another id: its row is copied without opening the file.
    failed_before : list of Source
        Songs that failed earlier and have not changed since.
    """

    todo: list[Source] = field(default_factory=list)
    unchanged: list[Source] = field(default_factory=list)
    relabelled: list[tuple[Source, KnownSong]] = field(default_factory=list)
    failed_before: list[Source] = field(default_factory=list)


def plan_run(
    sources: Iterable[Source],
    known: Iterable[KnownSong] = (),
    failed: Iterable[KnownFailure] = (),
    *,
    retry_failed: bool = False,
) -> Plan:
    """Compare the sources with the rows of the outputs and of an interrupted run.

    With `retry_failed`, failed songs are retried even if unchanged.

    A file counts as unchanged if its path, size and modification time are the same. Everything else
    is opened, and its content hash decides: a song that was moved, renamed or retagged is
    recognised by its audio and keeps its vector. An inaccessible place has no size or time to
    compare, so it is tried again in every run.
    """
    by_place = {(k.uri, k.size, k.mtime_ns): k for k in known}
    failures = {(f.uri, f.size, f.mtime_ns) for f in failed}
    plan = Plan()
    for source in sources:
        place = (source.uri, source.size, source.mtime_ns)
        match = by_place.get(place)
        if source.problem:
            plan.todo.append(source)
        elif match is not None and match.song_id == source.song_id:
            plan.unchanged.append(source)
        elif match is not None:
            plan.relabelled.append((source, match))
        elif place in failures and not retry_failed:
            plan.failed_before.append(source)
        else:
            plan.todo.append(source)
    return plan


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows to drop at the end of a run.

    `healed` is the subset that are folders which could not be listed before and can be now. `kept`
    counts the rows that are kept although their file was not found, by the folder that explains
    it: one that is inaccessible, or empty as if its disk were not mounted.
    """

    song_ids: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    kept: Counter[str] = field(default_factory=Counter)


def rows_to_drop(
    sources: Sequence[Source],
    songs: Sequence[KnownSong],
    failures: Sequence[KnownFailure],
    *,
    moved: Collection[str] = (),
    prune: bool = False,
    roots: Iterable[str] = (),
) -> Dropped:
    """Find the rows of files that have another id now, have moved or, with `prune`, are gone.

    `moved` has the content hashes of songs found at a new place; `roots` the folders that were
    searched, as uris. Below a root without a single song nothing counts as gone: its disk may not
    be mounted.
    """
    ids = {source.song_id for source in sources}
    places = {source.uri for source in sources}
    rows = [(k.song_id, k.uri) for k in songs] + [(f.song_id, f.uri) for f in failures]
    dropped = Dropped({name for name, uri in rows if uri in places} - ids)
    dropped.song_ids.update(
        k.song_id
        for k in songs
        if k.content_hash in moved and k.song_id not in ids and known_to_exist(k.uri) is False
    )
    dropped.healed.update(
        f.song_id
        for f in failures
        if f.song_id.endswith("/") and f.song_id not in ids and _can_be_listed(f.uri)
    )
    dropped.song_ids.update(dropped.healed)
    if prune:
        done = ids | dropped.song_ids
        unseen = [source.uri for source in sources if source.problem]
        seen = [source.uri for source in sources if not source.problem]
        unseen += [root for root in roots if not any(_is_below(uri, root) for uri in seen)]
        _prune(dropped, [row for row in rows if row[0] not in done], unseen)
    return dropped


def _prune(dropped: Dropped, rows: Sequence[tuple[str, str]], unseen: Sequence[str]) -> None:
    """Drop rows of files that are gone, and count those where that is uncertain."""
    hiding_place = _hiding_place(unseen)
    for name, uri in rows:
        there, folder = known_to_exist(uri), Path(uri).parent
        if there or "://" in uri:
            continue
        place = str(folder) if there is None else hiding_place(folder)
        if place is None:
            dropped.song_ids.add(name)
        else:
            dropped.kept[place] += 1


def failures_to_report(
    unseen: Sequence[Source], with_vector: Collection[str], *, prune: bool = False
) -> list[Source]:
    """Choose the ids under which inaccessible places are reported as failures.

    A failure replaces the song's vector. So an inaccessible song that has a vector keeps it, and
    its folder is reported instead, once for all of its songs; except, with `prune`, if the song is
    gone.
    """
    hiding_place = _hiding_place([])
    reported: list[Source] = []
    by_folder: dict[Path, list[Source]] = {}
    for source in unseen:
        folder = Path(source.uri).parent
        pruned = prune and known_to_exist(source.uri) is False and hiding_place(folder) is None
        if source.song_id in with_vector and not pruned:
            by_folder.setdefault(folder, []).append(source)
        else:
            reported.append(source)
    for folder, songs in by_folder.items():
        more = f" and {len(songs) - 1} more" if len(songs) > 1 else ""
        problem = f"{Path(songs[0].uri).name}{more}: {songs[0].problem}; vectors are kept"
        name = f"{folder.as_posix().rstrip('/')}/"
        reported.append(Source(name, str(folder), str(folder), -1, -1, problem))
    return reported


def known_to_exist(uri: str) -> bool | None:
    """Return whether a file or link exists; None if that cannot be determined."""
    if "://" in uri:
        return None
    for path in _spellings(uri):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # a null byte: cannot exist
            continue
        except OSError:
            return None
        return True
    return None if "\\x" in uri else False  # an escaped name is ambiguous


def _spellings(uri: str) -> set[bytes]:
    """Return the paths that a uri may denote: as written, and with its escapes decoded."""
    name = os.fsencode(uri)
    return {name, _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), name)}


def _can_be_listed(uri: str) -> bool:
    for path in _spellings(uri):
        try:
            with os.scandir(path):
                return True
        except (OSError, ValueError):
            continue
    return False


def _is_below(uri: str, place: str) -> bool:
    return uri == place or uri.startswith(place.rstrip(os.sep) + os.sep)


def _hiding_place(unseen: Sequence[str]) -> Callable[[Path], str | None]:
    """Return a function from a folder to the place that may hide its songs, or None."""

    @cache
    def hiding_place(folder: Path) -> str | None:
        for place in unseen:
            if _is_below(str(folder), place):
                return place
        while True:
            try:
                with os.scandir(folder) as entries:
                    return str(folder) if next(entries, None) is None else None
            except (NotADirectoryError, ValueError):
                return None
            except FileNotFoundError:
                if folder == folder.parent:
                    return str(folder)
                folder = folder.parent
            except OSError:
                return str(folder)

    return hiding_place


# CPU seconds per second of audio; benchmarks/speed/bench_pipeline.py measures them.
READING = 0.0012  # decoding an MP3 and its spectrogram
NETWORK = {"msd": 0.0008}
OTHER_NETWORK = 0.003  # an added network without measurements
START_S = 0.6  # CPU seconds to start the run, and to start each worker
FORMATS = 3  # formats that are measured
HEADERS = 1_000  # headers that are read


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a run: seconds of audio by the headers, CPU seconds, and their basis."""

    audio_s: float
    cpu_s: float
    basis: str  # ``measured`` or ``typical``


def estimate(
    sources: Sequence[Source],
    outputs: Outputs,
    config: ExtractorConfig,
    *,
    jobs: int,
    limits: Limits | None = None,
) -> Estimate:
    """Estimate the cost of extracting `sources` with `jobs` workers.

    The cost of a second of audio is measured on up to three of the songs: one of each of the
    commonest formats.
    """
    lengths = _lengths(sources)
    audio_s = sum(lengths.values())
    extractor = Extractor(config)
    kept = extractor.networks.feature_outputs if outputs.features is not None else ()
    networks = set(extractor.heads.backbones) | {split_input(n)[0] for n in kept}
    start_s = START_S * (1 + min(jobs, len(sources))) if sources else 0.0
    typical = READING + sum(NETWORK.get(name, OTHER_NETWORK) for name in networks)
    costs = _measured(sources, lengths, config, kept, limits) if audio_s else {}
    usual = sum(costs.values()) / len(costs) if costs else typical
    seconds = [lengths[s.path] * costs.get(_format(s), usual) for s in sources]
    return Estimate(audio_s, start_s + sum(seconds), "measured" if costs else "typical")


def _lengths(sources: Sequence[Source]) -> dict[str, float]:
    """Return the seconds of audio of each path: by its header, or by its size if they are many.

    A header takes a millisecond, or many on a network share. Beyond `HEADERS` songs, spread evenly,
    a song has as many seconds per byte as those of its format together.
    """
    step = max(1, len(sources) / HEADERS)
    read = [sources[int(place * step)] for place in range(min(HEADERS, len(sources)))]
    lengths = {source.path: header_duration_s(source.path) or 0.0 for source in read}
    seconds: dict[str, float] = defaultdict(float)
    sizes: dict[str, int] = defaultdict(int)
    for source in read:
        seconds[_format(source)] += lengths[source.path]
        sizes[_format(source)] += max(source.size, 0)
    for source in sources:
        rate = seconds[_format(source)] / max(sizes[_format(source)], 1)
        lengths.setdefault(source.path, max(source.size, 0) * rate)
    return lengths


def _measured(
    sources: Sequence[Source],
    lengths: Mapping[str, float],
    config: ExtractorConfig,
    outputs: tuple[str, ...],
    limits: Limits | None,
) -> dict[str, float]:
    """Extract a song of median length in each of the commonest formats; return costs by format."""
    by_format: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if lengths[source.path]:
            by_format[_format(source)].append(source)
    usual = sorted(by_format.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:FORMATS]
    costs = {}
    with song_reader(config, outputs, limits=limits) as reader:
        for name, songs in usual:
            songs.sort(key=lambda source: lengths[source.path])
            with suppress(SongError):
                song = reader.read(songs[len(songs) // 2].path)
                spent = sum(s for stage, s in song.cpu_s.items() if stage != "load")
                costs[name] = spent / song.info.duration_s
    return costs


def _format(source: Source) -> str:
    return Path(source.path).suffix.lower()
