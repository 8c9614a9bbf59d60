"""Shards as an engine sees them: small tasks to send, and outcomes that say it all.

    shard_tasks(manifest, n) ──an engine (`audiorec.engines`)──▶ outcomes ──gather──▶ `ShardsReport`

On one machine they run in threads, each with a disposable child for the songs.
"""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from audiorec.errors import AudiorecError, StoreError
from audiorec.extraction.shards import (
    ShardConfig,
    ShardReport,
    check_shard,
    process_shard,
    read_shard,
)
from audiorec.files.storage import is_uri
from audiorec.runs.report import RunProgress, RunReport, Stopped


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
    """Return a task for each shard of a manifest; paths become absolute."""
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
    told: Callable[[ShardOutcome, ShardsReport], None] | None = None,
) -> ShardsReport:
    """Count outcomes as they come; `told` is called after every shard.

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
        if told is not None:
            told(outcome, report)
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
