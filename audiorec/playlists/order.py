"""Put the songs that one has in an order: each fits the one before it.

store, ids, "tempo"  ──ordered──▶ `OrderedSongs`, in playing order
costs (m, m)         ──shortest_way──▶ the places (m,) with the least sum of steps
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.answers import SongList
from audiorec.search.beside import Beside
from audiorec.search.explain import SureFacts
from audiorec.search.questions import Order
from audiorec.search.searchable import SearchableStore
from audiorec.types import SCALES, TONICS, Float64Array, Int64Array

EXACT = 10  # songs whose best order is found among all: 10! orders, by dynamic programming
FLOW = 0.25  # how much the sound counts beside tempo, key or loudness
UNKNOWN = 0.5  # a step from or to a song without a certain tempo, key or loudness
OCTAVE, FIFTHS, LOUD = 1.0, 6.0, 12.0  # the largest step: of a tempo, of a key, in dB


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OrderedSongs(SongList):
    """Songs of a store in an order.

    Attributes
    ----------
    order : {"flow", "tempo", "key", "energy"}
    steps : ndarray, shape (m - 1,), float64
        What each step costs, from 0 (the same) up.
    given : float
        Mean step of the order in which the songs were given.
    """

    order: Order
    steps: Float64Array
    given: float
    similarities: Float64Array

    @cached_property
    def beside(self) -> Beside:
        """Each song beside the one before it; the first has none."""
        share = self.store.closer_than(self.store.space(), self.similarities)
        return Beside(
            self.store,
            rows=self.rows,
            closer_than=np.concatenate([[np.nan], share]),
            others=lambda: [None, *self.store.facts.of_rows(self.rows[:-1])],
        )

    @property
    def remarks(self) -> list[str]:
        """What to tell a person, one line each."""
        change = f"mean step by {self.order}: {self.steps.mean():.2f}, as given {self.given:.2f}"
        return [*self.notes, change] if len(self.steps) else [*self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return the order as a document of JSON values."""
        songs = [
            {"place": n + 1, **song, "step": round(float(self.steps[n - 1]), 4) if n else None}
            for n, song in enumerate(self._documents())
        ]
        return {
            "schema": "audiorec/order/1",
            "vectors": str(self.store.path),
            "order": self.order,
            "mean_step": round(float(self.steps.mean()), 4) if len(self.steps) else None,
            "mean_step_as_given": round(self.given, 4),
            "notes": list(self.notes),
            "songs": songs,
        }


def ordered(
    store: SearchableStore, songs: Sequence[str], order: Order, *, by: str | Path = "auto"
) -> OrderedSongs:
    """Order some songs of a store so that each fits the one before it.

    Parameters
    ----------
    store : SearchableStore
        For example a `Library`.
    songs : sequence of str
        Ids, or unique parts of them; each is played once.
    order : {"flow", "tempo", "key", "energy"}
        By sound; by tempo, where half and double are the same beat; along the circle of fifths; by
        loudness. Only what is certain of a song counts; a quarter of the sound counts beside it.
    by : {"auto", "sound", "vector"} or path
        What sound is.

    Raises
    ------
    UnknownSongError
        If the store has no such song.
    InputError
        If the order is unknown, or there are no songs.
    """
    if order not in get_args(Order):
        raise InputError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    rows = np.asarray(
        list(dict.fromkeys(store.row_number(store.resolve(name)) for name in songs)), np.int64
    )
    if not len(rows):
        raise InputError("there are no songs to order")
    units = store.space(by).units(rows).astype(np.float64)
    flow = np.clip(1.0 - units @ units.T, 0.0, 2.0)
    costs, lacking = flow, 0
    if order != "flow":
        steps = _steps(store.facts.of_rows(rows), order)
        lacking = int(np.isnan(np.diag(steps)).sum())
        costs = np.where(np.isnan(steps), UNKNOWN, steps) + FLOW * flow
    way = shortest_way(costs)
    note = (f"{lacking} of {len(rows)} songs have no certain {order}: they stand by their sound",)
    return OrderedSongs(
        store=store,
        rows=rows[way],
        by=store.space(by).by,
        notes=note if lacking else (),
        order=order,
        steps=costs[way[:-1], way[1:]],
        given=float(np.diag(costs, 1).mean()) if len(rows) > 1 else 0.0,
        similarities=1.0 - flow[way[:-1], way[1:]],
    )


