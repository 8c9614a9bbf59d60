"""Training of two towers: in one process, or split over two parties; the same steps, bit for bit.

    partner: `TowersLearner` over a `UserHalf` and ──┬── `ItemHalf`: in one process
             `audiorec.learning.fit`                 └── `RemoteItems` ──link──▶ `ItemHost`: music

In one process the number of epochs is chosen on validation users, before a training on everybody.
Two parties train once, without them and for all epochs, so that gradients cross once; the music
side judges the model by these users at the end, at home.

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
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import nn

from audiorec.errors import InputError, PeerError, ProtocolError
from audiorec.learning.fit import (
    EVERY_S,
    Fitted,
    Line,
    Phase,
    Refitted,
    TrainingState,
    fit,
    fit_refit,
    load_checkpoint,
    optimiser_state,
    optimiser_tensors,
    restoring,
    save_checkpoint,
)
from audiorec.learning.machine import one_thread
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, LineProgress
from audiorec_federated.exchange import Shared, VectorsHost
from audiorec_federated.halves import ItemHalf, ItemSide, UserHalf, UserSide, adam
from audiorec_federated.link import (
    NOTED,
    Caller,
    OutOfTurnError,
    PartyRun,
    Reply,
    keep_trying,
)
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.protocol import Message, MessageKind, pack
from audiorec_federated.recipe import TwoTowerRecipe
from audiorec_federated.towers import JointStep, Place, steps_in, steps_of

LATEST, BEFORE = "latest.safetensors", "before.safetensors"
RUN_FILES = r"(?:latest|before)\.safetensors"
RELEASES = 3  # answers to one step: each has other noise, and their mean has less


class TowersLearner:
    """Both halves as one `audiorec.learning.fit.Learner`; the item half may be remote."""

    def __init__(self, user: UserHalf, item: "ItemHalf | RemoteItems") -> None:
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
        """Return validation metrics; without a loss and a rank if the item half is remote.

        Of two parties each tells how far they are and its own time, and no more.
        """
        if isinstance(self.item, ItemHalf):
            line: Line = {"epoch": epoch, "loss": loss, "seconds": seconds}
            line |= self.item.figures(self.user.embed(self.user.judged))
        else:
            line = joint_line(epoch, self.recipe, seconds)
        return {**line, **self.user.figures()}

    def score(self, line: Line) -> float:
        """Return the NDCG over all ranks."""
        return float(line.get("ndcg", 0.0))


def joint_line(epoch: int, recipe: TwoTowerRecipe, seconds: float) -> Line:
    """Return what either of two parties may tell of an epoch; `fit` adds the steps so far."""
    return {"epoch": epoch, "epochs": recipe.max_epochs, "seconds": seconds}


@contextmanager
def reproducible() -> Iterator[None]:
    """Let torch sum in one order, and keep its random numbers from others."""
    with one_thread("training towers"), torch.random.fork_rng(devices=[]):
        yield


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
    if not len(items.plays.code):
        raise InputError("no user known to both sides has a play")

    def learner(phase: Phase) -> TowersLearner:
        how: Any = {"defence": defence, "secret": secret}
        half = ItemHalf(items, recipe, phase, **how)
        if not half.learnt.any():
            raise InputError("no user of the training part has a play: nothing to learn from")
        made = TowersLearner(UserHalf(users, recipe, phase, **how), half)
        if watch is not None:
            watch(made, phase)
        return made

    data = _digest(users, items)
    about = {"recipe": recipe.fingerprint, "data": data, "defence": defence.to_json()}
    run: Any = {"fingerprint": fingerprint({**about, "secret": secret}), "work": work, "stop": stop}
    with reproducible():
        epochs: Any = {"max_epochs": recipe.max_epochs, "patience": recipe.patience}
        return fit_refit(learner, tell=progress, **epochs, **run)


def train_once(learner: TowersLearner, **run: Any) -> Fitted:
    """Train for all epochs of the recipe, to the last state; the rest is as for `fit`."""
    epochs = learner.recipe.max_epochs
    with reproducible():
        return fit(learner, max_epochs=epochs, patience=epochs, keep_best=False, **run)


class RemoteItems:
    """The music side's half, seen from the partner: every call is a message."""

    loss = 0.0  # is not told

    def __init__(self, caller: Caller, how: PartyRun) -> None:
        self._caller, self._how = caller, how

    def begin(self, epoch: int, step: int) -> None:
        """Tell the music side where training goes on."""
        self._caller.ask(MessageKind.BEGIN, Place(epoch, step)._asdict())

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Send the vectors of a step; return the gradients that come back."""
        dtype = self._how.defence.rounding
        shape, payload = pack(vectors, dtype)
        fields = {**Place(step.epoch, step.number)._asdict(), **shape, "dtype": dtype}
        expect = MessageKind.GRADIENTS
        return self._caller.ask(MessageKind.VECTORS, fields, payload, expect=expect).array()


def train_partner(
    connect: Callable[[], Caller],
    side: UserSide,
    shared: Shared[TwoTowerRecipe],
    how: PartyRun,
    *,
    work: Path,
    secret: int | None,
    conclude: Callable[[Caller, UserHalf, Fitted], None],
    every_s: float = EVERY_S,
) -> Fitted | None:
    """Train with the music side; None if stopped: the same call resumes.

    `connect` returns a caller without a session. `work` is the folder of the checkpoints, with
    `every_s` seconds between two within an epoch; `secret` is that of the party's own draws.
    `conclude` is called with the caller and the result: it sends the vectors and writes the model.
    `LostPeerError` if the music side stays away, other `PeerError`s if it violates the protocol.
    """

    def talk(caller: Caller) -> Fitted | None:
        shared.greet(caller)
        half = UserHalf(side, shared.recipe, "choose", defence=how.defence, secret=secret)
        items = RemoteItems(caller, how)

        def before(at: TrainingState) -> None:
            caller.ask(MessageKind.SAVE, Place(at.epoch + 1, at.batch)._asdict())

        run: Any = {"tell": how.tell, "stop": how.stop, "every_s": every_s, "before_save": before}
        path = work / LATEST
        fitted = train_once(
            TowersLearner(half, items), checkpoint=path, fingerprint=shared.run, **run
        )
        if not fitted.finished:
            return None
        items.begin(shared.recipe.max_epochs + 1, 0)
        conclude(caller, half, fitted)
        return fitted

    return keep_trying(connect, talk, how)


class ItemHost(VectorsHost[TwoTowerRecipe]):
    """The music side of a training: a `Host` that the partner's training loop drives.

    `work` and `secret` are as for `train_partner`; `half` is in training, or trained.
    """

    def __init__(
        self,
        side: ItemSide,
        shared: Shared[TwoTowerRecipe],
        how: PartyRun,
        save: Callable[[FloatArray, str], None],
        *,
        work: Path,
        secret: int | None,
    ) -> None:
        super().__init__(shared, how, save)
        self.side, self._work, self._secret = side, work, secret
        self.half: ItemHalf | None = None
        self._at: Place | None = None
        self._answered: Counter[Place] = Counter()

    def answer(self, message: Message) -> Reply:
        """Answer a question; see `Host`."""
        if message.kind in (MessageKind.BEGIN, MessageKind.SAVE):
            place = Place(message["epoch"], message["step"])
            return self._begin(place) if message.kind == MessageKind.BEGIN else self._save(place)
        if self.half is None or self._at is None:
            raise OutOfTurnError("expected begin now")
        if message.kind == MessageKind.VECTORS:
            return self._step(message, self.half, self._at)
        if self._at.epoch <= self.shared.recipe.max_epochs:
            raise OutOfTurnError("expected vectors now")
        return super().answer(message)

    def _begin(self, place: Place) -> Reply:
        """Go on where training is, at its start, or at a checkpoint."""
        if place.epoch > self.shared.recipe.max_epochs + 1:
            raise OutOfTurnError("no epoch is left")
        half = self.half
        if half is None or not self._is_here(place):
            is_start = place == (1, 0)
            half = self.half = self._fresh() if is_start else self._loaded(place)
            self.how.note("training starts" if is_start else f"training resumes from {place}")
        self._at = place
        self._since = monotonic()
        self._steps = steps_of(half.rows, self.shared.recipe, *place)
        return NOTED

    def _step(self, message: Message, half: ItemHalf, at: Place) -> Reply:
        """Train on the vectors of the next step; answer with the gradients."""
        if Place(message["epoch"], message["step"]) != at:
            raise OutOfTurnError(f"expected {at} now")
        step = next(self._steps, None)
        if step is None:
            raise OutOfTurnError("expected save or begin now")
        vectors = message.array()
        if vectors.shape != (len(step.rows), self.shared.recipe.dimension):
            raise ProtocolError(str(message), f"{len(step.rows)} vectors", str(vectors.shape))
        self._count(at)
        shape, payload = pack(half.gradient(step, vectors))
        self._at = at._replace(step=at.step + 1)
        if self._at.step == steps_in(len(half.rows), self.shared.recipe):
            self._tell(at.epoch, len(half.rows))
        return MessageKind.GRADIENTS, {**at._asdict(), **shape}, payload

    def _tell(self, epoch: int, rows: int) -> None:
        """Tell this side's people that an epoch is done."""
        if self.how.tell is not None:
            recipe, seconds = self.shared.recipe, monotonic() - self._since
            steps = epoch * steps_in(rows, recipe)
            self.how.tell({**joint_line(epoch, recipe, seconds), "steps": steps})

    def _count(self, at: Place) -> None:
        """Count a release of a step's gradients; refuse one too many of those with noise."""
        self._answered[at] += 1
        if self.how.defence.noise and self._answered[at] > RELEASES:
            raise PeerError(
                f"{at} was answered {RELEASES} times, each time with other noise, which the mean "
                "of the answers has less of; the connection breaks too often"
            )

    def _save(self, place: Place) -> Reply:
        """Write a checkpoint, and keep the one before."""
        half, latest = self.half, self._work / LATEST
        if half is None or not self._is_here(place):
            raise OutOfTurnError(f"training is at {self._at}")
        if latest.exists():
            latest.replace(self._work / BEFORE)
        tensors = {f"model.{name}": tensor for name, tensor in half.model.state_dict().items()}
        tensors |= optimiser_tensors(half.optimiser.state_dict())
        at = TrainingState(fingerprint=self.shared.run, epoch=place.epoch, batch=place.step)
        save_checkpoint(latest, tensors, at)
        return NOTED

    def _loaded(self, place: Place) -> ItemHalf:
        """Return the half of a checkpoint, which from now on is the latest."""
        for path in (self._work / LATEST, self._work / BEFORE):
            result = load_checkpoint(path, self.shared.run)
            if result is not None and (result[1].epoch, result[1].batch) == place:
                break
        else:
            raise PeerError(
                f"the music side has no checkpoint of {place}; remove model.run on both sides to "
                "start from the beginning"
            )
        half, tensors = self._fresh(), result[0]
        with restoring(path):
            own = {n.removeprefix("model."): t for n, t in tensors.items() if n[:6] == "model."}
            half.model.load_state_dict(own)
            groups = half.optimiser.state_dict()["param_groups"]
            half.optimiser.load_state_dict(optimiser_state(tensors, groups))
        path.replace(self._work / LATEST)
        return half

    def _fresh(self) -> ItemHalf:
        how: Any = {"defence": self.how.defence, "secret": self._secret}
        return ItemHalf(self.side, self.shared.recipe, "choose", **how)

    def _is_here(self, place: Place) -> bool:
        """Whether training is at a place, or at the end of the epoch before it."""
        at = self._at
        if at is None or self.half is None:
            return False
        is_over = at.step == steps_in(len(self.half.rows), self.shared.recipe)
        return place == at or (is_over and place == (at.epoch + 1, 0))


def _digest(users: UserSide, items: ItemSide) -> str:
    """Return a digest of the training data; checkpoints of other data are not resumed."""
    digest = hashlib.sha256()
    bags = [items.plays, *users.features.bags.values()]
    arrays: list[Any] = [items.features.codes, items.features.dense, users.features.dense]
    for array in (*arrays, *(part for bag in bags for part in (bag.starts, bag.code))):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
