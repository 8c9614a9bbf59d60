"""Close connections whose request headers do not arrive in time.

uvicorn waits for headers indefinitely, so a few hundred clients that send one byte a minute could
occupy all connections.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_protocol(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol class with a timeout for headers.

    Parameters
    ----------
    seconds : float
        Limit from opening the connection, or the first byte of a later request, to the end of the
        headers.
    """

    class PatientProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.overdue: asyncio.TimerHandle | None = None
            super().connection_made(transport)
            self._wait_for_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:  # data arrived, but not complete headers
                if self.overdue is None and data:
                    self._wait_for_headers()
            else:
                self._headers_are_there()

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers_are_there()
            super().connection_lost(exc)

        def _wait_for_headers(self) -> None:
            self.overdue = self.loop.call_later(seconds, self._let_go)

        def _headers_are_there(self) -> None:
            if self.overdue is not None:
                self.overdue.cancel()
                self.overdue = None

        def _let_go(self) -> None:
            self.overdue = None
            if not self.transport.is_closing():
                self.transport.close()

    return PatientProtocol
