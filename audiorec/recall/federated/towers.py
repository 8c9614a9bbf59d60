"""User tower in torch: from profile features to one unit vector per task.

    bags, numbers ──UserTower──▶ (B, K, d): a unit vector for each of K tasks
    songs         ──SongTable (`audiorec.learning.next_model`)──▶ (n, d)

A two-tower has one task and one dense network. An mmoe has several networks, the experts; each task
mixes them by a gate, a softmax over the experts, and projects the result with a separate head.
`audiorec.recall.federated.user_model` is the same in numpy.

A party's own draws (songs played, negatives, hidden items and dropout; noise has no seed) come from
a secret, which it derives from its private key for one run and one phase: a run that starts again
repeats its draws, and no other run has them. The secret is a buffer of the half's model:
checkpoints include it, bundles do not.

References
----------
Huang et al., *Learning deep structured semantic models for web search*, 2013.
Ma et al., *Modeling task relationships in multi-task learning with multi-gate
mixture-of-experts*, 2018.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import randbits
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from audiorec.learning.fit import Phase
from audiorec.learning.schedule import cosine_decay
from audiorec.recall.federated.keys import Keys
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.shared_draws import JointStep
from audiorec.recall.federated.user_features import UserFeatures

BITS = 62  # a positive int64
START_SPREAD = 0.1  # standard deviation of initial embeddings


@dataclass(frozen=True, slots=True)
class UserShape:
    """Input shape of a user tower: the number of values of each bag and of dense columns."""

    sizes: tuple[int, ...]
    dense: int

    @classmethod
    def of(cls, features: UserFeatures) -> "UserShape":
        """Return the input shape of features."""
        return cls(tuple(features.sizes.values()), features.dense.shape[1])


class UserTower(nn.Module):
    """Network from profile features to one vector per task.

    Its parameters are ``values.<i>`` (size, w), one table per bag; ``layers.<i>.weight`` (E, in,
    out) and ``.bias`` (E, 1, out) of E experts; ``gate.weight`` (K E, in), if there are several
    experts; ``head`` (K, h, d).
    """

    def __init__(self, shape: UserShape, recipe: TwoTowerRecipe, weights: Sequence[float]) -> None:
        """Initialise with small random numbers from torch's global generator.

        Parameters
        ----------
        shape : UserShape
        recipe : TwoTowerRecipe
        weights : sequence of float, length K
            Task weights: factors of the gradients.
        """
        super().__init__()
        self.experts = recipe.experts if isinstance(recipe, MmoeRecipe) else 1
        self.dropout, self.weights = recipe.dropout, tuple(weights)
        self.is_residual = recipe.width == recipe.dimension and bool(shape.sizes)
        self.values = nn.ParameterList(
            [torch.randn(size, recipe.width) * START_SPREAD for size in shape.sizes]
        )
        width = len(shape.sizes) * recipe.width + shape.dense
        before = width
        self.layers = nn.ModuleList()
        for units in recipe.hidden:
            self.layers.append(_Experts(self.experts, before, units))
            before = units
        tasks = len(self.weights)
        self.gate = nn.Linear(width, tasks * self.experts) if self.experts > 1 else None
        self.head = nn.Parameter(torch.randn(tasks, before, recipe.dimension) / before**0.5)

    def forward(
        self,
        bags: Sequence[tuple[Tensor, Tensor]],
        dense: Tensor,
        among: tuple[slice, int] | None = None,
    ) -> Tensor:
        """Return unit vectors (B, K, d) of users.

        Parameters
        ----------
        bags : sequence of (Tensor, Tensor)
            Codes (P,) and the offset of each user's codes (B + 1,), int64 each.
        dense : Tensor, shape (B, A)
        among : (slice, int), optional
            Position of these users in a batch that is split between processes, and its size:
            dropout is drawn for the whole batch.
        """
        means, x = self._read(bags, dense)
        hidden = x.expand(self.experts, *x.shape)  # (E, B, in)
        for layer in self.layers:
            hidden = self._dropped(layer(hidden).relu(), among or (slice(None), len(x)))
        gates = self._gates(x)  # (B, K, E)
        # One product for all tasks, so that gradients are summed in the same order when split.
        mixed = torch.einsum("bke,ebh->bkh", gates, hidden)
        found = torch.einsum("bkh,khd->bkd", mixed, self.head)
        if self.is_residual:
            found = found + sum(means)[:, None]  # type: ignore[index]
        weight = found.new_tensor(self.weights)[:, None]
        unit = functional.normalize(found, dim=-1)
        vectors: Tensor = _Weighted.apply(unit, weight)  # type: ignore[no-untyped-call]
        return vectors

    def entropy(self, bags: Sequence[tuple[Tensor, Tensor]], dense: Tensor) -> Tensor:
        """Return the mean entropy of each task's gate, 1 if it uses all experts equally: (K,)."""
        if self.gate is None:
            return torch.zeros(len(self.weights))
        gates = self._gates(self._read(bags, dense)[1])
        bits: Tensor = torch.special.entr(gates).sum(-1).mean(0)
        return bits / math.log(self.experts)

    def _dropped(self, hidden: Tensor, among: tuple[slice, int]) -> Tensor:
        """Apply dropout to units (E, B, h), as `functional.dropout` does to the whole batch."""
        if not self.training or not self.dropout:
            return hidden
        rows, n = among
        experts, _, units = hidden.shape
        kept = hidden.new_empty(experts, n, units).bernoulli_(1 - self.dropout)
        return hidden * kept.div_(1 - self.dropout)[:, rows]

    def _read(
        self, bags: Sequence[tuple[Tensor, Tensor]], dense: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        means = [
            functional.embedding_bag(code, table, starts, mode="mean", include_last_offset=True)
            for (code, starts), table in zip(bags, self.values, strict=True)
        ]
        return means, torch.cat([*means, dense], dim=1)

    def _gates(self, x: Tensor) -> Tensor:
        shape = (len(x), len(self.weights), self.experts)
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


class _Weighted(torch.autograd.Function):
    """Multiply gradients by the task weights; the forward pass is the identity.

    Here and not in the loss, which may be computed by the other party: central and split training
    then multiply the same numbers.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        return vectors.view_as(vectors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        return gradients[0] * weights, None


def draws_of(keys: Keys, run: str) -> Callable[[Phase], int]:
    """Return the seed of a party's draws by phase, for a run named by `Shared.run`."""
    return lambda phase: int.from_bytes(keys.seed("draws", run, phase), "big") >> (256 - BITS)


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
