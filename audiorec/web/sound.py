"""Audio, waveforms and covers for a browser; files are parsed only in disposable workers.

    uri ──`Roots.open`──▶ an open file, or a `SongError` that says why not
    open file ──`OpenFileResponse`──▶ the whole file, or the part that ``Range`` asks for
    uri ──`SoundFiles.about`──▶ container and codec
        ──`SoundFiles.open`───▶ the file itself, or decoded to WAV   (kept while the server runs)
        ──`SoundFiles.wave`───▶ its waveform      ──`SoundFiles.cover`──▶ its cover

A store may come from anywhere, so its uris may point anywhere: only files below the roots that the
user named are opened. Whether a file is audio is decided by a worker.
"""

import errno
import os
import stat
import struct
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from audiorec.audio.decode import envelope
from audiorec.audio.playable import Playable, probe, write_wav
from audiorec.errors import AudiorecError, Failure, MissingFileError, MissingSongError, SongError
from audiorec.files.user_files import open_below, split_below
from audiorec.runs.workers import Limits, Workers
from audiorec.types import Envelope


class Roots:
    """The folders below which songs may be played.

    A path below a root is opened component by component without following links, so that no uri
    leads out of the folders.

    Parameters
    ----------
    folders : sequence of Path
        Each must exist; a root itself may be a link, since the user named it.

    Raises
    ------
    MissingFileError
        If one is not a folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise MissingFileError(f"{folder}: no such folder; give `root` an existing folder")
        named = [os.path.abspath(folder) for folder in folders]  # noqa: PTH100 - links stay
        real = [os.path.realpath(folder) for folder in folders]
        self.folders = tuple(dict.fromkeys(named))
        self._roots = tuple(dict.fromkeys((*named, *real)))

    def holds(self, uri: str) -> bool:
        """Whether a path lies below a root, judged by its text alone."""
        return split_below(self._roots, uri) is not None

    def open(self, uri: str) -> BinaryIO:
        """Open a file below a root for reading.

        Raises
        ------
        SongError
            If it lies elsewhere, does not exist, is a link or below one, or not a regular file.
        """
        result = split_below(self._roots, uri)
        if result is None:
            reason = "lies outside the folders that may be played (audiorec serve --root FOLDER)"
            raise SongError(uri, Failure.UNREADABLE, reason, "read")
        try:
            descriptor = open_below(*result)
        except OSError as error:
            raise _refusal(uri, error) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SongError(uri, Failure.UNREADABLE, "is not a regular file", "read")
        return os.fdopen(descriptor, "rb")


def _refusal(uri: str, error: OSError) -> SongError:
    if isinstance(error, FileNotFoundError):
        return MissingSongError(uri, Failure.UNREADABLE, "no such file", "read")
    # For a link in place of a folder open(2) fails with ENOTDIR.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return SongError(uri, Failure.UNREADABLE, "is a link, or lies below one", "read")
    reason = (error.strerror or str(error)).lower()
    return SongError(uri, Failure.UNREADABLE, reason, "read")


class OpenFileResponse(FileResponse):
    """A file that is open already, or the part that is asked for; it is closed once it is sent."""

    def __init__(self, uri: str, file: BinaryIO, media_type: str) -> None:
        about, name = os.fstat(file.fileno()), str(file.name)
        own = uri if name.isdigit() else name  # a decoded song has another file
        super().__init__(_place(own, file), media_type=media_type, stat_result=about)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._file:
            await super().__call__(scope, receive, send)


# Files beside a song that hold its cover, as players name them.
BESIDE = [
    f"{name}{ending}"
    for name in ("cover", "folder", "front", "Cover", "Folder", "Front")
    for ending in (".jpg", ".jpeg", ".png")
]
PROBE, WAV, WAVE, COVER = "probe", "wav", "wave", "cover"
HANDLER = "audiorec.web.sound:handler"
LIMITS = Limits(timeout_s=600.0, memory_bytes=4 << 30)
POINTS = 800  # points of a waveform
MOST_COVERED = 100_000  # files of which it is known whether they hold a cover
MAX_COVER, MAX_SIDE = 8 << 20, 8192  # bytes, pixels
MAX_KEPT = 2 << 30  # bytes of decoded songs, and of one
# Media types that browsers can play; other files are decoded for them.
TYPES = {
    ("mp3", "mp3"): "audio/mpeg",
    ("flac", "flac"): "audio/flac",
    ("ogg", "vorbis"): 'audio/ogg; codecs="vorbis"',
    ("ogg", "opus"): 'audio/ogg; codecs="opus"',
    ("ogg", "flac"): 'audio/ogg; codecs="flac"',
    ("mp4", "aac"): 'audio/mp4; codecs="mp4a.40.2"',
    ("mp4", "flac"): 'audio/mp4; codecs="flac"',
    ("adts", "aac"): "audio/aac",
    ("matroska", "opus"): 'audio/webm; codecs="opus"',
    ("matroska", "vorbis"): 'audio/webm; codecs="vorbis"',
    ("wav", "pcm_u8"): "audio/wav",
    ("wav", "pcm_s16"): "audio/wav",
    ("wav", "pcm_s24"): "audio/wav",
    ("wav", "pcm_f32"): "audio/wav",
}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class CoverImage:
    """A cover: its bytes, and the media type detected from them."""

    data: bytes
    media_type: str


def _picture(data: bytes | None) -> CoverImage | None:
    """Return a JPEG or PNG that is no larger than `MAX_SIDE`, judged by its first bytes."""
    if data is None:
        return None
    is_png = data.startswith(_PNG)
    kind = "image/png" if is_png else "image/jpeg"
    sides = struct.unpack(">II", data[16:24].ljust(8, b"\0")) if is_png else _jpeg_sides(data)
    return CoverImage(data, kind) if all(0 < side <= MAX_SIDE for side in sides) else None


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    """Return the height and width that a JPEG declares; 0 if it declares none.

    Examples
    --------
    >>> _jpeg_sides(bytes.fromhex("ffd8 ffe00004abcd ffc0000b080010002003"))
    (16, 32)
    """
    at = 2
    while data.startswith(_JPEG) and at + 9 <= len(data) and data[at] == 0xFF:  # a segment
        mark, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        at += 2 + length
    return 0, 0


class SoundFiles:
    """Files below some roots, read by worker processes that start on first use.

    On Linux a worker gets the file descriptor that was opened below a root instead of the file's
    name, so that it reads exactly the file that was checked.
    """

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self._workers = Workers(HANDLER, limits=LIMITS)
        self._known: OrderedDict[_Identity, Playable] = OrderedDict()
        self._covered: OrderedDict[_Identity, bool] = OrderedDict()  # in the file itself
        self._lock = threading.Lock()
        self._making = threading.Lock()  # one song is decoded at a time
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._decoded: OrderedDict[_Identity, Path] = OrderedDict()
        self._numbers = count()

    def close(self) -> None:
        """Stop the workers and remove the decoded files."""
        self._workers.close()
        if self._folder is not None:
            self._folder.cleanup()

    def about(self, uri: str) -> Playable:
        """Return container and codec; `SongError` if it may not be played or is not audio."""
        with self.roots.open(uri) as file:
            return self._about(uri, file)

    def open(self, uri: str, *, as_wav: bool) -> tuple[BinaryIO, str]:
        """Open a song for a browser; return the file and its media type.

        Raises
        ------
        SongError
            If it may not be played, is not audio, or cannot be decoded.
        """
        file = self.roots.open(uri)
        try:
            media_type = self.media_type(self._about(uri, file))
            if media_type is not None and not as_wav:
                return file, media_type
            wav = self._as_wav(uri, file)
        except BaseException:
            file.close()
            raise
        file.close()
        return wav.open("rb"), "audio/wav"

    @staticmethod
    def media_type(about: Playable) -> str | None:
        """Return the media type of a file; None if browsers cannot play it."""
        return TYPES.get((about.container.value, about.codec))

    def wave(self, uri: str) -> Envelope:
        """Return the waveform of a song for drawing."""
        with self.roots.open(uri) as file:
            return self._ask(uri, file, WAVE)

    def cover(self, uri: str) -> CoverImage | None:
        """Return the picture in a song's tags, or else in its folder; None without JPEG or PNG."""
        with self.roots.open(uri) as file:
            self._about(uri, file)
            data: bytes | None = self._ask(uri, file, COVER)
            identity = _identity(file)
        picture = _picture(data)
        with self._lock:
            self._covered[identity] = picture is not None
            if len(self._covered) > MOST_COVERED:
                self._covered.popitem(last=False)
        return picture or self._beside(uri)

    def has_cover(self, uri: str) -> bool:
        """Whether a song has a picture; a file is asked once, its folder each time."""
        try:
            with self.roots.open(uri) as file:
                identity = _identity(file)
            with self._lock:
                known = self._covered.get(identity)
            return bool(known) or bool(self.cover(uri) if known is None else self._beside(uri))
        except SongError:
            return False

    def _beside(self, uri: str) -> CoverImage | None:
        folder = uri.rpartition("/")[0]
        for name in BESIDE:
            with suppress(SongError), self.roots.open(f"{folder}/{name}") as file:
                if os.fstat(file.fileno()).st_size <= MAX_COVER:
                    return _picture(file.read(MAX_COVER))
        return None

    def _about(self, uri: str, file: BinaryIO) -> Playable:
        identity = _identity(file)
        with self._lock:
            if identity in self._known:
                return self._known[identity]
        result: Playable = self._ask(uri, file, PROBE)
        with self._lock:
            self._known[identity] = result
            if len(self._known) > 10_000:
                self._known.popitem(last=False)
        return result

    def _as_wav(self, uri: str, file: BinaryIO) -> Path:
        with self._making:
            identity = _identity(file)
            if identity in self._decoded:
                self._decoded.move_to_end(identity)
                return self._decoded[identity]
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="audiorec-")
            out = Path(self._folder.name) / f"{next(self._numbers)}.wav"
            try:
                self._ask(uri, file, WAV, str(out))
            except BaseException:  # refused, or its worker was killed: what was decoded goes
                out.unlink(missing_ok=True)
                raise
            self._decoded[identity] = out
            self._forget()
            return out

    def _forget(self) -> None:
        """Remove the least recently played songs if all take more than `MAX_KEPT`."""
        sizes = {key: path.stat().st_size for key, path in self._decoded.items()}
        while len(self._decoded) > 1 and sum(sizes[key] for key in self._decoded) > MAX_KEPT:
            _, path = self._decoded.popitem(last=False)
            with suppress(OSError):
                path.unlink()

    def _ask(self, uri: str, file: BinaryIO, what: str, *more: str) -> Any:
        answer = self._workers.ask((what, _place(uri, file), *more))
        if isinstance(answer.error, SongError):
            error = answer.error
            raise SongError(uri, error.failure, error.reason, error.stage, error.decoder)
        if answer.error is not None:
            raise answer.error
        if answer.failure is not None:
            raise SongError(uri, answer.failure, answer.message, "worker")
        return answer.value


