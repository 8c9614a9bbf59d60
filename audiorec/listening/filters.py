"""Named filters for plays that say nothing about taste.

    log ──noise(log, name)──▶ rows that a filter removes     ──without_noise──▶ the other rows

=================  ==========================================================================
``looped``         a song on repeat: a user's plays of it beyond `LOOP_RUN` in a row, or beyond
                   `LOOP_DAY` on one day
``flood``          all plays of a user in hours with more than `HOUR_PLAYS` of them
``skip-chain``     `CHAIN` or more successive skips of a user, each within `CHAIN_GAP_S` of the
                   previous one: nobody was listening
``shared-device``  all plays of users with far more songs per day than other users, and far more
                   artists per day (different songs, if the log has no artists). An outlier
                   heuristic based on quartiles; needs a log of at least `FEW_USERS` users
=================  ==========================================================================

Days and hours are in UTC. Rows without a time have no day or hour; only their order is used. Only
listening events (play, finish, skip) are removed; explicit feedback (``like``, ``block``) stays.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.types import BoolArray, Float64Array, Int64Array

FilterName = Literal["looped", "flood", "skip-chain", "shared-device"]
FILTERS: tuple[FilterName, ...] = get_args(FilterName)
PER_USER: tuple[FilterName, ...] = ("looped", "flood", "skip-chain")  # depend on one user's rows
LOOP_RUN, LOOP_DAY = 10, 30  # plays of one song
HOUR_PLAYS = 200
CHAIN, CHAIN_GAP_S = 5, 10.0
FEW_USERS = 20
SPREADS = 3.0  # interquartile ranges above the upper quartile, on a logarithmic scale
LEAST_A_DAY = 100.0  # songs; one person can hear fewer than that
HOUR_S, DAY_S = 3_600.0, 86_400.0


def noise(log: Interactions, name: str) -> BoolArray:
    """Return which rows of a log a filter removes: shape (P,), bool.

    Raises
    ------
    InputError
        If there is no filter of this name.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> noise(read_interactions("fixtures/formats/interactions-v1.csv"), "looped").any()
    np.False_
    """
    if name not in FILTERS:
        raise InputError(f"there is no filter {name!r}, there are: {', '.join(FILTERS)}")
    rows = np.flatnonzero(is_listening(log.event))
    rows = rows[np.lexsort((log.timestamp[rows], log.user[rows]))]
    mask = np.zeros(len(log), np.bool_)
    mask[rows[_TAKES[name](log, rows)]] = True
    return mask


def without_noise(log: Interactions, names: Collection[str]) -> Interactions:
    """Return a log without the rows that any of the filters removes; each sees the whole log."""
    taken = np.zeros(len(log), np.bool_)
    for name in names:
        taken |= noise(log, name)
    return log.take(~taken) if taken.any() else log


def count_noise(log: Interactions) -> dict[str, dict[str, int]]:
    """Return for each filter the number of rows it removes, and of users affected."""
    found: dict[str, dict[str, int]] = {}
    for name in FILTERS:
        mask = noise(log, name)
        users = int(np.count_nonzero(np.bincount(log.user[mask], minlength=1)))
        found[name] = {"rows": int(mask.sum()), "users": users}
    return found


def _looped(log: Interactions, rows: Int64Array) -> BoolArray:
    user, song = log.user[rows].astype(np.int64), log.song[rows].astype(np.int64)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(user) != 0) | (np.diff(song) != 0)
    in_a_row = _places(np.cumsum(new) - 1) >= LOOP_RUN
    timed = np.flatnonzero(~np.isnan(log.timestamp[rows]))
    day = np.floor(log.timestamp[rows][timed] / DAY_S).astype(np.int64)
    order = np.lexsort((timed, day, song[timed], user[timed]))
    same = np.zeros(len(order), np.bool_)
    for key in (user[timed], song[timed], day):
        same[1:] |= np.diff(key[order]) != 0
    in_a_row[timed[order]] |= _places(np.cumsum(same)) >= LOOP_DAY
    return in_a_row


def _flood(log: Interactions, rows: Int64Array) -> BoolArray:
    hour = np.floor(log.timestamp[rows] / HOUR_S)
    return _counts(log.user[rows], hour) > HOUR_PLAYS


def _skip_chain(log: Interactions, rows: Int64Array) -> BoolArray:
    skip = log.event[rows] == EVENTS.index("skip")
    user, time = log.user[rows], log.timestamp[rows]
    joined = np.zeros(len(rows), np.bool_)
    joined[1:] = skip[1:] & skip[:-1] & (np.diff(user) == 0) & (np.diff(time) <= CHAIN_GAP_S)
    chain = np.cumsum(~joined) - 1
    long = np.bincount(chain, minlength=1) >= CHAIN
    taken: BoolArray = skip & long[chain] if len(rows) else skip
    return taken


def _shared_device(log: Interactions, rows: Int64Array) -> BoolArray:
    rows_timed = rows[~np.isnan(log.timestamp[rows])]
    user = log.user[rows_timed].astype(np.int64)
    if len(np.unique(user)) < FEW_USERS:
        return np.zeros(len(rows), np.bool_)
    day = np.floor(log.timestamp[rows_timed] / DAY_S).astype(np.int64)
    artists = log.labels.get("artist_id")
    kind = log.song[rows_timed] if artists is None else artists.number[rows_timed]
    songs = _a_day(user, day, None, len(log.user_ids))
    kinds = _a_day(user, day, kind, len(log.user_ids))
    odd = (songs >= LEAST_A_DAY) & _far_above(songs) & _far_above(kinds)
    taken: BoolArray = odd[log.user[rows]]
    return taken


def _a_day(
    user: Int64Array, day: Int64Array, kind: npt.NDArray[Any] | None, n_users: int
) -> Float64Array:
    """Return mean rows (or distinct kinds) of each user per active day: shape (U,), float64."""
    days = np.unique(np.stack([user, day], axis=1), axis=0)[:, 0]
    if kind is not None:
        known = kind >= 0
        user = np.unique(np.stack([user[known], day[known], kind[known]], axis=1), axis=0)[:, 0]
    count = np.bincount(user, minlength=n_users)
    return count / np.maximum(1, np.bincount(days, minlength=n_users))


def _far_above(values: Float64Array) -> BoolArray:
    """Return which of the values above 0 are high outliers: shape (U,), bool."""
    there = values > 0
    logs = np.log(values[there])
    low, high = np.quantile(logs, [0.25, 0.75]) if len(logs) else (0.0, 0.0)
    far = np.zeros(len(values), np.bool_)
    # Require at least a factor of e above the quartile: equal users have no spread.
    far[there] = logs > high + max(1.0, SPREADS * (high - low))
    return far


def _places(run: Int64Array) -> Int64Array:
    """Return the position of each row in its run; `run` holds ascending run numbers."""
    if not len(run):
        return run
    _, first, number = np.unique(run, return_index=True, return_inverse=True)
    return np.arange(len(run)) - first[number]


def _counts(user: npt.NDArray[Any], moment: Float64Array) -> Int64Array:
    """Return how many rows each row's user has in the same period; 0 without a time."""
    count = np.zeros(len(user), np.int64)
    timed = np.flatnonzero(~np.isnan(moment))
    if len(timed):
        keys = np.stack([user[timed].astype(np.int64), moment[timed].astype(np.int64)], axis=1)
        _, number, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        count[timed] = counts[number]
    return count


_TAKES: dict[str, Callable[[Interactions, Int64Array], BoolArray]] = {
    "looped": _looped,
    "flood": _flood,
    "skip-chain": _skip_chain,
    "shared-device": _shared_device,
}
