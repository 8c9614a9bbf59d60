"""The best songs of a ranking, spread: at most so many of one artist, not all alike.

    search(m) → best m rows   ──select──▶  k rows within all limits

The ranking is asked for more songs until `k` are found or it has no more, so a limit makes
a list worse but never shorter than it has to be.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.search.filters import UNKNOWN
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

Ranking = tuple[Int64Array, Float64Array]

OVERFETCH = 4  # times more songs each time the ranking is asked again
POOL = 10  # songs to choose each diverse song from, times k
POOL_MIN = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many songs of one kind.

    Attributes
    ----------
    kinds : ndarray, shape (n,), int
        The kind of each song of the store; songs of kind `UNKNOWN` (-1) are not limited.
    most : int
        1 or more.
    name : str
        What a kind is, for a person: ``artist``; empty where nobody need know.
    """

    kinds: Int32Array
    most: int
    name: str = ""


class Tally:
    """Counts songs by kind and says which may still come; rows `taken` count from the start."""

    def __init__(self, limits: Sequence[Limit], taken: Iterable[int] = ()) -> None:
        self._limits = limits
        self._counts: list[Counter[int]] = [Counter() for _ in limits]
        for row in taken:
            self.add(row)

    def fits(self, row: int) -> bool:
        """Return whether one more song, this one, stays within all limits."""
        for limit, counts in zip(self._limits, self._counts, strict=True):
            kind = int(limit.kinds[row])
            if kind != UNKNOWN and counts[kind] >= limit.most:
                return False
        return True

    def add(self, row: int, times: int = 1) -> None:
        """Count a song; -1 times takes it back."""
        for limit, counts in zip(self._limits, self._counts, strict=True):
            counts[int(limit.kinds[row])] += times


def select(
    search: Callable[[int], Ranking],
    k: int,
    *,
    limits: Sequence[Limit] = (),
    taken: Iterable[int] = (),
    diversity: float = 0.0,
    units: Callable[[Int64Array], FloatArray] | None = None,
) -> Ranking:
    """Choose `k` songs of a ranking; fewer only if all of it has no more within the limits.

    `search(m)` returns the m best rows and their similarities, the best first. The limits hold for
    the songs that come back together with `taken`, the query's own. A `diversity` of 0 keeps the
    order of the ranking. Above, up to 1, each song is the one with the largest
    ``(1 - diversity) * similarity - diversity * r``, r being its largest similarity to the songs
    before it (maximal marginal relevance [1]_), among the best ``10 * k`` songs, at least 100;
    `units` then gives the units (m, W) of rows (m,). Returns rows and similarities in the order of
    choice.

    References
    ----------
    .. [1] J. Carbonell, J. Goldstein, "The use of MMR, diversity-based reranking for
       reordering documents and producing summaries", SIGIR 1998.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if any(limit.most < 1 for limit in limits):
        raise InputError("a limit of songs must be at least 1")
    if not 0 <= diversity <= 1:
        raise InputError(f"diversity must lie between 0 and 1, got {diversity}")
    if diversity and units is None:
        raise InputError("diversity needs units to compare songs by")
    taken = tuple(taken)
    size = k if not diversity else max(POOL_MIN, POOL * k)
    while True:
        pool = search(size)
        tally = Tally(limits, taken)
        if units is not None and diversity:
            chosen = _spread(pool, k, tally, diversity, units(pool[0]))
        else:
            chosen = _in_order(pool, k, tally)
        if len(chosen) == k or len(pool[0]) < size:
            return pool[0][chosen], pool[1][chosen]
        size *= OVERFETCH


def _in_order(pool: Ranking, k: int, tally: Tally) -> list[int]:
    chosen: list[int] = []
    for place, row in enumerate(pool[0].tolist()):
        if len(chosen) == k:
            break
        if tally.fits(row):
            tally.add(row)
            chosen.append(place)
    return chosen


def _spread(
    pool: Ranking, k: int, tally: Tally, diversity: float, vectors: FloatArray
) -> list[int]:
    """Choose by marginal relevance; among equals the better one of the ranking."""
    rows, similarities = pool
    nearest = np.zeros(len(rows))  # to the chosen songs; nothing is chosen yet
    open_places = np.ones(len(rows), np.bool_)
    chosen: list[int] = []
    while len(chosen) < k and open_places.any():
        gain = np.where(open_places, (1 - diversity) * similarities - diversity * nearest, -np.inf)
        place = int(gain.argmax())
        open_places[place] = False
        if not tally.fits(int(rows[place])):
            continue
        tally.add(int(rows[place]))
        to_this = (vectors @ vectors[place]).astype(np.float64)
        nearest = np.maximum(nearest, to_this) if chosen else to_this
        chosen.append(place)
    return chosen
