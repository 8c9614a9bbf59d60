"""Channels on a split: where the wanted songs stand, how sure that is, and what it costs.

Split, channel  ──judge──▶ `Verdict`: measures a query, spread of the lists, seconds
Split, channels ──compare──▶ a verdict each, and paired differences to the best
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import (
    clustered_interval,
    list_spread,
    mean_ranks,
    rank_measures,
)
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.judging.splits import Split
from audiorec.types import Float64Array, IdMap

KS = (10, 20, 50, 100, 200)
STRATA = {"never played": (0, 0), "played once": (1, 1), "played more": (2, None)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """Figures of one channel on one split."""

    channel: str
    n_queries: int
    n_songs: int
    # a number a query, by measure and k
    per_query: Mapping[tuple[str, int], Float64Array] = field(repr=False)
    means: Mapping[tuple[str, int], Interval]
    # recall at the largest k of wanted songs that were played so often, and how many there are
    strata: Mapping[str, tuple[float, int]]
    spread: Mapping[str, float]  # of the lists at the first k: popularity, Gini, coverage
    fit_cpu_s: float
    recall_cpu_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined figures are None."""
        measures: dict[str, dict[str, list[float]]] = {}
        for (name, k), interval in self.means.items():
            measures.setdefault(name, {})[str(k)] = [round(v, 6) for v in astuple(interval)]
        return {
            "channel": self.channel,
            "queries": self.n_queries,
            "songs": self.n_songs,
            "measures": measures,
            "strata": {n: {"recall": _plain(v), "wanted": c} for n, (v, c) in self.strata.items()},
            **{name: _plain(value) for name, value in self.spread.items()},
            "fit_cpu_s": round(self.fit_cpu_s, 3),
            "recall_cpu_s": round(self.recall_cpu_s, 3),
        }


def judge(
    channel: Channel,
    split: Split,
    *,
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: bool = False,
    new_songs: tuple[str, ...] = (),
    seed: int = 0,
) -> Verdict:
    """Fit a channel on a split, and say where the wanted songs stand among all songs.

    Parameters
    ----------
    channel : Channel
    split : Split
    ks : sequence of int
        Lengths of the lists that are judged, ascending.
    keep_heard : bool
        Let songs of the history come again: music repeats. Without it they are left out, and what
        is wanted a second time is not asked for.
    trained : bool
        Judge the channel as it is, without fitting it.
    new_songs : tuple of str
        Songs without a play that may be proposed too.
    seed : int
        Of the bootstrap.
    """
    ks = sorted(set(ks))
    started = time.process_time()
    if not trained:
        channel.fit(RecallData(split.learn, new_songs))
    fitted = time.process_time()
    queries = Queries(split.histories)
    wanted = split.wanted
    if not keep_heard:
        wanted = _not_heard(wanted, split)
    query = wanted.owner
    numbers = IdMap(channel.song_ids).rows(wanted.song_ids)
    song = numbers[wanted.song]
    ranks, lists = _ranked(channel, queries, query, song, ks[0], None if keep_heard else split)
    recalled = time.process_time()
    found = rank_measures(ranks, query, len(queries), ks)
    if all(np.isnan(values).all() for values in found.values()):
        raise InputError(f"{channel.name}: no query has a wanted song that may come")
    rng = np.random.default_rng(seed)
    plays = np.bincount(split.learn.among(channel.song_ids).song, minlength=len(channel.song_ids))
    return Verdict(
        channel=channel.name,
        n_queries=len(queries),
        n_songs=len(channel.song_ids),
        per_query=found,
        means={at: clustered_interval(v, split.cluster, rng) for at, v in found.items()},
        strata=_strata(ranks <= ks[-1], np.where(song >= 0, plays[song], 0)),
        spread=list_spread(lists, plays),
        fit_cpu_s=fitted - started,
        recall_cpu_s=recalled - fitted,
    )


def compare(
    channels: Iterable[Channel],
    split: Split,
    *,
    by: tuple[str, int],
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    seed: int = 0,
) -> tuple[list[Verdict], dict[str, Interval]]:
    """Judge channels on one split, the best by a measure at a k first.

    Returns
    -------
    verdicts : list of Verdict
    behind : dict of str to Interval
        By how much the best is ahead of each other one, on the same queries.
    """
    ks = sorted({*ks, by[1]})
    found = [judge(c, split, ks=ks, keep_heard=keep_heard, seed=seed) for c in channels]
    found.sort(key=lambda verdict: -verdict.means[by].value)
    rng = np.random.default_rng(seed)
    behind = {
        other.channel: clustered_interval(
            found[0].per_query[by] - other.per_query[by], split.cluster, rng
        )
        for other in found[1:]
    }
    return found, behind


def _ranked(
    channel: Channel, queries: Queries, query: Any, song: Any, k: int, hidden: Split | None
) -> tuple[Float64Array, Any]:
    """Return the rank of each wanted song, and the best `k` songs of each query."""
    exclude = None if hidden is None else hidden.histories
    ranks, first, lists = [np.empty(0)], 0, [np.empty((0, k), np.int64)]
    for block in channel.blocks(queries, exclude=exclude):
        low, high = np.searchsorted(query, [first, first + len(block)])
        ranks.append(mean_ranks(block, query[low:high] - first, song[low:high]))
        lists.append(_top(block, k))
        first += len(block)
    return np.concatenate(ranks), np.concatenate(lists)


def _top(block: Any, k: int) -> Any:
    """Return the best songs of each row, (q, k), -1 where there are fewer."""
    from audiorec.recall.contract.channel import best_of

    found, _ = best_of(block, np.ones(block.shape[1], np.bool_), k)
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)


def _not_heard(wanted: Any, split: Split) -> Any:
    """Leave out wanted songs that stand in the history, and repeats."""
    n = len(wanted.song_ids)
    known = split.histories.among(wanted.song_ids)
    key = wanted.owner * n + wanted.song
    heard = np.isin(key, known.owner * n + known.song)
    _, first = np.unique(key, return_index=True)
    once = np.zeros(len(key), np.bool_)
    once[first] = True
    return wanted.keep(~heard & once)


def _strata(hit: Any, plays: Any) -> dict[str, tuple[float, int]]:
    found = {}
    for name, (low, high) in STRATA.items():
        part = (plays >= low) & (plays <= (np.inf if high is None else high))
        found[name] = (float(hit[part].mean()) if part.any() else float("nan"), int(part.sum()))
    return found


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
