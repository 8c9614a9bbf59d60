"""Softmax regression on a few hundred rows: the second stage of the genre yardstick."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from audiorec.tagger.heads import softmax

CLIP = 4.0  # standard deviations: a kurtosis of 20 is no stronger evidence than one of 6

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxRegression:
    """A fitted model: standardise, clip, linear, softmax."""

    mean: Float64Array
    scale: Float64Array
    weight: Float64Array
    bias: Float64Array

    def scores(self, x: npt.NDArray[Any]) -> Float64Array:
        """Return probabilities, (n, D) to (n, C)."""
        return softmax(_standard(x, self.mean, self.scale) @ self.weight + self.bias)


def fit_softmax_regression(
    x: npt.NDArray[Any],
    targets: Float64Array,
    row_weights: Float64Array,
    *,
    l2: float,
) -> SoftmaxRegression:
    """Fit by L-BFGS from zero, so that there is one answer.

    Parameters
    ----------
    x : ndarray, shape (n, D)
    targets : ndarray, shape (n, C)
        Probabilities.
    row_weights : ndarray, shape (n,)
    l2 : float
        Half of it times the squared weights is added to the mean loss.
    """
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64) + 1e-6
    z, weights = _standard(x, mean, scale), (row_weights / row_weights.sum())[:, None]
    shape = (z.shape[1], targets.shape[1])

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weight, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        p = softmax(z @ weight + bias)
        error = (p - targets) * weights
        value = -(weights * targets * np.log(p + 1e-12)).sum() + l2 / 2 * np.square(weight).sum()
        return float(value), np.concatenate([(z.T @ error + l2 * weight).ravel(), error.sum(0)])

    start = np.zeros((shape[0] + 1) * shape[1])
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return SoftmaxRegression(mean, scale, flat[: -shape[1]].reshape(shape), flat[-shape[1] :])


def _standard(x: npt.NDArray[Any], mean: Float64Array, scale: Float64Array) -> Float64Array:
    return np.clip((x - mean) / scale, -CLIP, CLIP)
