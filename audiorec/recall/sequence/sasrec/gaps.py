"""Bin the time between two plays by its order of magnitude, in powers of two.

    seconds ──▶ 0: none    1: under 2    2: under 4   …   n: the longest and beyond

A gap of a second and one of a year mean different things; 300 and 301 days do not. If gaps are
capped by session, two plays of different sessions are the longest gap apart: the bins then tell
how far apart two plays of a session are, or that they are from different sessions.
"""

import math

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import Float64Array, Int64Array

DAY_S = 86_400.0


def n_gap_bins(longest_days: float) -> int:
    """Return the number of bins; pairs with an unknown time are in none."""
    return max(1, math.frexp(longest_days * DAY_S)[1]) + 1


def gap_bins(later: Float64Array, earlier: Float64Array, n: int) -> Int64Array:
    """Return the bin of each gap, below `n`; -1 if a time is unknown (NaN).

    Examples
    --------
    >>> seconds = np.array([0.0, 1.0, 3.0, 4.0, 1e12, np.nan, -5.0])
    >>> gap_bins(seconds, np.zeros(7), 20).tolist()
    [0, 1, 2, 3, 19, -1, 0]
    """
    gap = later - earlier
    known = ~np.isnan(gap)
    # The exponent is exact, whereas a logarithm is rounded.
    exponent = np.frexp(np.where(known, gap, 0.0))[1]
    number = np.where(gap >= 1, np.minimum(exponent, n - 1), 0)
    return np.where(known, number, -1).astype(np.int64)


def capped_by_session(plays: Sequences, *, gap_s: float, longest_days: float) -> Float64Array:
    """Return times (P,) that put plays of different sessions the longest gap apart.

    A new session starts with each owner, where `Sequences.session` changes, and after a gap of
    more than `gap_s` seconds.

    Examples
    --------
    >>> from dataclasses import replace
    >>> plays = replace(Sequences.from_lists([["a", "b", "a"]]), time=np.array([0.0, 9.0, 5_000.0]))
    >>> found = capped_by_session(plays, gap_s=1_800, longest_days=1)
    >>> found.tolist()
    [0.0, 9.0, 91400.0]
    """
    new = np.zeros(len(plays.time), np.bool_)
    new[1:] = np.diff(plays.time) > gap_s  # False if a time is unknown
    if plays.session is not None:
        new[1:] |= np.diff(plays.session) != 0
    # The sum runs across owners, which shifts all times of an owner alike and keeps its gaps.
    return plays.time + np.cumsum(new) * longest_days * DAY_S
