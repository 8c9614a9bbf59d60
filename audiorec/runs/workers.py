"""Disposable worker processes, and Ray: one item in, one answer out; a crash costs one item.

    items ──joblib threads──▶ Workers.ask(item) ──pipe──▶ child: handler(item) ──▶ answers

Native decoders crash, hang and exhaust memory. Each item is therefore handled in a child process
that may die: the parent knows which item the child was processing, reports it as failed, starts a
new child and continues. joblib schedules the items over threads, each of which owns one child, so
that ``jobs=1`` is as safe as ``jobs=16``, and answers are yielded as they complete.
"""

import contextlib
import faulthandler
import importlib
import logging
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any

from audiorec.errors import AudiorecError, Failure, import_extra
from audiorec.runs.imports import (
    OWN_FOLDER,
    clean_environment,
    clean_start,
    start_lightly,
    trusted_path,
)

ITEMS_PER_CHILD = 500  # then a fresh child, to bound memory leaks of native libraries
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# glibc: what a song frees serves the next one, and is not given back and cleared in between.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}
PARENT_CHECK_S = 1.0
GRACE_S = 60.0  # an orphaned child exits this long after its time limit
MAX_TIMER_S = 1e6  # limit of the C timer
# Program of a child: sys.path is set first, before anything is imported.
_START = "import sys; sys.path[:] = sys.argv[4:]; from audiorec.runs.workers import main; main()"
_HEADER = struct.Struct("<Q")  # length of the pickled frame that follows, in bytes


def one_thread_each() -> None:
    """Make numpy compute in the calling thread, before it is loaded; set variables are kept.

    Requests of a server are many and small. With one BLAS thread per core, eight clients took three
    times the CPU time, because the threads spin while they wait for each other
    (``benchmarks/speed/bench_serve.py``). A command whose workers compute would only start them.
    """
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of one item.

    Attributes
    ----------
    item : object
        The item as given.
    value : object
        Return value of the handler, or None.
    error : AudiorecError or None
        The error that the handler raised on purpose.
    failure : Failure or None
        ``crashed``, ``timeout`` or ``oom`` if the child died before answering; ``crashed``
        also for an unexpected exception.
    message : str
        Cause of a failure, in one line.
    wall_s : float
        Seconds from request to answer.
    """

    item: Any
    value: Any = None
    error: AudiorecError | None = None
    failure: Failure | None = None
    message: str = ""
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one item; a child that exceeds them is killed."""

    timeout_s: float = 900.0  # wall-clock seconds
    memory_bytes: int = 4 << 30  # address space of a child; 0 for no limit


