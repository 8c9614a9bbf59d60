"""Keep lists of our own on a server: made, replaced in place, removed; and all of it undone.

    wanted lists, a `Player`, a `ListLedger` ──push──▶ `ListChange`s

A list is ours if its name has our mark, the ledger in the user's data folder has its id, and its
songs are those that we wrote last. Whoever renames or edits a list on the server makes it theirs:
it is never changed again. The ledger is written before and after each change, with the songs of
both, so that a run after a kill knows its lists again. The server itself exchanges the songs of a
list in one step.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from audiorec.errors import DamagedFileError, PlayerError, StoreError
from audiorec.files.own_files import (
    RunFolder,
    own_data_folder,
    read_object,
    sealed,
    write_errors,
    write_own,
)
from audiorec.files.user_files import as_type, from_table
from audiorec.players.contract import Player, PlayerList
from audiorec.players.settings import MARK

SCHEMA = "audiorec/player-lists/1"
NO_FILES = "(?!)"  # what the folder of a lock may hold beside it
Action = Literal["created", "replaced", "removed", "unchanged", "left alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChange:
    """What became of a list on a server."""

    name: str
    action: Action
    songs: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnList:
    """What we know of a list of ours; songs are the server's ids."""

    id: str = ""  # empty while it is being made
    songs: tuple[str, ...] = ()  # as they were written last
    coming: tuple[str, ...] | None = None  # those of a change that has begun
    before: tuple[str, ...] | None = None  # the last change; empty: no list; None: it was undone


class ListLedger:
    """The lists that we made with one account of a server, and what was heard of its songs.

    If it `looks`, the file is only read. Raises `DamagedFileError` if the file is damaged: then no
    list of the server is known as ours.
    """

    def __init__(self, path: Path, *, looks: bool = False) -> None:
        self.path, self.looks = path, looks
        self.lists: Mapping[str, OwnList] = {}  # by name
        self.heard: Mapping[str, tuple[str, str]] = {}  # by id of the server, see `sound`
        try:
            content = read_object(path)
            if content.get("schema") != SCHEMA:
                raise ValueError("of another version")
            self.lists = {n: from_table(OwnList, one, n) for n, one in content["lists"].items()}
            heard = content.get("heard", {}).items()
            self.heard = {n: as_type(tuple[str, str], n, one) for n, one in heard}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, AttributeError, StoreError) as error:
            raise DamagedFileError(
                f"{path}: cannot be read: {error}; remove it: the lists on the server then "
                "count as made by others"
            ) from error

    def keep(self, name: str, entry: OwnList | None) -> None:
        """Set or drop the entry of a list, on disk as well."""
        others = {key: one for key, one in self.lists.items() if key != name}
        self._write(others if entry is None else {**others, name: entry}, self.heard)

    def keep_heard(self, heard: Mapping[str, tuple[str, str]]) -> None:
        """Set what was heard, on disk as well."""
        self._write(self.lists, heard)

    def _write(self, lists: Mapping[str, OwnList], heard: Mapping[str, tuple[str, str]]) -> None:
        if self.looks or (lists, heard) == (self.lists, self.heard):
            return
        self.lists, self.heard = lists, heard
        content: dict[str, Any] = {"lists": {n: _plain(one) for n, one in sorted(lists.items())}}
        if heard:
            content["heard"] = {name: list(one) for name, one in sorted(heard.items())}
        with write_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = json.dumps(sealed({"schema": SCHEMA, **content}), indent=1)
            write_own(self.path, f"{text}\n")


@contextmanager
def ledger_of(url: str, user: str, *, looks: bool = False) -> Iterator[ListLedger]:
    """Yield the ledger of an account; unless it is only looked at, no other sync changes it.

    It is in the user's data folder, under a hash of `url` and `user`. Raises `BusyStoreError` if
    another sync holds it.
    """
    name = hashlib.sha256(f"{url}\n{user}".encode()).hexdigest()[:24]
    path = own_data_folder() / "players" / f"{name}.json"
    lock = None if looks else RunFolder(path, NO_FILES)
    try:
        yield ListLedger(path, looks=looks)
    finally:
        if lock is not None:
            lock.release(remove=True)


def _plain(entry: OwnList) -> dict[str, Any]:
    content = {key: value for key, value in asdict(entry).items() if value is not None}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}


