"""User tower in numpy: inference without torch.

`UserFeatures`, weights ──user_vectors──▶ (n, K, d) of length 1, 0 for users without features
vectors, songs, prior   ──logits_of─────▶ (n, S)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.errors import WeightsError
from audiorec.recall.federated.recipe import MmoeRecipe, OneWayRecipe, PartyRecipe, TwoTowerRecipe
from audiorec.recall.federated.user_features import Bag, UserFeatures
from audiorec.types import FloatArray

Weights = Mapping[str, Any]
ROWS = 4_096  # users at a time


def user_vectors(features: UserFeatures, weights: Weights, recipe: PartyRecipe) -> FloatArray:
    """Return a vector per user and task: (n, K, d) float32.

    Parameters
    ----------
    features : UserFeatures
    weights : mapping of str to ndarray
        State of `audiorec.recall.federated.towers.UserTower`, or of a one-way model.
    recipe : PartyRecipe
    """
    parts = []
    for first in range(0, max(1, len(features)), ROWS):
        part = features.take(np.arange(first, min(first + ROWS, len(features))))
        parts.append(
            _block(part, weights, recipe)
            if isinstance(recipe, TwoTowerRecipe)
            else _projected(part, weights)
        )
    found: FloatArray = np.concatenate(parts)
    found[~features.known] = 0
    return found


def logits_of(
    users: FloatArray, songs: FloatArray, recipe: TwoTowerRecipe, prior: FloatArray
) -> FloatArray:
    """Return logits of users (n, d) for songs (S, d), including the prior: (n, S) float32."""
    found: FloatArray = (users / recipe.temperature @ songs.T + prior).astype(np.float32)
    return found


def check_weights(weights: Weights, sizes: tuple[int, ...], dense: int, recipe: PartyRecipe) -> int:
    """Check the shapes of a tower's weights and return K, its number of tasks.

    Raises
    ------
    WeightsError
        If an array is missing or has the wrong shape.
    """
    tasks = 1 if isinstance(recipe, OneWayRecipe) else len(weights.get("head", ()))
    expected = _shapes(recipe, sizes, dense, tasks)
    shapes = {name: np.shape(array) for name, array in weights.items()}
    if shapes != expected or not tasks:
        wrong = sorted(n for n in {*shapes, *expected} if shapes.get(n) != expected.get(n))
        raise WeightsError(
            f"weights do not fit the recipe of the user tower: {', '.join(wrong[:3]) or 'no task'}"
        )
    return tasks


def _shapes(
    recipe: PartyRecipe, sizes: tuple[int, ...], dense: int, tasks: int
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight."""
    width = recipe.width if isinstance(recipe, TwoTowerRecipe) else recipe.dimension
    expected: dict[str, tuple[int, ...]] = {
        f"values.{n}": (size, width) for n, size in enumerate(sizes)
    }
    if not isinstance(recipe, TwoTowerRecipe):
        return {**expected, "numbers": (dense // 2, width)}
    experts = recipe.experts if isinstance(recipe, MmoeRecipe) else 1
    width = before = len(sizes) * recipe.width + dense
    for n, units in enumerate(recipe.hidden):
        expected[f"layers.{n}.weight"] = (experts, before, units)
        expected[f"layers.{n}.bias"] = (experts, 1, units)
        before = units
    expected["head"] = (tasks, before, recipe.dimension)
    if experts > 1:
        expected["gate.weight"] = (tasks * experts, width)
        expected["gate.bias"] = (tasks * experts,)
    return expected


def _projected(features: UserFeatures, weights: Weights) -> FloatArray:
    """Return the vectors of a one-way model, (n, 1, d): the sum of a user's projected values."""
    found = features.dense[:, ::2] @ weights["numbers"]
    for number, bag in enumerate(features.bags.values()):
        found = found + _sum(bag, weights[f"values.{number}"])
    return _unit(found)[:, None]


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
    return _unit(found)


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: FloatArray = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _gates(x: FloatArray, weights: Weights, experts: int) -> FloatArray:
    if "gate.weight" not in weights:
        return np.ones((len(x), len(weights["head"]), 1), np.float32)
    logits = (x @ weights["gate.weight"].T + weights["gate.bias"]).reshape(len(x), -1, experts)
    high = np.exp(logits - logits.max(axis=2, keepdims=True))
    found: FloatArray = high / high.sum(axis=2, keepdims=True)
    return found


def _sum(bag: Bag, table: FloatArray) -> FloatArray:
    """Return the sum of each user's rows of a table: (n, width) float32."""
    found = np.zeros((len(bag), table.shape[1]), np.float32)
    has = np.flatnonzero(np.diff(bag.starts))
    if len(has):
        found[has] = np.add.reduceat(table[bag.code], bag.starts[has], axis=0)
    return found


def _mean(bag: Bag, table: FloatArray) -> FloatArray:
    counts = np.maximum(np.diff(bag.starts), 1)[:, None]
    mean: FloatArray = (_sum(bag, table) / counts).astype(np.float32)
    return mean
