"""Folds that no group straddles: the split behind every honest figure of a head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.types import Int64Array


def grouped_folds(
    groups: Sequence[str] | npt.NDArray[np.str_],
    labels: npt.NDArray[np.integer],
    *,
    folds: int,
    seed: int,
) -> Int64Array:
    """Deal groups out to folds, so that each fold gets about as many rows of each class.

    Parameters
    ----------
    groups : sequence of str, length n
    labels : ndarray, shape (n,), int
        What is to be balanced.
    folds : int
        At most as many as there are groups.
    seed : int
        Decides between groups of the same size.

    Returns
    -------
    fold : ndarray, shape (n,), int64
        From 0 to ``folds - 1``; equal for equal groups.

    Raises
    ------
    InputError
        If there are fewer than two groups or fewer than two folds.

    Examples
    --------
    >>> grouped_folds(["a", "a", "b"], np.array([0, 1, 0]), folds=2, seed=0).tolist()
    [0, 0, 1]
    """
    names, of_row = np.unique(np.asarray(groups), return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2:
        raise InputError(f"need two or more groups and folds, got {len(names)} and {folds}")
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (of_row, labels), 1)
    share = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-share.max(1)[order], kind="stable")]  # the largest first
    filled, fold_of_name = np.zeros((folds, counts.shape[1])), np.zeros(len(names), np.int64)
    for name in order:
        # The fold where the group's classes are least filled; empty folds break ties.
        cost = (filled * share[name]).sum(1) + 1e-6 * filled.sum(1)
        fold_of_name[name] = int(np.argmin(cost))
        filled[fold_of_name[name]] += share[name]
    fold: Int64Array = fold_of_name[of_row]
    return fold