class Workers:
    """A pool of disposable child processes that all run the same handler.

    Parameters
    ----------
    factory : str
        ``package.module:function``; called once in each child with `arguments`, it returns
        the handler, which is called with each item.
    arguments : tuple
        Picklable arguments of the factory.
    jobs : int
        Number of children, each single-threaded.
    limits : Limits
    """

    def __init__(
        self,
        factory: str,
        arguments: tuple[Any, ...] = (),
        *,
        jobs: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self._setup = pickle.dumps((factory, arguments))
        self._jobs = jobs
        self._limits = limits or Limits()
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        self._children: set[_Child] = set()
        self._closed = False

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def map(self, items: Iterable[Any]) -> Iterator[Answer]:
        """Yield one `Answer` per item, in input order; otherwise like `map_unordered`."""
        return self._answers(items, "generator")

    def map_unordered(self, items: Iterable[Any]) -> Iterator[Answer]:
        """Yield one `Answer` per item, as they complete.

        `items` is consumed lazily, a few ahead of the work: if it ends early, only the items in
        flight are still answered.
        """
        return self._answers(items, "generator_unordered")

    def _answers(self, items: Iterable[Any], order: str) -> Iterator[Answer]:
        if self._jobs == 1:  # nothing to schedule; importing joblib takes 0.1 CPU-seconds
            yield from map(self.ask, items)
            return
        from joblib import Parallel, delayed

        parallel = Parallel(
            n_jobs=self._jobs,
            backend="threading",
            return_as=order,
            pre_dispatch=self._jobs,
            batch_size=1,
        )
        answers = parallel(delayed(self.ask)(item) for item in items)
        try:
            for answer in answers:  # noqa: UP028 - `yield from` would close it with a warning
                yield answer
        finally:
            with warnings.catch_warnings():  # joblib warns about items in flight; intended here
                warnings.simplefilter("ignore")
                answers.close()

    def ask(self, item: Any) -> Answer:
        """Process one item and return its answer; thread-safe."""
        started = time.monotonic()
        child = self._take()
        try:
            answer = child.ask(item, self._limits.timeout_s)
        except BaseException:  # e.g. Ctrl-C: the late answer would be taken for the next item's
            self._end(child)
            raise
        if child.alive and child.asked < ITEMS_PER_CHILD:
            self._idle.put(child)
        else:
            self._end(child)
        return replace(answer, wall_s=time.monotonic() - started)

    def close(self) -> None:
        """Kill all children at once; items in flight are abandoned."""
        self._closed = True
        for child in tuple(self._children):
            child.kill()
        self._children.clear()

    def _end(self, child: "_Child") -> None:
        child.kill()
        self._children.discard(child)

    def _take(self) -> "_Child":
        with contextlib.suppress(queue.Empty):
            while True:
                child = self._idle.get_nowait()
                if child.is_running:  # else killed from outside while idle: no item's fault
                    return child
                self._end(child)
        child = _Child(self._setup, self._limits)
        self._children.add(child)
        if self._closed:  # closed while this thread was starting the child
            child.kill()
        return child


class _Child:
    """One child process and the pipe to it.

    It is a fresh Python that runs `main`, not a fork or a re-import of the caller's script, so a
    notebook, or a script without a ``__main__`` guard, can start a run. It has its parent's module
    search path without the current folder (`audiorec.runs.imports`).
    """

    def __init__(self, setup: bytes, limits: Limits) -> None:
        about = [os.getpid(), limits.memory_bytes, limits.timeout_s]
        self.asked = 0
        self.alive = True
        self._timed_out = False
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, *_flags(), "-c", _START, *map(str, about), *trusted_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if sys.stderr else subprocess.DEVNULL,  # sys.stderr is None if closed
            env={**_MEMORY, **clean_environment(), **ONE_THREAD},
            start_new_session=True,  # only the parent handles Ctrl-C in the terminal
        )
        self._unsent: bytes | None = setup

    def ask(self, item: Any, timeout_s: float) -> Answer:
        """Send `item` and wait for the answer; if the child dies, return the cause."""
        self.asked += 1
        timer = threading.Timer(timeout_s, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            kind, value = self._exchange(item)
        except (EOFError, OSError):
            failure, message = self._cause_of_death(timeout_s)
            return Answer(item, failure=failure, message=message)
        finally:
            timer.cancel()
        if kind == "value":
            return Answer(item, value=value)
        if kind == "error":
            return Answer(item, error=value)
        self.alive = False  # after an unexpected exception the child's state cannot be trusted
        return Answer(item, failure=Failure(kind), message=value)

    @property
    def is_running(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and close the pipe."""
        self.alive = False
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _exchange(self, item: Any) -> tuple[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - both are pipes by construction
        assert stdout is not None  # noqa: S101
        if self._unsent is not None:
            _write_frame(stdin, self._unsent)
            self._unsent = None
        _write_frame(stdin, pickle.dumps(item))
        kind, value = pickle.loads(_read_frame(stdout))  # noqa: S301 - our own child
        return kind, value

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _cause_of_death(self, timeout_s: float) -> tuple[Failure, str]:
        self.alive = False
        code = self._process.wait()
        if self._timed_out:
            return Failure.TIMEOUT, f"took longer than {timeout_s:g} s"
        if code == -getattr(signal, "SIGKILL", 9):  # the name is missing on Windows
            return Failure.OOM, "the worker was killed, most likely for running out of memory"
        if code < 0:
            return Failure.CRASHED, f"the worker died of {signal.Signals(-code).name}"
        return Failure.CRASHED, f"the worker ended with exit code {code}"


def _flags() -> list[str]:
    """Return interpreter flags: isolated mode, and this process's encoding of file names."""
    flags = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    return [*flags, "-B"] if sys.dont_write_bytecode else flags


def _write_frame(stream: IO[bytes], payload: bytes) -> None:
    stream.write(_HEADER.pack(len(payload)))
    stream.write(payload)
    stream.flush()


def _read_frame(stream: IO[bytes]) -> bytes:
    (length,) = _HEADER.unpack(_read_exactly(stream, _HEADER.size))
    return _read_exactly(stream, length)


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the other end closed the pipe")
    return data


def _answer(handler: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """Call the handler; return its outcome as a pair that the parent can read."""
    try:
        return "value", handler(item)
    except AudiorecError as error:
        return "error", error
    except MemoryError:
        return Failure.OOM.value, "out of memory"
    except Exception as error:  # noqa: BLE001 - the one place: a bug costs one item, not the run
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"  # noqa: PTH119
        return Failure.CRASHED.value, f"unexpected {type(error).__name__} at {place}: {error}"


def _limit_memory(memory_bytes: int) -> None:
    if not memory_bytes:
        return
    with contextlib.suppress(ImportError, OSError, ValueError):  # no such limit on this system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def end_with(parent: int, end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """Call `end` soon after the parent of this process has ended, even in the middle of work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        end()

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _last_resort(seconds: float, sink: IO[str]) -> Iterator[None]:
    """Exit this process if the block takes too long, even if a library holds the GIL.

    The parent kills a late child; this is for a child whose parent was killed.
    """
    faulthandler.dump_traceback_later(min(seconds, MAX_TIMER_S), exit=True, file=sink)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def main() -> None:
    """Serve items from standard input until it closes: the body of a child process."""
    start_lightly()
    parent, memory_bytes, timeout_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # a library that prints must not write into the answers
    _limit_memory(memory_bytes)
    end_with(parent)
    with (
        contextlib.suppress(EOFError, BrokenPipeError),
        open(os.devnull, "w") as nowhere,  # noqa: PTH123 - the name of a device
    ):
        setup = _read_frame(source)
        handler: Callable[[Any], Any] | None = None
        while True:
            item = pickle.loads(_read_frame(source))  # noqa: S301 - our own parent
            with _last_resort(timeout_s + GRACE_S, nowhere):
                kind, value = ("value", handler) if handler else _answer(_make_handler, setup)
                if kind == "value":
                    handler = value
                    kind, value = _answer(value, item)
                answer = pickle.dumps((kind, value))
            _write_frame(sink, answer)


def _make_handler(setup: bytes) -> Callable[[Any], Any]:
    factory, arguments = pickle.loads(setup)  # noqa: S301 - our own parent
    module, function = factory.split(":")
    return getattr(importlib.import_module(module), function)(*arguments)


PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0"}  # no telemetry
# For a temporary cluster on this machine: workers keep the priority of the parent process, the
# machine is not preemptible, and workers run this interpreter under `uv run` too, instead of
# uploading the current folder, which may be full of music.
TEMPORARY = {
    **PRIVATE,
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # read when Ray is imported
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@contextmanager
def ray_cluster(address: str | None = None, *, processes: int = 1) -> Iterator[Any]:
    """Connect this process to Ray (extra ``ray``); a connection made here is closed at the end.

    Ray reads some settings once per process: two callers with different settings would disagree
    with the cluster that one of them started.

    Parameters
    ----------
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that this
        process is connected to, otherwise a temporary one on this machine.
    processes : int
        Minimum number of CPUs that a temporary cluster offers, even if the machine has fewer.

    Yields
    ------
    module
        ``ray``.

    Raises
    ------
    MissingExtraError
        If Ray cannot be imported.
    """
    with _variables(TEMPORARY if address is None else PRIVATE):
        ray = import_extra("ray", "Ray", "ray")
        if ray.is_initialized():
            yield ray
            return
        own = {"num_cpus": max(processes, os.cpu_count() or 1)} if address is None else {}
        with clean_start(), chdir(OWN_FOLDER):  # workers import from Ray's start folder
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **own,
            )
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