def _steps(facts: Sequence[SureFacts], order: Order) -> Float64Array:
    """Return how far each song is from each other, from 0 to 1: (m, m), NaN where unknown."""
    if order == "tempo":
        beats = np.asarray([np.nan if one.bpm is None else np.log2(one.bpm) for one in facts])
        far = np.abs(beats[:, None] - beats)
        return np.minimum(far, np.abs(far - OCTAVE))
    if order == "energy":
        level = np.asarray(
            [np.nan if one.loudness_lufs is None else one.loudness_lufs for one in facts]
        )
        return np.minimum(np.abs(level[:, None] - level) / LOUD, 1.0)
    fifths = np.asarray([_fifths(one) for one in facts])
    far = np.abs(fifths[:, None, 0] - fifths[:, 0])
    other_scale = fifths[:, None, 1] != fifths[:, 1]
    return (np.minimum(far, 12 - far) + other_scale * 0.5) / (FIFTHS + 0.5)


def _fifths(song: SureFacts) -> tuple[float, float]:
    """Return where a key stands on the circle of fifths, with its relative, and its scale."""
    if not song.key:
        return np.nan, np.nan
    is_minor = song.scale == SCALES[1]
    return (7 * (TONICS.index(song.key) + 3 * is_minor)) % 12, float(is_minor)


def shortest_way(costs: Float64Array) -> Int64Array:
    """Return the order of m songs with small steps: the shortest of all for up to `EXACT`.

    Of more, the best greedy way from any song, each `EXACT` of whose songs in a row are then put
    in their best order between their neighbours.

    Examples
    --------
    >>> shortest_way(np.abs(np.subtract.outer([3.0, 1.0, 2.0], [3.0, 1.0, 2.0]))).tolist()
    [1, 2, 0]
    """
    size = len(costs)
    if size <= EXACT:
        return np.asarray(_exact(costs), np.int64)
    ways = [_greedy(costs, start) for start in range(min(size, 200))]
    way = min(ways, key=lambda one: sum(costs[a, b] for a, b in pairwise(one)))
    for start in range(0, size - EXACT + 1, EXACT // 2):
        part = way[start : start + EXACT]
        ends = (way[start - 1] if start else None, *way[start + EXACT : start + EXACT + 1])
        before = costs[ends[0], part] if ends[0] is not None else np.zeros(EXACT)
        after = costs[part, ends[1]] if len(ends) > 1 else np.zeros(EXACT)
        best = _exact(costs[np.ix_(part, part)], before, after)
        way[start : start + EXACT] = [part[n] for n in best]
    return np.asarray(way, np.int64)


def _greedy(costs: Float64Array, start: int) -> list[int]:
    way, left = [start], np.ones(len(costs), np.bool_)
    left[start] = False
    while left.any():
        way.append(int(np.where(left, costs[way[-1]], np.inf).argmin()))
        left[way[-1]] = False
    return way


def _exact(
    costs: Float64Array, before: Float64Array | None = None, after: Float64Array | None = None
) -> list[int]:
    """Return the shortest way through all songs, by dynamic programming over sets of them."""
    size = len(costs)
    none = np.zeros(size)
    best = np.full((1 << size, size), np.inf)
    came = np.full((1 << size, size), -1)
    for song in range(size):
        best[1 << song, song] = (none if before is None else before)[song]
    for chosen in range(1, 1 << size):
        for song in range(size):
            if not chosen >> song & 1 or chosen == 1 << song:
                continue
            through = best[chosen ^ 1 << song] + costs[:, song]
            came[chosen, song] = through.argmin()
            best[chosen, song] = through[came[chosen, song]]
    chosen = (1 << size) - 1
    song = int((best[chosen] + (none if after is None else after)).argmin())
    way = []
    while song >= 0:
        way.append(song)
        song, chosen = int(came[chosen, song]), chosen ^ 1 << song
    return way[::-1]
