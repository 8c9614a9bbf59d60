"""How the learning rate runs: up over the first steps, then down along a cosine.

    done, planned ──cosine_decay──▶ factor of the learning rate, 0 to 1

The factor follows from how far a training is, not from what it was before: a training that
resumes in the middle of an epoch goes on with the rate that it would have had.
"""

import math

from audiorec.errors import InputError


def cosine_decay(done: float, *, warm_up: float = 0.0, floor: float = 0.0) -> float:
    """Return the factor of the learning rate at a place of a training.

    Parameters
    ----------
    done : float
        Part of the planned steps that is done: 0 at the first step, 1 at the end and beyond.
    warm_up : float
        Part of the steps in which the rate rises from 0 to its full height, in a straight line.
    floor : float
        The factor at the end.

    Examples
    --------
    >>> [round(cosine_decay(done, warm_up=0.2), 3) for done in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if not 0 <= warm_up < 1 or not 0 <= floor <= 1:
        raise InputError(f"warm_up must lie in [0, 1), floor in 0..1, got {warm_up} and {floor}")
    if done < warm_up:
        return max(0.0, done) / warm_up
    down = min(1.0, (done - warm_up) / (1.0 - warm_up))
    return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * down)) / 2
