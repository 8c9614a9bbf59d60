"""A transport within one process, which needs neither a network nor torch."""

from collections.abc import Callable
from dataclasses import dataclass

from audiorec.recall.federated.link import IN_PROCESS, Desk


@dataclass(frozen=True, slots=True)
class Direct:
    """Transport within one process; `observer` gets every message."""

    desk: Desk
    observer: Callable[[bytes], None] | None = None
    certificates: tuple[str, str] = IN_PROCESS
    is_remote: bool = False

    def ask(self, data: bytes, timeout_s: float) -> bytes:
        """Pass a message to the desk and return its answer."""
        if self.observer is not None:
            self.observer(data)
        answer = self.desk.answer(data, timeout_s)
        if self.observer is not None:
            self.observer(answer)
        return answer

    def close(self) -> None:
        """Do nothing: there is no connection."""


class KilledError(Exception):
    """Ends a party as a kill would: nothing more is written or said."""


class Dying(Direct):
    """A transport whose caller dies at its `after`-th message: before it is sent, or after."""

    left = 0
    heard = True

    def ask(self, data, timeout_s):
        Dying.left -= 1
        if Dying.left == 0 and not Dying.heard:
            raise KilledError
        answer = super().ask(data, timeout_s)
        if Dying.left == 0:
            raise KilledError
        return answer


class DyingDesk(Desk):
    """A desk whose party dies when it receives, or has answered, its `after`-th question."""

    def __init__(self, after, *, answered):
        super().__init__(timeout_s=20)
        self.after, self.answered = after, answered

    def receive(self, *kinds, **options):
        self.after -= 1
        message = super().receive(*kinds, **options)
        if self.after == 0 and not self.answered:
            raise KilledError
        return message

    def reply(self, *content):
        super().reply(*content)
        if self.after == 0:
            raise KilledError
