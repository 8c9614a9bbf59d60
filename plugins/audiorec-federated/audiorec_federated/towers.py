"""User tower in torch, the draws of both sides, and the steps of a training.

    bags, numbers ──UserTower──▶ (B, K, d): a unit vector for each of K tasks
    songs         ──SongTable (`audiorec.learning.next_model`)──▶ (n, d)
    n aligned rows, recipe ──split_rows──▶ learnt, judged ──steps_of──▶ `JointStep`s

A two-tower has one task and one dense network. An mmoe has several networks, the experts; each task
mixes them by a gate, a softmax over the experts, and projects the result with a separate head.

Both sides derive the steps from the recipe's seed and the number of aligned rows. The users of a
step are drawn uniformly, with or without plays, so a batch does not reveal who listened. A party's
own draws (songs played, negatives, hidden items and dropout) come from a secret, which it derives
from its private key for one run. It is a buffer of the half's model: checkpoints include it,
bundles do not.

References
----------
Huang et al., *Learning deep structured semantic models for web search*, 2013.
Ma et al., *Modeling task relationships in multi-task learning with multi-gate
mixture-of-experts*, 2018.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from secrets import randbits
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from audiorec.errors import InputError, WeightsError
from audiorec.learning.fit import Phase
from audiorec.learning.machine import generator
from audiorec.learning.row_optimisers import cosine_decay
from audiorec.types import FloatArray, Int64Array
from audiorec_federated.keys import Keys
from audiorec_federated.recipe import MmoeRecipe, TwoTowerRecipe

BITS = 62  # a positive int64
START_SPREAD = 0.1  # standard deviation of initial embeddings
JUDGED, ORDER, BEGIN = range(3)  # purposes of the shared seed
Coded = Iterable[tuple[Int64Array, Int64Array]]  # codes and starts of each `Bag`


class Place(NamedTuple):
    """A place in a training of two parties: epoch from 1, and steps done in the epoch."""

    epoch: int
    step: int

    def __str__(self) -> str:
        """Return the place as readable text."""
        return f"epoch {self.epoch}, step {self.step}"


@dataclass(frozen=True, slots=True, eq=False)
class JointStep:
    """One training step of both sides."""

    epoch: int  # from 1
    number: int  # number of the step in its epoch, from 0
    rows: Int64Array  # (B,): aligned rows, each at most once
    done: float  # share of the planned steps done before this one, for the learning rate


def split_rows(n: int, recipe: TwoTowerRecipe, phase: Phase) -> tuple[Int64Array, Int64Array]:
    """Return a phase's training and validation rows, sorted; `InputError` for fewer than two."""
    if n < 2:
        raise InputError(f"both sides must have at least two users in common, got {n}")
    rows = np.arange(n, dtype=np.int64)
    if phase == "refit":
        return rows, rows[:0]
    judged = generator(recipe.seed, JUDGED).permutation(n)[: max(1, round(n * recipe.valid))]
    mask = np.zeros(n, np.bool_)
    mask[judged] = True
    return rows[~mask], rows[mask]


def steps_in(n_learnt: int, recipe: TwoTowerRecipe) -> int:
    """Return the number of steps in an epoch."""
    return recipe.passes * _batches(n_learnt, recipe)


