"""Open the files of an export: single files, in a zip, or in a folder.

    paths ──members──▶ [Member(name, open), ...]   sorted by name, opened one at a time

Nothing is unpacked to disk, so names in an archive cannot escape from a folder. Members are
unpacked in pieces, no further than they are read: `zipfile` does so for deflate alone.
"""

import bz2
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.user_files import input_errors, refuse_devices

FAILURE = "cannot be read"
MOST_MEMBERS = 100_000
MOST_UNPACKED = 200  # maximum compression ratio; JSON of plays compresses to a twentieth
SMALL = 16 << 20  # uncompressed bytes that are always allowed
MOST_MEMORY = 128 << 20  # bytes, of an unpacker; the largest setting of 7-Zip takes 68 MB
PIECE_BYTES = 1 << 16
_NUMBERS = re.compile(r"(\d+)")
_LZMA_HEAD = struct.Struct("<HH")  # version, length of the properties that follow
_LZMA_PROPERTIES, _LZMA_ENDS = 5, 1 << 1  # bytes; the flag of a member that has an end mark
_SIZE_UNKNOWN = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an export.

    Attributes
    ----------
    name : str
        Its path for messages: ``export.zip/listens/2024/1.jsonl``.
    open : callable
        Opens the file as a context manager; errors are `InputError`.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def members(paths: Sequence[Path], wanted: str) -> list[Member]:
    """List the files of an export whose names match `wanted`, a regular expression.

    Folders and zips are searched; a file given directly is taken whatever its name. The files are
    sorted by name, with numbers in numeric order.

    Raises
    ------
    InputError
        If a path is missing or damaged, or nothing in it matches.
    """
    pattern, found = re.compile(wanted, re.IGNORECASE), []
    for path in paths:
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
        if path.is_dir():
            inside = [p for p in path.rglob("*") if pattern.search(p.as_posix()) and p.is_file()]
            here = [_plain(one) for one in inside]
        elif path.suffix.lower() == ".zip":
            here = _zipped(path, pattern)
        else:
            here = [_plain(path)]
        if not here:
            raise DamagedFileError(f"{path}: holds no file with a name like {wanted!r}")
        found += sorted(here, key=lambda one: _by_number(one.name))
    return found


def _by_number(name: str) -> list[tuple[int, str]]:
    parts = _NUMBERS.split(name)
    return [(int(p), "") if n % 2 and len(p) < 19 else (0, p) for n, p in enumerate(parts)]


def _plain(path: Path) -> Member:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with input_errors(path, FAILURE):
            refuse_devices(path)
            with path.open("rb") as file:
                yield file

    return Member(str(path), opened)


def _zipped(path: Path, pattern: re.Pattern[str]) -> list[Member]:
    with input_errors(path, FAILURE):
        if not path.is_file():
            raise InputError("is not a file")
        with _zip_errors():
            archive = zipfile.ZipFile(path)  # closed with the last of its members
        inside = archive.infolist()
        if len(inside) > MOST_MEMBERS:
            raise InputError(f"has {len(inside)} files, more than {MOST_MEMBERS}")
        wanted = [one for one in inside if pattern.search(one.filename) and not one.is_dir()]
        if sum(one.compress_size for one in wanted) > path.stat().st_size:
            raise InputError("is damaged: its files together are larger than itself")
    return [_member(path, archive, one) for one in wanted]


def _member(path: Path, archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> Member:
    name = f"{path}/{about.filename}"

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        if about.file_size > SMALL + MOST_UNPACKED * about.compress_size:
            raise DamagedFileError(
                f"{name}: {about.compress_size} bytes would expand to {about.file_size}"
            )
        with input_errors(name, FAILURE):
            with _zip_errors():
                file = _unpacked(archive, about)
            try:
                with file:
                    yield file
            except zipfile.BadZipFile as error:  # a wrong checksum
                raise InputError(f"is damaged: {error}") from error

    return Member(name, opened)


@contextmanager
def _zip_errors() -> Iterator[None]:
    """Convert errors of opening a zip, or a file in it: damaged, encrypted, of a later version."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise InputError(f"is not a zip, or is damaged: {error}") from error
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(str(error)) from error


def _unpacked(archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> IO[bytes]:
    if about.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return archive.open(about)
    if about.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise InputError(
            f"is packed by method {about.compress_type}, which cannot be unpacked here: unpack "
            "it and give the folder"
        )
    packed = copy(about)  # the same bytes, as they are stored
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, about.compress_size
    packed.CRC = None  # type: ignore[assignment]  # of the unpacked bytes, which `_Unpacker` checks
    return io.BufferedReader(_Unpacker(archive.open(packed), about), PIECE_BYTES)


class _Unpacker(io.RawIOBase):
    """The content of a member packed by bzip2 or LZMA; never more of it than is read."""

    def __init__(self, packed: IO[bytes], about: zipfile.ZipInfo) -> None:
        self._packed, self._about = packed, about
        self._begin()

    def _begin(self) -> None:
        self._at = self._crc = 0
        self._packed.seek(0)
        self._fed = b""
        self._engine: bz2.BZ2Decompressor | lzma.LZMADecompressor
        if self._about.compress_type == zipfile.ZIP_BZIP2:
            self._engine = bz2.BZ2Decompressor()
        else:  # the same stream as in a file of the old format .lzma, but for its head
            _, length = _LZMA_HEAD.unpack(self._packed.read(_LZMA_HEAD.size).ljust(4, b"\0"))
            if length != _LZMA_PROPERTIES:
                raise InputError("is damaged: its LZMA properties cannot be read")
            ends = self._about.flag_bits & _LZMA_ENDS
            size = _SIZE_UNKNOWN if ends else self._about.file_size
            self._fed = self._packed.read(length) + size.to_bytes(8, "little")
            self._engine = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MOST_MEMORY)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Return to the beginning, or tell the position; nothing else is needed."""
        if (offset, whence) == (0, os.SEEK_SET):
            self._begin()
        elif (offset, whence) != (0, os.SEEK_CUR):
            raise io.UnsupportedOperation("seek")
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Unpack into a buffer; raise `InputError` if the content is not what the zip states."""
        most = min(len(buffer), self._about.file_size - self._at)
        data = self._piece(most) if most else b""
        buffer[: len(data)] = data
        self._at += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._at == self._about.file_size and self._crc != self._about.CRC:
            raise InputError("is damaged: its checksum is wrong")
        return len(data)

    def _piece(self, most: int) -> bytes:
        while not self._engine.eof:
            if not self._fed and self._engine.needs_input:
                self._fed = self._packed.read(PIECE_BYTES)
                if not self._fed:
                    break
            try:
                data = self._engine.decompress(self._fed, most)
            except (lzma.LZMAError, MemoryError) as error:
                raise InputError(f"cannot be unpacked: {error}") from error
            self._fed = b""
            if data:
                return data
        raise InputError("is damaged: it ends too early")

    def close(self) -> None:
        self._packed.close()
        super().close()
