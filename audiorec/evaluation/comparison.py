"""Compare several ranking methods on the same users and songs.

    Panel, methods  ──compare──▶  `Comparison`: one row per method, and differences to the first

A method is a function from user indices to similarities with the panel's songs.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import (
    auc_per_user,
    coverage,
    mean_interval,
    paired_difference,
    popularity_bias,
    top_measures,
)
from audiorec.types import BoolArray, Float64Array, Int64Array

Method = Callable[[Int64Array], npt.NDArray[np.floating]]
USERS_AT_ONCE = 512
MEASURES = ("auc", "precision", "recall", "ndcg")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """The users and the songs of an evaluation."""

    users: Int64Array  # (Q,): user indices, passed to the methods
    # (Q, S): as in `audiorec.evaluation.ranking`; every user has a liked and another candidate
    liked: BoolArray
    candidates: BoolArray  # (Q, S)
    likes: Int64Array  # (S,): likes of each song, for the popularity bias

    def __post_init__(self) -> None:
        has_liked = (self.liked & self.candidates).any(1)
        has_other = (self.candidates & ~self.liked).any(1)
        if not len(self.users) or not (has_liked & has_other).all():
            raise InputError(
                "no user can be evaluated: each needs a liked held-out song and another candidate "
                "to compare it with"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Figures of one method."""

    # (Q,): ``auc``, ``precision``, ``recall``, ``ndcg``
    per_user: Mapping[str, Float64Array] = field(repr=False)
    means: Mapping[str, Interval]
    # AUC of the first method minus this one's, on the same users; None for the first
    ahead: Interval | None
    coverage: float  # of the top k
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Figures of all methods on one panel; each is compared with the first."""

    rows: Mapping[str, Row]
    n_users: int
    n_songs: int
    k: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined figures become None."""
        return {
            "users": self.n_users,
            "songs": self.n_songs,
            "k": self.k,
            "methods": {name: _plain_row(row) for name, row in self.rows.items()},
        }


def compare(
    panel: Panel, methods: Mapping[str, Method], *, k: int, rng: np.random.Generator
) -> Comparison:
    """Evaluate every method on the same users and songs, and compare the first with the others.

    `k` is the list length for precision, recall, NDCG, coverage and bias.
    """
    rows: dict[str, Row] = {}
    first: Float64Array | None = None
    for name, method in methods.items():
        per_user, top = _judge(panel, method, k)
        ahead = None if first is None else paired_difference(first, per_user["auc"], rng)
        first = per_user["auc"] if first is None else first
        rows[name] = Row(
            per_user=per_user,
            means={m: mean_interval(per_user[m], rng) for m in MEASURES},
            ahead=ahead,
            coverage=coverage(top, len(panel.likes)),
            bias=popularity_bias(top, panel.likes),
        )
    return Comparison(rows=rows, n_users=len(panel.users), n_songs=len(panel.likes), k=k)


def _judge(panel: Panel, method: Method, k: int) -> tuple[dict[str, Float64Array], Int64Array]:
    parts: list[dict[str, Any]] = []
    for start in range(0, len(panel.users), USERS_AT_ONCE):
        block = slice(start, start + USERS_AT_ONCE)
        similarities = method(panel.users[block])
        liked, candidates = panel.liked[block], panel.candidates[block]
        found = top_measures(similarities, liked, candidates, k)
        auc = auc_per_user(similarities, liked, candidates)
        names = ("precision", "recall", "ndcg", "top")
        parts.append({"auc": auc, **{name: getattr(found, name) for name in names}})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return joined, joined.pop("top")


def _plain_row(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = {name: _plain(row.means[name]) for name in MEASURES}
    content["ahead"] = None if row.ahead is None else _plain(row.ahead)
    for name, value in (("coverage", row.coverage), ("popularity_bias", row.bias)):
        content[name] = round(value, 6) if np.isfinite(value) else None
    return content


def _plain(interval: Interval) -> list[float]:
    return [round(v, 6) for v in astuple(interval)]
