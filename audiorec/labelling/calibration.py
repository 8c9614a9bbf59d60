"""Logits to calibrated probabilities: vector and temperature scaling.

A head trained to separate its classes is overconfident on audio from other sources; its scores
saturate at 0 and 1, and their statistics carry little. One scale and one bias per class, fitted on
held-out rows, correct that.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError
from audiorec.tagger.heads import softmax
from audiorec.types import Float64Array

Calibration = Literal["vector", "temperature", "none"]


def fit_calibration(
    logits: Float64Array,
    labels: npt.NDArray[Any],
    *,
    kind: Calibration = "vector",
    row_weights: npt.NDArray[np.floating] | None = None,
    steps: int = 500,
) -> tuple[Float64Array, Float64Array]:
    """Fit the scale and bias (C,) that calibrate the softmax of held-out logits.

    `logits` (n, C) must be of rows that the head was not trained on; `labels` as for
    `class_targets`. ``vector`` has one scale and bias per class, ``temperature`` one scale for
    all. `steps` is the number of gradient steps (Adam, full batch).
    """
    n_classes = logits.shape[1]
    scale, bias = np.ones(n_classes), np.zeros(n_classes)
    if kind == "none":
        return scale, bias
    targets = class_targets(labels, n_classes)
    weights = np.ones(len(targets)) if row_weights is None else row_weights.astype(np.float64)
    weights = weights / weights.sum()
    log_scale = np.zeros(n_classes)
    moments = np.zeros((2, 2, n_classes))
    for step in range(1, steps + 1):
        error = (softmax(logits * np.exp(log_scale) + bias) - targets) * weights[:, None]
        gradient = np.stack([(error * logits).sum(0) * np.exp(log_scale), error.sum(0)])
        if kind == "temperature":
            gradient[0], gradient[1] = gradient[0].mean(), 0.0
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.99 * moments[1] + 0.01 * gradient**2
        corrected = moments[0] / (1 - 0.9**step)
        update = corrected / (np.sqrt(moments[1] / (1 - 0.99**step)) + 1e-8)
        rate = 0.05 * (1 - step / (steps + 1))
        log_scale, bias = log_scale - rate * update[0], bias - rate * update[1]
    return np.exp(log_scale), bias


def class_targets(labels: npt.NDArray[Any], n_classes: int) -> Float64Array:
    """Convert labels, (n,) of int or (n, C) of float, to target probabilities (n, C).

    Examples
    --------
    >>> class_targets(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    if labels.ndim == 2 and labels.shape[1] == n_classes:
        return labels.astype(np.float64)
    if labels.ndim != 1 or len(labels) == 0 or labels.min() < 0 or labels.max() >= n_classes:
        raise ShapeError(
            f"labels must be indices below {n_classes} or have shape (n, {n_classes}), "
            f"got shape {labels.shape}"
        )
    return np.eye(n_classes)[labels.astype(np.int64)]
