"""Listening cut into what is learnt from, what is known of a user, and what is asked for.

=============  ========================================================================
``last``       each owner's last play is asked for, all before are known and learnt from
``time``       the newest part of all plays is asked for; what came before is learnt from
``sessions``   the newest part of the sequences: each but its last play is known
``users``      8 : 1 : 1 users; of a judged one the first 80 % are known (as in ComiRec)
``lists``      a fifth of each list is hidden; lists that are near-copies hide the same songs
=============  ========================================================================

Only ``time`` never learns from what happens later than what is asked for.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, IdMap, Int64Array

SplitName = Literal["last", "time", "sessions", "users", "lists"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
NEWEST = 0.1  # of plays (time) or of sequences (sessions)
JUDGED_USERS = 0.1
KNOWN_SHARE = 0.8
HIDDEN_SHARE = 0.2
COPY_SHARE = 0.8  # of the smaller list: lists that share more are near-copies


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgingSplit:
    """What a channel learns from, and what it is asked.

    Attributes
    ----------
    name : str
    learn : Sequences
        What channels are fitted on.
    histories : Sequences
        What is known of Q owners when they are asked for songs.
    wanted : Sequences
        The songs that each should get; one list a query, never empty.
    cluster : ndarray, shape (Q,), int64
        Queries of one user or session, which are not independent, have one number.
    """

    name: str
    learn: Sequences
    histories: Sequences
    wanted: Sequences
    cluster: Int64Array

    def __post_init__(self) -> None:
        if not len(self.histories) == len(self.wanted) == len(self.cluster):
            raise InputError("a history, wanted songs and a cluster for each query expected")
        if not len(self.wanted):
            raise InputError(f"split {self.name}: there is nothing to ask for; name another split")

    def __len__(self) -> int:
        return len(self.histories)


def split(plays: Sequences, name: SplitName, *, seed: int = 0) -> JudgingSplit:
    """Cut listening by one of the rules at the head of this module.

    Parameters
    ----------
    plays : Sequences
    name : {"last", "time", "sessions", "users", "lists"}
    seed : int
        Of what is drawn: users, hidden songs.

    Raises
    ------
    InputError
        If the rule needs times that are not there, or leaves nothing to ask for.

    Examples
    --------
    >>> found = split(Sequences.from_lists([["a", "b", "c"], ["b"]]), "last")
    >>> found.learn.lengths.tolist(), found.histories.lengths.tolist(), len(found)
    ([2, 1], [2], 1)
    """
    rng = np.random.default_rng(seed)
    match name:
        case "last":
            return _last(plays)
        case "time":
            return _time(plays)
        case "sessions":
            return _sessions(plays)
        case "users":
            return _users(plays, rng)
        case "lists":
            return _lists(plays, rng)
    raise InputError(f"no split {name!r}; there are: {', '.join(SPLITS)}")


def given(
    learn: Sequences,
    histories: Sequences,
    wanted: Sequences,
    cluster: Int64Array | None = None,
) -> JudgingSplit:
    """Make a split of a test set that is given: histories and wanted songs by owner id.

    `cluster` numbers the owners of `wanted` that belong together; each stands alone by default.
    Users without a history are left out.

    Raises
    ------
    InputError
        If no user has both.
    """
    rows = IdMap(histories.owner_ids).rows(wanted.owner_ids)
    known = np.flatnonzero(rows >= 0)
    if not len(known):
        raise InputError("no user of the targets has a history: both need the same user ids")
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
    return _cut("last", plays, last, asked)


def _time(plays: Sequences) -> JudgingSplit:
    if not len(plays.song) or np.isnan(plays.time).any():
        raise InputError("split time needs a time on every play; use last, sessions or users")
    moment = np.quantile(plays.time, 1 - NEWEST, method="higher")
    later = plays.time >= moment
    owner = plays.owner
    both = np.bincount(owner[later], minlength=len(plays)) > 0
    return _cut("time", plays, later, np.flatnonzero(both))


def _sessions(plays: Sequences) -> JudgingSplit:
    long = np.flatnonzero(plays.lengths > 1)
    ends = plays.time[plays.starts[long + 1] - 1]
    newest = long[np.argsort(ends, kind="stable")]  # without times, the last of the file
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


def _lists(plays: Sequences, rng: np.random.Generator) -> JudgingSplit:
    group = list_groups(plays)
    n = len(plays.song_ids)
    key = group[plays.owner] * n + plays.song
    entries, place = np.unique(key, return_inverse=True)
    # A song that is hidden in one list is hidden in all near-copies of it.
    hidden = np.zeros(len(entries), np.bool_)
    start = np.searchsorted(entries, np.arange(group.max(initial=-1) + 2) * n)
    for first, stop in pairwise(start.tolist()):
        size = stop - first
        hidden[first + rng.permutation(size)[: round(HIDDEN_SHARE * size)]] = True
    hides = hidden[place]
    kept = np.bincount(plays.owner[~hides], minlength=len(plays)) > 0
    asked = np.flatnonzero(kept & (np.bincount(plays.owner[hides], minlength=len(plays)) > 0))
    found = _cut("lists", plays, hides, asked)
    return JudgingSplit(
        name="lists",
        learn=found.learn,
        histories=found.histories,
        wanted=found.wanted,
        cluster=group[asked],
    )


def list_groups(lists: Sequences) -> Int64Array:
    """Give near-copies of a list, and copies of copies, one number: shape (U,), int64.

    Two lists are near-copies if they share more than `COPY_SHARE` of the smaller one.

    Examples
    --------
    >>> list_groups(Sequences.from_lists([["a", "b", "c"], ["d"], ["c", "b", "a", "e"]])).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = len(lists)
    pair = np.unique(lists.owner * max(1, len(lists.song_ids)) + lists.song)
    owner, song = pair // max(1, len(lists.song_ids)), pair % max(1, len(lists.song_ids))
    ones = np.ones(len(pair), np.float32)
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


def _cut(name: str, plays: Sequences, asked_for: BoolArray, rows: Int64Array) -> JudgingSplit:
    """Learn from and know what is not asked for; ask the owners at `rows`."""
    return JudgingSplit(
        name=name,
        learn=plays.keep(~asked_for),
        histories=plays.keep(~asked_for).take(rows),
        wanted=plays.keep(asked_for).take(rows),
        cluster=rows,
    )
