"""Retag the songs of a store whose files lie below some folders: a dry run, or a write.

store, roots, fields ──retag──▶ `Retagging`     writes nothing unless asked to
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from audiorec.errors import Failure, MissingFileError, SongError
from audiorec.files.below import split_below
from audiorec.files.visible import visible
from audiorec.retagging.change import HANDLER, Change, Changed, discard, swap_in
from audiorec.retagging.undo import Record, Undo
from audiorec.retagging.wanted import checked_fields, in_words, wanted_fields
from audiorec.runs.workers import Answer, Limits, Workers
from audiorec.store.store import VectorStore

WRITTEN, WOULD_WRITE, UNCHANGED, REFUSED = "written", "would write", "unchanged", "refused"
RESTORED, AS_IT_WAS = "restored", "as it was"
LIMITS = Limits(timeout_s=600.0, memory_bytes=4 << 30)
Told = Callable[["Retagged"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retagged:
    """Outcome of one song.

    Attributes
    ----------
    song_id, path : str
    state : str
        ``written``, ``would write``, ``unchanged`` or ``refused``; after an undo ``restored``,
        ``as it was`` or ``refused``.
    put : mapping of str to sequence of str
        Fields that were, or would be, written.
    kept : mapping of str to sequence of str
        Current values of fields that already have another value, kept unless `replace` is set.
    reason : str
        Why it was refused.
    """

    song_id: str
    path: str
    state: str
    put: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kept: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retagging:
    """Outcome of all songs below the roots.

    Attributes
    ----------
    songs : tuple of Retagged
    undo_file : Path or None
        Input of `audiorec.retagging.undo_job.restore`; None if nothing was written.
    elsewhere : int
        Songs of the store outside the roots, which were skipped.
    """

    songs: tuple[Retagged, ...]
    undo_file: Path | None = None
    elsewhere: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Number of songs by state."""
        return dict(Counter(song.state for song in self.songs))

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in self.counts.items())
        return visible(f"Retagging({counts or 'no song'}; undo file {self.undo_file})")


def retag(
    store: VectorStore,
    roots: Sequence[str | Path],
    *,
    fields: Sequence[str] | None = None,
    write: bool = False,
    replace: bool = False,
    keep_mtime: bool = False,
    undo_file: str | Path | None = None,
    jobs: int = 1,
    limits: Limits = LIMITS,
    told: Told | None = None,
) -> Retagging:
    """Write fields into the tags of a store's songs; by default only report what would be written.

    Parameters
    ----------
    store : VectorStore
    roots : sequence of path
        Folders, or single songs; files outside them are never opened, and links not followed.
    fields : sequence of str, optional
        Any of `audiorec.retagging.wanted.FIELDS`: ``AUDIOREC_GENRE``, ``genre``, ``mood``. By
        default one field for each head of the store: ``AUDIOREC_VERSION`` and ``AUDIOREC_GENRE``.
    write : bool
        Write to the files. A field that already has a value is kept.
    replace : bool
        Overwrite fields that have another value.
    keep_mtime : bool
        Keep the files' modification times; by default they change, so that music servers notice.
    undo_file : path, optional
        Undo file to write, or to append to if it exists. By default
        ``retag-<time>.undo.jsonl`` beside the store.
    jobs : int
        Number of worker processes.
    limits : Limits
        Time and memory limits for one song.
    told : callable, optional
        Called with each `Retagged` as soon as it is done.

    Returns
    -------
    retagging : Retagging
        Songs in the order of the store.

    Raises
    ------
    MissingFileError
        If a root does not exist.
    InputError
        If the store cannot fill a field, or `undo_file` exists and is not an undo file.
    MissingExtraError
        Without mutagen (extra ``retag``).
    """
    names = checked_fields(store, fields)
    places = checked_roots(roots)
    chosen, elsewhere = _below(store, places)
    rows = np.asarray([row for row, _, _ in chosen], np.int64)
    hashes = store.column("content_hash").to_pylist()
    wanted = wanted_fields(store, names, rows)
    changes = [
        Change(
            root=root,
            parts=tuple(parts),
            content_hash=hashes[row],
            fields=values,
            replace=replace,
            write=write,
            keep_mtime=keep_mtime,
        )
        for (row, root, parts), values in zip(chosen, wanted, strict=True)
    ]
    undo_path = (Path(undo_file) if undo_file else _usual_undo(store)) if write else None
    songs = []
    with Undo(undo_path) if undo_path else nullcontext() as undo:
        ids = [store.ids[row] for row in rows]
        for song in _carried_out(ids, changes, undo, jobs, limits):
            songs.append(song)
            if told is not None:
                told(song)
    if undo_path is not None and not any(song.state == WRITTEN for song in songs):
        if undo_path.stat().st_size == 0:
            undo_path.unlink()
        undo_path = None
    return Retagging(songs=tuple(songs), undo_file=undo_path, elsewhere=elsewhere)


