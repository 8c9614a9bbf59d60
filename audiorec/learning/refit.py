"""Choose how long to train on a validation part, then train on everything for that long.

    make_learner(part) ──fit, judged──▶ best epoch ──▶ make_learner(everything) ──fit──▶ model

The first training never sees its validation part, so the epoch is chosen fairly; the second
learns from all data and is not judged, since nothing is left to judge it on. An epoch over
everything has more steps, in proportion to its examples.

Each phase has a checkpoint of its own in the `work` folder, so a training that is killed resumes
in the phase it was in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Generic, Literal, TypeVar

from torch import nn, optim

from audiorec.learning.fit import EVERY_S, Fitted, InStep, Learner, Line, fit
from audiorec.learning.loggers import Logger
from audiorec.learning.processes import ALONE, Processes
from audiorec.types import LineProgress

Phase = Literal["choose", "refit"]
L = TypeVar("L", bound=Learner)


@dataclass(frozen=True, slots=True)
class Refitted(Generic[L]):
    """What came of a training in two phases."""

    learner: L  # of the last phase that began; after both, its model has learnt from everything
    chosen: Fitted  # the training with a validation part: its figures are the ones to report
    whole: Fitted | None  # the training on everything; None if it did not begin

    @property
    def finished(self) -> bool:
        """False if it was stopped; the same call resumes it."""
        return self.whole is not None and self.whole.finished

    @property
    def history(self) -> list[Line]:
        """The lines of both phases, each with its ``phase``."""
        later = self.whole.history if self.whole else []
        return [_of("choose", n) for n in self.chosen.history] + [_of("refit", n) for n in later]


def fit_refit(
    make_learner: Callable[[Phase], L],
    *,
    max_epochs: int,
    patience: int,
    work: Path | None = None,
    fingerprint: str = "",
    tell: LineProgress | None = None,
    loggers: Sequence[Logger] = (),
    stop: Event | None = None,
    every_s: float = EVERY_S,
    clip: float | None = None,
    processes: Processes = ALONE,
    in_step: Mapping[Phase, InStep] | None = None,
) -> Refitted[L]:
    """Train twice; parameters and errors are those of `fit`, but for these.

    Parameters
    ----------
    make_learner : callable
        ``make_learner("choose")`` returns a fresh learner without the validation part, which
        judges itself on that; ``make_learner("refit")`` one with all data. The second is trained
        for the best number of epochs of the first, 0 if nothing beat the start, and its ``judge``
        is not called.
    work : Path, optional
        A folder for ``choose.safetensors`` and ``refit.safetensors``.
    tell : callable, optional
        Lines also have their ``phase``; ``seconds_left`` of the first counts the second, at most.
    in_step : mapping, optional
        For each phase, how it keeps step with a training elsewhere.
    """

    def phase(name: Phase, learner: Learner, epochs: int, patience: int, of: str) -> Fitted:
        return fit(
            learner,
            max_epochs=epochs,
            patience=patience,
            checkpoint=None if work is None else work / f"{name}.safetensors",
            fingerprint=of,
            tell=None if tell is None else _Tagged(name, tell, max_epochs).log,
            loggers=[_Tagged(name, logger.log, max_epochs) for logger in loggers],
            stop=stop,
            every_s=every_s,
            clip=clip,
            processes=processes,
            keep_best=False,  # of the first only its figures count, of the second the last state
            in_step=None if in_step is None else in_step[name],
        )

    learner = make_learner("choose")
    chosen = phase("choose", learner, max_epochs, patience, f"{fingerprint}/choose")
    if not chosen.finished:
        return Refitted(learner, chosen, None)
    del learner  # its data need not be in memory twice
    learner = make_learner("refit")
    epochs = chosen.best_epoch
    # A state that was trained for more epochs than are chosen now is of no use.
    of = f"{fingerprint}/refit/{epochs}"
    whole = phase("refit", _Unjudged(learner), epochs, max(1, epochs), of)
    return Refitted(learner, chosen, whole)


class _Unjudged:
    """A learner of which the last state is the best."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    @property
    def model(self) -> nn.Module:
        return self._learner.model

    @property
    def optimiser(self) -> optim.Optimizer:
        return self._learner.optimiser

    def start(self) -> Line | None:
        return None

    def batches(self, epoch: int, first: int) -> Iterable[Any]:
        return self._learner.batches(epoch, first)

    def step(self, batch: Any) -> float:
        return self._learner.step(batch)

    def judge(self, epoch: int, loss: float, seconds: float) -> Line:
        return {"epoch": epoch, "loss": loss, "seconds": seconds}

    def worth(self, line: Line) -> float:
        return float(line["epoch"])


class _Tagged:
    """Passes lines on with the phase that they are of, and the time that the second takes."""

    def __init__(self, phase: Phase, hear: LineProgress, max_epochs: int) -> None:
        self._phase, self._hear, self._max_epochs = phase, hear, max_epochs
        self._an_epoch = 0.0  # seconds

    def log(self, line: Line) -> None:
        line = _of(self._phase, line)
        epochs_left = self._max_epochs - int(line["epoch"])
        if self._phase == "choose" and "seconds_left" in line:
            if epochs_left > 0:
                self._an_epoch = line["seconds_left"] / epochs_left
            line["seconds_left"] = round(
                line["seconds_left"] + self._an_epoch * self._max_epochs, 1
            )
        self._hear(line)


def _of(phase: Phase, line: Line) -> Line:
    return {"phase": phase, **line}
