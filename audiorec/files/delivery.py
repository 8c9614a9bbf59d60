"""What a command makes for a place elsewhere: written on this machine's disk, put at the end.

    made = Delivery("s3://bucket/lists.parquet")      made.path: a path that a command writes to
    ...                                               made.deliver(): all of it is put

Until it is delivered, what was made lies in the user's cache, at one place for each URI, so that a
job that was stopped goes on there, and an upload that fails loses nothing. One process at a time
holds that place.

A file appears whole or not at all. Of a folder the files come one by one: before the first, its
listing says that it is being written, and readers refuse it; after the last, the listing names them
all. Then those of an earlier delivery that are no more go. Nobody else's files ever do.
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
    check_name,
    content_of,
    delivered_names,
    digest_of,
    drop_copies,
    known_as,
    local_folder,
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
BASED_ON = ".based-on"  # what was at the place when a job began that goes on from it
RUN_END = ".run"  # folders of unfinished work stay here
# What says that the rest of a folder is there comes after the rest.
LAST_NAMES = ("model.json", "prepared.json", "manifest.json", "run.json", "_SUCCESS")


class Delivery:
    """One output elsewhere, held until `release`.

    Attributes
    ----------
    uri : str
        Where it goes.
    path : Path
        Where a command writes it.

    Raises
    ------
    InputError
        If the URI names no file in a bucket, is of no known kind, or is a folder with files that
        audiorec did not put there.
    BusyStoreError
        If another process on this machine writes the same output.
    StoreError
        If the place cannot be written.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        above, _, name = self.uri.rpartition("/")
        if not above.partition("://")[2]:
            raise InputError(f"{uri}: name a file or a folder in a bucket, not a bucket")
        check_name(name, uri)
        check_writable(parent(self.uri))
        self._check_target()
        folder = cache_folder() / OUTGOING / digest_of(self.uri)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._lock: RunFolder | None = RunFolder(folder, "")
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self.path = folder / name
        known_as(self.path, self.uri)

    def bring(self, only: Callable[[str], bool] | None = None) -> None:
        """Copy what is at the place, for a job that goes on from what it finds there.

        What such a job has left here, stopped or not delivered, stays as it is, unless somebody
        else has written to the place since it began.
        """
        entries = files_in(self.uri)
        marker, based_on = self._folder / BASED_ON, content_of(entries)
        if self.path.exists() and marker.is_file() and marker.read_text() == based_on:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        if entries:
            shutil.copytree(local_folder(self.uri, only=only), self.path)
        marker.write_text(based_on)

    def deliver(self) -> None:
        """Put all that was made: what lies beside the output first, and the output last.

        Raises
        ------
        StoreError
            If it cannot be put. Nothing is lost: the message says where it lies.
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
            known_as(self._folder, str(self._folder))
            raise StoreError(
                f"{self.uri}: was made, and cannot be put there ({reason}); it lies in "
                f"{self._folder}"
            ) from error
        shutil.rmtree(self._folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let go of the place; what was not delivered stays on this machine."""
        if self._lock is not None:
            with suppress(OSError):
                self._folder.rmdir()  # if it is empty
            self._lock.release(remove=True)
            self._lock = None

    def _check_target(self) -> None:
        """Refuse a folder that somebody else has filled: two outputs would become one."""
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
    """Return the files of a folder that audiorec has put there."""
    content = read(join(place, LISTING), max_bytes=MAX_LISTING_BYTES)
    try:
        found: Any = json.loads(content or b"{}")
        names = found.get("files") or found.get("were") or ()
        kept = set(names) if isinstance(names, (list, dict)) else set()
        for name in kept:
            check_name(name, place)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()  # damaged: nothing of it is believed
    return kept


class Revision:
    """A file or a folder elsewhere that a command changes in place: copied, changed, put back.

    Only what changed is put; of a folder, what says that the rest is there comes last. Copies of
    it on this machine go: what was taken out of a file is not kept in them.

    Attributes
    ----------
    uri : str
    path : Path
        Of the copy that is changed.

    Raises
    ------
    MissingFileError
        If there is no such file.
    BusyStoreError
        If another process on this machine changes it.
    StoreError
        If it cannot be read or written.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        check_writable(parent(self.uri))
        found = with_local(self.uri)
        folder = cache_folder() / REVISED / digest_of(self.uri)
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
        known_as(self.path, self.uri)

    def deliver(self) -> None:
        """Put back what changed.

        Raises
        ------
        StoreError
            If it cannot be put. Files that were put before are changed, the others are not.
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
        """Let go, and remove the copy that was changed."""
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
