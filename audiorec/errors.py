"""Errors that audiorec raises on purpose, wherever they are defined.

::

    AudiorecError
    ├── InputError               the caller's mistake: an option, a path, a table
    │   ├── MissingFileError     a file or folder that the caller named is not there
    │   ├── DamagedFileError     a list or table of the caller's cannot be read as one
    │   │   └── RowsError        rows of a log cannot be used (`audiorec.listening`)
    │   ├── UnknownSongError     no song has this id; carries the near matches
    │   │   └── UnknownFileError     nor is there a file of this name
    │   └── ShapeError           an array has the wrong number of axes or columns
    ├── SongError                one song cannot be used; carries path and `Failure`
    │   └── MissingSongError     there is no file of this name
    ├── StoreError               a file is not the store that it should be
    │   ├── BusyStoreError       another run is writing it
    │   └── MissingStoreError    a store, an index, a file beside a store is not there
    ├── SpecMismatchError        two artefacts were made under different specs
    ├── WeightsError             weights, a head or a model cannot be used
    │   └── MissingWeightsError  they are not there
    ├── ContractError            a channel does not keep the contract of recall
    ├── PeerError                the other party of a federation cannot be worked with
    │   ├── LostPeerError        it cannot be reached, or does not answer in time
    │   ├── ProtocolError        it sent a message that does not fit; says what was expected
    │   └── RefusedError         it refused a message of ours; carries its reason
    ├── LostProcessError         another process of one training died or cannot be reached
    └── MissingExtraError        a part needs an extra that is not installed; names it

    Exception                    signals inside one package, which never leave it
    ├── DecoderError             one decoder gives up; another one may not
    ├── NotFiniteError           a sample is NaN or infinite
    ├── UnusableRowError         a row of a listening history is set aside
    ├── _ReadAgainError          the file has to be read again and treated otherwise
    ├── SubsonicError            a request of OpenSubsonic is answered by one of its codes
    ├── NotThereError            a request asks for what is not there
    ├── StaleSnapshotError       models were replaced while they were asked
    ├── BusyError                too many requests wait
    ├── TooLongError             an answer did not come in time
    ├── RefusedRequest           a request is refused; carries the answer
    └── _TooFewError             an index found too few songs; all are compared instead

Every error of a missing file or folder is a ``FileNotFoundError`` as well.

Catch `AudiorecError` to treat "this cannot be used" apart from a bug. A bug stays an
ordinary ``TypeError`` or ``IndexError`` and keeps its traceback; so would a signal that got
out of its package.

Every class passes all its values to ``args``: worker processes send errors back by
pickle, and unpickling calls ``cls(*args)``.
"""

from enum import StrEnum
from errno import ENOENT


class Failure(StrEnum):
    """Why a song has no vector: the status code of a row in ``vecs.errors.parquet``."""

    UNREADABLE = "unreadable"  # vanished, no permission, not a regular file
    EMPTY = "empty"  # zero bytes
    NOT_AUDIO = "not_audio"  # no decoder knows the content
    UNSUPPORTED = "unsupported"  # audio, but a codec, rate or channel count outside the limits
    DRM = "drm"  # encrypted by its shop
    NO_AUDIO = "no_audio"  # a good header and no samples
    TOO_SHORT = "too_short"  # under one second
    TOO_LONG = "too_long"  # over the duration limit
    NOT_FINITE = "not_finite"  # NaN or infinity among the samples
    UNDECODABLE = "undecodable"  # known content that every decoder gave up on
    CRASHED = "crashed"  # the worker process died
    TIMEOUT = "timeout"  # the worker took longer than the limit
    OOM = "oom"  # the worker ran out of memory


class AudiorecError(Exception):
    """Root of every error that audiorec raises on purpose."""


class InputError(AudiorecError, ValueError):
    """The caller asked for something that cannot be done as asked."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or a folder that the caller named is not there."""

    errno = ENOENT


class ShapeError(InputError):
    """An array has the wrong number of axes or columns."""


class DamagedFileError(InputError):
    """A list, a table or a file of settings cannot be read as one: damaged, or another kind."""


