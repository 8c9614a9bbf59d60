"""Labelled features to a head: standardise, fit, stop early, calibrate.

    columns (n, D), labels, groups  ──train_head──▶  `TrainedHead`: head, out-of-fold scores
    held-out logits (n, C), labels  ──fit_calibration──▶  scale and bias (C,)

All arithmetic is float64: results depend on the seed, and on the machine only in digits far below
float32 precision.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.learning.machine import import_torch, one_thread
from audiorec.spec import FeatureSpec
from audiorec.tagger.heads import Head, softmax, training_record
from audiorec.types import Float64Array, FloatArray, Int64Array

if TYPE_CHECKING:
    import torch

Calibration = Literal["vector", "temperature", "none"]
STEPS = 500  # of the gradient (Adam, full batch)


def fit_calibration(
    logits: Float64Array,
    labels: npt.NDArray[Any],
    *,
    kind: Calibration = "vector",
    row_weights: npt.NDArray[np.floating] | None = None,
) -> tuple[Float64Array, Float64Array]:
    """Fit the scale and bias (C,) that calibrate the softmax of held-out logits.

    `logits` (n, C) must be of rows that the head was not trained on; `labels` as for
    `class_targets`. ``vector`` has one scale and bias per class, ``temperature`` one scale for
    all.

    A head trained to separate its classes is overconfident on audio from other sources; its scores
    saturate at 0 and 1, and their statistics carry little.
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
    for step in range(1, STEPS + 1):
        error = (softmax(logits * np.exp(log_scale) + bias) - targets) * weights[:, None]
        gradient = np.stack([(error * logits).sum(0) * np.exp(log_scale), error.sum(0)])
        if kind == "temperature":
            gradient[0], gradient[1] = gradient[0].mean(), 0.0
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.99 * moments[1] + 0.01 * gradient**2
        corrected = moments[0] / (1 - 0.9**step)
        update = corrected / (np.sqrt(moments[1] / (1 - 0.99**step)) + 1e-8)
        rate = 0.05 * (1 - step / (STEPS + 1))
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


PURPOSE = "training a head"
MIN_SCALE = 1e-3  # below it a column is constant up to noise, which must not be amplified


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecipe:
    """Hyper-parameters of training a head.

    Attributes
    ----------
    hidden : tuple of int
        Units of the dense layers; 0 for a linear head.
    dropout : float
        Of hidden units.
    input_dropout : float
        Of input columns.
    learning_rate, weight_decay : float
        Of AdamW.
    label_smoothing : float
        Share of each target that is spread over all classes.
    batch_size : int
        Rows.
    max_epochs : int
        Training may stop earlier.
    patience : int
        Epochs without a lower held-out loss before it stops.
    early_stopping : bool
        If not, always `max_epochs`: for folds that do not represent the target.
    folds : int
        Parts that are held out in turn; groups stay together.
    balanced : bool
        Whether all classes have the same total weight.
    calibration : {"vector", "temperature", "none"}
        One scale and bias per class, one scale for all, or none.
    seed : int
        Of folds, first weights and batches.
    """

    hidden: tuple[int, ...] = (64,)
    dropout: float = 0.3
    input_dropout: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    batch_size: int = 256
    max_epochs: int = 60
    patience: int = 10
    early_stopping: bool = True
    folds: int = 5
    balanced: bool = True
    calibration: Calibration = "vector"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(units for units in self.hidden if units))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedHead:
    """A trained head with its out-of-fold scores and losses.

    Attributes
    ----------
    head : Head
    out_of_fold : ndarray, shape (n, C), float32
        Calibrated scores of the training rows by heads that were not trained on their group.
    epochs : int
        Number of epochs trained.
    losses : tuple of float
        Mean loss over the folds after each epoch.
    """

    head: Head
    out_of_fold: FloatArray
    epochs: int
    losses: tuple[float, ...] = field(repr=False)