def checked_roots(roots: Sequence[str | Path]) -> tuple[str, ...]:
    """Return roots as absolute paths, both as named and with links resolved.

    A root itself may be a link, since the user named it. A single song may be a root.
    """
    found: list[str] = []
    for root in roots:
        if not Path(root).exists():
            raise MissingFileError(f"{root}: no such folder")
        found += [os.path.abspath(root), os.path.realpath(root)]  # noqa: PTH100
    return tuple(dict.fromkeys(found))


def below_roots(roots: Sequence[str], path: str) -> tuple[str, list[str]] | None:
    """Return the root of a path and its components below it, like `split_below`.

    A root that is a file contains just itself. None if the path lies below no root.
    """
    found = split_below(roots, path)
    if found is None and path in roots and not Path(path).is_dir():
        parent, name = os.path.split(path)
        return parent, [name]
    return found


def _below(
    store: VectorStore, roots: Sequence[str]
) -> tuple[list[tuple[int, str, list[str]]], int]:
    found, elsewhere = [], 0
    for row, uri in enumerate(store.column("uri").to_pylist()):
        place = below_roots(roots, uri)
        if place is None:
            elsewhere += 1
        else:
            found.append((row, *place))
    return found, elsewhere


def _usual_undo(store: VectorStore) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = store.path.with_name(f"retag-{now}")
    number, path = 1, Path(f"{base}.undo.jsonl")
    while path.exists():  # from a run in the same second
        number += 1
        path = Path(f"{base}-{number}.undo.jsonl")
    return path


def _carried_out(
    ids: Sequence[str],
    changes: Sequence[Change],
    undo: Undo | None,
    jobs: int,
    limits: Limits,
) -> Iterator[Retagged]:
    asked = [(n, change) for n, change in enumerate(changes) if change.fields]
    done: dict[int, Retagged] = {
        n: Retagged(song_id=ids[n], path=change.path, state=UNCHANGED)
        for n, change in enumerate(changes)
        if not change.fields
    }
    at = left = 0
    try:
        with Workers(HANDLER, jobs=jobs, limits=limits) as workers:
            answers = workers.map(change for _, change in asked)
            for (number, change), answer in zip(asked, answers, strict=True):
                while at < number:
                    yield done[at]
                    at += 1
                yield _outcome(ids[number], change, answer, undo)
                at, left = number + 1, left + 1
        yield from (done[n] for n in range(at, len(changes)))
    finally:
        for _, change in asked[left : left + 2 * jobs + 1] if undo is not None else ():
            discard(change)  # copies in flight when the run was stopped


def _outcome(song_id: str, change: Change, answer: Answer, undo: Undo | None) -> Retagged:
    about = partial(Retagged, song_id=song_id, path=change.path)
    if answer.value is None:
        if answer.error is not None and not isinstance(answer.error, SongError):
            raise answer.error  # not this song's fault, for example a missing extra
        discard(change)
        reason = answer.error.reason if answer.error is not None else answer.message
        return about(state=REFUSED, reason=reason)
    changed: Changed = answer.value
    if not changed.put:
        return about(state=UNCHANGED, kept=changed.kept)
    if undo is None:
        return about(state=WOULD_WRITE, put=changed.put, kept=changed.kept)
    if changed.delta is None or changed.old is None or changed.new is None:
        raise SongError(change.path, Failure.CRASHED, "the worker made no copy", "tag")
    put = {name: list(values) for name, values in changed.put.items()}
    undo.append(
        Record(
            song_id=song_id,
            path=change.path,
            put=put,
            old=changed.old,
            new=changed.new,
            delta=changed.delta,
        )
    )
    try:
        swap_in(change, changed)
    except SongError as error:
        return about(state=REFUSED, reason=error.reason)
    return about(state=WRITTEN, put=changed.put, kept=changed.kept)


def described(song: Retagged) -> str:
    """Describe the outcome of a song in one line: its fields, or why it was refused."""
    if song.reason:
        return song.reason
    kept = f"has {in_words(song.kept)}" if song.kept else ""
    return "; ".join(filter(None, (in_words(song.put), kept)))
