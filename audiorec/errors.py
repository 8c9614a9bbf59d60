"""Error classes of audiorec, including those defined in other modules.

::

    AudiorecError
    ├── InputError               invalid input: an option, a path, a table
    │   ├── MissingFileError     a file or folder given by the caller does not exist
    │   ├── ExistingFileError    a file exists and may not be replaced
    │   ├── DamagedFileError     a list or table given by the caller cannot be read
    │   │   └── RowsError        rows of a log cannot be used (`audiorec.listening`)
    │   ├── UnknownSongError     no song has this id; has the closest matches
    │   │   ├── UnknownFileError     and no file has this name
    │   │   └── SeveralSongsError    several songs match the text
    │   └── ShapeError           an array has the wrong number of axes or columns
    ├── SongError                one song cannot be used; has path and `Failure`
    │   └── MissingSongError     the file does not exist
    ├── StoreError               a file is not a valid store
    │   ├── BusyStoreError       another run is writing to it
    │   └── MissingStoreError    a store, an index or a file beside a store does not exist
    ├── SpecMismatchError        two artefacts were made under different specs
    ├── WeightsError             weights, a head or a model cannot be used
    │   └── MissingWeightsError  they do not exist
    ├── ContractError            a channel violates the recall contract
    ├── ChannelFailedError       a channel of a nightly run failed; has channel and reason
    ├── PeerError                the other party of a federation has failed
    │   ├── LostPeerError        it cannot be reached, or does not answer in time
    │   ├── ProtocolError        it sent an unexpected message; has the expected value
    │   └── RefusedError         it refused one of our messages; has its reason
    ├── PlayerError              a music server or player refuses, or answers wrongly
    │   ├── LostPlayerError      it cannot be reached, or does not answer in time
    │   └── _AckError            an MPD refuses a command
    ├── LostProcessError         another process of a training died or cannot be reached
    ├── LostBlocksError          some blocks of a job failed; the others are kept
    └── MissingExtraError        a feature needs an extra that is not installed

    Exception                    signals inside one package, which never leave it
    ├── DecoderError             one decoder failed; another one may succeed
    ├── NotFiniteError           a sample is NaN or infinite
    ├── UnusableRowError         a row of a listening history is skipped
    ├── _ReadAgainError          the file must be read again with another channel mix
    ├── SubsonicError            an OpenSubsonic request is answered with an error code
    ├── NotThereError            a request for something that does not exist
    ├── OverdueError             a server's work has passed its deadline
    └── RefusedRequest           a request is refused; has the response

Every error about a missing file or folder is also a ``FileNotFoundError``.
"""

from enum import StrEnum
from errno import EEXIST, ENOENT
from importlib import import_module
from shlex import quote
from typing import Any

from audiorec.distribution import install_command

LOST_SHOWN = 3  # lost blocks that a message names


class Failure(StrEnum):
    """Why a song has no vector: the status code of a row in ``vecs.errors.parquet``."""

    UNREADABLE = "unreadable"  # gone, no permission, not a regular file
    EMPTY = "empty"  # zero bytes
    NOT_AUDIO = "not_audio"  # the content is not a known audio format
    UNSUPPORTED = "unsupported"  # an unsupported codec, sample rate or channel count
    DRM = "drm"  # encrypted, as bought in some online shops
    NO_AUDIO = "no_audio"  # a valid header without samples
    TOO_SHORT = "too_short"  # under one second
    TOO_LONG = "too_long"  # over the duration limit
    NOT_FINITE = "not_finite"  # the samples contain NaN or infinity
    UNDECODABLE = "undecodable"  # a known format that no decoder can read
    CRASHED = "crashed"  # the worker process died
    TIMEOUT = "timeout"  # the worker took longer than the limit
    OOM = "oom"  # the worker ran out of memory


class AudiorecError(Exception):
    """Base class of all audiorec errors.

    Catch it to distinguish unusable input from a bug. A bug stays an ordinary ``TypeError`` or
    ``IndexError`` and keeps its traceback. Every class passes all its values to ``args``: worker
    processes send errors back by pickle, and unpickling calls ``cls(*args)``.
    """


