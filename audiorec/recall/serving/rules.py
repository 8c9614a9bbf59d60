"""Settings of a fusion, traits of songs, and songs that are excluded for users.

"daily" ──ENTRIES──▶ `Product` ──recipe_for(channels)──▶ `FusionRecipe`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields, check_range, chooses, fields_of, setting
from audiorec.recall.contract.channel import Channel
from audiorec.types import Float64Array, IdMap, Int64Array, normalised_name, string_array

Method = Literal["reciprocal", "quotas"]
METHODS = get_args(Method)
REPLAY = "replay"
FLATNESS = 10.0  # of ranks: a song scores weight / (FLATNESS + rank)
UNKNOWN = -1  # an unknown artist, album or genre: equal to no other


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRecipe:
    """The settings of a fusion.

    Attributes
    ----------
    k : int
        Songs per user.
    method : {"reciprocal", "quotas"}
        ``reciprocal``: a song scores ``weight / (10 + rank)``, summed over channels. ``quotas``:
        channels get places in proportion to their weights, as a person turns them on the page,
        divided equally among the interests of a channel.
    weights : tuple of float
        One per table, in order; empty: all equal.
    cold_share : float
        Places that never-played songs cannot fill go to other songs, unless both shares add up
        to 1.
    replay_share : float
        Share of places for heard songs, which only the channel ``replay`` can propose.
    per_artist, per_album : int
        Maximum number of songs of one artist or album; 0: no limit.
    popularity, diversity : float
        Dials against hits and for variety.
    """

    k: int = 100
    method: Method = "reciprocal"
    weights: tuple[float, ...] = ()
    popularity: float = setting(
        0.0,
        chooses(
            min=0,
            max=2,
            help="Fewer hits: the weight of a song is divided by (plays + 1) to this power.",
        ),
    )
    diversity: float = setting(
        0.0,
        chooses(
            min=0,
            max=1,
            help="Variety: how much a song is demoted for earlier ones of its genre and artist.",
        ),
    )
    cold_share: float = setting(
        0.0,
        chooses(
            min=0,
            max=1,
            help="New songs: share of places for never-played songs, spread over the list.",
        ),
    )
    replay_share: float = 0.0
    per_artist: int = setting(
        0, chooses(min=0, help="Songs of one artist: at most so many; 0: any number.")
    )
    per_album: int = 0

    def __post_init__(self) -> None:
        check_fields(self, method=METHODS, k=">=1", per_album=">=0")
        for dial in fields_of(FusionRecipe):
            check_range(dial.option, dial.name, getattr(self, dial.name))
        if any(not w >= 0 for w in self.weights) or (self.weights and not any(self.weights)):
            raise InputError(f"weights must be at least 0, and not all 0, got {self.weights}")
        if not self.replay_share >= 0 or self.cold_share + self.replay_share > 1:
            raise InputError("replay_share must be in 0..1, and so must its sum with cold_share")

    def weights_of(self, n_tables: int) -> Float64Array:
        """Return one weight for each of `n_tables` tables, normalised to sum to 1."""
        weights = np.array(self.weights or (1.0,) * n_tables, np.float64)
        if len(weights) != n_tables:
            raise InputError(f"{len(weights)} weights for {n_tables} tables; give one per table")
        return np.asarray(weights / weights.sum(), np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class SongTraits:
    """Traits of songs that the rules of a fusion use; each part may be empty.

    Attributes
    ----------
    song_ids : tuple of str, length n
    groups : mapping of str to ndarray, shape (n,), int64
        Group numbers by ``artist``, ``album``, ``genre`` and ``recording``; `UNKNOWN` if unknown.
        Songs of one recording are copies: a user gets only the best one.
    plays : ndarray, shape (n,), int64
        Number of plays of each song.
    artists : tuple of str
        Plain names, by number of the group ``artist``.
    """

    song_ids: tuple[str, ...] = ()
    groups: Mapping[str, Int64Array] = field(default_factory=dict)
    plays: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    artists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.plays), *map(len, self.groups.values())}
        if lengths != {len(self.song_ids)}:
            raise ShapeError("plays and every group must have one number per song")

    def columns(self, song_ids: Any) -> tuple[dict[str, Int64Array], Int64Array]:
        """Return groups and plays of the given m songs, a `pyarrow.StringArray`: (m,) each.

        Unknown songs get `UNKNOWN` and 0.
        """
        rows = self._rows.rows(song_ids) if self.song_ids else np.full(len(song_ids), -1)
        groups = {name: np.append(of, UNKNOWN)[rows] for name, of in self.groups.items()}
        return groups, np.append(self.plays, 0)[rows]

    @cached_property
    def artist_names(self) -> Any:
        """Plain names of `artists` and an empty one, as a `pyarrow.StringArray`."""
        return string_array([*map(normalised_name, self.artists), ""])

    @cached_property
    def _rows(self) -> IdMap:
        return IdMap(string_array(self.song_ids))


class ExcludedLists:
    """Songs or artists excluded for each user, looked up block by block."""

    def __init__(self, lists: Sequences) -> None:
        self._lists = lists
        # A dict: a block looks up few of many users, for which an `IdMap` would read them all.
        self._owners = {name: row for row, name in enumerate(lists.owner_ids)}
        self.songs = IdMap(string_array(lists.song_ids))
        self.width = len(self.songs.ids)

    def pairs_of(self, user_ids: Any) -> tuple[Int64Array, Int64Array]:
        """Return the (user, song) pairs of some users: positions in `user_ids`, song numbers."""
        at = np.array(
            [self._owners.get(name, -1) for name in string_array(user_ids).to_pylist()], np.int64
        )
        there = np.flatnonzero(at >= 0)
        pairs = self._lists.take(at[there])
        return there[pairs.owner], pairs.song.astype(np.int64)

    def holds(self, user_id: str, name: str) -> bool:
        """Return whether a song or artist is excluded for a user."""
        row = self._owners.get(user_id, -1)
        if row < 0:
            return False
        ids = self._lists.song_ids
        return any(ids[number] == name for number in self._lists[row].tolist())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exclusions:
    """Songs and artists excluded for each user.

    Attributes
    ----------
    heard : ExcludedLists, optional
        Songs that the user has played; only ``replay`` may propose them.
    never : ExcludedLists, optional
        Disliked and blocked songs, and recent exposures.
    artists : ExcludedLists, optional
        Blocked artists, by plain name.
    """

    heard: ExcludedLists | None = None
    never: ExcludedLists | None = None
    artists: ExcludedLists | None = None

    @classmethod
    def of(
        cls,
        *,
        heard: Sequences | None = None,
        never: Sequences | None = None,
        artists: Sequences | None = None,
    ) -> "Exclusions":
        """Build from sequences; see the attributes."""
        given = {"heard": heard, "never": never, "artists": artists}
        return cls(**{n: ExcludedLists(one) for n, one in given.items() if one is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product that a list is made for.

    Attributes
    ----------
    about : str
    weights : mapping of str to float
        By channel, times its own weight; 1 for channels that are not named.
    rules : FusionRecipe
    """

    about: str
    weights: Mapping[str, float]
    rules: FusionRecipe

    def recipe_for(
        self, channels: Sequence[Channel], k: int, learnt: Mapping[str, float] | None = None
    ) -> FusionRecipe:
        """Return the fusion settings for the given channels, one table each.

        `learnt` are weights by channel; a channel that it lacks gets none. By default all are
        equal.

        Raises
        ------
        InputError
            If no channel has a weight above 0.
        """
        # Without a replay share, that channel contributes no song, so it must not take weight.
        none = () if self.rules.replay_share else (REPLAY,)
        names = [channel.name for channel in channels]
        own = dict.fromkeys(names, 1.0) if learnt is None else learnt
        weights = [
            0.0 if name in none else self.weights.get(name, 1.0) * own.get(name, 0.0)
            for name in names
        ]
        return replace(self.rules, k=k, weights=tuple(weights))


ENTRIES = {
    "daily": Product(
        about="a mix of what the user likes and what fits now, with some new songs",
        weights={"popular": 0.3},
        rules=FusionRecipe(per_artist=3, cold_share=0.1),
    ),
    "radio": Product(
        about="continues from the last songs and includes songs that the user knows",
        weights={"popular": 0.1},
        rules=FusionRecipe(per_artist=2, replay_share=0.3),
    ),
    "discover": Product(
        about="less known songs by many artists",
        weights={"popular": 0.0},
        rules=FusionRecipe(per_artist=1, popularity=0.3, diversity=0.2, cold_share=0.2),
    ),
    "new": Product(
        about="songs that nobody has played yet",
        weights={"popular": 0.0},
        rules=FusionRecipe(per_artist=2, cold_share=1.0),
    ),
}
