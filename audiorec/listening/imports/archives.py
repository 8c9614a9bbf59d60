"""Open the files of an export: single files, in a zip, or in a folder.

    paths ──members──▶ [Member(name, open), ...]   sorted by name, opened one at a time

Nothing is unpacked to disk, so names in an archive cannot escape from a folder.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.user_files import input_errors, refuse_devices

FAILURE = "cannot be read"
MOST_MEMBERS = 100_000
MOST_UNPACKED = 200  # maximum compression ratio; JSON of plays compresses to a twentieth
SMALL = 16 << 20  # uncompressed bytes that are always allowed
_NUMBERS = re.compile(r"(\d+)")


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
    with input_errors(path, FAILURE), _open_zip(path) as archive:
        inside = archive.infolist()
        if len(inside) > MOST_MEMBERS:
            raise InputError(f"has {len(inside)} files, more than {MOST_MEMBERS}")
        wanted = [one for one in inside if pattern.search(one.filename) and not one.is_dir()]
    return [_member(path, one) for one in wanted]


def _member(path: Path, about: zipfile.ZipInfo) -> Member:
    name = f"{path}/{about.filename}"

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        if about.file_size > SMALL + MOST_UNPACKED * about.compress_size:
            raise DamagedFileError(
                f"{name}: {about.compress_size} bytes would expand to {about.file_size}"
            )
        with input_errors(name, FAILURE), _open_zip(path) as archive:
            try:
                with archive.open(about) as file:
                    yield file
            except (RuntimeError, NotImplementedError) as error:  # encrypted; unknown compression
                raise InputError(str(error)) from error

    return Member(name, opened)


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise InputError(f"is not a zip, or is damaged: {error}") from error
