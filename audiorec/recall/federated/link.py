"""The two ends of a connection: the caller asks, the desk answers.

    `Caller`  ──ask: bytes──▶ a transport ──▶ `Desk`      receive(kind) … reply(kind)
              ◀───────────── bytes ────────────

The partner is the caller, an item side the desk: its training thread takes and answers one question
at a time, while the transport's threads wait. `audiorec.recall.federated.flight` is the transport
over the network.

The desk refuses invalid messages before the training thread sees them: unreadable ones, those of
another session, and repeated numbers. See ``docs/federated-protocol.md``.
"""

import secrets
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any, Protocol

from audiorec.errors import LostPeerError, ProtocolError, RefusedError
from audiorec.recall.federated.protocol import (
    MAX_TEXT,
    Message,
    MessageKind,
    decode,
    encode,
    session_id,
)

LOOK_S = 0.1  # interval at which a waiting side checks for a stop
IN_PROCESS = ("0" * 64, "1" * 64)  # placeholders for certificates within a process
# Subject of a refusal if the other party has ended, was too slow, or has closed the session.
END, LATE, GONE = LOST = ("end", "late", "gone")
PATIENCE = 2.0  # a transport's thread waits for the desk for so many time limits


class Transport(Protocol):
    """Carrier of one message to the desk and its answer back."""

    is_remote: bool  # whether the desk is in another process

    @property
    def certificates(self) -> tuple[str, str]:
        """Fingerprints of the caller's certificate and of the desk's."""

    def ask(self, data: bytes, timeout_s: float) -> bytes:
        """Send a message and return the answer; raise `LostPeerError` if there is none."""

    def close(self) -> None:
        """Close the connection."""


class Caller:
    """The end that asks.

    Parameters
    ----------
    transport : Transport
    role : str
    timeout_s : float
        Time limit of an answer, in seconds.
    """

    def __init__(
        self, transport: Transport, *, role: str = "partner", timeout_s: float = 60.0
    ) -> None:
        self.transport, self.role, self.timeout_s = transport, role, timeout_s
        self.session = ""
        self.nonces = ("", "")  # ours, theirs
        self._number = 0

    def hello(
        self,
        purpose: str,
        *,
        fingerprint: str = "",
        settings: Mapping[str, Any] | None = None,
        alignment: str = "",
        places: Iterable[Any] = (),
    ) -> Message:
        """Open a session and return the ``welcome``.

        Raises
        ------
        RefusedError
            If the other side has different settings or another purpose.
        ProtocolError
            If its answer is invalid, or it sees other certificates.
        LostPeerError
            If it does not answer.
        """
        nonce = secrets.token_hex(32)
        fields = {
            "purpose": purpose,
            "role": self.role,
            "nonce": nonce,
            "fingerprint": fingerprint,
            "settings": dict(settings or {}),
            "alignment": alignment,
            "places": [list(place) for place in places],
        }
        self.session, self._number = "", 0
        welcome = self._exchanged(
            Message(kind=MessageKind.HELLO, fields=fields), (MessageKind.WELCOME,)
        )
        roles, nonces = (self.role, welcome["role"]), (nonce, welcome["nonce"])
        expected = session_id(purpose, nonces, roles, self.transport.certificates)
        if welcome.session != expected:
            raise ProtocolError(str(welcome), "the session of these two certificates", "another")
        self.session, self.nonces = expected, nonces
        return welcome

    def ask(
        self,
        kind: MessageKind,
        fields: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        *,
        expect: MessageKind,
    ) -> Message:
        """Send a question and return the answer, which must be of the kind `expect`."""
        self._number += 1
        question = Message(
            kind=kind,
            session=self.session,
            number=self._number,
            fields=dict(fields or {}),
            payload=payload,
        )
        answer = self._exchanged(question, (expect,))
        if answer.session != self.session:
            raise ProtocolError(str(answer), f"session {self.session}", answer.session)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def _exchanged(self, question: Message, kinds: tuple[MessageKind, ...]) -> Message:
        answer = decode(self.transport.ask(encode(question), self.timeout_s))
        if answer.kind == MessageKind.REFUSED and answer["about"] in LOST:
            raise LostPeerError(f"the other party {answer['reason']}")
        if answer.kind == MessageKind.REFUSED:
            raise RefusedError(str(question), answer["reason"])
        if answer.number != question.number:
            raise ProtocolError(str(answer), f"number {question.number}", str(answer.number))
        if answer.kind not in kinds:
            expected = " or ".join(kind.word for kind in kinds)
            raise ProtocolError(str(answer), f"{expected} after {question}", answer.kind.word)
        return answer


