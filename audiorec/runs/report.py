"""Progress and result of a run, and the run as lines of JSON for log collectors.

Log a run as lines of JSON, one per event, for log collectors.

    {"schema": "audiorec/log/1", "event": "run_start", "run_id": ..., "time": ..., ...}
    {"schema": "audiorec/log/1", "event": "song", "song_id": ..., "outcome": "extracted", ...}
    {"schema": "audiorec/log/1", "event": "run_end", "exit_code": 3, "report": {...}}

Each line is written before the next song is counted; a log is appended to, never rewritten.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from audiorec.runs.drift import ScoreDistribution

FAILED_NAMED = 10  # failed songs that a report names
# Counts of a `RunReport` that are summed over runs.
_SUMS = ("found", "reused", "copies", "relabelled", "unchanged", "failed_before", "pruned")


class Stopped(StrEnum):
    """Why a run ended before all songs were done."""

    INTERRUPTED = "interrupted"
    MAX_FAILURES = "max_failures"


@dataclass(frozen=True, slots=True)
class SongOutcome:
    """Outcome of one song.

    Attributes
    ----------
    outcome : str
        ``extracted``, ``reused`` (moved or retagged), ``copied`` (the same audio once more) or
        ``failed``.
    status : str
        As in its row of the store or the errors file; empty if reused or copied.
    message : str
        Reason of a failure.
    audio_s, wall_s : float
        Seconds of audio, and elapsed seconds.
    cpu_s : mapping of str to float
        CPU seconds by stage.
    """

    song_id: str
    uri: str
    outcome: str
    status: str = ""
    message: str = ""
    audio_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """Progress of a run, reported after each song.

    Attributes
    ----------
    done, total, failed : int
        Songs.
    audio_s : float
        Seconds of audio extracted so far.
    song_id : str
        The song just finished.
    song : SongOutcome or None
        Its outcome.
    """

    done: int
    total: int
    failed: int
    audio_s: float
    song_id: str
    song: SongOutcome | None = None


@dataclass(slots=True)
class RunReport:
    """Result of a run.

    Attributes
    ----------
    found : int
        Songs in the given paths, plus places there that could not be read.
    statuses, failures : Counter of str
        Songs extracted, by status, and songs that failed, by status.
    failed_songs : list of SongOutcome
        The first `FAILED_NAMED` songs that failed in this run, each with its reason; not part of
        `to_dict`, as the errors file has all of them.
    reused, relabelled : int
        Songs that kept their vector: moved, renamed or retagged files, and the same files
        under other ids.
    copies : int
        Songs with the same audio as another, unmoved file, whose vector they get.
    unchanged, failed_before : int
        Songs that were not opened because they are unchanged, or failed before.
    pruned : int
        Rows dropped because their file is gone.
    unpruned : mapping of str to int
        With prune: rows kept although their file was not found, by folder. The folder cannot
        be read, or is empty, as it would be if a disk were not mounted.
    damaged_records : int
        Unreadable stretches in the records of an unfinished run; their songs were extracted
        again.
    rows : mapping
        Rows of each output file after the commit; empty if the run was stopped.
    audio_s, wall_s : float
        Seconds of audio extracted, and elapsed seconds.
    cpu_s : dict of str to float
        CPU seconds by stage, over all processes: ``load``, ``decode``, ``mel``,
        ``backbone``, ``heads`` and ``read`` of the songs, ``write`` of the output. Songs that
        failed are not included.
    scores : ScoreDistribution
        Scores of the extracted songs.
    extractor_id : str
    stopped : Stopped or None
    outputs : mapping of str to Path
    """

    found: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    failed_songs: list[SongOutcome] = field(default_factory=list)
    reused: int = 0
    copies: int = 0
    relabelled: int = 0
    unchanged: int = 0
    failed_before: int = 0
    pruned: int = 0
    unpruned: Mapping[str, int] = field(default_factory=dict)
    damaged_records: int = 0
    rows: Mapping[Any, int] = field(default_factory=dict)
    audio_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    scores: ScoreDistribution = field(default_factory=ScoreDistribution)
    extractor_id: str = ""
    stopped: Stopped | None = None
    outputs: Mapping[Any, Path | str] = field(default_factory=dict)

    @property
    def extracted(self) -> int:
        """Songs decoded and scored in this run."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Songs that failed in this run."""
        return self.failures.total()

    @property
    def done(self) -> int:
        """Songs that this run opened."""
        return self.extracted + self.failed + self.reused + self.copies

    @property
    def usable(self) -> int:
        """Songs found that now have a vector."""
        return self.extracted + self.reused + self.copies + self.relabelled + self.unchanged

    def count(self, status: str, audio_s: float) -> None:
        """Count one extracted song."""
        self.statuses[str(status)] += 1
        self.audio_s += audio_s

    def fail(self, song: SongOutcome) -> None:
        """Count one song that failed."""
        self.failures[song.status] += 1
        if len(self.failed_songs) < FAILED_NAMED:
            self.failed_songs.append(song)

    def spend(self, cpu_s: Mapping[str, float]) -> None:
        """Add CPU seconds by stage."""
        for stage, seconds in cpu_s.items():
            self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + seconds

    def add(self, other: "RunReport") -> None:
        """Add another run's songs, rows and seconds; the elapsed time becomes the longer one."""
        for name in (*_SUMS, "audio_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statuses.update(other.statuses)
        self.failures.update(other.failures)
        self.spend(other.cpu_s)
        self.scores.merge(other.scores)
        self.rows = Counter(self.rows)
        self.rows.update(other.rows)
        self.wall_s = max(self.wall_s, other.wall_s)
        self.extractor_id = self.extractor_id or other.extractor_id
        self.stopped = self.stopped or other.stopped

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RunReport":
        """Read what `to_dict` wrote."""
        names = (*_SUMS, "audio_s", "wall_s", "cpu_s", "extractor_id")
        content = {"copies": 0, **content}  # older reports do not count copies separately
        stopped, scores = content["stopped"], content.get("scores")
        return cls(
            statuses=Counter(content["statuses"]),
            failures=Counter(content["failures"]),
            rows=dict(content["rows"]),
            stopped=None if stopped is None else Stopped(stopped),
            outputs=dict(content["outputs"]),
            scores=ScoreDistribution() if scores is None else ScoreDistribution.from_dict(scores),
            **{name: content[name] for name in names},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        heard = {"scores": self.scores.to_dict()} if self.scores.songs else {}
        return heard | {
            "found": self.found,
            "extracted": self.extracted,
            "statuses": dict(sorted(self.statuses.items())),
            "reused": self.reused,
            "copies": self.copies,
            "relabelled": self.relabelled,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "failures": dict(sorted(self.failures.items())),
            "failed_before": self.failed_before,
            "pruned": self.pruned,
            "unpruned": dict(self.unpruned),
            "damaged_records": self.damaged_records,
            "rows": {str(kind): count for kind, count in self.rows.items()},
            "audio_s": round(self.audio_s, 3),
            "wall_s": round(self.wall_s, 3),
            "cpu_s": {stage: round(seconds, 3) for stage, seconds in sorted(self.cpu_s.items())},
            "extractor_id": self.extractor_id,
            "stopped": None if self.stopped is None else str(self.stopped),
            "outputs": {str(kind): str(path) for kind, path in self.outputs.items()},
        }


LOG_SCHEMA = "audiorec/log/1"


class RunLog:
    """Writer of the events of one run.

    Parameters
    ----------
    write : callable
        Called with each line, including its newline; returns once the line is in the file.

    Attributes
    ----------
    run_id : str
        On every line, to distinguish runs that share a file.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self.run_id = uuid4().hex[:12]
        self._write = write

    def event(self, event: str, **values: Any) -> None:
        """Write one line; `event` is for example ``run_start``, `values` must fit JSON."""
        line: Mapping[str, Any] = {
            "schema": LOG_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run_id": self.run_id,
            "event": event,
            **values,
        }
        self._write(json.dumps(line, default=str, allow_nan=False) + "\n")

    def song(self, song: SongOutcome, *, done: int, total: int) -> None:
        """Write the line of one finished song."""
        rounded = {
            "audio_s": round(song.audio_s, 3),
            "wall_s": round(song.wall_s, 3),
            "cpu_s": {stage: round(seconds, 4) for stage, seconds in song.cpu_s.items()},
        }
        self.event("song", **asdict(song) | rounded, done=done, total=total)
