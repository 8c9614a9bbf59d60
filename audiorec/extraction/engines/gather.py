"""What came of many shards: their counts as one report, and which were lost."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from audiorec.errors import StoreError
from audiorec.extraction.engines.task import ShardOutcome
from audiorec.runs.report import RunReport, Stopped


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
    """Count outcomes as they come.

    Parameters
    ----------
    outcomes : iterable of ShardOutcome
    total : int
        Shards of the manifest.
    told : callable, optional
        Called after every shard.

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
