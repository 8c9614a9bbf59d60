"""The result of an iterative training, for the model card and ``model.json``.

`Refitted` ──Trained.of──▶ validation figures, epochs, steps, metrics of each epoch
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

from audiorec.distribution import version_of

if TYPE_CHECKING:
    from audiorec.learning.fit import Refitted

PACKAGES = ("audiorec", "numpy", "torch")  # torch last
METRICS_FILE = "metrics.jsonl"
CLOCK = ("seconds", "seconds_left")
OF_TIME = ("epoch", "loss", "steps", *CLOCK)  # not validation figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Result of a training; empty for a channel without iterative training.

    Attributes
    ----------
    figures : mapping of str to float
        Validation figures of the best epoch.
    judged_on : str
        Description of the validation part.
    epochs, steps : int
        Length of the training that produced the weights.
    lines : sequence of mapping
        Metrics of each epoch, for ``metrics.jsonl``.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    judged_on: str = ""
    epochs: int = 0
    steps: int = 0
    lines: Sequence[Mapping[str, Any]] = ()

    def __bool__(self) -> bool:
        return bool(self.figures or self.steps)

    @classmethod
    def of(cls, done: "Refitted[Any]", *, judged_on: str) -> "Trained":
        """Build from the result of a finished `audiorec.learning.fit.fit_refit`."""
        best = done.chosen.history[done.chosen.best]
        found = {n: v for n, v in best.items() if n not in OF_TIME and isinstance(v, (int, float))}
        whole = done.refit or done.chosen
        return cls(
            figures=found,
            judged_on=judged_on,
            epochs=done.chosen.best_epoch,
            steps=whole.steps,
            lines=done.history,
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, without `lines`."""
        return {
            "validation": dict(self.figures),
            "judged_on": self.judged_on,
            "epochs": self.epochs,
            "steps": self.steps,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trained":
        """Restore from the result of `to_json`; missing fields stay empty."""
        return cls(
            figures=content.get("validation", {}),
            judged_on=content.get("judged_on", ""),
            epochs=content.get("epochs", 0),
            steps=content.get("steps", 0),
        )

    def files(self) -> dict[str, str]:
        """Return ``metrics.jsonl`` as a bundle file, or nothing if `lines` is empty.

        Times are left out, so that the same training writes the same bytes.
        """
        kept = [{n: v for n, v in line.items() if n not in CLOCK} for line in self.lines]
        lines = "".join(json.dumps(line) + "\n" for line in kept)
        return {METRICS_FILE: lines} if lines else {}

    def words(self) -> str:
        """Return the length of the training as a sentence for the model card."""
        if not self:
            return ""
        return (
            f"{self.epochs} epochs (the best number on the validation part), retrained on all "
            f"data for as many epochs: {self.steps:,} steps."
        )


def versions(trained: Trained) -> dict[str, str]:
    """Return the versions of the packages that made a model; torch only if it was used."""
    found = {}
    for name in PACKAGES if trained else PACKAGES[:-1]:
        with suppress(PackageNotFoundError):  # a model may be saved again without torch
            found[name] = version_of(name)
    return found
