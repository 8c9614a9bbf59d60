"""Transport over the network: Arrow Flight with mutual TLS.

    Caller ──`FlightTransport`──▶ TLS ──▶ `FlightDesk` ──▶ Desk

Each end trusts exactly one certificate, the other's. A message is the body of an action; the
answer is its only result.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # faults are raised as errors, not logged

import pyarrow as pa
from pyarrow import flight

from audiorec.errors import InputError, LostPeerError, PeerError
from audiorec.recall.federated.keys import (
    HOST,
    Keys,
    fingerprint_of,
    read_certificate,
    read_keys,
)
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.plan import PartyPlan
from audiorec.recall.federated.protocol import MAX_MESSAGE

ACTION = "audiorec"
WRONG_CERTIFICATE = ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED")


class FlightTransport:
    """Transport from a caller to a desk at a network address.

    Parameters
    ----------
    address : str
        ``host:port``.
    keys : Keys
        Key and certificate of the caller.
    certificate : bytes
        PEM certificate of the desk; no other is accepted.
    """

    is_remote = True

    def __init__(self, address: str, keys: Keys, certificate: bytes) -> None:
        self.address = address
        self._keys, self._certificate = keys, certificate
        self._client = self._connected()

    @property
    def certificates(self) -> tuple[str, str]:
        """Fingerprints of the caller's certificate and of the desk's."""
        return self._keys.fingerprint, fingerprint_of(self._certificate)

    def ask(self, data: bytes, timeout_s: float) -> bytes:
        """Send a message and return the answer.

        Raises
        ------
        LostPeerError
            If none arrives within `timeout_s`, or the address cannot be reached.
        PeerError
            If the other end has another certificate.
        """
        try:
            call = flight.FlightCallOptions(timeout=timeout_s)
            found = [r.body.to_pybytes() for r in self._client.do_action((ACTION, data), call)]
        except flight.FlightTimedOutError as error:
            raise LostPeerError(
                f"{self.address}: no answer within {timeout_s:g} s (timeout_s)"
            ) from error
        except (pa.ArrowException, OSError, ValueError) as error:
            # pyarrow raises transport errors of several classes.
            raise self._lost(str(error)) from error
        if len(found) != 1:
            raise PeerError(f"{self.address}: expected one answer, got {len(found)}")
        return bytes(found[0])

    def close(self) -> None:
        """Close the connection."""
        with suppress(pa.ArrowException, OSError):
            self._client.close()

    def _connected(self) -> Any:
        try:
            return flight.FlightClient(
                f"grpc+tls://{self.address}",
                tls_root_certs=self._certificate,
                cert_chain=self._keys.certificate,
                private_key=self._keys.key,
                override_hostname=HOST,
                generic_options=[("grpc.max_receive_message_length", MAX_MESSAGE + 4096)],
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self.address}: not an address host:port: {error}") from error

    def _lost(self, said: str) -> PeerError:
        if any(text in said for text in WRONG_CERTIFICATE):
            return PeerError(
                f"{self.address}: its certificate is not the one in peers; compare fingerprints "
                "with the other party"
            )
        if "Socket closed" in said or "handshake" in said.lower():
            return LostPeerError(
                f"{self.address}: the other party closed the connection: it has ended, or our "
                "certificate is not among its peers"
            )
        reason = said.splitlines()[0].rpartition(": ")[2]  # the innermost reason
        return LostPeerError(f"{self.address}: cannot be reached: {reason[:200].lower()}")


class FlightDesk(flight.FlightServerBase):  # type: ignore[misc]
    """Server that passes every message to a desk; a context manager.

    Parameters
    ----------
    address : str
        ``host:port``; port 0 takes any free one, see `port`.
    desk : Desk
    keys : Keys
        Key and certificate of the desk.
    certificate : bytes
        PEM certificate of the caller; no other is accepted.

    Raises
    ------
    InputError
        If it cannot listen there.
    """

    def __init__(self, address: str, desk: Desk, keys: Keys, certificate: bytes) -> None:
        self.desk = desk
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
def listening(
    plan: PartyPlan, say: Callable[[str], None] | None, stop: Event | None
) -> Iterator[Desk]:
    """Listen at an item side's address for the partner."""
    keys, peer = read_keys(plan.keys), read_certificate(Path(plan.peers[0]))
    prints = (fingerprint_of(peer), keys.fingerprint)
    desk = Desk(certificates=prints, timeout_s=plan.timeout_s, stop=stop)
    with FlightDesk(plan.addresses[0], desk, keys, peer) as server:
        host = plan.addresses[0].rpartition(":")[0]
        if say is not None:
            say(f"listening on {host}:{server.port}")
        yield desk


@contextmanager
def connected(plan: PartyPlan) -> Iterator[Sequence[Caller]]:
    """Connect to every item side."""
    callers = callers_of(plan)
    try:
        yield callers
    finally:
        for caller in callers:
            caller.close()


def callers_of(plan: PartyPlan) -> list[Caller]:
    """Return a caller without a session for every item side."""
    keys = read_keys(plan.keys)
    pairs = zip(plan.addresses, plan.peers, strict=True)
    return [
        Caller(
            FlightTransport(address, keys, read_certificate(Path(peer))), timeout_s=plan.timeout_s
        )
        for address, peer in pairs
    ]
