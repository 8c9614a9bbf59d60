"""Pick the best songs of a ranking under limits, optionally trading similarity for diversity.

    search(m) → best m rows   ──select──▶  k rows within all limits

The ranking is queried for more songs until `k` are found or it is exhausted, so limits may lower
the similarities of a list, but shorten it only where no eligible songs are left.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.search.filters import UNKNOWN
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

Ranking = tuple[Int64Array, Float64Array]

OVERFETCH = 4  # growth of the request each time the ranking runs short
POOL = 10  # candidates per song for a diverse list: this times k
POOL_MIN = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """A maximum number of songs per group, such as an artist.

    Attributes
    ----------
    kinds : ndarray, shape (n,), int
        Group code of each song of the store; songs of group `UNKNOWN` (-1) are not limited.
    most : int
        1 or more.
    name : str
        What a group is, for messages: ``artist``; empty where users need not know.
    """

    kinds: Int32Array
    most: int
    name: str = ""


class Tally:
    """Counts songs per group and checks the limits; rows `taken` count from the start."""

    def __init__(self, limits: Sequence[Limit], taken: Iterable[int] = ()) -> None:
        self._limits = limits
        self._counts: list[Counter[int]] = [Counter() for _ in limits]
        for row in taken:
            self.add(row)

    def fits(self, row: int) -> bool:
        """Return whether adding this song stays within all limits."""
        for limit, counts in zip(self._limits, self._counts, strict=True):
            kind = int(limit.kinds[row])
            if kind != UNKNOWN and counts[kind] >= limit.most:
                return False
        return True

    def add(self, row: int, times: int = 1) -> None:
        """Count a song; `times` = -1 undoes it."""
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
    """Pick `k` songs of a ranking; fewer only if it has no more within the limits.

    `search(m)` returns the m best rows and their similarities, best first. The limits apply to
    the picked songs together with `taken`, the query's own. A `diversity` of 0 keeps the order of
    the ranking. Above 0, up to 1, each pick maximises
    ``(1 - diversity) * similarity - diversity * r``, where r is the largest similarity to an
    earlier pick (maximal marginal relevance [1]_), among the best ``10 * k`` songs, at least 100;
    `units` must then return the units (m, W) of rows (m,). Returns rows and similarities in the
    order of picking.

    References
    ----------
    .. [1] J. Carbonell, J. Goldstein, "The use of MMR, diversity-based reranking for
       reordering documents and producing summaries", SIGIR 1998.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if any(limit.most < 1 for limit in limits):
        raise InputError("a limit must be at least 1 song")
    if not 0 <= diversity <= 1:
        raise InputError(f"diversity must lie between 0 and 1, got {diversity}")
    if diversity and units is None:
        raise InputError("diversity needs the songs' units: pass units")
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
    """Pick by marginal relevance; ties go to the higher rank."""
    rows, similarities = pool
    nearest = np.zeros(len(rows))  # largest similarity to a chosen song
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
