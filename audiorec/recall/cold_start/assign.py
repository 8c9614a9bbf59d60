"""Assignment of new songs to users under limits on both sides, and tastes without a trained model.

    each song's nearest users, `ListLimits`, artists ──assign──▶ `ListedPairs`
    preferences, a store ──Tastes──▶ profiles (n, W), and features for a ranker

Without limits, each song gets its nearest users. With limits, songs compete for users.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.listening.history import (
    Histories,
    Likes,
    all_spans,
    histories,
    mean_and_spread,
    mean_inputs,
)
from audiorec.options import check_fields
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Space
from audiorec.search.topk import ItemLists, TopK
from audiorec.types import (
    BoolArray,
    FloatArray,
    IdMap,
    Int32Array,
    Int64Array,
    Pairs,
    Preferences,
    Progress,
    nth,
    unit,
)

ListOf = Literal["audience", "songs"]
UNLIMITED = np.iinfo(np.int32).max
# Pairs below this are liked less often than random pairs (docs/decisions/0011-cold-start.md).
LEAST_SIMILARITY = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLimits:
    """Limits on both sides; a limit below 1 or a quota above `per_song` is an `InputError`."""

    per_song: int  # maximum number of users per song
    per_user: int = UNLIMITED  # maximum number of songs per user
    per_artist: int = UNLIMITED  # maximum number of songs per user and artist
    quota: int = 0  # users assigned to each song before the remaining pairs go by similarity

    def __post_init__(self) -> None:
        check_fields(self, per_song=">=1", per_user=">=1", per_artist=">=1")
        check_fields(self, quota=f"[0, {self.per_song}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartPlan:
    """Request of a cold-start job.

    Attributes
    ----------
    minimum : float
        Minimum similarity; -1 admits every pair.
    per_user, per_song : int, optional
        Most audiences of a user (only for audiences), and most users' lists of a song (only for
        lists of songs).
    per_artist : int, optional
        Most songs of one artist per user.
    quota : int
        Users given to every song before similarity decides.

    Raises
    ------
    InputError
        If a number is out of range or does not apply to this kind of list.
    """

    lists: ListOf  # a list of users for each song, or of songs for each user
    k: int  # maximum length of a list
    minimum: float = LEAST_SIMILARITY
    per_user: int | None = None
    per_song: int | None = None
    per_artist: int | None = None
    quota: int = 0

    def __post_init__(self) -> None:
        if self.lists == "audience" and self.per_song is not None:
            raise InputError("per_song applies to lists of songs; k limits an audience")
        if self.lists == "songs" and self.per_user is not None:
            raise InputError("per_user applies to audiences; k limits a list of songs")
        check_fields(self, minimum="[-1, 1]", quota=">=0")
        _ = self.limits  # runs the checks of `ListLimits` before any file is read

    @property
    def limits(self) -> ListLimits:
        """Limits on both sides."""
        artist = UNLIMITED if self.per_artist is None else self.per_artist
        if self.lists == "audience":
            per_user = UNLIMITED if self.per_user is None else self.per_user
            return ListLimits(
                per_song=self.k, per_user=per_user, per_artist=artist, quota=self.quota
            )
        # Without `per_song`, songs compete for their quota only.
        per_song = self.per_song or max(1, self.quota)
        return ListLimits(per_song=per_song, per_user=self.k, per_artist=artist, quota=self.quota)

    @property
    def competes(self) -> bool:
        """Whether the lists depend on each other; otherwise each is simply the nearest."""
        if self.lists == "audience":
            return self.limits.per_user < UNLIMITED or self.limits.per_artist < UNLIMITED
        return self.per_song is not None or self.quota > 0

    @property
    def choice_is_all(self) -> bool:
        """Whether songs compete for the whole lists, not only for their quota."""
        return self.lists == "audience" or self.per_song is not None


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """Pairs of a song and a user, with similarities."""

    song: Int32Array  # (P,)
    user: Int32Array  # (P,)
    similarity: FloatArray  # (P,)

    def __len__(self) -> int:
        return len(self.song)

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> "ListedPairs":
        """Return the given pairs."""
        return ListedPairs(self.song[rows], self.user[rows], self.similarity[rows])

    def join(self, other: "ListedPairs") -> "ListedPairs":
        """Return these pairs followed by the others."""
        names = ("song", "user", "similarity")
        both = ([getattr(self, name), getattr(other, name)] for name in names)
        return ListedPairs(*map(np.concatenate, both))

    def sorted_by(self, group: Int32Array, other: Int32Array) -> "ListedPairs":
        """Return the pairs sorted by `group`, then descending similarity, then `other`."""
        return self.take(np.lexsort((other, -self.similarity, group)))

    @classmethod
    def empty(cls) -> "ListedPairs":
        """Return an empty set of pairs."""
        none = np.empty(0, np.int32)
        return cls(none, none, none.astype(np.float32))


class NextBest(Protocol):
    """Lookup of further users for songs."""

    def __call__(self, songs: Int64Array, k: int, *, asked: ItemLists, floor: FloatArray) -> TopK:
        """Return the best `k` users of each of n songs.

        Users in `asked` of a song are excluded. A user is returned only for a similarity of at
        least its `floor` (U,).
        """
        ...


def assign(
    next_best: NextBest,
    n_songs: int,
    n_users: int,
    *,
    room: ListLimits,
    artist: Int64Array | None = None,
    first: ListedPairs | None = None,
    progress: Progress | None = None,
) -> ListedPairs:
    """Assign songs to users by a greedy rule.

    Take all pairs of a song and a user in descending order of similarity, and keep each pair if
    both the user and the song are below their limits. Ties are broken by the number of the song,
    then of the user. With a quota the rule is applied twice: first with a limit of `quota` users
    per song, so that songs which are no user's first choice are assigned as well; these pairs are
    fixed, and the second pass fills the rest.

    Enumerating all pairs is infeasible for a million users and ten thousand songs, so the rule is
    computed by deferred acceptance (Gale-Shapley). Each song proposes to its nearest users, up to
    its limit; each user keeps the best proposals within the limits and permanently rejects the
    rest; rejected songs propose to their next users, until none is left to ask. Since both sides
    rank pairs by the same similarity, the result is exactly the pairs of the rule.

    Parameters
    ----------
    next_best : callable
    n_songs, n_users : int
    room : ListLimits
    artist : ndarray, shape (S,), int64, optional
        Number of each song's artist, -1 if unknown: such a song counts as a separate artist.
    first : ListedPairs, optional
        Initial candidates: each song's nearest users, as `next_best` would return them.
    progress : callable of (songs settled, n_songs), optional

    Returns
    -------
    shown : ListedPairs
        Sorted by song, the most similar user first.
    """
    artists = _own_artists(artist, n_songs)
    proposals = _Proposals(next_best, n_songs, first or ListedPairs.empty())
    kept = _Kept(n_users, room, artists)
    for capacity in sorted({room.quota, room.per_song} - {0}):
        _settle(proposals, kept, capacity, progress)
        kept.fix()
    return kept.pairs.sorted_by(kept.pairs.song, kept.pairs.user)


def _settle(
    proposals: "_Proposals",
    kept: "_Kept",
    capacity: int,
    progress: Progress | None,
) -> None:
    """Let songs propose until each has `capacity` users or no user left to ask."""
    while True:
        need = capacity - np.bincount(kept.pairs.song, minlength=proposals.n_songs)
        need[proposals.exhausted] = 0
        if progress is not None:
            progress(int((need <= 0).sum()), proposals.n_songs)
        if not (need > 0).any():
            return
        kept.offer(proposals.next(np.maximum(need, 0), kept.floor))


class _Proposals:
    """Proposals of the songs: first from their initial lists, then from lookups."""

    def __init__(self, next_best: NextBest, n_songs: int, first: ListedPairs) -> None:
        self._next_best = next_best
        self.n_songs = n_songs
        self.exhausted = np.zeros(n_songs, np.bool_)
        ordered = first.sorted_by(first.song, first.user)
        self._list = ordered
        counts = np.bincount(ordered.song, minlength=n_songs)
        self._at = np.cumsum(counts) - counts  # current position of each song in its list
        self._end = self._at + counts
        self._listed = ItemLists.from_pairs(ordered.song, ordered.user, n_songs)
        self._found = ListedPairs.empty()  # results of lookups

    def next(self, need: Int64Array, floor: FloatArray) -> ListedPairs:
        """Return up to `need` (S,) proposals per song, of at least the user's floor."""
        listed = self._from_list(need, floor)
        # Only songs at the end of their list need a lookup.
        looking = np.flatnonzero((need > 0) & (self._at == self._end))
        looking = looking[need[looking] > np.bincount(listed.song, minlength=self.n_songs)[looking]]
        need = need - np.bincount(listed.song, minlength=self.n_songs)
        result = [listed]
        # Songs with similar needs share one lookup.
        size = np.ceil(np.log2(np.maximum(need, 1))).astype(np.int64)
        for bucket in np.unique(size[looking]):
            songs = looking[size[looking] == bucket]
            result.append(self._look_up(songs, need[songs], floor))
        return reduce(ListedPairs.join, result)

    def _from_list(self, need: Int64Array, floor: FloatArray) -> ListedPairs:
        songs = np.flatnonzero((need > 0) & (self._at < self._end))
        if not len(songs):
            return ListedPairs.empty()
        lengths = self._end[songs] - self._at[songs]
        row = np.repeat(np.arange(len(songs)), lengths)
        place = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row] + self._at[songs][row]
        can = self._list.similarity[place] >= floor[self._list.user[place]]
        # Rank of each eligible user within its song, from 1.
        nth = np.cumsum(can)
        nth -= np.concatenate([[0], nth])[np.cumsum(lengths) - lengths][row]
        taken = can & (nth <= need[songs][row])
        # Advance past the last user asked, or to the end if the list was too short.
        enough = np.bincount(row[taken], minlength=len(songs)) >= need[songs]
        last = np.maximum.reduceat(np.where(taken, place, -1), np.cumsum(lengths) - lengths)
        self._at[songs] = np.where(enough, last + 1, self._end[songs])
        return self._list.take(place[taken])

    def _look_up(self, songs: Int64Array, need: Int64Array, floor: FloatArray) -> ListedPairs:
        top = self._next_best(songs, int(need.max()), asked=self._decided(songs), floor=floor)
        wanted = (np.arange(top.indices.shape[1]) < need[:, None]) & (top.indices >= 0)
        # Floors only rise, so an exhausted song stays exhausted.
        self.exhausted[songs[wanted.sum(axis=1) < need]] = True
        row, column = np.nonzero(wanted)
        result = ListedPairs(
            songs[row].astype(np.int32),
            top.indices[row, column].astype(np.int32),
            top.similarities[row, column],
        )
        self._found = self._found.join(result)
        return result

    def _decided(self, songs: Int64Array) -> ItemLists:
        """Return the users that songs have already asked or skipped for good."""
        row = np.full(self.n_songs, -1)
        row[songs] = np.arange(len(songs))
        more = np.flatnonzero(row[self._found.song] >= 0)
        listed = ItemLists.from_lists([self._listed[int(song)] for song in songs])
        return listed.with_pairs(row[self._found.song[more]], self._found.user[more])


