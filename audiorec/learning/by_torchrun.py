"""Launch training in several processes of this machine, managed by torch's elastic agent.

    by_torchrun ──a child──▶ `launch`: the agent ──▶ `work` × N     messages: files in a folder

The agent is a separate process in a separate session: Ctrl-C goes to the launcher only, which does
not load torch. If a process dies, the agent ends the others and restarts all. If the launcher dies,
all of them end.

On several machines, start ``torchrun`` itself on each of them (``docs/processes.md``).
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

from audiorec.errors import LostProcessError
from audiorec.learning.launch import (
    POLL_S,
    RESTARTS,
    LaunchedCall,
    Message,
    Messages,
    Remark,
    run_part,
)
from audiorec.runs.imports import clean_environment, trusted_path
from audiorec.runs.workers import ONE_THREAD
from audiorec.types import LineProgress

END_S = 40.0  # the agent gives its processes 30 seconds to end
# Code of a child process: sets the import path before anything is imported.
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from audiorec.learning.by_torchrun import {0}; {0}()"
)


def by_torchrun(
    task: LaunchedCall,
    processes: int,
    *,
    stop: Event | None = None,
    tell: LineProgress | None = None,
    remark: Remark | None = None,
    restarts: int = RESTARTS,
) -> Any:
    """Run a task in several processes of this machine; return the result of the first one.

    Parameters
    ----------
    task : LaunchedCall
    processes : int
    stop : Event, optional
        Once set, the task is told to stop.
    tell, remark : callable, optional
        As for `Messages`.
    restarts : int
        Maximum number of restarts of all processes after one has died.

    Raises
    ------
    AudiorecError
        The error that the task raised.
    LostProcessError
        If processes died more than `restarts` times.
    """
    heard = Messages(tell, remark, restarts)
    with tempfile.TemporaryDirectory(prefix="audiorec-train-") as name:
        folder = Path(name)
        about = {"processes": processes, "restarts": restarts, "folder": name, **task.to_json()}
        agent = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _command("launch", about),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if sys.stderr else subprocess.DEVNULL,
            env={**ONE_THREAD, **clean_environment()},
            start_new_session=True,
        )
        places: dict[Path, int] = {}
        try:
            while agent.poll() is None:
                if stop is not None and stop.is_set():
                    (folder / "stop").touch()
                _hear(folder, places, heard)
                with suppress(subprocess.TimeoutExpired):
                    agent.wait(POLL_S)
            _hear(folder, places, heard)
        finally:
            _end(agent)
    return heard.result()


def launch() -> None:
    """Run the agent: entry point of the child process of `by_torchrun`."""
    about = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)  # errors are reported by the launcher
    # Otherwise restarted processes read the addresses of those that have died.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=about["processes"],
        logs_specs=DefaultLogsSpecs(log_dir=str(Path(about["folder"]) / "log")),
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=about["restarts"],
        monitor_interval=0.1,
        local_addr="localhost",
    )
    _watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    program, *words = _command("work", about)
    try:
        elastic_launch(config, program)(*words)
    except (ChildFailedError, SignalException):
        sys.exit(1)


def work() -> None:
    """Run one training process: entry point of the agent's children."""
    about = json.loads(sys.argv[1])
    _watch_parent(lambda: os._exit(1))
    rank = int(os.environ["RANK"])
    task = LaunchedCall(about["target"], about["arguments"])
    try:
        run_part(task, _FolderWire(Path(about["folder"]), rank), rank=rank)
    except LostProcessError:
        sys.exit(1)


class _FolderWire:
    """Wire that appends messages to a file in a local folder, one file per process."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._own = folder, folder / f"rank-{rank}.jsonl"

    def send(self, message: Message) -> None:
        with self._own.open("a", encoding="utf-8") as file:
            # Start on a new line, since a killed process may have left a partial one.
            file.write(f"\n{json.dumps(message, default=str)}\n")
        if "answer" in message:
            (self._folder / "answered").touch()

    def is_stopped(self) -> bool:
        return (self._folder / "stop").exists()

    def is_answered(self) -> bool:
        return (self._folder / "answered").exists()


def _hear(folder: Path, places: dict[Path, int], heard: Messages) -> None:
    """Process the complete lines written since the last call."""
    for path in sorted(folder.glob("rank-*.jsonl")):
        content = path.read_bytes()[places.get(path, 0) :]
        whole = content[: content.rfind(b"\n") + 1]
        places[path] = places.get(path, 0) + len(whole)
        for line in whole.splitlines():
            with suppress(ValueError):
                if line:
                    heard.take(json.loads(line))


def _command(function: str, about: dict[str, Any]) -> list[str]:
    flags = ["-X", f"utf8={sys.flags.utf8_mode}", *(["-B"] if sys.dont_write_bytecode else [])]
    start = _START.format(function)
    return [sys.executable, "-I", *flags, "-c", start, json.dumps(about), *trusted_path()]


def _end(agent: "subprocess.Popen[bytes]") -> None:
    """End the agent and its processes."""
    if agent.poll() is None:
        agent.terminate()
        try:
            agent.wait(END_S)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _watch_parent(end: "Any") -> None:
    """Call `end` once the parent process is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        end()

    threading.Thread(target=watch, daemon=True).start()
