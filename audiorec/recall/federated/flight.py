"""Messages over the network: Arrow Flight with a certificate on both sides.

    Caller ──`FlightTransport`──▶ TLS ──▶ `FlightDesk` ──▶ Desk

Each end trusts exactly one certificate of the other's. A message is the body of an action, the
answer its one result.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is an error, not a line of a log

import pyarrow as pa
from pyarrow import flight

from audiorec.errors import InputError, LostPeerError, PeerError
from audiorec.recall.federated.keys import HOST, Keys, fingerprint_of
from audiorec.recall.federated.link import Desk
from audiorec.recall.federated.protocol import MAX_MESSAGE

ACTION = "audiorec"
WRONG_CERTIFICATE = ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED")


class FlightTransport:
    """The way from a caller to a desk at an address.

    Parameters
    ----------
    address : str
        ``host:port``.
    keys : Keys
        Of the caller.
    certificate : bytes
        PEM of the desk: nobody else is spoken to.
    """

    is_remote = True

    def __init__(self, address: str, keys: Keys, certificate: bytes) -> None:
        self.address = address
        self._keys, self._certificate = keys, certificate
        self._client = self._connected()

    @property
    def certificates(self) -> tuple[str, str]:
        """Fingerprints of the own certificate and of the other's."""
        return self._keys.fingerprint, fingerprint_of(self._certificate)

    def ask(self, data: bytes, timeout_s: float) -> bytes:
        """Send a message and return the answer.

        Raises
        ------
        LostPeerError
            If there is none within `timeout_s`, or nobody at the address.
        PeerError
            If whoever is there has another certificate.
        """
        try:
            call = flight.FlightCallOptions(timeout=timeout_s)
            found = [r.body.to_pybytes() for r in self._client.do_action((ACTION, data), call)]
        except flight.FlightTimedOutError as error:
            raise LostPeerError(
                f"{self.address}: no answer within {timeout_s:g} s (timeout_s)"
            ) from error
        except (pa.ArrowException, OSError, ValueError) as error:
            # The ones of pyarrow, whatever class they are.
            raise self._lost(str(error)) from error
        if len(found) != 1:
            raise PeerError(f"{self.address}: one answer expected, got {len(found)}")
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
            raise InputError(f"{self.address}: not an address as host:port: {error}") from error

    def _lost(self, said: str) -> PeerError:
        if any(text in said for text in WRONG_CERTIFICATE):
            return PeerError(
                f"{self.address}: whoever answers there has another certificate than the one in "
                "peers; compare fingerprints with the other party"
            )
        if "Socket closed" in said or "handshake" in said.lower():
            return LostPeerError(
                f"{self.address}: the other party closed the connection: it has ended, or does "
                "not have our certificate among its peers"
            )
        reason = said.splitlines()[0].rpartition(": ")[2]  # the innermost of several
        return LostPeerError(f"{self.address}: cannot be reached: {reason[:200].lower()}")


class FlightDesk(flight.FlightServerBase):  # type: ignore[misc]
    """Listens at an address and hands every message to a desk; a context manager.

    Parameters
    ----------
    address : str
        ``host:port``; port 0 takes any free one, see `port`.
    desk : Desk
    keys : Keys
        Of the desk.
    certificate : bytes
        PEM of the caller: nobody else gets in.

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
            raise InputError(f"{address}: cannot listen there: {said}") from error

    def do_action(self, _context: Any, action: Any) -> "Iterator[Any]":
        """Answer a message."""
        if action.type != ACTION or len(action.body) > MAX_MESSAGE:
            # A frame that the desk refuses, with its reason.
            yield flight.Result(self.desk.answer(b""))
            return
        yield flight.Result(self.desk.answer(action.body.to_pybytes()))

    def __exit__(self, *exc_info: object) -> None:
        """Stop listening; questions that wait are refused first."""
        self.desk.close()
        super().__exit__(*exc_info)
