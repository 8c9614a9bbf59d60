"""Secret seed of a half's own draws, stored in its state; and its learning rate.

The draws are songs played, negatives, hidden items and dropout; noise has no seed
(`audiorec.recall.federated.noise`). A party derives the seed from its private key for one run and
one phase, so that a run which starts again repeats its draws, and no other run has them. The secret
is a buffer of the half's model: checkpoints include it, bundles do not.
"""

from collections.abc import Callable
from secrets import randbits

import torch
from torch import nn, optim

from audiorec.learning.refit import Phase
from audiorec.learning.schedule import cosine_decay
from audiorec.recall.federated.keys import Keys
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.shared_draws import JointStep

BITS = 62  # a positive int64


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
