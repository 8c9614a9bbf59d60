"""Plays in order as training examples of next-song models: recipe, windows, batches.

    plays ──hold_out──▶ training plays, validation plays
          ──windows──▶ windows, drawn anew each epoch ──training_windows──▶ songs, targets, times
    lengths (n,) ──even_batches──▶ rows of each batch    values, starts ──padded──▶ (B, L)
    `SongFeatures` ──side_embeddings, with learnt weights──▶ (S, d)

Owners are users, sessions or lists, ordered from the oldest if their order is known, so without
times, "newest" means "last".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.options import check_fields
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Ragged, entries

WINDOW = 64  # batches sorted by length together; larger values pad less and shuffle less


def even_batches(
    lengths: npt.NDArray[np.integer], steps: int, rng: np.random.Generator, *, window: int = WINDOW
) -> list[Int64Array]:
    """Split n examples into batches of similar length with about `steps` positions each.

    If the loss is a mean over the positions of a batch, equal numbers of *examples* would give
    positions of short sequences a much higher weight than those of long ones; here all weigh alike.

    Parameters
    ----------
    lengths : ndarray, shape (n,)
    steps : int
        Approximate number of positions per batch; a longer example is a batch by itself.
    rng : Generator
        Generator of the epoch; the same state gives the same batches.
    window : int
        Number of batches sorted by length together.

    Examples
    --------
    >>> lengths = np.array([3, 90, 4, 88, 3, 91])
    >>> found = even_batches(lengths, 90, np.random.default_rng(0))
    >>> sorted(sorted(lengths[rows].tolist()) for rows in found)
    [[3, 3, 4, 88], [90], [91]]
    """
    if steps < 1 or window < 1:
        raise InputError(f"steps and window must be 1 or more, got {steps} and {window}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    before = np.cumsum(lengths[order]) - lengths[order]
    batches: list[Int64Array] = []
    for part in np.split(order, np.flatnonzero(np.diff(before // (steps * window))) + 1):
        rows = part[np.argsort(lengths[part], kind="stable")]
        ends = np.cumsum(lengths[rows])
        # A row belongs to the batch in which its middle lies.
        number = (ends - lengths[rows] / 2) // steps
        batches += np.split(rows, np.flatnonzero(np.diff(number)) + 1)
    batches = [rows for rows in batches if len(rows)]
    return [batches[i] for i in rng.permutation(len(batches))]


def padded(
    values: npt.NDArray[Any],
    starts: Int64Array,
    rows: Int64Array,
    *,
    longest: int,
) -> tuple[npt.NDArray[Any], Int64Array]:
    """Return the newest entries of sequences as a padded matrix, and the length of each row.

    They are padded on the right: with a causal mask, real positions never attend to the padding, so
    no padding mask is needed; padded positions are excluded from the loss.

    Parameters
    ----------
    values : ndarray, shape (P,)
        Sequence i is ``values[starts[i]:starts[i + 1]]``, oldest first.
    starts : ndarray, shape (n + 1,)
    rows : ndarray, shape (B,)
    longest : int
        Maximum length; the oldest entries of longer sequences are dropped.

    Returns
    -------
    matrix : ndarray, shape (B, L), of the type of `values`
        Padded with -1; L is the length of the longest row.
    lengths : ndarray, shape (B,), int64

    Examples
    --------
    >>> values, starts = np.array([5, 6, 7, 8]), np.array([0, 3, 3, 4])
    >>> matrix, lengths = padded(values, starts, np.array([0, 1, 2]), longest=2)
    >>> matrix.tolist(), lengths.tolist()
    ([[6, 7], [-1, -1], [8, -1]], [2, 0, 1])
    """
    if longest < 1:
        raise InputError(f"longest must be 1 or more, got {longest}")
    stop = starts[rows + 1]
    lengths = np.minimum(stop - starts[rows], longest).astype(np.int64)
    column = np.arange(int(lengths.max(initial=0)))
    there = column < lengths[:, None]
    matrix = np.full(there.shape, -1, values.dtype)
    matrix[there] = values[((stop - lengths)[:, None] + column)[there]]
    return matrix, lengths


def causal_mask(length: int) -> BoolArray:
    """Return the causal attention mask: (L, L) bool, True for later columns, which are masked.

    The format is that of boolean masks in torch's attention.

    Examples
    --------
    >>> causal_mask(3).astype(int).tolist()
    [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    return np.triu(np.ones((length, length), np.bool_), 1)


NEW = "new_ndcg@100"  # figure: NDCG of a hundred songs that are new to their owner
HoldOut = Literal["auto", "sequences", "plays"]
MOST_FAVOURITES = 50  # newest favourites used per owner
MANY_OWNERS = 200  # least number of owners with two plays to hold out whole owners


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NextPlays(Ragged):
    """Plays and profiles of N owners (users, sessions or lists)."""

    COLUMNS = ("song", "time")

    starts: Int64Array  # (N + 1,): owner i has the plays ``starts[i]:starts[i + 1]``, oldest first
    song: Int64Array  # (P,): song numbers in a catalogue of `n_songs`
    time: Float64Array  # (P,): seconds; NaN if unknown
    n_songs: int
    profile: FloatArray  # (N, A): encoded profiles; A is 0 without profiles
    favourites: "Favourites | None" = None  # songs that owners have marked as liked

    @property
    def is_timed(self) -> bool:
        """Whether any time is known."""
        return not bool(np.isnan(self.time).all())

    def counts(self, kept: BoolArray | None = None) -> Int64Array:
        """Return the number of plays of each song, of a mask (P,) only: shape (S,), int64."""
        song = self.song if kept is None else self.song[kept]
        return np.bincount(song, minlength=self.n_songs).astype(np.int64)

    @property
    def digest(self) -> str:
        """Hash of all plays, profiles and favourites, sixteen hex digits."""
        result = hashlib.sha256(str(self.n_songs).encode())
        liked = self.favourites
        more = () if liked is None else (liked.starts, liked.song, liked.time)
        for array in (self.starts, self.song, self.time, self.profile, *more):
            result.update(np.ascontiguousarray(array).tobytes())
        return result.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Favourites(Ragged):
    """Songs that N owners have marked as liked, with times."""

    COLUMNS = ("song", "time")

    # (N + 1,): owner i has the entries ``starts[i]:starts[i + 1]``, oldest first
    starts: Int64Array
    song: Int64Array  # (F,)
    time: Float64Array  # (F,): seconds; entries without a time (NaN) are ignored

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
        back = np.arange(int(self.lengths.max()))
        at = np.maximum(self.starts[owner + 1][:, None] - 1 - back, self.starts[owner][:, None])
        there = back < self.lengths[owner][:, None]
        at = np.minimum(at, len(self.song) - 1)  # for a last owner without favourites
        liked = there & (self.time[at] < time[:, None])  # False if a time is NaN
        order = np.argsort(~liked, axis=1, kind="stable")[:, :MOST_FAVOURITES]
        result = np.where(liked, self.song[at], -1)
        return np.take_along_axis(result, order, axis=1)[:, : int(liked.sum(axis=1).max(initial=0))]


@dataclass(frozen=True, slots=True, eq=False)
class HeldPlays:
    """Masks of training and validation plays, (P,) bool each."""

    learnt: BoolArray
    judged: BoolArray


def hold_out(plays: NextPlays, share: float, how: HoldOut = "auto") -> HeldPlays:
    """Hold out the newest `share` of the owners, or of each owner's plays, for validation.

    Only plays with a preceding play can be evaluated. Plays of songs without a training play stay
    in the validation part: no model can rank them, so all are penalised alike.

    Raises `InputError` if the share is not between 0 and 1, exclusive, or no owner has two plays.

    With many owners, as with sessions, whole owners are held out: models do not know owners, so a
    new one is as good as an old one. With few owners, the end of each owner's plays is held out.

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
    place = plays.place
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


FEWEST_NEW = 50  # new plays to judge a trained model by


def hold_out_new(plays: NextPlays, is_new: BoolArray | None) -> HeldPlays | None:
    """Hold out the new plays, from which a trained model has not learnt; None if they are few.

    For a warm start: on all other plays (P,) it would be judged by what it remembers.

    Examples
    --------
    >>> plays = NextPlays(
    ...     starts=np.array([0, 3, 60, 120]), song=np.zeros(120, np.int64), n_songs=1,
    ...     time=np.arange(120.0), profile=np.zeros((3, 0), np.float32),
    ... )
    >>> held = hold_out_new(plays, plays.time > 50)  # the first play of an owner is not judged
    >>> np.flatnonzero(held.judged)[[0, 8, 9, -1]].tolist(), int(held.learnt.sum())
    ([51, 59, 61, 119], 51)
    >>> hold_out_new(plays, plays.time > 80) is None  # 39 plays
    True
    """
    if is_new is None or is_new.all():
        return None
    judged = is_new & (plays.place > 0)
    return HeldPlays(~is_new, judged) if judged.sum() >= FEWEST_NEW else None


def ndcg_of_new(ranks: npt.NDArray[np.floating]) -> float:
    """Return the figure `NEW` from the ranks of plays; NaN stands for a repeat.

    Examples
    --------
    >>> ndcg_of_new(np.array([1.0, 3.0, 101.0, np.nan]))
    0.5
    """
    known = ranks[~np.isnan(ranks)]
    gains = np.where(known <= 100, 1 / np.log2(1 + known), 0.0)
    return float(np.mean(gains)) if len(known) else 0.0


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
    nth = entries(0, number)
    begin = np.where(nth == 0, 0, head[owner] + (nth - 1) * longest)
    end = np.minimum(head[owner] + nth * longest, steps[owner])
    base = starts[able][owner]
    return (base + begin).astype(np.int64), (base + end + 1).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayBatch:
    """B windows of plays, padded on the right to L."""

    songs: Int64Array  # (B, L): padded with 0: see `lengths`
    lengths: Int64Array  # (B,)
    targets: Int64Array  # (B, L): the next song at each position; -1 for none
    time: Float64Array  # (B, L): times of `songs`; NaN if unknown
    profile: FloatArray  # (B, A)
    # (B,): seed of a model's draws for each window, independent of the process; 0 in histories
    seed: Int64Array
    # (B, F): songs that the owner liked before the window, or before the newest play of a history;
    # -1: none
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSongRecipe:
    """Training settings of a next-song model.

    Attributes
    ----------
    dimension : int
        Numbers in an embedding.
    longest : int
        Number of newest plays read of a history.
    temperature : float
        Divisor of cosines: at 1/16 a cosine of 1 is a logit of 16.
    negatives : int
        Negatives per target, shared by a batch; all songs if there are no more than this.
    negative_power : float
        Negatives are drawn in proportion to plays ** power: 0 is uniform, 1 by plays.
    log_q : bool
        Correct the loss for the sampling frequency of each negative (logQ).
    shared_table : bool
        Use one table for input and output embeddings of songs.
    side_width : int
        Embedding width of the artist and other categories of a song.
    id_dropout : float
        Probability that training uses a song's side information only, without its id.
    learning_rate : float
        Peak learning rate of Adam; it decays along a cosine.
    warm_up : float
        Share of the steps in which the learning rate rises.
    network_rate : float
        Learning rate of the network, relative to that of the songs.
    weight_decay : float
        Weight decay of the matrices, not of the songs.
    clip : float
        Maximum norm of a step's gradient; 0 for no clipping.
    batch_size : int
        Approximate number of plays per step; fewer if an epoch would have less than 256 steps.
    max_epochs : int
        Maximum number of epochs.
    patience : int
        Epochs without improvement on the validation part before training stops.
    valid : float
        Share of the newest plays held out for early stopping, before training on everything.
    hold_out : {"auto", "sequences", "plays"}
        Whether to hold out whole owners, or the end of each owner's plays.
    sparse_tables : bool or None
        Update only the table rows used in a step, and catch up on skipped updates when a row is
        used again: the same weights up to rounding, faster with many songs. None: from
        `audiorec.learning.next_song.SPARSE_FROM` songs on.
    most_judged : int
        Maximum number of validation plays ranked after an epoch.
    seed : int
        Seed of all draws.
    """

    dimension: int = 96
    longest: int = 50
    temperature: float = 1 / 16
    negatives: int = 1_024
    negative_power: float = 0.5
    log_q: bool = True
    shared_table: bool = True
    side_width: int = 16
    id_dropout: float = 0.2
    learning_rate: float = 0.015
    network_rate: float = 0.05
    warm_up: float = 0.02
    weight_decay: float = 0.0
    clip: float = 5.0
    batch_size: int = 2_048
    max_epochs: int = 6
    patience: int = 3
    valid: float = 0.05
    hold_out: HoldOut = "auto"
    sparse_tables: bool | None = None
    most_judged: int = 4_000
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("dimension", "longest", "negatives", "batch_size", "max_epochs", "patience")
        check_fields(self, **dict.fromkeys((*whole, "most_judged", "side_width"), ">=1"))
        check_fields(self, temperature=">0", learning_rate=">0", network_rate=">0")
        check_fields(self, warm_up="[0, 1)", id_dropout="[0, 1)", valid="(0, 1)")
        check_fields(self, weight_decay=">=0", clip=">=0", negative_power=">=0")
        check_fields(self, hold_out=("auto", "sequences", "plays"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongFeatures:
    """Side information of S songs as numeric features."""

    codes: Int64Array  # (S, C): value code of each category; 0 means unknown
    sizes: tuple[int, ...]  # length C: number of values of each category, including the unknown one
    # (S, V): standardised numbers and audio features, 0 if unknown, and flags of known values
    dense: FloatArray

    def __post_init__(self) -> None:
        if len(self.codes) != len(self.dense) or self.codes.shape[1] != len(self.sizes):
            raise ShapeError(f"codes (S, C), C sizes, dense (S, V) expected: {self.codes.shape}")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def known(self) -> BoolArray:
        """Whether each song has any side information: shape (S,), bool."""
        return (self.codes > 0).any(axis=1) | (self.dense != 0).any(axis=1)

    @property
    def rows(self) -> Int64Array:
        """Codes as row numbers of one table with the values of all categories: (S, C), int64."""
        first = np.cumsum([0, *self.sizes])[:-1].astype(np.int64)
        return self.codes + first

    @property
    def width(self) -> int:
        """Number of categories and dense columns; 0 if there are ids only."""
        return int(self.codes.shape[1] + self.dense.shape[1])


def no_features(n_songs: int) -> SongFeatures:
    """Return empty features of songs that have ids only."""
    nothing = np.zeros((n_songs, 0))
    return SongFeatures(codes=nothing.astype(np.int64), sizes=(), dense=nothing.astype(np.float32))


def side_embeddings(features: SongFeatures, weights: Mapping[str, Any]) -> FloatArray:
    """Return embeddings of songs by side information alone, in numpy: (n, d) float32.

    The projection of `audiorec.learning.next_model.SongTable`, without torch, for songs added
    later.

    Parameters
    ----------
    features : SongFeatures
        Encoded in the same way as those that the table was trained on.
    weights : mapping of str to ndarray
        Weights of `SongTable`: ``values`` (sum of sizes, w), ``project.weight`` (d, C w + V).
        Without them, as for a table of ids, the result has shape (n, 0).
    """
    if "project.weight" not in weights:
        return np.zeros((len(features), 0), np.float32)
    parts = [features.dense]
    if features.sizes:
        values = weights["values"][features.rows]
        parts.insert(0, values.reshape(len(features), -1))
    joined = np.concatenate(parts, axis=1).astype(np.float32)
    result = joined @ weights["project.weight"].T
    return np.where(features.known[:, None], result, 0).astype(np.float32)
