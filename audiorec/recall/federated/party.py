"""Learner of one party: runs the common training loop over its half and exchanges messages.

::

    partner: `UserParty`  ──vectors──▶ link ──▶ `ItemParty`: music, or a further item side
                          ◀─gradients─      ◀──

If a party trains in several processes, the first one holds the connection. It broadcasts what it
receives, including the loss of the other party, so that all processes stay at the same step.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Generic, TypeVar

import numpy as np
from torch import nn, optim

from audiorec.errors import PeerError, ProtocolError
from audiorec.learning.fit import Line, Phase
from audiorec.learning.processes import ALONE, Processes
from audiorec.recall.federated.item_half import ItemHalf
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.protocol import Message, MessageKind, pack, parts_of
from audiorec.recall.federated.recipe import MmoeRecipe
from audiorec.recall.federated.session import PartyRun
from audiorec.recall.federated.shared_draws import JointStep, steps_of
from audiorec.recall.federated.user_half import UserHalf
from audiorec.types import FloatArray

Half = TypeVar("Half", UserHalf, ItemHalf)
Answered = Counter[tuple[Phase, int, int]]  # how often each step was answered: phase, epoch, number
RELEASES = 3  # answers to one step: each has other noise, and their mean has less


@dataclass(frozen=True, kw_only=True)
class PartyWork(PartyRun):
    """How one party trains; of this, only the defence and the seed change the result.

    Attributes
    ----------
    work : Path
        Folder of the checkpoints.
    seed : callable, optional
        Called with a phase: the secret seed of the party's own draws in it
        (`audiorec.recall.federated.towers`). Random by default, and then another one if training
        starts again; processes other than the first take the first one's.
    witness : callable, optional
        Recorder of an item side's gradients, as `ItemHalf.witness`.
    processes : Processes
        Processes of this party that train its half together: all need access to `work`, and the
        first one writes.
    """

    work: Path
    seed: Callable[[Phase], int] | None = None
    witness: Callable[..., None] | None = None
    processes: Processes = ALONE

    def note(self, text: str) -> None:
        """Report one line of text, in the first process only."""
        if self.processes.is_first:
            PartyRun.note(self, text)

    def secret(self, phase: Phase) -> int | None:
        """Return the seed of the party's own draws in a phase; None for a random one."""
        return None if self.seed is None else self.seed(phase)


class _HalfLearner(Generic[Half]):
    """Common part of both parties' learners."""

    half: Half

    @property
    def model(self) -> nn.Module:
        """Model of the half."""
        return self.half.model

    @property
    def optimiser(self) -> optim.Optimizer:
        """Optimiser of the half."""
        return self.half.optimiser

    def start(self) -> Line | None:
        """Return None: the untrained model is not evaluated."""
        return None