@dataclass(slots=True)
class _Waiting:
    """Question waiting at the desk, with the future of its answer."""

    message: Message
    reply: "Future[bytes]" = field(default_factory=Future)


class Desk:
    """The end that answers.

    Parameters
    ----------
    role : str
    certificates : (str, str)
        Fingerprints of the caller's certificate and of the desk's.
    timeout_s : float
        Time limit of the next question, in seconds.
    stop : Event, optional
        Once set, waiting ends with a `LostPeerError`.
    """

    def __init__(
        self,
        *,
        role: str = "music",
        certificates: tuple[str, str] = IN_PROCESS,
        timeout_s: float = 60.0,
        stop: Event | None = None,
    ) -> None:
        self.role, self.certificates, self.timeout_s = role, certificates, timeout_s
        self.nonces = ("", "")  # theirs, ours
        self.session = ""
        self._stop = stop or Event()
        self._last = 0
        self._is_closed = ""  # why
        self._inbox: SimpleQueue[_Waiting] = SimpleQueue()
        self._one_at_a_time = Lock()
        self._held: _Waiting | None = None  # the question that is being answered
        self._hello: _Waiting | None = None  # one that arrived during a session

    def answer(self, data: bytes, timeout_s: float | None = None) -> bytes:
        """Answer one message; called by transports, from any thread."""
        try:
            message = decode(data)
        except ProtocolError as error:
            return _refusal("", 0, "a message", str(error))
        limit = PATIENCE * self.timeout_s if timeout_s is None else timeout_s
        if not self._one_at_a_time.acquire(timeout=limit):
            return _refusal("", message.number, str(message), "one message at a time")
        try:
            if self._is_closed:
                return _refusal("", message.number, END, self._is_closed)
            reason = self._misfit(message)
            if reason:
                about = GONE if reason == ENDED else str(message)
                return _refusal("", message.number, about, reason)
            waiting = _Waiting(message)
            self._inbox.put(waiting)
            if self._is_closed:  # closed meanwhile: nobody will read the inbox again
                _tell(waiting, _refusal("", message.number, END, self._is_closed))
            return waiting.reply.result(timeout=limit)
        except TimeoutError:
            waiting.reply.cancel()
            return _refusal("", message.number, LATE, f"gave no answer within {limit:g} s")
        finally:
            self._one_at_a_time.release()

    def accept(self, wait_s: float) -> Message:
        """Wait for a ``hello`` and return it; answer it with `welcome` or `refuse`.

        Raises
        ------
        LostPeerError
            If none arrives within `wait_s`, or `stop` is set.
        """
        self.session = ""
        if self._hello is None:
            waiting = self._next(wait_s)
            while waiting.message.kind != MessageKind.HELLO:  # of a session that has just ended
                _tell(waiting, _refusal("", waiting.message.number, GONE, ENDED))
                waiting = self._next(wait_s)
        else:
            waiting, self._hello = self._hello, None
        self._held = waiting
        return waiting.message

    def welcome(self, hello: Message, place: Any = None) -> None:
        """Open the session requested by a ``hello``."""
        nonce = secrets.token_hex(32)
        self.nonces = (hello["nonce"], nonce)
        roles = (hello["role"], self.role)
        session = session_id(hello["purpose"], self.nonces, roles, self.certificates)
        self.session, self._last = session, 0
        fields = {"role": self.role, "nonce": nonce, "place": None if place is None else [*place]}
        self.reply(MessageKind.WELCOME, fields)

    def receive(
        self,
        *kinds: MessageKind,
        expect: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Message:
        """Wait for the next question and return it.

        Parameters
        ----------
        *kinds : MessageKind
            Kinds that are accepted now; others are refused, and waiting continues.
        expect : mapping, optional
            Required values of the fields that the question has.
        timeout_s : float, optional
            Time limit instead of the desk's, in seconds.

        Raises
        ------
        LostPeerError
            If none arrives in time, the other side sends a new ``hello``, or `stop` is set.
        """
        while True:
            waiting = self._next(self.timeout_s if timeout_s is None else timeout_s)
            message = waiting.message
            if message.kind == MessageKind.HELLO:
                self._hello = waiting
                raise LostPeerError("the other party has started a new session")
            self._held = waiting
            if message.kind not in kinds:
                turn = " or ".join(kind.word for kind in kinds)
                self.refuse(f"expected {turn} now")
                continue
            wrong = [
                f"{name} {value}"
                for name, value in (expect or {}).items()
                if message.fields.get(name, value) != value
            ]
            if wrong:
                self.refuse(f"expected {', '.join(wrong)}")
                continue
            return message

    def reply(
        self, kind: MessageKind, fields: Mapping[str, Any] | None = None, payload: bytes = b""
    ) -> None:
        """Answer the last question received."""
        waiting, self._held = self._held, None
        assert waiting is not None  # noqa: S101 - a question is answered once
        answer = Message(
            kind=kind,
            session=self.session,
            number=waiting.message.number,
            fields=dict(fields or {}),
            payload=payload,
        )
        _tell(waiting, encode(answer))

    def refuse(self, reason: str) -> None:
        """Refuse the last question received, unless it was answered."""
        waiting, self._held = self._held, None
        if waiting is not None:
            message = waiting.message
            _tell(waiting, _refusal(self.session, message.number, str(message), reason))

    def close(self, reason: str = "was stopped, or has finished") -> None:
        """Refuse all questions, waiting and future: this side has ended."""
        self._is_closed, self.session = reason, ""
        left = [self._held, self._hello]
        self._held = self._hello = None
        with suppress(Empty):
            while True:
                left.append(self._inbox.get_nowait())
        for waiting in left:
            if waiting is not None:
                _tell(waiting, _refusal("", waiting.message.number, END, reason))

    def _misfit(self, message: Message) -> str:
        """Return why a message does not fit the session; empty if it does."""
        if message.kind == MessageKind.HELLO:
            return "" if message.number == 0 else "a hello must have the number 0"
        if message.session != self.session:
            return ENDED
        if message.number <= self._last:
            return f"number {message.number} is a replay; expected {self._last + 1}"
        if message.number != self._last + 1:
            return f"number {message.number} is too high; expected {self._last + 1}"
        self._last = message.number
        return ""

    def _next(self, timeout_s: float) -> _Waiting:
        deadline = time.monotonic() + timeout_s
        while not self._stop.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LostPeerError(f"the other party has sent nothing for {timeout_s:g} s")
            try:
                waiting = self._inbox.get(timeout=min(LOOK_S, left))
            except Empty:
                continue
            if not waiting.reply.cancelled():
                return waiting
        raise LostPeerError("this side was asked to stop")


ENDED = "has closed this session: send hello first"


def _refusal(session: str, number: int, about: str, reason: str) -> bytes:
    fields = {"about": about[:MAX_TEXT], "reason": reason[:MAX_TEXT]}
    return encode(Message(kind=MessageKind.REFUSED, session=session, number=number, fields=fields))


def _tell(waiting: _Waiting, data: bytes) -> None:
    """Deliver an answer, unless the question was answered or its sender has given up."""
    if not waiting.reply.done() and waiting.reply.set_running_or_notify_cancel():
        waiting.reply.set_result(data)
