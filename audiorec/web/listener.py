"""Run an application on a port until a signal ends it; the same for both servers.

    host, port ──`listening`──▶ socket ──`serve_until_ended`──▶ answers      SIGINT, SIGTERM ▶ ends

The port is bound before the server starts, so that two servers never compete for it, and the
address is reported once requests are answered.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from audiorec.errors import InputError
from audiorec.web.access import Application
from audiorec.web.gate import Gate

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

    from audiorec.web.connections import counted_protocol

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
