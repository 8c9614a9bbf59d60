"""Training on this machine: torch on one thread, free memory, and seeds by purpose.

Lazy import of torch, and a limit of one thread. Torch is an optional dependency and takes a second
to import, so importing audiorec never loads it.

Seeds by purpose: every random draw of a training run has a separate generator.

    seed, purpose, epoch, batch ──generator──▶ numpy.random.Generator

Draws do not depend on earlier draws, so a run that resumes in the middle of an epoch, or in another
process, repeats its draws.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import import_extra

MEMORY = Path("/proc/meminfo")


def free_memory() -> int | None:
    """Return the available memory in bytes without swapping; None if the system does not say."""
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def import_torch(purpose: str) -> Any:
    """Return torch; raise `MissingExtraError`, which names the `purpose`, if it does not load."""
    return import_extra("torch", purpose, "train")


def check_torch(purpose: str) -> None:
    """Raise `MissingExtraError` if torch is not installed; torch is not loaded."""
    if find_spec("torch") is None:
        import_torch(purpose)


@contextmanager
def one_thread(purpose: str) -> Iterator[None]:
    """Limit torch to one thread, so that the order of summation is always the same.

    For layers as small as audiorec's, this is also faster.
    """
    torch = import_torch(purpose)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
