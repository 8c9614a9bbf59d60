"""The training loop of all models: epochs, evaluation after each, early stopping, resume, refit.

    Learner ──fit──▶ its model in the best state; `Fitted`: the history, and whether it finished
            ──line──▶ tell           {"epoch": 3, "loss": 0.41, ..., "steps": 900, ...}
    make_learner(part) ──fit_refit──▶ best epoch ──▶ make_learner(everything) ──▶ model

Randomness belongs to the learner: every draw is seeded by the seed, the epoch and the number of the
step (`audiorec.learning.machine`), so a step can be repeated without the ones before it. A
learner's step is plain PyTorch: before the optimiser updates the weights, the loop sums the
gradients of all processes (`audiorec.learning.processes`) and clips them.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn, optim

from audiorec.errors import InputError, StoreError
from audiorec.files.own_files import replaced, write_own
from audiorec.learning.processes import ALONE, Processes
from audiorec.types import LineProgress

METADATA_KEY = "audiorec_training"
FORMAT_VERSION = 1
EVERY_S = 30.0  # seconds between two checkpoints within an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Progress of a training run."""

    fingerprint: str  # of the data and the recipe
    epoch: int = 1  # epoch and batch to train next
    batch: int = 0
    loss_sum: float = 0.0  # over the completed batches of this epoch
    best_epoch: int = 0  # 0 is the untrained model
    # one entry per epoch, as in ``metrics.jsonl``
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0  # in completed epochs


LoadedCheckpoint = tuple[dict[str, Tensor], TrainingState]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], progress: TrainingState) -> None:
    """Write the state of a run to `path` atomically, as one file that cannot run code.

    A safetensors file contains the model, its best state so far and the optimiser's moments; its
    metadata contain the progress of the run as JSON. No generator state is stored: every draw is
    seeded.
    """
    content = {name: getattr(progress, name) for name in progress.__slots__}
    kept = {n: tensor.detach().cpu().contiguous().clone() for n, tensor in tensors.items()}
    content |= {"format_version": FORMAT_VERSION, "sha256": _digest(kept, content)}
    with replaced(path) as temporary, _system_errors():
        save_file(kept, temporary, metadata={METADATA_KEY: json.dumps(content, allow_nan=False)})


def load_checkpoint(path: Path, fingerprint: str) -> LoadedCheckpoint | None:
    """Return the state at `path`; None if it is missing, damaged or of another training run."""
    if not os.path.lexists(path):
        return None
    with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        with safe_open(path, framework="pt") as opened:
            content = json.loads((opened.metadata() or {})[METADATA_KEY])
        version, digest = content.pop("format_version"), content.pop("sha256")
        if version == FORMAT_VERSION and content["fingerprint"] == fingerprint:
            tensors = load_file(path)
            if digest == _digest(tensors, content):
                return tensors, TrainingState(**content)
    return None


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn errors while a checkpoint is restored into a `StoreError` that names the file."""
    try:
        yield
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{path}: not a checkpoint of this training run: {str(error).splitlines()[0]}; "
            "remove its folder to start from the beginning"
        ) from error


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn a safetensors error that quotes one of the system, such as a full disk, into that."""
    try:
        yield
    except SafetensorError as error:
        quoted = re.search(r"\(os error (\d+)\)", str(error))
        if quoted is None:
            raise
        raise OSError(int(quoted[1]), os.strerror(int(quoted[1]))) from error