def _identity(file: BinaryIO) -> _Identity:
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _place(uri: str, file: BinaryIO) -> str:
    """Return a path by which an open file can be opened again, also by a child process."""
    own = f"/proc/{os.getpid()}/fd/{file.fileno()}"
    return own if Path(own).exists() else uri


def handler() -> Callable[[tuple[str, ...]], Any]:
    """Return the function that a worker calls with each item."""
    from audiorec.audio.readers import captured_stderr

    def answer(item: tuple[str, ...]) -> Any:
        what, path, *more = item
        with captured_stderr():
            if what == PROBE:
                return probe(path)
            if what == WAV:
                return write_wav(path, Path(more[0]), max_bytes=MAX_KEPT)
            if what == WAVE:
                return envelope(path, points=POINTS)
            return _cover(path)

    return answer


def _cover(path: str) -> bytes | None:
    """Return the first picture in a file's tags; None if there is none or it is too large."""
    from tinytag import TinyTag, TinyTagException

    try:
        with Path(path).open("rb") as file:
            tag = TinyTag.get(file_obj=file, tags=True, duration=False, image=True)
        result = tag.images.any
    except (TinyTagException, OSError, AudiorecError):
        return None
    data = None if result is None else result.data
    return data if data and len(data) <= MAX_COVER else None
