"""Training of two towers: in one process, or split over two parties; the same numbers, bit for bit.

    partner: `TowersLearner` over a `UserHalf` and ──┬── `ItemHalf`: in one process
             `audiorec.learning.fit.fit_refit`       └── `RemoteItems` ──link──▶ `ItemHost`: music

The partner's training loop drives both sides. Before it writes a checkpoint, the music side writes
its own of the same place, and keeps the one before, so whoever dies, both have a common place: the
partner's last one. The loop begins every epoch by naming the place that it goes on from.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Protocol, get_args

import numpy as np
import torch
from torch import nn

from audiorec.errors import PeerError, ProtocolError
from audiorec.learning.checkpoint import (
    EVERY_S,
    LoadedCheckpoint,
    TrainingState,
    load_checkpoint,
    optimiser_state,
    optimiser_tensors,
    restoring,
    save_checkpoint,
)
from audiorec.learning.fit import Line, Phase, Refitted, fit_refit
from audiorec.learning.machine import one_thread
from audiorec.recall.contract.channel import Trained
from audiorec.recall.federated.exchange import Shared, Table, VectorsHost, send_table
from audiorec.recall.federated.halves import ItemHalf, ItemSide, UserHalf, UserSide, adam
from audiorec.recall.federated.link import (
    NOTED,
    Caller,
    OutOfTurnError,
    PartyRun,
    Reply,
    keep_trying,
)
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.protocol import Message, MessageKind, pack
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.towers import JointStep, Place, steps_in, steps_of
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, LineProgress

LATEST, BEFORE = "latest.safetensors", "before.safetensors"
RUN_FILES = r"(?:choose|refit|latest|before)\.safetensors"
RELEASES = 3  # answers to one step: each has other noise, and their mean has less
Seed = Callable[[Phase], int | None]


class Items(Protocol):
    """The item half of a training: an `ItemHalf`, or `RemoteItems`."""

    loss: float

    def begin(self, epoch: int, step: int) -> None:
        """Go to a place of the phase."""

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Train on vectors; return their gradients."""

    def figures(self, vectors: FloatArray) -> Line:
        """Rank all songs for the validation rows."""


