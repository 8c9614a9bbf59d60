"""A transport within one process, and parties that die; they need neither a network nor torch."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from audiorec_federated.link import IN_PROCESS, Desk, PartyRun


@dataclass(frozen=True, slots=True)
class Direct:
    """Transport within one process; `observer` gets every message."""

    desk: Desk
    observer: Callable[[bytes], None] | None = None
    certificates: tuple[str, str] = IN_PROCESS

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


class Served:
    """A host that a desk serves in a thread, until it is done or has failed.

    With `dies`, it is killed at its so many-th question: before it answers, or after it has done
    what was asked, without an answer in either case.
    """

    def __init__(self, host, how=None, *, dies=0, acted=False):
        self.host, self.desk, self.error = host, Desk(), None
        self.how = how or PartyRun(wait_s=20)
        self._left, self._acted = dies, acted
        self._plain, host.answer = host.answer, self._answered
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _answered(self, message):
        self._left -= 1
        if self._left == 0 and not self._acted:
            raise KilledError
        reply = self._plain(message)
        if self._left == 0:
            raise KilledError
        return reply

    def _run(self):
        try:
            self.desk.serve(self.host, self.how)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self.desk.close()

    def join(self):
        """Wait for the end; return the host, or raise what ended it."""
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.host
