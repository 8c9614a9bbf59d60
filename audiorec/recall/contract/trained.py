"""What a training by steps came to, for a model's card and its ``model.json``.

`Refitted` ──Trained.of──▶ figures of the validation part, epochs, steps, the lines
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiorec.learning.refit import Refitted

PACKAGES = ("audiorec", "numpy", "torch")  # torch last
METRICS_FILE = "metrics.jsonl"
CLOCK = ("seconds", "seconds_left")
OF_TIME = ("epoch", "loss", "steps", *CLOCK)  # no figures of the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a training ended; empty for a channel that is not trained by steps.

    Attributes
    ----------
    figures : mapping of str to float
        Of the validation part, in the epoch that was kept.
    judged_on : str
        What the validation part is.
    epochs, steps : int
        Of the training that made the weights.
    lines : sequence of mapping
        Every line of the training, for ``metrics.jsonl``.
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
        """Take what a finished `audiorec.learning.fit_refit` returned."""
        best = done.chosen.history[done.chosen.best]
        found = {n: v for n, v in best.items() if n not in OF_TIME and isinstance(v, (int, float))}
        whole = done.whole or done.chosen
        return cls(
            figures=found,
            judged_on=judged_on,
            epochs=done.chosen.best_epoch,
            steps=whole.steps,
            lines=done.history,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the lines."""
        return {
            "validation": dict(self.figures),
            "judged_on": self.judged_on,
            "epochs": self.epochs,
            "steps": self.steps,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trained":
        """Undo `to_json`; what is missing is empty."""
        return cls(
            figures=content.get("validation", {}),
            judged_on=content.get("judged_on", ""),
            epochs=content.get("epochs", 0),
            steps=content.get("steps", 0),
        )

    def files(self) -> dict[str, str]:
        """Return ``metrics.jsonl`` as a bundle takes it, if there are lines.

        Without times, so that the same training writes the same bytes.
        """
        kept = [{n: v for n, v in line.items() if n not in CLOCK} for line in self.lines]
        lines = "".join(json.dumps(line) + "\n" for line in kept)
        return {METRICS_FILE: lines} if lines else {}

    def words(self) -> str:
        """Return how long the training was, for a card."""
        if not self:
            return ""
        return (
            f"{self.epochs} epochs, the best number on the validation part, then as many on "
            f"everything: {self.steps:,} steps."
        )


def versions(trained: Trained) -> dict[str, str]:
    """Return the versions of what made a model; torch only of one that was trained by steps."""
    found = {}
    for name in PACKAGES if trained else PACKAGES[:-1]:
        with suppress(PackageNotFoundError):  # a model is written again where torch is not
            found[name] = version(name)
    return found