def _digest(tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """Return a checksum of everything needed to resume."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def optimiser_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Flatten ``optimiser.state_dict()`` into tensors named ``optimiser.<number>.<key>``."""
    return {
        f"optimiser.{number}.{key}": value
        for number, values in state["state"].items()
        for key, value in values.items()
    }


def optimiser_state(tensors: Mapping[str, Tensor], groups: Any) -> dict[str, Any]:
    """Undo `optimiser_tensors`; `groups` are the ``param_groups`` of a fresh optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    return {"state": state, "param_groups": groups}


Line = dict[str, Any]


class Learner(Protocol):
    """Interface of a model in training."""

    @property
    def model(self) -> nn.Module:
        """Module with everything that changes in training."""

    @property
    def optimiser(self) -> optim.Optimizer:
        """Optimiser of the model's parameters."""

    def start(self) -> Line | None:
        """Return the metrics of epoch 0, the untrained model; None to skip them."""

    def batches(self, epoch: int, first: int) -> Iterable[Any]:
        """Yield the batches of an epoch, counted from 1, starting at number `first`."""

    def step(self, batch: Any) -> float:
        """Train on one batch, or on this process's part of it; return its loss."""

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Return the metrics of a completed epoch: ``epoch``, its mean loss, and figures.

        With several processes, called in the first one only.
        """

    def score(self, line: Line) -> float:
        """Return the figure by which epochs are compared; higher is better."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Result of a training run."""

    history: list[Line]  # metrics of each epoch
    best: int  # index of the best entry; the first of equals
    finished: bool  # False if stopped; the checkpoint allows to resume
    steps: int = 0  # optimiser steps, including those before a resume

    @property
    def best_epoch(self) -> int:
        """The best epoch; 0 is the untrained model."""
        return int(self.history[self.best]["epoch"]) if self.history else 0


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
    clip: float | None = None,
    processes: Processes = ALONE,
    keep_best: bool = True,
    before_save: Callable[[TrainingState], None] | None = None,
) -> Fitted:
    """Train a learner's model in place; a finished run leaves it in its best state.

    After every epoch the learner evaluates itself on held-out data; training stops after `patience`
    epochs without improvement. With a `checkpoint`, an interrupted run resumes after the last saved
    step and ends with the same weights: bit for bit on the CPU of one machine, approximately on a
    GPU, whose order of summation varies.

    Parameters
    ----------
    learner : Learner
    max_epochs, patience : int
        Maximum number of epochs, and the number of epochs without improvement before stopping.
    checkpoint : Path, optional
        If one with this `fingerprint` exists, training resumes from it. Several processes read
        the same file, and the first one writes it.
    fingerprint : str
        Identifies the data, the model and the recipe, including `clip`.
    tell : callable, optional
        Called with the metrics of every epoch, including those of a checkpoint. Epochs trained in
        this call also have ``steps``, in total. docs/training.md sends them to MLflow.
    stop : Event, optional
        Once set, training ends after the current batch.
    every_s : float
        Seconds between two checkpoints within an epoch; one is written after each epoch as well.
    clip : float, optional
        Maximum norm of a step's gradient over all parameters.
    processes : Processes
        Processes that train together. Only the first one writes files and reports metrics.
    keep_best : bool
        Keep a copy of the best state. Otherwise the model is left in its last state, which saves
        the memory of a second model.
    before_save : callable, optional
        Called with the progress before a checkpoint of it is written.

    Raises
    ------
    InputError
        If `clip` is not above 0.
    StoreError
        If the checkpoint is a link, is of another model, or differs between processes.
    """
    if clip is not None and not clip > 0:
        raise InputError(f"clip must be above 0, got {clip}")
    ears = [tell] if tell is not None and processes.is_first else []
    path = checkpoint if processes.is_first else None
    training = _Training(learner, path, every_s, before_save, stop, processes, keep_best)
    training.begin(checkpoint, fingerprint)
    for line in training.at.history:
        for hear in ears:
            hear(line)
    with _before_each_step(learner.optimiser, clip, processes):
        while not _is_over(learner, training.at.history, max_epochs, patience):
            if not training.epoch():
                return training.result(finished=False)
            line = {**training.at.history[-1], "steps": training.at.steps}
            for hear in ears:
                hear(line)
    if keep_best:
        learner.model.load_state_dict(training.best)
    return training.result(finished=True)


