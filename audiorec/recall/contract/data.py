"""What channels learn from, and what they are asked.

sequences, side information, vectors ──▶ `RecallData` ──Channel.fit──▶
histories of some users              ──▶ `Queries`    ──Channel.recall──▶ `Candidates`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.listening.sequences import Sequences
from audiorec.search.filters import mean_scores
from audiorec.search.searchable import SearchableStore
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, plain_name


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Songs as unit vectors in one space, and whose they are.

    Attributes
    ----------
    song_ids : tuple of str, length n
    units : ndarray, shape (n, W), float32
        Of length 1, or 0 where nothing is known.
    artists : tuple of str, length n
        Plain names (`audiorec.types.plain_name`); empty where unknown.
    kinds : mapping of str to ndarray, shape (n,), int64
        What else is known of them, as numbers by name: the class of each head of a store.
    """

    song_ids: tuple[str, ...]
    units: FloatArray
    artists: tuple[str, ...]
    kinds: Mapping[str, Int64Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.units), len(self.artists), *map(len, self.kinds.values())}
        if lengths != {len(self.song_ids)}:
            raise ShapeError("a unit, an artist and one number of each kind for each song expected")

    @classmethod
    def of_store(cls, store: SearchableStore) -> "Sound":
        """Take the songs of a store, as `similar` compares their vectors."""
        space = store.space("vector", use_index=False)
        artists = tuple(plain_name(name) for name in store.column("artist").to_pylist())
        return cls(store.ids, space.matrix, artists, _classes(store))

    def among(self, song_ids: tuple[str, ...]) -> "Sound":
        """Return the sound of other songs, in their order; zeros and no artist where unknown."""
        rows = IdMap(self.song_ids).rows(song_ids)
        units = np.append(self.units, np.zeros((1, self.units.shape[1]), np.float32), axis=0)
        artists = (*self.artists, "")
        kinds = {name: np.append(codes, -1)[rows] for name, codes in self.kinds.items()}
        return Sound(song_ids, units[rows], tuple(artists[row] for row in rows.tolist()), kinds)


@dataclass(frozen=True, eq=False)
class RecallData:
    """What a channel may learn from.

    Attributes
    ----------
    sequences : Sequences
        Finished plays of U users (or sessions, or lists), the oldest owner first where that is
        known: channels that prefer what is recent go by it where there are no times.
    new_songs : tuple of str
        Songs without a play that may be proposed as well.
    sound : Sound, optional
    """

    sequences: Sequences
    new_songs: tuple[str, ...] = ()
    sound: Sound | None = None

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """The catalogue, sorted: songs that were played, and new ones. Length S."""
        return tuple(sorted({*self.sequences.song_ids, *self.new_songs}))

    @cached_property
    def plays(self) -> Sequences:
        """The sequences, in numbers of `song_ids`."""
        return self.sequences.among(self.song_ids)

    @cached_property
    def counts(self) -> Int64Array:
        """Plays of each song: shape (S,), int64."""
        return np.bincount(self.plays.song, minlength=len(self.song_ids)).astype(np.int64)

    @property
    def is_cold(self) -> BoolArray:
        """Which songs were never played: shape (S,), bool."""
        cold: BoolArray = self.counts == 0
        return cold

    def require_plays(self, channel: str) -> None:
        """Refuse data without a play, on which nothing can be learnt."""
        if not len(self.plays.song):
            raise InputError(f"{channel}: there is no finished play to learn from")


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Q users who are to get songs."""

    histories: Sequences
    # artists that each user follows, by plain name: `song_ids` of these are names
    follows: Sequences | None = None

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Length Q."""
        return self.histories.owner_ids

    def take(self, rows: Int64Array) -> "Queries":
        """Return some of the queries."""
        follows = None if self.follows is None else self.follows.take(rows)
        return Queries(self.histories.take(rows), follows)


def _classes(store: SearchableStore) -> dict[str, Int64Array]:
    """Return the number of each song's class by head, the one with the highest mean score."""
    if "mean" not in store.metadata.statistics:
        return {}
    scores = mean_scores(store)
    heads = np.array([name.partition("/")[0] for name in store.metadata.classes])
    return {
        str(head): scores[:, heads == head].argmax(axis=1).astype(np.int64)
        for head in dict.fromkeys(heads.tolist())
    }


def mask_of(song_ids: tuple[str, ...], wanted: tuple[str, ...]) -> BoolArray:
    """Return which songs are wanted, (S,) bool; ids that are not there are passed over."""
    mask = np.zeros(len(song_ids), np.bool_)
    rows = IdMap(song_ids).rows(wanted)
    mask[rows[rows >= 0]] = True
    return mask
