"""Correlate, per user, how far new songs were played with their similarity to favourites.

    events before `since`  ──favourites──▶  what the user liked, weighted
    events from `since` on ──new_songs───▶  songs new to the user, and how far they were played
    both, vectors of length 1  ──pair_completions──▶  pairs ──▶ Pearson's r per user
        ──▶ against shuffled completions, against shuffled songs ──▶ share, table

The two sets never share a song: a song is new to a user only if the log has no event of any kind
before `since`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.analysis.pearson import (
    ShuffledNull,
    fisher_z,
    pearson_by_user,
    shuffled_null,
)
from audiorec.errors import InputError, ShapeError
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.listening.rule import MILLION, Rule, counted_rows, judge_pairs, row_verdicts
from audiorec.options import check_fields
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import Float64Array, FloatArray, IdMap, Int64Array, StageProgress

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
    place, result = _places(row_keys, keys)
    faded = np.exp2(-(since - log.timestamp[rows]) / (half_life_days * DAY_S))
    weights = points[rows] / MILLION * np.maximum(faded, LEAST_FADED)
    value = np.bincount(place[result], weights[result], minlength=len(keys)).astype(np.float64)
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
    places = table[inside] == values if len(table) else np.zeros(len(values), np.bool_)
    return inside, places


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


CONTROL_USERS = 2000  # users sampled for the song control
LEAST_SONGS = 4  # Fisher's z has a finite spread from four pairs on


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationSpec:
    """Settings of a correlation analysis.

    Attributes
    ----------
    space : {"vector", "sound"}
        What songs of a store are compared by.
    half_life_days : float
        Days in which a favourite loses half its weight.
    min_songs : int
        Users with fewer new songs are left out.
    draws : int
        Shuffles of completions within users.
    song_draws : int
        Shuffles of vectors among songs.
    seed : int
        Seed of the shuffles.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    # start and end of the period of new songs, in seconds since 1970. By default the split is at
    # six tenths of the time that the log spans, and there is no end
    since: float | None = None
    until: float | None = None
    space: Literal["vector", "sound"] = "vector"
    half_life_days: float = 30.0
    min_songs: int = 10
    draws: int = 200
    song_draws: int = 100
    rule: Rule = field(default_factory=Rule)  # decides which songs are favourites
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, min_songs=f">={LEAST_SONGS}", draws=">=1", song_draws=">=2", seed=">=0")


@dataclass(frozen=True, slots=True)
class SongControl:
    """Correlations that arise in this catalogue when vectors are shuffled among songs."""

    mean_z: Float64Array  # (draws,): mean of z over the users, per draw
    p: float  # one-sided: how often mean_z is at least as large as the real one; never 0


@dataclass(frozen=True, slots=True)
class Correlations:
    """Result of a correlation analysis.

    Attributes
    ----------
    spec : CorrelationSpec
    since : float
        The split, in seconds since 1970.
    user_ids : tuple of str, length U
    r, z : ndarray, shape (U,), float64
        Pearson's r, and Fisher's z in units of its spread under chance.
    n, favourites : ndarray, shape (U,), int64
        New songs and favourites of each user.
    left_out : dict of str to int
        Users without a correlation, per reason.
    null : ShuffledNull
        Null distribution from completions shuffled within users.
    control : SongControl
        Null distribution from vectors shuffled among songs.
    """

    spec: CorrelationSpec
    since: float
    user_ids: tuple[str, ...]
    r: Float64Array
    z: Float64Array
    n: Int64Array
    favourites: Int64Array
    left_out: dict[str, int]
    null: ShuffledNull
    control: "SongControl"


