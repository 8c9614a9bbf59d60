"""Split plays into training data, histories of the judged users, and wanted songs.

=============  ========================================================================
``last``       wanted: each owner's last play; history and training: all earlier plays
``time``       wanted: the newest part of all plays; history and training: the rest
``sessions``   judged: the newest sequences; wanted: the last play of each
``users``      judged: a tenth of the users; history: the first 80 % (as in ComiRec)
``lists``      wanted: a fifth of each list; near-copies of a list hide the same songs
``random``     wanted: a fifth of the songs of each owner, drawn by seed; no order is needed
=============  ========================================================================

Only ``time`` guarantees that no training play is later than a wanted one.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from os import PathLike
from typing import Literal, get_args

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.types import BoolArray, IdMap, Int64Array

SplitName = Literal["last", "time", "sessions", "users", "lists", "random"]
IN_ORDER = ("last", "time", "sessions", "users")
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
NEWEST = 0.1  # share of plays (time) or of sequences (sessions)
MOST_FOLDS = 5
JUDGED_USERS = 0.1
KNOWN_SHARE = 0.8
HIDDEN_SHARE = 0.2
COPY_SHARE = 0.8  # lists that share more than this part of the smaller one are near-copies


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgingSplit:
    """Training data and queries with known answers.

    Attributes
    ----------
    name : str
    learn : Sequences
        Training data.
    histories : Sequences
        Histories of the Q queries.
    wanted : Sequences
        The wanted songs of each query; never empty.
    cluster : ndarray, shape (Q,), int64
        Dependent queries (of one user or session) share a number.
    """

    name: str
    learn: Sequences
    histories: Sequences
    wanted: Sequences
    cluster: Int64Array

    def __post_init__(self) -> None:
        if not len(self.histories) == len(self.wanted) == len(self.cluster):
            raise InputError("histories, wanted and cluster must have one entry per query")
        if not len(self.wanted):
            raise InputError(f"split {self.name}: leaves no song to ask for; choose another split")

    def __len__(self) -> int:
        return len(self.histories)


def split(
    plays: Sequences | str | PathLike[str], name: SplitName, *, seed: int = 0
) -> JudgingSplit:
    """Split plays by one of the rules in the module docstring.

    Parameters
    ----------
    plays : Sequences or path
        Plays of each user, or a listening log, whose finished plays are split.
    name : {"last", "time", "sessions", "users", "lists", "random"}
    seed : int
        Seed for drawing users and hidden songs.

    Raises
    ------
    InputError
        If the log cannot be read, if the rule needs an order or times that the plays lack, or if no
        query remains.

    Examples
    --------
    >>> found = split(Sequences.from_lists([["a", "b", "c"], ["b"]]), "last")
    >>> found.learn.lengths.tolist(), found.histories.lengths.tolist(), len(found)
    ([2, 1], [2], 1)
    """
    if not isinstance(plays, Sequences):
        plays = to_sequences(read_interactions(plays))
    rng = np.random.default_rng(seed)
    if plays.is_counted and name in IN_ORDER:
        raise InputError(
            f"split {name} needs the order of plays, and a log of counts has none (no timestamp); "
            "hide songs at random: `split=random`"
        )
    match name:
        case "last":
            return _last(plays)
        case "time":
            return time_folds(plays)[0]
        case "sessions":
            return _sessions(plays)
        case "users":
            return _users(plays, rng)
        case "lists":
            return _hidden(name, plays, list_groups(plays), rng)
        case "random":
            return _hidden(name, plays, np.arange(len(plays)), rng)
    raise InputError(f"unknown split {name!r}; there are: {', '.join(SPLITS)}")


def cuts(
    plays: Sequences, name: SplitName | None, *, folds: int = 1, seed: int = 0
) -> list[JudgingSplit]:
    """Split plays by a rule, by default the one that suits them; by time into `folds`.

    Raises
    ------
    InputError
        As for `split`; or if folds are asked of another rule.
    """
    usual: SplitName = "last" if np.isnan(plays.time).any() else "time"
    name = name or ("random" if plays.is_counted else usual)
    if name == "time":
        return time_folds(plays, folds)
    if folds != 1:
        timed = not (plays.is_counted or np.isnan(plays.time).any())
        instead = " or take the split time" if timed else ": not every play has a time"
        raise InputError(
            f"folds are cut by time, and this is the split {name}; leave out `folds`{instead}"
        )
    return [split(plays, name, seed=seed)]


def given_split(
    learn: Sequences,
    histories: Sequences,
    wanted: Sequences,
    cluster: Int64Array | None = None,
) -> JudgingSplit:
    """Build a split from a given test set, matching histories and wanted songs by owner id.

    `cluster` gives dependent owners of `wanted` the same number; by default all are independent.
    Users without a history are left out.

    Raises
    ------
    InputError
        If no user has both a history and wanted songs.
    """
    rows = IdMap(histories.owner_ids).rows(wanted.owner_ids)
    known = np.flatnonzero(rows >= 0)
    if not len(known):
        raise InputError("no user of the targets has a history; use the same user ids in both")
    cluster = np.arange(len(wanted)) if cluster is None else cluster
    return JudgingSplit(
        name="given",
        learn=learn,
        histories=histories.take(rows[known]),
        wanted=wanted.take(known),
        cluster=cluster[known],
    )


def _last(plays: Sequences) -> JudgingSplit:
    last = np.zeros(len(plays.song), np.bool_)
    asked = np.flatnonzero(plays.lengths > 1)
    last[plays.starts[asked + 1] - 1] = True
    return cut_at("last", plays, last, asked)


def time_folds(plays: Sequences, n: int = 1) -> list[JudgingSplit]:
    """Ask for the newest `n` tenths of all plays, one after the other, each knowing all before it.

    The owners of all folds have the same numbers in `cluster`, so an interval over folds draws a
    user with all of that user's queries.

    Raises
    ------
    InputError
        If a play has no time, or `n` is not from 1 to `MOST_FOLDS`.

    Examples
    --------
    >>> plays = Sequences.from_lists([[f"s{n}" for n in range(40)]])
    >>> plays = replace(plays, time=np.arange(40.0))
    >>> [(len(f.learn.song), len(f.wanted.song)) for f in time_folds(plays, 3)]
    [(28, 4), (32, 4), (36, 4)]
    """
    if not len(plays.song) or np.isnan(plays.time).any():
        raise InputError(
            "split time needs a time for every play; use last, sessions, users or random"
        )
    if not 1 <= n <= MOST_FOLDS:
        raise InputError(f"folds are from 1 to {MOST_FOLDS}: each is a tenth of all plays")
    shares = 1 - NEWEST * np.arange(n, 0, -1)
    moments = [*np.quantile(plays.time, shares, method="higher").tolist(), np.inf]
    return [_between(plays, first, end) for first, end in pairwise(moments)]


def _between(plays: Sequences, first: float, end: float) -> JudgingSplit:
    """Ask for the plays of a stretch of time, of owners who have some."""
    known = plays.keep(plays.time < end)
    later = known.time >= first
    both = np.bincount(known.owner[later], minlength=len(known)) > 0
    return cut_at("time", known, later, np.flatnonzero(both))


def _sessions(plays: Sequences) -> JudgingSplit:
    long = np.flatnonzero(plays.lengths > 1)
    ends = plays.time[plays.starts[long + 1] - 1]
    newest = long[np.argsort(ends, kind="stable")]  # without times, file order
    newest = np.sort(newest[-max(1, round(NEWEST * len(newest))) :]) if len(newest) else newest
    rest = np.ones(len(plays), np.bool_)
    rest[newest] = False
    asked = plays.take(newest)
    last = np.zeros(len(asked.song), np.bool_)
    last[asked.starts[1:] - 1] = True
    return JudgingSplit(
        name="sessions",
        learn=plays.take(rest),
        histories=asked.keep(~last),
        wanted=asked.keep(last),
        cluster=np.arange(len(asked)),
    )


def _users(plays: Sequences, rng: np.random.Generator) -> JudgingSplit:
    able = np.flatnonzero(plays.lengths >= 2)
    n = max(1, round(JUDGED_USERS * len(able))) if len(able) else 0
    drawn = rng.permutation(able)
    judged, rest = np.sort(drawn[:n]), np.ones(len(plays), np.bool_)
    rest[judged] = False
    asked = plays.take(judged)
    known = np.maximum(
        1, np.minimum((KNOWN_SHARE * asked.lengths).astype(np.int64), asked.lengths - 1)
    )
    place = np.arange(len(asked.song)) - np.repeat(asked.starts[:-1], asked.lengths)
    before = place < np.repeat(known, asked.lengths)
    return JudgingSplit(
        name="users",
        learn=plays.take(rest),
        histories=asked.keep(before),
        wanted=asked.keep(~before),
        cluster=np.arange(len(asked)),
    )


def _hidden(
    name: SplitName, plays: Sequences, group: Int64Array, rng: np.random.Generator
) -> JudgingSplit:
    """Hide a fifth of the songs of each group of owners, (U,), from all of them."""
    n = len(plays.song_ids)
    key = group[plays.owner] * n + plays.song
    entries, place = np.unique(key, return_inverse=True)
    # A song hidden in one list is hidden in all its near-copies, and all plays of it are.
    hidden = np.zeros(len(entries), np.bool_)
    start = np.searchsorted(entries, np.arange(group.max(initial=-1) + 2) * n)
    for first, stop in pairwise(start.tolist()):
        size = stop - first
        hidden[first + rng.permutation(size)[: round(HIDDEN_SHARE * size)]] = True
    hides = hidden[place]
    kept = np.bincount(plays.owner[~hides], minlength=len(plays)) > 0
    asked = np.flatnonzero(kept & (np.bincount(plays.owner[hides], minlength=len(plays)) > 0))
    return replace(cut_at(name, plays, hides, asked), cluster=group[asked])


def list_groups(lists: Sequences) -> Int64Array:
    """Return the group number of each list, (U,) int64: near-copies share a group.

    Two lists are near-copies if they share more than `COPY_SHARE` of the smaller one. Copies of
    copies belong to the same group.

    Examples
    --------
    >>> list_groups(Sequences.from_lists([["a", "b", "c"], ["d"], ["c", "b", "a", "e"]])).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = len(lists)
    owner, song, _ = lists.distinct()
    ones = np.ones(len(owner), np.float32)
    matrix = csr_array((ones, (owner, song)), shape=(n, len(lists.song_ids)))
    shared = (matrix @ matrix.T).tocoo()
    size = np.bincount(owner, minlength=n)
    near = shared.data > COPY_SHARE * np.minimum(size[shared.row], size[shared.col])
    graph = csr_array((shared.data[near], (shared.row[near], shared.col[near])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[number]


def cut_at(name: str, plays: Sequences, asked_for: BoolArray, rows: Int64Array) -> JudgingSplit:
    """Split at a mask of the wanted plays; the queries are the owners at `rows`."""
    learn = plays.keep(~asked_for)
    return JudgingSplit(
        name=name,
        learn=learn,
        histories=learn.take(rows),
        wanted=plays.keep(asked_for).take(rows),
        cluster=rows,
    )
