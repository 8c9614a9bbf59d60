"""Run an application on a port until a signal ends it; the same for both servers.

    host, port ──`listening`──▶ socket ──`serve_until_ended`──▶ answers      SIGINT, SIGTERM ▶ ends

The port is bound before the server starts, so that two servers never compete for it, and the
address is reported once requests are answered.

    new connection ──`Crowd.admit`──▶ one more; beyond the limits the oldest idle one is closed

uvicorn waits for headers, and for clients that do not read, indefinitely: a few hundred clients
that send one byte a minute, or nothing at all, could occupy all connections. Here a client has a
time limit for its headers and for reading, and one address has at most half of the connections.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from audiorec.errors import InputError
from audiorec.web.gate import KEYED, Application, Gate
from audiorec.web.limits import RequestLimits, address_of

READ_S = 30.0  # a client that reads nothing of an answer for this long is gone


class Crowd:
    """The connections of a server, the least recently used first.

    Parameters
    ----------
    most : int
        Connections at once; one address has at most half of them.
    dropped : callable
        Called with the address of each connection that is closed to keep the limits.
    """

    def __init__(self, most: int, dropped: Callable[[str], object]) -> None:
        self._most, self._dropped = most, dropped
        self._all: dict[CountedProtocol, None] = {}

    def admit(self, new: "CountedProtocol") -> None:
        """Add a connection; if that is one too many, close an idle one, or else the new one."""
        self._all[new] = None
        held = Counter(one.address for one in self._all)
        crowded = new.address if held[new.address] > max(1, self._most // 2) else ""
        if len(self._all) > self._most:
            crowded = crowded or held.most_common(1)[0][0]
        if crowded:
            idle = (one for one in self._all if one.address == crowded and one.is_idle)
            one = next((one for one in idle if one is not new), new)
            self.forget(one)
            one.transport.abort()
            self._dropped(one.address)

    def used(self, one: "CountedProtocol") -> None:
        """Note that a connection was used."""
        if one in self._all:
            del self._all[one]
            self._all[one] = None

    def forget(self, one: "CountedProtocol") -> None:
        """Remove a connection."""
        self._all.pop(one, None)


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


GRACE_S = 1  # on a signal, for requests in progress
END_S = 1.3  # then the process ends, whatever is in progress
CLOSE_S = 0.2  # after that, for temporary files
SWITCH_S = 0.0005  # thread switch interval: short, so that computing does not delay I/O
KEEP_ALIVE_S = 75  # longer than proxies keep a connection open


def serve_until_ended(
    application: Application,
    listener: socket.socket,
    gate: Gate,
    *,
    ready: Callable[[], object],
    close: Callable[[], object],
    ends_process: bool,
) -> None:
    """Serve until a signal; requests in progress then have a second to be answered.

    Parameters
    ----------
    application : callable
        An ASGI application, behind `gate`.
    listener : socket
        See `listening`.
    gate : Gate
    ready : callable
        Called once requests are answered.
    close : callable
        Called at the end, in any case: removes temporary files, ends child processes.
    ends_process : bool
        End the process within two seconds of the first signal, even if threads still work: they
        cannot be stopped, and Python waits for them.
    """
    import uvicorn

    class Ended(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                await asyncio.to_thread(ready)

        def handle_exit(self, sig: int, frame: Any) -> None:
            if ends_process and not self.should_exit:
                threading.Thread(target=_end_in_time, args=(close,), daemon=True).start()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        application,
        http=counted_protocol(gate.limits, gate.dropped),
        ws="none",
        lifespan="off",
        log_level="critical",  # the gate logs requests and bugs
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # No limit_concurrency: it would refuse everybody once one client has all connections.
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    sys.setswitchinterval(SWITCH_S)
    try:
        with ended_by(signal.SIGINT, signal.SIGTERM):
            Ended(config).run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        close()


def _end_in_time(close: Callable[[], object]) -> None:
    time.sleep(END_S)
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(CLOSE_S)
    os._exit(0)


@contextmanager
def ended_by(*signals: int) -> Iterator[None]:
    """Turn signals into `KeyboardInterrupt`, so that temporary files are removed.

    uvicorn handles them while it serves, and then re-raises them for the previous handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, end) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise `InputError` if that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: asyncio sets TCP_NODELAY only on sockets that it knows to be TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, TypeError, UnicodeError) as error:  # the last two: an invalid host name
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"cannot listen on {host}, port {port}: {reason}") from error
    return listener


def address_of_listener(host: str, listener: socket.socket) -> str:
    """Return the address at which a browser finds a server."""
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{listener.getsockname()[1]}/"