class UserParty(_HalfLearner[UserHalf]):
    """The partner's `audiorec.learning.fit.Learner`: sends vectors, receives gradients.

    Parameters
    ----------
    half : UserHalf
    callers : sequence of Caller
        Callers with an open ``train`` session, in the order of the half's vectors; empty in
        processes other than the first.
    phase : str
    """

    def __init__(self, half: UserHalf, callers: Sequence[Caller], phase: Phase) -> None:
        self.half, self.callers, self.phase = half, tuple(callers), phase

    def batches(self, epoch: int, first: int) -> Iterator[JointStep]:
        """Yield the steps of an epoch."""
        yield from steps_of(self.half.learnt, self.half.recipe, epoch, first)

    def step(self, batch: JointStep) -> float:
        """Send vectors and train on the gradients; return the own task's loss, 0 without one."""
        half = self.half
        leaving = half.vectors(batch)
        shape = (half.n_items, len(batch.rows), half.recipe.dimension)
        came = half.processes.numbers_from_first(
            lambda: np.stack(self._gradients(batch, leaving)), shape, np.float32
        )
        half.learn(batch, list(came))
        return half.loss if np.isfinite(half.loss) else 0.0

    def _gradients(self, step: JointStep, leaving: Sequence[FloatArray]) -> list[FloatArray]:
        at = {"phase": self.phase, "epoch": step.epoch, "step": step.number}
        dtype = self.half.defence.rounding
        asked = []
        for vectors in leaving:
            shape, payload = pack(vectors, dtype)
            asked.append(({**at, **shape, "dtype": dtype}, payload))
        answers = self._all(MessageKind.VECTORS, asked, MessageKind.GRADIENTS)
        return [answer.array() for answer in answers]

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Send the vectors of the validation users; return the metrics of all sides."""
        line: Line = {"epoch": epoch, "seconds": seconds}
        if isinstance(self.half.recipe, MmoeRecipe) and self.half.recipe.own_weight:
            line["own_loss"] = loss
        at = {"phase": self.phase, "epoch": epoch}
        parts = zip(self.callers, self.half.validation(), strict=True)
        for number, (caller, vectors) in enumerate(parts):
            found = self._figures(caller, vectors, at)
            line |= {f"{name}_{number}" if number else name: v for name, v in found.items()}
        line["worth"] = float(line["ndcg"])
        told = ({**at, "worth": line["worth"]}, b"")
        self._all(MessageKind.VERDICT, [told] * len(self.callers), MessageKind.NOTED)
        return line | self.half.figures()

    def score(self, line: Line) -> float:
        """Return the NDCG of the first business, over all ranks."""
        return float(line["worth"])

    def _figures(self, caller: Caller, vectors: FloatArray, at: Mapping[str, Any]) -> Line:
        dtype, total = self.half.defence.rounding, len(vectors)
        answer = None
        for part in parts_of(*vectors.shape):
            shape, payload = pack(vectors[part], dtype)
            fields = {**at, **shape, "first": part.start, "total": total, "dtype": dtype}
            is_last = part.stop == total
            expect = MessageKind.FIGURES if is_last else MessageKind.NOTED
            answer = caller.ask(MessageKind.VALIDATION, fields, payload, expect=expect)
        assert answer is not None  # noqa: S101 - at least one part is sent
        return dict(answer["figures"])

    def _all(
        self, kind: MessageKind, asked: Sequence[tuple[dict[str, Any], bytes]], expect: MessageKind
    ) -> list[Message]:
        """Ask every item side; remote ones compute concurrently."""

        def ask(one: tuple[Caller, tuple[dict[str, Any], bytes]]) -> Message:
            caller, (fields, payload) = one
            answer = caller.ask(kind, fields, payload, expect=expect)
            for name, value in answer.fields.items():
                if fields.get(name, value) != value:
                    raise ProtocolError(str(answer), f"{name} {fields[name]}", str(value))
            return answer

        pairs = list(zip(self.callers, asked, strict=True))
        if len(pairs) == 1 or not all(caller.transport.is_remote for caller in self.callers):
            return [ask(pair) for pair in pairs]
        with ThreadPoolExecutor(len(pairs)) as threads:
            return list(threads.map(ask, pairs))


class ItemParty(_HalfLearner[ItemHalf]):
    """An item side's `audiorec.learning.fit.Learner`: each batch is a received message."""

    def __init__(
        self,
        half: ItemHalf,
        desk: Desk,
        phase: Phase,
        n: int,
        *,
        pause: Event,
        answered: Answered,
    ) -> None:
        """Serve a desk with `n` aligned rows.

        A pause request of the partner sets `pause`; `answered` counts over all sessions.
        """
        self.half, self.desk, self.phase, self.pause = half, desk, phase, pause
        self.answered = answered
        judged = np.zeros(n, np.bool_)
        judged[half.judged] = True
        self._learnt = np.flatnonzero(~judged)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[JointStep, Message | None]]:
        """Yield each step with its received vectors; None in processes other than the first."""
        processes = self.half.processes
        for step in steps_of(self._learnt, self.half.recipe, epoch, first):
            came: list[Message] = []

            def ask(step: JointStep = step, came: list[Message] = came) -> Line:
                came.append(self._next(step))
                return {"pause": came[0].kind == MessageKind.PAUSE}

            told = processes.from_first(ask) or {}
            if told["pause"]:
                self.pause.set()  # the loop ends before it takes this step
                yield step, None
                return
            yield step, came[0] if came else None

    def _next(self, step: JointStep) -> Message:
        """Return the vectors of a step, or the partner's pause request after answering it."""
        at = {"phase": self.phase, "epoch": step.epoch, "step": step.number}
        at |= {"rows": len(step.rows), "width": self.half.recipe.dimension}
        message = self.desk.receive(MessageKind.VECTORS, MessageKind.PAUSE, expect=at)
        if message.kind == MessageKind.PAUSE:
            self.desk.reply(MessageKind.NOTED)
        return message

    def step(self, batch: tuple[JointStep, Message | None]) -> float:
        """Train on the vectors and send the gradients; return the loss."""
        step, message = batch
        half = self.half

        def vectors() -> FloatArray:
            assert message is not None  # noqa: S101 - the loop has ended
            return self._array(message)

        shape = (len(step.rows), half.recipe.dimension)
        came = half.processes.numbers_from_first(vectors, shape, np.float32)
        found = half.gradient(step, came)
        if half.processes.is_first:
            self._count(step)
            sizes, payload = pack(found)
            at = {"phase": self.phase, "epoch": step.epoch, "step": step.number}
            self.desk.reply(MessageKind.GRADIENTS, {**at, **sizes}, payload)
        return half.loss

    def _count(self, step: JointStep) -> None:
        """Count a release of the step's gradients; refuse one too many of those with noise."""
        place = (self.phase, step.epoch, step.number)
        self.answered[place] += 1
        if self.half.defence.noise and self.answered[place] > RELEASES:
            reason = f"step {step.number} of epoch {step.epoch} was answered {RELEASES} times"
            self.desk.refuse(reason)
            raise PeerError(
                f"{reason}, each time with other noise, which the mean of the answers has less of; "
                "the connection breaks too often: set a smaller checkpoint_steps on all sides"
            )

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Evaluate the received vectors, and receive the partner's overall figure of the epoch."""
        at = {"phase": self.phase, "epoch": epoch}
        total, width = len(self.half.judged), self.half.recipe.dimension
        parts: list[FloatArray] = []
        while sum(map(len, parts)) < total or not parts:
            expect = {**at, "first": sum(map(len, parts)), "total": total, "width": width}
            message = self.desk.receive(MessageKind.VALIDATION, expect=expect)
            parts.append(self._array(message))
            if sum(map(len, parts)) < total:
                self.desk.reply(MessageKind.NOTED)
        figures = self.half.figures(np.concatenate(parts))
        self.desk.reply(MessageKind.FIGURES, {**at, "figures": figures})
        worth = float(self.desk.receive(MessageKind.VERDICT, expect=at)["worth"])
        self.desk.reply(MessageKind.NOTED)
        return {"epoch": epoch, "loss": loss, "seconds": seconds, **figures, "worth": worth}

    def score(self, line: Line) -> float:
        """Return the figure that the partner sent."""
        return float(line["worth"])

    def _array(self, message: Message) -> FloatArray:
        try:
            return message.array()
        except ProtocolError as error:
            self.desk.refuse(str(error))
            raise
