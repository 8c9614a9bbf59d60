"""The one loop that trains a model: epochs of steps, a judge after each, the best state kept.

    Learner ──fit──▶ its model in the best state; `Fitted`: the history, and whether it finished

After every epoch the learner judges itself, on what is never learnt from; training ends when
`patience` epochs brought nothing better. With a `checkpoint` a training that was killed goes on
behind its last kept step and ends with the same weights: on a processor bit for bit on one
machine, on a GPU nearly, since its sums come in any order.

What is random belongs to the learner: every draw is seeded by the seed, the epoch and the
number of the step, so that a step can be made again without those before it.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from torch import Tensor, nn, optim

from audiorec.files.atomic import replaced
from audiorec.learning.checkpoint import (
    TrainingState,
    load_checkpoint,
    optimiser_state,
    optimiser_tensors,
    restoring,
    save_checkpoint,
)
from audiorec.types import LineProgress

EVERY_S = 30.0  # seconds between two checkpoints within an epoch
Line = dict[str, Any]


class Learner(Protocol):
    """What is trained, and how it learns."""

    @property
    def model(self) -> nn.Module:
        """All that changes in training."""

    @property
    def optimiser(self) -> optim.Optimizer:
        """Changes the parameters of the model."""

    def start(self) -> Line | None:
        """Return the line of epoch 0, on the model as it is before training; None for none."""

    def batches(self, epoch: int, first: int) -> Iterable[Any]:
        """Yield the batches of an epoch, which counts from 1, from number `first` on."""

    def step(self, batch: Any) -> float:
        """Learn from one batch; return its loss."""

    def judge(self, epoch: int, loss: float, seconds: float) -> Line:
        """Return the line of an epoch that is done: its ``epoch``, its mean loss, and figures."""

    def worth(self, line: Line) -> float:
        """Return how good an epoch was; higher is better."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a training."""

    history: list[Line]  # a line an epoch
    best: int  # place of the best line in it; the first of equals
    finished: bool  # False if it was stopped; the checkpoint goes on from there


def fit(
    learner: Learner,
    *,
    max_epochs: int,
    patience: int,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    tell: LineProgress | None = None,
    stop: Event | None = None,
    every_s: float = EVERY_S,
) -> Fitted:
    """Train a learner's model in place; a finished training leaves it in its best state.

    Parameters
    ----------
    learner : Learner
    max_epochs, patience : int
        Training ends after `patience` epochs without a better line.
    checkpoint : Path, optional
        If one with this `fingerprint` exists, training resumes from it.
    fingerprint : str
        Stands for the data, the model and the recipe.
    tell : callable, optional
        Called with every line, those of a checkpoint included.
    stop : Event, optional
        Once set, training ends after the batch in work.
    every_s : float
        Seconds between two checkpoints within an epoch; one is written after each.

    Raises
    ------
    StoreError
        If the checkpoint is a link, or of another model.
    """
    model = learner.model
    at, best = _resumed(learner, checkpoint, fingerprint)

    def save(state: TrainingState) -> None:
        if checkpoint is not None:
            tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
            tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
            tensors |= optimiser_tensors(learner.optimiser.state_dict())
            save_checkpoint(checkpoint, tensors, state)

    if tell is not None:
        for line in at.history:
            tell(line)
    while not _is_over(learner, at.history, max_epochs, patience):
        epoch = _epochs(at.history) + 1
        started = saved = time.monotonic()
        loss_sum, done = at.loss_sum, at.batch
        model.train()
        for batch in learner.batches(epoch, done):
            if stop is not None and stop.is_set():
                save(replace(at, batch=done, loss_sum=loss_sum))
                return Fitted(at.history, _best(learner, at.history), finished=False)
            loss_sum += learner.step(batch)
            done += 1
            if time.monotonic() - saved >= every_s:
                save(replace(at, batch=done, loss_sum=loss_sum))
                saved = time.monotonic()
        seconds = round(time.monotonic() - started, 3)
        history = [*at.history, learner.judge(epoch, loss_sum / max(1, done), seconds)]
        at = _between_epochs(learner, fingerprint, history)
        if at.best_epoch == len(history) - 1:
            best = _copied(model)
        save(at)
        if tell is not None:
            tell(history[-1])
    model.load_state_dict(best)
    return Fitted(at.history, _best(learner, at.history), finished=True)


def noting(path: Path, tell: LineProgress | None) -> LineProgress:
    """Keep each line of the history in a file, and pass it on."""
    lines: list[str] = []

    def note(line: Line) -> None:
        lines.append(json.dumps(line) + "\n")
        with replaced(path) as temporary:
            temporary.write_text("".join(lines))
        if tell is not None:
            tell(line)

    return note


def _resumed(
    learner: Learner, checkpoint: Path | None, fingerprint: str
) -> tuple[TrainingState, dict[str, Tensor]]:
    """Return where training begins, and the best state so far; the model takes over its own."""
    found = None if checkpoint is None else load_checkpoint(checkpoint, fingerprint)
    if found is None or checkpoint is None:
        first = learner.start()
        history = [] if first is None else [first]
        return _between_epochs(learner, fingerprint, history), _copied(learner.model)
    tensors, at = found
    with restoring(checkpoint):
        # A user model's own state was once called "now".
        now = _below(tensors, "model.") or _below(tensors, "now.")
        learner.model.load_state_dict(now)
        groups = learner.optimiser.state_dict()["param_groups"]
        learner.optimiser.load_state_dict(optimiser_state(tensors, groups))
    return at, _below(tensors, "best.")


def _between_epochs(learner: Learner, fingerprint: str, history: list[Line]) -> TrainingState:
    best = _best(learner, history)
    return TrainingState(
        fingerprint=fingerprint, epoch=len(history), best_epoch=best, history=history
    )


def _best(learner: Learner, history: list[Line]) -> int:
    return max(range(len(history)), key=lambda i: learner.worth(history[i]), default=0)


def _epochs(history: list[Line]) -> int:
    return int(history[-1]["epoch"]) if history else 0


def _is_over(learner: Learner, history: list[Line], max_epochs: int, patience: int) -> bool:
    since_best = len(history) - 1 - _best(learner, history)
    return _epochs(history) >= max_epochs or since_best >= patience


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
