"""SASRec without torch: its recipe, the gaps between plays, and the query in numpy.

Only the query at the newest play is needed, so the last block computes a single position, and
reads the others without a matrix product for each. Weights have the names of those in
`audiorec.recall.sequence.sasrec.network`.

Bin the time between two plays by its order of magnitude, in powers of two.

    seconds ──▶ 0: none    1: under 2    2: under 4   …   n: the longest and beyond

A gap of a second and one of a year mean different things; 300 and 301 days do not. If gaps are
capped by session, two plays of different sessions are the longest gap apart: the bins then tell
how far apart two plays of a session are, or that they are from different sessions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.next_plays import NextSongRecipe, PlayBatch, causal_mask
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class SASRecRecipe(NextSongRecipe):
    """Settings of SASRec, and those of `NextSongRecipe`.

    Attributes
    ----------
    blocks : int
        Attention blocks.
    heads : int
        Attention heads in each block.
    hidden : int
        Units of the feed-forward layer, as a multiple of `dimension`.
    dropout : float
        Dropout of the input, and of the output of each half of a block.
    positions : bool
        Learn position embeddings.
    relative_time : bool
        Learn a bias for the time between two plays, if times are known.
    longest_gap_days : float
        Longer gaps are treated as this one.
    session_gap_s : float
        If above 0, plays of different sessions are `longest_gap_days` apart; a session ends where
        the log's ``session_id`` changes, or after a gap of more than this many seconds.
    repeats : bool
        Learn how likely songs of the history are to come again, if at least 1 % of the plays are
        repeats.
    """

    blocks: int = 1
    heads: int = 1
    hidden: int = 2
    dropout: float = 0.3
    dimension: int = 128
    max_epochs: int = 12
    positions: bool = True
    relative_time: bool = True
    longest_gap_days: float = 365.0
    session_gap_s: float = 0.0
    repeats: bool = True

    def __post_init__(self) -> None:
        # Not `super()`: a dataclass with slots is created anew, so `super()` finds the old class.
        NextSongRecipe.__post_init__(self)
        check_fields(self, blocks=">=1", heads=">=1", hidden=">=1", dropout="[0, 1)")
        check_fields(self, longest_gap_days=">0", session_gap_s=">=0")
        if self.dimension % self.heads:
            raise InputError(f"heads must divide dimension {self.dimension}, got {self.heads}")


DAY_S = 86_400.0


def n_gap_bins(longest_days: float) -> int:
    """Return the number of bins; pairs with an unknown time are in none."""
    return max(1, math.frexp(longest_days * DAY_S)[1]) + 1


def gap_bins(later: Float64Array, earlier: Float64Array, n: int) -> Int64Array:
    """Return the bin of each gap, below `n`; -1 if a time is unknown (NaN).

    Examples
    --------
    >>> seconds = np.array([0.0, 1.0, 3.0, 4.0, 1e12, np.nan, -5.0])
    >>> gap_bins(seconds, np.zeros(7), 20).tolist()
    [0, 1, 2, 3, 19, -1, 0]
    """
    gap = later - earlier
    known = ~np.isnan(gap)
    # The exponent is exact, whereas a logarithm is rounded.
    exponent = np.frexp(np.where(known, gap, 0.0))[1]
    number = np.where(gap >= 1, np.minimum(exponent, n - 1), 0)
    return np.where(known, number, -1).astype(np.int64)


def capped_by_session(plays: Sequences, *, gap_s: float, longest_days: float) -> Float64Array:
    """Return times (P,) that put plays of different sessions the longest gap apart.

    A new session starts with each owner, where `Sequences.session` changes, and after a gap of
    more than `gap_s` seconds.

    Examples
    --------
    >>> from dataclasses import replace
    >>> plays = replace(Sequences.from_lists([["a", "b", "a"]]), time=np.array([0.0, 9.0, 5_000.0]))
    >>> found = capped_by_session(plays, gap_s=1_800, longest_days=1)
    >>> found.tolist()
    [0.0, 9.0, 91400.0]
    """
    new = np.zeros(len(plays.time), np.bool_)
    new[1:] = np.diff(plays.time) > gap_s  # False if a time is unknown
    if plays.session is not None:
        new[1:] |= np.diff(plays.session) != 0
    # The sum runs across owners, which shifts all times of an owner alike and keeps its gaps.
    return plays.time + np.cumsum(new) * longest_days * DAY_S


EPSILON = np.float32(1e-5)
Weights = Mapping[str, Any]


def newest_query(
    batch: PlayBatch, songs: FloatArray, weights: Weights, recipe: SASRecRecipe
) -> FloatArray:
    """Return the query at the newest play of each history: (B, d) float32.

    Parameters
    ----------
    batch : PlayBatch
        Histories of at least one play.
    songs : ndarray, shape (S, d), float32
    weights : mapping of str to ndarray
    recipe : SASRecRecipe
    """
    x = songs[batch.songs]
    if recipe.positions:
        x = x + weights["positions"][: x.shape[1]]
    if batch.profile.shape[1]:
        x = x + _linear(batch.profile, weights, "profile")[:, None]
    if batch.favourites.shape[1] and "liked.weight" in weights:
        x = x + _add_favourites(batch.favourites, songs, weights)[:, None]
    newest = (batch.lengths - 1)[:, None]
    every = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2])
    for number in range(recipe.blocks):
        at = newest if number + 1 == recipe.blocks else every
        x = _block(x, at, batch, _below(weights, f"blocks.{number}."), recipe)
    return _norm(x[:, 0], weights, "norm")


def _add_favourites(liked: Int64Array, songs: FloatArray, weights: Weights) -> FloatArray:
    """Return the term of the mean of the favourites (B, F): (B, d), zeros if there are none."""
    there = (liked >= 0)[..., None]
    count = there.sum(axis=1)
    mean = (songs[np.maximum(liked, 0)] * there).sum(axis=1) / np.maximum(count, 1)
    favourites: FloatArray = _linear(mean, weights, "liked") * (count > 0)
    return favourites.astype(np.float32)


def profile_query(profile: FloatArray, weights: Weights) -> FloatArray:
    """Return the queries of profiles (B, A) without a history: (B, d) float32."""
    x = weights["nobody"] + _linear(profile, weights, "profile")
    return _norm(x, weights, "norm").astype(np.float32)


def history_terms(
    batch: PlayBatch, queries: FloatArray, weights: Weights
) -> tuple[Int64Array, Int64Array, FloatArray]:
    """Return what is added to the logits of songs in the histories.

    Parameters
    ----------
    batch : PlayBatch
    queries : ndarray, shape (B, d), float32
        As `newest_query` returns them.
    weights : mapping of str to ndarray

    Returns
    -------
    row, song : ndarray, shape (H,), int64
        Each distinct song of each history.
    added : ndarray, shape (H,), float32
    """
    by_lag = queries @ weights["again_by_query"].T + weights["again_by_lag"]
    lag = batch.lengths[:, None] - 1 - np.arange(batch.songs.shape[1])
    row, place = np.nonzero(lag >= 0)
    # With the newest plays first, the first of equal keys is the newest play.
    order = np.lexsort((lag[row, place], batch.songs[row, place], row))
    row, place = row[order], place[order]
    song = batch.songs[row, place]
    is_newest = np.ones(len(row), np.bool_)
    is_newest[1:] = (row[1:] != row[:-1]) | (song[1:] != song[:-1])
    row, place, song = row[is_newest], place[is_newest], song[is_newest]
    added = by_lag[row, np.minimum(lag[row, place], by_lag.shape[1] - 1)]
    return row.astype(np.int64), song, added.astype(np.float32)


def _block(
    x: FloatArray, at: Int64Array, batch: PlayBatch, weights: Weights, recipe: SASRecRecipe
) -> FloatArray:
    """Apply a block at some positions (B, M) of each history: (B, M, d)."""
    here = np.take_along_axis(x, at[:, :, None], axis=1)
    x_here = here + _attended(x, here, at, batch, weights, recipe)
    between = np.maximum(_linear(_norm(x_here, weights, "between"), weights, "widen"), 0)
    return x_here + _linear(between, weights, "narrow")


def _attended(
    x: FloatArray,
    here: FloatArray,
    at: Int64Array,
    batch: PlayBatch,
    weights: Weights,
    recipe: SASRecRecipe,
) -> FloatArray:
    n, length, d = x.shape
    heads, width = recipe.heads, d // recipe.heads
    matrix, bias = weights["read.weight"], weights["read.bias"]
    _, of_key, of_value = matrix.reshape(3, heads, width, d)
    read = _norm(x, weights, "before")
    query = _norm(here, weights, "before").reshape(-1, d) @ matrix[:d].T + bias[:d]
    query = query.reshape(n, -1, heads, width).transpose(2, 0, 1, 3)
    # Keys and values are never computed for all positions: the query is projected into the input
    # space, and positions are summed there. The bias of the keys is the same everywhere: dropped.
    asked = np.matmul(query.reshape(heads, -1, width), of_key).reshape(heads, n, -1, d)
    logits = (asked @ read.transpose(0, 2, 1)).transpose(1, 0, 2, 3)
    logits /= np.float32(np.sqrt(width))
    if "gaps" in weights:
        logits += _gap_bias(at, batch, weights["gaps"])
    np.copyto(logits, -np.inf, where=_hidden(at, length)[:, None])
    logits -= logits.max(axis=-1, keepdims=True)
    shares = np.exp(logits, out=logits)
    shares /= shares.sum(axis=-1, keepdims=True)
    summed = (shares.transpose(1, 0, 2, 3) @ read).reshape(heads, -1, d)
    seen = np.matmul(summed, of_value.transpose(0, 2, 1)).reshape(heads, n, -1, width)
    seen = seen.transpose(1, 2, 0, 3).reshape(n, -1, d) + bias[2 * d :]
    return _linear(seen.astype(np.float32), weights, "write")


def _hidden(at: Int64Array, length: int) -> BoolArray:
    """Return the positions that each position must not attend to: (B, M, L)."""
    return causal_mask(length)[at]


def _gap_bias(at: Int64Array, batch: PlayBatch, gaps: FloatArray) -> FloatArray:
    """Return the bias of the logits by time gap: (B, heads, M, L); 0 if a time is unknown."""
    later = np.take_along_axis(batch.time, at, axis=1)
    number = gap_bins(later[:, :, None], batch.time[:, None], len(gaps))
    added = np.where(number[..., None] >= 0, gaps[number], 0)
    return added.transpose(0, 3, 1, 2).astype(np.float32)


def _linear(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    matrix = weights[f"{name}.weight"]
    # One large product: numpy multiplies a stack of small matrices one by one.
    result: FloatArray = x.reshape(-1, x.shape[-1]) @ matrix.T + weights[f"{name}.bias"]
    return result.reshape(*x.shape[:-1], len(matrix))


def _norm(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + EPSILON)
    return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _below(weights: Weights, prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)}
