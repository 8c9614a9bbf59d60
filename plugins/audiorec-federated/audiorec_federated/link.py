"""The two ends of a connection: the caller asks, the desk answers.

    `Caller`  ──ask: bytes──▶ a transport ──▶ `Desk` ──serve──▶ a `Host`: greet, answer
              ◀───────────── bytes ────────────

The partner is the caller; the music side's desk passes one question at a time to its host, while
the transport's threads wait. It refuses what has no place in the session before the host sees it.
Over the network, messages are bodies of Arrow Flight actions over mutual TLS, and each end trusts
exactly one certificate, the other's. See ``plugins/audiorec-federated/protocol.md``.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, Protocol, TypeVar

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # faults are raised as errors, not logged

import pyarrow as pa
from pyarrow import flight

from audiorec.errors import (
    InputError,
    LostPeerError,
    PeerError,
    ProtocolError,
    RefusedError,
    SpecMismatchError,
)
from audiorec.types import LineProgress
from audiorec_federated.keys import HOST, Keys, fingerprint_of
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.protocol import (
    MAX_MESSAGE,
    MAX_TEXT,
    Message,
    MessageKind,
    decode,
    encode,
    session_id,
)

ACTION = "audiorec"
LOOK_S = 0.1  # interval at which a waiting side checks for a stop
PAUSE_S = 0.5  # between two attempts to reach a lost party
PATIENCE_S = 3_600.0  # a transport's thread waits so long for the host
IN_PROCESS = ("0" * 64, "1" * 64)  # placeholders for certificates within a process
# Subject of a refusal if the other party has ended, was too slow, or has closed the session.
END, LATE, GONE = LOST = ("end", "late", "gone")
OVER = "was stopped, or has finished"
ENDED = "has closed this session: send hello first"
ECHOED = {"first", "epoch", "step", "rows", "width"}  # fields that an answer repeats
WRONG_CERTIFICATE = ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED")
Reply = tuple[MessageKind, Mapping[str, Any], bytes]
NOTED: Reply = (MessageKind.NOTED, {}, b"")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PartyRun:
    """How one party runs; of this, only the defence changes the result."""

    defence: Defence = NOTHING  # defence of the numbers that this party sends
    wait_s: float = 600.0  # seconds to wait for a lost party
    tell: LineProgress | None = None  # called with the metrics of each epoch
    # called with one line of text when the state of the connection changes
    say: Callable[[str], None] | None = None
    stop: Event | None = None  # once set, the party ends soon

    def note(self, text: str) -> None:
        """Report one line of text."""
        if self.say is not None:
            self.say(text)

    @property
    def stopped(self) -> bool:
        """Whether this party was asked to stop."""
        return self.stop is not None and self.stop.is_set()


class OutOfTurnError(Exception):
    """A question that is refused without ending the session."""


class Host(Protocol):
    """The party behind a desk; a `PeerError` or `SpecMismatchError` refuses and ends it."""

    @property
    def is_done(self) -> bool:
        """Whether everything is finished."""

    def greet(self, hello: Message, nonces: tuple[str, str]) -> None:
        """Begin a new session; what an earlier one did not finish is lost."""

    def answer(self, message: Message) -> Reply:
        """Answer a question; raise `OutOfTurnError` if it has no place now."""


class Caller:
    """The end that asks; `timeout_s` is the time limit of an answer, in seconds."""

    def __init__(self, transport: "FlightTransport", *, timeout_s: float = 60.0) -> None:
        self.transport, self.timeout_s = transport, timeout_s
        self.session = ""
        self.nonces = ("", "")  # ours, theirs
        self._number = 0

    def hello(
        self,
        purpose: str,
        *,
        settings: Mapping[str, Any] | None = None,
        alignment: str = "",
    ) -> None:
        """Open a session.

        `RefusedError` if the other side has other settings or another purpose, `ProtocolError` if
        its answer is invalid or it sees other certificates, `LostPeerError` without an answer.
        """
        nonce = secrets.token_hex(32)
        fields = {
            "purpose": purpose,
            "nonce": nonce,
            "settings": dict(settings or {}),
            "alignment": alignment,
        }
        self.session, self._number = "", 0
        question = Message(kind=MessageKind.HELLO, fields=fields)
        welcome = self._exchanged(question, MessageKind.WELCOME)
        nonces = (nonce, welcome["nonce"])
        expected = session_id(purpose, nonces, self.transport.certificates)
        if welcome.session != expected:
            raise ProtocolError(str(welcome), "the session of these two certificates", "another")
        self.session, self.nonces = expected, nonces

    def ask(
        self,
        kind: MessageKind,
        fields: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        *,
        expect: MessageKind = MessageKind.NOTED,
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
        answer = self._exchanged(question, expect)
        if answer.session != self.session:
            raise ProtocolError(str(answer), f"session {self.session}", answer.session)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def _exchanged(self, question: Message, kind: MessageKind) -> Message:
        answer = decode(self.transport.ask(encode(question), self.timeout_s))
        if answer.kind == MessageKind.REFUSED and answer["about"] in LOST:
            raise LostPeerError(f"the other party {answer['reason']}")
        if answer.kind == MessageKind.REFUSED:
            raise RefusedError(str(question), answer["reason"])
        if answer.number != question.number:
            raise ProtocolError(str(answer), f"number {question.number}", str(answer.number))
        if answer.kind != kind:
            raise ProtocolError(str(answer), f"{kind.word} after {question}", answer.kind.word)
        for name in ECHOED & answer.fields.keys() & question.fields.keys():
            if answer[name] != question[name]:
                raise ProtocolError(str(answer), f"{name} {question[name]}", str(answer[name]))
        return answer


def keep_trying(
    connect: Callable[[], Caller], talk: Callable[[Caller], T], how: PartyRun
) -> T | None:
    """Return what `talk` returns; if the other party is lost, connect and talk again.

    None if stopped meanwhile; `LostPeerError` if it cannot be reached for `PartyRun.wait_s`.
    """
    since, said = 0.0, ""
    while True:
        caller = connect()
        try:
            return talk(caller)
        except LostPeerError as error:
            now = time.monotonic()
            since = now if caller.session or not since else since
            if how.stopped:
                return None
            if now - since > how.wait_s:
                raise
            if str(error) != said:
                said = str(error)
                how.note(f"{error}; retrying for up to {how.wait_s:g} s")
        finally:
            caller.close()
        (how.stop or Event()).wait(PAUSE_S)


@dataclass(slots=True)
class _Waiting:
    """Question waiting at the desk, with the future of its answer."""

    message: Message
    reply: "Future[bytes]" = field(default_factory=Future)

    def tell(self, data: bytes) -> None:
        """Deliver an answer, unless the question was answered or its sender has given up."""
        if not self.reply.done() and self.reply.set_running_or_notify_cancel():
            self.reply.set_result(data)

    def refuse(self, reason: str, about: str = "", session: str = "") -> None:
        """Deliver a refusal."""
        self.tell(_refusal(self.message, reason, about, session))


class Desk:
    """The end that answers; `certificates` are fingerprints of the caller's and of its own."""

    def __init__(self, certificates: tuple[str, str] = IN_PROCESS) -> None:
        self.certificates = certificates
        self._session, self._last = "", 0
        self._is_closed = ""  # why
        self._inbox: SimpleQueue[_Waiting] = SimpleQueue()

    def answer(self, data: bytes, timeout_s: float = PATIENCE_S) -> bytes:
        """Answer one message; called by transports, from any thread."""
        try:
            waiting = _Waiting(decode(data))
        except ProtocolError as error:
            return _refusal(Message(kind=MessageKind.REFUSED), str(error), "a message")
        self._inbox.put(waiting)
        if self._is_closed:  # nobody will read the inbox again
            waiting.refuse(self._is_closed, END)
        try:
            return waiting.reply.result(timeout=timeout_s)
        except TimeoutError:
            waiting.reply.cancel()
            return _refusal(waiting.message, f"gave no answer within {timeout_s:g} s", LATE)

    def serve(self, host: Host, how: PartyRun) -> None:
        """Pass questions to the host until it is done.

        `LostPeerError` if none arrives within `PartyRun.wait_s`, or `PartyRun.stop` is set;
        `PeerError` or `SpecMismatchError` if the host refuses the other party.
        """
        while not host.is_done:
            waiting = self._next(how)
            message = waiting.message
            try:
                if message.kind == MessageKind.HELLO:
                    reply = self._greeted(host, message)
                elif self._is_next(waiting):
                    reply = host.answer(message)
                else:
                    continue
            except OutOfTurnError as error:
                waiting.refuse(str(error), session=self._session)
            except (PeerError, SpecMismatchError) as error:
                waiting.refuse(str(error), session=self._session)
                raise
            except BaseException:  # of no concern to the other party
                waiting.refuse(OVER, END)
                raise
            else:
                waiting.tell(_answer(message, self._session, *reply))

    def close(self, reason: str = OVER) -> None:
        """Refuse all questions, waiting and future: this side has ended."""
        self._is_closed = reason
        with suppress(Empty):
            while True:
                self._inbox.get_nowait().refuse(reason, END)

    def _greeted(self, host: Host, hello: Message) -> Reply:
        """Open the session requested by a ``hello``."""
        nonces = (hello["nonce"], secrets.token_hex(32))
        self._session = ""
        host.greet(hello, nonces)
        self._session = session_id(hello["purpose"], nonces, self.certificates)
        self._last = 0
        return MessageKind.WELCOME, {"nonce": nonces[1]}, b""

    def _is_next(self, waiting: _Waiting) -> bool:
        """Return whether a question is the next of the session; refuse it if not."""
        message, expected = waiting.message, self._last + 1
        if not self._session or message.session != self._session:
            waiting.refuse(ENDED, GONE)
        elif message.number != expected:
            wrong = "a replay" if message.number < expected else "too high"
            waiting.refuse(f"number {message.number} is {wrong}; expected {expected}")
        else:
            self._last = expected
            return True
        return False

    def _next(self, how: PartyRun) -> _Waiting:
        deadline = time.monotonic() + how.wait_s
        while not how.stopped:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LostPeerError(f"the other party has sent nothing for {how.wait_s:g} s")
            with suppress(Empty):
                waiting = self._inbox.get(timeout=min(LOOK_S, left))
                if not waiting.reply.cancelled():
                    return waiting
        raise LostPeerError("this side was asked to stop")


