"""Files of audiorec: replaced atomically, and kept while a run is unfinished.

    replaced                    a new file or the old one, never a partial file
    RunFolder, check_tree       the folder of an unfinished run, ``vecs.parquet.run/``
    own_data_folder             the user's folder of data
    parse_json, sealed, ...     JSON within limits, with a digest of its content

A link is not followed where audiorec writes or removes: a folder of songs from elsewhere may hold
one. What a run finds in its folder is known by its name; what is in the files, their readers check.
"""

import errno
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from re import Pattern
from typing import Any
from uuid import uuid4

from audiorec.errors import AudiorecError, BusyStoreError, InputError, StoreError

LOCK_FILE = "lock"  # always empty
# Regular expression for the names under which safetensors writes before it renames.
SAFETENSORS_TEMPORARY = r"\.tmp[0-9A-Za-z]{6}"
MAX_JSON_BYTES = 64 << 20
# Of what was replaced meanwhile; some file systems give a file a new number each time it is opened.
MAX_READS = 20


def read_own(path: Path, max_bytes: int) -> bytes:
    """Read a small file; refuse a larger one, a link, and what is no file: a pipe has no end."""
    refuse_link(path)
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise StoreError(f"{path}: is not a regular file")
    if about.st_size > max_bytes:
        raise StoreError(f"{path}: {about.st_size} bytes, the limit is {max_bytes}")
    return path.read_bytes()


