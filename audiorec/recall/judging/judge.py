"""Channels on a split: where the wanted songs stand, how sure that is, and what it costs.

JudgingSplit, channel  ──judge──▶ `Judgement`: measures a query, spread of the lists, seconds
JudgingSplit, channels ──compare──▶ a verdict each, and paired differences to the best
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
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel, best_of
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.tables import Lists
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.types import Float64Array, IdMap, Int64Array

KS = (10, 20, 50, 100, 200)
STRATA = {"never played": (0, 0), "played once": (1, 1), "played more": (2, None)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
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
    channel: Channel | Lists,
    split: JudgingSplit,
    *,
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: bool = False,
    sound: Sound | None = None,
    seed: int = 0,
) -> Judgement:
    """Fit a channel on a split, and say where the wanted songs stand among all songs.

    Parameters
    ----------
    channel : Channel or Lists
        Lists that somebody made are judged as they are; a song that is not in them has no rank.
    split : JudgingSplit
    ks : sequence of int
        Lengths of the lists that are judged, ascending.
    keep_heard : bool
        Let songs of the history come again: music repeats. Without it they are left out, and what
        is wanted a second time is not asked for.
    trained : bool
        Judge the channel as it is, without fitting it.
    sound : Sound, optional
        Songs as vectors: those without a play may be proposed, too.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If no query has a wanted song that may come, or as `Channel.fit`.
    """
    ks = sorted(set(ks))
    wanted = split.wanted if keep_heard else _not_heard(split)
    if not len(wanted.song):
        raise InputError("no query has a wanted song that may come; try --keep-heard")
    started = time.process_time()
    if isinstance(channel, Channel) and not trained:
        channel.fit(RecallData(split.learn, sound.song_ids if sound else (), sound))
    fitted = time.process_time()
    exclude = None if keep_heard else split.histories
    if isinstance(channel, Lists):
        name, song_ids = channel.channel, _catalogue(split, channel)
        ranks, lists = _ranks_in_lists(channel, split, wanted, song_ids, ks[0])
    else:
        name, song_ids = channel.name, channel.song_ids
        ranks, lists = _ranks_of_channel(channel, split, wanted, ks[0], exclude)
    recalled = time.process_time()
    found = rank_measures(ranks, wanted.owner, len(split), ks)
    rng = np.random.default_rng(seed)
    plays = np.bincount(split.learn.among(song_ids).song, minlength=len(song_ids))
    song = IdMap(song_ids).rows(wanted.song_ids)[wanted.song]
    return Judgement(
        channel=name,
        n_queries=len(split),
        n_songs=len(song_ids),
        per_query=found,
        means={at: clustered_interval(v, split.cluster, rng) for at, v in found.items()},
        strata=_strata(ranks <= ks[-1], np.where(song >= 0, plays[song], 0)),
        spread=list_spread(lists, plays),
        fit_cpu_s=fitted - started,
        recall_cpu_s=recalled - fitted,
    )


def compare(
    channels: Iterable[Channel | Lists],
    split: JudgingSplit,
    *,
    by: tuple[str, int],
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    sound: Sound | None = None,
    seed: int = 0,
) -> tuple[list[Judgement], dict[str, Interval]]:
    """Judge channels on one split, the best by a measure at a k first.

    Returns
    -------
    verdicts : list of Judgement
    behind : dict of str to Interval
        By how much the best is ahead of each other one, on the same queries.
    """
    ks = sorted({*ks, by[1]})
    options: dict[str, Any] = {"ks": ks, "keep_heard": keep_heard, "sound": sound, "seed": seed}
    found = [judge(channel, split, **options) for channel in channels]
    found.sort(key=lambda verdict: -verdict.means[by].value)
    rng = np.random.default_rng(seed)
    behind = {
        other.channel: clustered_interval(
            found[0].per_query[by] - other.per_query[by], split.cluster, rng
        )
        for other in found[1:]
    }
    return found, behind


def _ranks_of_channel(
    channel: Channel, split: JudgingSplit, wanted: Sequences, k: int, exclude: Sequences | None
) -> tuple[Float64Array, Int64Array]:
    """Return the rank of each wanted song, and the best `k` songs of each query, (Q, k)."""
    song = IdMap(channel.song_ids).rows(wanted.song_ids)[wanted.song]
    query, first = wanted.owner, 0
    every = np.ones(len(channel.song_ids), np.bool_)
    ranks, lists = [np.empty(0)], [np.empty((0, k), np.int64)]
    for block in channel.blocks(Queries(split.histories), exclude=exclude):
        low, high = np.searchsorted(query, [first, first + len(block)])
        ranks.append(mean_ranks(block, query[low:high] - first, song[low:high]))
        best, _ = best_of(block, every, k)
        lists.append(np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-1))
        first += len(block)
    return np.concatenate(ranks), np.concatenate(lists)


def _ranks_in_lists(
    made: Lists, split: JudgingSplit, wanted: Sequences, song_ids: tuple[str, ...], k: int
) -> tuple[Float64Array, Int64Array]:
    """Return the same of lists: the place of each wanted song in its user's list."""
    ranked, wanted = made.ranked.among(song_ids), wanted.among(song_ids)
    number = {user: row for row, user in enumerate(ranked.owner_ids)}
    rows = np.array([number.get(user, -1) for user in split.histories.owner_ids], np.int64)
    ranks = np.full(len(wanted.song), np.inf)
    lists = np.full((len(split), k), -1, np.int64)
    for query in np.flatnonzero(rows >= 0).tolist():
        songs = ranked[rows[query]]
        lists[query, : min(k, len(songs))] = songs[:k]
        place = {song: rank for rank, song in enumerate(songs.tolist(), start=1)}
        for at in range(wanted.starts[query], wanted.starts[query + 1]):
            ranks[at] = place.get(int(wanted.song[at]), np.inf)
    return ranks, lists


def _catalogue(split: JudgingSplit, made: Lists) -> tuple[str, ...]:
    sources = (split.learn, split.wanted, made.ranked)
    return tuple(sorted({song for source in sources for song in source.song_ids}))


def _not_heard(split: JudgingSplit) -> Sequences:
    """Return the wanted songs that do not stand in the history, each once."""
    wanted, n = split.wanted, len(split.wanted.song_ids)
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
