"""Checkpoints of a training in lockstep with another: both can resume from a common place."""

from dataclasses import dataclass
from pathlib import Path

from audiorec.learning.checkpoint import (
    LoadedCheckpoint,
    Saving,
    keep_only,
    load_latest,
    previous_path,
)


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
