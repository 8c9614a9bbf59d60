"""Choose the number of epochs on a validation part, then train on everything for as many.

    make_learner(part) ──fit, evaluated──▶ best epoch ──▶ make_learner(everything) ──fit──▶ model

The first phase never trains on its validation part, so the choice of the epoch is unbiased; the
second trains on all data and is not evaluated, since nothing is held out. An epoch over everything
has more steps, in proportion to its examples.

Each phase has its own checkpoint in the `work` folder, so an interrupted run resumes in the phase
it was in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Generic, Literal, TypeVar

from torch import nn, optim

from audiorec.learning.checkpoint import EVERY_S, Saving
from audiorec.learning.fit import Fitted, Learner, Line, fit
from audiorec.learning.loggers import Logger
from audiorec.learning.processes import ALONE, Processes
from audiorec.types import LineProgress

Phase = Literal["choose", "refit"]
L = TypeVar("L", bound=Learner)


@dataclass(frozen=True, slots=True)
class Refitted(Generic[L]):
    """Result of training in two phases."""

    learner: L  # of the last phase started; after both, its model is trained on everything
    chosen: Fitted  # the phase with a validation part: its figures are the ones to report
    refit: Fitted | None  # the phase on everything; None if it did not start

    @property
    def finished(self) -> bool:
        """Whether both phases finished; if not, the same call resumes."""
        return self.refit is not None and self.refit.finished

    @property
    def history(self) -> list[Line]:
        """Metrics of the epochs of both phases, each with its ``phase``."""
        later = self.refit.history if self.refit else []
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
    saving: Mapping[Phase, Saving] | None = None,
) -> Refitted[L]:
    """Train in two phases; parameters and errors are those of `fit`, except the following.

    Parameters
    ----------
    make_learner : callable
        ``make_learner("choose")`` returns a new learner without the validation part, which it
        evaluates itself on; ``make_learner("refit")`` one with all data. The second is trained for
        the best number of epochs of the first, 0 if no epoch beat the untrained model, and its
        `evaluate` is not called.
    work : Path, optional
        Folder for ``choose.safetensors`` and ``refit.safetensors``.
    tell : callable, optional
        Called with metrics that also have their ``phase``; ``seconds_left`` of the first phase
        includes an upper bound for the second.
    saving : mapping, optional
        Of each phase.
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
            keep_best=False,  # needed: the first phase's metrics, the second's last state
            saving=None if saving is None else saving[name],
        )

    learner = make_learner("choose")
    chosen = phase("choose", learner, max_epochs, patience, f"{fingerprint}/choose")
    if not chosen.finished:
        return Refitted(learner, chosen, None)
    del learner  # frees its data before the next learner is created
    learner = make_learner("refit")
    epochs = chosen.best_epoch
    # A checkpoint with more epochs than now chosen must not be resumed.
    of = f"{fingerprint}/refit/{epochs}"
    whole = phase("refit", _Unjudged(learner), epochs, max(1, epochs), of)
    return Refitted(learner, chosen, whole)


class _Unjudged:
    """Learner without evaluation; its last state counts as the best."""

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

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        return {"epoch": epoch, "loss": loss, "seconds": seconds}

    def score(self, line: Line) -> float:
        return float(line["epoch"])


class _Tagged:
    """Callback that adds the phase to metrics, and the second phase's time to ``seconds_left``."""

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
