"""What every exchange of two parties has: settings that must agree, patience, and the end.

hello ──`checked`──▶ the same settings and alignment   a lost party ──`Lost`──▶ again, or enough
`finish` (partner) ──space──▶ `finished` (item side): each writes its model
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from threading import Event
from typing import Any, Generic

from audiorec.errors import LostPeerError, SpecMismatchError
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.protocol import Message, MessageKind
from audiorec.recall.federated.recipe import R
from audiorec.recall.federated.user_model import space_of
from audiorec.spec import fingerprint
from audiorec.types import LineProgress

PAUSE_S = 0.5  # between two attempts to reach a lost party
LASTING_S = 10.0  # time limit of the last message, which may be lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Generic[R]):
    """Settings that must be equal at all parties; compared before training.

    Attributes
    ----------
    recipe : PartyRecipe
    users : int
        Number of aligned rows.
    checkpoint_steps : int
        Steps between two checkpoints.
    """

    recipe: R
    users: int
    checkpoint_steps: int = 200

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, as plain values."""
        counted = {"users": self.users, "checkpoint_steps": self.checkpoint_steps}
        return {"model": self.recipe.kind, **self.recipe.to_json(), **counted}

    @property
    def fingerprint(self) -> str:
        """Hash of the settings and the protocol of draws, sixteen hex digits."""
        return fingerprint({"recipe": self.recipe.fingerprint, **self.settings})

    def run(self, alignments: Sequence[str]) -> str:
        """Hash of the settings and a party's aligned rows: the name of its checkpoints."""
        return fingerprint({"settings": self.fingerprint, "alignments": list(alignments)})


@dataclass(frozen=True, kw_only=True)
class PartyRun:
    """How one party runs; of this, only the defence changes the result.

    Attributes
    ----------
    defence : Defence
        Defence of the numbers that this party sends.
    wait_s : float
        Seconds to wait for a lost party.
    tell : callable, optional
        Called with the metrics of each epoch.
    say : callable, optional
        Called with one line of text when the state of the connection changes.
    stop : Event, optional
        Once set, the party ends soon.
    """

    defence: Defence = NOTHING
    wait_s: float = 600.0
    tell: LineProgress | None = None
    say: Callable[[str], None] | None = None
    stop: Event | None = None

    def note(self, text: str) -> None:
        """Report one line of text."""
        if self.say is not None:
            self.say(text)

    @property
    def stopped(self) -> bool:
        """Whether this party was asked to stop."""
        return self.stop is not None and self.stop.is_set()


class Lost:
    """Timer of the loss of the other parties; used in the first process."""

    def __init__(self, how: PartyRun) -> None:
        self._how = how
        self.found()

    def found(self) -> None:
        """Reset the timer: all parties have answered."""
        self._since: float | None = None
        self._said = ""

    def again(self, error: LostPeerError) -> dict[str, Any]:
        """Pause and return whether to end; raise `error` after `PartyRun.wait_s`."""
        how = self._how
        self._since = time.monotonic() if self._since is None else self._since
        if how.stopped:
            return {"ends": True}
        if time.monotonic() - self._since > how.wait_s:
            raise error
        if str(error) != self._said:
            self._said = str(error)
            how.note(f"{error}; retrying for up to {how.wait_s:g} s")
        _pause(how.stop)
        return {"ends": False}


def finish(callers: Sequence[Caller], save: Callable[[str], None]) -> None:
    """Let every item side write its model, then write the partner's.

    `save` gets the id of the vectors' space; item sides get `space_of` it.
    """
    space = token_hex(8)
    told = [{"space": space_of(space, number)} for number in range(len(callers))]
    for caller, fields in zip(callers, told, strict=True):
        caller.ask(MessageKind.FINISH, fields, expect=MessageKind.FINISHED)
    save(space)
    for caller, fields in zip(callers, told, strict=True):
        caller.timeout_s = LASTING_S
        with suppress(LostPeerError):  # both sides have their models already
            caller.ask(MessageKind.FINISH, fields, expect=MessageKind.FINISHED)


def finished(desk: Desk, save: Callable[[str], str]) -> None:
    """Write an item side's model; `save` gets the id of the space and returns that of the model."""
    model_id = save(desk.receive(MessageKind.FINISH)["space"])
    desk.reply(MessageKind.FINISHED, {"model_id": model_id})
    desk.receive(MessageKind.FINISH)
    desk.reply(MessageKind.FINISHED, {"model_id": model_id})


def setting_differences(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], *, fingerprints: tuple[str, str]
) -> str:
    """Return the settings that differ between two parties, as text; empty if none does."""
    if fingerprints[0] == fingerprints[1]:
        return ""
    names = sorted({*theirs, *ours})
    differing = [
        f"{name} is {theirs.get(name)!r} there, {ours.get(name)!r} here"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]
    return f"the settings differ: {'; '.join(differing) or 'another release of audiorec'}"


def check_hello(desk: Desk, hello: Message, shared: Shared[Any], alignment: str) -> None:
    """Refuse a partner with another purpose, settings or alignment."""
    reason = ""
    if hello["purpose"] != "train":
        reason = f"this side is running train, not {hello['purpose']}"
    prints = (hello["fingerprint"], shared.fingerprint)
    reason = reason or setting_differences(hello["settings"], shared.settings, fingerprints=prints)
    if not reason and hello["alignment"] != alignment:
        reason = "the alignments differ: align both sides again"
    if reason:
        desk.refuse(reason)
        raise SpecMismatchError(f"the partner was refused: {reason}")


def _pause(stop: Event | None) -> None:
    if stop is None:
        time.sleep(PAUSE_S)
    else:
        stop.wait(PAUSE_S)
