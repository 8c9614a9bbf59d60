"""Deliver outputs to an object store: written to the local disk, uploaded at the end.

    made = Delivery("s3://bucket/lists.parquet")      made.path: a local path for the command
    ...                                               made.deliver(): uploads everything

Until delivery, the output is in the user's cache, in one folder per URI, so an interrupted job
resumes there and a failed upload loses nothing. One process at a time holds that folder.

A file is uploaded atomically. The files of a folder are uploaded one by one: before the first, a
listing marks the folder as being written, so readers refuse it; after the last, the listing names
all of them. Then obsolete files of an earlier delivery are removed; files of others never are.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.files.copies import (
    LISTING,
    MAX_LISTING_BYTES,
    cache_folder,
    cache_name,
    check_name,
    delivered_names,
    drop_copies,
    listing_digest,
    local_folder,
    show_as,
    with_local,
)
from audiorec.files.run_folder import RunFolder
from audiorec.files.storage import (
    check_writable,
    files_in,
    is_folder,
    join,
    parent,
    read,
    remove,
    send,
    write,
)

OUTGOING, REVISED = "outgoing", "revised"
BASED_ON = ".based-on"  # digest of the remote content from which a job started
RUN_END = ".run"  # run folders are not uploaded
# Files that mark a folder as complete are uploaded last.
LAST_NAMES = ("model.json", "prepared.json", "manifest.json", "run.json", "_SUCCESS")


class Delivery:
    """One output at a remote URI, locked until `release`.

    Attributes
    ----------
    uri : str
        The destination.
    path : Path
        The local path to write to.

    Raises
    ------
    InputError
        If the URI does not name a file or folder in a bucket, has an unsupported protocol, or is
        a folder with files that audiorec did not write.
    BusyStoreError
        If another process on this machine is writing the same output.
    StoreError
        If the destination is not writable.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        above, _, name = self.uri.rpartition("/")
        if not above.partition("://")[2]:
            raise InputError(f"{uri}: is a bucket; give a file or folder in it")
        check_name(name, uri)
        check_writable(parent(self.uri))
        self._check_target()
        folder = cache_folder() / OUTGOING / cache_name(self.uri)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._lock: RunFolder | None = RunFolder(folder, "")
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self.path = folder / name
        show_as(self.path, self.uri)

    def bring(self, only: Callable[[str], bool] | None = None) -> None:
        """Download the present content of the destination, for a job that extends it.

        Undelivered local work of an earlier job is kept, unless the destination has changed
        since that job began.
        """
        entries = files_in(self.uri)
        marker, based_on = self._folder / BASED_ON, listing_digest(entries)
        if self.path.exists() and marker.is_file() and marker.read_text() == based_on:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        if entries:
            shutil.copytree(local_folder(self.uri, only=only), self.path)
        marker.write_text(based_on)

    def deliver(self) -> None:
        """Upload everything: files beside the output first, the output last.

        Raises
        ------
        StoreError
            If the upload fails. Nothing is lost: the message names the local folder.
        """
        if self._lock is None:
            return
        try:
            for path in sorted(self._folder.iterdir()):
                is_work = path.name.startswith(".") or path.name.endswith(RUN_END)
                if path != self.path and not is_work:
                    _put(path, join(parent(self.uri), path.name))
            if self.path.exists():
                _put(self.path, self.uri)
        except (AudiorecError, OSError) as error:
            reason = str(error).removeprefix(f"{self.uri}: ")
            self.release()
            show_as(self._folder, str(self._folder))
            raise StoreError(
                f"{self.uri}: the output is finished but cannot be uploaded ({reason}); it is in "
                f"{self._folder}"
            ) from error
        shutil.rmtree(self._folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Release the lock; undelivered files stay on this machine."""
        if self._lock is not None:
            with suppress(OSError):
                self._folder.rmdir()  # if it is empty
            self._lock.release(remove=True)
            self._lock = None

    def _check_target(self) -> None:
        """Refuse a folder with files of others, which would be mixed with the output."""
        if not is_folder(self.uri):
            return
        there = [entry.name for entry in files_in(self.uri)]
        if there and LISTING not in there:
            raise InputError(
                f"{self.uri}: is a folder with other files in it ({there[0][:80]!r}); "
                "name a new one"
            )


def _put(local: Path, place: str) -> None:
    if not local.is_dir():
        send(local, place)
        return
    files = {p.relative_to(local).as_posix(): p for p in local.rglob("*") if p.is_file()}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    ours = _ours(place)
    written = {"files": None, "were": sorted(ours | set(sizes))}
    write(join(place, LISTING), json.dumps(written).encode())
    for name in sorted(files, key=lambda name: (files[name].name in LAST_NAMES, name)):
        send(files[name], join(place, name))
    write(join(place, LISTING), json.dumps({"files": sizes}, sort_keys=True).encode())
    for name in sorted(ours - set(sizes)):
        with suppress(StoreError):
            remove(join(place, name))


def _ours(place: str) -> set[str]:
    """Return the names of the files in a folder that audiorec has written."""
    content = read(join(place, LISTING), max_bytes=MAX_LISTING_BYTES)
    try:
        found: Any = json.loads(content or b"{}")
        names = found.get("files") or found.get("were") or ()
        kept = set(names) if isinstance(names, (list, dict)) else set()
        for name in kept:
            check_name(name, place)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()  # damaged, so not trusted
    return kept


class Revision:
    """A remote file or folder to edit in place: downloaded, changed, uploaded again.

    Only changed files are uploaded, those that mark a folder as complete last. Cached copies on
    this machine are removed, so that deleted data does not remain in them.

    Attributes
    ----------
    uri : str
    path : Path
        The local copy to edit.

    Raises
    ------
    MissingFileError
        If the file does not exist.
    BusyStoreError
        If another process on this machine is changing it.
    StoreError
        If it cannot be read or written.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        check_writable(parent(self.uri))
        found = with_local(self.uri)
        folder = cache_folder() / REVISED / cache_name(self.uri)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._lock: RunFolder | None = RunFolder(folder, "")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self._folder, self.path = folder, folder / found.name
        if found.is_dir():
            shutil.copytree(found, self.path)
        else:
            shutil.copyfile(found, self.path)
        self._before = self._digests()
        show_as(self.path, self.uri)

    def deliver(self) -> None:
        """Upload the changed files.

        Raises
        ------
        StoreError
            If an upload fails. Files uploaded before that are changed, the others are not.
        """
        if self._lock is None:
            return
        after = self._digests()
        changed = [name for name in after if after[name] != self._before[name]]
        for name in sorted(changed, key=lambda name: (Path(name).name in LAST_NAMES, name)):
            send(self.path / name, join(self.uri, name) if name else self.uri)
        if changed and self.path.is_dir() and delivered_names(self.uri) is not None:
            sizes = {name: (self.path / name).stat().st_size for name in after}
            write(join(self.uri, LISTING), json.dumps({"files": sizes}, sort_keys=True).encode())
        places = [join(self.uri, name) for name in after if name]
        for place in (self.uri, *places):
            drop_copies(place)
        self.release()

    def release(self) -> None:
        """Release the lock, and remove the local copy."""
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release(remove=True)
            self._lock = None

    def _digests(self) -> dict[str, str]:
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        found = {}
        for path in files:
            if path.is_file():
                name = "" if path == self.path else path.relative_to(self.path).as_posix()
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found
