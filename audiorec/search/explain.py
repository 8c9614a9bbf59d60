"""Explain a similarity: the contribution of each class and statistic.

    query (W,), song (W,)  ──explain──▶  contributions that add up to the similarity

The similarity is a sum of products, one per column of the weighted vectors. A product is positive
if both songs lie on the same side of the store's average, and negative if they lie on different
sides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import ShapeError
from audiorec.search.scaling import LOG_ODDS_FLOOR, Scaling
from audiorec.types import Float64Array, FloatArray

if TYPE_CHECKING:
    from audiorec.store.schema import StoreMetadata

TOP = 3  # classes named in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The contribution of one column to the similarity of a song and a query."""

    name: str  # the class, as ``head/class``
    statistic: str
    contribution: float  # added to the similarity; negative where the two differ
    # Values before scaling: of the query (the mean over several seeds), of the song, and the
    # store's average (for log-odds columns, the average of the log-odds, converted back).
    query: float
    song: float
    usual: float

    def __str__(self) -> str:
        """Return for example ``mean both high: 0.62, 0.58; usual 0.12``."""
        sides = "both high" if self.song > self.usual else "both low"
        relation = sides if self.contribution >= 0 else "apart"
        numbers = f"{_short(self.query)}, {_short(self.song)}; usual {_short(self.usual)}"
        return f"{self.statistic} {relation}: {numbers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A similarity broken down into contributions.

    Attributes
    ----------
    similarity : float
        The sum of all contributions.
    reasons : tuple of Reason
        One for each column of weight above 0, largest absolute contribution first.
    """

    similarity: float
    reasons: tuple[Reason, ...]

    @property
    def by_class(self) -> Mapping[str, float]:
        """Contributions summed over the statistics of each class, largest first."""
        return _sums((reason.name, reason.contribution) for reason in self.reasons)

    @property
    def by_statistic(self) -> Mapping[str, float]:
        """Contributions summed over the classes, per statistic, largest first."""
        return _sums((reason.statistic, reason.contribution) for reason in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return the contributions as JSON values, rounded to six places."""
        names = {"name": "class"}
        return {
            "by_class": {name: round(v, 6) for name, v in self.by_class.items()},
            "by_statistic": {name: round(v, 6) for name, v in self.by_statistic.items()},
            "reasons": [
                {
                    names.get(field, field): round(v, 6) if isinstance(v, float) else v
                    for field, v in asdict(reason).items()
                }
                for reason in self.reasons
            ],
        }

    @property
    def short(self) -> str:
        """The classes with the largest contributions, and the sum of the others, in one line.

        For example ``+0.31 metal, +0.22 rock, -0.05 vocal, +0.12 others``.
        """
        sums, names = self.by_class, self._largest
        parts = [f"{sums[name]:+.2f} {_label(name)}" for name in names[:TOP]]
        if len(names) > TOP:
            parts.append(f"{sum(sums[name] for name in names[TOP:]):+.2f} others")
        return ", ".join(parts)

    def __str__(self) -> str:
        """Return the largest contributions, each with an example column.

        The example is the mean score, unless its sign differs from the class's sum: then it is
        the column that contributes most in the direction of the sum.
        """
        sums, names = self.by_class, self._largest
        parts = [
            f"{sums[name]:+.2f} {_label(name)} ({self._example(name, sums[name])})"
            for name in names[:TOP]
        ]
        if others := names[TOP:]:
            rest = sum(sums[name] for name in others)
            parts.append(f"{rest:+.2f} {len(others)} other classes")
        return "; ".join(parts)

    @property
    def _largest(self) -> list[str]:
        """The classes, largest absolute contribution first."""
        sums = self.by_class
        return sorted(sums, key=lambda name: -abs(sums[name]))

    def _example(self, name: str, total: float) -> Reason:
        own = [reason for reason in self.reasons if reason.name == name]
        own.sort(key=lambda reason: reason.contribution, reverse=total >= 0)
        means = [r for r in own if r.statistic == "mean" and r.contribution * total > 0]
        return (means or own)[0]


def explain(
    query_unit: FloatArray,
    song_unit: FloatArray,
    *,
    scaling: Scaling,
    query: FloatArray,
    song: FloatArray,
    metadata: "StoreMetadata",
) -> Explanation:
    """Break down the similarity of a song and a query by column.

    Parameters
    ----------
    query_unit, song_unit : ndarray, shape (W,)
        Prepared by `scaling`; their product is the similarity.
    query, song : ndarray, shape (V,)
        The vectors as stored.
    metadata : StoreMetadata
        Names of classes and statistics.

    Raises
    ------
    ShapeError
        If the shapes do not match.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> space = store.space("mean")
    >>> why = explain(
    ...     *space.units([0, 1]),
    ...     scaling=space.scaling,
    ...     query=store.vectors[0],
    ...     song=store.vectors[1],
    ...     metadata=store.metadata,
    ... )
    >>> round(why.similarity, 2), why.reasons[0].name
    (0.91, 'genre/blues')
    """
    products = query_unit.astype(np.float64) * song_unit.astype(np.float64)
    columns, usual = scaling.columns, _usual(scaling)
    expected = (columns.shape, (scaling.width,), (scaling.width,))
    if (products.shape, query.shape, song.shape) != expected:
        got = (products.shape, query.shape, song.shape)
        raise ShapeError(f"units and vectors of shapes {expected} expected, got {got}")
    statistics = metadata.statistics
    reasons = [
        Reason(
            name=metadata.classes[column // len(statistics)],
            statistic=statistics[column % len(statistics)],
            contribution=float(product),
            query=float(query[column]),
            song=float(song[column]),
            usual=float(middle),
        )
        for column, product, middle in zip(columns.tolist(), products, usual, strict=True)
    ]
    reasons.sort(key=lambda reason: -abs(reason.contribution))
    return Explanation(similarity=float(products.sum()), reasons=tuple(reasons))


def _label(name: str) -> str:
    return name.partition("/")[2] or name


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 else "<0.001" if value < 0.001 else f"{value:.3f}"


def _usual(scaling: Scaling) -> Float64Array:
    """Return the centre of each column, with log-odds converted back to probabilities."""
    odds = np.exp(np.where(scaling.log_odds, scaling.centre, 0.0))
    probability = (odds * (1.0 + LOG_ODDS_FLOOR) - LOG_ODDS_FLOOR) / (1.0 + odds)
    return np.where(scaling.log_odds, probability, scaling.centre)


def _sums(parts: Iterable[tuple[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, value in parts:
        totals[name] = totals.get(name, 0.0) + value
    return dict(sorted(totals.items(), key=lambda item: -item[1]))
