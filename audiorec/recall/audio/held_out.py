"""Which artists a model never hears: decided by their names alone.

A song belongs to its artist; a song without one stands for itself. Whether an artist is held
out follows from a hash of the name and a seed, so the answer is the same on every machine,
and stays the same as the catalogue grows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.types import plain_name

Parts = npt.NDArray[np.int8]


class Part(IntEnum):
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
        f"artist {name}" if name else f"song {song_id}"
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
        Values of `Part`.

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
        parts[(parts == Part.TRAIN) & (chance < split.new_songs)] = Part.NEW_SONG
    return parts


def _part_of_group(group: str, split: Split) -> Part:
    chance = _chance("group", split.seed, group)
    if chance < split.test:
        return Part.TEST
    return Part.VALID if chance < split.test + split.valid else Part.TRAIN


def _chance(purpose: str, seed: int, name: str) -> float:
    """Return a number in [0, 1) that only depends on the arguments."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
