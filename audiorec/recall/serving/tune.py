"""Learn the settings of a fusion on validation users: one half to choose, the other to check.

    candidates (one file per channel), JudgingSplit ──tune──▶ `Tuned`: settings with intervals
    tables (one per channel), wanted songs ──Standings.of──▶ place (N, C)
    `Standings` of validation users ──learn_points──▶ points of each table at the places `KNOTS`
    weights of N entries ──ranks──▶ ranks of the wanted songs

An entry is a pair of a user and a proposed song. Use a split that no channel was trained on, and
keep the test set out of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval, rank_measures
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import DEFAULT, Lists
from audiorec.recall.judging.judge import evaluate
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.serving.fuse import (
    ALONE,
    NO_FACTS,
    Measure,
    Tried,
    Tuned,
    fuse,
    measure_name,
)
from audiorec.recall.serving.rules import (
    KNOTS,
    REPLAY,
    FusionRecipe,
    Method,
    SongTraits,
)
from audiorec.recall.serving.tables import CandidateRows, user_blocks
from audiorec.types import Float64Array, IdMap, Int64Array, string_array

ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standings:
    """Places of N entries of Q users in the lists of C channels.

    `audiorec.recall.serving.fuse` applies rules and makes lists; this only ranks the wanted songs,
    without rules, in a hundredth of the time, so that a search can use many users.

    Attributes
    ----------
    place : ndarray, shape (N, C), float64
        From 0, sorted by user and song; `ABSENT` if a channel does not propose the song.
    user : ndarray, shape (N,), int64
        Row of the user in the wanted lists, ascending.
    wanted : ndarray, int64
        Entry of each wanted song; `ABSENT` if no channel proposes it.
    query : ndarray, int64
        User of each wanted song.
    """

    place: Float64Array
    user: Int64Array
    wanted: Int64Array
    query: Int64Array
    # all entries of the user of each proposed wanted song, concatenated; start of each run
    _beside: Int64Array = field(repr=False)
    _starts: Int64Array = field(repr=False)

    @classmethod
    def of(cls, tables: Sequence[Any], wanted: Sequences) -> "Standings":
        """Build from candidates, one table of `SCHEMA` per channel, and wanted songs."""
        rows = CandidateRows.of(tables)
        place = rows.places()
        owner = IdMap(wanted.owner_ids).rows(rows.user_ids)[rows.user]
        kept = owner >= 0
        width = len(rows.song_ids)
        key = owner[kept] * width + rows.song[kept]
        entries, entry = np.unique(key, return_inverse=True)
        grid = np.full((len(entries), len(tables)), float(ABSENT))
        grid[entry, rows.source[kept]] = place[kept]
        song = IdMap(rows.song_ids).rows(wanted.song_ids)[wanted.song]
        asked = np.where(song >= 0, wanted.owner * width + song, -1)
        at = np.searchsorted(entries, asked)
        there = (at < len(entries)) & (entries[np.minimum(at, len(entries) - 1)] == asked)
        user = entries // width
        result = np.where(there, at, ABSENT)
        query = wanted.owner[there]
        first = np.searchsorted(user, query)
        sizes = np.searchsorted(user, query, side="right") - first
        starts = np.cumsum(sizes) - sizes
        beside = np.arange(sizes.sum()) - np.repeat(starts - first, sizes)
        return cls(
            place=grid,
            user=user,
            wanted=result,
            query=wanted.owner,
            _beside=beside,
            _starts=starts,
        )

    def ranks(self, weight: Float64Array) -> Float64Array:
        """Return the rank of each wanted song, from 1, by weights of the entries (N,).

        Ties are ranked by song; inf if no channel proposes the song or its weight is 0.
        """
        there = self.wanted >= 0
        entry = self.wanted[there]
        sizes = np.diff(np.append(self._starts, len(self._beside)))
        own, of = weight[entry], np.repeat(np.arange(len(entry)), sizes)
        other = weight[self._beside]
        before = (other > own[of]) | ((other == own[of]) & (self._beside < entry[of]))
        result = np.full(len(self.wanted), np.inf)
        counts = np.bincount(of[before], minlength=len(entry))
        result[there] = np.where(own > 0, 1 + counts, np.inf)
        return result

    def weigh(self, recipe: FusionRecipe) -> Float64Array:
        """Return the weight of each entry, (N,), as computed by `fuse`; not for quotas."""
        weights = recipe.weights_of(self.place.shape[1])
        result = np.zeros(len(self.place))
        for table, weight in enumerate(weights.tolist()):
            place = self.place[:, table]
            if recipe.method == "points":
                given = recipe.points_at(np.full(len(place), table), np.maximum(place, 0))
            else:
                given = 1 / (recipe.flatness + np.maximum(place, 0) + 1)
            result += weight * np.where(place >= 0, given, 0.0)
        return result


PENALTY = 1e-3  # on the squared steps between points, per wanted song
ITERATIONS = 200
DIGITS = 4


def learn_points(places: Standings) -> tuple[tuple[float, ...], ...]:
    """Learn the points of each table.

    The points of a song are summed over the channels. They maximise the likelihood of the wanted
    songs under a softmax over all candidates of a user, and never increase with the place. This
    generalises a weighted reciprocal rank by a learnt curve for each channel: one channel may be
    accurate only at its first place, another down to its last.

    Parameters
    ----------
    places : Standings
        Of validation users; no channel may have been trained on the wanted songs.

    Returns
    -------
    points : tuple of tuple of float
        As `FusionRecipe.points`: one row for each of C tables.
    """
    from scipy.optimize import minimize

    entry, query = (a[places.wanted >= 0] for a in (places.wanted, places.query))
    n_tables = int(places.place.shape[1])
    if not len(entry):
        return ((0.0,) * len(KNOTS),) * n_tables
    # Users without a hit do not affect the likelihood: the softmax is over their candidates.
    kept = np.isin(places.user, query)
    number = np.cumsum(kept) - 1
    matrix = _curves(places.place[kept])
    owner, starts = np.unique(places.user[kept], return_index=True)
    row = np.searchsorted(owner, query)
    hits = np.bincount(row, minlength=len(owner)).astype(np.float64)
    wanted = np.bincount(number[entry], minlength=matrix.shape[0]).astype(np.float64)
    per_entry = np.diff(np.append(starts, matrix.shape[0]))
    aim = matrix.T @ wanted

    def loss(steps: Float64Array) -> tuple[float, Float64Array]:
        given = matrix @ _summed(steps)
        top = np.maximum.reduceat(given, starts)
        likely = np.exp(given - np.repeat(top, per_entry))
        total = np.add.reduceat(likely, starts)
        share = likely * np.repeat(hits / total, per_entry)
        value = (hits * (np.log(total) + top)).sum() - wanted @ given
        slope = _back(matrix.T @ share - aim)
        n = len(entry)
        return value / n + PENALTY * (steps**2).sum(), slope / n + 2 * PENALTY * steps

    begin = np.full(n_tables * len(KNOTS), 0.3)
    result = minimize(
        loss,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(begin),
        options={"maxiter": ITERATIONS},
    )
    grid = _summed(result.x).reshape(n_tables, len(KNOTS)).round(DIGITS)
    return tuple(tuple(map(float, row)) for row in grid)


def _summed(steps: Float64Array) -> Float64Array:
    """Return non-increasing points from non-negative steps."""
    grid = steps.reshape(-1, len(KNOTS))
    return np.asarray(grid[:, ::-1].cumsum(axis=1)[:, ::-1].ravel(), np.float64)


def _back(slope: Float64Array) -> Float64Array:
    """Return the gradient with respect to steps from that with respect to points."""
    return np.asarray(slope.reshape(-1, len(KNOTS)).cumsum(axis=1).ravel(), np.float64)


def _curves(place: Float64Array) -> Any:
    """Return the sparse matrix that maps points to the sum of each entry: (N, C times knots)."""
    from scipy.sparse import csr_array

    rows, columns, values = [], [], []
    knots = np.log(KNOTS)
    for table in range(place.shape[1]):
        there = np.flatnonzero(place[:, table] >= 0)
        depth = np.minimum(np.log(place[there, table] + 1.0), knots[-1])
        low = np.clip(np.searchsorted(knots, depth, side="right") - 1, 0, len(knots) - 2)
        part = (depth - knots[low]) / (knots[low + 1] - knots[low])
        rows += [there, there]
        columns += [table * len(KNOTS) + low, table * len(KNOTS) + low + 1]
        values += [1 - part, part]
    shape = (len(place), place.shape[1] * len(KNOTS))
    cells = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), cells), shape=shape)


FACTORS = (0.0, 0.5, 2.0)  # multiples of a weight that the search tries
FLATNESSES = (0.0, 1.0, 3.0, 10.0, 20.0, 60.0)
TURNS = 3  # passes over all channels
USERS = 20_000  # users in both halves together
LISTED = 1_000  # users whose lists are fused to evaluate a dial
GAIN = 1e-4  # smaller differences are ignored
CHOOSE = 2 / 3  # share of the first half for fitting; the rest compares the methods
DIALS: Mapping[str, tuple[float, ...]] = {
    "cold_share": (0.05, 0.1, 0.2, 0.3, 0.5),
    "replay_share": (0.1, 0.2, 0.3, 0.5),
    "popularity": (0.05, 0.1, 0.2, 0.3, 0.5),
    "diversity": (0.1, 0.2, 0.3, 0.5),
}
SHARES = ("cold_share", "replay_share")  # may increase accuracy, not only variety


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """How settings are learnt.

    Attributes
    ----------
    measure : {"ndcg", "hit_rate", "recall", "capped_recall", "mrr"}
        The measure to maximise, over the whole list.
    tolerance : float, optional
        Share of the accuracy that dials may cost; empty: that of the entry, else 0.
    users : int
        Number of users; half of them select the settings.
    seed : int
        Seed of their sample.
    """

    measure: Literal["ndcg", "hit_rate", "recall", "capped_recall", "mrr"] = "ndcg"
    tolerance: float | None = None
    users: int = USERS
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, users=">=4", seed=">=0")


def tune(
    paths: Sequence[Path],
    split: JudgingSplit,
    recipe: FusionRecipe,
    *,
    by: Measure | None = None,
    users: int = USERS,
    seed: int = 0,
    names: Sequence[str] = (),
    tolerance: float = 0.0,
    facts: SongTraits = NO_FACTS,
) -> Tuned:
    """Search for the settings of a fusion.

    1. On two thirds of the first half, weights and flatness of a reciprocal rank are searched, and
       points are learnt (`learn_points`); points are chosen if they are better on the remaining
       third by more than one standard error.
    2. The shares of never-played and of replayed songs are set to maximise accuracy; then shares
       and dials (popularity, diversity) are raised as far as accuracy falls by no more than
       `tolerance`.
    3. The result is evaluated on the second half, on which nothing was chosen.

    Parameters
    ----------
    paths : sequence of path
        Candidates for the queries of `split`, one file per channel.
    split : JudgingSplit
        A validation split; no channel may have been trained on its targets.
    recipe : FusionRecipe
        Settings that are not learnt: k and caps. The method is learnt unless it is ``quotas``;
        dials above 0 are left as they are.
    by : tuple of str and int, optional
        Measure and k to maximise; by default NDCG of the whole list.
    users : int
        Maximum number of users, sampled from the split by cluster.
    seed : int
        Seed of the sample.
    names : sequence of str, optional
        Names of the tables, for `Tried.name`; by default their file names.
    tolerance : float
        Share of the accuracy that dials may cost; at 0 only the shares are learnt.
    facts : SongTraits
        As for `fuse`; dials that lack the facts they need are not turned.

    Raises
    ------
    InputError
        If fewer than two files are given, or too few users of the split have candidates.
    """
    if len(paths) < 2:
        raise InputError("give at least two tables of candidates; one has no weights to learn")
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance must be at least 0 and below 1, got {tolerance:g}")
    measure = by or ("ndcg", recipe.k)
    first, second = _halves(split, users, seed)
    blocks = list(_of_users(paths, first, second))
    choose, check = (
        _Sample(
            tables=[pa.concat_tables(parts[side]) for parts in blocks],
            split=of,
            recipe=recipe,
            by=measure,
            facts=facts,
        )
        for side, of in enumerate((first, second))
    )
    search = _Search(choose, tuple(names) or tuple(path.stem for path in paths))
    result = search.method(seed)
    result = search.dials(result, tolerance)
    shown = _shown(measure, recipe.k)
    best = {at: search.best_alone(at) for at in shown}
    chosen, equal = (check.per_query(one) for one in (result, search.equal))
    alone = {name: check.per_query(search.tried[name].recipe) for name in set(best.values())}
    rng, cluster = np.random.default_rng(seed), check.split.cluster
    checked: dict[tuple[str, str], Interval] = {}
    for at in shown:
        lead = alone[best[at]][at]
        values = {
            "chosen": chosen[at],
            "over equal": chosen[at] - equal[at],
            "over best alone": chosen[at] - lead,
            "equal over best alone": equal[at] - lead,
        }
        for what, value in values.items():
            checked[what, measure_name(at)] = clustered_interval(value, cluster, rng)
    return Tuned(
        recipe=result,
        tried=tuple(search.tried.values()),
        steps=search.steps,
        checked=checked,
        by=measure,
        alone={measure_name(at): name.removesuffix(ALONE) for at, name in best.items()},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """Queries with the candidates of each channel, in memory."""

    tables: Sequence[Any]
    split: JudgingSplit
    recipe: FusionRecipe
    by: Measure
    facts: SongTraits
    _places: dict[str, Standings] = field(default_factory=dict)

    @property
    def places(self) -> Standings:
        if not self._places:
            self._places["all"] = Standings.of(self.tables, self.split.wanted)
        return self._places["all"]

    def per_query(self, recipe: FusionRecipe) -> Mapping[Measure, Float64Array]:
        """Return all measures of each query."""
        ks = sorted({20, recipe.k, self.by[1]})
        if self._is_plain(recipe):
            ranks = self.places.ranks(self.places.weigh(recipe))
            ranks[ranks > recipe.k] = np.inf
            return rank_measures(ranks, self.places.query, len(self.split), ks)
        return evaluate(self._lists(recipe)[0], self.split, ks=ks, keep_heard=True).per_query

    def figures(self, recipe: FusionRecipe) -> dict[str, float]:
        """Return the mean measures of the lists."""
        query = self.per_query(recipe)
        return {measure_name(at): float(np.nanmean(query[at])) for at in _shown(self.by, recipe.k)}

    def looked_at(self, recipe: FusionRecipe) -> dict[str, float]:
        """Return the mean measures, and statistics of the lists."""
        lists, new = self._lists(recipe)
        result = evaluate(
            lists,
            self.split,
            ks=sorted({20, recipe.k, self.by[1]}),
            keep_heard=True,
            kinds=_kinds(self.facts),
        )
        figures = {measure_name(at): result.means[at].value for at in _shown(self.by, recipe.k)}
        return figures | {n: float(v) for n, v in result.spread.items()} | {"new": new}

    def take(self, rows: Int64Array) -> "_Sample":
        """Return the queries at the given rows."""
        split = _taken(self.split, rows)
        wanted = string_array(split.histories.owner_ids)
        tables = [
            t.filter(pc.is_in(t.column(ListColumns.USER), value_set=wanted)) for t in self.tables
        ]
        return replace(self, split=split, tables=tables, _places={})

    def has(self, dial: str) -> bool:
        """Return whether a dial can have an effect on these candidates."""
        if dial == "cold_share":
            return any(pc.any(t.column("cold")).as_py() for t in self.tables)
        if dial == "replay_share":
            return any(pc.any(pc.equal(t.column("channel"), REPLAY)).as_py() for t in self.tables)
        groups = self.facts.groups
        return bool(self.facts.plays.any() if dial == "popularity" else groups)

    def _is_plain(self, recipe: FusionRecipe) -> bool:
        """Return whether lists are simply sorted by weight, without any rule."""
        rules = (*(getattr(recipe, name) for name in DIALS), recipe.per_artist, recipe.per_album)
        mixed = self.has("cold_share") or self.has("replay_share")
        copies = "recording" in self.facts.groups
        return recipe.method != "quotas" and not any((*rules, mixed, copies))

    def _lists(self, recipe: FusionRecipe) -> tuple[Lists, float]:
        """Fuse; return the lists and their share of never-played songs."""
        fused = fuse(self.tables, recipe, self.facts)
        new = pc.mean(fused.column("cold").cast(pa.float64())).as_py()
        return Lists.of_table(fused, "fused"), float(new or 0.0)


class _Search:
    """The search for settings, on the first half of the users."""

    def __init__(self, part: _Sample, names: tuple[str, ...]) -> None:
        self.part, self.names = part, names
        self.tried: dict[str, Tried] = {}
        self.steps = 0
        method: Method = "quotas" if part.recipe.method == "quotas" else "reciprocal"
        self.equal = replace(part.recipe, method=method, weights=(1.0,) * len(names), points=())

    def best_alone(self, by: Measure) -> str:
        """Return the name of the attempt with the channel that is best alone in a measure."""
        alone = [self.tried[f"{name}{ALONE}"] for name in self.names]
        return max(alone, key=lambda one: one.figures[measure_name(by)]).name

    def method(self, seed: int) -> FusionRecipe:
        """Return the recipe with the best weights or points."""
        for number, name in enumerate(self.names):
            weights = tuple(float(number == other) for other in range(len(self.names)))
            self._keep(f"{name}{ALONE}", replace(self.equal, weights=weights))
        self._keep("all alike", self.equal)
        if self.equal.method == "quotas":
            rows = np.random.default_rng(seed).permutation(len(self.part.split))[:LISTED]
            return self._keep("quotas", self._weights(self.part.take(rows), self.equal))
        learn, judged = self._thirds(seed)
        ways: dict[str, Callable[[_Sample], FusionRecipe]] = {
            "weights": self._reciprocal,
            "points": self._points,
        }
        by_weights, by_points = (
            judged.per_query(way(learn))[judged.by] for way in (self._reciprocal, self._points)
        )
        self.steps += 2
        result = {name: self._keep(name, way(self.part)) for name, way in ways.items()}
        # Points have ten parameters per channel: require a gain of more than one standard error.
        gain = by_points - by_weights
        gain = gain[~np.isnan(gain)]
        is_sure = len(gain) > 1 and gain.mean() > gain.std() / np.sqrt(len(gain))
        return result["points" if is_sure else "weights"]

    def dials(self, recipe: FusionRecipe, tolerance: float) -> FusionRecipe:
        """Raise each share and dial as far as accuracy stays within `tolerance` of its best."""
        turned = [dial for dial in DIALS if dial in SHARES or tolerance]
        turned = [d for d in turned if not getattr(recipe, d) and self.part.has(d)]
        if not turned:
            return recipe
        rng = np.random.default_rng(0)
        part = self.part.take(rng.permutation(len(self.part.split))[:LISTED])
        named, result = measure_name(part.by), recipe
        best = now = self._look(part, "no dial", recipe).figures[named]
        for dial in turned:
            reached = {0.0: now}
            for value in DIALS[dial]:
                step = _turned(result, dial, value)
                reached[value] = self._look(part, f"{dial} {value:g}", step).figures[named]
            best = max(best, *reached.values())
            allowed = [v for v, worth in reached.items() if worth >= best * (1 - tolerance) - GAIN]
            value = max(allowed, default=0.0)
            result = _turned(result, dial, value)
            now = reached[value]
        if result != recipe:
            self._look(part, "chosen", result)
        return result

    def _look(self, part: _Sample, name: str, recipe: FusionRecipe) -> Tried:
        self.steps += 1
        result = Tried(name=name, recipe=recipe, figures=part.looked_at(recipe))
        self.tried[name] = result
        return result

    def _keep(self, name: str, recipe: FusionRecipe) -> FusionRecipe:
        """Evaluate a recipe and record it under a name."""
        self.steps += 1
        self.tried[name] = Tried(name=name, recipe=recipe, figures=self.part.figures(recipe))
        return recipe

    def _thirds(self, seed: int) -> tuple[_Sample, _Sample]:
        clusters = np.unique(self.part.split.cluster)
        drawn = np.random.default_rng([seed, 1]).permutation(clusters)
        mine = np.isin(self.part.split.cluster, drawn[: round(CHOOSE * len(drawn))])
        if mine.all() or not mine.any():
            return self.part, self.part
        return self.part.take(np.flatnonzero(mine)), self.part.take(np.flatnonzero(~mine))

    def _worth(self, part: _Sample, recipe: FusionRecipe) -> float:
        self.steps += 1
        return float(np.nanmean(part.per_query(recipe)[part.by]))

    def _points(self, part: _Sample) -> FusionRecipe:
        return replace(self.equal, method="points", points=learn_points(part.places))

    def _reciprocal(self, part: _Sample) -> FusionRecipe:
        """Return the best flatness and weights."""
        weights = self._weights(part, self.equal)
        bases = [replace(weights, flatness=flat) for flat in FLATNESSES]
        best = max(bases, key=lambda one: self._worth(part, one))
        return self._weights(part, best)

    def _weights(self, part: _Sample, base: FusionRecipe) -> FusionRecipe:
        """Return the best weights, by coordinate search from those of `base`."""
        seen: dict[tuple[float, ...], float] = {}

        def worth(weights: tuple[float, ...]) -> float:
            key = tuple((np.array(weights) / max(weights)).round(6).tolist())
            if key not in seen:
                seen[key] = self._worth(part, replace(base, weights=key))
            return seen[key]

        n = len(self.names)
        best = base.weights
        reached = worth(best)
        for _ in range(TURNS):
            before = reached
            for channel in range(n):
                for factor in FACTORS:
                    step = (*best[:channel], best[channel] * factor, *best[channel + 1 :])
                    if any(step) and (result := worth(step)) > reached + GAIN:
                        best, reached = step, result
            if reached <= before:
                break
        return replace(base, weights=tuple((np.array(best) / max(best)).round(6).tolist()))


def _turned(recipe: FusionRecipe, dial: str, value: float) -> FusionRecipe:
    setting: dict[str, Any] = {dial: value}
    return replace(recipe, **setting)


def _halves(split: JudgingSplit, users: int, seed: int) -> tuple[JudgingSplit, JudgingSplit]:
    """Sample users and divide them into halves, keeping clusters together."""
    rng = np.random.default_rng(seed)
    clusters = rng.permutation(np.unique(split.cluster))
    place = np.empty(int(split.cluster.max()) + 1, np.int64)
    place[clusters] = np.arange(len(clusters))
    drawn = np.argsort(place[split.cluster], kind="stable")[:users]
    there = np.unique(place[split.cluster[drawn]])
    if len(there) < 2:
        raise InputError("too few users; at least two users or clusters are needed")
    early = place[split.cluster[drawn]] < there[len(there) // 2]
    return _taken(split, drawn[early]), _taken(split, drawn[~early])


def _taken(split: JudgingSplit, rows: Int64Array) -> JudgingSplit:
    rows = np.sort(rows)
    return replace(
        split,
        histories=split.histories.take(rows),
        wanted=split.wanted.take(rows),
        cluster=split.cluster[rows],
    )


def _of_users(paths: Sequence[Path], *splits: JudgingSplit) -> Iterator[list[list[Any]]]:
    """Yield, for each file, its rows by split, as lists of tables."""
    result: list[list[list[Any]]] = [[[] for _ in splits] for _ in paths]
    wanted = [string_array(split.histories.owner_ids) for split in splits]
    rows = 0
    for block in user_blocks(paths):
        for whole, parts in zip(block, result, strict=True):
            table = whole.filter(pc.not_equal(whole.column("channel"), DEFAULT))
            for part, ids in zip(parts, wanted, strict=True):
                part.append(table.filter(pc.is_in(table.column(ListColumns.USER), value_set=ids)))
                rows += len(part[-1])
    if not rows:
        some = splits[0].histories.owner_ids[0]
        raise InputError(f"no table has candidates for a user of the split, such as {some!r}")
    yield from result


def _kinds(facts: SongTraits) -> dict[str, dict[str, str]]:
    """Return genre and artist labels of songs in the form that `evaluate` expects."""
    named = (name for name in ("genre", "artist") if name in facts.groups)
    return {
        name: {
            song: str(number)
            for song, number in zip(facts.song_ids, facts.groups[name].tolist(), strict=True)
            if number >= 0
        }
        for name in named
    }


def _shown(by: Measure, k: int) -> list[Measure]:
    names = ("hit_rate", "recall", "capped_recall", "ndcg")
    return list(dict.fromkeys([by, *((name, k) for name in names), ("mrr", 20)]))
