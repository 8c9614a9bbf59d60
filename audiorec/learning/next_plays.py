"""Plays in order as examples of "what came next": windows, a validation part, padded batches.

    plays ──hold_out──▶ which are learnt from, which are judged
          ──windows──▶ short stretches, cut anew each epoch ──batch_of──▶ songs, targets, times

The validation part is the newest. Where there are many owners, as with sessions, it is the newest
of them as a whole: models know no owners, so a new one is as good as an old one. Where there
are few, it is the end of each owner's plays. Owners come with the oldest first where that is
known, so "newest" is "last", unless there are times to go by.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.batches import padded
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

HoldOut = Literal["auto", "sequences", "plays"]
MOST_FAVOURITES = 50  # newest of an owner that are read
MANY_OWNERS = 200  # from as many owners with two plays on, whole ones are held out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NextPlays:
    """What N owners played, and what is known of them.

    Attributes
    ----------
    starts : ndarray, shape (N + 1,), int64
        Owner i has the plays ``starts[i]:starts[i + 1]``, oldest first.
    song : ndarray, shape (P,), int64
        Numbers of a catalogue of `n_songs`.
    time : ndarray, shape (P,), float64
        Seconds; NaN where unknown.
    n_songs : int
    profile : ndarray, shape (N, A), float32
        Encoded; A is 0 where nothing is known of owners.
    favourites : Favourites, optional
        What owners have said to like.
    """

    starts: Int64Array
    song: Int64Array
    time: Float64Array
    n_songs: int
    profile: FloatArray
    favourites: "Favourites | None" = None

    @property
    def lengths(self) -> Int64Array:
        """Plays of each owner: shape (N,)."""
        return np.diff(self.starts)

    @property
    def is_timed(self) -> bool:
        """Whether any time is known."""
        return not bool(np.isnan(self.time).all())

    def counts(self, kept: BoolArray | None = None) -> Int64Array:
        """Return the plays of each song among those of a mask (P,): shape (S,), int64."""
        song = self.song if kept is None else self.song[kept]
        return np.bincount(song, minlength=self.n_songs).astype(np.int64)

    def keep(self, kept: BoolArray) -> "NextPlays":
        """Return the plays of a mask (P,); owners stay."""
        sums = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return NextPlays(
            starts=sums[self.starts],
            song=self.song[kept],
            time=self.time[kept],
            n_songs=self.n_songs,
            profile=self.profile,
            favourites=self.favourites,
        )

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any play."""
        found = hashlib.sha256(str(self.n_songs).encode())
        liked = self.favourites
        more = () if liked is None else (liked.starts, liked.song, liked.time)
        for array in (self.starts, self.song, self.time, self.profile, *more):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Favourites:
    """What N owners have said to like, and when.

    Attributes
    ----------
    starts : ndarray, shape (N + 1,), int64
        Owner i has the entries ``starts[i]:starts[i + 1]``, oldest first.
    song : ndarray, shape (F,), int64
    time : ndarray, shape (F,), float64
        Seconds; what has no time (NaN) counts for no play.
    """

    starts: Int64Array
    song: Int64Array
    time: Float64Array

    def before(self, owner: Int64Array, time: Float64Array) -> Int64Array:
        """Return the newest songs that owners (B,) liked before a time of each: (B, F).

        -1 where there are no more; F is at most `MOST_FAVOURITES`, and 0 where nobody has any.

        Examples
        --------
        >>> liked = Favourites(
        ...     starts=np.array([0, 3]), song=np.array([5, 6, 7]), time=np.array([1.0, 2.0, 9.0])
        ... )
        >>> liked.before(np.array([0, 0]), np.array([5.0, 1.0])).tolist()
        [[6, 5], [-1, -1]]
        """
        if not len(self.song):
            return np.zeros((len(owner), 0), np.int64)
        back = np.arange(int(np.diff(self.starts).max()))
        at = np.maximum(self.starts[owner + 1][:, None] - 1 - back, self.starts[owner][:, None])
        there = back < np.diff(self.starts)[owner][:, None]
        at = np.minimum(at, len(self.song) - 1)  # of an owner without any at the end
        liked = there & (self.time[at] < time[:, None])  # not where one is unknown
        order = np.argsort(~liked, axis=1, kind="stable")[:, :MOST_FAVOURITES]
        found = np.where(liked, self.song[at], -1)
        return np.take_along_axis(found, order, axis=1)[:, : int(liked.sum(axis=1).max(initial=0))]


