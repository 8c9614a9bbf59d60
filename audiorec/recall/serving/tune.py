"""Learn the weights of channels from songs that users chose: who had proposed them, and where.

    lists (one table per channel), wanted songs ──Evidence.of──▶ `Evidence` (N, C)
    evidence of several nights ──Evidence.joined──▶ one
    evidence ──learn──▶ `Learnt`: weights with intervals; the best channel alone beside them
    last night's weights, learnt ones ──moved──▶ tonight's

An entry is a pair of a user and a proposed song; its value in a channel is ``1 / (10 + rank)``, as
in `audiorec.recall.serving.fuse`. No channel may have been trained on the wanted songs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval, rank_measures
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA
from audiorec.recall.serving.exclusions import chance_of
from audiorec.recall.serving.rules import FLATNESS
from audiorec.recall.serving.tables import CandidateRows, user_blocks
from audiorec.types import BoolArray, Float64Array, IdMap, Int64Array, string_array

FEWEST = 20  # users with a proposed song that they chose, to learn from
GROUPS = 10  # of users, each left out once: for intervals, and to judge the weights on
K = 20
SCALE = 100.0  # of values, so that learnt numbers are near 1
PENALTY = 1e-4
KEPT = 0.8  # of last night's weights
MOST = 0.25  # share of a weight by which it moves in a night
LEAST = 0.05  # weight below which this share is of `LEAST`
MEASURE = ("ndcg", K)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """N entries of Q queries, sorted by query, with their values in C channels.

    Attributes
    ----------
    value : ndarray, shape (N, C), float64
        0 where a channel does not propose the song.
    query : ndarray, shape (N,), int64
    wanted : ndarray, shape (N,), bool
    n_wanted : ndarray, shape (Q,), int64
        Wanted songs of each query, the ones that no channel proposes included.
    owners : tuple of str, length Q
        The user of each query; one user may have several, of several nights.
    """

    value: Float64Array
    query: Int64Array
    wanted: BoolArray
    n_wanted: Int64Array
    owners: tuple[str, ...]

    @classmethod
    def of(cls, tables: Sequence[Any], wanted: Sequences) -> "Evidence":
        """Build from candidates, one table of `SCHEMA` per channel, and wanted songs of users."""
        rows = CandidateRows.of(tables)
        place = rows.places()
        owner = IdMap(wanted.owner_ids).rows(rows.user_ids)[rows.user]
        kept = (owner >= 0) & (rows.numbers("cold") == 0)
        width = len(rows.song_ids) + 1
        entries, entry = np.unique(owner[kept] * width + rows.song[kept], return_inverse=True)
        value = np.zeros((len(entries), len(tables)))
        value[entry, rows.source[kept]] = 1 / (FLATNESS + place[kept] + 1)
        song = IdMap(rows.song_ids).rows(wanted.song_ids)[wanted.song]
        asked = wanted.owner[song >= 0] * width + song[song >= 0]
        return cls(
            value=value,
            query=entries // width,
            wanted=np.isin(entries, asked),
            n_wanted=wanted.lengths.astype(np.int64),
            owners=wanted.owner_ids,
        )

    @classmethod
    def joined(cls, parts: Sequence["Evidence"]) -> "Evidence":
        """Return the queries of several parts, of the same channels, as one."""
        before = np.cumsum([0, *(len(part.owners) for part in parts)])
        return cls(
            value=np.concatenate([part.value for part in parts]),
            query=np.concatenate([p.query + n for p, n in zip(parts, before, strict=False)]),
            wanted=np.concatenate([part.wanted for part in parts]),
            n_wanted=np.concatenate([part.n_wanted for part in parts]),
            owners=tuple(owner for part in parts for owner in part.owners),
        )

    @property
    def users(self) -> int:
        """Users to whom a channel proposes a song that they chose."""
        return len({self.owners[n] for n in np.unique(self.query[self.wanted]).tolist()})

    def figures(self, score: Float64Array) -> Float64Array:
        """Return NDCG@20 of each query, (Q,), if its entries are ordered by a score, (N,)."""
        order = np.lexsort((-score, self.query))
        starts = np.searchsorted(self.query, np.arange(len(self.owners)))
        rank = np.empty(len(order))
        rank[order] = np.arange(len(order)) - starts[self.query[order]] + 1
        rank[score <= 0] = np.inf
        hit = np.bincount(self.query[self.wanted], minlength=len(self.owners))
        missed = np.repeat(np.arange(len(self.owners)), np.maximum(self.n_wanted - hit, 0))
        ranks = np.concatenate([rank[self.wanted], np.full(len(missed), np.inf)])
        query = np.concatenate([self.query[self.wanted], missed])
        return rank_measures(ranks, query, len(self.owners), [K])[MEASURE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What was learnt from evidence.

    Attributes
    ----------
    weights : mapping of str to Interval
        By channel; they sum to 1. Intervals of 95 % over groups of users.
    users : int
    figures : mapping of str to Interval
        NDCG@20 of the ``fused`` order, by weights that were learnt from other users, and of each
        channel alone.
    best : str
        The channel that is best alone.
    lead : Interval
        What the fused order has over it, paired by user.
    """

    weights: Mapping[str, Interval]
    users: int
    figures: Mapping[str, Interval]
    best: str
    lead: Interval

    @property
    def alone(self) -> str:
        """The channel that is surely better alone than fused with the others; else empty."""
        return self.best if self.lead.high < 0 else ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: intervals as [value, low, high]."""

        def plain(one: Interval) -> list[float]:
            return [round(value, 6) for value in astuple(one)]

        return {
            "learnt": {name: plain(one) for name, one in self.weights.items()},
            "users": self.users,
            f"{MEASURE[0]}@{K}": {name: plain(one) for name, one in self.figures.items()},
            "best": self.best,
            "lead": plain(self.lead),
            "alone": self.alone,
        }


def proposed_to(paths: Sequence[Path], wanted: Sequences) -> Evidence:
    """Return what files of candidates, one per channel, propose to users with wanted songs.

    Raises
    ------
    InputError
        If a file cannot be read, or none has candidates for these users.
    """
    users = string_array(wanted.owner_ids)
    parts: list[list[Any]] = [[] for _ in paths]
    for block in user_blocks(paths):
        for table, kept in zip(block, parts, strict=True):
            known = pc.is_in(table.column(ListColumns.USER), value_set=users)
            own = pc.not_equal(table.column("channel"), DEFAULT)
            kept.append(table.filter(pc.and_(known, own)))
    tables = [pa.concat_tables([SCHEMA.empty_table(), *kept]) for kept in parts]
    if not any(map(len, tables)):
        some = wanted.owner_ids[0] if len(wanted) else "nobody"
        raise InputError(f"no table has candidates for a user of the targets, such as {some!r}")
    return Evidence.of(tables, wanted)


def learn(evidence: Evidence, names: Sequence[str]) -> Learnt:
    """Learn weights of at least 0 that make the wanted songs likeliest; each user counts once.

    The likelihood is a softmax over the entries of a query, by the sum over channels of weight
    times value.

    Raises
    ------
    InputError
        If fewer than 20 users chose a song that some channel proposes.
    """
    if evidence.users < FEWEST:
        raise InputError(
            f"{evidence.users} users chose a song that a channel had proposed; "
            f"{FEWEST} are needed to learn weights, and a hundred to learn them well"
        )
    owner_ids, owner = np.unique(evidence.owners, return_inverse=True)
    group = np.array([int(chance_of(user) * GROUPS) for user in owner_ids.tolist()])[owner]
    counts = _likelihood(evidence, owner)
    whole = counts.best(np.ones(len(owner)), np.ones(len(names)))
    folds = np.array([counts.best((group != g).astype(float), whole) for g in range(GROUPS)])
    shares = folds / folds.sum(axis=1, keepdims=True)
    spread = np.sqrt((GROUPS - 1) / GROUPS * ((shares - shares.mean(axis=0)) ** 2).sum(axis=0))
    share = whole / whole.sum()
    score = (evidence.value * folds[group[evidence.query]]).sum(axis=1)
    by_list = {"fused": evidence.figures(score)}
    by_list |= {name: evidence.figures(evidence.value[:, n]) for n, name in enumerate(names)}

    def interval(values: Float64Array) -> Interval:
        return clustered_interval(values, owner, np.random.default_rng(0))

    best = max(names, key=lambda name: float(np.nanmean(by_list[name])))
    bounds = zip(share, share - 1.96 * spread, share + 1.96 * spread, strict=True)
    return Learnt(
        weights={
            name: Interval(*(round(float(min(max(v, 0.0), 1.0)), 6) for v in of))
            for name, of in zip(names, bounds, strict=True)
        },
        users=evidence.users,
        figures={name: interval(of) for name, of in by_list.items()},
        best=best,
        lead=interval(by_list["fused"] - by_list[best]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Likelihood:
    """The likelihood of the wanted songs of queries, by the weights of channels."""

    value: Float64Array  # (N, C), times `SCALE`
    starts: Int64Array  # first entry of each query that has a wanted one
    sizes: Int64Array
    aim: Float64Array  # (Q, C): mean value of its wanted entries
    of: Int64Array  # (Q,): its number among all queries
    share: Float64Array  # (Q,): 1 / queries of its user

    def best(self, counts: Float64Array, start: Float64Array) -> Float64Array:
        """Return the best weights, (C,), if the queries with a count above 0 are seen."""
        from scipy.optimize import minimize

        part = counts[self.of] * self.share
        part = part / part.sum()

        def loss(weights: Float64Array) -> tuple[float, Float64Array]:
            given = self.value @ weights
            top = np.maximum.reduceat(given, self.starts)
            likely = np.exp(given - np.repeat(top, self.sizes))
            total = np.add.reduceat(likely, self.starts)
            lost = float(part @ (np.log(total) + top - self.aim @ weights))
            slope = self.value.T @ (likely * np.repeat(part / total, self.sizes)) - part @ self.aim
            return lost + PENALTY * float(weights @ weights), slope + 2 * PENALTY * weights

        bounds = [(0, None)] * len(start)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return np.asarray(found if found.any() else np.ones(len(start)), np.float64)


def _likelihood(evidence: Evidence, owner: Int64Array) -> _Likelihood:
    """Return the likelihood of the queries that have a wanted entry."""
    able = np.unique(evidence.query[evidence.wanted])
    kept = np.isin(evidence.query, able)
    value, query = evidence.value[kept] * SCALE, evidence.query[kept]
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    sizes = np.diff(np.append(starts, len(query)))
    wanted = evidence.wanted[kept].astype(np.float64)
    hits = np.add.reduceat(wanted, starts)
    aim = np.add.reduceat(value * wanted[:, None], starts, axis=0) / hits[:, None]
    share = 1 / np.bincount(owner[able])[owner[able]]
    return _Likelihood(value, starts, sizes, aim, able, share)


def moved(last: Mapping[str, float], learnt: Mapping[str, float]) -> dict[str, float]:
    """Return tonight's weights, which sum to 1: those of last night, a fifth of the way on.

    None moves by more than a quarter of itself, or of 0.05 if it is smaller.

    Examples
    --------
    >>> moved({"a": 0.5, "b": 0.5}, {"a": 1.0, "b": 0.0})
    {'a': 0.6, 'b': 0.4}
    >>> moved({}, {"a": 3.0, "b": 1.0})
    {'a': 0.75, 'b': 0.25}
    """
    if last.keys() != learnt.keys() or not sum(last.values()):
        last = learnt
    now, new = (np.array([of[name] for name in learnt]) / sum(of.values()) for of in (last, learnt))
    step = (1 - KEPT) * (new - now)
    most = MOST * np.maximum(now, LEAST)
    step *= min(1.0, float(np.min(most / np.maximum(np.abs(step), 1e-12))))
    return dict(zip(learnt, np.round(now + step, 6).tolist(), strict=True))
