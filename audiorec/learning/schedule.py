"""Learning-rate schedule: linear warm-up, then cosine decay.

    done, planned ──cosine_decay──▶ factor of the learning rate, 0 to 1

The factor depends only on the progress of a run, not on its history, so a run that resumes in the
middle of an epoch continues with the same rate.
"""

import math

from audiorec.errors import InputError


def cosine_decay(done: float, *, warm_up: float = 0.0, floor: float = 0.0) -> float:
    """Return the factor of the learning rate at a point of a training run.

    Parameters
    ----------
    done : float
        Share of the planned steps done: 0 at the first step, 1 at the end and beyond.
    warm_up : float
        Share of the steps in which the factor rises linearly from 0 to 1.
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
