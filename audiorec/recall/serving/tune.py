"""Weights of a fusion, learnt on validation: chosen on half of the users, checked on the rest.

    candidates (one file a channel), JudgingSplit ──tune──▶ `Tuned`: weights, and how sure

The split is one that no channel learnt from: the test set has to stay out of it. What a weight
brings is read off the second half of the users, on which nothing was chosen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.recall.contract.tables import Lists
from audiorec.recall.judging.judge import Judgement, judge
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.serving.fuse import fuse
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tables import user_blocks
from audiorec.types import Int64Array, strings

FACTORS = (0.0, 0.5, 2.0)  # what a weight is multiplied by in a turn of the search
TURNS = 3  # over all channels
USERS = 4_000  # that are looked at, half of them to choose on
GAIN = 1e-4  # less is no gain
Measure = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One setting of the weights, and what its lists are like."""

    weights: tuple[float, ...]
    figures: Mapping[str, float]  # measures at k, plays of a song, coverage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuned:
    """What a search found.

    Attributes
    ----------
    recipe : FusionRecipe
        With the best weights.
    tried : tuple of Tried
        In the order of the search: each channel alone, all alike, then the steps. On the half of
        the users that was chosen on.
    checked : mapping of str to Interval
        On the other half: the measure of the chosen weights (``chosen``), and by how much they are
        ahead of all alike (``over equal``) and of the best channel alone (``over best alone``).
    by : tuple of str and int
        The measure that was to be large.
    """

    recipe: FusionRecipe
    tried: tuple[Tried, ...]
    checked: Mapping[str, Interval]
    by: Measure = field(default=("hit_rate", 100))


def tune(
    paths: Sequence[Path],
    split: JudgingSplit,
    recipe: FusionRecipe,
    *,
    by: Measure | None = None,
    users: int = USERS,
    seed: int = 0,
) -> Tuned:
    """Search for the weights of a fusion.

    Parameters
    ----------
    paths : sequence of path
        Candidates for the queries of `split`, one file a channel.
    split : JudgingSplit
        Validation: channels must not have learnt from what it wants.
    recipe : FusionRecipe
        Everything but the weights.
    by : tuple of str and int, optional
        Measure and k; by default the hit rate in the whole list.
    users : int
        Of the split that are looked at, drawn at random.
    seed : int
        Of the drawing.

    Raises
    ------
    InputError
        If fewer than two files are given, or too few users of the split have candidates.
    """
    if len(paths) < 2:
        raise InputError("give two tables of candidates or more: one has no weights to learn")
    measure = by or ("hit_rate", recipe.k)
    order = np.random.default_rng(seed).permutation(len(split))[:users]
    if len(order) < 2:
        raise InputError("too few users to choose on some and to check on others")
    halves = [
        _Half.of(paths, _part(split, rows), recipe, measure) for rows in np.array_split(order, 2)
    ]
    chosen, tried = halves[0].search(len(paths))
    alone = max(range(len(paths)), key=lambda n: tried[n].figures[_named(measure)])
    per_query = [
        halves[1].judged(weights).per_query[measure]
        for weights in (chosen, (1.0,) * len(paths), _alone(alone, len(paths)))
    ]
    rng, cluster = np.random.default_rng(seed), halves[1].split.cluster
    named = {
        "chosen": per_query[0],
        "over equal": per_query[0] - per_query[1],
        "over best alone": per_query[0] - per_query[2],
    }
    checked = {name: clustered_interval(values, cluster, rng) for name, values in named.items()}
    return Tuned(
        recipe=replace(recipe, weights=chosen), tried=tuple(tried), checked=checked, by=measure
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Half:
    """Some queries with the candidates of each channel, in memory."""

    tables: Sequence[Any]
    split: JudgingSplit
    recipe: FusionRecipe
    by: Measure

    @classmethod
    def of(
        cls, paths: Sequence[Path], split: JudgingSplit, recipe: FusionRecipe, by: Measure
    ) -> "_Half":
        blocks = list(_of_users(paths, split.histories.owner_ids))
        if not any(len(table) for block in blocks for table in block):
            some = split.histories.owner_ids[0]
            raise InputError(f"no table has candidates for a user of the split, as {some!r}")
        tables = [pa.concat_tables(parts) for parts in zip(*blocks, strict=True)]
        return cls(tables=tables, split=split, recipe=recipe, by=by)

    def judged(self, weights: tuple[float, ...]) -> Judgement:
        """Fuse with some weights and judge the lists."""
        fused = fuse(self.tables, replace(self.recipe, weights=weights))
        lists = Lists.of_table(fused, "fused")
        ks = sorted({20, self.recipe.k, self.by[1]})
        return judge(lists, self.split, ks=ks, keep_heard=True, trained=True)

    def search(self, n: int) -> tuple[tuple[float, ...], list[Tried]]:
        """Return the best weights, and all that were tried."""
        seen: dict[tuple[float, ...], Tried] = {}

        def worth(weights: tuple[float, ...]) -> float:
            key = tuple((np.array(weights) / max(weights)).round(6).tolist())
            if key not in seen:
                seen[key] = Tried(weights=key, figures=_figures(self.judged(key), self.recipe.k))
            return seen[key].figures[_named(self.by)]

        for channel in range(n):
            worth(_alone(channel, n))
        best = (1.0,) * n
        reached = worth(best)
        for _ in range(TURNS):
            before = reached
            for channel in range(n):
                for factor in FACTORS:
                    step = (*best[:channel], best[channel] * factor, *best[channel + 1 :])
                    if any(step) and (found := worth(step)) > reached + GAIN:
                        best, reached = step, found
            if reached <= before:
                break
        return tuple((np.array(best) / max(best)).round(6).tolist()), list(seen.values())


def _of_users(paths: Sequence[Path], user_ids: tuple[str, ...]) -> Iterable[list[Any]]:
    wanted = strings(user_ids)
    for block in user_blocks(paths):
        yield [t.filter(pc.is_in(t.column("user_id"), value_set=wanted)) for t in block]


def _part(split: JudgingSplit, rows: Int64Array) -> JudgingSplit:
    rows = np.sort(rows)
    return replace(
        split,
        histories=split.histories.take(rows),
        wanted=split.wanted.take(rows),
        cluster=split.cluster[rows],
    )


def _alone(channel: int, n: int) -> tuple[float, ...]:
    return tuple(float(number == channel) for number in range(n))


def _named(measure: Measure) -> str:
    return f"{measure[0]}@{measure[1]}"


def _figures(found: Judgement, k: int) -> dict[str, float]:
    """Return what a trade-off is about: accuracy, hits, variety."""
    first: list[Measure] = [("hit_rate", k), ("recall", k), ("ndcg", k), ("mrr", 20)]
    order = dict.fromkeys([*first, *found.means])
    figures = {_named(at): found.means[at].value for at in order}
    return figures | {name: float(value) for name, value in found.spread.items()}
