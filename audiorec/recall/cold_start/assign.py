"""Who hears which new song, when both sides have limits.

Without limits each song takes the users nearest to it. With them, songs compete for users. The
rule is a sentence:

    Take all pairs of a song and a user in the order of their similarity, and keep each pair
    for which the user and the song still have room.

Equals go by the number of the song, then of the user. With a quota the rule is applied twice:
first with room for `quota` users a song, so that a song which nobody likes best is heard as
well; what it kept then stays, and the rule fills the rest.

It is not carried out pair by pair, since a million users and ten thousand songs have too many.
Each song proposes itself to its nearest users, as many as it has room for; each user keeps the
best within the limits and turns the rest away for good; songs that were turned away propose to
their next ones, until none has a user left to ask. Since both sides rank pairs by the same
number, this ends with exactly the pairs of the rule.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import numpy.typing as npt

from audiorec.recall.cold_start.plan import Room
from audiorec.search.topk import ItemLists, TopK
from audiorec.types import BoolArray, FloatArray, Int32Array, Int64Array, Progress


@dataclass(frozen=True, slots=True)
class Shown:
    """Pairs of a song and a user."""

    song: Int32Array  # (P,)
    user: Int32Array  # (P,)
    similarity: FloatArray  # (P,)

    def __len__(self) -> int:
        return len(self.song)

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> "Shown":
        """Return some of the pairs."""
        return Shown(self.song[rows], self.user[rows], self.similarity[rows])

    def join(self, other: "Shown") -> "Shown":
        """Return these pairs, and then the others."""
        names = ("song", "user", "similarity")
        both = ([getattr(self, name), getattr(other, name)] for name in names)
        return Shown(*map(np.concatenate, both))

    def sorted_by(self, group: Int32Array, other: Int32Array) -> "Shown":
        """Return the pairs by `group`, in it the most similar first, equals by `other`."""
        return self.take(np.lexsort((other, -self.similarity, group)))

    @classmethod
    def nothing(cls) -> "Shown":
        """Return no pairs."""
        none = np.empty(0, np.int32)
        return cls(none, none, none.astype(np.float32))


class NextBest(Protocol):
    """Finds more users for songs."""

    def __call__(self, songs: Int64Array, k: int, *, asked: ItemLists, floor: FloatArray) -> TopK:
        """Return the best `k` users of each of n songs.

        `asked` holds users of each song that must not come back. A user comes back only for a
        similarity of at least its `floor` (U,).
        """
        ...


def assign(
    next_best: NextBest,
    n_songs: int,
    n_users: int,
    *,
    room: Room,
    artist: Int64Array | None = None,
    first: Shown | None = None,
    told: Progress | None = None,
) -> Shown:
    """Choose the pairs of the rule at the head of this file.

    Parameters
    ----------
    next_best : callable
    n_songs, n_users : int
    room : Room
    artist : ndarray, shape (S,), int64, optional
        Number of each song's artist, -1 where unknown: such a song has an artist of its own.
    first : Shown, optional
        What `next_best` would answer first, for all songs: each song's nearest users.
    told : callable of (songs that are settled, n_songs), optional

    Returns
    -------
    shown : Shown
        By song, the most similar first.
    """
    artists = _own_artists(artist, n_songs)
    proposals = _Proposals(next_best, n_songs, first or Shown.nothing())
    kept = _Kept(n_users, room, artists)
    for capacity in sorted({room.quota, room.per_song} - {0}):
        _settle(proposals, kept, capacity, told)
        kept.fix()
    return kept.pairs.sorted_by(kept.pairs.song, kept.pairs.user)


def _settle(
    proposals: "_Proposals",
    kept: "_Kept",
    capacity: int,
    told: Progress | None,
) -> None:
    """Let songs propose until each has `capacity` users or nobody left to ask."""
    while True:
        need = capacity - np.bincount(kept.pairs.song, minlength=proposals.n_songs)
        need[proposals.exhausted] = 0
        if told is not None:
            told(int((need <= 0).sum()), proposals.n_songs)
        if not (need > 0).any():
            return
        kept.offer(proposals.next(np.maximum(need, 0), kept.floor))


class _Proposals:
    """The users that each song asks next: first those of a list, then those it looks up."""

    def __init__(self, next_best: NextBest, n_songs: int, first: Shown) -> None:
        self._next_best = next_best
        self.n_songs = n_songs
        self.exhausted = np.zeros(n_songs, np.bool_)
        ordered = first.sorted_by(first.song, first.user)
        self._list = ordered
        counts = np.bincount(ordered.song, minlength=n_songs)
        self._at = np.cumsum(counts) - counts  # where in the list each song stands
        self._end = self._at + counts
        self._listed = ItemLists.from_pairs(ordered.song, ordered.user, n_songs)
        self._found = Shown.nothing()  # what was looked up beyond the list

    def next(self, need: Int64Array, floor: FloatArray) -> Shown:
        """Return up to `need` (S,) proposals of each song; users at or above their floor."""
        listed = self._from_list(need, floor)
        # Whose list has come to its end looks further; the others have been answered.
        looking = np.flatnonzero((need > 0) & (self._at == self._end))
        looking = looking[need[looking] > np.bincount(listed.song, minlength=self.n_songs)[looking]]
        need = need - np.bincount(listed.song, minlength=self.n_songs)
        found = [listed]
        # Songs that need about as many are looked up together.
        size = np.ceil(np.log2(np.maximum(need, 1))).astype(np.int64)
        for bucket in np.unique(size[looking]):
            songs = looking[size[looking] == bucket]
            found.append(self._look_up(songs, need[songs], floor))
        return reduce(Shown.join, found)

    def _from_list(self, need: Int64Array, floor: FloatArray) -> Shown:
        songs = np.flatnonzero((need > 0) & (self._at < self._end))
        if not len(songs):
            return Shown.nothing()
        lengths = self._end[songs] - self._at[songs]
        row = np.repeat(np.arange(len(songs)), lengths)
        place = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row] + self._at[songs][row]
        can = self._list.similarity[place] >= floor[self._list.user[place]]
        # Rank of each eligible user within its song, from 1.
        nth = np.cumsum(can)
        nth -= np.concatenate([[0], nth])[np.cumsum(lengths) - lengths][row]
        taken = can & (nth <= need[songs][row])
        # A song goes on behind the last user it asked; if the list is too short, at its end.
        enough = np.bincount(row[taken], minlength=len(songs)) >= need[songs]
        last = np.maximum.reduceat(np.where(taken, place, -1), np.cumsum(lengths) - lengths)
        self._at[songs] = np.where(enough, last + 1, self._end[songs])
        return self._list.take(place[taken])

    def _look_up(self, songs: Int64Array, need: Int64Array, floor: FloatArray) -> Shown:
        top = self._next_best(songs, int(need.max()), asked=self._asked(songs), floor=floor)
        wanted = (np.arange(top.indices.shape[1]) < need[:, None]) & (top.indices >= 0)
        # Floors only rise: who has nobody left to ask now never will.
        self.exhausted[songs[wanted.sum(axis=1) < need]] = True
        row, column = np.nonzero(wanted)
        found = Shown(
            songs[row].astype(np.int32),
            top.indices[row, column].astype(np.int32),
            top.similarities[row, column],
        )
        self._found = self._found.join(found)
        return found

    def _asked(self, songs: Int64Array) -> ItemLists:
        """Return the users that songs have asked already, or passed over for good."""
        row = np.full(self.n_songs, -1)
        row[songs] = np.arange(len(songs))
        more = np.flatnonzero(row[self._found.song] >= 0)
        listed = ItemLists.from_lists([self._listed[int(song)] for song in songs])
        return listed.with_pairs(row[self._found.song[more]], self._found.user[more])


class _Kept:
    """What users keep of the proposals so far."""

    def __init__(self, n_users: int, room: Room, artist: Int64Array) -> None:
        self.pairs = Shown.nothing()
        self.floor = np.full(n_users, -np.inf, np.float32)
        self._fixed = np.empty(0, np.bool_)
        self._room, self._artist = room, artist

    def offer(self, proposals: Shown) -> None:
        """Let users choose between what they have and what is proposed to them."""
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
        chosen = nth_of_group(key) < self._room.per_artist
        order, user = order[chosen], user[chosen]
        place = nth_of_group(user)
        order, user, place = (a[place < self._room.per_user] for a in (order, user, place))
        # A user without room can be won only by a song that is nearer than the last one kept.
        last = place == self._room.per_user - 1
        self.floor[user[last]] = np.where(fixed[order[last]], np.inf, pairs.similarity[order[last]])
        stays = ~concerned[pairs.user]
        stays[order] = True
        self.pairs, self._fixed = pairs.take(stays), fixed[stays]

    def fix(self) -> None:
        """Let everything that is kept now stay for good."""
        self._fixed = np.ones(len(self.pairs), np.bool_)
        full = np.bincount(self.pairs.user, minlength=len(self.floor)) >= self._room.per_user
        self.floor[full] = np.inf


def pairs_of(rows: Int64Array, top: TopK) -> Shown:
    """Return what was found for rows, as (row, found) pairs."""
    row, column = np.nonzero(top.indices >= 0)
    return Shown(
        rows[row].astype(np.int32),
        top.indices[row, column].astype(np.int32),
        top.similarities[row, column],
    )


def nth_of_group(group: npt.NDArray[np.integer]) -> Int64Array:
    """Return the rank of each entry within its group, from 0: shape (n,), int64.

    Examples
    --------
    >>> nth_of_group(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    new = np.ones(len(group), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(len(group))
    nth = np.empty(len(group), np.int64)
    nth[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return nth


def _own_artists(artist: Int64Array | None, n_songs: int) -> Int64Array:
    """Give every song without an artist a number of its own."""
    given = np.full(n_songs, -1) if artist is None else artist.astype(np.int64)
    unknown = np.flatnonzero(given < 0)
    given[unknown] = given.max(initial=-1) + 1 + np.arange(len(unknown))
    return given
