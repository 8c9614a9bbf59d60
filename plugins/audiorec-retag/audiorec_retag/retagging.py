"""Retag the songs of a store whose files lie below some folders, and restore them.

    store, roots, fields ──retag──▶ `Retagging`     writes nothing unless asked to
    store, ["AUDIOREC_GENRE", "mood"], rows  ──wanted_fields──▶  [{"AUDIOREC_GENRE": ["jazz"]}, …]
    undo file, roots ──restore──▶ `Retagging`: each file restored byte for byte, or left alone

Version and genre are those that are stated, moods come from the backbone; tempo and key are
written where they are certain.
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

from audiorec.audio.decode import content_hash_of
from audiorec.audio.sniff import sniff_open
from audiorec.errors import DamagedFileError, Failure, InputError, MissingFileError, SongError
from audiorec.files.user_files import split_below
from audiorec.files.visible import visible
from audiorec.library.readings import each_reading
from audiorec.runs.workers import Answer, Limits, Workers
from audiorec.search.explain import FactReader, SureFacts
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import MOODS, MSD
from audiorec.types import FloatArray, Int64Array
from audiorec_retag.change import (
    HANDLER,
    STAGE,
    Change,
    Changed,
    FileState,
    discard,
    keep_attributes,
    old_bytes,
    refuse_irreplaceable,
    set_mtime,
    song_place,
    state_of,
    swap_in,
)
from audiorec_retag.formats import BPM, GENRE, KEY, MOOD
from audiorec_retag.undo import Record, Undo, read_records

OWN = "AUDIOREC_"
# Fields available with the shipped heads; any other head gets a field named after it.
FIELDS = (f"{OWN}VERSION", f"{OWN}GENRE", f"{OWN}MOOD", GENRE, MOOD, BPM, KEY)
MOST_LETTERS = 100  # per value, since class names come from the store
MOST_MOODS = 2
LEAST_MOOD = 0.1  # mean of a tag's sigmoid; most songs have no mood tag above it
_SPELLED = {"hiphop": "Hip-Hop"}  # spelling in the standard field; other classes are capitalised


def checked_fields(store: VectorStore, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Normalise the spelling of fields and drop repeats; by default one own field for each head.

    Raises `InputError` if `fields` is empty, or the store cannot fill one of them.
    """
    heads = list(dict.fromkeys(name.partition("/")[0] for name in store.metadata.classes))
    own = [f"{OWN}{head.upper()}" for head in heads]
    known = [*own, f"{OWN}MOOD", *([GENRE] if GENRE in heads else []), MOOD, BPM, KEY]
    fields = own if fields is None else fields
    spelled = {name.lower(): name for name in known} | {"version": f"{OWN}VERSION"}
    wrong = [field for field in fields if field.lower() not in spelled]
    if wrong or not fields:
        raise InputError(f"no field {' or '.join(wrong) or 'at all'}: there are {', '.join(known)}")
    return tuple(dict.fromkeys(spelled[field.lower()] for field in fields))


def wanted_fields(
    store: VectorStore, fields: Sequence[str], rows: Int64Array, *, unclear: bool = False
) -> tuple[list[dict[str, tuple[str, ...]]], int]:
    """Return one mapping of field to values for each song; fields without a value are omitted.

    Songs that are not classified anywhere (silence, speech, under three segments) get no genre and
    no mood; a tempo and a key are those that are certain. A genre that is not clear is omitted too
    unless `unclear` is set; the second result says how many were. What the owner corrected counts.
    Raises `AudiorecError` if moods are requested and the store has no `heard_tags`.

    Parameters
    ----------
    store : VectorStore
    fields : sequence of str
        As `checked_fields` returns them.
    rows : ndarray, shape (m,), int64
    """
    moods = _mood_means(store) if any(MOOD in field.lower() for field in fields) else None
    measured = {BPM, KEY}.intersection(fields)
    facts = FactReader(store).of_rows(rows) if measured else [SureFacts()] * len(rows)
    result, left_out = [], 0
    readings = each_reading(store, rows, None)
    for row, fact, reading in zip(rows.tolist(), facts, readings, strict=True):
        is_unclear = reading.genre_clear is False and not unclear
        left_out += is_unclear and any(GENRE in field.lower() for field in fields)
        values: dict[str, tuple[str, ...]] = {}
        for wanted in fields:
            name = wanted.removeprefix(OWN).lower()
            if name in measured:
                words: tuple[str, ...] = _measured(fact, name)
            elif name != MOOD:
                label = None if name == GENRE and is_unclear else reading.best.get(name)
                text = label if label is None or wanted != GENRE else _spelled(label)
                words = () if text is None else (_plain(text),)
            else:
                is_music = reading.best.get(GENRE) is not None
                words = _moods(moods[row]) if moods is not None and is_music else ()
            if words:
                values[wanted] = words
        result.append(values)
    return result, left_out