class _Kept:
    """Proposals that users have kept so far."""

    def __init__(self, n_users: int, room: ListLimits, artist: Int64Array) -> None:
        self.pairs = ListedPairs.empty()
        self.floor = np.full(n_users, -np.inf, np.float32)
        self._fixed = np.empty(0, np.bool_)
        self._room, self._artist = room, artist

    def offer(self, proposals: ListedPairs) -> None:
        """Let users choose between their kept pairs and new proposals."""
        pairs = self.pairs.join(proposals)
        fixed = np.concatenate([self._fixed, np.zeros(len(proposals), np.bool_)])
        concerned = np.zeros(len(self.floor), np.bool_)
        concerned[proposals.user] = True
        rows = np.flatnonzero(concerned[pairs.user])
        order = rows[
            np.lexsort((pairs.song[rows], -pairs.similarity[rows], ~fixed[rows], pairs.user[rows]))
        ]
        user, artist = pairs.user[order].astype(np.int64), self._artist[pairs.song[order]]
        key = user * (int(self._artist.max(initial=0)) + 1) + artist
        chosen = nth(key) < self._room.per_artist
        order, user = order[chosen], user[chosen]
        place = nth(user)
        order, user, place = (a[place < self._room.per_user] for a in (order, user, place))
        # A full user accepts only songs nearer than its last kept one.
        last = place == self._room.per_user - 1
        self.floor[user[last]] = np.where(fixed[order[last]], np.inf, pairs.similarity[order[last]])
        stays = ~concerned[pairs.user]
        stays[order] = True
        self.pairs, self._fixed = pairs.take(stays), fixed[stays]

    def fix(self) -> None:
        """Fix all pairs kept so far."""
        self._fixed = np.ones(len(self.pairs), np.bool_)
        full = np.bincount(self.pairs.user, minlength=len(self.floor)) >= self._room.per_user
        self.floor[full] = np.inf


