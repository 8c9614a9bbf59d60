"""Seeds by purpose: every random draw of a training run has a separate generator.

    seed, purpose, epoch, batch ──generator──▶ numpy.random.Generator

Draws do not depend on earlier draws, so a run that resumes in the middle of an epoch, or in another
process, repeats its draws.
"""

import numpy as np


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return the generator of one draw.

    Parameters
    ----------
    seed : int
        Seed of the recipe.
    *purpose : int
        Purpose of the draw, then its number: for example ``STEP, epoch, batch``; all 0 or more.

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
    """Draw a seed for torch's random numbers in a step (dropout)."""
    return int(rng.integers(2**62))
