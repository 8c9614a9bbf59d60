"""Evaluate channels on a split: ranks of the wanted songs, intervals, and cost.

JudgingSplit, channel  ──evaluate──▶ `Judgement`: measures per query, spread of the lists, seconds
JudgingSplit, channels ──compare──▶ one `Judgement` each, and paired differences to the best
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from audiorec.engines.tasks import Engine
from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval, rank_measures
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, RecallData
from audiorec.recall.judging.cost import Cost, peak_bytes
from audiorec.recall.judging.lists import Labels, spread_of
from audiorec.recall.judging.ranking import Ranked, RankingTask, Repeats, rank_queries
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.judging.strata import Strata, owners_of, song_strata, user_strata
from audiorec.types import Float64Array, IdMap

KS = (10, 20, 50, 100, 200)
NOTHING = Context()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """Figures of one channel on one split."""

    channel: str
    n_queries: int
    n_songs: int
    repeats: Repeats
    # one value per query, by measure and k
    per_query: Mapping[tuple[str, int], Float64Array] = field(repr=False)
    means: Mapping[tuple[str, int], Interval]
    # means with the other treatment of repeats; empty if no song is wanted with it
    otherwise: Mapping[tuple[str, int], float]
    song_strata: Strata  # recall at the largest k
    user_strata: Strata
    spread: Mapping[str, float]  # of lists of the smallest k
    fit_cpu_s: float
    recall_cpu_s: float
    peak_bytes: int  # of the process, during fitting and ranking

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; undefined figures are None."""
        measures: dict[str, dict[str, list[float]]] = {}
        for (name, k), interval in self.means.items():
            measures.setdefault(name, {})[str(k)] = [round(v, 6) for v in astuple(interval)]
        otherwise: dict[str, dict[str, float | None]] = {}
        for (name, k), value in self.otherwise.items():
            otherwise.setdefault(name, {})[str(k)] = _plain(value)
        return {
            "channel": self.channel,
            "queries": self.n_queries,
            "songs": self.n_songs,
            "repeats": self.repeats,
            "measures": measures,
            f"repeats_{_other(self.repeats)}": otherwise,
            "strata": {
                n: {"recall": _plain(v), "wanted": c} for n, (v, c) in self.song_strata.items()
            },
            "user_strata": {
                n: {"recall": _plain(v), "queries": c} for n, (v, c) in self.user_strata.items()
            },
            **{name: _plain(value) for name, value in self.spread.items()},
            "fit_cpu_s": round(self.fit_cpu_s, 3),
            "recall_cpu_s": round(self.recall_cpu_s, 3),
            "peak_mb": round(self.peak_bytes / 1e6, 1),
        }

    def figures(self, k: int) -> dict[str, Interval | float]:
        """Return the figures for a plot: measures at `k`, then the spread of the lists."""
        names = ("hit_rate", "recall", "ndcg", "mrr")
        return {f"{name}@{k}": self.means[name, k] for name in names} | dict(self.spread)

    def notes(self) -> list[str]:
        """Return additional remarks, one line each: strata and peak memory."""
        k = max(k for _, k in self.means)
        parts = {**self.song_strata, **self.user_strata}
        shown = [f"{name} {value:.3f} ({n:,})" for name, (value, n) in parts.items() if n]
        lines = [f"recall@{k} of songs and users: {', '.join(shown)}"]
        return [*lines, f"{self.peak_bytes / 1e6:,.0f} MB at the peak"]


def evaluate(
    channel: Channel | Lists,
    split: JudgingSplit,
    *,
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: bool = False,
    context: Context = NOTHING,
    kinds: Labels | None = None,
    seed: int = 0,
    engine: Engine | None = None,
) -> Judgement:
    """Fit a channel on a split and rank the wanted songs among all songs.

    Parameters
    ----------
    channel : Channel or Lists
        Given lists are judged as they are; a song that is missing from them has no rank.
    split : JudgingSplit
    ks : sequence of int
        List lengths to evaluate.
    keep_heard : bool
        Rank songs of the history as well, since music is replayed. By default they are excluded,
        from the lists and from the wanted songs. `Judgement.otherwise` has the means of the other
        choice.
    trained : bool
        Judge the channel as it is, without fitting it.
    context : Context
        Information on songs and users; its songs without a play may be proposed, too.
    kinds : mapping of str to mapping of str to str, optional
        Labels by kind and song id, such as ``{"artist": {...}}``, for `diversity`.
    seed : int
        Seed of the bootstrap.
    engine : callable, optional
        Ranks blocks of queries (`audiorec.engines.tasks.engine_of`), with the same figures. By
        default they are ranked in this process.

    Raises
    ------
    InputError
        If no query has a wanted song that may be proposed; also the errors of `Channel.fit`.
    LostBlocksError
        If some blocks failed on the engine.
    """
    ks = sorted(set(ks))
    repeats: Repeats = "kept" if keep_heard else "left_out"
    wanted: dict[Repeats, Sequences] = {"kept": split.wanted, "left_out": _not_heard(split)}
    if not len(wanted[repeats].song):
        raise InputError("every wanted song is in its user's history; try --keep-heard")
    cost = Cost.started()
    if isinstance(channel, Channel) and not trained:
        channel.fit(RecallData(split.learn, context.song_ids, context))
    fit_cpu_s = cost.lap()
    if isinstance(channel, Lists):
        name, song_ids = channel.channel, _catalogue(split, channel)
        ranked = _ranks_in_lists(channel, split, wanted, repeats, song_ids, ks[0])
    else:
        name, song_ids = channel.name, channel.song_ids
        ranking = RankingTask(channel=channel, repeats=repeats, k=ks[0])
        ranked = rank_queries(ranking, context.queries_of(split.histories), wanted, engine)
        cost.left_out += ranked.other_s - ranked.cpu_s
    recall_cpu_s, peak = cost.lap(), peak_bytes()
    found, other = (
        rank_measures(ranked.ranks[way], wanted[way].owner, len(split), ks)
        for way in (repeats, _other(repeats))
    )
    rng = np.random.default_rng(seed)
    learnt = split.learn.among(song_ids)
    plays = np.bincount(learnt.song, minlength=len(song_ids)).astype(np.int64)
    asked = wanted[repeats]
    song = IdMap(song_ids).rows(asked.song_ids)[asked.song]
    counts = (np.where(song >= 0, n[song], 0) for n in (plays, owners_of(learnt, len(song_ids))))
    return Judgement(
        channel=name,
        n_queries=len(split),
        n_songs=len(song_ids),
        repeats=repeats,
        per_query=found,
        means={at: clustered_interval(v, split.cluster, rng) for at, v in found.items()},
        otherwise={at: float(np.nanmean(v)) for at, v in other.items() if not np.isnan(v).all()},
        song_strata=song_strata(ranked.ranks[repeats] <= ks[-1], *counts),
        user_strata=user_strata(found["recall", ks[-1]], split.histories.lengths),
        spread=spread_of(ranked.lists, plays, song_ids, sound=context.sound, kinds=kinds),
        fit_cpu_s=fit_cpu_s,
        recall_cpu_s=recall_cpu_s,
        peak_bytes=peak,
    )