def train_head(
    columns: npt.NDArray[np.floating],
    labels: npt.NDArray[Any],
    groups: Sequence[str] | npt.NDArray[np.str_],
    *,
    task: str,
    classes: Sequence[str],
    inputs: Sequence[str],
    backbones: Mapping[str, str],
    recipe: HeadRecipe = HeadRecipe(),
    row_weights: npt.NDArray[np.floating] | None = None,
    info: Mapping[str, Any] | None = None,
    front_end: str | None = None,
) -> TrainedHead:
    """Train and calibrate a head.

    Rows are split into folds by group (a song, an artist, a singer, a corpus), so that no group is
    in both the training and the held-out part. The folds have three uses: training stops at the
    epoch with the lowest held-out loss; the held-out scores are used for calibration; and they are
    unbiased scores of the training rows, for anything that is learnt on top of the head. The head
    itself is then refitted on all rows for that many epochs.

    Parameters
    ----------
    columns : ndarray, shape (n, D)
        Backbone outputs as concatenated by `assemble`.
    labels : ndarray, shape (n,) of int or (n, C) of float
        Class of each row, or its probability under each class.
    groups : sequence of str, length n
        Rows of a group are never split between training and held-out part.
    task : str
        Name of the head.
    classes : sequence of str, length C
    inputs : sequence of str
        Names of the outputs in `columns`, such as ``("msd.penultimate", "msd.tags")``.
    backbones : mapping of str to str
        sha256 of the weights of every backbone in `inputs`.
    recipe : HeadRecipe
    row_weights : ndarray, shape (n,), optional
        Weight of each row; 1 by default. A row of weight 0 is scored but not trained on.
    info : mapping, optional
        Sources, licence and figures to store in the head; plain JSON values.
    front_end : str, optional
        `FeatureSpec.front_end` of the segments; by default that of ``FeatureSpec()``.

    Returns
    -------
    trained : TrainedHead

    Raises
    ------
    InputError
        If a class has no rows, or there are fewer than two groups.
    MissingExtraError
        If torch cannot be imported.
    ShapeError
        If the arrays differ in n, or the labels do not match the classes.
    """
    targets = class_targets(labels, len(classes))
    weights = np.ones(len(targets)) if row_weights is None else row_weights.astype(np.float64)
    _check(columns, targets, groups, weights, classes)
    if recipe.balanced:
        total = (targets * weights[:, None]).sum(0)
        weights = weights * (targets @ (total.sum() / (len(total) * total)))
    network = _Network(recipe, columns.shape[1], targets.shape[1])
    folds = grouped_folds(groups, targets.argmax(1), folds=recipe.folds, seed=recipe.seed)
    x, scaling = columns.astype(np.float64), _standardisation(columns, weights)
    losses, logits = _cross_validate(network, x, targets, weights, folds)
    epochs = int(np.argmin(losses)) + 1 if recipe.early_stopping else recipe.max_epochs
    layers, _ = network.fit(_scaled(x, scaling), targets, weights, epochs=epochs)
    calibration = fit_calibration(
        logits[epochs - 1], targets, kind=recipe.calibration, row_weights=weights
    )
    versions = {"numpy": np.__version__, "torch": import_torch(PURPOSE).__version__}
    head = Head(
        task=task,
        classes=tuple(classes),
        inputs=tuple(inputs),
        backbones=dict(backbones),
        mean=scaling[0].astype(np.float32),
        scale=scaling[1].astype(np.float32),
        layers=tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers),
        calibration_scale=calibration[0].astype(np.float32),
        calibration_bias=calibration[1].astype(np.float32),
        info=dict(info or {})
        | training_record(columns, targets, asdict(recipe))
        | {"epochs": epochs, "versions": versions},
        front_end=front_end or FeatureSpec().front_end,
    )
    z = logits[epochs - 1] * calibration[0] + calibration[1]
    return TrainedHead(
        head=head,
        out_of_fold=softmax(z).astype(np.float32),
        epochs=epochs,
        losses=tuple(losses),
    )


def grouped_folds(
    groups: Sequence[str] | npt.NDArray[np.str_],
    labels: npt.NDArray[np.integer],
    *,
    folds: int,
    seed: int,
) -> Int64Array:
    """Assign groups to folds, balancing the rows of each class.

    Returns the fold of each row, from 0, the same for all rows of a group. There are at most as
    many folds as groups; the seed breaks ties between groups of equal size.

    Examples
    --------
    >>> grouped_folds(["a", "a", "b"], np.array([0, 1, 0]), folds=2, seed=0).tolist()
    [0, 0, 1]
    """
    names, of_row = np.unique(np.asarray(groups), return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2:
        raise InputError(f"expected two or more groups and folds, got {len(names)} and {folds}")
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (of_row, labels), 1)
    share = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-share.max(1)[order], kind="stable")]  # largest first
    filled, fold_of_name = np.zeros((folds, counts.shape[1])), np.zeros(len(names), np.int64)
    for name in order:
        # The fold with the fewest rows of the group's classes; the emptier fold breaks ties.
        cost = (filled * share[name]).sum(1) + 1e-6 * filled.sum(1)
        fold_of_name[name] = int(np.argmin(cost))
        filled[fold_of_name[name]] += share[name]
    return fold_of_name[of_row]