def correlate(
    interactions: Interactions,
    song_ids: Sequence[str],
    units: FloatArray,
    spec: CorrelationSpec | None = None,
    *,
    progress: StageProgress | None = None,
) -> Correlations:
    """Correlate similarity and completion for each user.

    Parameters
    ----------
    interactions : Interactions
    song_ids : sequence of str, length S
        Events of other songs are ignored.
    units : ndarray, shape (S, W), float32
        Vectors of length 1 of the songs: ``Similarity.units``, or embeddings.
    spec : CorrelationSpec, optional
    progress : callable, optional
        Called with the name of the stage, its completed steps, and its total steps.

    Returns
    -------
    correlations : Correlations

    Raises
    ------
    InputError
        If no user has a correlation; the message says why.
    ShapeError
        If the numbers of vectors and songs differ.

    Notes
    -----
    The exact formula is in ``docs/explanation/listening_by_ear.md``.
    """
    spec = spec or CorrelationSpec()
    if units.ndim != 2 or len(units) != len(song_ids):
        raise ShapeError(f"units must have shape ({len(song_ids)}, W), got {units.shape}")
    since = default_split(interactions) if spec.since is None else spec.since
    catalogue = frozenset(song_ids)
    known = favourites(
        interactions,
        since=since,
        rule=spec.rule,
        half_life_days=spec.half_life_days,
        song_ids=catalogue,
    )
    new = new_songs(interactions, since=since, until=spec.until, song_ids=catalogue)
    rows = IdMap(song_ids).rows(interactions.song_ids)
    result = pair_completions(
        known, new, units, rows=rows, min_songs=spec.min_songs, users=len(interactions.user_ids)
    )
    if len(result.user_number) == 0:
        raise InputError(_nobody(result.left_out, spec))
    r, n = pearson_by_user(result.user, result.similarity, result.completion)
    z = fisher_z(r, n)
    rng = np.random.default_rng([spec.seed, 0])
    if progress is not None:
        progress("shuffled completions", 0, spec.draws)
    null = shuffled_null(
        result.user, result.similarity, result.completion, draws=spec.draws, rng=rng
    )
    control = _shuffled_songs(result, float(z.mean()), known, new, units, rows, spec, progress)
    return Correlations(
        spec=spec,
        since=since,
        user_ids=tuple(interactions.user_ids[u] for u in result.user_number),
        r=r,
        z=z,
        n=n,
        favourites=result.favourites,
        left_out=result.left_out,
        null=null,
        control=control,
    )


def _shuffled_songs(
    found: CompletionPairs,
    mean_z: float,
    known: SongsOfUsers,
    new: SongsOfUsers,
    units: FloatArray,
    rows: Int64Array,
    spec: CorrelationSpec,
    progress: StageProgress | None,
) -> SongControl:
    """Shuffle the vectors among the songs, many times, and correlate again."""
    rng = np.random.default_rng([spec.seed, 1])
    numbers = found.user_number
    if len(numbers) > CONTROL_USERS:
        numbers = np.sort(rng.choice(numbers, CONTROL_USERS, replace=False))
    known, new = _select_users(known, numbers), _select_users(new, numbers)
    means = []
    for draw in range(spec.song_draws):
        shuffled = rng.permutation(len(units))[rows]
        both = pair_completions(
            known, new, units, rows=shuffled, min_songs=spec.min_songs, users=len(numbers)
        )
        z = fisher_z(*pearson_by_user(both.user, both.similarity, both.completion))
        means += [z.mean()] if len(z) > 1 else []
        if progress is not None:
            progress("shuffled songs", draw + 1, spec.song_draws)
    drawn = np.array(means, np.float64)
    return SongControl(drawn, (1 + int((drawn >= mean_z).sum())) / (1 + len(drawn)))


def _select_users(pairs: SongsOfUsers, numbers: Int64Array) -> SongsOfUsers:
    """Select some users, and renumber them from 0."""
    place = np.searchsorted(numbers, pairs.user)
    place = np.minimum(place, len(numbers) - 1)
    kept = numbers[place] == pairs.user
    return SongsOfUsers(place[kept], pairs.song[kept], pairs.value[kept])


def _nobody(left_out: dict[str, int], spec: CorrelationSpec) -> str:
    reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items() if count)
    return (
        f"no user has a correlation ({reasons or 'no user'}). Check that the log has the store's "
        f"song ids, move `days`, or lower `min_songs` {spec.min_songs}"
    )
