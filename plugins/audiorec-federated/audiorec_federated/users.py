"""What is known of users as numbers, and the model that turns it into vectors.

    `Profiles` ──UserEncoder.fit──▶ `UserEncoder` ──encode──▶ `UserFeatures`: bags and numbers
    profiles ──UserModel.embed──▶ (n, d), with the partner's defence

A text column becomes a bag of values, separated by ``|``: one for a category, several for
interests, tags or the partner's own items. Numbers are standardised; a missing one is 0 and has its
flag set. The model is the tower of `audiorec_federated.towers`, or the projection of a
one-way model, which needs no torch. It holds weights and values shared by several users, but no
data of a single user.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.evaluation.ranking import mean_ranks
from audiorec.learning.bundle import Bundle, texts_as_arrays, texts_of_arrays
from audiorec.listening.profiles import Profiles, frequent, scale_of, standardised
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    Ragged,
    entries,
    offsets,
    unit,
)
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import (
    RECIPES,
    OneWayRecipe,
    PartyRecipe,
    TwoTowerRecipe,
    recipe_of,
)

DIVIDER = "|"
ROWS = 4_096  # users at a time
SHOWN_AT = (10, 100)
USER = "user."  # prefix of names in a bundle
NOISE_KEY = "noise_key"  # name of the secret of the noise in a bundle
Weights = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Bag(Ragged):
    """Value codes of n users in one column, or their plays; a user may have none."""

    COLUMNS = ("code",)
    starts: Int64Array  # (n + 1,): user i has ``code[starts[i]:starts[i + 1]]``
    code: Int64Array  # (P,): codes below `size`
    size: int

    def __post_init__(self) -> None:
        if self.starts[0] != 0 or self.starts[-1] != len(self.code):
            raise ShapeError(f"starts must cut {len(self.code)} values into users")

    def take(self, rows: Int64Array) -> Self:
        """Return the values of the given users."""
        counts = self.lengths[rows]
        return self._with(offsets(counts), entries(self.starts[rows], counts))

    def draw(self, rng: np.random.Generator) -> Int64Array:
        """Draw the place of one value of each user in `code`: (n,), int64; -1 without values."""
        place = self.starts[:-1] + (rng.random(len(self)) * self.lengths).astype(np.int64)
        return np.where(self.lengths > 0, place, -1)

    def at(self, place: Int64Array) -> Int64Array:
        """Return the values at places that `draw` returned; -1 at -1."""
        return np.append(self.code, -1)[place]


@dataclass(frozen=True, slots=True, eq=False)
class UserFeatures:
    """Profile features of n users."""

    bags: Mapping[str, Bag]  # bags by column
    dense: FloatArray  # (n, A): standardised numbers, each with a flag for missing values
    known: BoolArray  # (n,): whether the user has any value that the encoder knows

    def __post_init__(self) -> None:
        if {len(self.known), len(self.dense), *map(len, self.bags.values())} != {len(self.known)}:
            raise ShapeError("each column needs one row per user")

    def __len__(self) -> int:
        return len(self.known)

    @property
    def coded(self) -> list[tuple[Int64Array, Int64Array]]:
        """Codes and starts of each bag."""
        return [(bag.code, bag.starts) for bag in self.bags.values()]

    def take(self, rows: Int64Array) -> "UserFeatures":
        """Return the features of the given users."""
        bags = {name: bag.take(rows) for name, bag in self.bags.items()}
        return UserFeatures(bags, self.dense[rows], self.known[rows])


@dataclass(frozen=True, slots=True)
class UserEncoder:
    """Vocabulary and scaling of profile columns: plain values for a model's JSON."""

    # known values of each text column, the most frequent first
    values: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]  # mean and standard deviation of each numeric column

    @classmethod
    def fit(cls, people: Profiles, *, min_users: int = 1, max_values: int = 100_000) -> Self:
        """Learn values and scales; a value that fewer than `min_users` users have is left out."""
        values = {
            name: result
            for name, texts in people.categories.items()
            if (result := frequent(chain(*map(_split, texts)), min_users, max_values))
        }
        numbers = {
            name: scale_of(column)
            for name, column in people.numbers.items()
            if not np.isnan(column).all()
        }
        return cls(values, numbers)

    def encode(self, people: Profiles) -> UserFeatures:
        """Encode users; a missing column is treated as unknown, an extra one is ignored."""
        n = len(people)
        nothing: list[str | None] = [None] * n
        bags = {name: self._bag(name, people.categories.get(name, nothing)) for name in self.values}
        dense = standardised(people, self.numbers).astype(np.float32)
        known = (dense[:, 1::2] == 0).any(axis=1)
        for bag in bags.values():
            known |= bag.lengths > 0
        return UserFeatures(bags, dense, known)

    def _bag(self, name: str, texts: Sequence[str | None]) -> Bag:
        number = {value: index for index, value in enumerate(self.values[name])}
        lists = [[number[v] for v in _split(text) if v in number] for text in texts]
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        code = np.array([c for codes in lists for c in codes], np.int64)
        return Bag(starts, code, len(number))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserModel:
    """The partner's side of a model: encoder of profiles, weights, and defence of vectors.

    Attributes
    ----------
    recipe : PartyRecipe
    encoder : UserEncoder
    weights : mapping of str to ndarray
        Weights for `user_vectors`.
    defence : Defence
        Noise and rounding of vectors; none if both sides are one business.
    noise_key : bytes
        Secret of the noise. Who has it can remove the noise: the model stays with the partner.
    """

    recipe: PartyRecipe
    encoder: UserEncoder
    weights: Weights
    defence: Defence = NOTHING
    noise_key: bytes = b""

    def embed(self, people: Profiles) -> FloatArray:
        """Return defended vectors of users: (n, d) float32, of length 1 before; 0 if unknown.

        The same profile of a user gets the same noise each time: averaging repeated requests does
        not remove it. A changed profile gets other noise: the difference of two vectors does not
        either.
        """
        features = self.encoder.encode(people)
        raw = user_vectors(features, self.weights, self.recipe)
        if not self.defence.vector_noise:
            return self.defence.vectors(raw)
        result = raw.copy()
        for row, user in enumerate(people.user_ids):
            about = f"{user}\0{_content(features, row)}".encode()
            seed = hmac.digest(self.noise_key, about, "sha256")
            result[row : row + 1] = self.defence.vectors(raw[row : row + 1], seed)
        result[~raw.any(axis=1)] = 0  # of whom nothing is known
        return result

    def plain(self) -> Self:
        """Return the same model without a defence."""
        return replace(self, defence=NOTHING, noise_key=b"")

    def digest(self) -> str:
        """Return a hash of the weights: models of equal weights have the same."""
        result = hashlib.sha256()
        for name, array in sorted(self.weights.items()):
            result.update(f"{name} {array.shape}".encode())
            result.update(np.ascontiguousarray(array).tobytes())
        return result.hexdigest()

    def cut(self, recipe: OneWayRecipe, scale: Sequence[float]) -> Self:
        """Return a one-way model of the first numbers of each vector, times factors, length 1."""
        factors = np.array(scale, np.float32)
        weights = {name: array[:, : len(scale)] * factors for name, array in self.weights.items()}
        return replace(self.plain(), recipe=recipe, weights=weights)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and plain JSON values for a bundle."""
        tensors = {f"{USER}{name}": array for name, array in self.weights.items()}
        for index, values in enumerate(self.encoder.values.values()):
            tensors |= texts_as_arrays(f"{USER}texts_{index}", values)
        numbers = {name: list(scale) for name, scale in self.encoder.numbers.items()}
        config: dict[str, Any] = {"columns": list(self.encoder.values), "numbers": numbers}
        if self.defence.guards_vectors:
            config["vectors"] = self.defence.to_json()
            tensors[NOISE_KEY] = np.frombuffer(self.noise_key, np.uint8)
        return tensors, config

    @classmethod
    def of_state(cls, bundle: Bundle, recipe: PartyRecipe) -> Self:
        """Undo `state`; raise `WeightsError` if the parts do not fit together."""
        try:
            values = {
                str(name): texts_of_arrays(f"{USER}texts_{index}", bundle.tensors)
                for index, name in enumerate(bundle.config["columns"])
            }
            numbers = {
                str(n): (float(a), float(b)) for n, (a, b) in bundle.config["numbers"].items()
            }
            defence = Defence(**bundle.config.get("vectors", NOTHING.to_json()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"not a user model: {error!r}") from error
        weights = {
            name.removeprefix(USER): array
            for name, array in bundle.tensors.items()
            if name.startswith(USER) and not name.startswith(f"{USER}texts_")
        }
        dense = np.zeros((0, 2 * len(numbers)), np.float32)
        _embedder(weights, [*map(len, values.values())], dense, recipe)
        key = bytes(bundle.tensors.get(NOISE_KEY, b""))
        encoder = UserEncoder(values, numbers)
        return cls(recipe=recipe, encoder=encoder, weights=weights, defence=defence, noise_key=key)


def ranks_of(similar: FloatArray, met: Bag, learnt: BoolArray) -> Float64Array:
    """Return the ranks of V users' targets among learnt items: from 1, inf if not learnt.

    `similar` is (V, S); repeats in `met` count once; items of equal similarity share their mean
    rank.

    Examples
    --------
    >>> met = Bag(np.array([0, 3]), np.array([0, 3, 3]), 4)
    >>> similar = np.array([[0.1, 0.9, 0.5, 0.9]], np.float32)
    >>> ranks_of(similar, met, np.ones(4, bool)).tolist()
    [4.0, 1.5]
    """
    shown = np.where(learnt, similar, np.float32(-np.inf))
    pairs = np.unique(met.owner * met.size + met.code)
    return mean_ranks(shown, pairs // met.size, pairs % met.size)


def figures_of(ranks: Float64Array) -> dict[str, float]:
    """Return ``ndcg`` over all ranks, and ``hit_rate@k``; 0 if there are no ranks."""
    n = max(1, len(ranks))
    line = {"ndcg": float((1 / np.log2(1 + ranks)).sum()) / n}
    for k in SHOWN_AT:
        line[f"hit_rate@{k}"] = float((ranks <= k).sum()) / n
    return line


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
    """Return a vector per user for the music side's task: (n, d) float32; 0 if unknown.

    `weights` are the state of `audiorec_federated.towers.UserTower`, or of a one-way model;
    `WeightsError` if an array is missing or has the wrong shape.
    """
    embed = _embedder(weights, [b.size for b in features.bags.values()], features.dense, recipe)
    rows = np.array_split(np.arange(len(features)), 1 + len(features) // ROWS)
    vectors: FloatArray = np.concatenate([embed(features.take(some)) for some in rows])
    vectors[~features.known] = 0
    return vectors


def logits_of(
    users: FloatArray, songs: FloatArray, recipe: TwoTowerRecipe, prior: FloatArray
) -> FloatArray:
    """Return logits of users (n, d) for songs (S, d), including the prior: (n, S) float32."""
    logits: FloatArray = (users / recipe.temperature @ songs.T + prior).astype(np.float32)
    return logits


def _embedder(
    weights: Weights, sizes: Sequence[int], dense: FloatArray, recipe: PartyRecipe
) -> Callable[[UserFeatures], FloatArray]:
    """Return what embeds features of bags of these sizes; `WeightsError` if weights do not fit."""
    if isinstance(recipe, TwoTowerRecipe):
        from audiorec.learning.machine import import_torch

        import_torch(recipe.kind)
        from audiorec_federated.towers import tower_of

        tower = tower_of(weights, sizes, dense.shape[1], recipe)
        return lambda part: tower.whole(part.coded, part.dense)[0]
    expected = {f"values.{n}": (size, recipe.dimension) for n, size in enumerate(sizes)}
    expected["numbers"] = (dense.shape[1] // 2, recipe.dimension)
    shapes = {name: np.shape(array) for name, array in weights.items()}
    if shapes != expected:
        raise WeightsError(f"weights {shapes} do not fit a one-way model, which has {expected}")
    return lambda part: _projected(part, weights)


def _projected(features: UserFeatures, weights: Weights) -> FloatArray:
    """Return the vectors of a one-way model: the sum of a user's projected values."""
    result = features.dense[:, ::2] @ weights["numbers"]
    for number, bag in enumerate(features.bags.values()):
        result = result + _sum(bag, weights[f"values.{number}"])
    return unit(result)


def _sum(bag: Bag, table: FloatArray) -> FloatArray:
    """Return the sum of each user's rows of a table: (n, width) float32."""
    result = np.zeros((len(bag), table.shape[1]), np.float32)
    has = np.flatnonzero(bag.lengths)
    if len(has):
        result[has] = np.add.reduceat(table[bag.code], bag.starts[has], axis=0)
    return result


def _content(features: UserFeatures, row: int) -> str:
    """Return all features of a user as text.

    Not the vector: its last digits depend on the other users of a request.
    """
    one = features.take(np.array([row]))
    codes = {name: sorted(bag.code.tolist()) for name, bag in one.bags.items()}
    return json.dumps([codes, one.dense.tolist()])


def _split(text: str | None) -> list[str]:
    """Return the distinct values of one cell, in order.

    Examples
    --------
    >>> _split("rock| jazz||rock")
    ['rock', 'jazz']
    """
    result = [value.strip() for value in (text or "").split(DIVIDER)]
    return list(dict.fromkeys(value for value in result if value))
