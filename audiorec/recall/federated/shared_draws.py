"""Random choices shared by both sides: the validation split and the batch of each step.

    n aligned rows, recipe ──split_rows──▶ learnt, judged      ──steps_of──▶ `JointStep`s

Both sides derive them from the recipe's seed and the number of aligned rows. The users of a step
are drawn uniformly, with or without plays, so a batch does not reveal who listened.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.machine import generator
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.types import Int64Array

JUDGED, ORDER, BEGIN = range(3)  # purposes of the shared seed


@dataclass(frozen=True, slots=True, eq=False)
class JointStep:
    """One training step of both sides.

    Attributes
    ----------
    epoch : int
        From 1.
    number : int
        Number of the step in its epoch, from 0.
    rows : ndarray, shape (B,), int64
        Aligned rows, each at most once.
    done : float
        Share of the planned steps done before this one, for the learning rate.
    """

    epoch: int
    number: int
    rows: Int64Array
    done: float


def split_rows(n: int, recipe: TwoTowerRecipe, *, hold_out: bool) -> tuple[Int64Array, Int64Array]:
    """Return the training rows and the validation rows, both sorted.

    Without `hold_out`, all rows are training rows.

    Raises
    ------
    InputError
        If there are fewer than two rows.
    """
    if n < 2:
        raise InputError(f"both sides must have at least two users in common, got {n}")
    rows = np.arange(n, dtype=np.int64)
    if not hold_out:
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
        for place, rows in enumerate(np.array_split(order, batches)):
            number = passed * batches + place
            if number >= first:
                done = (epoch - 1 + number / whole) / recipe.max_epochs
                yield JointStep(epoch, number, rows, done)


def _batches(n_learnt: int, recipe: TwoTowerRecipe) -> int:
    return max(1, round(n_learnt / recipe.batch_size))