class _OwnLists:
    """The lists of one account, with the ledger; changes nothing if the ledger only looks."""

    def __init__(self, player: Player, ledger: ListLedger, there: Collection[str]) -> None:
        self.player, self.ledger, self.there = player, ledger, there
        self.now = {one.id: one for one in player.lists()}

    def ours(self, name: str) -> tuple[PlayerList | None, tuple[str, ...], str]:
        """Return our list of a name and its songs; or None and why one cannot be made."""
        entry = self.ledger.lists.get(name)
        marked = [one for one in self.now.values() if one.name == f"{name}{MARK}"]
        if entry is None:
            return None, (), "a list of this name was not made from here" if marked else ""
        for one in marked:
            if entry.id in ("", one.id):
                songs = self.player.songs_of(one.id)
                expected = [entry.coming] if not entry.id else [entry.songs, entry.coming]
                if any(songs == self._left(e) for e in expected if e is not None):
                    return one, songs, ""
        edited = "it was edited on the server and is no longer ours; rename it there"
        return None, (), edited if marked else ""

    def _left(self, songs: Sequence[str]) -> tuple[str, ...]:
        """Return the songs that the server still has: those that left it left its lists as well."""
        return tuple(song for song in songs if song in self.there)

    def put(self, name: str, songs: tuple[str, ...], *, undoing: bool = False) -> ListChange:
        """Make a list what it is to be; no songs remove it."""
        ours, had, why = self.ours(name)
        entry = self.ledger.lists.get(name, OwnList())
        if why:
            return ListChange(name=name, action="left alone", why=why)
        if ours is None and not songs:
            if undoing or entry.songs:  # somebody else removed it
                self.ledger.keep(name, None)
            return ListChange(name=name, action="unchanged")
        if ours is not None and had == songs:  # perhaps by a run that was killed then
            before = None if undoing else entry.before
            self.ledger.keep(name, OwnList(id=ours.id, songs=songs, before=before))
            return ListChange(name=name, action="unchanged", songs=len(songs))
        if not self.ledger.looks:
            self._change(name, ours, OwnList(songs=had, before=None if undoing else had), songs)
        action: Action = "created" if ours is None else "replaced" if songs else "removed"
        return ListChange(name=name, action=action, songs=len(songs))

    def _change(
        self, name: str, ours: PlayerList | None, entry: OwnList, songs: tuple[str, ...]
    ) -> None:
        """Change a list on the server, between two notes in the ledger."""
        list_id = "" if ours is None else ours.id
        self.ledger.keep(name, replace(entry, id=list_id, coming=songs))
        if ours is None:
            list_id = self._created(name, songs)
        elif songs:
            self.player.replace(ours.id, songs)
        else:
            self.player.remove(ours.id)
            del self.now[ours.id]
        is_gone = not songs and entry.before is None
        done = replace(entry, id=list_id if songs else "", songs=songs)
        self.ledger.keep(name, None if is_gone else done)

    def _created(self, name: str, songs: tuple[str, ...]) -> str:
        self.player.create(f"{name}{MARK}", songs)
        new = [one for one in self.player.lists() if one.id not in self.now]
        self.now.update((one.id, one) for one in new)
        for one in new:
            if one.name == f"{name}{MARK}":
                return one.id
        raise PlayerError(f"the server took the list {name!r}, but does not show it")


def push(
    player: Player,
    ledger: ListLedger,
    wanted: Mapping[str, tuple[str, ...]],
    *,
    configured: Collection[str],
    there: Collection[str],
) -> Iterator[ListChange]:
    """Make the lists of an account what they are to be; yield what was done, list by list.

    Parameters
    ----------
    player : Player
    ledger : ListLedger
        If it only looks, nothing is changed on the server either.
    wanted : mapping of str to tuple of str
        The server's ids of the songs of each list, by its name without the mark.
    configured : collection of str
        The lists of the settings; those of ours that are not among them are removed.
    there : collection of str
        The ids of all songs of the server.
    """
    lists = _OwnLists(player, ledger, there)
    for name, songs in wanted.items():
        if songs:
            yield lists.put(name, songs)
        else:
            yield ListChange(name=name, action="left alone", why="it would have no songs yet")
    for name in sorted(set(ledger.lists) - set(configured)):
        change = lists.put(name, ())
        if change.action != "unchanged":
            yield change


def undo(player: Player, ledger: ListLedger, *, there: Collection[str]) -> Iterator[ListChange]:
    """Give each list of ours the songs that it had before its last change; yield what was done."""
    lists = _OwnLists(player, ledger, there)
    for name, entry in sorted(ledger.lists.items()):
        if entry.before is not None:
            songs = tuple(song for song in entry.before if song in there)
            yield lists.put(name, songs, undoing=True)
