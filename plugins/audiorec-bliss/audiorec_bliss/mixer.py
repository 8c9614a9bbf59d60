"""``bliss-mixer``: the mixer that Lyrion's plugin BlissMixer starts, on an audiorec store.

It accepts the plugin's arguments. ``--db`` names a store (or a link to one), otherwise
``$AUDIOREC_VECTORS`` does. There is no token, so by default it listens on this machine only.
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
from audiorec_cli.shared.inputs import ENVIRONMENT

PORT = 12_000
LMS_PORT = 9000
LEVELS = ("trace", "debug", "info", "warn", "error")
TELL_S = 10.0  # timeout of telling Lyrion the port
PARQUET = b"PAR1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve mixes until stopped; an error is one line on stderr."""
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
    parser.add_argument("-l", "--logging", default="warn", choices=LEVELS, help="log level")
    parser.add_argument("-L", "--lms", default="", help="Lyrion's host, to report the port to")
    parser.add_argument("-u", "--upload", action="store_true", help="not supported: see the docs")
    return parser


def _serve(given: argparse.Namespace) -> None:
    from audiorec.runs.workers import one_thread_each
    from audiorec.web.apis.snapshot import SnapshotSources
    from audiorec.web.limits import RequestLimits
    from audiorec.web.server import serve_apis
    from audiorec_bliss.api import routes

    one_thread_each()

    if given.upload:
        raise InputError(
            "--upload is not supported; to make the store to serve: audiorec extract FOLDER"
        )
    quiet = LEVELS.index(given.logging) > LEVELS.index("info")
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO)
    serve_apis(
        SnapshotSources(store_of(Path(given.db))),
        "",
        host=given.address,
        port=0 if given.lms else given.port,
        limits=RequestLimits(rate=0.0),
        routes=routes(),
        write=_dropped if quiet else None,
        ready=_teller(given.lms),
        ends_process=True,
    )


def store_of(path: Path) -> Path:
    """Return the store to serve: the file itself, or else the one named by the environment.

    Links are resolved, so that the files beside the store are found.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return path.resolve()
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    there = "not a store of audiorec" if path.exists() else "no such file"
    raise InputError(
        f"{path}: {there}; make it a link to a store (ln -sf vecs.parquet {path.name}), or set "
        f"{ENVIRONMENT}"
    )


def _teller(lms: str) -> Callable[[str], None]:
    """Return a callback that reports the port to Lyrion, which its plugin waits for."""

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
        say(f"note: {url}: cannot report the port {port}: {error}")


def _dropped(_: str) -> None:
    """Discard a line of the log."""


if __name__ == "__main__":
    main()
