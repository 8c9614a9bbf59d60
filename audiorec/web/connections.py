"""Connections of both servers: at most so many, and none that waits without an end.

    new connection ──`Crowd.admit`──▶ one more; beyond the limits the oldest idle one is closed

uvicorn waits for headers, and for clients that do not read, indefinitely: a few hundred clients
that send one byte a minute, or nothing at all, could occupy all connections. Here a client has a
time limit for its headers and for reading, and one address has at most half of the connections.
"""

import asyncio
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from audiorec.web.access import KEYED
from audiorec.web.limits import RequestLimits, address_of

READ_S = 30.0  # a client that reads nothing of an answer for this long is gone


class Crowd:
    """The connections of a server, by address, the least recently used first.

    Parameters
    ----------
    most : int
        Connections at once; one address has at most half of them.
    dropped : callable
        Called with the address of each connection that is closed to keep the limits.
    """

    def __init__(self, most: int, dropped: Callable[[str], object]) -> None:
        self._most, self._dropped = most, dropped
        self._by_address: dict[str, dict[CountedProtocol, None]] = {}

    def admit(self, new: "CountedProtocol") -> None:
        """Add a connection; if that is one too many, close an idle one, or else the new one."""
        own = self._by_address.setdefault(new.address, {})
        own[new] = None
        if len(own) > max(1, self._most // 2):
            self._drop_one(own, new)
        elif sum(map(len, self._by_address.values())) > self._most:
            self._drop_one(max(self._by_address.values(), key=len), new)

    def used(self, one: "CountedProtocol") -> None:
        """Note that a connection was used."""
        own = self._by_address.get(one.address, {})
        if one in own:
            del own[one]
            own[one] = None

    def forget(self, one: "CountedProtocol") -> None:
        """Remove a connection that has ended."""
        own = self._by_address.get(one.address, {})
        own.pop(one, None)
        if not own:
            self._by_address.pop(one.address, None)

    def _drop_one(self, among: "dict[CountedProtocol, None]", new: "CountedProtocol") -> None:
        one = next((one for one in among if one.is_idle and one is not new), new)
        self.forget(one)
        one.transport.abort()
        self._dropped(one.address)


class CountedProtocol(H11Protocol):
    """uvicorn's protocol, whose connections are counted and have time limits."""

    crowd: Crowd
    headers_s: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start to wait for headers."""
        self._overdue: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self.address = address_of(self.client)
        self._wait_for_headers()
        self.crowd.admit(self)

    def data_received(self, data: bytes) -> None:
        """Pass data on, and note whether the headers are complete."""
        self.crowd.used(self)
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:  # data arrived, but not complete headers
            if self._overdue is None and data:
                self._wait_for_headers()
        else:
            self._overdue = self._stop(self._overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.crowd.forget(self)
        self._overdue, self._unread = self._stop(self._overdue), self._stop(self._unread)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start to wait for a client that does not read; a player may pause for longer."""
        super().pause_writing()
        if self.scope is None or not self.scope["path"].startswith(KEYED):
            self._unread = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting."""
        self._unread = self._stop(self._unread)
        super().resume_writing()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        self._overdue = self.loop.call_later(self.headers_s, self.transport.close)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
        """Stop a timer; return None in its place."""
        if timer is not None:
            timer.cancel()
        return None


def counted_protocol(
    limits: RequestLimits, dropped: Callable[[str], object]
) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol class with limits.

    Parameters
    ----------
    limits : RequestLimits
        ``connections``; ``seconds`` from opening a connection, or the first byte of a later
        request, to the end of the headers.
    dropped : callable
        Called with the address of each connection that is closed to keep the limits.
    """
    crowd = Crowd(limits.connections, dropped)
    return type("Protocol", (CountedProtocol,), {"crowd": crowd, "headers_s": limits.seconds})