class TowersLearner:
    """Both halves as one `audiorec.learning.fit.Learner`; the item half may be remote."""

    def __init__(self, user: UserHalf, item: Items) -> None:
        self.user, self.item, self.recipe = user, item, user.recipe
        self.model: nn.Module = user.model
        if isinstance(item, ItemHalf):
            self.model = nn.ModuleDict({"user": user.model, "item": item.model})
            # One for both, so that a checkpoint has all moments; a half's step moves its own.
            user.optimiser = item.optimiser = adam(self.model, recipe=self.recipe)
        self.optimiser = user.optimiser

    def start(self) -> Line | None:
        """Return None: the untrained model is not evaluated."""
        return None

    def batches(self, epoch: int, first: int) -> Iterator[JointStep]:
        """Yield the steps of an epoch."""
        self.item.begin(epoch, first)
        yield from steps_of(self.user.rows, self.recipe, epoch, first)

    def step(self, batch: JointStep) -> float:
        """Let vectors and gradients cross once; return the item half's loss, 0 if it is remote."""
        self.user.learn(batch, self.item.gradient(batch, self.user.vectors(batch)))
        return self.item.loss

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Return validation metrics."""
        known = {"loss": loss} if isinstance(self.item, ItemHalf) else {}
        line: Line = {"epoch": epoch, **known, "seconds": seconds}
        return {**line, **self.item.figures(self.user.validation()), **self.user.figures()}

    def score(self, line: Line) -> float:
        """Return the NDCG over all ranks."""
        return float(line["ndcg"])


@contextmanager
def reproducible() -> Iterator[None]:
    """Let torch sum in one order, and keep its random numbers from others."""
    with one_thread("training towers"), torch.random.fork_rng(devices=[]):
        yield


def fit_towers(
    learner: Callable[[Phase], TowersLearner], recipe: TwoTowerRecipe, **run: Any
) -> Refitted[TowersLearner]:
    """Choose the number of epochs on the validation rows, then train on all rows for as many."""
    with reproducible():
        return fit_refit(learner, max_epochs=recipe.max_epochs, patience=recipe.patience, **run)


def train_here(
    users: UserSide,
    items: ItemSide,
    recipe: TwoTowerRecipe,
    *,
    defence: Defence = NOTHING,
    secret: int = 0,
    watch: Callable[[TowersLearner, Phase], None] | None = None,
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
) -> Refitted[TowersLearner]:
    """Train both halves, of the same aligned rows, in one process; the rest is as for `fit_refit`.

    The defence is that of the numbers that two parties would exchange, the secret that of both
    halves. `watch` is called with the learner of each phase, before it trains.
    """

    def learner(phase: Phase) -> TowersLearner:
        how: Any = {"defence": defence, "secret": secret}
        half = ItemHalf(items, recipe, phase, **how)
        made = TowersLearner(UserHalf(users, recipe, phase, **how), half)
        if watch is not None:
            watch(made, phase)
        return made

    data = _digest(users, items)
    about = {"recipe": recipe.fingerprint, "data": data, "defence": defence.to_json()}
    name = fingerprint({**about, "secret": secret})
    return fit_towers(learner, recipe, work=work, fingerprint=name, tell=progress, stop=stop)


class RemoteItems:
    """The music side's half, seen from the partner: every call is a message."""

    loss = 0.0  # is not told

    def __init__(self, caller: Caller, phase: Phase, how: PartyRun) -> None:
        self._caller, self._phase, self._how = caller, phase, how

    def begin(self, epoch: int, step: int) -> None:
        """Tell the music side where training goes on."""
        self._caller.ask(MessageKind.BEGIN, Place(self._phase, epoch, step)._asdict())

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Send the vectors of a step; return the gradients that come back."""
        dtype = self._how.defence.rounding
        shape, payload = pack(vectors, dtype)
        at = Place(self._phase, step.epoch, step.number)._asdict()
        fields = {**at, **shape, "dtype": dtype}
        expect = MessageKind.GRADIENTS
        return self._caller.ask(MessageKind.VECTORS, fields, payload, expect=expect).array()

    def figures(self, vectors: FloatArray) -> Line:
        """Send the vectors of the validation rows; return the figures that come back."""
        dtype, last = self._how.defence.rounding, MessageKind.FIGURES
        return dict(send_table(self._caller, vectors, dtype, self._how, last=last)["figures"])


def train_partner(
    connect: Callable[[], Caller],
    side: UserSide,
    shared: Shared[TwoTowerRecipe],
    how: PartyRun,
    *,
    work: Path,
    seed: Seed,
    conclude: Callable[[Caller, Refitted[TowersLearner]], None],
    every_s: float = EVERY_S,
) -> Refitted[TowersLearner] | None:
    """Train with the music side; None if stopped: the same call resumes.

    `connect` returns a caller without a session. `work` is the folder of the checkpoints, with
    `every_s` seconds between two within an epoch; `seed` returns the secret of the party's own
    draws in a phase, None for a random one. `conclude` is called with the caller and the result:
    it sends the vectors and writes the model.

    Raises
    ------
    LostPeerError
        If the music side is unreachable for longer than `PartyRun.wait_s`.
    PeerError
        If it violates the protocol or has other settings.
    """
    recipe = shared.recipe

    def talk(caller: Caller) -> Refitted[TowersLearner] | None:
        shared.greet(caller)

        def learner(phase: Phase) -> TowersLearner:
            half = UserHalf(side, recipe, phase, defence=how.defence, secret=seed(phase))
            return TowersLearner(half, RemoteItems(caller, phase, how))

        def checkpoint(phase: Phase, at: TrainingState) -> None:
            caller.ask(MessageKind.SAVE, Place(phase, at.epoch + 1, at.batch)._asdict())

        run: Any = {"work": work, "tell": how.tell, "stop": how.stop, "before_save": checkpoint}
        fitted = fit_towers(learner, recipe, fingerprint=shared.run, every_s=every_s, **run)
        if not fitted.finished:
            return None
        end = Place("refit", fitted.chosen.best_epoch + 1, 0)
        caller.ask(MessageKind.BEGIN, end._asdict())
        conclude(caller, fitted)
        return fitted

    return keep_trying(connect, talk, how)


class ItemHost(VectorsHost[TwoTowerRecipe]):
    """The music side of a training: a `Host` that the partner's training loop drives.

    `work` and `seed` are as for `train_partner`.

    Attributes
    ----------
    half : ItemHalf or None
        Of the phase that was begun last.
    history : list of dict
        Figures of each epoch.
    """

    def __init__(
        self,
        side: ItemSide,
        shared: Shared[TwoTowerRecipe],
        how: PartyRun,
        save: Callable[[FloatArray, str], None],
        *,
        work: Path,
        seed: Seed,
    ) -> None:
        super().__init__(shared, how, save)
        self.side, self._work, self._seed = side, work, seed
        self.half: ItemHalf | None = None
        self.history: list[Line] = []
        self._at: Place | None = None
        self._answered: Counter[Place] = Counter()

    @property
    def trained(self) -> Trained:
        """The result for the model card: figures of the best epoch."""
        best = max(self.history, key=lambda line: float(line["ndcg"]))
        figures = {name: value for name, value in best.items() if name != "epoch"}
        epochs, recipe = int(best["epoch"]), self.shared.recipe
        steps = epochs * steps_in(self.shared.users, recipe)
        return Trained(figures=figures, epochs=epochs, steps=steps, lines=self.history)

    def answer(self, message: Message) -> Reply:
        """Answer a question; see `Host`."""
        if message.kind in (MessageKind.BEGIN, MessageKind.SAVE):
            place = Place(message["phase"], message["epoch"], message["step"])
            return self._begin(place) if message.kind == MessageKind.BEGIN else self._save(place)
        if self.half is None or self._at is None:
            raise OutOfTurnError("expected begin now")
        if message.kind == MessageKind.VECTORS:
            return self._step(message, self.half, self._at)
        if self._at.phase == "choose":
            return self._judge(message, self.half, self._at)
        return super().answer(message)

    def _begin(self, place: Place) -> Reply:
        """Go on where training is, at the start of a phase, or at a checkpoint."""
        if place.epoch > self.shared.recipe.max_epochs + 1:
            raise OutOfTurnError("no epoch is left")
        if not self._is_here(place):
            is_start = place[1:] == (1, 0)
            if is_start:
                self._start(place.phase)
            else:
                self._load(place)
            if not is_start or place.phase == "choose":
                self.how.note("training starts" if is_start else f"training resumes from {place}")
        assert self.half is not None  # noqa: S101 - as started or loaded
        self._at, self._arrived = place, None
        self._table = self._new_table()
        self._steps = steps_of(self.half.rows, self.shared.recipe, place.epoch, place.step)
        return NOTED

    def _step(self, message: Message, half: ItemHalf, at: Place) -> Reply:
        """Train on the vectors of the next step; answer with the gradients."""
        if Place(message["phase"], message["epoch"], message["step"]) != at:
            raise OutOfTurnError(f"expected {at} now")
        if at.step == self._length(half):
            raise OutOfTurnError("expected a table now")
        step = next(self._steps)
        vectors = message.array()
        if vectors.shape != (len(step.rows), self.shared.recipe.dimension):
            raise ProtocolError(str(message), f"{len(step.rows)} vectors", str(vectors.shape))
        self._count(at)
        shape, payload = pack(half.gradient(step, vectors))
        self._at = at._replace(step=at.step + 1)
        return MessageKind.GRADIENTS, {**at._asdict(), **shape}, payload

    def _count(self, at: Place) -> None:
        """Count a release of a step's gradients; refuse one too many of those with noise."""
        self._answered[at] += 1
        if self.how.defence.noise and self._answered[at] > RELEASES:
            raise PeerError(
                f"{at} was answered {RELEASES} times, each time with other noise, which the mean "
                "of the answers has less of; the connection breaks too often"
            )

    def _judge(self, message: Message, half: ItemHalf, at: Place) -> Reply:
        """Take a part of the vectors of the validation rows; answer the last with figures."""
        if message.kind != MessageKind.TABLE or at.step != self._length(half):
            raise OutOfTurnError("expected vectors now")
        if not self._table.add(message):
            return NOTED
        figures = half.figures(self._table.vectors)
        self._table = self._new_table()
        self.history = [line for line in self.history if line["epoch"] < at.epoch]
        self.history.append({"epoch": at.epoch, **figures})
        if self.how.tell is not None:
            self.how.tell({"phase": at.phase, **self.history[-1]})
        return MessageKind.FIGURES, {"figures": figures}, b""

    def _save(self, place: Place) -> Reply:
        """Write a checkpoint, and keep the one before."""
        half, latest = self.half, self._work / LATEST
        if half is None or not self._is_here(place):
            raise OutOfTurnError(f"training is at {self._at}")
        if latest.exists():
            latest.replace(self._work / BEFORE)
        tensors = {f"model.{name}": tensor for name, tensor in half.model.state_dict().items()}
        tensors |= optimiser_tensors(half.optimiser.state_dict())
        about: Any = {"fingerprint": f"{self.shared.run}/{place.phase}", "history": self.history}
        save_checkpoint(
            latest, tensors, TrainingState(epoch=place.epoch, batch=place.step, **about)
        )
        return NOTED

    def _load(self, place: Place) -> None:
        """Read the checkpoint of a place, which from now on is the latest."""
        path, (tensors, state) = self._found(place)
        half = self._fresh(place.phase)
        with restoring(path):
            own = {n.removeprefix("model."): t for n, t in tensors.items() if n[:6] == "model."}
            half.model.load_state_dict(own)
            groups = half.optimiser.state_dict()["param_groups"]
            half.optimiser.load_state_dict(optimiser_state(tensors, groups))
        path.replace(self._work / LATEST)
        self.half, self.history = half, state.history

    def _found(self, place: Place) -> tuple[Path, LoadedCheckpoint]:
        for path, phase, found in self._stored():
            if (phase, found[1].epoch, found[1].batch) == place:
                return path, found
        raise PeerError(
            f"the music side has no checkpoint of {place}; remove model.run on both sides to start "
            "from the beginning"
        )

    def _start(self, phase: Phase) -> None:
        """Start a phase; the second one keeps the figures of the first, from a file if need be."""
        if phase == "choose":
            self.history = []
        elif not self.history:
            self.history = next((found[1].history for _, _, found in self._stored()), [])
        self.half = self._fresh(phase)

    def _stored(self) -> Iterator[tuple[Path, Phase, LoadedCheckpoint]]:
        """Yield the checkpoints of this training, the latest first."""
        for path in (self._work / LATEST, self._work / BEFORE):
            for phase in get_args(Phase):
                found = load_checkpoint(path, f"{self.shared.run}/{phase}")
                if found is not None:
                    yield path, phase, found

    def _fresh(self, phase: Phase) -> ItemHalf:
        how, recipe = self.how, self.shared.recipe
        return ItemHalf(self.side, recipe, phase, defence=how.defence, secret=self._seed(phase))

    def _is_here(self, place: Place) -> bool:
        """Whether training is at a place, or at the end of the epoch before it."""
        at = self._at
        if at is None or self.half is None:
            return False
        is_over = at.step == self._length(self.half)
        return place == at or (is_over and place == (at.phase, at.epoch + 1, 0))

    def _length(self, half: ItemHalf) -> int:
        return steps_in(len(half.rows), self.shared.recipe)

    def _new_table(self) -> Table:
        if self.half is None or self._at is None or self._at.phase == "refit":
            return super()._new_table()
        return Table(len(self.half.judged), self.shared.recipe.dimension)


def _digest(users: UserSide, items: ItemSide) -> str:
    """Return a digest of the training data; checkpoints of other data are not resumed."""
    found = hashlib.sha256()
    bags = [items.plays, *users.features.bags.values()]
    arrays: list[Any] = [items.features.codes, items.features.dense, users.features.dense]
    for array in (*arrays, *(part for bag in bags for part in (bag.starts, bag.code))):
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
