"""Open an address in the browser without its token in the command line of a process.

    address ──`opened`──▶ a private file that leads there ──▶ browser      removed soon after

Every user of a machine can list the command lines of all processes, so a browser gets the name of
a file that only its own user can read.
"""

import html
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT_S = 60.0  # a browser has read the file by then
PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={0}">
<title>audiorec</title>
<p><a href="{0}">Open the page</a></p>
"""


@contextmanager
def private_page(address: str) -> Iterator[Path]:
    """Yield a file that leads to an address, in a folder that only this user can read."""
    with tempfile.TemporaryDirectory(prefix="audiorec-") as folder:
        path = Path(folder) / "open.html"
        path.write_text(PAGE.format(html.escape(address)), encoding="utf-8")
        yield path


class Opener:
    """Opens addresses in a background thread, since some browsers return only when they end."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, address: str) -> None:
        """Open an address in the user's browser."""
        self._thread = threading.Thread(target=self._open, args=(address,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Remove the file, if it is still there."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def _open(self, address: str) -> None:
        with private_page(address) as path:
            webbrowser.open(path.as_uri())
            self._ended.wait(KEPT_S)
