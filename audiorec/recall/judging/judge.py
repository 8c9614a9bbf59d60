"""Judge a channel on a split: ranks of the wanted songs, intervals, and cost.

    JudgingSplit, channel ──judge──▶ `Judgement`, of the parts that follow
    `Judgement`s of folds ──join───▶ one, of all their queries

    channel, queries, wanted songs      ──rank_queries──▶ `Ranked`: places among all songs
    lists (Q, k), plays, `Sound`, kinds ──spread_of────▶ popularity, Gini, coverage, diversities
    hits, plays and lists of each song  ──song_strata──▶ recall by the songs' plays in training
    recall per query, history lengths   ──user_strata──▶ mean recall by length of history
    CPU seconds and peak memory         ──`Cost`───────▶ of training and of ranking

Queries are ranked in the blocks of `Channel.blocks`: the same queries give the same ranks, bit by
bit.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import (
    clustered_interval,
    intra_list_diversity,
    list_spread,
    mean_ranks,
    rank_measures,
    sound_diversity,
)
from audiorec.files.arrow import pandas_frame
from audiorec.files.visible import ShownAsTable, TableView
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.channel import Channel, top_songs
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.runs.blocks import one_thread
from audiorec.types import BoolArray, Float64Array, IdMap, Int64Array

Repeats = Literal["kept", "left_out"]  # treatment of songs in the history
WAYS: tuple[Repeats, ...] = ("kept", "left_out")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """Ranks of the wanted songs, and the top-k lists.

    Attributes
    ----------
    ranks : mapping of {"kept", "left_out"} to ndarray, float64
        One rank per wanted song, ordered by query, for both treatments of songs in the history.
    lists : ndarray, shape (Q, k), int64
        The best songs of each query; -1 where a list is shorter.
    other_s : float
        CPU seconds for the treatment that was not requested.
    """

    ranks: Mapping[Repeats, Float64Array]
    lists: Int64Array
    other_s: float = 0.0


def rank_queries(
    channel: Channel,
    queries: Queries,
    wanted: Mapping[Repeats, Sequences],
    *,
    repeats: Repeats,
    k: int,
) -> Ranked:
    """Rank the wanted songs of each query among all songs, with and without those of its history.

    Parameters
    ----------
    channel : Channel
    queries : Queries
    wanted : mapping of {"kept", "left_out"} to Sequences
        The wanted songs of each query.
    repeats : {"kept", "left_out"}
        Treatment of songs in the history for the lists.
    k : int
        Length of the lists.
    """
    other_s, first, song_ids = 0.0, 0, channel.song_ids
    every = np.ones(len(song_ids), np.bool_)
    heard = queries.histories.among(song_ids)
    rows = IdMap(song_ids)
    song = {way: rows.rows(of.song_ids)[of.song] for way, of in wanted.items()}  # -1: unknown
    ranks: dict[Repeats, list[Float64Array]] = {way: [np.empty(0)] for way in WAYS}
    lists = [np.empty((0, k), np.int64)]
    with one_thread():  # the figures do not depend on the number of cores
        for block in channel.blocks(replace(queries, histories=heard)):
            part = heard.take(np.arange(first, first + len(block)))
            for way in WAYS:
                began = time.process_time()
                if way == "left_out":
                    block[part.owner, part.song] = -np.inf
                owner = wanted[way].owner
                low, high = np.searchsorted(owner, [first, first + len(block)])
                ranks[way].append(mean_ranks(block, owner[low:high] - first, song[way][low:high]))
                if way == repeats:
                    best, _ = top_songs(block, every, k)
                    lists.append(np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-1))
                else:
                    other_s += time.process_time() - began
            first += len(block)
    joined = {way: np.concatenate(result) for way, result in ranks.items()}
    return Ranked(ranks=joined, lists=np.concatenate(lists), other_s=other_s)


Labels = Mapping[str, Mapping[str, str]]  # kind, e.g. "artist" → song id → label


def spread_of(
    lists: Int64Array,
    plays: npt.NDArray[np.integer],
    song_ids: tuple[str, ...],
    *,
    sound: Sound | None = None,
    kinds: Labels | None = None,
) -> dict[str, float]:
    """Return statistics of lists (Q, k), by name.

    Besides popularity, Gini coefficient and coverage: ``diversity_NAME``, the mean share of pairs
    in a list that differ, for each of `kinds`, for the artists of `sound` and the classes of its
    heads; ``diversity_sound`` is the mean distance of two songs. Statistics without any known
    label are left out.

    Examples
    --------
    >>> lists, artists = np.array([[0, 1], [0, 2]]), {"a": "x", "b": "x", "c": "y"}
    >>> spread_of(lists, np.ones(3, int), tuple("abc"), kinds={"artist": artists})[
    ...     "diversity_artist"
    ... ]
    0.5
    """
    result = dict(list_spread(lists, plays))
    for name, codes in _codes(song_ids, sound, kinds or {}).items():
        if (codes >= 0).any():
            result[f"diversity_{name}"] = _known_mean(intra_list_diversity(lists, codes))
    if sound is not None:
        units = sound.among(song_ids).units
        if units.any():
            result["diversity_sound"] = _known_mean(sound_diversity(lists, units))
    return result


def _codes(
    song_ids: tuple[str, ...], sound: Sound | None, kinds: Labels
) -> dict[str, npt.NDArray[np.integer]]:
    """Return the label of each song (S,) by kind, -1 if unknown; `kinds` override `sound`."""
    codes: dict[str, npt.NDArray[np.integer]] = {}
    if sound is not None:
        ours = sound.among(song_ids)
        codes["artist"] = _numbers(ours.artists)
        codes |= ours.kinds
    for name, labels in kinds.items():
        codes[name] = _numbers(tuple(labels.get(song, "") for song in song_ids))
    return codes


def _numbers(labels: tuple[str, ...]) -> Int64Array:
    number: dict[str, int] = {}
    return np.array(
        [number.setdefault(label, len(number)) if label else -1 for label in labels], np.int64
    )


def _known_mean(values: Float64Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


Strata = dict[str, tuple[float, int]]  # a mean, and the number of values
PLAYS = {"never played": (0, 0), "played once": (1, 1), "played more": (2, None)}
HISTORY = {"no history": (0, 0), "short history": (1, 9), "long history": (10, None)}


def song_strata(hit: BoolArray, plays: Int64Array, owners: Int64Array) -> Strata:
    """Return the share of wanted songs that were found, by their plays in training.

    All arrays have one entry per wanted song: `hit`, its number of plays, and the number of
    sequences that contain it. Songs ``in one list`` are also in one of the other strata.
    """
    parts = {name: _within(plays, *bounds) for name, bounds in PLAYS.items()}
    parts["in one list"] = owners == 1
    return {name: _counted_mean(hit[part]) for name, part in parts.items()}


def user_strata(recall: Float64Array, lengths: Int64Array) -> Strata:
    """Return the mean recall of queries (Q,) by length of history; NaN is ignored."""
    asked = ~np.isnan(recall)
    parts = {name: _within(lengths, *bounds) for name, bounds in HISTORY.items()}
    return {name: _counted_mean(recall[part & asked]) for name, part in parts.items()}


def owners_of(plays: Sequences, n_songs: int) -> Int64Array:
    """Return the number of sequences that contain each song, (S,)."""
    pairs = np.unique(plays.owner * max(1, n_songs) + plays.song)
    return np.bincount(pairs % max(1, n_songs), minlength=n_songs).astype(np.int64)


def _within(values: Int64Array, low: int, high: int | None) -> BoolArray:
    return (values >= low) & (values <= (np.inf if high is None else high))


def _counted_mean(values: Any) -> tuple[float, int]:
    return (float(values.mean()) if len(values) else float("nan")), len(values)


STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Cost:
    """A stopwatch for the CPU time of this process, all threads together."""

    since: float
    left_out: float = 0.0

    @classmethod
    def started(cls) -> "Cost":
        """Start the clock, and reset the peak memory where the system allows it (Linux)."""
        with suppress(OSError):  # the peak then covers the process so far
            CLEAR_REFS.write_text("5")
        return cls(time.process_time())

    def lap(self) -> float:
        """Return the CPU seconds since the last lap, minus `left_out`."""
        now = time.process_time()
        spent = now - self.since - self.left_out
        self.since, self.left_out = now, 0.0
        return spent


def peak_bytes() -> int:
    """Return the peak memory of this process since `Cost.started`, in bytes."""
    if sys.platform == "linux":
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


KS = (10, 20, 50, 100, 200)
NOTHING = Context()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Judgement(ShownAsTable):
    """Figures of one channel on one split, or on several folds of time together."""

    channel: str
    n_queries: int
    n_songs: int
    repeats: Repeats
    copies: int  # wanted songs left out, as the user has heard a copy of them
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
            "copies_left_out": self.copies,
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

    def _view(self) -> TableView:
        ks = sorted({k for _, k in self.means})
        names = sorted({name for name, _ in self.means})
        rows = [(name, *(self.means[name, k].value for k in ks)) for name in names]
        title = f"{self.channel}: {self.n_queries:,} queries"
        return TableView(title, ("measure", *(f"@{k}" for k in ks)), rows, len(rows), self.notes())

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`: for each measure and k its mean and 95 % interval.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        rows = [(name, k, *astuple(interval)) for (name, k), interval in self.means.items()]
        names = ("measure", "k", "value", "low", "high")
        return pandas_frame(dict(zip(names, zip(*rows, strict=True), strict=True)))

    def notes(self) -> list[str]:
        """Return additional remarks, one line each: strata and peak memory."""
        k = max(k for _, k in self.means)
        parts = {**self.song_strata, **self.user_strata}
        shown = [f"{name} {value:.3f} ({n:,})" for name, (value, n) in parts.items() if n]
        lines = [f"recall@{k} of songs and users: {', '.join(shown)}"]
        if self.copies:
            are = "wanted songs are copies" if self.copies > 1 else "wanted song is a copy"
            lines.append(f"{self.copies:,} {are} of heard songs, and left out (`count_copies`)")
        return [*lines, f"{self.peak_bytes / 1e6:,.0f} MB at the peak"]


def judge(
    channel: Channel | Lists,
    split: JudgingSplit,
    *,
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: bool = False,
    context: Context = NOTHING,
    kinds: Labels | None = None,
    copies: Mapping[str, str] | None = None,
    seed: int = 0,
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
        Labels by kind and song id, such as ``{"artist": {...}}``, for `diversity`; the language of
        `context` is one.
    copies : mapping of str to str, optional
        Recordings by song id, of the songs that have copies. Unless `keep_heard`, a wanted song is
        left out if its user has heard a copy of it: who proposes it finds nothing new.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    InputError
        If no query has a wanted song that may be proposed; also the errors of `Channel.fit`.
    """
    ks = sorted(set(ks))
    kinds = {**_languages(context), **(kinds or {})}
    repeats: Repeats = "kept" if keep_heard else "left_out"
    new = _not_heard(split)
    unheard = new if not copies else _no_copies(new, split.histories, copies)
    wanted: dict[Repeats, Sequences] = {"kept": split.wanted, "left_out": unheard}
    if not len(wanted[repeats].song):
        raise InputError("every wanted song is in its user's history; try `keep_heard`")
    cost = Cost.started()
    if isinstance(channel, Channel) and not trained:
        channel.fit(RecallData(split.learn, context.song_ids, context))
    fit_cpu_s = cost.lap()
    if isinstance(channel, Lists):
        name, song_ids = channel.channel, _catalogue(split, channel)
        ranked = _ranks_in_lists(channel, split, wanted, repeats, song_ids, ks[0])
    else:
        name, song_ids = channel.name, channel.song_ids
        queries = context.queries_of(split.histories)
        ranked = rank_queries(channel, queries, wanted, repeats=repeats, k=ks[0])
        cost.left_out += ranked.other_s
    recall_cpu_s, peak = cost.lap(), peak_bytes()
    result, other = (
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
        copies=0 if keep_heard else len(new.song) - len(unheard.song),
        per_query=result,
        means={at: clustered_interval(v, split.cluster, rng) for at, v in result.items()},
        otherwise={at: float(np.nanmean(v)) for at, v in other.items() if not np.isnan(v).all()},
        song_strata=song_strata(ranked.ranks[repeats] <= ks[-1], *counts),
        user_strata=user_strata(result["recall", ks[-1]], split.histories.lengths),
        spread=spread_of(ranked.lists, plays, song_ids, sound=context.sound, kinds=kinds),
        fit_cpu_s=fit_cpu_s,
        recall_cpu_s=recall_cpu_s,
        peak_bytes=peak,
    )


