"""Files of audio read one by one, in a process that may die of them.

    path ──Reader.read──▶ disposable worker ──▶ `Song`, taggram, hash     or a `SongError`

Whoever asks, a command or a notebook, never decodes in its own process: a file that crashes a
decoder, hangs or eats memory costs an error with its name (`audiorec.runs.workers`). A run over
many songs has workers of its own; this is for those that want an answer at once.

`vector`, `scores` and `taggram` share a worker, which is started when it is first needed and
ends with the program: 0.4 seconds once, and 150 MB for as long as the program runs.
"""

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from audiorec.errors import SongError
from audiorec.runs.workers import Answer, Limits, Workers

if TYPE_CHECKING:  # what the worker answers with is loaded when the first answer comes
    from audiorec.audio.sniff import PathLike
    from audiorec.extraction.pipeline import ExtractorConfig, Song
    from audiorec.tagger.weights import BackboneName
    from audiorec.types import Envelope, FloatArray, ScoreSeries

T = TypeVar("T")

SONG_HANDLER = "audiorec.extraction.pipeline:song_handler"  # what the workers run
TAGGRAM_HANDLER = "audiorec.extraction.pipeline:taggram_handler"
HASH_HANDLER = "audiorec.extraction.reader:hash_handler"
ENVELOPE_HANDLER = "audiorec.extraction.reader:envelope_handler"

_shared: dict[tuple[Any, ...], "Reader[Any]"] = {}
_lock = threading.Lock()


class Reader(Generic[T]):
    """One kind of question, asked of one file after the other.

    Parameters
    ----------
    factory : str
        ``package.module:function``; makes, in the worker, the handler of a path.
    arguments : tuple
        Picklable arguments of the factory.
    jobs : int
        Workers that `read_each` uses.
    limits : Limits, optional
        Time and memory of one file.
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
        """Return the answer for one file.

        Raises
        ------
        SongError
            If the file cannot be used; ``crashed``, ``timeout`` or ``oom`` if the worker did
            not live to answer.
        AudiorecError
            What no file is to blame for: weights that are missing, say.
        """
        value: T = _value(path, self._workers.ask(_absolute(path)))
        return value

    def read_each(self, paths: "Iterable[PathLike]") -> Iterator[T | SongError]:
        """Yield the answer for each file, in their order; what is wrong with one is an answer.

        Files are drawn a few ahead of the answers where there are several workers.
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
        """End the worker."""
        self._workers.close()


def _absolute(path: "PathLike") -> str:
    """Return what a worker is asked: it stays in the folder where it was started."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - dots are kept


def _value(path: "PathLike", answer: Answer) -> Any:
    """Return what a worker said of a file, or raise its error under the name that was given."""
    name = os.fsdecode(path)
    if isinstance(answer.error, SongError):
        error = answer.error
        raise type(error)(name, error.failure, error.reason, error.stage, error.decoder)
    if answer.error is not None:
        raise answer.error
    if answer.failure is not None:
        reason = answer.message.partition("; --")[0]  # an option of some commands alone
        raise SongError(name, answer.failure, reason, "worker")
    return answer.value


def song_reader(
    config: "ExtractorConfig | None" = None,
    outputs: tuple[str, ...] = (),
    *,
    jobs: int = 1,
    limits: Limits | None = None,
) -> "Reader[Song]":
    """Make a reader of all that is known of a song; see `pipeline.Extractor.song`."""
    return Reader(SONG_HANDLER, (config, frozenset(), outputs), jobs=jobs, limits=limits)


def taggram_reader(
    backbone: "BackboneName" = "msd", *, limits: Limits | None = None
) -> "Reader[ScoreSeries]":
    """Make a reader of a backbone's own tags; see `taggram`."""
    return Reader(TAGGRAM_HANDLER, (backbone,), limits=limits)


def hash_reader(*, limits: Limits | None = None) -> Reader[str]:
    """Make a reader of content hashes; see `audiorec.audio.content.content_hash`."""
    return Reader(HASH_HANDLER, limits=limits)


def envelope_reader(*, limits: Limits | None = None) -> "Reader[Envelope]":
    """Make a reader of waveforms to draw; see `audiorec.audio.envelope.envelope`."""
    return Reader(ENVELOPE_HANDLER, limits=limits)


def vector(path: "PathLike") -> "FloatArray":
    """Return the 84-dimensional vector of one audio file.

    Parameters
    ----------
    path : path
        An audio file of any supported format.

    Returns
    -------
    vector : ndarray, shape (84,), float32
        ``vector.reshape(14, 6)`` has one row per class (`scores(path).classes`) and one
        column per statistic: max, min, mean, variance, kurtosis, skewness.

    Raises
    ------
    SongError
        If the file cannot be used; `MissingSongError` if there is none.

    Examples
    --------
    >>> import audiorec
    >>> audiorec.vector("fixtures/audio/jazz-vibraphone.mp3").shape
    (84,)
    """
    song: Song = _shared_reader(SONG_HANDLER, None, frozenset(), ()).read(path)
    return song.vector


def scores(path: "PathLike") -> "ScoreSeries":
    """Return the score series of one audio file: a row every three seconds.

    Parameters
    ----------
    path : path
        As for `vector`.

    Returns
    -------
    series : ScoreSeries
        ``scores`` (T, 14), ``start_s`` (T,) and ``classes``, the 14 column names.

    Raises
    ------
    SongError
        As for `vector`.

    Examples
    --------
    >>> import audiorec
    >>> series = audiorec.scores("fixtures/audio/jazz-vibraphone.mp3")
    >>> series.scores.shape[1], series.classes[:2]
    (14, ('version/vocal', 'version/instrumental'))
    """
    song: Song = _shared_reader(SONG_HANDLER, None, frozenset(), ()).read(path)
    return song.series


def taggram(path: "PathLike", backbone: "BackboneName" = "msd") -> "ScoreSeries":
    """Return a backbone's own tags of one audio file: a row every three seconds.

    Parameters
    ----------
    path : path
        As for `vector`.
    backbone : {"msd", "mtt"}
        MSD_musicnn (genres, moods, decades) or MTT_musicnn (instruments, voices).

    Returns
    -------
    series : ScoreSeries
        Sigmoids (T, 50), each tag by itself: a row does not sum to 1.

    Raises
    ------
    SongError
        As for `vector`.
    """
    series: ScoreSeries = _shared_reader(TAGGRAM_HANDLER, backbone).read(path)
    return series


def hash_handler() -> Callable[[str], str]:
    """Make what the worker of `hash_reader` runs."""
    from audiorec.audio.content import content_hash

    return content_hash


def envelope_handler() -> "Callable[[str], Envelope]":
    """Make what the worker of `envelope_reader` runs."""
    from audiorec.audio.envelope import envelope
    from audiorec.audio.stderr import captured_stderr

    def quiet(path: str) -> "Envelope":
        with captured_stderr():
            return envelope(path)

    return quiet


def _shared_reader(factory: str, *arguments: Any) -> Reader[Any]:
    key = (os.getpid(), factory, arguments)  # a forked process must not write into our pipes
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
