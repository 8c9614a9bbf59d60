"""The songs near a song, or near several together, among those that may come.

    space, unit (W,), Chosen  ──near_one───▶ `Neighbours` of one query
    space, units (Q, W), ...  ──near_each──▶ `Neighbours` of each of several

`Space.search` knows nothing but likeness. Here copies, limits and a least similarity join it, with
the words and defaults of the command line.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audiorec.errors import InputError
from audiorec.search.choice import Chosen
from audiorec.search.diversify import Ranking, select
from audiorec.search.space import Neighbours, Space
from audiorec.types import Float64Array, FloatArray, Int64Array

MINIMUM = 0.0  # below, two songs lie on different sides of what is usual: not alike, but unlike
AWAY = 0.5  # of what is to be near: more, and what comes is like nothing at all
SAME = 0.999  # cosine from which on two songs are one
FIRST = 3  # times more songs than asked for, so that few queries have to be asked again


class _Options(NamedTuple):
    k: int
    chosen: Chosen
    diversity: float
    minimum: float


def away_from(unit: FloatArray, other: FloatArray) -> FloatArray:
    """Return a direction (W,) of length 1 towards `unit` and away from `other`, half as much.

    Raises
    ------
    InputError
        If nothing is left of it: the two are one song.

    Examples
    --------
    >>> away_from(np.float32([1, 0]), np.float32([0, 1])).round(3)
    array([ 0.894, -0.447], dtype=float32)
    """
    direction = unit.astype(np.float64) - AWAY * other
    length = float(np.sqrt(direction @ direction))
    if float(unit @ other) > SAME or length == 0.0:
        raise InputError("more like a song and less like the same one: nothing is left to look for")
    found: FloatArray = (direction / length).astype(np.float32)
    return found


def near_one(
    space: Space,
    unit: FloatArray,
    k: int,
    chosen: Chosen,
    *,
    taken: Sequence[int] = (),
    diversity: float = 0.0,
    minimum: float = MINIMUM,
) -> Neighbours:
    """Return up to `k` songs near one query.

    Parameters
    ----------
    space : Space
    unit : ndarray, shape (W,)
        Of length 1; between several songs see `mean_direction`.
    k : int
    chosen : Chosen
        Which songs may come, and how many of one kind.
    taken : sequence of int
        Rows of the songs that are asked about: they do not come, and count against the limits.
    diversity : float
        From 0, the nearest songs, to 1; see `select`.
    minimum : float
        Least similarity of a song that comes; -1 lets all come.

    Returns
    -------
    found : Neighbours
        In the order of choice, which is that of similarity without `diversity`.
    """
    options = _Options(k, chosen, diversity, minimum)
    return Neighbours(space.store, *_chosen(space, unit, options, taken), by=space.by)


def near_each(
    space: Space,
    units: FloatArray,
    k: int,
    chosen: Chosen,
    *,
    own: Int64Array | None = None,
    diversity: float = 0.0,
    minimum: float = MINIMUM,
) -> Neighbours:
    """Return up to `k` songs near each of several queries (Q, W), as `near_one` does for one.

    `own` (Q,) is the song that each query is, by its row in the store; it is not its own
    neighbour, and counts against the limits.
    """
    if not chosen.limits and not diversity:
        nearest = space.search(units, k, allowed=chosen.allowed, own=own)
        good = nearest.similarities >= minimum
        rows, similarities = np.where(good, nearest.rows, -1), nearest.similarities
        return Neighbours(space.store, rows, np.where(good, similarities, np.nan), by=space.by)
    options = _Options(k, chosen, diversity, minimum)
    found: Neighbours | None = None
    if len(units) > 1:
        found = space.search(units, FIRST * k, allowed=chosen.allowed, own=own)
    rows, similarities = np.full((len(units), k), -1, np.int64), np.full((len(units), k), np.nan)
    for place, unit in enumerate(units):
        taken = () if own is None else (int(own[place]),)
        first = None if found is None else (found[place].rows, found[place].similarities)
        one = _chosen(space, unit, options, taken, first)
        rows[place, : len(one[0])], similarities[place, : len(one[0])] = one
    return Neighbours(space.store, rows, similarities, by=space.by)


def _chosen(
    space: Space,
    unit: FloatArray,
    options: _Options,
    taken: Sequence[int],
    first: Ranking | None = None,
) -> tuple[Int64Array, Float64Array]:
    """Return rows and similarities; `first` are the `FIRST` times k nearest, where known."""
    k, chosen, diversity, minimum = options
    allowed = chosen.allowed
    if taken:
        allowed = allowed.copy()
        allowed[list(taken)] = False

    def ranking(m: int) -> Ranking:
        if first is not None and m <= FIRST * k:
            rows, similarities = first[0][:m], first[1][:m]
        else:
            found = space.search(unit[None], m, allowed=allowed)[0]
            rows, similarities = found.rows, found.similarities
        good = similarities >= minimum
        return rows[good], similarities[good]

    return select(
        ranking, k, limits=chosen.limits, taken=taken, diversity=diversity, units=space.units
    )
