"""User tower as a bundle: the partner's half of a trained model.

    profiles ──UserModel.embed──▶ (n, d) of length 1, one table per business with items

It needs no torch for loading and inference. It contains weights and values shared by several users,
but no data of a single user.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import (
    Bundle,
    Card,
    read_bundle,
    texts_as_arrays,
    texts_of_arrays,
    write_bundle,
)
from audiorec.listening.profiles import Profiles
from audiorec.recall.federated.recipe import (
    RECIPES,
    MmoeRecipe,
    OneWayRecipe,
    PartyRecipe,
    TwoTowerRecipe,
    recipe_of,
)
from audiorec.recall.federated.user_features import Bag, UserEncoder, UserFeatures
from audiorec.spec import fingerprint
from audiorec.types import FloatArray

Weights = Mapping[str, Any]
ROWS = 4_096  # users at a time
KIND = "federated/users"
USER = "user."  # prefix of names in a bundle
PEOPLE = "Weights, and attribute values shared by several users: no user ids and no rows of users."
THREATS = (
    "Threat model: two honest-but-curious parties that do not collude. The user side learns which "
    "users both know, and a gradient of each in every pass, whose sum tells who plays at all; the "
    "item side learns the user vectors, and what those reveal about the users' features. Noise on "
    "the gradients weakens known attacks (`audiorec federated audit` measures them) but does not "
    "guarantee privacy, and no epsilon is claimed. A party that violates the protocol can learn "
    "more: see docs/federated.md."
)
ONE_WAY_THREATS = (
    "Threat model: two parties that do not collude. The user side sends one vector of each shared "
    "user, once, and gets nothing back: it learns which users both know. The item side learns the "
    "vectors, which tell much about the users' features; no guarantee covers them. See "
    "docs/federated.md."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserModel:
    """User tower with the encoder of its profiles.

    Attributes
    ----------
    recipe : PartyRecipe
    encoder : UserEncoder
    weights : mapping of str to ndarray
        Weights for `user_vectors`.
    space : str
        Id of its vector space, the same on both sides.
    model_id : str
        Id of the bundle that it was read from.
    """

    recipe: PartyRecipe
    encoder: UserEncoder
    weights: Mapping[str, Any]
    space: str = ""
    model_id: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its channel."""
        return self.recipe.kind

    @property
    def businesses(self) -> int:
        """Number of businesses with items that it has vectors for."""
        return self.recipe.item_sides

    @property
    def digest(self) -> str:
        """Hash of the weights: models of equal weights have the same."""
        found = hashlib.sha256()
        for name, array in sorted(self.weights.items()):
            found.update(f"{name} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def embed(self, people: Profiles, business: int = 0) -> FloatArray:
        """Return user vectors for one business: (n, d) float32 of length 1; 0 if unknown.

        Raises
        ------
        InputError
            If the business does not exist.
        """
        if not 0 <= business < self.businesses:
            raise InputError(f"no business {business}; the model has {self.businesses}")
        return user_vectors(self.encoder.encode(people), self.weights, self.recipe)[:, business]

    def cut(self, recipe: OneWayRecipe, numbers: slice) -> "UserModel":
        """Return a one-way model with some numbers of each vector only, brought to length 1."""
        weights = {name: array[:, numbers] for name, array in self.weights.items()}
        return replace(self, recipe=recipe, weights=weights)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and plain JSON values for a bundle."""
        tensors = {f"{USER}{name}": array for name, array in self.weights.items()}
        numbers = {name: list(scale) for name, scale in self.encoder.numbers.items()}
        for place, values in enumerate(self.encoder.values.values()):
            tensors |= texts_as_arrays(f"{USER}texts_{place}", values)
        config = {
            "recipe": self.recipe.to_json(),
            "columns": list(self.encoder.values),
            "numbers": numbers,
        }
        return tensors, config

    @classmethod
    def of_state(cls, bundle: Bundle, recipe: PartyRecipe) -> Self:
        """Undo `state`; raise `WeightsError` if the parts do not fit together."""
        try:
            values = {
                str(name): texts_of_arrays(f"{USER}texts_{place}", bundle.tensors)
                for place, name in enumerate(bundle.config["columns"])
            }
            numbers = {
                str(n): (float(a), float(b)) for n, (a, b) in bundle.config["numbers"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"not a user tower: {error!r}") from error
        encoder = UserEncoder(values, numbers)
        weights = {
            name.removeprefix(USER): array
            for name, array in bundle.tensors.items()
            if name.startswith(USER) and not name.startswith(f"{USER}texts_")
        }
        sizes = tuple(map(len, values.values()))
        check_weights(weights, sizes, encoder.dense_width, recipe)
        space = str(bundle.config.get("space", ""))
        return cls(
            recipe=recipe, encoder=encoder, weights=weights, space=space, model_id=bundle.model_id
        )

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write a bundle; return its `Bundle.model_id`."""
        tensors, config = self.state()
        about = {"kind": KIND, "channel": self.name, "space": self.space, **config}
        about |= {"figures": {"validation": dict(self.figures)}} if self.figures else {}
        card = Card(
            title=f"{self.name}: the user tower",
            about="Turns user profiles into vectors for song retrieval on the music side.",
            people=PEOPLE,
            learnt_from={
                "columns": ", ".join([*self.encoder.values, *self.encoder.numbers]),
                "values": sum(map(len, self.encoder.values.values())),
            },
            sections={"Threats": threats_of(self.recipe)},
        )
        return write_bundle(path, tensors=tensors, config=about, card=card.markdown())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        WeightsError
            If it is missing, damaged or not a user tower.
        """
        bundle = read_bundle(path, kind=KIND)
        return cls.of_state(bundle, recipe_in(bundle, str(bundle.config.get("channel"))))


def space_of(space: str, number: int) -> str:
    """Return the space id of item side `number` of a partner whose own id is `space`.

    An mmoe's vectors for one business cannot be compared with the items of another.
    """
    return fingerprint({"space": space, "business": number}) if number else space


def threats_of(recipe: PartyRecipe) -> str:
    """Return the threat model of a recipe's exchange, for a model card."""
    return ONE_WAY_THREATS if isinstance(recipe, OneWayRecipe) else THREATS


def recipe_in(bundle: Bundle, channel: str) -> Any:
    """Return the recipe of a bundle; raise `WeightsError` if it is not one of this channel."""
    try:
        return recipe_of(bundle.config["recipe"], RECIPES[channel])
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise WeightsError(f"not a valid recipe of {channel}: {error!r}") from error


def weights_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user tower's weights as numpy from a `UserHalf`'s model state."""
    return {
        name.removeprefix("tower."): np.asarray(tensor)
        for name, tensor in state.items()
        if name.startswith("tower.")
    }


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
