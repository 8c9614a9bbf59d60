"""Choose which songs are held out of training, by the names of their artists alone.

A song belongs to its artist; a song without one is its own group. Whether an artist is held out
follows from a hash of the name and a seed, so the answer is the same on every machine, and does
not change as the catalogue grows.

A table of users whose histories contain the judged songs leaks the answer. `write_training_rows`
removes them from a log, by the same hash as in training; make the users from what it writes.

    song ids ──song_groups──▶ artists, or songs themselves ──assign_parts──▶ `SplitPart` of each
    log      ──write_training_rows──▶ the log without held-out songs
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
from audiorec.types import BoolArray, normalised_name

Parts = npt.NDArray[np.int8]
ALONE = "song "  # prefix of the group of a song without an artist


class SplitPart(IntEnum):
    """The purpose of a song."""

    TRAIN = 0  # training
    VALID = 1  # of artists held out for early stopping
    TEST = 2  # of artists held out of every choice
    NEW_SONG = 3  # held out, though its artist is trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Sizes of the held-out parts.

    Attributes
    ----------
    valid, test : float
        Shares of the artists.
    new_songs : float
        Share of the songs of the remaining artists.
    seed : int

    Raises
    ------
    InputError
        If nothing would be left for training.
    """

    valid: float = 0.1
    test: float = 0.0
    new_songs: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        parts = (self.valid, self.test, self.new_songs)
        if min(parts) < 0 or self.valid + self.test >= 1 or self.new_songs >= 1:
            raise InputError(
                "held-out parts must be at least 0 and leave artists and songs to train on; "
                f"got valid={self.valid}, test={self.test}, new_songs={self.new_songs}"
            )


def artist_groups(song_ids: Sequence[str], artists: Sequence[str | None]) -> tuple[str, ...]:
    """Return the group of each song: its artist, or the song itself.

    Names are compared in their plain form (`audiorec.types.normalised_name`).

    Examples
    --------
    >>> artist_groups(["a.mp3", "b.mp3"], ["Nina ", None])
    ('artist nina', 'song b.mp3')
    """
    names = map(normalised_name, artists)
    return tuple(
        f"artist {name}" if name else f"{ALONE}{song_id}"
        for song_id, name in zip(song_ids, names, strict=True)
    )


def assign_parts(song_ids: Sequence[str], groups: Sequence[str], split: Split) -> Parts:
    """Assign each song to a part.

    Parameters
    ----------
    song_ids : sequence of str, length S
    groups : sequence of str, length S
        As from `artist_groups`; a group is never divided, except by ``new_songs``.
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
    """Return `assign_parts`, with songs without sound and artist in TRAIN: they leak nothing."""
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
    """Return a number in [0, 1) that depends only on the arguments."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def song_groups(song_ids: Sequence[str], context: Context) -> tuple[str, ...]:
    """Return the group of each song: its artist by a store's tags or side information, or itself.

    Tags take precedence. Songs with neither are their own groups.
    """
    artists = {} if context.side is None else context.side.named("artist")
    sound = context.sound
    if sound is not None:
        tagged = zip(sound.song_ids, sound.artists, strict=True)
        artists |= {song: artist for song, artist in tagged if artist}
    return artist_groups(song_ids, [artists.get(song) for song in song_ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutReport:
    """Result of `write_training_rows`."""

    rows: int  # of the log
    kept: int
    songs: dict[str, int]  # songs by part: ``train``, ``valid``, ``test``, ``new_song``


def write_training_rows(
    context: Context, interactions: str | Path, *, out: str | Path, split: Split
) -> HoldoutReport:
    """Write the rows of a log whose songs are in the training part.

    Parameters
    ----------
    context : Context
        Song ids and artists: sound, side information or both.
    interactions : path
    out : path
        A Parquet log.
    split : Split
        The split of the model's training.

    Raises
    ------
    InputError
        If no song is known, or no row is left.
    """
    ids = context.song_ids
    if not ids:
        raise InputError("held-out songs follow from their artists, but no artist is known")
    parts = assign_parts(ids, song_groups(ids, context), split)
    log = read_interactions(interactions)
    hidden = {name for name, part in zip(ids, parts, strict=True) if part != SplitPart.TRAIN}
    known = np.array([name not in hidden for name in log.song_ids], np.bool_)
    kept = log.take(known[log.song])
    if not len(kept):
        raise InputError(f"{interactions}: all rows are of held-out songs")
    schema = SCHEMA
    if log.simulated:  # keep simulated data marked as such
        content = {"kind": "interactions", "simulated": True}
        schema = schema.with_metadata({METADATA_KEY: json.dumps(content).encode()})
    write_plain(Path(out), kept.to_table().cast(schema))
    counts = np.bincount(parts, minlength=len(SplitPart))
    return HoldoutReport(
        rows=len(log),
        kept=len(kept),
        songs={part.name.lower(): int(counts[part]) for part in SplitPart},
    )
