"""Linear models with one answer: segment heads, and classifiers on a track's statistics.

All are maximum likelihood with an L2 penalty, found by L-BFGS from zero: no seed, no stopping
early, the same weights on every machine but for digits that do not matter.

    columns (n, D), targets (n, C)  ──train_linear──▶  `LinearHead`: a `Head`, out-of-fold scores
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from scipy.optimize import minimize

from audiorec.labelling.train import MIN_SCALE, Calibration, fit_calibration, grouped_folds
from audiorec.tagger.heads import Head, softmax, training_record
from audiorec.types import FloatArray

CLIP = 4.0  # standard deviations: a kurtosis of 20 is no stronger evidence than one of 6
# The loss is flat near its lowest point; stopping early would let digits of the columns decide.
TOLERANCE = {"maxiter": 5000, "ftol": 1e-13, "gtol": 1e-8, "maxcor": 30}

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxRegression:
    """A fitted model: standardise, clip, linear, softmax."""

    mean: Float64Array
    scale: Float64Array
    weight: Float64Array
    bias: Float64Array
    clip: float

    def logits(self, x: npt.NDArray[Any]) -> Float64Array:
        """Return what the softmax is taken of, (n, D) to (n, C)."""
        return _standard(x, self.mean, self.scale, self.clip) @ self.weight + self.bias

    def scores(self, x: npt.NDArray[Any]) -> Float64Array:
        """Return probabilities, (n, D) to (n, C)."""
        return softmax(self.logits(x))


def fit_softmax_regression(
    x: npt.NDArray[Any],
    targets: Float64Array,
    row_weights: Float64Array,
    *,
    l2: float,
    clip: float = CLIP,
) -> SoftmaxRegression:
    """Fit a weight for every class and column that varies; the others get none.

    Parameters
    ----------
    x : ndarray, shape (n, D)
    targets : ndarray, shape (n, C)
        Probabilities.
    row_weights : ndarray, shape (n,)
    l2 : float
        Half of it times the squared weights is added to the mean loss.
    clip : float
        Standard deviations beyond which a column says no more; infinity for never.
    """
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64) + 1e-6
    live = scale > MIN_SCALE
    z = _standard(x[:, live], mean[live], scale[live], clip)
    weights = (row_weights / row_weights.sum())[:, None]
    shape = (z.shape[1], targets.shape[1])

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weight, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        p = softmax(z @ weight + bias)
        error = (p - targets) * weights
        value = -(weights * targets * np.log(p + 1e-12)).sum() + l2 / 2 * np.square(weight).sum()
        return float(value), np.concatenate([(z.T @ error + l2 * weight).ravel(), error.sum(0)])

    start = np.zeros((shape[0] + 1) * shape[1])
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=TOLERANCE).x
    weight = np.zeros((len(scale), shape[1]))
    weight[live] = flat[: -shape[1]].reshape(shape)
    return SoftmaxRegression(mean, np.where(live, scale, 1.0), weight, flat[-shape[1] :], clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearRecipe:
    """Everything but the data that decides what a linear head becomes."""

    l2: float = 0.1
    label_smoothing: float = 0.2
    folds: int = 5  # along the groups, for the calibration and the out-of-fold scores
    calibration: Calibration = "vector"
    seed: int = 0  # of the folds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearHead:
    """A head, and calibrated scores of its training rows by heads that did not see their group."""

    head: Head
    out_of_fold: FloatArray


def fit_linear(
    columns: npt.NDArray[np.floating],
    targets: Float64Array,
    row_weights: Float64Array,
    *,
    recipe: LinearRecipe,
) -> SoftmaxRegression:
    """Fit once by a recipe: no folds, no calibration, no head."""
    smoothed = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
    return fit_softmax_regression(columns, smoothed, row_weights, l2=recipe.l2, clip=np.inf)


def train_linear(
    columns: npt.NDArray[np.floating],
    targets: Float64Array,
    groups: npt.NDArray[np.str_],
    row_weights: Float64Array,
    *,
    task: str,
    classes: Sequence[str],
    inputs: Sequence[str],
    backbones: Mapping[str, str],
    recipe: LinearRecipe = LinearRecipe(),
    info: Mapping[str, Any] | None = None,
) -> LinearHead:
    """Train and calibrate a linear head; parameters as of `audiorec.labelling.train.train_head`."""

    def fit(rows: npt.NDArray[np.bool_]) -> SoftmaxRegression:
        return fit_linear(columns[rows], targets[rows], row_weights[rows], recipe=recipe)

    hard = targets.argmax(1).astype(np.int64)
    fold = grouped_folds(groups, hard, folds=recipe.folds, seed=recipe.seed)
    logits = np.zeros_like(targets)
    for held in np.unique(fold):
        logits[fold == held] = fit(fold != held).logits(columns[fold == held])
    scale, bias = fit_calibration(logits, targets, kind=recipe.calibration, row_weights=row_weights)
    model = fit(np.ones(len(columns), np.bool_))
    head = Head(
        task=task,
        classes=tuple(classes),
        inputs=tuple(inputs),
        backbones=dict(backbones),
        mean=model.mean.astype(np.float32),
        scale=model.scale.astype(np.float32),
        layers=((model.weight.astype(np.float32), model.bias.astype(np.float32)),),
        calibration_scale=scale.astype(np.float32),
        calibration_bias=bias.astype(np.float32),
        info=dict(info or {})
        | training_record(columns, targets, asdict(recipe))
        | {"versions": {"numpy": np.__version__, "scipy": scipy.__version__}},
    )
    return LinearHead(head=head, out_of_fold=softmax(logits * scale + bias).astype(np.float32))


def _standard(
    x: npt.NDArray[Any], mean: Float64Array, scale: Float64Array, clip: float
) -> Float64Array:
    return np.clip((x - mean) / scale, -clip, clip)
