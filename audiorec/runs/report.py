"""Report a run: its progress and result, lines of JSON for log collectors, and drift.

    outcomes of songs ──RunReport──▶ result     ──RunLog──▶ lines of JSON
    scores of a song {"genre/jazz": 0.8, ...} ──add──▶ ScoreDistribution ──drifts──▶ [Drift]

Drift says whether scores are distributed as in the last run.
"""

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

EDGES = (
    *(0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
)
BINS = len(EDGES) + 1
LARGE = 0.25  # PSI; by convention, below 0.1 is no change, above 0.25 another population
CHANCE = 0.001  # of a false alarm in any class of a run, if albums are independent
LEAST_SHARE = 0.05  # of the songs of both runs, in a bin
LEAST_INDEPENDENT = 50.0  # effective songs per run; with fewer, runs are not compared


@dataclass(frozen=True, slots=True)
class Drift:
    """Change of one class: its mean scores before and now, PSI, and whether it is drift."""

    name: str
    before: float
    now: float
    psi: float
    is_drift: bool


@dataclass(slots=True)
class ScoreDistribution:
    """Distribution of the scores of a run's songs, by class: 18 bins of their mean scores."""

    songs: int = 0
    squares: int = 0  # sum over albums of the squared number of songs
    sums: dict[str, float] = field(default_factory=dict)  # sum of the songs' scores
    # number of songs in each bin of [0, 1], divided at `EDGES`
    bins: dict[str, list[int]] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def independent(self) -> float:
        """Kish's effective number of songs: how many independent ones would say as much."""
        return self.songs**2 / self.squares if self.squares else 0.0

    def add(self, scores: Mapping[str, float], album: str = "") -> None:
        """Count one song by its score for each class; `album` identifies its album."""
        self.songs += 1
        before = 0
        if album:
            key = hash(album)  # saves the memory of a million names
            before = self._sizes.get(key, 0)
            self._sizes[key] = before + 1
        self.squares += 2 * before + 1
        for name, score in scores.items():
            self.sums[name] = self.sums.get(name, 0.0) + score
            self.bins.setdefault(name, [0] * BINS)[bisect_right(EDGES, score)] += 1

    def merge(self, other: "ScoreDistribution") -> None:
        """Add the songs of another run to this one's."""
        self.songs += other.songs
        self.squares += other.squares
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            mine = self.bins.get(name, [0] * BINS)
            self.bins[name] = [a + b for a, b in zip(mine, other.bins[name], strict=True)]

    def mean(self, name: str) -> float:
        """Return the mean score of a class."""
        return self.sums[name] / self.songs

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        means = {name: round(self.mean(name), 6) for name in sorted(self.sums)}
        bins = dict(sorted(self.bins.items()))
        return {"songs": self.songs, "squares": self.squares, "means": means, "bins": bins}

    @classmethod
    def from_dict(cls, content: Any) -> "ScoreDistribution":
        """Read what `to_dict` returned; None is no song."""
        if content is None:
            return cls()
        songs = content["songs"]
        sums = {name: mean * songs for name, mean in content["means"].items()}
        return cls(
            songs, content["squares"], sums, {n: list(b) for n, b in content["bins"].items()}
        )


def drifts(before: ScoreDistribution, now: ScoreDistribution) -> list[Drift]:
    """Compare two runs class by class, largest PSI first; empty if either has too few songs.

    A class has drifted if its PSI (`stability`) is at least `LARGE` and exceeds what chance
    explains: if both runs are samples of one distribution, PSI is about (1/n + 1/m) times
    chi-squared with one degree of freedom less than there are bins. Since songs of one album are
    alike, n and m are Kish's effective sample sizes: the square of the number of songs, divided by
    the sum of squares of the numbers of songs per album (the number of albums, if all have the same
    size). A song without an album counts as an album. Decision 0045 has the
    false alarm rate and the detection rate.
    """
    if min(before.independent, now.independent) < LEAST_INDEPENDENT:
        return []
    names = sorted(before.bins.keys() & now.bins.keys())
    result = []
    for name in names:
        psi, n_bins = stability(before.bins[name], now.bins[name])
        by_chance = (1 / before.independent + 1 / now.independent) * _chi_squared(
            n_bins - 1, len(names)
        )
        result.append(
            Drift(
                name=name,
                before=before.mean(name),
                now=now.mean(name),
                psi=psi,
                is_drift=psi >= max(LARGE, by_chance),
            )
        )
    return sorted(result, key=lambda one: -one.psi)


def stability(before: Sequence[int], now: Sequence[int]) -> tuple[float, int]:
    """Return the population stability index of two histograms, and the number of bins used.

        PSI = sum over bins of (q - p) ln(q / p)

    where p and q are the shares before and now. Adjacent bins are merged until each holds a
    twentieth of both runs together. Half a song is added to every bin, so that the logarithm of an
    empty one exists.

    Examples
    --------
    >>> psi, n_bins = stability([50, 50], [80, 20])
    >>> f"{psi:.2f}", n_bins
    ('0.41', 2)
    """
    pairs = _joined(before, now)
    totals = [sum(column) + len(pairs) / 2 for column in zip(*pairs, strict=True)]
    shares = [
        [(count + 0.5) / total for count, total in zip(p, totals, strict=True)] for p in pairs
    ]
    return sum((q - p) * math.log(q / p) for p, q in shares), len(pairs)


def _joined(before: Sequence[int], now: Sequence[int]) -> list[tuple[int, int]]:
    """Merge adjacent bins until each holds at least `LEAST_SHARE` of both runs."""
    n, m = sum(before), sum(now)
    pairs: list[tuple[int, int]] = []
    a = b = 0
    for here, there in zip(before, now, strict=True):
        a, b = a + here, b + there
        if (a / n + b / m) / 2 >= LEAST_SHARE:
            pairs.append((a, b))
            a = b = 0
    if pairs and (a or b):  # the rest is merged into the last bin
        pairs[-1] = (pairs[-1][0] + a, pairs[-1][1] + b)
    return pairs


def _chi_squared(freedom: int, classes: int) -> float:
    """Return the critical value of chi-squared at level `CHANCE`, Bonferroni-corrected."""
    if freedom < 1:
        return 0.0
    from scipy.special import chdtri  # takes a tenth of a second, so only if needed

    return float(chdtri(freedom, CHANCE / classes))


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
        stopped = content["stopped"]
        return cls(
            statuses=Counter(content["statuses"]),
            failures=Counter(content["failures"]),
            rows=dict(content["rows"]),
            stopped=None if stopped is None else Stopped(stopped),
            outputs=dict(content["outputs"]),
            scores=ScoreDistribution.from_dict(content.get("scores")),
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

        {"schema": "audiorec/log/1", "event": "run_start", "run_id": ..., "time": ..., ...}
        {"schema": "audiorec/log/1", "event": "song", "song_id": ..., "outcome": "extracted", ...}
        {"schema": "audiorec/log/1", "event": "run_end", "exit_code": 3, "report": {...}}

    Each line is written before the next song is counted; a log is appended to, never rewritten.

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
