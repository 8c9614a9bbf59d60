"""Which songs are eligible for a list, and how many per artist or album; which songs are music.

    Choice(only="genre=jazz", per_artist=2)  ──Chooser(store).chosen──▶ `Chosen`: allowed, limits
    search(m) → best m rows   ──select──▶  k rows within all limits

Songs that are not music, and all copies of a recording but the best eligible one
(`audiorec.search.copies`), are left out unless asked for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from audiorec.errors import InputError
from audiorec.search.copies import Recordings, VersionsOf, best_of, recordings_of
from audiorec.search.filters import (
    UNKNOWN,
    excluding,
    matching,
    name_codes,
    parse_conditions,
)
from audiorec.search.music import is_music
from audiorec.search.questions import Choice
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array, Int64Array


def non_music_left_out(not_music: int) -> str:
    """Say how many songs a list lacks because they are not music.

    Examples
    --------
    >>> non_music_left_out(2)
    '2 songs left out: speech, noise, silence or a jingle (`also=non-music`)'
    """
    songs = "song" if not_music == 1 else "songs"
    return f"{not_music} {songs} left out: speech, noise, silence or a jingle (`also=non-music`)"


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

    The ranking is queried for more songs until enough are within the limits or it is exhausted.
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
    for index, row in enumerate(pool[0].tolist()):
        if len(chosen) == k:
            break
        if tally.fits(row):
            tally.add(row)
            chosen.append(index)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A `Choice` applied to a store.

    Attributes
    ----------
    allowed : ndarray, shape (n,), bool
    limits : tuple of Limit
        Without those that no list of eligible songs could exceed.
    not_music : int
        Number of songs left out only because they are not music.
    idle : tuple of str
        Patterns of `Choice.exclude` that match no id.
    unmet : str
        If no song meets all conditions, how many meet each; else empty.
    copies : int
        Number of songs left out only because a better copy is eligible.
    """

    allowed: BoolArray
    limits: tuple[Limit, ...]
    not_music: int
    idle: tuple[str, ...]
    unmet: str = ""
    copies: int = 0


class Chooser:
    """Applies choices to one store, and caches what it reads."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._kinds: dict[str, tuple[Int32Array, int]] = {}

    @cached_property
    def music(self) -> BoolArray:
        """Which songs are music, (n,); see `is_music`."""
        music = is_music(self._store)
        music.flags.writeable = False
        return music

    @cached_property
    def recordings(self) -> Recordings:
        """Which songs are one recording; see `recordings_of`."""
        return recordings_of(self._store)

    @cached_property
    def versions(self) -> VersionsOf:
        """Which songs are versions of one title."""
        return VersionsOf(self._store, self.recordings)

    def chosen(self, choice: Choice, among: BoolArray | None = None) -> Chosen:
        """Return the eligible songs and the limits; of `among`, by default all songs.

        Raises
        ------
        InputError
            If the conditions do not follow the grammar, or use an unknown name or value.
        """
        store = self._store
        conditions = parse_conditions(choice.only) if choice.only is not None else ()
        meets = partial(matching, store, genre_from=choice.genre_from)
        allowed = meets(conditions)
        unmet = ""
        if conditions and not allowed.any():
            counts = [f"{int(meets([c]).sum())} meet {c}" for c in conditions]
            unmet = f"no song meets {', '.join(map(str, conditions))}: {', '.join(counts)}"
        if among is not None:
            allowed &= among
        excluded, idle = excluding(store, choice.exclude)
        allowed &= ~excluded
        if choice.exclude_ids:
            allowed &= ~store.mask(choice.exclude_ids)
        before = int(allowed.sum())
        if "non-music" not in choice.also:
            allowed &= self.music
        music = int(allowed.sum())
        limits = [self._limit("artist", choice.per_artist), self._limit("album", choice.per_album)]
        if "copies" not in choice.also:
            of = self.versions if choice.one_version else self.recordings
            allowed &= best_of(of.codes, of.rank, allowed)
            # For the copies of the question's own songs.
            limits.append(Limit(of.codes, 1) if (of.codes != UNKNOWN).any() else None)
        return Chosen(
            allowed=allowed,
            limits=tuple(limit for limit in limits if limit is not None),
            not_music=before - music,
            copies=music - int(allowed.sum()),
            idle=idle,
            unmet=unmet,
        )

    def copies(self, rows: Int64Array, *, one_version: bool = False) -> int:
        """Return how many further songs of the store are copies, or versions, of `rows`."""
        codes = (self.versions if one_version else self.recordings).codes
        shown = np.zeros(len(codes), np.bool_)
        shown[rows] = True
        return int((np.isin(codes, codes[shown & (codes != UNKNOWN)]) & ~shown).sum())

    def _limit(self, column: str, most: int | None) -> Limit | None:
        if not most:
            return None
        if column not in self._kinds:
            codes = name_codes(self._store, column)
            self._kinds[column] = (
                codes,
                int(np.bincount(codes[codes != UNKNOWN], minlength=1).max()),
            )
        kinds, largest = self._kinds[column]
        return Limit(kinds, most, column) if largest > most else None
