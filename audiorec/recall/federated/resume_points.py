"""Resume points of two parties: the checkpoints that each has, and the latest common one.

    checkpoints of a folder ──stored_points──▶ `ResumePoint`s ──common_point──▶ the latest common

A point is a phase, an epoch and a step. The parties run in lockstep: an item side is at most one
checkpoint ahead of the partner, and each keeps two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering
from pathlib import Path
from typing import Any, Self, get_args

from audiorec.learning.checkpoint import (
    LoadedCheckpoint,
    Saving,
    checkpoint_places,
    fingerprint_at,
    keep_only,
    load_latest,
    previous_path,
)
from audiorec.learning.fit import Phase

RUN_FILES = r"(?:choose|refit)(?:\.before)?\.safetensors|metrics\.jsonl"


def training_phases() -> tuple[Phase, ...]:
    """Return the phases of a training run, in order."""
    return get_args(Phase)


@total_ordering
@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Position of a training run.

    Attributes
    ----------
    phase : {"choose", "refit"}
    epoch : int
        Epochs completed.
    step : int
        Steps completed in the next epoch.
    """

    phase: Phase
    epoch: int
    step: int

    def __str__(self) -> str:
        """Return the position as readable text."""
        whole = " on everything" if self.phase == "refit" else ""
        return f"epoch {self.epoch + 1}{whole}, step {self.step}"

    def __lt__(self, other: "ResumePoint") -> bool:
        """Return whether training reaches this point before the other."""
        return self._key < other._key

    @property
    def _key(self) -> tuple[int, int, int]:
        return training_phases().index(self.phase), self.epoch, self.step

    @property
    def plain(self) -> list[Any]:
        """Plain list, as sent in a message."""
        return [self.phase, self.epoch, self.step]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """Undo `plain`."""
        return cls(*plain)


def stored_points(work: Path, fingerprint: str) -> list[ResumePoint]:
    """Return the points of the valid checkpoints of a training run, the latest first."""
    found = [
        ResumePoint(phase, epoch, step)
        for phase in training_phases()
        for epoch, step in _points_of(phase, work, fingerprint)
    ]
    return sorted(set(found), reverse=True)


def common_point(theirs: Sequence[ResumePoint], ours: Sequence[ResumePoint]) -> ResumePoint | None:
    """Return the latest point common to both sides; None to start from the beginning.

    Examples
    --------
    >>> one, two = ResumePoint("choose", 1, 0), ResumePoint("choose", 1, 200)
    >>> common_point([two, one], [ResumePoint("refit", 0, 0), one]) == one
    True
    """
    return max(set(theirs) & set(ours), default=None)


def point_in_phase(
    phase: Phase, point: ResumePoint | None, work: Path, fingerprint: str
) -> tuple[int, int] | None:
    """Return where one phase resumes if training resumes at a point; None to start the phase.

    A phase before that of the point is finished; its last checkpoint is used.
    """
    if point is None or training_phases().index(phase) > training_phases().index(point.phase):
        return None
    if phase == point.phase:
        return point.epoch, point.step
    return max(_points_of(phase, work, fingerprint), default=None)


def _points_of(phase: Phase, work: Path, fingerprint: str) -> list[tuple[int, int]]:
    path = work / f"{phase}.safetensors"
    # The second phase's fingerprint includes the number of epochs chosen by the first.
    names = {fingerprint_at(one) for one in (path, path.with_name(f"{phase}.before.safetensors"))}
    mine = [name for name in names if name and name.startswith(f"{fingerprint}/{phase}")]
    return [point for name in mine for point in checkpoint_places(path, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockstepSaving(Saving):
    """Save after a number of steps rather than seconds, and keep the last two checkpoints.

    Two, since the other training may be one behind.

    Attributes
    ----------
    every_steps : int
        Steps of an epoch between two checkpoints; one is written after each epoch as well.
    place : (int, int) or None
        Epoch and batch of the checkpoint to resume from; later ones are removed. None: start from
        the beginning.
    """

    every_steps: int
    place: tuple[int, int] | None = None

    def found(self, path: Path, fingerprint: str) -> LoadedCheckpoint | None:
        """Return the checkpoint at `place`."""
        return None if self.place is None else load_latest(path, fingerprint, self.place)

    def begin(self, path: Path) -> None:
        """Remove all checkpoints except the one at `place`."""
        keep_only(path, self.place)

    def is_due(self, steps: int, seconds: float) -> bool:  # noqa: ARG002 - of `Saving`
        """Return whether a multiple of `every_steps` is done."""
        return steps % self.every_steps == 0

    def make_room(self, path: Path) -> None:
        """Keep the last checkpoint beside the new one."""
        if path.exists():
            path.replace(previous_path(path))
