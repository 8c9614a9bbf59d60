"""Plays in order as training examples of next-song models: windows, validation part, batches.

    plays ──hold_out──▶ training plays, validation plays
          ──windows──▶ windows, drawn anew each epoch ──training_windows──▶ songs, targets, times

The validation part is the newest part. With many owners, as with sessions, whole owners are held
out: models do not know owners, so a new one is as good as an old one. With few owners, the end of
each owner's plays is held out. Owners are ordered from the oldest if their order is known, so
without times, "newest" means "last".
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.batches import padded
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

HoldOut = Literal["auto", "sequences", "plays"]
MOST_FAVOURITES = 50  # newest favourites used per owner
MANY_OWNERS = 200  # least number of owners with two plays to hold out whole owners


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NextPlays:
    """Plays and profiles of N owners (users, sessions or lists).

    Attributes
    ----------
    starts : ndarray, shape (N + 1,), int64
        Owner i has the plays ``starts[i]:starts[i + 1]``, oldest first.
    song : ndarray, shape (P,), int64
        Song numbers in a catalogue of `n_songs`.
    time : ndarray, shape (P,), float64
        Seconds; NaN if unknown.
    n_songs : int
    profile : ndarray, shape (N, A), float32
        Encoded profiles; A is 0 without profiles.
    favourites : Favourites, optional
        Songs that owners have marked as liked.
    """

    starts: Int64Array
    song: Int64Array
    time: Float64Array
    n_songs: int
    profile: FloatArray
    favourites: "Favourites | None" = None

    @property
    def lengths(self) -> Int64Array:
        """Number of plays of each owner: shape (N,)."""
        return np.diff(self.starts)

    @property
    def is_timed(self) -> bool:
        """Whether any time is known."""
        return not bool(np.isnan(self.time).all())

    def counts(self, kept: BoolArray | None = None) -> Int64Array:
        """Return the number of plays of each song, of a mask (P,) only: shape (S,), int64."""
        song = self.song if kept is None else self.song[kept]
        return np.bincount(song, minlength=self.n_songs).astype(np.int64)

    def keep(self, kept: BoolArray) -> "NextPlays":
        """Return the plays selected by a mask (P,); all owners are kept."""
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
        """Hash of all plays, profiles and favourites, sixteen hex digits."""
        found = hashlib.sha256(str(self.n_songs).encode())
        liked = self.favourites
        more = () if liked is None else (liked.starts, liked.song, liked.time)
        for array in (self.starts, self.song, self.time, self.profile, *more):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Favourites:
    """Songs that N owners have marked as liked, with times.

    Attributes
    ----------
    starts : ndarray, shape (N + 1,), int64
        Owner i has the entries ``starts[i]:starts[i + 1]``, oldest first.
    song : ndarray, shape (F,), int64
    time : ndarray, shape (F,), float64
        Seconds; entries without a time (NaN) are ignored.
    """

    starts: Int64Array
    song: Int64Array
    time: Float64Array

    def before(self, owner: Int64Array, time: Float64Array) -> Int64Array:
        """Return the newest songs that owners (B,) liked before the given times: (B, F).

        Filled with -1; F is at most `MOST_FAVOURITES`, and 0 if no owner has any.

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
        at = np.minimum(at, len(self.song) - 1)  # for a last owner without favourites
        liked = there & (self.time[at] < time[:, None])  # False if a time is NaN
        order = np.argsort(~liked, axis=1, kind="stable")[:, :MOST_FAVOURITES]
        found = np.where(liked, self.song[at], -1)
        return np.take_along_axis(found, order, axis=1)[:, : int(liked.sum(axis=1).max(initial=0))]


@dataclass(frozen=True, slots=True, eq=False)
class HeldPlays:
    """Masks of training and validation plays, (P,) bool each."""

    learnt: BoolArray
    judged: BoolArray


def hold_out(plays: NextPlays, share: float, how: HoldOut = "auto") -> HeldPlays:
    """Hold out the newest `share` of the owners, or of each owner's plays, for validation.

    Only plays with a preceding play can be evaluated. Plays of songs without a training play stay
    in the validation part: no model can rank them, so all are penalised alike.

    Raises
    ------
    InputError
        If the share is not between 0 and 1, exclusive, or no owner has two plays.

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
        raise InputError("no user or session has two plays in order: no next song to learn from")
    if how == "auto":
        how = "sequences" if len(able) >= MANY_OWNERS else "plays"
    place = np.arange(len(plays.song)) - np.repeat(plays.starts[:-1], lengths)
    if how == "sequences":
        if len(able) < 2:
            raise InputError("a single user or session cannot be held out; set hold_out to plays")
        ends = plays.time[plays.starts[able + 1] - 1]
        most = min(max(1, round(share * len(able))), len(able) - 1)
        newest = able[np.argsort(ends, kind="stable")][-most:]
        held = np.zeros(len(lengths), np.bool_)
        held[newest] = True
        of_held = np.repeat(held, lengths)
        return HeldPlays(~of_held, of_held & (place > 0))
    # Keep two plays per owner, since a training step needs two.
    last = np.clip(np.round(share * lengths), 1, np.maximum(1, lengths - 2))
    last = np.where(lengths > 2, last, 0).astype(np.int64)
    if not last.any():  # too few plays: the last one is used for both training and validation
        ends = place == np.repeat(lengths, lengths) - 1
        return HeldPlays(np.ones(len(place), np.bool_), ends & (place > 0))
    judged = place >= np.repeat(lengths - last, lengths)
    return HeldPlays(~judged, judged & (place > 0))


def windows(
    starts: Int64Array, longest: int, rng: np.random.Generator
) -> tuple[Int64Array, Int64Array]:
    """Cut sequences into windows of at most `longest` steps; return their bounds.

    A step goes from one play to the next, so a window has one play more than steps, and the last
    play of one is the first of the next. Every step is in exactly one window. The first window of
    a long sequence has a random length, so that epochs cut at different positions.

    Returns
    -------
    first, stop : ndarray, shape (W,), int64
        Window w has the plays ``first[w]:stop[w]``.

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
    """B windows of plays, padded on the right to L.

    Attributes
    ----------
    songs : ndarray, shape (B, L), int64
        Padded with 0: see `lengths`.
    lengths : ndarray, shape (B,), int64
    targets : ndarray, shape (B, L), int64
        The next song at each position; -1 for none.
    time : ndarray, shape (B, L), float64
        Times of `songs`; NaN if unknown.
    profile : ndarray, shape (B, A), float32
    seed : ndarray, shape (B,), int64
        Seed of a model's draws for each window, independent of the process; 0 in histories.
    favourites : ndarray, shape (B, F), int64
        Songs that the owner liked before the window, or before the newest play of a history; -1:
        none.
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
        """Return the given windows, padded to the same L."""
        names = ("songs", "lengths", "targets", "time", "profile", "seed", "favourites")
        return PlayBatch(**{name: getattr(self, name)[rows] for name in names})


def training_windows(
    plays: NextPlays,
    first: Int64Array,
    stop: Int64Array,
    owner: Int64Array,
    rng: np.random.Generator,
) -> PlayBatch:
    """Return windows with the next play of each position as its target, for training.

    `rng` draws the seeds of the windows.
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
    """Return each owner's newest plays before position `stop`, without targets."""
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
    """Return songs that owners liked before the given plays: (B, F), F 0 without favourites."""
    if plays.favourites is None or not len(plays.time):
        return np.zeros((len(owner), 0), np.int64)
    return plays.favourites.before(owner, plays.time[np.minimum(place, len(plays.time) - 1)])