def pairs_of(rows: Int64Array, top: TopK) -> ListedPairs:
    """Return top-k results of rows as (row, result) pairs."""
    row, column = np.nonzero(top.indices >= 0)
    return ListedPairs(
        rows[row].astype(np.int32),
        top.indices[row, column].astype(np.int32),
        top.similarities[row, column],
    )


def _own_artists(artist: Int64Array | None, n_songs: int) -> Int64Array:
    """Give every song without an artist a unique artist number."""
    given = np.full(n_songs, -1) if artist is None else artist.astype(np.int64)
    unknown = np.flatnonzero(given < 0)
    given[unknown] = given.max(initial=-1) + 1 + np.arange(len(unknown))
    return given


BLOCK_ROWS = 2_048  # users at a time; with 100 songs of 84 numbers each, 140 MB
HALF_LIFE_DAYS = 90.0
MAX_HISTORY = 100  # newest likes that are used


@dataclass(frozen=True, slots=True)
class TasteFeatures:
    """Ranker features of n users."""

    songs: Int64Array  # (n,): number of liked songs with a vector
    mean: FloatArray  # (n, V): 0 for a user without such a song
    spread: FloatArray  # (n, V)


class Tastes:
    """Liked songs of users and their vectors in a store, in the order of `user_ids`.

    By default, all users of the preferences. A taste is a *preference profile*: the weighted mean
    of the liked songs' vectors, standardised and weighted as in `similar`, normalised to length 1.
    Ranker features use the plain vectors: their weighted mean and their weighted standard
    deviation, which separates users of one kind of music from users of many. Weights are those of
    the user model's histories: ``log2(1 + w)`` of a like's weight, halved for every half-life that
    it is older than the user's newest like.
    """

    def __init__(
        self,
        preferences: Preferences,
        store: SearchableStore,
        *,
        user_ids: Sequence[str] | None = None,
        half_life_days: float | None = HALF_LIFE_DAYS,
        max_history: int = MAX_HISTORY,
    ) -> None:
        self.user_ids = tuple(preferences.user_ids if user_ids is None else user_ids)
        self._store = store
        self._half_life = half_life_days
        self._likes = _likes(preferences, self.user_ids, store.ids)
        self._spans = all_spans(self._likes, max_history=max_history)

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def dimension(self) -> int:
        """Numbers in a vector of the store."""
        return self._store.metadata.dimension

    @property
    def counts(self) -> Int64Array:
        """Number of liked songs with a vector per user, at most `max_history`: shape (U,)."""
        return self._spans.stop - self._spans.first

    def take(self, users: Int64Array) -> "Tastes":
        """Return the tastes of the given users, by number."""
        chosen = copy(self)
        chosen.user_ids = tuple(self.user_ids[i] for i in users)
        chosen._spans = self._spans.take(users)
        return chosen

    def features(self, users: Int64Array) -> TasteFeatures:
        """Return the ranker features of the given users."""
        past = self._histories(users)
        mean, spread = mean_and_spread(past, self._store.vectors)
        return TasteFeatures(self.counts[users], mean, spread)

    def profiles(self, space: Space) -> FloatArray:
        """Return the preference profiles of all users: shape (U, W), float32.

        Rows have length 1; zeros for a user without liked songs. `space` must be of the same store.
        """
        result = np.empty((len(self), space.matrix.shape[1]), np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            users = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            mean = mean_inputs(self._histories(users), space.matrix)
            result[users] = unit(mean.astype(np.float64))
        return result

    def _histories(self, users: Int64Array) -> Histories:
        return histories(self._likes, self._spans.take(users), half_life_days=self._half_life)


def _likes(preferences: Preferences, user_ids: Sequence[str], song_ids: Sequence[str]) -> Likes:
    """Return likes of the given users and songs, renumbered to the order of both."""
    liked = preferences.liked
    user = IdMap(user_ids).rows(preferences.user_ids)[liked.user]
    song = IdMap(song_ids).rows(preferences.song_ids)[liked.song]
    pairs = Pairs(user.astype(np.int32), song.astype(np.int32), liked.weight, liked.time)
    return Likes.from_pairs(pairs.take((user >= 0) & (song >= 0)), len(user_ids))