class _Network:
    """Trainer of dense layers in torch; stateless except for the recipe."""

    def __init__(self, recipe: HeadRecipe, n_inputs: int, n_classes: int) -> None:
        self.recipe = recipe
        self.sizes = (n_inputs, *recipe.hidden, n_classes)

    def fit(
        self,
        x: Float64Array,
        targets: Float64Array,
        weights: Float64Array,
        *,
        epochs: int,
        watch: Float64Array | None = None,
    ) -> tuple[list[tuple[Float64Array, Float64Array]], list[Float64Array]]:
        """Return the layers after `epochs`, and the logits of `watch` after each epoch."""
        torch = import_torch(PURPOSE)
        with one_thread(PURPOSE), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            model = self._model()
            optimiser = torch.optim.AdamW(
                model.parameters(),
                lr=self.recipe.learning_rate,
                weight_decay=self.recipe.weight_decay,
            )
            data = [torch.from_numpy(np.ascontiguousarray(a)) for a in (x, targets, weights)]
            watched = []
            for _ in range(epochs):
                self._epoch(model, optimiser, data)
                if watch is not None:
                    watched.append(self._logits(model, watch))
        dense = [m for m in model if isinstance(m, torch.nn.Linear)]
        return [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in dense], watched

    def _model(self) -> "torch.nn.Sequential":
        nn = import_torch(PURPOSE).nn
        parts: list[torch.nn.Module] = [nn.Dropout(self.recipe.input_dropout)]
        for before, after in itertools.pairwise(self.sizes[:-1]):
            parts += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(self.recipe.dropout)]
        parts.append(nn.Linear(self.sizes[-2], self.sizes[-1]))
        return nn.Sequential(*parts).double()

    def _epoch(
        self,
        model: "torch.nn.Sequential",
        optimiser: "torch.optim.Optimizer",
        data: "list[torch.Tensor]",
    ) -> None:
        torch = import_torch(PURPOSE)
        model.train()
        smooth = self.recipe.label_smoothing
        for rows in torch.randperm(len(data[0])).split(self.recipe.batch_size):
            x, targets, weights = (part[rows] for part in data)
            targets = targets * (1 - smooth) + smooth / self.sizes[-1]
            losses = -(targets * model(x).log_softmax(1)).sum(1)
            optimiser.zero_grad()
            ((losses * weights).sum() / weights.sum().clamp_min(1e-9)).backward()
            optimiser.step()

    def _logits(self, model: "torch.nn.Sequential", x: Float64Array) -> Float64Array:
        torch = import_torch(PURPOSE)
        model.eval()
        with torch.inference_mode():
            logits: Float64Array = model(torch.from_numpy(np.ascontiguousarray(x))).numpy()
        return logits


def _cross_validate(
    network: _Network,
    x: Float64Array,
    targets: Float64Array,
    weights: Float64Array,
    folds: Int64Array,
) -> tuple[list[float], list[Float64Array]]:
    """Return the mean held-out loss and the held-out logits after each epoch.

    Each fold is trained for `max_epochs`; the losses over all folds are then cut where patience
    would have stopped training.
    """
    recipe, n_classes = network.recipe, targets.shape[1]
    logits = [np.zeros((len(x), n_classes)) for _ in range(recipe.max_epochs)]
    for fold in np.unique(folds):
        seen, held = folds != fold, folds == fold
        scaling = _standardisation(x[seen], weights[seen])
        _, watched = network.fit(
            _scaled(x[seen], scaling),
            targets[seen],
            weights[seen],
            epochs=recipe.max_epochs,
            watch=_scaled(x[held], scaling),
        )
        for epoch, values in enumerate(watched):
            logits[epoch][held] = values
    losses = [_loss(values, targets, weights) for values in logits]
    return _until_patience(losses, recipe.patience), logits


def _until_patience(losses: list[float], patience: int) -> list[float]:
    """Cut the losses after `patience` epochs without a lower one."""
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            return losses[: epoch + 1]
    return losses


def _loss(logits: Float64Array, targets: Float64Array, weights: Float64Array) -> float:
    log_p = np.log(np.maximum(softmax(logits), 1e-12))
    return float(-((targets * log_p).sum(1) * weights).sum() / weights.sum())


def _check(
    columns: npt.NDArray[np.floating],
    targets: Float64Array,
    groups: Sequence[str] | npt.NDArray[np.str_],
    weights: Float64Array,
    classes: Sequence[str],
) -> None:
    n = len(targets)
    if columns.ndim != 2 or {len(columns), len(groups), len(weights)} != {n}:
        raise ShapeError(
            f"columns, labels, groups and weights must have the same length n, got "
            f"{columns.shape}, {n}, {len(groups)}, {len(weights)}"
        )
    weight_of_class = (targets * weights[:, None]).sum(0)
    empty = [name for name, total in zip(classes, weight_of_class, strict=True) if total <= 0]
    if empty:
        raise InputError(f"no rows for class {', '.join(empty)}")


def _standardisation(
    columns: npt.NDArray[np.floating], weights: Float64Array
) -> tuple[Float64Array, Float64Array]:
    share = (weights / weights.sum())[:, None]
    mean = (columns * share).sum(0)
    spread = np.sqrt((np.square(columns - mean) * share).sum(0))
    return mean, np.where(spread < MIN_SCALE, 1.0, spread)


def _scaled(x: Float64Array, scaling: tuple[Float64Array, Float64Array]) -> Float64Array:
    return (x - scaling[0]) / scaling[1]
