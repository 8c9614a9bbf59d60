"""Correlate, per user, how far new songs were played with their similarity to favourites.

For each user, Pearson's r between two numbers of each new song: its completion, and its similarity
to what the user liked before, weighted by play count and recency.

    log + vectors ──▶ favourites before the split, new songs after it ──▶ r per user
                  ──▶ against shuffled completions, against shuffled songs ──▶ share, table
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audiorec.analysis.pairs import (
    CompletionPairs,
    SongsOfUsers,
    default_split,
    favourites,
    new_songs,
    pair_completions,
)
from audiorec.analysis.pearson import ShuffledNull, fisher_z, pearson_by_user, shuffled_null
from audiorec.analysis.sensitive_share import SensitiveShare, sensitive_share
from audiorec.errors import InputError, ShapeError
from audiorec.listening.events import Interactions
from audiorec.listening.rule import Rule
from audiorec.types import Float64Array, FloatArray, IdMap, Int64Array, StageProgress

CONTROL_USERS = 2000  # users sampled for the song control
SIGNIFICANT = 0.05  # p of the song control above which chance explains the result
LEAST_SONGS = 4  # Fisher's z has a finite spread from four pairs on


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationSpec:
    """Settings of a correlation analysis.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    # start and end of the period of new songs, in seconds since 1970. By default the split is at
    # six tenths of the time that the log spans, and there is no end
    since: float | None = None
    until: float | None = None
    half_life_days: float = 30.0  # time in which a favourite's weight halves
    min_songs: int = 10  # users with fewer new songs are left out
    draws: int = 200  # shuffles of completions within users
    song_draws: int = 100  # shuffles of vectors among songs
    rule: Rule = field(default_factory=Rule)  # decides which songs are favourites
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("min_songs", LEAST_SONGS), ("draws", 1), ("song_draws", 2)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True, slots=True)
class SongControl:
    """Correlations that arise in this catalogue when vectors are shuffled among songs."""

    mean_z: Float64Array  # (draws,): mean of z over the users, per draw
    p: float  # one-sided: how often mean_z is at least as large as the real one; never 0
    # spread of mean_z beyond the sampling error of finitely many users: what all users share by
    # accident of the catalogue
    shift_spread: float
    chance_spread: float  # spread of z over the users within a draw; about 1


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
    sensitive : SensitiveShare
        Estimated share of users whose listening depends on sound. Its interval is extended to 0
        if shuffled songs reach the mean z in more than 5 % of the draws.
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
    sensitive: SensitiveShare


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
    The exact formula is in ``docs/listening.md``.
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
    found = pair_completions(
        known, new, units, rows=rows, min_songs=spec.min_songs, users=len(interactions.user_ids)
    )
    if len(found.user_number) == 0:
        raise InputError(_nobody(found.left_out, spec))
    r, n = pearson_by_user(found.user, found.similarity, found.completion)
    z = fisher_z(r, n)
    rng = np.random.default_rng([spec.seed, 0])
    if progress is not None:
        progress("shuffled completions", 0, spec.draws)
    null = shuffled_null(found.user, found.similarity, found.completion, draws=spec.draws, rng=rng)
    control = _shuffled_songs(found, float(z.mean()), known, new, units, rows, spec, progress)
    sensitive = sensitive_share(
        z, n, chance_spread=control.chance_spread, shift_spread=control.shift_spread
    )
    if control.p > SIGNIFICANT:
        sensitive = replace(sensitive, low=0.0)
    return Correlations(
        spec=spec,
        since=since,
        user_ids=tuple(interactions.user_ids[u] for u in found.user_number),
        r=r,
        z=z,
        n=n,
        favourites=found.favourites,
        left_out=found.left_out,
        null=null,
        control=control,
        sensitive=sensitive,
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
    known, new = _of_users(known, numbers), _of_users(new, numbers)
    figures = []
    for draw in range(spec.song_draws):
        shuffled = rng.permutation(len(units))[rows]
        both = pair_completions(
            known, new, units, rows=shuffled, min_songs=spec.min_songs, users=len(numbers)
        )
        z = fisher_z(*pearson_by_user(both.user, both.similarity, both.completion))
        if len(z) > 1:
            figures.append((z.mean(), z.var(ddof=1), len(z)))
        if progress is not None:
            progress("shuffled songs", draw + 1, spec.song_draws)
    return _control(np.array(figures, np.float64).reshape(-1, 3), mean_z)


def _control(figures: Float64Array, mean_z: float) -> SongControl:
    """Summarise the draws, given mean, variance and number of users of each."""
    means, variances, users = figures.T
    p = (1 + int((means >= mean_z).sum())) / (1 + len(means))
    if len(means) == 0:
        return SongControl(means, p, 0.0, 1.0)
    # Around 0, not around their mean: with shuffled vectors the expected z is 0.
    beyond = float(np.mean(means**2 - variances / users))
    chance = float(np.sqrt(variances.mean()))
    return SongControl(means, p, np.sqrt(max(0.0, beyond)), chance if chance > 0 else 1.0)


def _of_users(pairs: SongsOfUsers, numbers: Int64Array) -> SongsOfUsers:
    """Select some users, and renumber them from 0."""
    place = np.searchsorted(numbers, pairs.user)
    place = np.minimum(place, len(numbers) - 1)
    kept = numbers[place] == pairs.user
    return SongsOfUsers(place[kept], pairs.song[kept], pairs.value[kept])


def _nobody(left_out: dict[str, int], spec: CorrelationSpec) -> str:
    reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items() if count)
    return (
        f"no user has a correlation ({reasons or 'no user'}). Check that the log has the store's "
        f"song ids, move --since, or lower --min-songs (now {spec.min_songs})"
    )
