"""``bliss-mixer``: what Lyrion's plugin BlissMixer starts, over a store of audiorec.

It takes the arguments that the plugin gives. ``--db`` names a store (or a link to one), or else
``$AUDIOREC_VECTORS`` does; there is no token, so by default nobody but this machine can ask.
"""

import argparse
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from audiorec.errors import AudiorecError, InputError
from audiorec_cli.shared.console import exit_code, say
from audiorec_cli.shared.stores import ENVIRONMENT

PORT = 12_000
LMS_PORT = 9000
LEVELS = ("trace", "debug", "info", "warn", "error")
TELL_S = 10.0  # for Lyrion to take the number of the port
PARQUET = b"PAR1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve mixes until told to stop; what is wrong is one line on stderr."""
    given = _parser().parse_args(arguments)
    try:
        _serve(given)
    except AudiorecError as error:
        say(f"error: {error}")
        sys.exit(exit_code(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bliss-mixer", description="Mixes of an audiorec store.")
    parser.add_argument("-d", "--db", default="bliss.db", help="the store (%(default)s)")
    parser.add_argument("-p", "--port", type=int, default=PORT, help="port (%(default)s)")
    parser.add_argument("-a", "--address", default="127.0.0.1", help="address (%(default)s)")
    parser.add_argument("-l", "--logging", default="warn", choices=LEVELS, help="how much is said")
    parser.add_argument("-L", "--lms", default="", help="Lyrion's host, to be told the port")
    parser.add_argument("-u", "--upload", action="store_true", help="is not done: see the docs")
    return parser


def _serve(given: argparse.Namespace) -> None:
    from audiorec.web.doors.threads import one_thread_each

    one_thread_each()
    from audiorec.web.doors.limits import DoorLimits
    from audiorec.web.doors.server import serve_doors
    from audiorec.web.doors.snapshot import SnapshotSources

    if given.upload:
        raise InputError(
            "a database is not taken: audiorec extract FOLDER makes the store that is served"
        )
    quiet = LEVELS.index(given.logging) > LEVELS.index("info")
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO)
    serve_doors(
        SnapshotSources(store_of(Path(given.db))),
        "",
        host=given.address,
        port=0 if given.lms else given.port,
        limits=DoorLimits(rate=0.0),
        only_bliss=True,
        write=_dropped if quiet else None,
        ready=_teller(given.lms),
    )


def store_of(path: Path) -> Path:
    """Return the store that is meant: the file itself, or else that of the environment.

    A link is followed, so that the files beside the store are found.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return path.resolve()
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    there = "is no store of audiorec" if path.exists() else "is not there"
    raise InputError(
        f"{path}: {there}; make it a link to one (ln -sf vecs.parquet {path.name}), or set "
        f"{ENVIRONMENT}"
    )


def _teller(lms: str) -> Callable[[str], None]:
    """Return what tells Lyrion the port, as its plugin waits for."""

    def ready(address: str) -> None:
        print(address, flush=True)
        if lms:
            tell_lyrion(f"http://{lms}:{LMS_PORT}/jsonrpc.js", int(address.rsplit(":", 1)[1][:-1]))

    return ready


def tell_lyrion(url: str, port: int) -> None:
    """Tell Lyrion's plugin which port the mixer listens on."""
    command = ["blissmixer", "port", f"number:{port}"]
    body = json.dumps({"id": 1, "method": "slim.request", "params": ["", command]})
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - http, by us
    try:
        with urllib.request.urlopen(request, timeout=TELL_S):  # noqa: S310
            return
    except (urllib.error.URLError, OSError) as error:
        say(f"note: {url} could not be told the port {port}: {error}")


def _dropped(_: str) -> None:
    """Take a line of the log that nobody wants."""


if __name__ == "__main__":
    main()
