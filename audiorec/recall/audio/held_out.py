"""Which songs a model never hears: decided by the names of their artists alone.

A song belongs to its artist; a song without one stands for itself. Whether an artist is held
out follows from a hash of the name and a seed, so the answer is the same on every machine,
and stays the same as the catalogue grows.

A users' table whose history holds the judged songs tells the answer. `write_known` leaves
them out of a log, by the same hash that the training goes by; make the users of what it
writes.

    song ids ──song_groups──▶ artists, or songs themselves ──assign_parts──▶ `SplitPart` of each
    log      ──write_known──▶ the log without the songs that are held out
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.files.tables import write_plain
from audiorec.listening.events import SCHEMA
from audiorec.listening.interactions import read_interactions
from audiorec.recall.contract.data import Context
from audiorec.store.schema import METADATA_KEY
from audiorec.types import BoolArray, plain_name

Parts = npt.NDArray[np.int8]
ALONE = "song "  # begins the group of a song without an artist


class SplitPart(IntEnum):
    """What a song is there for."""

    TRAIN = 0  # learnt from
    VALID = 1  # of artists that say when to stop
    TEST = 2  # of artists that nothing was decided on
    NEW_SONG = 3  # of an artist that is learnt from, but not this song


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How large the parts are.

    Attributes
    ----------
    valid, test : float
        Parts of the artists.
    new_songs : float
        Part of the songs of the remaining artists.
    seed : int

    Raises
    ------
    InputError
        If nothing would be left to learn from.
    """

    valid: float = 0.1
    test: float = 0.0
    new_songs: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        parts = (self.valid, self.test, self.new_songs)
        if min(parts) < 0 or self.valid + self.test >= 1 or self.new_songs >= 1:
            raise InputError(
                "the held-out parts must be at least 0 and leave artists and songs to learn "
                f"from; got valid={self.valid}, test={self.test}, new_songs={self.new_songs}"
            )


def artist_groups(song_ids: Sequence[str], artists: Sequence[str | None]) -> tuple[str, ...]:
    """Return what each song belongs to: its artist, or itself.

    Names are compared as `audiorec.types.plain_name` says.

    Examples
    --------
    >>> artist_groups(["a.mp3", "b.mp3"], ["Nina ", None])
    ('artist nina', 'song b.mp3')
    """
    names = map(plain_name, artists)
    return tuple(
        f"artist {name}" if name else f"{ALONE}{song_id}"
        for song_id, name in zip(song_ids, names, strict=True)
    )


def assign_parts(song_ids: Sequence[str], groups: Sequence[str], split: Split) -> Parts:
    """Say what each song is there for.

    Parameters
    ----------
    song_ids : sequence of str, length S
    groups : sequence of str, length S
        As from `artist_groups`: a group is never cut, but for ``new_songs``.
    split : Split

    Returns
    -------
    parts : ndarray, shape (S,), int8
        Values of `SplitPart`.

    Examples
    --------
    >>> split = Split(valid=0.2, test=0.3)
    >>> assign_parts(["1", "2", "3"], ["artist b", "artist c", "artist b"], split).tolist()
    [0, 2, 0]
    """
    of_group = {group: _part_of_group(group, split) for group in set(groups)}
    parts = np.array([of_group[group] for group in groups], np.int8)
    if split.new_songs:
        chance = np.array([_chance("new song", split.seed, name) for name in song_ids])
        parts[(parts == SplitPart.TRAIN) & (chance < split.new_songs)] = SplitPart.NEW_SONG
    return parts


def parts_of_known(
    song_ids: Sequence[str], groups: Sequence[str], split: Split, can_be_heard: BoolArray
) -> Parts:
    """Return `assign_parts`, but learn from songs without sound and artist: they tell nothing."""
    parts = assign_parts(song_ids, groups, split)
    alone = np.array([group.startswith(ALONE) for group in groups], np.bool_)
    parts[alone & ~can_be_heard] = SplitPart.TRAIN
    return parts


def _part_of_group(group: str, split: Split) -> SplitPart:
    chance = _chance("group", split.seed, group)
    if chance < split.test:
        return SplitPart.TEST
    return SplitPart.VALID if chance < split.test + split.valid else SplitPart.TRAIN


def _chance(purpose: str, seed: int, name: str) -> float:
    """Return a number in [0, 1) that only depends on the arguments."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def song_groups(song_ids: Sequence[str], context: Context) -> tuple[str, ...]:
    """Return the group of each song: its artist by a store's tags or side information, or itself.

    Tags come first. Songs of which neither is known are groups of their own.
    """
    artists: dict[str, str | None] = {}
    side = context.side
    if side is not None and "artist" in side.categories:
        artists |= dict(zip(side.song_ids, side.categories["artist"].texts(), strict=True))
    sound = context.sound
    if sound is not None:
        tagged = zip(sound.song_ids, sound.artists, strict=True)
        artists |= {song: artist for song, artist in tagged if artist}
    return artist_groups(song_ids, [artists.get(song) for song in song_ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutReport:
    """What was left out."""

    rows: int  # of the log
    kept: int
    songs: dict[str, int]  # songs by part: ``train``, ``valid``, ``test``, ``new_song``


def write_known(
    context: Context, interactions: str | Path, *, out: str | Path, split: Split
) -> HoldoutReport:
    """Write the rows of a log whose songs may be learnt from.

    Parameters
    ----------
    context : Context
        Which songs there are, and their artists: sound, side information or both.
    interactions : path
    out : path
        A Parquet log.
    split : Split
        As the model's training will have it.

    Raises
    ------
    InputError
        If no song is known, or no row remains.
    """
    ids = context.song_ids
    if not ids:
        raise InputError("which songs are held out follows from their artists: none is known")
    parts = assign_parts(ids, song_groups(ids, context), split)
    log = read_interactions(interactions)
    hidden = {name for name, part in zip(ids, parts, strict=True) if part != SplitPart.TRAIN}
    known = np.array([name not in hidden for name in log.song_ids], np.bool_)
    kept = log.take(known[log.song])
    if not len(kept):
        raise InputError(f"{interactions}: every row is of a song that is held out")
    schema = SCHEMA
    if log.simulated:  # what was made up stays known as made up
        content = {"kind": "interactions", "simulated": True}
        schema = schema.with_metadata({METADATA_KEY: json.dumps(content).encode()})
    write_plain(Path(out), kept.to_table().cast(schema))
    counts = np.bincount(parts, minlength=len(SplitPart))
    return HoldoutReport(
        rows=len(log),
        kept=len(kept),
        songs={part.name.lower(): int(counts[part]) for part in SplitPart},
    )
