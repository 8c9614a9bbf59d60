"""Compare channels on one part of a log, or on several folds of time.

channels, a log ──splits──▶ every channel judged on each fold ──joined──▶ `Judgements`
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass
from os import PathLike
from typing import Any, overload

import numpy as np

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval
from audiorec.files.arrow import pandas_frame
from audiorec.files.visible import ShownAsTable, TableView
from audiorec.learning.machine import check_torch
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.judge import KS, NOTHING, Judgement, join, judge
from audiorec.recall.judging.splits import JudgingSplit, SplitName, cuts

SHOWN = ("hit_rate", "recall", "ndcg", "mrr")  # columns of the table
SEEN = 5e-4  # smallest difference visible in three decimals
MANY = 1 / 3  # of the queries without a history, from which a split by time says so


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Judgements(ShownAsTable, Sequence[Judgement]):
    """Judgements of channels on the same queries, best first.

    Attributes
    ----------
    judgements : tuple of Judgement
    behind : mapping of str to Interval
        How far the best channel is ahead of each other one in `by`, paired by query.
    by : tuple of str and int
        The measure and k that order the channels.
    split : str
    folds : int
    suits_last : bool
        Whether the plays can be split by ``last``: somebody has two.
    """

    judgements: tuple[Judgement, ...]
    behind: Mapping[str, Interval]
    by: tuple[str, int]
    split: str
    folds: int = 1
    suits_last: bool = True

    def __len__(self) -> int:
        return len(self.judgements)

    @overload
    def __getitem__(self, place: int) -> Judgement: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Judgement, ...]: ...
    def __getitem__(self, place: int | slice) -> Judgement | tuple[Judgement, ...]:
        return self.judgements[place]

    @property
    def about(self) -> str:
        """Return the split and the number of queries, with the share that has no history."""
        first = self.judgements[0]
        nobody = first.user_strata["no history"][1]
        without = f" ({nobody / first.n_queries:.1%} without a history)" if nobody else ""
        folds = f" in {self.folds} folds" if self.folds > 1 else ""
        return f"split {self.split}{folds}, {first.n_queries:,} queries{without}"

    @property
    def remarks(self) -> list[str]:
        """Return what to know before one believes the figures, one line each."""
        first = self.judgements[0]
        nobody = first.user_strata["no history"][1] / first.n_queries
        if self.split != "time" or nobody < MANY:
            return []
        said = f"{nobody:.0%} of {first.n_queries:,} queries have no history"
        if not self.suits_last:
            return [f"{said}, and nobody has two plays to split by"]
        # Only the split by time has folds.
        without = "" if self.folds == 1 else ", without folds"
        return [f"{said}: try the split last{without}"]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of `rows`."""
        k = self.by[1]
        measures = (f"{name}@{k}" for name in SHOWN)
        return ("channel", "repeats", *measures, f"{self.by[0]}@{k} behind the best")

    @property
    def rows(self) -> list[tuple[object, ...]]:
        """Return a row for each channel, or two where repeats make a visible difference."""
        rows: list[tuple[object, ...]] = []
        for one in self.judgements:
            gap = self.behind.get(one.channel)
            lag = "" if gap is None else f"{Interval(-gap.value, -gap.high, -gap.low):+}"
            for way, figures in ways(one, [(name, self.by[1]) for name in SHOWN]):
                row = (figures.get((name, self.by[1])) for name in SHOWN)
                rows.append((one.channel, way, *row, lag))
                lag = ""  # only in the first row of a channel
        return rows

    def _view(self) -> TableView:
        rows = self.rows
        return TableView(f"{self.about}, lists of {self.by[1]}", self.columns, rows, len(rows),
                         self.remarks)  # fmt: skip

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each channel, measure and k.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        rows = [
            (one.channel, name, k, *astuple(interval))
            for one in self.judgements
            for (name, k), interval in one.means.items()
        ]
        names = ("channel", "measure", "k", "value", "low", "high")
        return pandas_frame(dict(zip(names, zip(*rows, strict=True), strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: of one channel its own, of several their distance to the best."""
        about: dict[str, Any] = {"split": self.split, "folds": self.folds}
        if len(self) == 1:
            return {"schema": "audiorec/recall-evaluate/1", **about, **self[0].to_dict()}
        return {
            "schema": "audiorec/recall-compare/1",
            **about,
            "by": f"{self.by[0]}@{self.by[1]}",
            "channels": [one.to_dict() for one in self.judgements],
            "ahead_of": {
                name: [round(value, 6) for value in astuple(gap)]
                for name, gap in self.behind.items()
            },
        }


def ways(
    judged: Judgement, shown: Sequence[tuple[str, int]]
) -> list[tuple[str, dict[tuple[str, int], float]]]:
    """Return the figures with repeats as requested, and the other way if they differ visibly."""
    asked = {at: judged.means[at].value for at in shown}
    other = {at: judged.otherwise[at] for at in shown if at in judged.otherwise}
    if not any(abs(asked[at] - value) > SEEN for at, value in other.items()):
        return [("", asked)]
    kept, left_out = "kept", "left out"
    named = (kept, left_out) if judged.repeats == "kept" else (left_out, kept)
    return list(zip(named, (asked, other), strict=True))


def evaluate(
    channels: Channel | Lists | Iterable[Channel | Lists],
    log: Sequences | str | PathLike[str] | JudgingSplit | Sequence[JudgingSplit],
    *,
    split: SplitName | None = None,
    folds: int = 1,
    by: tuple[str, int] | None = None,
    ks: Sequence[int] = KS,
    keep_heard: bool = False,
    trained: Sequence[Channel] = (),
    context: Context = NOTHING,
    copies: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Judgements:
    """Train channels on one part of a log, and rank all songs for the other part.

    Parameters
    ----------
    channels : Channel, Lists, or several of them
        Several are compared on the same queries.
    log : path, Sequences, or splits
        A listening log, its plays, or what `split` made of them.
    split : {"last", "time", "sessions", "users", "lists", "random"}, optional
        How to split the log: by default ``time`` if every play has one, ``random`` for a log of
        counts, else ``last``.
    folds : int
        Of a split by time: ask for that many newest tenths of the plays, one after the other, and
        train anew for each on all before it. Channels are left unfitted then.
    by : tuple of str and int, optional
        The measure and k that order the channels: by default recall at the second of `ks`.
    ks : sequence of int
        List lengths to evaluate.
    keep_heard : bool
        Rank songs of the history as well, since music is replayed.
    trained : sequence of Channel
        Those of the channels that are judged as they are.
    context : Context
        Information on songs and users.
    copies : mapping of str to str, optional
        Recordings by song id, of the songs that have copies.
    seed : int
        Seed of the splits and of the bootstrap.

    Raises
    ------
    InputError
        If the log cannot be read or split so, if no query has a wanted song that may be proposed,
        or if folds shall judge what is not trained anew; also the errors of `Channel.fit`.
    MissingExtraError
        If a channel needs torch and it is not installed, before any channel is trained.

    Examples
    --------
    >>> from audiorec.recall import Popular, Rules
    >>> plays = Sequences.from_lists([["a", "b"], ["c", "d"]] * 20)
    >>> evaluate([Popular(), Rules()], plays, split="sessions", by=("recall", 1), ks=[1])
    split sessions, 4 queries, lists of 1
    channel  hit_rate@1  recall@1  ndcg@1  mrr@1  recall@1 behind the best
    rules         1.000     1.000   1.000  1.000
    popular       0.000     0.000   0.000  0.000  -1.000 [-1.000, -1.000]
    """
    several = [channels] if isinstance(channels, Channel | Lists) else list(channels)
    asked = _splits_of(log, split, folds, seed)
    if len(asked) > 1 and (trained or any(isinstance(one, Lists) for one in several)):
        raise InputError(
            "folds train channels anew; judge a trained model or a table of lists on one split"
        )
    for one in several:  # before the first of them is trained
        if isinstance(one, Channel) and one.needs_torch and one not in trained:
            check_torch(f"training {one.name}")
    by = by or ("recall", ks[min(1, len(ks) - 1)])
    ks = sorted({*ks, by[1]})
    options: dict[str, Any] = {"ks": ks, "keep_heard": keep_heard, "context": context, "seed": seed}
    options |= {"copies": copies}
    cluster = np.concatenate([cut.cluster for cut in asked])
    result = [
        join(
            [
                judge(
                    deepcopy(channel) if len(asked) > 1 else channel,
                    cut,
                    trained=any(channel is one for one in trained),
                    **options,
                )
                for cut in asked
            ],
            cluster,
            np.random.default_rng(seed),
        )
        for channel in several
    ]
    result.sort(key=lambda one: -one.means[by].value)
    rng = np.random.default_rng(seed)
    behind = {
        other.channel: clustered_interval(
            result[0].per_query[by] - other.per_query[by], cluster, rng
        )
        for other in result[1:]
    }
    return Judgements(
        judgements=tuple(result),
        behind=behind,
        by=by,
        split=asked[0].name,
        folds=len(asked),
        suits_last=bool((asked[-1].learn.lengths > 1).any()),
    )


def _splits_of(
    log: Sequences | str | PathLike[str] | JudgingSplit | Sequence[JudgingSplit],
    split: SplitName | None,
    folds: int,
    seed: int,
) -> Sequence[JudgingSplit]:
    """Return the splits to judge on."""
    if isinstance(log, JudgingSplit):
        return [log]
    if isinstance(log, str | PathLike):
        log = to_sequences(read_interactions(log))
    if isinstance(log, Sequences):
        return cuts(log, split, folds=folds, seed=seed)
    return log