@dataclass
class _Training:
    """A training run in progress."""

    learner: Learner
    checkpoint: Path | None  # None in processes that do not write
    every_s: float
    before_save: Callable[[TrainingState], None] | None
    stop: Event | None
    processes: Processes
    keep_best: bool
    at: TrainingState = field(init=False)
    best: dict[str, Tensor] = field(init=False)

    def begin(self, checkpoint: Path | None, fingerprint: str) -> None:
        """Restore a checkpoint, or evaluate the untrained model."""
        result = None if checkpoint is None else load_checkpoint(checkpoint, fingerprint)
        place = (-1, 0) if result is None else (result[1].epoch, result[1].batch)
        if not self.processes.agree(*place):
            raise StoreError(
                f"{checkpoint}: the processes found different checkpoints; "
                "give a folder that all of them can read"
            )
        if result is None or checkpoint is None:
            self.processes.spread(self.learner.model)
            first = self.processes.from_first(self.learner.start)
            self.at = _between_epochs(self.learner, fingerprint, [] if first is None else [first])
            self.best = _copied(self.learner.model) if self.keep_best else {}
            return
        tensors, self.at = result
        with restoring(checkpoint):
            # Older checkpoints of user models name the current state "now".
            now = _below(tensors, "model.") or _below(tensors, "now.")
            self.learner.model.load_state_dict(now)
            groups = self.learner.optimiser.state_dict()["param_groups"]
            self.learner.optimiser.load_state_dict(optimiser_state(tensors, groups))
        self.best = _below(tensors, "best.")

    def epoch(self) -> bool:
        """Train one epoch, or the rest of it; return False if stopped."""
        learner, at = self.learner, self.at
        number = _epochs(at.history) + 1
        started = saved = time.monotonic()
        loss_sum, done = at.loss_sum, at.batch
        learner.model.train()
        for batch in learner.batches(number, done):
            if self.stop is not None and self.processes.any(self.stop.is_set()):
                self.at = replace(at, batch=done, loss_sum=loss_sum)
                self.save()
                return False
            loss_sum += self.processes.total(learner.step(batch))
            done += 1
            if time.monotonic() - saved >= self.every_s:
                self.at = replace(at, batch=done, loss_sum=loss_sum)
                self.save()
                saved = time.monotonic()
        seconds = round(time.monotonic() - started, 3)
        loss = loss_sum / max(1, done)
        line = self.processes.from_first(lambda: learner.evaluate(number, loss, seconds))
        history = [*at.history, line or {}]
        self.at = _between_epochs(learner, at.fingerprint, history, at.steps + done)
        if self.keep_best and self.at.best_epoch == len(history) - 1:
            self.best = _copied(learner.model)
        self.save()
        return True

    def result(self, *, finished: bool) -> Fitted:
        steps = self.at.steps + self.at.batch
        return Fitted(self.at.history, _best(self.learner, self.at.history), finished, steps)

    def save(self) -> None:
        if self.checkpoint is not None:
            if self.before_save is not None:
                self.before_save(self.at)
            model = self.learner.model.state_dict()
            tensors = {f"model.{name}": tensor for name, tensor in model.items()}
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
            tensors |= optimiser_tensors(self.learner.optimiser.state_dict())
            save_checkpoint(self.checkpoint, tensors, self.at)


def log_epochs(path: Path, tell: LineProgress | None) -> LineProgress:
    """Return a callback that writes each epoch's metrics to a JSON Lines file, and passes them on.

    The file is replaced atomically on every write.
    """
    lines: list[str] = []

    def note(line: Line) -> None:
        lines.append(json.dumps(line) + "\n")
        write_own(path, "".join(lines))
        if tell is not None:
            tell(line)

    return note


