"""Read single audio files in a disposable worker process.

    path ──Reader.read──▶ disposable worker ──▶ `Song`, taggram, hash     or a `SongError`

The calling process, a command or a notebook, never decodes: a file that crashes a decoder, hangs
or exhausts memory only causes a `SongError` with its name (`audiorec.runs.workers`). A run over
many songs has its own workers; this module is for single files.

`vector`, `scores` and `taggram` share a worker, which is started on first use and ends with the
program: 0.4 seconds once, and 150 MB for as long as the program runs.
"""

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from audiorec.errors import SongError
from audiorec.runs.workers import Answer, Limits, Workers

if TYPE_CHECKING:  # unpickling the first answer imports what it needs
    from audiorec.audio.sniff import PathLike
    from audiorec.extraction.pipeline import ExtractorConfig, Song
    from audiorec.types import FloatArray, ScoreSeries

T = TypeVar("T")

SONG_HANDLER = "audiorec.extraction.pipeline:song_handler"  # run by the workers
TAGGRAM_HANDLER = "audiorec.extraction.pipeline:taggram_handler"
HASH_HANDLER = "audiorec.extraction.reader:hash_handler"

_shared: dict[tuple[Any, ...], "Reader[Any]"] = {}
_lock = threading.Lock()


class Reader(Generic[T]):
    """Reader that applies one handler to files, in worker processes.

    Parameters
    ----------
    factory : str
        ``package.module:function``; called in the worker, returns the handler of a path.
    arguments : tuple
        Picklable arguments of the factory.
    jobs : int
        Number of workers for `read_each`.
    limits : Limits, optional
        Time and memory limits per file.
    """

    def __init__(
        self,
        factory: str,
        arguments: tuple[Any, ...] = (),
        *,
        jobs: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self._workers = Workers(factory, arguments, jobs=jobs, limits=limits)

    def __enter__(self) -> "Reader[T]":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def read(self, path: "PathLike") -> T:
        """Return the handler's result for one file.

        Raises
        ------
        SongError
            If the file cannot be used; ``crashed``, ``timeout`` or ``oom`` if the worker died.
        AudiorecError
            For errors that are not the file's fault, such as missing weights.
        """
        return _value(path, self._workers.ask(_absolute(path)))

    def read_each(self, paths: "Iterable[PathLike]") -> Iterator[T | SongError]:
        """Yield the result for each file, in order; a file's `SongError` is yielded, not raised.

        With several workers, `paths` is consumed a few files ahead of the results.
        """
        asked: deque[PathLike] = deque()

        def names() -> Iterator[str]:
            for path in paths:
                asked.append(path)
                yield _absolute(path)

        for answer in self._workers.map(names()):
            try:
                yield _value(asked.popleft(), answer)
            except SongError as error:
                yield error

    def close(self) -> None:
        """Stop the workers."""
        self._workers.close()


def _absolute(path: "PathLike") -> str:
    """Return an absolute path: a worker keeps the folder in which it was started."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - dots are kept


def _value(path: "PathLike", answer: Answer) -> Any:
    """Return a worker's result, or raise its error with the path as given by the caller."""
    name = os.fsdecode(path)
    if isinstance(answer.error, SongError):
        error = answer.error
        raise type(error)(name, error.failure, error.reason, error.stage, error.decoder)
    if answer.error is not None:
        raise answer.error
    if answer.failure is not None:
        reason = answer.message.partition("; --")[0]  # without the hint at an option
        raise SongError(name, answer.failure, reason, "worker")
    return answer.value


def song_reader(
    config: "ExtractorConfig | None" = None,
    outputs: tuple[str, ...] = (),
    *,
    jobs: int = 1,
    limits: Limits | None = None,
) -> "Reader[Song]":
    """Return a reader of complete songs; see `pipeline.Extractor.song`."""
    return Reader(SONG_HANDLER, (config, frozenset(), outputs), jobs=jobs, limits=limits)


def taggram_reader(*, limits: Limits | None = None) -> "Reader[ScoreSeries]":
    """Return a reader of a backbone's own tags; see `taggram`."""
    return Reader(TAGGRAM_HANDLER, (), limits=limits)


def hash_reader(*, limits: Limits | None = None) -> Reader[str]:
    """Return a reader of content hashes; see `audiorec.audio.decode.content_hash`."""
    return Reader(HASH_HANDLER, limits=limits)


def vector(path: "PathLike") -> "FloatArray":
    """Return the 84-dimensional vector of one audio file.

    Parameters
    ----------
    path : path
        An audio file of any supported format.

    Returns
    -------
    vector : ndarray, shape (84,), float32
        ``vector.reshape(14, 6)`` has one row per class (`audiorec.scores(path).classes`) and one
        column per statistic: max, min, mean, variance, kurtosis, skewness.

    Raises
    ------
    SongError
        If the file cannot be used; `MissingSongError` if it does not exist.

    Examples
    --------
    >>> import audiorec
    >>> audiorec.vector("fixtures/audio/jazz-vibraphone.mp3").shape
    (84,)
    """
    return song_of(path).vector


def song_of(path: "PathLike") -> "Song":
    """Return everything about one audio file, read as by `vector`."""
    return _shared_reader(SONG_HANDLER, None, frozenset(), ()).read(path)


def tags_of(path: "PathLike") -> "ScoreSeries":
    """Return a backbone's own tags for one audio file, read as by `vector`."""
    return _shared_reader(TAGGRAM_HANDLER).read(path)


def hash_handler() -> Callable[[str], str]:
    """Return the function that the worker of `hash_reader` runs."""
    from audiorec.audio.decode import content_hash

    return content_hash


def _shared_reader(factory: str, *arguments: Any) -> Reader[Any]:
    """Return the reader that this process keeps for a handler and its arguments."""
    key = (os.getpid(), factory, arguments)  # a forked child must not write to our pipes
    with _lock:
        if not _shared:
            atexit.register(_close_shared)
        if key not in _shared:
            _shared[key] = Reader(factory, arguments)
        return _shared[key]


def _close_shared() -> None:
    for (pid, *_), reader in _shared.items():
        if pid == os.getpid():
            reader.close()
