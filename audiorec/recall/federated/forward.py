"""User tower in numpy: inference without torch.

`UserFeatures`, weights ──user_vectors──▶ (n, K, d) of length 1, 0 for users without features
vectors, songs, prior   ──logits_of─────▶ (n, S)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.errors import WeightsError
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.user_features import Bag, UserFeatures
from audiorec.types import FloatArray

Weights = Mapping[str, Any]
ROWS = 4_096  # users at a time


def user_vectors(features: UserFeatures, weights: Weights, recipe: TwoTowerRecipe) -> FloatArray:
    """Return a vector per user and task: (n, K, d) float32.

    Parameters
    ----------
    features : UserFeatures
    weights : mapping of str to ndarray
        State of `audiorec.recall.federated.towers.UserTower`.
    recipe : TwoTowerRecipe
    """
    found = np.zeros((len(features), *weights["head"].shape[::2]), np.float32)
    for first in range(0, len(features), ROWS):
        rows = np.arange(first, min(first + ROWS, len(features)))
        found[rows] = _block(features.take(rows), weights, recipe)
    found[~features.known] = 0
    return found


def logits_of(
    users: FloatArray, songs: FloatArray, recipe: TwoTowerRecipe, prior: FloatArray
) -> FloatArray:
    """Return logits of users (n, d) for songs (S, d), including the prior: (n, S) float32."""
    found: FloatArray = (users / recipe.temperature @ songs.T + prior).astype(np.float32)
    return found


def check_weights(
    weights: Weights, sizes: tuple[int, ...], dense: int, recipe: TwoTowerRecipe
) -> int:
    """Check the shapes of a tower's weights and return K, its number of tasks.

    Raises
    ------
    WeightsError
        If an array is missing or has the wrong shape.
    """
    experts = recipe.experts if isinstance(recipe, MmoeRecipe) else 1
    tasks = len(weights["head"]) if "head" in weights else 0
    width = len(sizes) * recipe.width + dense
    before = width
    expected: dict[str, tuple[int, ...]] = {
        f"values.{n}": (size, recipe.width) for n, size in enumerate(sizes)
    }
    for n, units in enumerate(recipe.hidden):
        expected[f"layers.{n}.weight"] = (experts, before, units)
        expected[f"layers.{n}.bias"] = (experts, 1, units)
        before = units
    expected["head"] = (tasks, before, recipe.dimension)
    if experts > 1:
        expected["gate.weight"] = (tasks * experts, width)
        expected["gate.bias"] = (tasks * experts,)
    shapes = {name: np.shape(array) for name, array in weights.items()}
    if shapes != expected or not tasks:
        wrong = sorted(n for n in {*shapes, *expected} if shapes.get(n) != expected.get(n))
        raise WeightsError(
            f"weights do not fit the recipe of the user tower: {', '.join(wrong[:3]) or 'no task'}"
        )
    return tasks


def _block(features: UserFeatures, weights: Weights, recipe: TwoTowerRecipe) -> FloatArray:
    means = [
        _mean(bag, weights[f"values.{number}"]) for number, bag in enumerate(features.bags.values())
    ]
    x = np.concatenate([*means, features.dense], axis=1)
    hidden = x[None]
    for number in range(len(recipe.hidden)):
        layer = hidden @ weights[f"layers.{number}.weight"] + weights[f"layers.{number}.bias"]
        hidden = np.maximum(layer, 0)
    mixed = np.einsum("bke,ebh->bkh", _gates(x, weights, len(hidden)), hidden)
    found = np.einsum("bkh,khd->bkd", mixed, weights["head"])
    if recipe.width == recipe.dimension and means:
        found = found + np.sum(means, axis=0)[:, None]
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    unit: FloatArray = (found / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _gates(x: FloatArray, weights: Weights, experts: int) -> FloatArray:
    if "gate.weight" not in weights:
        return np.ones((len(x), len(weights["head"]), 1), np.float32)
    logits = (x @ weights["gate.weight"].T + weights["gate.bias"]).reshape(len(x), -1, experts)
    high = np.exp(logits - logits.max(axis=2, keepdims=True))
    found: FloatArray = high / high.sum(axis=2, keepdims=True)
    return found


def _mean(bag: Bag, table: FloatArray) -> FloatArray:
    counts = np.diff(bag.starts)
    found = np.zeros((len(bag), table.shape[1]), np.float32)
    has = np.flatnonzero(counts)
    if len(has):
        found[has] = np.add.reduceat(table[bag.code], bag.starts[has], axis=0)
    mean: FloatArray = (found / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return mean