def _measured(fact: SureFacts, name: str) -> tuple[str, ...]:
    """Return the tempo in whole beats per minute, or the key: ``Am``, ``F#``."""
    if name == BPM:
        return () if fact.bpm is None else (f"{fact.bpm:.0f}",)
    return (f"{fact.key}{'m' * (fact.scale == 'minor')}",) if fact.key else ()


def _plain(text: str) -> str:
    """Remove unprintable characters from a value and limit its length."""
    return "".join(c for c in text if c.isprintable())[:MOST_LETTERS]


def _spelled(label: str) -> str:
    return _SPELLED.get(label, label.replace("_", " ").capitalize())


def _mood_means(store: VectorStore) -> FloatArray:
    """Return the means of the network's mood tags, (n, M); 0 for a song without."""
    rows, result = store.read_list("heard_tags")
    width = result.shape[1]
    if width != len(MSD.tags):
        raise InputError(f"{store.path}: its heard_tags have {width} numbers, not {len(MSD.tags)}")
    values = np.zeros((len(store), len(MOODS)), np.float32)
    values[rows] = result[:, [MSD.tags.index(mood) for mood in MOODS]]
    return values


def _moods(means: FloatArray) -> tuple[str, ...]:
    """Return up to two moods of a song, strongest first, of those with a mean of 0.1 or more."""
    first = np.argsort(-means, kind="stable")[:MOST_MOODS]
    return tuple(MOODS[place].lower() for place in first if means[place] >= LEAST_MOOD)


def in_words(fields: Mapping[str, Sequence[str]]) -> str:
    """Format fields as one line: ``AUDIOREC_GENRE=jazz, mood=sad|mellow``."""
    return ", ".join(f"{name}={'|'.join(values)}" for name, values in fields.items())


WRITTEN, WOULD_WRITE, UNCHANGED, REFUSED = "written", "would write", "unchanged", "refused"
RESTORED, AS_IT_WAS = "restored", "as it was"
LIMITS = Limits(timeout_s=600.0, memory_bytes=4 << 30)
AfterEach = Callable[["Retagged"], None]


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
        Input of `audiorec_retag.retagging.restore`; None if nothing was written.
    elsewhere : int
        Songs of the store outside the roots, which were skipped.
    unclear : int
        Songs that get no genre because theirs is not clear.
    """

    songs: tuple[Retagged, ...]
    undo_file: Path | None = None
    elsewhere: int = 0
    unclear: int = 0

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
    unclear: bool = False,
    keep_mtime: bool = False,
    undo_file: str | Path | None = None,
    jobs: int = 1,
    limits: Limits = LIMITS,
    after_each: AfterEach | None = None,
) -> Retagging:
    """Write fields into the tags of a store's songs; by default only report what would be written.

    Parameters
    ----------
    store : VectorStore
    roots : sequence of path
        Folders, or single songs; files outside them are never opened, and links not followed.
    fields : sequence of str, optional
        Any of `audiorec_retag.retagging.FIELDS`: ``AUDIOREC_GENRE``, ``genre``, ``mood``,
        ``bpm``, ``key``. By
        default one field for each head of the store: ``AUDIOREC_VERSION`` and ``AUDIOREC_GENRE``.
    write : bool
        Write to the files. A field that already has a value is kept.
    replace : bool
        Overwrite fields that have another value.
    unclear : bool
        Write a genre that is not clear as well (`audiorec.tagger.song_labels`).
    keep_mtime : bool
        Keep the files' modification times; by default they change, so that music servers notice.
    undo_file : path, optional
        Undo file to write, or to append to if it exists. By default
        ``retag-<time>.undo.jsonl`` beside the store.
    jobs : int
        Number of worker processes.
    limits : Limits
        Time and memory limits for one song.
    after_each : callable, optional
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
    """
    names = checked_fields(store, fields)
    places = checked_roots(roots)
    chosen, elsewhere = _below(store, places)
    rows = np.asarray([row for row, _, _ in chosen], np.int64)
    hashes = store.column("content_hash").to_pylist()
    wanted, left_out = wanted_fields(store, names, rows, unclear=unclear)
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
            if after_each is not None:
                after_each(song)
    if undo_path is not None and not any(song.state == WRITTEN for song in songs):
        if undo_path.stat().st_size == 0:
            undo_path.unlink()
        undo_path = None
    return Retagging(songs=tuple(songs), undo_file=undo_path, elsewhere=elsewhere, unclear=left_out)


def checked_roots(roots: Sequence[str | Path]) -> tuple[str, ...]:
    """Return roots as absolute paths, both as named and with links resolved.

    A root itself may be a link, since the user named it. A single song may be a root.
    """
    result: list[str] = []
    for root in roots:
        if not Path(root).exists():
            raise MissingFileError(f"{root}: no such folder")
        result += [os.path.abspath(root), os.path.realpath(root)]  # noqa: PTH100
    return tuple(dict.fromkeys(result))


def below_roots(roots: Sequence[str], path: str) -> tuple[str, list[str]] | None:
    """Return the root of a path and its components below it, like `split_below`.

    A root that is a file contains just itself. None if the path lies below no root.
    """
    result = split_below(roots, path)
    if result is None and path in roots and not Path(path).is_dir():
        parent, name = os.path.split(path)
        return parent, [name]
    return result


def _below(
    store: VectorStore, roots: Sequence[str]
) -> tuple[list[tuple[int, str, list[str]]], int]:
    result, elsewhere = [], 0
    for row, uri in enumerate(store.column("uri").to_pylist()):
        place = below_roots(roots, uri)
        if place is None:
            elsewhere += 1
        else:
            result.append((row, *place))
    return result, elsewhere


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


COMPARER = "audiorec_retag.retagging:comparer"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """Location of a file below a root."""

    root: str
    parts: tuple[str, ...]
    path: str


def restore(
    undo_file: str | Path,
    roots: Sequence[str | Path],
    *,
    write: bool = False,
    after_each: AfterEach | None = None,
) -> Retagging:
    """Restore files to their state before `retag`; by default only report which.

    An undo file may come from anywhere. What it changes must be a song, and stay one with the same
    audio: a worker compares the content hashes, as `retag` does.

    Parameters
    ----------
    undo_file : path
    roots : sequence of path
        Files outside them are left alone, whatever the undo file says; links are not followed.
    write : bool
        Restore the files. A killed run can be repeated.
    after_each : callable, optional
        Called with each `Retagged` as soon as it is done.

    Returns
    -------
    retagging : Retagging
        Newest change first. Files that were changed since are refused, because those changes
        would be lost.

    Raises
    ------
    MissingFileError
        If the undo file or a root does not exist.
    DamagedFileError
        If it is not an undo file.
    StoreError
        If the undo file is a link, or not a regular file.
    """
    places = checked_roots(roots)
    songs = []
    with Workers(COMPARER, limits=LIMITS) as workers:
        for record in read_records(Path(undo_file)):
            if isinstance(record, DamagedFileError):
                song = Retagged(song_id="", path=str(undo_file), state=REFUSED, reason=str(record))
            else:
                song = _undone(record, places, workers, write=write)
            songs.append(song)
            if after_each is not None:
                after_each(song)
    return Retagging(songs=tuple(songs))


def comparer() -> Callable[[tuple[FilePlace, bool]], bool]:
    """Return what the worker of `undo` runs: whether a song's copy, if made, has its audio."""

    def compare(item: tuple[FilePlace, bool]) -> bool:
        at, is_copied = item
        with song_place(at) as place, place.open_song() as song:
            sniff_open(at.path, song)
            if not is_copied:
                return True
            with place.open_copy() as copy:
                return content_hash_of(song) == content_hash_of(copy)

    return compare


