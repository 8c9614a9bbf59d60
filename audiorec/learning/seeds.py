"""Seeds by purpose: every random draw of a training has a generator of its own.

    seed, purpose, epoch, batch ──generator──▶ numpy.random.Generator

A draw depends on nothing that was drawn before it, so a training that resumes in the middle of
an epoch, or in another process, draws what it would have drawn.
"""

import numpy as np


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return the generator of one draw.

    Parameters
    ----------
    seed : int
        Of the recipe.
    *purpose : int
        What the draw is for, then which one it is: for example ``STEP, epoch, batch``. Zero or
        more each.

    Examples
    --------
    >>> ORDER, DROPOUT = range(2)
    >>> generator(7, ORDER, 1).permutation(4).tolist()
    [0, 2, 3, 1]
    >>> generator(7, ORDER, 1).random() == generator(7, DROPOUT, 1).random()
    False
    """
    return np.random.default_rng([seed, *purpose])


def torch_seed(rng: np.random.Generator) -> int:
    """Draw the seed of a torch generator, for what torch draws in a step (dropout)."""
    return int(rng.integers(2**62))
