"""Small networks whose mean is one head: a dense layer each, trained side by side.

    columns (n, D), targets (n, C)  ──fit_dense──▶  `Dense`: layers (D, K U) and (K U, C)

The K networks see the same rows in the same order and start from other weights; each has a loss of
its own. Their mean logit is one network again, whose second layer has one block for each. It
is steadier than any of them: a seed moves one network's figures by more than most choices do.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from audiorec.labelling.train import MIN_SCALE
from audiorec.learning.machine import one_thread
from audiorec.types import Float64Array, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseRecipe:
    """Everything but the data that decides what the networks become."""

    networks: int = 4
    units: int = 48  # of each
    dropout: float = 0.4
    input_dropout: float = 0.2
    label_smoothing: float = 0.1
    learning_rate: float = 1e-3  # at the start; it falls to 0 along a cosine
    weight_decay: float = 3e-2  # AdamW
    batch_size: int = 256  # rows, drawn by weight
    steps: int = 2000
    noise: float = 0.0  # standard deviations, added to every column
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A fitted head without calibration, in the form that a `Head` has."""

    mean: FloatArray
    scale: FloatArray
    layers: tuple[tuple[FloatArray, FloatArray], ...]

    def logits(self, columns: npt.NDArray[np.floating]) -> Float64Array:
        """Return the mean logits of the networks, (n, D) to (n, C)."""
        (first, bias), (second, last) = self.layers
        x = (columns - self.mean) / self.scale
        found: Float64Array = np.maximum(x @ first + bias, 0.0) @ second + last
        return found.astype(np.float64)


def fit_dense(
    columns: npt.NDArray[np.floating],
    targets: Float64Array,
    row_weights: Float64Array,
    *,
    recipe: DenseRecipe,
) -> Dense:
    """Fit on all rows; columns that do not vary get no weight.

    Parameters
    ----------
    columns : ndarray, shape (n, D)
    targets : ndarray, shape (n, C)
        Probabilities.
    row_weights : ndarray, shape (n,)
        How often a row is drawn.
    recipe : DenseRecipe
    """
    live = columns.std(0) > MIN_SCALE  # a third of the backbone's pools are always 0
    used = columns[:, live].astype(np.float64)
    share = row_weights / row_weights.sum()
    centre = share @ used
    spread = np.sqrt(share @ np.square(used - centre)) + MIN_SCALE
    x = ((used - centre) / spread).astype(np.float32)
    smooth = recipe.label_smoothing
    aims = (targets * (1 - smooth) + smooth / targets.shape[1]).astype(np.float32)
    model = _train(torch.from_numpy(x), torch.from_numpy(aims), row_weights, recipe)
    first = np.zeros((columns.shape[1], recipe.networks * recipe.units), np.float32)
    mean, scale = np.zeros(columns.shape[1]), np.ones(columns.shape[1])
    first[live], mean[live], scale[live] = model.first.weight.detach().numpy().T, centre, spread
    second = model.second.detach().numpy() / recipe.networks
    return Dense(
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        layers=(
            (first, model.first.bias.detach().numpy().copy()),
            (second.reshape(-1, targets.shape[1]), model.bias.detach().numpy().mean(0)),
        ),
    )


class _Networks(nn.Module):
    """K networks of one hidden layer on the same input; logits (n, K, C)."""

    def __init__(self, n_inputs: int, n_classes: int, recipe: DenseRecipe) -> None:
        super().__init__()
        k, units = recipe.networks, recipe.units
        self.recipe = recipe
        self.before, self.between = nn.Dropout(recipe.input_dropout), nn.Dropout(recipe.dropout)
        self.first = nn.Linear(n_inputs, k * units)
        self.second = nn.Parameter((torch.rand(k, units, n_classes) * 2 - 1) / units**0.5)
        self.bias = nn.Parameter(torch.zeros(k, n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.recipe.noise:
            x = x + self.recipe.noise * torch.randn_like(x)
        hidden = self.between(self.first(self.before(x)).relu())
        blocks = hidden.view(len(x), self.recipe.networks, self.recipe.units)
        return torch.einsum("nku,kuc->nkc", blocks, self.second) + self.bias


def _train(
    x: torch.Tensor, aims: torch.Tensor, row_weights: Float64Array, recipe: DenseRecipe
) -> _Networks:
    with one_thread("training the version head"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _Networks(x.shape[1], aims.shape[1], recipe)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
        rng = np.random.default_rng(recipe.seed)
        ends = np.cumsum(row_weights / row_weights.sum())
        model.train()
        for _ in range(recipe.steps):
            drawn = np.searchsorted(ends, rng.random(recipe.batch_size)).clip(max=len(x) - 1)
            rows = torch.from_numpy(drawn)
            loss = -(aims[rows][:, None] * model(x[rows]).log_softmax(2)).sum(2).mean(0).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
        model.eval()
    return model
