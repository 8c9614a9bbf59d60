"""MIND and ComiRec-SA in numpy, for answers: the interests of full histories.

    histories, songs, weights ──▶ interests (B, K, d), and each song's share in each (B, L, K)
    seeds (n,) ──normals──▶ (n, m) float32      history ──history_seeds──▶ a seed

Weights have the names of those in `audiorec.recall.interests.network`, recipes are those of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.learning.next_plays import NextSongRecipe, PlayBatch
from audiorec.options import check_fields
from audiorec.types import BoolArray, FloatArray, Int64Array

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
HALF = np.uint64(32)
UNIT = np.float32(2.0**-32)
Hashes = npt.NDArray[np.uint64]


def normals(seeds: npt.NDArray[np.integer], m: int) -> FloatArray:
    """Return `m` standard normal numbers for each seed (n,): shape (n, m), float32.

    The first numbers of a seed do not depend on `m`.

    With a sequential generator, the numbers of a history would change with its neighbours in the
    batch. Here number i of a seed is a hash of both (splitmix64: Steele, Lea, Flood, *Fast
    Splittable Pseudorandom Number Generators*, 2014; then Box-Muller), so a history gets the same
    numbers alone and in a batch, with one process and with two, in torch and in numpy.

    Examples
    --------
    >>> few, many = normals(np.array([7]), 3), normals(np.array([1, 7]), 5)
    >>> bool((few[0] == many[1, :3]).all())
    True
    """
    pairs = -(-m // 2)
    with np.errstate(over="ignore"):
        counter = np.arange(1, pairs + 1, dtype=np.uint64) * GOLDEN
        mixed = _mixed(_mixed(seeds.astype(np.uint64))[:, None] + counter)
    # Two halves of 32 bits; the first is kept off 0, whose logarithm is undefined.
    radius = ((mixed >> HALF).astype(np.float32) + np.float32(0.5)) * UNIT
    angle = mixed.astype(np.uint32).astype(np.float32) * np.float32(2 * np.pi * 2.0**-32)
    radius = np.sqrt(np.float32(-2) * np.log(np.minimum(radius, np.float32(1))))
    result = np.empty((len(seeds), 2 * pairs), np.float32)
    result[:, 0::2] = radius * np.cos(angle)
    result[:, 1::2] = radius * np.sin(angle)
    return result[:, :m]


def history_seeds(songs: Int64Array, lengths: Int64Array, seed: int) -> Int64Array:
    """Return a seed for each history, songs (B, L) and lengths (B,), in a model with this seed.

    Shape (B,), int64. Padding after a history's length is ignored.
    """
    with np.errstate(over="ignore"):
        seeds = np.full(len(songs), np.uint64(seed + 1) * GOLDEN, np.uint64)
        for place in range(songs.shape[1]):
            more = _mixed(seeds ^ (songs[:, place].astype(np.uint64) + GOLDEN))
            seeds = np.where(place < lengths, more, seeds)
    return (seeds >> np.uint64(2)).astype(np.int64)


def place_seeds(seeds: Int64Array, places: int) -> Int64Array:
    """Return seeds for the first `places` positions of each row (B,): (B, places), int64."""
    with np.errstate(over="ignore"):
        steps = np.arange(places, dtype=np.uint64) * SECOND
        mixed = _mixed(seeds.astype(np.uint64)[:, None] + steps)
    return (mixed >> np.uint64(2)).astype(np.int64)


def _mixed(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestsRecipe(NextSongRecipe):
    """Settings that MIND and ComiRec-SA share, and those of `NextSongRecipe`.

    Attributes
    ----------
    interests : int
        Maximum number of embeddings per user, K.
    hidden : int
        Units of the network that combines an interest with the profile, as a multiple of
        `dimension`; 0: none, unless there are profiles.
    dropout : float
        Dropout of the input songs.
    one_above : float
        Interests of a history are merged, most similar first, while their cosine is above this, so
        that the number of interests follows the history. 1: never.
    half_life : float
        In plays: a play this long ago counts half in an interest's weight.
    """

    dimension: int = 64
    longest: int = 20
    negatives: int = 512
    max_epochs: int = 3
    interests: int = 4
    hidden: int = 0
    dropout: float = 0.2
    one_above: float = 0.8
    half_life: float = 10.0

    def __post_init__(self) -> None:
        # Not `super()`: a dataclass with slots is created anew, so `super()` finds the old class.
        NextSongRecipe.__post_init__(self)
        check_fields(self, interests=">=1", hidden=">=0", dropout="[0, 1)", one_above="[-1, 1]")
        check_fields(self, half_life=">0")


@dataclass(frozen=True, slots=True, kw_only=True)
class MINDRecipe(InterestsRecipe):
    """Settings of MIND, and those of `InterestsRecipe`.

    Attributes
    ----------
    rounds : int
        Routing iterations.
    routing_spread : float
        Standard deviation of the initial logits, which are drawn for each example and step (in
        answers, from a generator seeded by the model and the history).
    routing_scale : float
        Length of song vectors in routing: the longer, the more strongly similar songs pull each
        other into one interest.
    sharpness : float
        Sharpness of label-aware attention in training: 0 takes the mean of the interests, larger
        values approach the interest nearest to the target.
    """

    one_above: float = 0.4
    rounds: int = 3
    routing_spread: float = 2.0
    routing_scale: float = 6.0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        InterestsRecipe.__post_init__(self)
        check_fields(self, rounds=">=1", routing_spread=">=0", sharpness=">=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComiRecSARecipe(InterestsRecipe):
    """Settings of ComiRec-SA, and those of `InterestsRecipe`.

    Attributes
    ----------
    attention : int
        Units of the attention layer, as a multiple of `dimension`.
    """

    attention: int = 4

    def __post_init__(self) -> None:
        InterestsRecipe.__post_init__(self)
        check_fields(self, attention=">=1")


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
    seeds = history_seeds(batch.songs, batch.lengths, recipe.seed)
    drawn = normals(seeds, length * k).reshape(n, length, k)
    logits: Any = drawn * np.float32(recipe.routing_spread)
    many = np.clip(np.frexp(batch.lengths)[1] - 1, 1, k)
    there = np.arange(k) < many[:, None]
    shares, result = _routed_once(read, logits, there, batch)
    for _ in range(recipe.rounds - 1):
        logits = logits + read @ result.transpose(0, 2, 1)
        shares, result = _routed_once(read, logits, there, batch)
    return _joined(result, there, batch, weights), shares


def pooled_interests(
    batch: PlayBatch, songs: FloatArray, weights: Weights, recipe: ComiRecSARecipe
) -> Read:
    """Return ComiRec-SA's interests and shares; parameters and shapes as in `routed_interests`.

    A song's share in an interest is its attention there, divided by the sum over interests.
    """
    read = songs[batch.songs]
    looked = np.tanh(_unit(read) @ weights["look.weight"].T)
    logits = looked @ weights["heads.weight"].T
    since = batch.lengths[:, None] - 1 - np.arange(read.shape[1])
    logits = logits + weights["ages"][np.clip(since, 0, len(weights["ages"]) - 1)]
    logits = np.where(_there(batch)[:, :, None], logits, -np.inf)
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    attention = (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)
    result = attention.transpose(0, 2, 1) @ read
    there = np.ones((1, recipe.interests), np.bool_)
    whole = attention.sum(axis=2, keepdims=True)
    shares = np.where(whole > 0, attention / np.where(whole > 0, whole, 1), 0)
    return _joined(result, there, batch, weights), shares.astype(np.float32)


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(lengths, np.float32(1e-12))


def _there(batch: PlayBatch) -> BoolArray:
    return np.arange(batch.songs.shape[1]) < batch.lengths[:, None]


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
    return (rows * np.sqrt(squared + EPSILON) / (1 + squared)).astype(np.float32)


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