@dataclass(frozen=True, slots=True, eq=False)
class HeldPlays:
    """Which plays are learnt from, and which are judged: masks over the plays, (P,) bool."""

    learnt: BoolArray
    judged: BoolArray


def hold_out(plays: NextPlays, share: float, how: HoldOut = "auto") -> HeldPlays:
    """Return the validation part: the newest `share` of the owners, or of each owner's plays.

    Only plays that have one before them can be judged. A judged play of a song that is nowhere
    learnt stays judged: no model can be right there, and all lose alike.

    Raises
    ------
    InputError
        If the share is not above 0 and below 1, or nobody has two plays.

    Examples
    --------
    >>> plays = NextPlays(
    ...     starts=np.array([0, 3, 5]), song=np.array([0, 1, 2, 1, 0]), time=np.full(5, np.nan),
    ...     n_songs=3, profile=np.zeros((2, 0), np.float32),
    ... )
    >>> hold_out(plays, 0.5, "sequences").judged.astype(int).tolist()  # the last play of owner 1
    [0, 0, 0, 0, 1]
    >>> hold_out(plays, 0.5, "plays").judged.astype(int).tolist()  # owner 1 has too few
    [0, 0, 1, 0, 0]
    """
    if not 0 < share < 1:
        raise InputError(f"the validation share must lie between 0 and 1, got {share}")
    lengths = plays.lengths
    able = np.flatnonzero(lengths > 1)
    if not len(able):
        raise InputError("nobody has two plays in order: there is no next song to learn from")
    if how == "auto":
        how = "sequences" if len(able) >= MANY_OWNERS else "plays"
    place = np.arange(len(plays.song)) - np.repeat(plays.starts[:-1], lengths)
    if how == "sequences":
        if len(able) < 2:
            raise InputError("one owner alone cannot be held out; set hold_out to plays")
        ends = plays.time[plays.starts[able + 1] - 1]
        most = min(max(1, round(share * len(able))), len(able) - 1)
        newest = able[np.argsort(ends, kind="stable")][-most:]
        held = np.zeros(len(lengths), np.bool_)
        held[newest] = True
        of_held = np.repeat(held, lengths)
        return HeldPlays(~of_held, of_held & (place > 0))
    # Two plays stay, or there would be no step to learn.
    last = np.clip(np.round(share * lengths), 1, np.maximum(1, lengths - 2))
    last = np.where(lengths > 2, last, 0).astype(np.int64)
    if not last.any():  # so few plays that only their last can be judged, and is learnt as well
        ends = place == np.repeat(lengths, lengths) - 1
        return HeldPlays(np.ones(len(place), np.bool_), ends & (place > 0))
    judged = place >= np.repeat(lengths - last, lengths)
    return HeldPlays(~judged, judged & (place > 0))


