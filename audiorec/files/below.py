"""Open files and folders below a folder given by the user, without following links.

    roots, "/music/a/b.mp3"  ──split_below──▶  root, ["a", "b.mp3"]   or None
    root, ["a", "b.mp3"]     ──open_below───▶  a descriptor of the file
    root, ["a"]              ──folder_below─▶  a descriptor of the folder, for use as ``dir_fd``

A path from a store or another file may point anywhere. It is opened component by component without
following links, so that no path leads out of the folders that the user has allowed.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
BY_DESCRIPTOR = os.open in os.supports_dir_fd  # not on Windows


def split_below(roots: Sequence[str], path: str) -> tuple[str, list[str]] | None:
    """Split a path into the root that it lies below and the remaining components.

    Parameters
    ----------
    roots : sequence of str
        Absolute paths.
    path : str
        As stored; the file system is not accessed.

    Returns
    -------
    found : (str, list of str) or None
        None for a relative path, a URI, a path with ``..``, or one outside all roots.

    Examples
    --------
    >>> split_below(["/music"], "/music/a/b.mp3")
    ('/music', ['a', 'b.mp3'])
    >>> split_below(["/music"], "/music/../etc/passwd") is None
    True
    """
    if "\0" in path or "://" in path or not Path(path).is_absolute():
        return None
    for root in roots:
        below = path.removeprefix(root.rstrip(os.sep) + os.sep)
        parts = below.split(os.sep)  # noqa: PTH206 - dots are not dropped
        if below != path and all(part not in ("", os.curdir, os.pardir) for part in parts):
            return root, parts
    return None


def open_below(root: str, parts: Sequence[str]) -> int:
    """Open a file for reading; raise `OSError` if any component is a link."""
    with folder_below(root, parts[:-1]) as folder:
        if folder is not None:
            return os.open(parts[-1], os.O_RDONLY | _BINARY | _FLAGS, dir_fd=folder)
    place = os.path.join(root, *parts)  # noqa: PTH118
    _refuse_links(root, parts)
    return os.open(place, os.O_RDONLY | _BINARY | _FLAGS)


@contextmanager
def folder_below(root: str, parts: Sequence[str]) -> Iterator[int | None]:
    """Yield a descriptor of a folder for use as ``dir_fd``; `OSError` if a component is a link.

    Yields None on systems without ``dir_fd`` (Windows), after checking the path for links.
    """
    if not BY_DESCRIPTOR:
        _refuse_links(root, parts)
        yield None
        return
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | _FOLDER | _FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _refuse_links(root: str, parts: Sequence[str]) -> None:
    place = os.path.join(root, *parts)  # noqa: PTH118
    if os.path.realpath(place) != os.path.join(os.path.realpath(root), *parts):  # noqa: PTH118
        raise OSError(errno.ELOOP, "is a link")