class UnknownSongError(InputError, KeyError):
    """No song in the store has this id; ``library[song]`` raises it as a mapping would.

    Attributes
    ----------
    query : str
        What was asked for.
    near : tuple of str
        Ids that look like it, best first.
    """

    def __init__(self, query: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(query, near)
        self.query = query
        self.near = near

    def __str__(self) -> str:
        """Return the id and, where there are any, the near matches."""
        hint = f"; did you mean: {', '.join(self.near)}" if self.near else ""
        return f"no song with id {self.query!r}{hint}"


class UnknownFileError(UnknownSongError, FileNotFoundError):
    """What looks like a path is no file, and no song in the store has this id."""

    errno = ENOENT

    def __init__(self, query: str, near: tuple[str, ...] = ()) -> None:
        Exception.__init__(self, query, near)  # as in `SongError`
        self.query = query
        self.near = near

    def __str__(self) -> str:
        """Return the path and, where there are any, the near matches among ids."""
        near = f"did you mean: {', '.join(self.near)}" if self.near else ""
        hint = near or "audiorec extract FOLDER adds songs"
        return f"{self.query}: no such file, and no song with this id; {hint}"


class SongError(AudiorecError):
    """One song cannot be used. In a batch it becomes one row of the errors file.

    Attributes
    ----------
    path : str
        The offending file.
    failure : Failure
        The status code.
    reason : str
        What is wrong and, where something can be done, what to do; one line.
    stage : str
        Where it happened: ``walk``, ``read``, ``decode``, ``mel``, ``tag`` or ``worker``.
    decoder : str or None
        The decoder that gave up, with its version.
    """

    def __init__(
        self,
        path: str,
        failure: Failure,
        reason: str,
        stage: str = "decode",
        decoder: str | None = None,
    ) -> None:
        # Not super(): OSError, which stands next under `MissingSongError`, keeps two values.
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
    """There is no file of this name; the failure is ``unreadable``."""

    errno = ENOENT


class StoreError(AudiorecError):
    """A file is not the store that it should be: truncated, of another schema or version."""


class BusyStoreError(StoreError):
    """Another run is writing this output."""


class MissingStoreError(StoreError, FileNotFoundError):
    """A store, an index, or a file that belongs to one is not there."""

    errno = ENOENT


class SpecMismatchError(AudiorecError):
    """Two artefacts were made under different specs and must not be mixed."""


class WeightsError(AudiorecError):
    """Weights, a head or a model are missing, damaged, or of a format that is not loaded."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """Weights, a head or a model are not there."""

    errno = ENOENT


class ContractError(AudiorecError):
    """A channel does not keep the contract of recall.

    Attributes
    ----------
    channel : str
    broken : tuple of str
        A sentence for each rule that does not hold.
    """

    def __init__(self, channel: str, broken: tuple[str, ...]) -> None:
        super().__init__(channel, broken)
        self.channel = channel
        self.broken = broken

    def __str__(self) -> str:
        """Return the channel and every broken rule, in one line."""
        return f"{self.channel} breaks the contract of recall: {'; '.join(self.broken)}"


class PeerError(AudiorecError):
    """The other party of a federation cannot be worked with."""


class LostProcessError(AudiorecError):
    """Another process of the same training has died or cannot be reached."""


class LostPeerError(PeerError):
    """The other party cannot be reached, does not answer in time, or has begun anew."""


class ProtocolError(PeerError):
    """The other party sent a message that does not fit the protocol.

    Attributes
    ----------
    message : str
        Which message: its kind and its number.
    expected, got : str
        What should have stood there, and what did.
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
        Which one: its kind and its number.
    reason : str
        What the other party says.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        """Return the message and the reason, in one line."""
        return f"the other party refused message {self.message}: {self.reason}"


class MissingExtraError(AudiorecError):
    """A part needs an optional extra that is not installed or cannot be imported.

    Attributes
    ----------
    feature : str
        What was asked for.
    extra : str
        The name to put in ``pip install "audiorec[...]"``.
    cause : str
        What the import said.
    """

    def __init__(self, feature: str, extra: str, cause: str) -> None:
        super().__init__(feature, extra, cause)
        self.feature = feature
        self.extra = extra
        self.cause = cause

    def __str__(self) -> str:
        """Return what is missing and the command that installs it."""
        return (
            f'{self.feature} needs the extra "{self.extra}": '
            f'pip install "audiorec[{self.extra}]" ({" ".join(self.cause.split())})'
        )