def _undone(record: Record, roots: Sequence[str], workers: Workers, *, write: bool) -> Retagged:
    result = below_roots(roots, record.path)
    put = {name: tuple(values) for name, values in record.put.items()}
    if result is None:
        reason = "lies outside the given folders"
        return Retagged(song_id=record.song_id, path=record.path, state=REFUSED, reason=reason)
    place = FilePlace(root=result[0], parts=tuple(result[1]), path=record.path)
    try:
        state = _restored(record, place, workers, write=write)
    except SongError as error:
        reason = error.reason
        return Retagged(song_id=record.song_id, path=record.path, state=REFUSED, reason=reason)
    return Retagged(song_id=record.song_id, path=record.path, state=state, put=put)


def _restored(record: Record, at: FilePlace, workers: Workers, *, write: bool) -> str:
    with song_place(at) as place:
        with place.open_song() as file:
            now = state_of(file)
            if _same(now, record.old):
                if write:
                    place.remove_copy()  # left by a run killed before the swap
                return AS_IT_WAS
            if not _same(now, record.new):
                raise _refused(at, "was changed since, and restoring would lose that")
            refuse_irreplaceable(at, os.fstat(file.fileno()))
            if not write:
                _prove_song(at, workers, is_copied=False)
                return WOULD_WRITE
            with place.new_copy() as copy:
                for block in old_bytes(record.delta, file):
                    copy.write(block)
                copy.flush()
                if state_of(copy).sha256 != record.old.sha256:
                    raise ValueError("the undo file does not match this file")
                _prove_song(at, workers, is_copied=True)
                keep_attributes(file.fileno(), copy.fileno(), keep_mtime=False)
                set_mtime(copy.fileno(), record.old.mtime_ns)
                os.fsync(copy.fileno())
        place.exchange()
    return RESTORED


def _prove_song(at: FilePlace, workers: Workers, *, is_copied: bool) -> None:
    """Refuse a file that is no song, and a copy with other audio: an undo file may be forged."""
    answer = workers.ask((at, is_copied))
    if answer.error is not None:
        raise answer.error
    if not answer.value:
        raise _refused(at, answer.message or "its audio would change, not only its tags")


def _refused(at: FilePlace, reason: str) -> SongError:
    return SongError(at.path, Failure.UNSUPPORTED, f"{reason}; left unchanged", STAGE)


def _same(one: FileState, other: FileState) -> bool:
    return (one.size, one.sha256) == (other.size, other.sha256)