def _refusal(message: Message, reason: str, about: str = "", session: str = "") -> bytes:
    fields = {"about": (about or str(message))[:MAX_TEXT], "reason": reason[:MAX_TEXT]}
    return _answer(message, session, MessageKind.REFUSED, fields)


def _answer(
    to: Message, session: str, kind: MessageKind, fields: Mapping[str, Any], payload: bytes = b""
) -> bytes:
    number = to.number
    return encode(
        Message(kind=kind, session=session, number=number, fields=fields, payload=payload)
    )


class FlightTransport:
    """Transport from a caller to a desk at ``host:port``, whose certificate (PEM) is pinned."""

    def __init__(self, address: str, keys: Keys, certificate: bytes) -> None:
        self.address = address
        self._keys, self._certificate = keys, certificate
        try:
            self._client = flight.FlightClient(
                f"grpc+tls://{address}",
                tls_root_certs=certificate,
                cert_chain=keys.certificate,
                private_key=keys.key,
                override_hostname=HOST,
                generic_options=[("grpc.max_receive_message_length", MAX_MESSAGE + 4096)],
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{address}: not an address host:port: {error}") from error

    @property
    def certificates(self) -> tuple[str, str]:
        """Fingerprints of the caller's certificate and of the desk's."""
        return self._keys.fingerprint, fingerprint_of(self._certificate)

    def ask(self, data: bytes, timeout_s: float) -> bytes:
        """Send a message and return the answer.

        `LostPeerError` if none arrives within `timeout_s` or the address cannot be reached;
        `PeerError` if the other end has another certificate.
        """
        try:
            call = flight.FlightCallOptions(timeout=timeout_s)
            result = [r.body.to_pybytes() for r in self._client.do_action((ACTION, data), call)]
        except flight.FlightTimedOutError as error:
            raise LostPeerError(
                f"{self.address}: no answer within {timeout_s:g} s (timeout_s)"
            ) from error
        except (pa.ArrowException, OSError, ValueError) as error:
            # pyarrow raises transport errors of several classes.
            raise self._lost(str(error)) from error
        if len(result) != 1:
            raise PeerError(f"{self.address}: expected one answer, got {len(result)}")
        return bytes(result[0])

    def close(self) -> None:
        """Close the connection."""
        with suppress(pa.ArrowException, OSError):
            self._client.close()

    def _lost(self, said: str) -> PeerError:
        if any(text in said for text in WRONG_CERTIFICATE):
            return PeerError(
                f"{self.address}: its certificate is not the one in peer; compare fingerprints "
                "with the other party"
            )
        if "Socket closed" in said or "handshake" in said.lower():
            return LostPeerError(
                f"{self.address}: the other party closed the connection: it has ended, or our "
                "certificate is not its peer"
            )
        reason = said.splitlines()[0].rpartition(": ")[2]  # the innermost reason
        return LostPeerError(f"{self.address}: cannot be reached: {reason[:200].lower()}")


class FlightDesk(flight.FlightServerBase):  # type: ignore[misc]
    """Server that passes every message to a desk; a context manager.

    Port 0 takes any free one, see `port`. No other certificate (PEM) than the caller's is accepted.
    Raises `InputError` if it cannot listen at the address.
    """

    def __init__(self, address: str, keys: Keys, certificate: bytes) -> None:
        self.desk = Desk((fingerprint_of(certificate), keys.fingerprint))
        try:
            super().__init__(
                f"grpc+tls://{address}",
                tls_certificates=[(keys.certificate, keys.key)],
                verify_client=True,
                root_certificates=certificate,
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            said = str(error).splitlines()[0][:200]
            raise InputError(f"{address}: cannot listen on this address: {said}") from error

    def do_action(self, _context: Any, action: Any) -> "Iterator[Any]":
        """Answer a message."""
        if action.type != ACTION or len(action.body) > MAX_MESSAGE:
            # The desk refuses an empty frame and gives the reason.
            yield flight.Result(self.desk.answer(b""))
            return
        yield flight.Result(self.desk.answer(action.body.to_pybytes()))

    def __exit__(self, *exc_info: object) -> None:
        """Refuse the waiting questions, then stop listening."""
        self.desk.close()
        super().__exit__(*exc_info)


@contextmanager
def listening(address: str, keys: Keys, certificate: bytes, how: PartyRun) -> Iterator[Desk]:
    """Listen for the partner."""
    with FlightDesk(address, keys, certificate) as server:
        how.note(f"listening on {address.rpartition(':')[0]}:{server.port}")
        yield server.desk
