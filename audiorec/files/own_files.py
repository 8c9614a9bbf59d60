"""Distinguish audiorec's own working files from other files with the same names.

A music folder, and files beside an output in it, may come from anywhere. No file is trusted
by its name alone:

    check_tree(folder, pattern)   raises unless every file passes as one of ours
    remove_tree(folder, pattern)  removes those files; refuses if there are any others
    open_own(path)                opens one file without following a link

A file counts as ours if it is a regular file without other hard links, has a name that the
caller expects, and starts with the magic bytes of its suffix. Links are never followed. This
protects against files already present in a folder, not against another process that changes the
folder at the same time.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from re import Pattern

from audiorec.errors import StoreError

LOCK_FILE = "lock"  # always empty
RECORDS_MAGIC = b"aRec"
# First bytes of files by suffix; a truncated file may be shorter.
_STARTS = {
    ".parquet": b"PAR1",
    ".rows": RECORDS_MAGIC,
    ".json": b"{",
    ".jsonl": b"{",
    ".npy": b"\x93NUMPY",
}
_SAFETENSORS = ".safetensors"  # eight bytes of length, then JSON
# Regular expression for the names under which safetensors writes before it renames.
SAFETENSORS_TEMPORARY = r"\.tmp[0-9A-Za-z]{6}"
_HEAD_BYTES = 16
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe without a writer must not block
_BINARY = getattr(os, "O_BINARY", 0)


def open_own(path: Path) -> BufferedReader:
    """Open one of audiorec's own files; refuse links, folders, pipes, devices and hard links."""
    refuse_link(path)
    descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | _BINARY)
    try:
        _check_plain(path, os.fstat(descriptor))
    except StoreError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_own(path: Path, max_bytes: int) -> bytes:
    """Read one of audiorec's own small files; refuse larger ones and whatever `open_own` does."""
    with open_own(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise StoreError(f"{path}: {size} bytes, the limit is {max_bytes}")
        return file.read(size)  # not `max_bytes`, which would be allocated first


def refuse_link(path: Path) -> None:
    """Raise `StoreError` if `path` is a link, whatever its target."""
    if path.is_symlink():
        raise StoreError(
            f"{path}: is a link, which audiorec does not follow here; remove it, "
            "or give the path of its target"
        )


def refuse_other_than_folder(path: Path) -> None:
    """Raise `StoreError` if `path` exists and is a link or not a folder."""
    refuse_link(path)
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: is not a folder, but audiorec needs one here; move it away")


def refuse_foreign(path: Path) -> None:
    """Raise `StoreError` unless a file is ours by its file type and first bytes."""
    _check_plain(path, path.lstat())
    expected = _STARTS.get(path.suffix, b"")
    with open_own(path) as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix == _SAFETENSORS or re.fullmatch(SAFETENSORS_TEMPORARY, path.name):
        head, expected = head[8:], b"{"
    start = head[: len(expected)]
    is_ours = start == expected[: len(start)] and not (path.name == LOCK_FILE and head)
    # A power failure may leave zeros where the first bytes should be.
    if not is_ours and any(head):
        raise StoreError(f"{path}: was not written by audiorec; inspect it, then remove it")


def check_tree(folder: Path, pattern: Pattern[str]) -> list[str]:
    """Return the sorted names of all files in a folder, after checking that all of them are ours.

    `pattern` matches the full names of our files, relative to `folder`, with forward slashes, and
    of subfolders, with a trailing slash. Raises `StoreError` if `folder` or anything in it is a
    link, or if a file in it is not ours.
    """
    names = []
    for path in _paths_below(folder):
        is_folder = path.is_dir()
        name = path.relative_to(folder).as_posix() + "/" * is_folder
        if not pattern.fullmatch(name):
            raise StoreError(
                f"{folder}: holds {name!r}, which does not belong to this run: finish the command "
                "that wrote it, or inspect the folder and remove it"
            )
        if is_folder:
            continue
        with suppress(FileNotFoundError):  # another audiorec process has just removed it
            refuse_foreign(path)
            names.append(name)
    return sorted(names)


def remove_tree(
    folder: Path,
    pattern: Pattern[str],
    *,
    keep: Collection[str] = (),
    last: Collection[str] = (),
) -> None:
    """Remove our files from a folder, and its subfolders that are then empty.

    Calls `check_tree` first, so nothing is removed unless every file is ours. The names in `keep`
    stay; those in `last` are removed after all others.
    """
    names = [name for name in check_tree(folder, pattern) if name not in keep]
    for name in sorted(names, key=lambda name: (name in last, name)):
        (folder / name).unlink()
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        path.rmdir()


def _paths_below(folder: Path) -> Iterator[Path]:
    """Yield files and folders recursively, each folder before its content."""
    refuse_other_than_folder(folder)
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = folder / entry.name
        refuse_link(path)
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _paths_below(path)


def _check_plain(path: Path, about: os.stat_result) -> None:
    if stat.S_ISLNK(about.st_mode):
        refuse_link(path)
    if not stat.S_ISREG(about.st_mode):
        raise StoreError(f"{path}: is not a regular file; remove it")
    if about.st_nlink > 1:
        raise StoreError(f"{path}: is a hard link to another file; remove it")