@contextmanager
def _before_each_step(
    optimiser: optim.Optimizer, clip: float | None, processes: Processes
) -> Iterator[None]:
    """Sum the gradients over all processes and clip them before every optimiser step."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]

    def prepare(*_: Any) -> None:
        processes.sum_gradients(parameters)
        if clip is not None:
            clip_gradients(parameters, clip)

    hook = optimiser.register_step_pre_hook(prepare)
    try:
        yield
    finally:
        hook.remove()


def clip_gradients(parameters: Sequence[Tensor], most: float) -> None:
    """Clip gradients, dense and sparse, to a norm of `most` over all parameters."""
    if not any(p.grad is not None and p.grad.is_sparse for p in parameters):
        nn.utils.clip_grad_norm_(parameters, most)
        return
    parts = []
    for p in parameters:
        if p.grad is not None and p.grad.is_sparse:
            p.grad = p.grad.coalesce()
            parts.append(p.grad.values())
        elif p.grad is not None:
            parts.append(p.grad)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in parts]))
    for gradient in parts:
        gradient.mul_((most / (norm + 1e-6)).clamp(max=1.0))  # as torch does


def _between_epochs(
    learner: Learner, fingerprint: str, history: list[Line], steps: int = 0
) -> TrainingState:
    return TrainingState(
        fingerprint=fingerprint,
        epoch=len(history),
        best_epoch=_best(learner, history),
        history=history,
        steps=steps,
    )


def _best(learner: Learner, history: list[Line]) -> int:
    return max(range(len(history)), key=lambda i: learner.score(history[i]), default=0)


def _epochs(history: list[Line]) -> int:
    return int(history[-1]["epoch"]) if history else 0


def _is_over(learner: Learner, history: list[Line], max_epochs: int, patience: int) -> bool:
    since_best = len(history) - 1 - _best(learner, history)
    return _epochs(history) >= max_epochs or since_best >= patience


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


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
    choose: bool = True,
    goes_on: bool = False,
    work: Path | None = None,
    fingerprint: str = "",
    tell: LineProgress | None = None,
    stop: Event | None = None,
    every_s: float = EVERY_S,
    clip: float | None = None,
    processes: Processes = ALONE,
    before_save: Callable[[Phase, TrainingState], None] | None = None,
) -> Refitted[L]:
    """Train in two phases; parameters and errors are those of `fit`, except the following.

    The first phase never trains on its validation part, so the choice of the epoch is unbiased; the
    second trains on all data for as many epochs and is not evaluated, since nothing is held out. An
    epoch over everything has more steps, in proportion to its examples. Each phase has its own
    checkpoint in the `work` folder, so an interrupted run resumes in the phase it was in.

    Parameters
    ----------
    make_learner : callable
        ``make_learner("choose")`` returns a new learner without the validation part, which it
        evaluates itself on; ``make_learner("refit")`` one with all data. The second is trained for
        the best number of epochs of the first, 0 if no epoch beat the untrained model, and its
        `evaluate` is not called.
    choose : bool
        Without it, there is no first phase: everything is trained for `max_epochs`.
    goes_on : bool
        The models begin as trained ones: the first is judged as it begins, on what it has not
        learnt from, and trains no epoch; the second trains for `max_epochs`, and ends with the mean
        of the weights before and after.
    work : Path, optional
        Folder for ``choose.safetensors`` and ``refit.safetensors``.
    tell : callable, optional
        Called with metrics that also have their ``phase``.
    before_save : callable, optional
        Called with the phase and the progress before a checkpoint is written.
    """

    def phase(name: Phase, learner: Learner, epochs: int, patience: int, of: str) -> Fitted:
        def tagged(line: Line) -> None:
            if tell is not None:
                tell(_of(name, line))

        return fit(
            learner,
            max_epochs=epochs,
            patience=patience,
            checkpoint=None if work is None else work / f"{name}.safetensors",
            fingerprint=of,
            tell=tagged,
            stop=stop,
            every_s=every_s,
            clip=clip,
            processes=processes,
            keep_best=False,  # needed: the first phase's metrics, the second's last state
            before_save=None if before_save is None else partial(before_save, name),
        )

    chosen, epochs = Fitted([], 0, finished=True), max_epochs
    if choose and goes_on:
        judged = make_learner("choose")
        line = processes.from_first(lambda: judged.evaluate(0, 0.0, 0.0)) or {}
        chosen = Fitted([{**line, "loss": None}], 0, finished=True)
        if tell is not None:
            tell(chosen.history[0] | {"phase": "choose"})
    elif choose:
        learner = make_learner("choose")
        chosen = phase("choose", learner, max_epochs, patience, f"{fingerprint}/choose")
        if not chosen.finished:
            return Refitted(learner, chosen, None)
        epochs = chosen.best_epoch
        del learner  # frees its data before the next learner is created
    learner = make_learner("refit")
    begun = _copied(learner.model) if goes_on else {}
    # A checkpoint with more epochs than now chosen must not be resumed.
    of = f"{fingerprint}/refit/{epochs}"
    whole = phase("refit", _Unjudged(learner), epochs, max(1, epochs), of)
    if goes_on and whole.finished:
        state = learner.model.state_dict()
        learner.model.load_state_dict({n: (t + begun[n]) / 2 for n, t in state.items()})
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


def _of(phase: Phase, line: Line) -> Line:
    return {"phase": phase, **line}
