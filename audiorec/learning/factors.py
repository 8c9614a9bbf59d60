"""User embeddings from user-item pairs, by a truncated singular value decomposition.

    pairs (user, item) ──weigh rare items up──▶ sparse (U, S) ──▶ left vectors · σ² ──▶ unit rows

The simplest user model: no audio, no order, no profile. It initialises users that are trained
jointly with a tower, and is the user model of the Last.fm × GTZAN figures.
"""

import numpy as np

from audiorec.errors import InputError
from audiorec.types import FloatArray, Pairs

# Singular values are squared, which gives more weight to directions shared by many users. Chosen
# in docs/decisions/0014.
POWER = 2.0


def factorise(
    pairs: Pairs,
    n_users: int,
    n_items: int,
    *,
    dimension: int,
    min_users: int = 1,
    power: float = POWER,
    seed: int = 0,
) -> FloatArray:
    """Return an embedding per user, (n_users, dimension) float32.

    Rows have unit length; zeros for a user without a pair. Weights of pairs are ignored, and
    repeats count once. `seed` draws the start vector of the iteration; it affects only the last
    digits.

    Parameters
    ----------
    dimension : int
        Numbers in an embedding; padded with zeros if there are fewer users or items.
    min_users : int
        Items of fewer users are left out; at least one must remain.
    power : float
        Exponent of the singular values.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import svds

    counted = np.unique(
        np.stack([pairs.user.astype(np.int64), pairs.song.astype(np.int64)]), axis=1
    )
    listeners = np.bincount(counted[1], minlength=n_items)
    kept = listeners[counted[1]] >= max(1, min_users)
    user, item = counted[:, kept]
    if not len(item):
        raise InputError(f"no item has {min_users} users or more")
    rarity = np.log(max(2, n_users) / np.minimum(listeners[item], n_users)) + 1e-6
    columns, column = np.unique(item, return_inverse=True)
    matrix = coo_matrix((rarity, (user, column)), (n_users, len(columns))).tocsc()
    most = min(dimension, min(matrix.shape) - 1)
    embedded = np.zeros((n_users, dimension))
    if most >= 1:
        start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
        left, values, _ = svds(matrix, k=most, v0=start)
        order = np.argsort(-values)
        embedded[:, :most] = left[:, order] * values[order] ** power
    else:  # one user or one item: no decomposition
        embedded[:, 0] = np.asarray(matrix.sum(1)).ravel()
    lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
    good = lengths > 1e-12 * max(1.0, float(lengths.max(initial=0)))
    return np.where(good, embedded / np.where(good, lengths, 1), 0).astype(np.float32)