def read_object(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read one of audiorec's own JSON objects, and verify its digest if it has one.

    Raises a one-line `ValueError` if it is damaged, and whatever `read_own` does.
    """
    return unsealed(parse_json(read_own(path, max_bytes), max_bytes=max_bytes))


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


def check_tree(folder: Path, pattern: Pattern[str]) -> list[str]:
    """Return the sorted names of all files in a folder, after checking that all of them are ours.

    `pattern` matches the full names of our files, relative to `folder`, with forward slashes, and
    of subfolders, with a trailing slash. Raises `StoreError` if `folder` is a link, or anything in
    it has another name.
    """
    refuse_other_than_folder(folder)
    names = []
    for path in sorted(folder.rglob("*")):
        is_folder = path.is_dir() and not path.is_symlink()
        name = path.relative_to(folder).as_posix() + "/" * is_folder
        if not pattern.fullmatch(name):
            raise StoreError(
                f"{folder}: holds {name!r}, which does not belong to this run: finish the command "
                "that wrote it, or inspect the folder and remove it"
            )
        names += [] if is_folder else [name]
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


ENVIRONMENT = "AUDIOREC_DATA"


def own_data_folder() -> Path:
    """Return the user's data folder, which may not exist.

    ``$AUDIOREC_DATA`` if it is set, ``$XDG_DATA_HOME/audiorec`` if that variable is an absolute
    path, ``audiorec`` in ``%LOCALAPPDATA%`` on Windows, else ``~/.local/share/audiorec``. Raises
    `InputError` if the home folder is unknown.

    It holds networks that commands find by name.
    """
    return home_folder(ENVIRONMENT, "XDG_DATA_HOME", ".local/share")


def home_folder(variable: str, xdg: str, below: str) -> Path:
    """Return the folder that a variable names, or ours in the one that systems have for its use."""
    usual = os.environ.get(xdg, "")
    if not Path(usual).is_absolute():
        usual = os.environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else ""
    try:
        named = os.environ.get(variable) or Path(usual or Path.home() / below) / "audiorec"
        return Path(named).absolute()
    except RuntimeError as error:
        raise InputError(f"the home folder is unknown; set ${variable}") from error


TEMPORARY = r"\.[^/]+\.[0-9a-f]{12}\.tmp"  # regular expression for temporary names
LEFT_S = 3_600.0  # a running job has written to its temporary files within this time
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success rename it to `path`.

    If the body raises, the temporary file is removed and `path` is unchanged.

        with replaced(path) as temporary:
            ...write `temporary`...

    If the process is killed, its temporary file stays; the next job with the same output removes
    it, see `remove_leftovers`.

    Raises
    ------
    StoreError
        If `path` is a link, whose target may belong to somebody else, a folder or a device; if the
        temporary file cannot be written, or the disk is full.
    """
    target = Path(path)
    refuse_irreplaceable(target)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
    except OSError as error:
        # Other errors may be of a file that the body reads.
        if error.errno in NO_ROOM or (error.errno and temporary.name in str(error)):
            with write_errors(target):
                raise
        raise
    finally:
        with suppress(OSError):  # it was not written: no folder there, a name that is too long
            temporary.unlink(missing_ok=True)
    sync(target.parent)


def write_own(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a small file, as `replaced` does."""
    with replaced(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def refuse_irreplaceable(path: Path) -> None:
    """Raise `StoreError` if a file could not be written to `path`: a link, a folder, a device."""
    refuse_link(path)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise StoreError(f"{path}: is {kind} and cannot be replaced; choose another name")


def leftovers(folder: Path, name: str = "", *, least_s: float = LEFT_S) -> list[Path]:
    """Return the temporary files and folders that killed jobs left in a folder.

    With `name`, only those of the output with this name. Nothing that has changed within the last
    `least_s` seconds is returned, since its job may still be running.
    """
    result, now = [], time.time()
    with suppress(OSError), os.scandir(folder) as entries:  # a URI, or a folder yet to be made
        for entry in entries:
            if re.fullmatch(TEMPORARY, entry.name, re.DOTALL) and (
                not name or entry.name[1:-17] == name
            ):
                changed = entry.stat(follow_symlinks=False).st_mtime
                if now - changed > least_s:
                    result.append(Path(entry.path))
    return sorted(result)


def remove_leftovers(folder: Path, name: str = "", *, least_s: float = LEFT_S) -> None:
    """Remove the temporary files among `leftovers`; links and folders stay."""
    for path in leftovers(folder, name, least_s=least_s):
        with suppress(OSError):
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()


def sync(path: Path) -> None:
    """Flush the content of a file, or the entries of a folder, to disk."""
    if os.name == "nt" and path.is_dir():  # Windows flushes folder entries itself
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Convert an `OSError` with an errno (disk full, no permission) to a `StoreError`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, AudiorecError):
            raise
        hint = "choose another place"
        if error.errno in NO_ROOM:
            hint = "free some space and repeat the command; finished work is kept"
        reason = os.strerror(error.errno).lower()
        raise StoreError(f"{os.fspath(path)}: cannot be written: {reason}; {hint}") from error


SOFT_LOCK_FILE = "lock.soft"  # used if the system has no file locks
LOCKS = (LOCK_FILE, SOFT_LOCK_FILE)
_LEFT = re.compile(rf"(?:[^/]+/)?(?:{TEMPORARY}|{SAFETENSORS_TEMPORARY})", re.DOTALL)
ATTEMPTS = 10  # an attempt fails only if another run removes the folder at that moment


def run_folder_path(out: Path) -> Path:
    """Return the run folder of an output: ``vecs.parquet`` → ``vecs.parquet.run``.

    Beside day folders its name begins with ``_``, so that readers do not take it for a day.

    Examples
    --------
    >>> [run_folder_path(Path(out)).name for out in ("vecs.parquet", "lists/dt=2026-11-25")]
    ['vecs.parquet.run', '_dt=2026-11-25.run']
    """
    hidden = "_" if "=" in out.name or "=" in out.parent.name else ""
    return out.with_name(f"{hidden}{out.name}.run")


def unfinished_files(out: Path, names: str) -> list[str]:
    """Return the checked file names of an unfinished run, without locks; changes nothing."""
    folder = run_folder_path(out)
    refuse_other_than_folder(folder)
    if not folder.exists():
        return []
    return [name for name in check_tree(folder, _pattern(names)) if name not in LOCKS]


class RunFolder:
    r"""Lock on the run folder of an output, created if missing and held until `release`.

        folder = RunFolder(out, r"block-\d{6}\.parquet|job\.json")
        ...  folder.names()  folder.clear()  ...
        folder.release(remove=True)

    The operating system releases the lock when the process ends. `names` is a regular expression
    for the file names, relative to the folder, that this command writes; locks and temporary files
    are always allowed, and temporary files that a killed run left are removed.

    Raises `StoreError` if another process (or another `RunFolder` in this one) holds the lock, or
    if the folder contains anything that this command cannot have written: someone else may have
    made it. It is then left unchanged.
    """

    def __init__(self, out: Path, names: str) -> None:
        self.path = run_folder_path(out)
        self._pattern = _pattern(names)
        self._soft: Any = None
        for _ in range(ATTEMPTS):
            refuse_other_than_folder(self.path)
            with write_errors(out):
                self.path.mkdir(parents=True, exist_ok=True)
            descriptor = self._try()
            if descriptor is not None:
                self._descriptor = descriptor
                break
        else:
            raise StoreError(f"{self.path}: another run keeps removing this folder")
        try:
            for name in filter(_LEFT.fullmatch, check_tree(self.path, self._pattern)):
                with suppress(OSError):  # Windows cannot remove what an orphaned worker has open
                    (self.path / name).unlink()
        except BaseException:
            self.release()
            raise

    def names(self) -> list[str]:
        """Return the files in the folder except locks, sorted and checked."""
        return [name for name in check_tree(self.path, self._pattern) if name not in LOCKS]

    def clear(self, *, last: str = "") -> None:
        """Remove everything but the locks; the file named `last` is removed last."""
        remove_tree(self.path, self._pattern, keep=LOCKS, last=(last,))

    def release(self, *, remove: bool = False) -> None:
        """Release the lock; with `remove`, also delete the folder if it is otherwise empty."""
        if self._descriptor < 0:
            return
        if remove:
            with suppress(OSError):  # Windows cannot remove an open file
                (self.path / LOCK_FILE).unlink()
        if self._soft is not None:
            self._soft.release()
        os.close(self._descriptor)
        self._descriptor = -1
        if remove:
            with suppress(OSError):  # a new run is already using it
                self.path.rmdir()

    def _try(self) -> int | None:
        """Return the descriptor of the locked file; None if it was removed meanwhile."""
        path = self.path / LOCK_FILE
        refuse_link(path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            return None
        try:
            if not self._lock(descriptor):
                raise BusyStoreError(
                    f"{self.path}: another run is writing this output; wait for it or stop it"
                )
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _lock(self, descriptor: int) -> bool:
        from filelock import lock_descriptor  # imported late: only runs need it

        try:
            return lock_descriptor(descriptor, blocking=False)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
        from filelock import SoftFileLock, Timeout

        self._soft = SoftFileLock(self.path / SOFT_LOCK_FILE, timeout=0)
        try:
            self._soft.acquire()
        except Timeout:
            return False
        return True


def _pattern(names: str) -> re.Pattern[str]:
    locks = "|".join(map(re.escape, LOCKS))
    return re.compile(rf"{locks}|(?:{names})|{_LEFT.pattern}", re.DOTALL)


DIGEST = "content_sha256"


def parse_json(text: str | bytes, *, max_bytes: int) -> Any:
    """Parse a JSON text.

    Raises a one-line `ValueError` if it is too long, not JSON, nested too deeply, or contains NaN,
    infinity, or a number of thousands of digits.
    """
    if len(text) > max_bytes:
        raise ValueError(f"longer than {max_bytes} bytes")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the digest of its content added.

        {"rows": 5}  ──sealed──▶  {"rows": 5, "content_sha256": "…"}  ──unsealed──▶  {"rows": 5}

    The digest is the sha256 of all other keys, serialised with sorted keys and no spaces.
    """
    return {**content, DIGEST: _digest(content)}


def unsealed(content: Any) -> dict[str, Any]:
    """Verify an object's digest and return the object without it.

    An object without a digest is accepted. Raises `ValueError` if it is not an object, or its
    content does not match the digest.
    """
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    result = {key: value for key, value in content.items() if key != DIGEST}
    if DIGEST in content and content[DIGEST] != _digest(result):
        raise ValueError(f"damaged or changed: its content does not match {DIGEST}")
    # A key one character away from the digest's name is that name, damaged.
    if any(len(key) == len(DIGEST) and _apart(key) == 1 for key in result):
        raise ValueError(f"damaged: the name of its {DIGEST} is misspelt")
    return result


def _apart(key: str) -> int:
    return sum(a != b for a, b in zip(key, DIGEST, strict=True))


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
