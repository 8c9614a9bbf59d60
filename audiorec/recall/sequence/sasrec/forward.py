"""SASRec in numpy, for answers: the query at the newest play of each history.

Only the query at the newest play is needed, so the last block computes a single position, and
reads the others without a matrix product for each. Weights have the names of those in
`audiorec.recall.sequence.sasrec.network`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.learning.next_plays import PlayBatch, causal_mask
from audiorec.recall.sequence.sasrec.gaps import gap_bins
from audiorec.recall.sequence.sasrec.recipe import SASRecRecipe
from audiorec.types import BoolArray, FloatArray, Int64Array

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
        x = x + _of_favourites(batch.favourites, songs, weights)[:, None]
    newest = (batch.lengths - 1)[:, None]
    every = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2])
    for number in range(recipe.blocks):
        at = newest if number + 1 == recipe.blocks else every
        x = _block(x, at, batch, _below(weights, f"blocks.{number}."), recipe)
    return _norm(x[:, 0], weights, "norm")


def _of_favourites(liked: Int64Array, songs: FloatArray, weights: Weights) -> FloatArray:
    """Return the term of the mean of the favourites (B, F): (B, d), zeros if there are none."""
    there = (liked >= 0)[..., None]
    count = there.sum(axis=1)
    mean = (songs[np.maximum(liked, 0)] * there).sum(axis=1) / np.maximum(count, 1)
    found: FloatArray = _linear(mean, weights, "liked") * (count > 0)
    return found.astype(np.float32)


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
    found: FloatArray = x_here + _linear(between, weights, "narrow")
    return found


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
        logits += _of_gaps(at, batch, weights["gaps"])
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


def _of_gaps(at: Int64Array, batch: PlayBatch, gaps: FloatArray) -> FloatArray:
    """Return the bias of the logits by time gap: (B, heads, M, L); 0 if a time is unknown."""
    later = np.take_along_axis(batch.time, at, axis=1)
    number = gap_bins(later[:, :, None], batch.time[:, None], len(gaps))
    added = np.where(number[..., None] >= 0, gaps[number], 0)
    return added.transpose(0, 3, 1, 2).astype(np.float32)


def _linear(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    matrix = weights[f"{name}.weight"]
    # One large product: numpy multiplies a stack of small matrices one by one.
    found: FloatArray = x.reshape(-1, x.shape[-1]) @ matrix.T + weights[f"{name}.bias"]
    return found.reshape(*x.shape[:-1], len(matrix))


def _norm(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + EPSILON)
    found: FloatArray = centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return found


def _below(weights: Weights, prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)}
