"""Pair the completion of each new song with its similarity to the user's favourites.

    events before `since`  ──favourites──▶  what the user liked, weighted
    events from `since` on ──new_songs───▶  songs new to the user, and how far they were played
    both, vectors of length 1  ──pair_completions──▶  pairs (similarity, completion)

The two sets never share a song: a song is new to a user only if the log has no event of any kind
before `since`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.analysis.pearson import pearson_by_user
from audiorec.errors import InputError
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.listening.preferences import MILLION, counted_rows, judge_pairs, row_verdicts
from audiorec.listening.rule import Rule
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import Float64Array, FloatArray, Int64Array

BLOCK_NUMBERS = 1 << 24  # gathered at a time
DAY_S = 86_400.0
LEAST_FADED = 1e-200  # keeps the weight of an old favourite above 0
USUAL_SPLIT = 0.6  # of the time that a log spans


@dataclass(frozen=True, slots=True)
class SongsOfUsers:
    """User-song pairs with one number each, sorted by user and then by song."""

    user: Int64Array  # (P,): user numbers of the log
    song: Int64Array  # (P,): song numbers of the log
    value: Float64Array  # (P,): a favourite's weight, or the completion of a new song

    def __len__(self) -> int:
        return len(self.user)


def default_split(interactions: Interactions) -> float:
    """Return the default split: six tenths of the log's time span, in seconds since 1970.

    Raises `InputError` if a row has no time.
    """
    if np.isnan(interactions.timestamp).any():
        raise InputError("a correlation needs a timestamp on every row of the log")
    first, last = float(interactions.timestamp.min()), float(interactions.timestamp.max())
    return first + USUAL_SPLIT * (last - first)


def favourites(
    interactions: Interactions,
    *,
    since: float,
    rule: Rule | None = None,
    half_life_days: float = 30.0,
    song_ids: Collection[str] | None = None,
) -> SongsOfUsers:
    """Return each user's liked songs with weights, judged by events before `since` only.

    A song's weight is the sum of its liked events' weights, each halved for every half-life (in
    days; ``inf`` for no decay) between the event and `since` (seconds since 1970). Songs not in
    `song_ids` are ignored.
    """
    if not half_life_days > 0:
        raise InputError(f"the half-life must be above 0 days, got {half_life_days}")
    rule = rule or Rule()
    until = since if rule.until is None else min(since, rule.until)
    if rule.since is not None and rule.since >= until:
        raise InputError("the rule's period begins after the split, so there are no favourites")
    rule = replace(rule, until=until)
    liked = judge_pairs(interactions, rule, song_ids=song_ids)
    log = interactions.take(counted_rows(interactions, rule, song_ids=song_ids))
    sign, _, points = row_verdicts(log, rule)
    n_songs = len(log.song_ids)
    keys = (liked.user * n_songs + liked.song)[liked.sign > 0]
    rows = np.flatnonzero(sign > 0)
    row_keys = log.user[rows].astype(np.int64) * n_songs + log.song[rows]
    place, found = _places(row_keys, keys)
    faded = np.exp2(-(since - log.timestamp[rows]) / (half_life_days * DAY_S))
    weights = points[rows] / MILLION * np.maximum(faded, LEAST_FADED)
    value = np.bincount(place[found], weights[found], minlength=len(keys)).astype(np.float64)
    return SongsOfUsers(keys // n_songs, keys % n_songs, value)


def new_songs(
    interactions: Interactions,
    *,
    since: float,
    until: float | None = None,
    song_ids: Collection[str] | None = None,
) -> SongsOfUsers:
    """Return the songs that each user first encountered from `since` on, with their completion.

    The completion is the mean over the user's listening events for the song before `until`,
    weighted by row. Songs not in `song_ids` are ignored.
    """
    n_songs = len(interactions.song_ids)
    keys = interactions.user.astype(np.int64) * n_songs + interactions.song
    before = interactions.timestamp < since
    met = np.unique(keys[before])
    window = Rule(since=since, until=until)
    rows = counted_rows(interactions, window, song_ids=song_ids)
    played = completion(interactions.take(rows))
    rows, played = rows[~np.isnan(played)], played[~np.isnan(played)]
    _, known = _places(keys[rows], met)
    rows, played = rows[~known], played[~known]
    new, place = np.unique(keys[rows], return_inverse=True)
    weight = interactions.weight[rows].astype(np.float64)
    total = np.bincount(place, weight, minlength=len(new))
    value = np.bincount(place, weight * played, minlength=len(new)) / total
    return SongsOfUsers(new // max(1, n_songs), new % max(1, n_songs), value)


def completion(log: Interactions) -> Float64Array:
    """Return how far each event's song was played, 0 to 1: shape (P,), float64.

    The played ratio if known; else 1 for a finish and 0 for a skip. NaN for a play without a
    ratio and for events other than listening.
    """
    played = log.played_ratio.astype(np.float64)
    unknown = np.isnan(played)
    played[unknown & (log.event == EVENTS.index("finish"))] = 1.0
    played[unknown & (log.event == EVENTS.index("skip"))] = 0.0
    played[~is_listening(log.event)] = np.nan
    return played


def _places(values: Int64Array, table: Int64Array) -> tuple[Int64Array, npt.NDArray[Any]]:
    """Return the position of each value in a sorted table, and whether it is in the table."""
    place = np.searchsorted(table, values)
    inside = np.minimum(place, max(0, len(table) - 1))
    found = table[inside] == values if len(table) else np.zeros(len(values), np.bool_)
    return inside, found


@dataclass(frozen=True, slots=True)
class CompletionPairs:
    """The pairs to correlate, sorted by user and then by song."""

    user: Int64Array  # (P,): from 0 to U - 1
    similarity: Float64Array  # (P,)
    completion: Float64Array  # (P,)
    user_number: Int64Array  # (U,): number of each user in the log
    favourites: Int64Array  # (U,): number of favourites of each user
    left_out: dict[str, int]  # users of the log without a correlation, per reason


def pair_completions(
    known: SongsOfUsers,
    new: SongsOfUsers,
    units: FloatArray,
    *,
    rows: Int64Array,
    min_songs: int,
    users: int,
) -> CompletionPairs:
    """Pair similarity with completion, leaving out users with too little data.

    `known` are favourites with weights, `new` are new songs with completion; `rows` (songs of the
    log,) holds each song's row in `units` (S, W). Users with fewer than `min_songs` new songs are
    left out.
    """
    has_favourites = np.bincount(known.user, minlength=users)
    n = np.bincount(new.user, minlength=users)
    kept = (has_favourites > 0) & (n >= min_songs)
    left_out = {
        "no favourite before the split": int((has_favourites == 0).sum()),
        f"fewer than {min_songs} new songs": int(((has_favourites > 0) & ~kept).sum()),
    }
    pairs = np.flatnonzero(kept[new.user])
    user, completion = new.user[pairs], new.value[pairs]
    similarity = similarity_to_favourites(
        known, user, new.song[pairs], units, rows=rows, users=users
    )
    numbers, place = np.unique(user, return_inverse=True)
    r, _ = pearson_by_user(place, similarity, completion)
    varied = ~np.isnan(r)
    left_out["all completions or similarities equal"] = int((~varied).sum())
    pairs = varied[place]
    _, place = np.unique(place[pairs], return_inverse=True)
    numbers = numbers[varied]
    return CompletionPairs(
        place, similarity[pairs], completion[pairs], numbers, has_favourites[numbers], left_out
    )


def similarity_to_favourites(
    known: SongsOfUsers,
    user: Int64Array,
    song: Int64Array,
    units: FloatArray,
    *,
    rows: Int64Array,
    users: int,
) -> Float64Array:
    """Return the weighted mean similarity of songs to their user's favourites: shape (P,).

    The pairs of `user` and `song` (P,) must be sorted by user, each with a favourite. The mean of
    cosines equals the product with the mean of the favourites' vectors.
    """
    width = units.shape[1]
    step = max(1, BLOCK_NUMBERS // max(1, width))
    total = np.bincount(known.user, known.value, minlength=users)
    similarity = np.empty(len(user))
    for first, last in _user_blocks(known.user, user, users, step):
        part = slice(*np.searchsorted(known.user, [first, last]))
        profile = np.zeros((last - first, width))
        weighted = known.value[part, None] * units[rows[known.song[part]]]
        starts = np.flatnonzero(np.diff(known.user[part], prepend=-1))
        if len(starts):
            profile[known.user[part][starts] - first] = np.add.reduceat(weighted, starts)
        pairs = slice(*np.searchsorted(user, [first, last]))
        mean = profile[user[pairs] - first]
        dots = np.einsum("pw,pw->p", mean, units[rows[song[pairs]]].astype(np.float64))
        similarity[pairs] = dots / total[user[pairs]]
    return similarity


def _user_blocks(
    first: Int64Array, second: Int64Array, users: int, step: int
) -> list[tuple[int, int]]:
    """Split the users into runs of at most `step` pairs on each side, or of one user."""
    pairs = np.bincount(first, minlength=users) + np.bincount(second, minlength=users)
    block = np.cumsum(pairs) // step
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), users]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def embedding_units(table: EmbeddingTable) -> FloatArray:
    """Normalise embeddings to length 1: shape (S, D), float32; raise `InputError` for length 0."""
    length = np.linalg.norm(table.embeddings, axis=1, keepdims=True)
    if not (length > 0).all():
        song_id = table.ids[int(np.argmin(length))]
        raise InputError(f"the embedding of {song_id!r} has length 0, so it has no direction")
    return np.asarray(table.embeddings / length, np.float32)