class InputError(AudiorecError, ValueError):
    """The caller's input is invalid."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder given by the caller does not exist."""

    errno = ENOENT


class ExistingFileError(InputError, FileExistsError):
    """A file exists and the caller did not ask to replace it."""

    errno = EEXIST


class ShapeError(InputError):
    """An array has the wrong number of axes or columns."""


class DamagedFileError(InputError):
    """A list, table or settings file is damaged or not of the expected kind."""


class UnknownSongError(InputError, KeyError):
    """No song in the store has this id; also a `KeyError`, for ``library[song]``.

    Attributes
    ----------
    query : str
        The id that was requested.
    near : tuple of str
        The closest existing ids, best first.
    store : str
        Path of the store; empty if the ids are not those of a store.
    """

    def __init__(self, query: str, near: tuple[str, ...] = (), store: str = "") -> None:
        super().__init__(query, near, store)
        self.query = query
        self.near = near
        self.store = store

    def __str__(self) -> str:
        """Return the id and any close matches, or else how to list the ids."""
        if self.near:
            return f"no song with id {self.query!r}; did you mean: {', '.join(self.near)}"
        if self.store:
            listed = f"list its songs: audiorec classify --vectors {quote(self.store)}"
            return f"no song with id {self.query!r} in {self.store}; {listed}"
        return f"no song with id {self.query!r}"


class UnknownFileError(UnknownSongError, FileNotFoundError):
    """The argument is neither an existing file nor the id of a song in the store."""

    errno = ENOENT

    def __init__(self, query: str, near: tuple[str, ...] = ()) -> None:
        Exception.__init__(self, query, near)  # as in `SongError`
        self.query = query
        self.near = near

    def __str__(self) -> str:
        """Return the path and any close matches among the ids."""
        near = f"did you mean: {', '.join(self.near)}" if self.near else ""
        hint = near or "add songs: audiorec extract FOLDER"
        return f"{self.query}: no such file, and no song with this id; {hint}"


class SeveralSongsError(UnknownSongError):
    """Several songs match the text.

    Attributes
    ----------
    near : tuple of str
        Some of their ids, best first.
    count : int
        Number of songs that match.
    """

    def __init__(self, query: str, near: tuple[str, ...], count: int) -> None:
        Exception.__init__(self, query, near, count)
        self.query = query
        self.near = near
        self.count = count

    def __str__(self) -> str:
        """Return how many songs match, and which."""
        more = self.count - len(self.near)
        named = ", ".join(self.near) + (f" and {more} more" if more else "")
        return f"{self.count} songs match {self.query!r}: {named}; name one by its id or path"


class SongError(AudiorecError):
    """One song cannot be used. In a run it becomes a row of the errors file.

    Attributes
    ----------
    path : str
        The song's file.
    failure : Failure
        The status code.
    reason : str
        What is wrong and, if possible, what to do; one line.
    stage : str
        The failing stage: ``walk``, ``read``, ``decode``, ``mel``, ``tag`` or ``worker``.
    decoder : str or None
        The decoder that failed, with its version.
    """

    def __init__(
        self,
        path: str,
        failure: Failure,
        reason: str,
        stage: str = "decode",
        decoder: str | None = None,
    ) -> None:
        # Not super(): OSError, next in the MRO of `MissingSongError`, keeps only two values.
        Exception.__init__(self, path, failure, reason, stage, decoder)
        self.path = path
        self.failure = Failure(failure)
        self.reason = reason
        self.stage = stage
        self.decoder = decoder

    def __str__(self) -> str:
        """Return ``<file>: <status>: <reason>``."""
        return f"{self.path}: {self.failure}: {self.reason}"


class MissingSongError(SongError, FileNotFoundError):
    """The song's file does not exist; the failure is ``unreadable``."""

    errno = ENOENT


class StoreError(AudiorecError):
    """A file is not a valid store: truncated, or of another schema or version."""


class BusyStoreError(StoreError):
    """Another run is writing to this output."""


class MissingStoreError(StoreError, FileNotFoundError):
    """A store, an index or a file beside a store does not exist."""

    errno = ENOENT


class SpecMismatchError(AudiorecError):
    """Two artefacts were made under different specs and must not be mixed."""


