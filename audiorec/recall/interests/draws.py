"""Normal numbers that depend on a seed alone, not on the order or batch they are drawn in.

    seeds (n,) ──normals──▶ (n, m) float32      history ──history_seeds──▶ a seed

With a sequential generator, the numbers of a history would change with its neighbours in the
batch. Here number i of a seed is a hash of both (splitmix64, then Box-Muller), so a history gets
the same numbers alone and in a batch, with one process and with two, in torch and in numpy.

References
----------
Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, 2014: the hash.
"""

import numpy as np
import numpy.typing as npt

from audiorec.types import FloatArray, Int64Array

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
HALF = np.uint64(32)
UNIT = np.float32(2.0**-32)
Hashes = npt.NDArray[np.uint64]


def normals(seeds: npt.NDArray[np.integer], m: int) -> FloatArray:
    """Return `m` standard normal numbers for each seed (n,): shape (n, m), float32.

    The first numbers of a seed do not depend on `m`.

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
    found = np.empty((len(seeds), 2 * pairs), np.float32)
    found[:, 0::2] = radius * np.cos(angle)
    found[:, 1::2] = radius * np.sin(angle)
    return found[:, :m]


def history_seeds(songs: Int64Array, lengths: Int64Array, seed: int) -> Int64Array:
    """Return a seed for each history, songs (B, L) and lengths (B,), in a model with this seed.

    Shape (B,), int64. Padding after a history's length is ignored.
    """
    with np.errstate(over="ignore"):
        found = np.full(len(songs), np.uint64(seed + 1) * GOLDEN, np.uint64)
        for place in range(songs.shape[1]):
            more = _mixed(found ^ (songs[:, place].astype(np.uint64) + GOLDEN))
            found = np.where(place < lengths, more, found)
    return (found >> np.uint64(2)).astype(np.int64)


def place_seeds(seeds: Int64Array, places: int) -> Int64Array:
    """Return seeds for the first `places` positions of each row (B,): (B, places), int64."""
    with np.errstate(over="ignore"):
        steps = np.arange(places, dtype=np.uint64) * SECOND
        mixed = _mixed(seeds.astype(np.uint64)[:, None] + steps)
    return (mixed >> np.uint64(2)).astype(np.int64)


def _mixed(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    found: Hashes = x ^ (x >> np.uint64(31))
    return found
