"""MIND and ComiRec-SA in numpy, for answers: the interests of full histories.

    histories, songs, weights ──▶ interests (B, K, d), and each song's share in each (B, L, K)

Weights have the names of those in `audiorec.recall.interests.routing` and `pooling`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.learning.next_plays import PlayBatch
from audiorec.recall.interests.draws import history_seeds, normals
from audiorec.recall.interests.recipe import ComiRecSARecipe, MINDRecipe
from audiorec.types import BoolArray, FloatArray

EPSILON = np.float32(1e-9)
Weights = Mapping[str, Any]
Read = tuple[FloatArray, FloatArray]


def routed_interests(
    batch: PlayBatch, songs: FloatArray, weights: Weights, recipe: MINDRecipe
) -> Read:
    """Return MIND's interests (B, K, d) and shares (B, L, K) of histories.

    A share is the fraction of a song that is routed to an interest; shares sum to 1 over the
    interests, and are 0 in the padding.

    Parameters
    ----------
    batch : PlayBatch
        Histories of at least one play.
    songs : ndarray, shape (S, d), float32
    weights : mapping of str to ndarray
    recipe : MINDRecipe
    """
    read = _unit(songs[batch.songs] @ weights["route"]) * np.float32(recipe.routing_scale)
    (n, length), k = batch.songs.shape, recipe.interests
    if "logits" in weights:
        logits = np.repeat(weights["logits"][None, :length], n, axis=0)
    else:
        seeds = history_seeds(batch.songs, batch.lengths, recipe.seed)
        drawn = normals(seeds, length * k).reshape(n, length, k)
        logits = drawn * np.float32(recipe.routing_spread)
    many = np.clip(np.frexp(batch.lengths)[1] - 1, 1, k)
    there = np.arange(k) < many[:, None]
    shares, found = _routed_once(read, logits, there, batch)
    for _ in range(recipe.rounds - 1):
        logits = logits + read @ found.transpose(0, 2, 1)
        shares, found = _routed_once(read, logits, there, batch)
    return _joined(found, there, batch, weights), shares


def pooled_interests(
    batch: PlayBatch, songs: FloatArray, weights: Weights, recipe: ComiRecSARecipe
) -> Read:
    """Return ComiRec-SA's interests and shares; parameters and shapes as in `routed_interests`.

    A song's share in an interest is its attention there, divided by the sum over interests.
    """
    read = songs[batch.songs]
    looked = np.tanh(_unit(read) @ weights["look.weight"].T)
    logits = looked @ weights["heads.weight"].T
    if "ages" in weights:
        since = batch.lengths[:, None] - 1 - np.arange(read.shape[1])
        logits = logits + weights["ages"][np.clip(since, 0, len(weights["ages"]) - 1)]
    logits = np.where(_there(batch)[:, :, None], logits, -np.inf)
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    attention = (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)
    found = attention.transpose(0, 2, 1) @ read
    there = np.ones((1, recipe.interests), np.bool_)
    whole = attention.sum(axis=2, keepdims=True)
    shares = np.where(whole > 0, attention / np.where(whole > 0, whole, 1), 0)
    return _joined(found, there, batch, weights), shares.astype(np.float32)


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: FloatArray = rows / np.maximum(lengths, np.float32(1e-12))
    return found


def _there(batch: PlayBatch) -> BoolArray:
    there: BoolArray = np.arange(batch.songs.shape[1]) < batch.lengths[:, None]
    return there


def _routed_once(
    read: FloatArray, logits: FloatArray, there: BoolArray, batch: PlayBatch
) -> tuple[FloatArray, FloatArray]:
    """Do one routing step: logits (B, L, K) to shares (B, L, K) and interests (B, K, d)."""
    logits = np.where(there[:, None], logits, -np.inf)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares = (shares / shares.sum(axis=2, keepdims=True)).astype(np.float32)
    shares *= _there(batch)[:, :, None]
    return shares, _squashed(shares.transpose(0, 2, 1) @ read)


def _squashed(rows: FloatArray) -> FloatArray:
    squared = (rows * rows).sum(axis=-1, keepdims=True)
    found: FloatArray = (rows * np.sqrt(squared + EPSILON) / (1 + squared)).astype(np.float32)
    return found


def _joined(found: FloatArray, there: BoolArray, batch: PlayBatch, weights: Weights) -> FloatArray:
    """Combine interests with the profile, ready for comparison with songs; zeros if missing."""
    if "widen.weight" in weights:
        n, k, _ = found.shape
        width = batch.profile.shape[1]
        known = np.broadcast_to(batch.profile[:, None], (n, k, width))
        both = np.concatenate([found, known], axis=2)
        wide = np.maximum(both @ weights["widen.weight"].T + weights["widen.bias"], 0)
        found = found + wide @ weights["narrow.weight"].T + weights["narrow.bias"]
    return np.where(there[..., None], found, 0).astype(np.float32)
