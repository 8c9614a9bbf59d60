"""Restore files to their state before `retag`, from its undo file.

undo file, roots ──undo──▶ `Retagging`: each file restored byte for byte, or left alone

An undo file may come from anywhere. What it changes must be a song, and stay one with the same
audio: a worker compares the content hashes, as `retag` does.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiorec.audio.content import content_hash_of
from audiorec.audio.sniff import sniff_open
from audiorec.errors import DamagedFileError, Failure, SongError
from audiorec.files.below import folder_below
from audiorec.retagging.change import (
    STAGE,
    FileState,
    SongPlace,
    as_song_errors,
    keep_attributes,
    refuse_irreplaceable,
    set_mtime,
    state_of,
)
from audiorec.retagging.delta import old_bytes
from audiorec.retagging.job import (
    AS_IT_WAS,
    LIMITS,
    REFUSED,
    RESTORED,
    WOULD_WRITE,
    Retagged,
    Retagging,
    Told,
    below_roots,
    checked_roots,
)
from audiorec.retagging.undo import Record, read_records
from audiorec.runs.workers import Limits, Workers

COMPARER = "audiorec.retagging.undo_job:comparer"


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
    limits: Limits = LIMITS,
    told: Told | None = None,
) -> Retagging:
    """Restore files to their state before `retag`; by default only report which.

    Parameters
    ----------
    undo_file : path
    roots : sequence of path
        Files outside them are left alone, whatever the undo file says; links are not followed.
    write : bool
        Restore the files. A killed run can be repeated.
    limits : Limits
        Time and memory limits for reading the audio of one song.
    told : callable, optional
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
    with Workers(COMPARER, limits=limits) as workers:
        for record in read_records(Path(undo_file)):
            if isinstance(record, DamagedFileError):
                song = Retagged(song_id="", path=str(undo_file), state=REFUSED, reason=str(record))
            else:
                song = _undone(record, places, workers, write=write)
            songs.append(song)
            if told is not None:
                told(song)
    return Retagging(songs=tuple(songs))


def comparer() -> Callable[[tuple[FilePlace, bool]], bool]:
    """Return what the worker of `undo` runs: whether a song's copy, if made, has its audio."""

    def compare(item: tuple[FilePlace, bool]) -> bool:
        at, is_copied = item
        with as_song_errors(at), folder_below(at.root, at.parts[:-1]) as folder:
            place = SongPlace(at, folder)
            with place.open_song() as song:
                sniff_open(at.path, song)
                if not is_copied:
                    return True
                with place.open_copy() as copy:
                    return content_hash_of(song) == content_hash_of(copy)

    return compare


def _undone(record: Record, roots: Sequence[str], workers: Workers, *, write: bool) -> Retagged:
    found = below_roots(roots, record.path)
    put = {name: tuple(values) for name, values in record.put.items()}
    if found is None:
        reason = "lies outside the given folders"
        return Retagged(song_id=record.song_id, path=record.path, state=REFUSED, reason=reason)
    place = FilePlace(root=found[0], parts=tuple(found[1]), path=record.path)
    try:
        state = _restored(record, place, workers, write=write)
    except SongError as error:
        reason = error.reason
        return Retagged(song_id=record.song_id, path=record.path, state=REFUSED, reason=reason)
    return Retagged(song_id=record.song_id, path=record.path, state=state, put=put)


def _restored(record: Record, at: FilePlace, workers: Workers, *, write: bool) -> str:
    with as_song_errors(at), folder_below(at.root, at.parts[:-1]) as folder:
        place = SongPlace(at, folder)
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
