"""Detect drift: whether scores are distributed as in the last run.

    scores of a song {"genre/jazz": 0.8, ...} ──add──▶ ScoreDistribution ──drifts──▶ [Drift]

A run keeps, for each class, the mean of its songs' mean scores and the number of songs in each of
18 bins. Two runs are compared by the population stability index,

    PSI = sum over bins of (q - p) ln(q / p),

where p and q are the shares before and now. Adjacent bins are merged until each holds a twentieth
of both runs together. A class has drifted if its PSI is at least `LARGE` and exceeds what chance
explains: if both runs are samples of one distribution, PSI is about (1/n + 1/m) times chi-squared
with one degree of freedom less than there are bins. Since songs of one album are alike, n and m are
Kish's effective sample sizes: the square of the number of songs, divided by the sum of squares of
the numbers of songs per album (the number of albums, if all have the same size). A song without an
album counts as an album.

`benchmarks/eval_drift.py` prints the false alarm rate and the detection rate.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EDGES = (
    *(0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
)
BINS = len(EDGES) + 1
LARGE = 0.25  # PSI; by convention, below 0.1 is no change, above 0.25 another population
CHANCE = 0.001  # of a false alarm in any class of a run, if albums are independent
LEAST_SHARE = 0.05  # of the songs of both runs, in a bin
LEAST_INDEPENDENT = 50.0  # effective songs per run; with fewer, runs are not compared
MOST_CLASSES = 1000
LONGEST_NAME = 200  # letters of a class name


@dataclass(frozen=True, slots=True)
class Drift:
    """Change of one class: its mean scores before and now, PSI, and whether it is drift."""

    name: str
    before: float
    now: float
    psi: float
    is_drift: bool


@dataclass(slots=True)
class ScoreDistribution:
    """Distribution of the scores of a run's songs, by class."""

    songs: int = 0
    squares: int = 0  # sum over albums of the squared number of songs
    sums: dict[str, float] = field(default_factory=dict)  # sum of the songs' scores
    # number of songs in each bin of [0, 1], divided at `EDGES`
    bins: dict[str, list[int]] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def independent(self) -> float:
        """Kish's effective number of songs: how many independent ones would say as much."""
        return self.songs**2 / self.squares if self.squares else 0.0

    def add(self, scores: Mapping[str, float], album: str = "") -> None:
        """Count one song by its score for each class; `album` identifies its album."""
        self.songs += 1
        before = 0
        if album:
            key = hash(album)  # saves the memory of a million names
            before = self._sizes.get(key, 0)
            self._sizes[key] = before + 1
        self.squares += 2 * before + 1
        for name, score in scores.items():
            self.sums[name] = self.sums.get(name, 0.0) + score
            self.bins.setdefault(name, [0] * BINS)[bisect_right(EDGES, score)] += 1

    def merge(self, other: "ScoreDistribution") -> None:
        """Add the songs of another run to this one's."""
        self.songs += other.songs
        self.squares += other.squares
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            mine = self.bins.get(name, [0] * BINS)
            self.bins[name] = [a + b for a, b in zip(mine, other.bins[name], strict=True)]

    def mean(self, name: str) -> float:
        """Return the mean score of a class."""
        return self.sums[name] / self.songs

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        means = {name: round(self.mean(name), 6) for name in sorted(self.sums)}
        bins = dict(sorted(self.bins.items()))
        return {"songs": self.songs, "squares": self.squares, "means": means, "bins": bins}

    @classmethod
    def from_dict(cls, content: object) -> "ScoreDistribution":
        """Parse what `to_dict` returned; raise `ValueError`, in one line, for anything else."""
        if not isinstance(content, Mapping):
            raise ValueError("scores are not an object")
        songs, squares = _count(content.get("songs")), _count(content.get("squares"))
        means, bins = content.get("means"), content.get("bins")
        if not (isinstance(means, Mapping) and isinstance(bins, Mapping)):
            raise ValueError("scores need means and bins")
        if (
            not songs <= squares <= songs**2
            or len(means) > MOST_CLASSES
            or means.keys() != bins.keys()
        ):
            raise ValueError("means and bins of scores do not match")
        found = cls(songs, squares)
        for name, mean in means.items():
            counts = bins[name]
            if not (isinstance(mean, (int, float)) and 0 <= mean <= 1 and _is_row(counts)):
                raise ValueError("means or bins of scores are out of range")
            if len(name) > LONGEST_NAME or sum(counts) != songs:
                raise ValueError("bins of scores do not add up to the songs")
            found.sums[name], found.bins[name] = float(mean) * songs, list(counts)
        return found


def drifts(before: ScoreDistribution, now: ScoreDistribution) -> list[Drift]:
    """Compare two runs class by class, largest PSI first; empty if either has too few songs."""
    if min(before.independent, now.independent) < LEAST_INDEPENDENT:
        return []
    names = sorted(before.bins.keys() & now.bins.keys())
    found = []
    for name in names:
        psi, n_bins = stability(before.bins[name], now.bins[name])
        by_chance = (1 / before.independent + 1 / now.independent) * _chi_squared(
            n_bins - 1, len(names)
        )
        found.append(
            Drift(
                name=name,
                before=before.mean(name),
                now=now.mean(name),
                psi=psi,
                is_drift=psi >= max(LARGE, by_chance),
            )
        )
    return sorted(found, key=lambda one: -one.psi)


def stability(before: Sequence[int], now: Sequence[int]) -> tuple[float, int]:
    """Return the population stability index of two histograms, and the number of bins used.

    Half a song is added to every bin, so that the logarithm of an empty one exists.

    Examples
    --------
    >>> psi, n_bins = stability([50, 50], [80, 20])
    >>> f"{psi:.2f}", n_bins
    ('0.41', 2)
    """
    pairs = _joined(before, now)
    totals = [sum(column) + len(pairs) / 2 for column in zip(*pairs, strict=True)]
    shares = [
        [(count + 0.5) / total for count, total in zip(p, totals, strict=True)] for p in pairs
    ]
    return sum((q - p) * math.log(q / p) for p, q in shares), len(pairs)


def _joined(before: Sequence[int], now: Sequence[int]) -> list[tuple[int, int]]:
    """Merge adjacent bins until each holds at least `LEAST_SHARE` of both runs."""
    n, m = sum(before), sum(now)
    pairs: list[tuple[int, int]] = []
    a = b = 0
    for here, there in zip(before, now, strict=True):
        a, b = a + here, b + there
        if (a / n + b / m) / 2 >= LEAST_SHARE:
            pairs.append((a, b))
            a = b = 0
    if pairs and (a or b):  # the rest is merged into the last bin
        pairs[-1] = (pairs[-1][0] + a, pairs[-1][1] + b)
    return pairs


def _chi_squared(freedom: int, classes: int) -> float:
    """Return the critical value of chi-squared at level `CHANCE`, Bonferroni-corrected."""
    if freedom < 1:
        return 0.0
    from scipy.special import chdtri  # takes a tenth of a second, so only if needed

    return float(chdtri(freedom, CHANCE / classes))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError("a count of scores is not a number")
    return value


def _is_row(value: object) -> bool:
    return isinstance(value, list) and len(value) == BINS and sum(map(_count, value)) >= 0
