"""Resume points of two parties: the checkpoints that each has, and the latest common one.

    checkpoints in a folder ──kept──▶ `Place`s ──common_place──▶ the latest of both sides

A place is a phase, an epoch and a step. The parties run in lockstep: an item side is at most one
checkpoint ahead of the partner, and each keeps two.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import total_ordering
from pathlib import Path
from secrets import randbits
from typing import Any, Self, get_args

from audiorec.errors import StoreError
from audiorec.files.atomic import replaced
from audiorec.files.own_files import read_own
from audiorec.learning.checkpoint import fingerprint_at, kept_places
from audiorec.learning.refit import Phase
from audiorec.recall.federated.secret import BITS

DRAWS_FILE = "secret.json"
RUN_FILES = r"(?:choose|refit)(?:\.before)?\.safetensors|metrics\.jsonl|secret\.json"
OWNER_ALONE = 0o600
MAX_BYTES = 1_024


def starts() -> tuple[Phase, ...]:
    """Return the phases of a training run, in order."""
    return get_args(Phase)


@total_ordering
@dataclass(frozen=True, slots=True)
class Place:
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

    def __lt__(self, other: "Place") -> bool:
        """Return whether training reaches this place before the other."""
        return self._key < other._key

    @property
    def _key(self) -> tuple[int, int, int]:
        return starts().index(self.phase), self.epoch, self.step

    @property
    def plain(self) -> list[Any]:
        """Plain list, as sent in a message."""
        return [self.phase, self.epoch, self.step]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """Undo `plain`."""
        return cls(*plain)


def kept(work: Path, fingerprint: str) -> list[Place]:
    """Return the places of the valid checkpoints of a training run, the latest first."""
    found = [
        Place(phase, epoch, step)
        for phase in starts()
        for epoch, step in _places_of(phase, work, fingerprint)
    ]
    return sorted(set(found), reverse=True)


def common_place(theirs: Sequence[Place], ours: Sequence[Place]) -> Place | None:
    """Return the latest place common to both sides; None to start from the beginning.

    Examples
    --------
    >>> one, two = Place("choose", 1, 0), Place("choose", 1, 200)
    >>> common_place([two, one], [Place("refit", 0, 0), one]) == one
    True
    """
    return max(set(theirs) & set(ours), default=None)


def place_in(
    phase: Phase, place: Place | None, work: Path, fingerprint: str
) -> tuple[int, int] | None:
    """Return where one phase resumes if training resumes at a place; None to start the phase.

    A phase before that of the place is finished; its last checkpoint is used.
    """
    if place is None or starts().index(phase) > starts().index(place.phase):
        return None
    if phase == place.phase:
        return place.epoch, place.step
    return max(_places_of(phase, work, fingerprint), default=None)


def kept_secret(work: Path) -> int:
    """Return the secret of a party's draws; create and store one for a new training run.

    A run that restarts from the beginning after a kill must repeat its draws.
    """
    path = work / DRAWS_FILE
    with suppress(FileNotFoundError):
        try:
            found = json.loads(read_own(path, MAX_BYTES))["secret"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: no valid secret; remove the folder {work}") from error
        if type(found) is not int or not 0 <= found < 1 << BITS:
            raise StoreError(f"{path}: no valid secret; remove the folder {work}")
        return found
    secret = randbits(BITS)
    with replaced(path) as temporary:
        temporary.touch(OWNER_ALONE)
        temporary.write_text(json.dumps({"secret": secret}))
    return secret


def _places_of(phase: Phase, work: Path, fingerprint: str) -> list[tuple[int, int]]:
    path = work / f"{phase}.safetensors"
    # The second phase's fingerprint includes the number of epochs chosen by the first.
    names = {fingerprint_at(one) for one in (path, path.with_name(f"{phase}.before.safetensors"))}
    mine = [name for name in names if name and name.startswith(f"{fingerprint}/{phase}")]
    return [place for name in mine for place in kept_places(path, name)]
