"""The exchange that ends every training: the partner sends one table of vectors.

    partner: hello ──▶ [training of `split`] ──▶ table, part by part ──▶ finish
    music:   `VectorsHost`, lengths bounded  ──▶ fits at home, writes its model

Of one-way this is all: no number depends on a play, and none goes back. A lost connection begins
the transfer again, with the same bytes: nothing more is told by that.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from audiorec.errors import LostPeerError, SpecMismatchError
from audiorec.spec import fingerprint
from audiorec.types import FloatArray
from audiorec_federated.link import NOTED, Caller, OutOfTurnError, PartyRun, Reply
from audiorec_federated.protocol import Message, MessageKind, pack, parts_of
from audiorec_federated.recipe import DRAWS, R

LASTING_S = 10.0  # time limit of the last message, which may be lost
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Generic[R]):
    """Settings that must be equal at both parties; compared before training."""

    recipe: R
    users: int  # number of aligned rows
    alignment: str  # id of the alignment

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, as plain values."""
        about = {"model": self.recipe.kind, "order of draws": DRAWS, "users": self.users}
        return about | self.recipe.to_json()

    @property
    def run(self) -> str:
        """Hash of the settings and the aligned rows: the name of checkpoints."""
        return fingerprint({"settings": self.settings, "alignment": self.alignment})

    def greet(self, caller: Caller) -> None:
        """Open a ``train`` session."""
        caller.hello("train", alignment=self.alignment, settings=self.settings)

    def check(self, hello: Message) -> None:
        """Raise `SpecMismatchError` for another purpose, other settings or another alignment."""
        if hello["purpose"] != "train":
            raise SpecMismatchError(f"this side is running train, not {hello['purpose']}")
        theirs, ours = hello["settings"], self.settings
        differing = [
            f"{name} is {theirs.get(name)!r} there, {ours.get(name)!r} here"
            for name in sorted({*theirs, *ours})
            if theirs.get(name) != ours.get(name)
        ]
        if differing:
            raise SpecMismatchError(f"the settings differ: {'; '.join(differing)}")
        if hello["alignment"] != self.alignment:
            raise SpecMismatchError("the alignments differ: align both sides again")


class Table:
    """A table of vectors that arrives part by part."""

    def __init__(self, total: int, width: int) -> None:
        self._parts = list(parts_of(total, width))
        self.vectors = np.zeros((total, width), np.float32)

    def add(self, message: Message) -> bool:
        """Take the next part; return whether it is the last one.

        `OutOfTurnError` if another part is due, `ProtocolError` if a number is not finite.
        """
        part, (total, width) = self._parts[0], self.vectors.shape
        expected = {"first": part.start, "total": total, "rows": part.stop - part.start}
        expected["width"] = width
        wrong = [f"{name} {value}" for name, value in expected.items() if message[name] != value]
        if wrong:
            raise OutOfTurnError(f"expected {', '.join(wrong)}")
        self.vectors[part] = message.array()
        del self._parts[0]
        return not self._parts


class VectorsHost(Generic[R]):
    """The music side: a `Host` that gets the vectors of the aligned users and writes its model.

    `save` is called with the vectors, (n, d) float32 of length 1 at most, and the id of their
    space; it fits and writes the model. It is called again only if either changes.
    """

    def __init__(
        self, shared: Shared[R], how: PartyRun, save: Callable[[FloatArray, str], None]
    ) -> None:
        self.shared, self.how, self.save = shared, how, save
        self._saved: tuple[FloatArray, str] | None = None
        self.is_done = False

    def greet(self, hello: Message, nonces: tuple[str, str]) -> None:  # noqa: ARG002 - of `Host`
        """Begin a new transfer."""
        self.shared.check(hello)
        self._table = Table(self.shared.users, self.shared.recipe.dimension)
        self._arrived: FloatArray | None = None
        self._is_finishing = False

    def answer(self, message: Message) -> Reply:
        """Answer a question; see `Host`. The answers are the same whoever plays what."""
        if message.kind == MessageKind.TABLE and self._arrived is None:
            if self._table.add(message):
                self._arrived = shortened(self._table.vectors)
            return NOTED
        if message.kind != MessageKind.FINISH or self._arrived is None:
            raise OutOfTurnError(f"expected {'table' if self._arrived is None else 'finish'} now")
        saved, space = self._saved, message["space"]
        if saved is None or saved[1] != space or not np.array_equal(saved[0], self._arrived):
            self.save(self._arrived, space)
            self._saved = self._arrived, space
        self.is_done, self._is_finishing = self._is_finishing, True
        return NOTED


def finish(
    caller: Caller, vectors: FloatArray, space: str, how: PartyRun, save: Callable[[], None]
) -> None:
    """Send the vectors (n, d), let the music side write its model, then write the partner's."""
    dtype = how.defence.rounding
    for part in parts_of(*vectors.shape):
        if how.stopped:
            raise LostPeerError("this side was asked to stop")
        shape, payload = pack(vectors[part], dtype)
        fields = {**shape, "first": part.start, "total": len(vectors), "dtype": dtype}
        caller.ask(MessageKind.TABLE, fields, payload)
    caller.ask(MessageKind.FINISH, {"space": space})
    save()
    caller.timeout_s = LASTING_S
    with suppress(LostPeerError):  # both sides have their models already
        caller.ask(MessageKind.FINISH, {"space": space})


def shortened(vectors: FloatArray) -> FloatArray:
    """Return vectors of length 1 at most, but for rounding: no row weighs more than it should."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    result = vectors / np.where(lengths > 1 + ROUNDING, lengths, 1)
    return np.asarray(result, np.float32)
