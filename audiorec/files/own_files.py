"""Tell audiorec's own working files from everything else that may lie under their names.

A folder of music, and what lies beside an output in it, may come from anywhere. Nothing
found there is believed by its name alone:

    check_tree(folder, pattern)   raises unless every file could only be one of ours
    remove_tree(folder, pattern)  removes those files, and refuses to touch any other
    open_own(path)                opens one file without following a link

A file counts as ours if it is regular, has one name (no hard link leads elsewhere), stands
under a name that the caller expects and begins as files of that ending do. Links are never
followed. This protects against what lies in a folder, not against another process that
changes the folder at the same moment.
"""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from re import Pattern

from audiorec.errors import StoreError

LOCK_FILE = "lock"  # always empty
RECORDS_MAGIC = b"aRec"
# What the files of each ending begin with; a file that was cut off may end before that.
_STARTS = {
    ".parquet": b"PAR1",
    ".rows": RECORDS_MAGIC,
    ".json": b"{",
    ".jsonl": b"{",
    ".npy": b"\x93NUMPY",
}
_SAFETENSORS = ".safetensors"  # eight bytes of length, then JSON
_HEAD_BYTES = 16
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer must not be waited for
_BINARY = getattr(os, "O_BINARY", 0)


def open_own(path: Path) -> BufferedReader:
    """Open a file of audiorec's own; refuses links, folders, pipes, devices and second names."""
    refuse_link(path)
    descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | _BINARY)
    try:
        _check_plain(path, os.fstat(descriptor))
    except StoreError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_own(path: Path, max_bytes: int) -> bytes:
    """Read a small file of audiorec's own; refuses what `open_own` does, and larger ones."""
    with open_own(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise StoreError(f"{path}: {size} bytes, the limit is {max_bytes}")
        return file.read(size)  # not the limit, which would be cleared in memory first


def refuse_link(path: Path) -> None:
    """Raise a `StoreError` if `path` is a link, whatever it leads to."""
    if path.is_symlink():
        raise StoreError(
            f"{path}: is a link, and audiorec follows no links here; remove it, "
            "or name the place that it leads to"
        )


def refuse_other_than_folder(path: Path) -> None:
    """Raise a `StoreError` if `path` is there and is a link, or no folder."""
    refuse_link(path)
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: is in the place of a folder of audiorec's; move it away")


def refuse_foreign(path: Path) -> None:
    """Raise a `StoreError` unless a file is ours by its kind and its first bytes."""
    _check_plain(path, path.lstat())
    expected = _STARTS.get(path.suffix, b"")
    with open_own(path) as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix == _SAFETENSORS:
        head, expected = head[8:], b"{"
    start = head[: len(expected)]
    is_ours = start == expected[: len(start)] and not (path.name == LOCK_FILE and head)
    # A power failure may leave zeros where the first bytes should be.
    if not is_ours and any(head):
        raise StoreError(f"{path}: not a file that audiorec wrote; look at it, then remove it")


def check_tree(folder: Path, pattern: Pattern[str]) -> list[str]:
    """Return the names of all files in a folder, sorted, if only audiorec can have written them.

    `pattern` matches the whole names of our files, relative to `folder`, with forward slashes;
    and of folders in it, which end in one. If `folder` or anything in it is a link, or a file
    there is not ours, that is a `StoreError`.
    """
    names = []
    for path in _paths_below(folder):
        is_folder = path.is_dir()
        name = path.relative_to(folder).as_posix() + "/" * is_folder
        if not pattern.fullmatch(name):
            raise StoreError(
                f"{folder}: holds {name!r}, which is not of this run: finish the command "
                "that it is of, or look at the folder and remove it"
            )
        if is_folder:
            continue
        with suppress(FileNotFoundError):  # another process of audiorec has just removed it
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
    """Remove our files from a folder, and the folders in it that are then empty.

    `check_tree` is asked first: nothing goes unless everything may. The names in `keep` stay,
    those in `last` go after all others.
    """
    names = [name for name in check_tree(folder, pattern) if name not in keep]
    for name in sorted(names, key=lambda name: (name in last, name)):
        (folder / name).unlink()
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        path.rmdir()


def _paths_below(folder: Path) -> Iterator[Path]:
    """Yield files and folders, each folder before what is in it."""
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
        raise StoreError(
            f"{path}: is a second name of another file (a hard link); remove this name"
        )
