"""``extract --watch --sync``: after each batch, ``audiorec sync`` in a process of its own.

    keep_watching ──after a batch──▶ `SyncBeside` ──▶ audiorec sync SERVER --vectors STORE

A server that is slow or hangs holds up its sync alone: songs go on coming into the store, and what
ends the watch ends the sync.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from audiorec.players.settings import read_servers
from audiorec_cli.shared.console import Exit, say

LOG = "plays.parquet"  # beside a store
PATIENCE_S = 2.0  # for a sync that is told to end


class SyncBeside:
    """A listener of a watch that syncs after its batches; never two syncs at once.

    Parameters
    ----------
    servers : sequence of str
        Servers of the user's own settings.
    store : Path
        The store that is watched; the log is beside it.

    Raises
    ------
    InputError
        If a server is not in the settings.
    """

    def __init__(self, servers: Sequence[str], store: Path) -> None:
        read_servers(servers)
        self._store = store
        log = str(store.with_name(LOG))
        words = [*servers, "--vectors", str(store), "--out", log, "--json", "--quiet"]
        self._command = [sys.executable, "-m", "audiorec_cli.main", "sync", *words]
        self._thread = threading.Thread(target=self._syncs, daemon=True)
        self._due, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_over = False

    def __call__(self) -> None:
        """Sync now, or once the present sync has ended; there may be no song yet."""
        if self._store.exists():
            self._due.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_over = True
            if self._process is not None:
                self._process.terminate()
        self._due.set()
        self._thread.join(PATIENCE_S)

    def _syncs(self) -> None:
        while self._due.wait() and not self._is_over:
            self._due.clear()
            self._sync()

    def _sync(self) -> None:
        """Run one sync and say what it changed; what fails is a warning, the next may succeed."""
        pipe: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with self._lock:
            if self._is_over:
                return
            self._process = subprocess.Popen(self._command, **pipe)  # noqa: S603
        answer, told = self._process.communicate()
        if self._is_over:
            return
        if self._process.returncode not in (Exit.OK, Exit.SOME_FAILED):
            why = told.strip().rpartition("\n")[2].removeprefix("error: ")
            say(f"warning: not in step: {why or f'exit code {self._process.returncode}'}")
            return
        for one in json.loads(answer)["servers"]:
            lists = sum(c["action"] != "unchanged" for of in one["lists"].values() for c in of)
            plays = one["new"]["plays"]
            say(f"{one['server']}: {lists} lists changed, {plays} rows of plays are new")
            for who, why in one["failed"].items():
                say(f"warning: {one['server']}: {who}: {why}")