def join(parts: Sequence[Judgement], cluster: Int64Array, rng: np.random.Generator) -> Judgement:
    """Return the judgement on the queries of all folds, whose owners are numbered by `cluster`.

    Costs are sums; what lists look like is the mean over folds.
    """
    first, *others = parts
    if not others:
        return first
    joined = {at: np.concatenate([p.per_query[at] for p in parts]) for at in first.per_query}
    counts = [one.n_queries for one in parts]
    return replace(
        parts[-1],
        n_queries=sum(counts),
        copies=sum(one.copies for one in parts),
        per_query=joined,
        means={at: clustered_interval(values, cluster, rng) for at, values in joined.items()},
        otherwise={
            at: float(np.average([one.otherwise[at] for one in parts], weights=counts))
            for at in first.otherwise
            if all(at in one.otherwise for one in parts)
        },
        song_strata=_joined_strata([one.song_strata for one in parts]),
        user_strata=_joined_strata([one.user_strata for one in parts]),
        spread={
            name: float(np.mean([one.spread[name] for one in parts]))
            for name in first.spread
            if all(name in one.spread for one in parts)
        },
        fit_cpu_s=sum(one.fit_cpu_s for one in parts),
        recall_cpu_s=sum(one.recall_cpu_s for one in parts),
        peak_bytes=max(one.peak_bytes for one in parts),
    )


def _joined_strata(parts: Sequence[Strata]) -> Strata:
    result = {}
    for name in parts[0]:
        told = [one[name] for one in parts if one[name][1]]
        n = sum(count for _, count in told)
        result[name] = (sum(mean * count for mean, count in told) / n if n else float("nan"), n)
    return result


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


def _languages(context: Context) -> Labels:
    """Return the language of songs, as far as it is known."""
    if context.side is None or "language" not in context.side.categories:
        return {}
    return {"language": context.side.named("language")}


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


def _no_copies(wanted: Sequences, heard: Sequences, copies: Mapping[str, str]) -> Sequences:
    """Return the wanted songs of which the user has not heard a copy."""
    names = tuple(sorted(set(copies.values())))
    numbers = IdMap(names)
    keys = []
    for of in (wanted, heard):
        texts = [copies.get(song, "") for song in of.song_ids]
        recording = numbers.rows(texts)[of.song]
        keys.append(np.where(recording >= 0, of.owner * len(names) + recording, -1))
    return wanted.keep((keys[0] < 0) | ~np.isin(keys[0], keys[1]))


def _other(repeats: Repeats) -> Repeats:
    return "left_out" if repeats == "kept" else "kept"


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