class WeightsError(AudiorecError):
    """Weights, a head or a model are missing, damaged or of an unsupported format."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """Weights, a head or a model do not exist."""

    errno = ENOENT


class ContractError(AudiorecError):
    """A channel violates the recall contract.

    Attributes
    ----------
    channel : str
    broken : tuple of str
        One sentence for each violated rule.
    """

    def __init__(self, channel: str, broken: tuple[str, ...]) -> None:
        super().__init__(channel, broken)
        self.channel = channel
        self.broken = broken

    def __str__(self) -> str:
        """Return the channel and every violated rule, in one line."""
        return f"{self.channel} violates the recall contract: {'; '.join(self.broken)}"


class PeerError(AudiorecError):
    """The other party of a federation has failed."""


class PlayerError(AudiorecError):
    """A music server or player refuses a request, or its answer cannot be used."""


class LostPlayerError(PlayerError):
    """A music server or player cannot be reached, or does not answer in time."""


class LostProcessError(AudiorecError):
    """Another process of the same training died or cannot be reached."""


class ChannelFailedError(AudiorecError):
    """A channel of a nightly run failed, which may be anybody's.

    Attributes
    ----------
    channel, reason : str
    """

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(channel, reason)
        self.channel = channel
        self.reason = reason

    def __str__(self) -> str:
        """Return which channel failed, and why."""
        return f"channel {self.channel} failed: {self.reason}"


class LostBlocksError(AudiorecError):
    """Some blocks of a job could not be made; what was made is kept for the next try.

    Attributes
    ----------
    what : str
        What the blocks are of: a file, say.
    lost : tuple of (str, str)
        What each lost block holds, and why it was lost.
    n_blocks : int
        All blocks of the job.
    """

    def __init__(self, what: str, lost: tuple[tuple[str, str], ...], n_blocks: int) -> None:
        super().__init__(what, lost, n_blocks)
        self.what = what
        self.lost = lost
        self.n_blocks = n_blocks

    def __str__(self) -> str:
        """Return which blocks were lost and why, and what can be done."""
        named = "; ".join(f"{block}: {why}" for block, why in self.lost[:LOST_SHOWN])
        more = f"; and {len(self.lost) - LOST_SHOWN} more" if len(self.lost) > LOST_SHOWN else ""
        return (
            f"{self.what}: {len(self.lost)} of {self.n_blocks} blocks could not be made "
            f"({named}{more}); the same command tries them again"
        )


class LostPeerError(PeerError):
    """The other party cannot be reached, does not answer in time, or was restarted."""


class ProtocolError(PeerError):
    """The other party sent a message that violates the protocol.

    Attributes
    ----------
    message : str
        Kind and number of the message.
    expected, got : str
        The expected and the received value.
    """

    def __init__(self, message: str, expected: str, got: str) -> None:
        super().__init__(message, expected, got)
        self.message = message
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        """Return the message and both values, in one line."""
        return f"message {self.message}: expected {self.expected}, got {self.got}"


class RefusedError(PeerError):
    """The other party refused a message.

    Attributes
    ----------
    message : str
        Kind and number of the message.
    reason : str
        The reason given by the other party.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        """Return the message and the reason, in one line."""
        return f"the other party refused message {self.message}: {self.reason}"


class MissingExtraError(AudiorecError):
    """A feature needs an optional extra that is not installed or cannot be imported.

    Attributes
    ----------
    feature : str
        The feature that was requested.
    extra : str
        The name of the extra in ``pyproject.toml``.
    cause : str
        Message of the failed import.
    """

    def __init__(self, feature: str, extra: str, cause: str) -> None:
        super().__init__(feature, extra, cause)
        self.feature = feature
        self.extra = extra
        self.cause = cause

    def __str__(self) -> str:
        """Return the missing extra and the command that installs its packages."""
        return (
            f'{self.feature} needs the extra "{self.extra}": '
            f"{install_command(self.extra)} ({' '.join(self.cause.split())})"
        )


def import_extra(module: str, feature: str, extra: str) -> Any:
    """Import a module of an extra; raise `MissingExtraError` if it does not load."""
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # the last two: built for another system
        raise MissingExtraError(feature, extra, str(error)) from error
