"""Private seed of a half, stored in its state; and its learning rate.

The secret is a buffer of the half's model, so checkpoints include it and a resumed training run
draws the same noise. It is never written to a bundle.
"""

from secrets import randbits

import torch
from torch import nn, optim

from audiorec.learning.schedule import cosine_decay
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.shared_draws import JointStep

BITS = 62  # a positive int64


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