def windows(
    starts: Int64Array, longest: int, rng: np.random.Generator
) -> tuple[Int64Array, Int64Array]:
    """Cut sequences into stretches of at most `longest` steps: where each begins and ends.

    A step goes from one play to the next, so a stretch has one play more than steps, and the
    last play of one is the first of the next. Every step is in one stretch. The first
    stretch of a long sequence has a length of chance: another epoch cuts elsewhere.

    Returns
    -------
    first, stop : ndarray, shape (W,), int64
        Stretch w has the plays ``first[w]:stop[w]``.

    Examples
    --------
    >>> first, stop = windows(np.array([0, 3, 4, 9]), 3, np.random.default_rng(0))
    >>> list(zip(first.tolist(), stop.tolist()))
    [(0, 3), (4, 7), (6, 9)]
    """
    lengths = np.diff(starts)
    able = np.flatnonzero(lengths > 1)
    steps = lengths[able] - 1
    head = np.where(steps > longest, rng.integers(1, longest + 1, len(able)), steps)
    more = -(-(steps - head) // longest)
    number = 1 + more
    owner = np.repeat(np.arange(len(able)), number)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    begin = np.where(nth == 0, 0, head[owner] + (nth - 1) * longest)
    end = np.minimum(head[owner] + nth * longest, steps[owner])
    base = starts[able][owner]
    return (base + begin).astype(np.int64), (base + end + 1).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayBatch:
    """B stretches of plays, padded on the right to L.

    Attributes
    ----------
    songs : ndarray, shape (B, L), int64
        0 where there is none: ask `lengths`.
    lengths : ndarray, shape (B,), int64
    targets : ndarray, shape (B, L), int64
        What was played next; -1 where that is not known or not asked.
    time : ndarray, shape (B, L), float64
        Of `songs`; NaN where unknown.
    profile : ndarray, shape (B, A), float32
    seed : ndarray, shape (B,), int64
        For what a model draws for each stretch, whichever process has it; 0 in histories.
    favourites : ndarray, shape (B, F), int64
        What its owner liked before the stretch, or before the newest play of a history; -1: none.
    """

    songs: Int64Array
    lengths: Int64Array
    targets: Int64Array
    time: Float64Array
    profile: FloatArray
    seed: Int64Array
    favourites: Int64Array

    def __len__(self) -> int:
        return len(self.songs)

    def part(self, rows: slice) -> "PlayBatch":
        """Return some of the stretches, as wide as the whole."""
        names = ("songs", "lengths", "targets", "time", "profile", "seed", "favourites")
        return PlayBatch(**{name: getattr(self, name)[rows] for name in names})


def stretches(
    plays: NextPlays,
    first: Int64Array,
    stop: Int64Array,
    owner: Int64Array,
    rng: np.random.Generator,
) -> PlayBatch:
    """Return stretches with the next play of each as its target: for training.

    `rng` draws their seeds.
    """
    bounds = np.stack([first, stop], axis=1).ravel()
    rows = 2 * np.arange(len(first))
    longest = max(1, int((stop - first).max(initial=1)))
    song, lengths = padded(plays.song, bounds, rows, longest=longest)
    time, _ = padded(plays.time, bounds, rows, longest=longest)
    width = max(1, longest - 1)
    return PlayBatch(
        songs=np.maximum(song[:, :width], 0),
        lengths=lengths - 1,
        targets=song[:, 1 : width + 1],
        time=time[:, :width],
        profile=plays.profile[owner],
        seed=rng.integers(1 << 62, size=len(first)),
        favourites=_liked(plays, owner, first),
    )


def histories(plays: NextPlays, owner: Int64Array, stop: Int64Array, longest: int) -> PlayBatch:
    """Return the newest plays of owners before a place of each: nothing is asked of them."""
    bounds = np.stack([plays.starts[owner], stop], axis=1).ravel()
    rows = 2 * np.arange(len(owner))
    song, lengths = padded(plays.song, bounds, rows, longest=longest)
    time, _ = padded(plays.time, bounds, rows, longest=longest)
    return PlayBatch(
        songs=np.maximum(song, 0),
        lengths=lengths,
        targets=np.full(song.shape, -1, np.int64),
        time=time,
        profile=plays.profile[owner],
        seed=np.zeros(len(owner), np.int64),
        favourites=_liked(plays, owner, np.maximum(stop - 1, plays.starts[owner])),
    )


def _liked(plays: NextPlays, owner: Int64Array, place: Int64Array) -> Int64Array:
    """Return what owners liked before a play of each: (B, F), F 0 where nothing is known."""
    if plays.favourites is None or not len(plays.time):
        return np.zeros((len(owner), 0), np.int64)
    return plays.favourites.before(owner, plays.time[np.minimum(place, len(plays.time) - 1)])