def steps_of(
    learnt: Int64Array, recipe: TwoTowerRecipe, epoch: int, first: int = 0
) -> Iterator[JointStep]:
    """Yield the steps of an epoch from number `first`; every pass contains each row once."""
    batches, whole = _batches(len(learnt), recipe), steps_in(len(learnt), recipe)
    for passed in range(first // batches, recipe.passes):
        order = learnt[generator(recipe.seed, ORDER, epoch, passed).permutation(len(learnt))]
        for index, rows in enumerate(np.array_split(order, batches)):
            number = passed * batches + index
            if number >= first:
                done = (epoch - 1 + number / whole) / recipe.max_epochs
                yield JointStep(epoch, number, rows, done)


def _batches(n_learnt: int, recipe: TwoTowerRecipe) -> int:
    return max(1, round(n_learnt / recipe.batch_size))


class UserTower(nn.Module):
    """Network from profile features to one vector per task.

    Its parameters are ``values.<i>`` (size, w), one table per bag; ``layers.<i>.weight`` (E, in,
    out) and ``.bias`` (E, 1, out) of E experts; ``gate.weight`` (K E, in), if there are several
    experts; ``head`` (K, h, d).
    """

    def __init__(
        self, sizes: Sequence[int], numbers: int, recipe: TwoTowerRecipe, tasks: int
    ) -> None:
        """Initialise with small random numbers from torch's global generator.

        `sizes` are those of the bags, `numbers` is the width of `UserFeatures.dense`.
        """
        super().__init__()
        self.experts = recipe.experts if isinstance(recipe, MmoeRecipe) else 1
        self.dropout, self.tasks = recipe.dropout, tasks
        self.is_residual = recipe.width == recipe.dimension and bool(sizes)
        self.values = nn.ParameterList(
            [torch.randn(size, recipe.width) * START_SPREAD for size in sizes]
        )
        width = before = len(sizes) * recipe.width + numbers
        self.layers = nn.ModuleList()
        for units in recipe.hidden:
            self.layers.append(_Experts(self.experts, before, units))
            before = units
        self.gate = nn.Linear(width, tasks * self.experts) if self.experts > 1 else None
        self.head = nn.Parameter(torch.randn(tasks, before, recipe.dimension) / before**0.5)

    def forward(self, bags: Sequence[tuple[Tensor, Tensor]], dense: Tensor) -> Tensor:
        """Return unit vectors (B, K, d) of users, from `tensors_of` their features."""
        means, x = self._embed_bags(bags, dense)
        hidden = x.expand(self.experts, *x.shape)  # (E, B, in)
        for layer in self.layers:
            hidden = functional.dropout(layer(hidden).relu(), self.dropout, self.training)
        gates = self._gates(x)  # (B, K, E)
        # One product for all tasks, so that gradients are summed in the same order when split.
        mixed = torch.einsum("bke,ebh->bkh", gates, hidden)
        result = torch.einsum("bkh,khd->bkd", mixed, self.head)
        if self.is_residual:
            result = result + sum(means)[:, None]  # type: ignore[index]
        return functional.normalize(result, dim=-1)

    def whole(self, bags: Coded, dense: FloatArray) -> list[FloatArray]:
        """Return the vectors of each task without dropout: K arrays (n, d) float32."""
        was, _ = self.training, self.eval()
        with torch.no_grad():
            result = self(*tensors_of(bags, dense))
        self.train(was)
        return [vectors.numpy() for vectors in result.unbind(1)]

    def entropy(self, bags: Coded, dense: FloatArray) -> list[float]:
        """Return the mean entropy of each task's gate, 1 if it uses all experts equally."""
        if self.gate is None:
            return [0.0] * self.tasks
        with torch.no_grad():
            gates = self._gates(self._embed_bags(*tensors_of(bags, dense))[1])
            bits: Tensor = torch.special.entr(gates).sum(-1).mean(0)
            return (bits / math.log(self.experts)).tolist()

    def _embed_bags(
        self, bags: Sequence[tuple[Tensor, Tensor]], dense: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        means = [
            functional.embedding_bag(code, table, starts, mode="mean", include_last_offset=True)
            for (code, starts), table in zip(bags, self.values, strict=True)
        ]
        return means, torch.cat([*means, dense], dim=1)

    def _gates(self, x: Tensor) -> Tensor:
        shape = (len(x), self.tasks, self.experts)
        if self.gate is None:
            return x.new_ones(shape)
        gates: Tensor = self.gate(x).view(shape).softmax(-1)
        return gates


class _Experts(nn.Module):
    """Dense layer of E parallel networks."""

    def __init__(self, experts: int, width: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, width, units) / max(1, width) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(experts, 1, units))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def tower_of(
    weights: Mapping[str, Any], sizes: Sequence[int], numbers: int, recipe: TwoTowerRecipe
) -> UserTower:
    """Return a tower with given weights; `WeightsError` if they are not those of the recipe."""
    with torch.device("meta"):
        tower = UserTower(sizes, numbers, recipe, len(weights.get("head", ())))
    try:
        state = {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
        tower.load_state_dict(state, assign=True)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise WeightsError(f"weights do not fit the recipe of the user tower: {said}") from error
    return tower


def tensors_of(bags: Coded, dense: FloatArray) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return bags and numbers as `UserTower.forward` takes them."""
    pairs = [(torch.from_numpy(code), torch.from_numpy(starts)) for code, starts in bags]
    return pairs, torch.from_numpy(dense)


def draws_of(keys: Keys, run: str) -> int:
    """Return the seed of a party's draws in a run (`Shared.run`)."""
    return int.from_bytes(keys.seed("draws", run), "big") >> (256 - BITS)


class SecretModules(nn.ModuleDict):
    """Modules by name, with a secret."""

    secret: torch.Tensor


def with_secret(secret: int | None, **modules: nn.Module) -> SecretModules:
    """Return modules with a secret, drawn from the system's entropy by default."""
    kept = SecretModules(modules)
    value = randbits(BITS) if secret is None else secret
    kept.register_buffer("secret", torch.tensor(value, dtype=torch.int64))
    return kept


def secret_of(kept: SecretModules) -> int:
    """Return the secret."""
    return int(kept.secret)


def set_rate(optimiser: optim.Optimizer, recipe: TwoTowerRecipe, step: JointStep) -> None:
    """Set the learning rate of a step."""
    rate = recipe.learning_rate * cosine_decay(step.done, warm_up=recipe.warm_up)
    for group in optimiser.param_groups:
        group["lr"] = rate