def compare(
    channels: Iterable[Channel | Lists],
    split: JudgingSplit,
    *,
    by: tuple[str, int],
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: Sequence[Channel] = (),
    context: Context = NOTHING,
    kinds: Labels | None = None,
    seed: int = 0,
    engine: Engine | None = None,
) -> tuple[list[Judgement], dict[str, Interval]]:
    """Judge channels on one split and compare each with the best.

    Parameters are as for `evaluate`; `by` is the measure and k to sort by, and `trained` are those
    of the channels that are judged as they are.

    Returns
    -------
    verdicts : list of Judgement
        Best first.
    behind : dict of str to Interval
        Difference between the best channel and each other one, paired by query.
    """
    ks = sorted({*ks, by[1]})
    options: dict[str, Any] = {"ks": ks, "keep_heard": keep_heard, "context": context, "seed": seed}
    options |= {"kinds": kinds, "engine": engine}
    found = [
        evaluate(channel, split, trained=any(channel is one for one in trained), **options)
        for channel in channels
    ]
    found.sort(key=lambda verdict: -verdict.means[by].value)
    rng = np.random.default_rng(seed)
    behind = {
        other.channel: clustered_interval(
            found[0].per_query[by] - other.per_query[by], split.cluster, rng
        )
        for other in found[1:]
    }
    return found, behind


def _ranks_in_lists(
    made: Lists,
    split: JudgingSplit,
    wanted: Mapping[Repeats, Sequences],
    repeats: Repeats,
    song_ids: tuple[str, ...],
    k: int,
) -> Ranked:
    """Return the rank of each wanted song in the given list of its user.

    Where repeats are left out, songs of the history are removed from the lists.
    """
    ranked, heard = made.ranked.among(song_ids), split.histories.among(song_ids)
    sought = {way: of.among(song_ids) for way, of in wanted.items()}
    number = {user: row for row, user in enumerate(ranked.owner_ids)}
    rows = np.array([number.get(user, -1) for user in split.histories.owner_ids], np.int64)
    ranks = {way: np.full(len(of.song), np.inf) for way, of in sought.items()}
    lists = np.full((len(split), k), -1, np.int64)
    for query in np.flatnonzero(rows >= 0).tolist():
        kept = ranked[rows[query]]
        for way, of in sought.items():
            songs = kept if way == "kept" else kept[~np.isin(kept, heard[query])]
            if way == repeats:
                lists[query, : min(k, len(songs))] = songs[:k]
            place = {song: rank for rank, song in enumerate(songs.tolist(), start=1)}
            for at in range(of.starts[query], of.starts[query + 1]):
                ranks[way][at] = place.get(int(of.song[at]), np.inf)
    return Ranked(ranks=ranks, lists=lists)


def _catalogue(split: JudgingSplit, made: Lists) -> tuple[str, ...]:
    sources = (split.learn, split.wanted, made.ranked)
    return tuple(sorted({song for source in sources for song in source.song_ids}))


def _not_heard(split: JudgingSplit) -> Sequences:
    """Return the wanted songs that are not in the history, each once."""
    wanted, n = split.wanted, len(split.wanted.song_ids)
    known = split.histories.among(wanted.song_ids)
    key = wanted.owner * n + wanted.song
    heard = np.isin(key, known.owner * n + known.song)
    _, first = np.unique(key, return_index=True)
    once = np.zeros(len(key), np.bool_)
    once[first] = True
    return wanted.keep(~heard & once)


def _other(repeats: Repeats) -> Repeats:
    return "left_out" if repeats == "kept" else "kept"


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
