"""Songs and users of a simulated world, and their listening: sessions, choices, likes.

Songs and users of a simulated world: positions in taste space, and affinities. Every song has two
positions. The audible one is a random smooth function of its features; the inaudible one is drawn
at random and stands for everything that cannot be heard: fame, friends, lyrics, scenes. Taste
depends on a mixture of the two, which is hidden from models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.listening.events import EVENTS
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, lengths_of

PLACE = 8  # dimensions of both positions
COMPONENTS = 16  # principal components of the features that are audible
HIDDEN = 64  # units of the random network
GAIN = 1.0  # of its first layer: larger is less smooth
MODES = 3  # maximum number of songs that a user's taste is centred on
SHARPNESS = 3.0  # of the peaks of a taste
MODE_NOISE = 0.4  # spread of a taste around its songs; positions have length 1
GROUP_PULL = 2.0  # influence of age and country on the choice of these songs
ZIPF = 0.7  # exponent of popularity by rank
LATE_FROM, LATE_UNTIL = 0.6, 0.95  # release of late songs, as shares of the period
JOIN_FROM = 0.9  # earliest joining of late users, as a share of the period
ACTIVITY_SPREAD = 0.5  # standard deviation of the log of sessions per day

AGE_BANDS = ("under 18", "18-24", "25-34", "35-49", "50-64", "65 and over")
COUNTRIES = ("A", "B", "C", "D", "E", "F", "G", "H")


@dataclass(frozen=True, slots=True)
class WorldSongs:
    """The S songs of a world."""

    audible: Float64Array  # (S, PLACE): positions of length 1
    inaudible: Float64Array  # (S, PLACE)
    popularity: Float64Array  # (S,): sums to 1
    quality: Float64Array  # (S,): standard normal: how much longer all users play it
    release_day: Int64Array  # (S,): 0 for songs released before the period

    def __len__(self) -> int:
        return len(self.popularity)


@dataclass(frozen=True, slots=True)
class People:
    """The U users of a world."""

    sensitive: BoolArray  # (U,): users with a taste that depends on the audio
    joined_day: Int64Array  # (U,)
    activity: Float64Array  # (U,): mean sessions per day
    patience: Float64Array  # (U,): standard normal: how much longer the user plays any song
    age: Int64Array  # (U,): index into `AGE_BANDS`
    country: Int64Array  # (U,): index into `COUNTRIES`
    group_places: Float64Array  # (ages + countries, PLACE): preferred position of each group

    def __len__(self) -> int:
        return len(self.sensitive)

    def take(self, rows: Int64Array) -> "People":
        """Return the users at `rows`."""
        names = ("sensitive", "joined_day", "activity", "patience", "age", "country")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def make_songs(
    features: npt.NDArray[Any], *, days: int, cold_share: float, rng: np.random.Generator
) -> WorldSongs:
    """Draw positions, popularity, quality and release of songs with finite features (S, D).

    `cold_share` of the songs are released late; at least one is available from the start.
    """
    n = len(features)
    audible = audible_places(features, rng)
    inaudible = unit_rows(rng.standard_normal((n, PLACE)))
    popularity = (rng.permutation(n) + 1.0) ** -ZIPF
    release = np.zeros(n, np.int64)
    late = rng.permutation(n)[: min(round(cold_share * n), n - 1)]
    release[late] = np.ceil(days * rng.uniform(LATE_FROM, LATE_UNTIL, len(late)))
    quality = rng.standard_normal(n)
    return WorldSongs(audible, inaudible, popularity / popularity.sum(), quality, release)


def audible_places(features: npt.NDArray[Any], rng: np.random.Generator) -> Float64Array:
    """Map features through a random smooth network to unit vectors, shape (S, PLACE).

    Standardised columns, their first principal components, one hidden layer of tanh with random
    weights, a random projection. Similar songs stay close to each other; neither the components
    nor the network can be recovered from the result.
    """
    z = _standardised(features.astype(np.float64))
    _, spread, axes = np.linalg.svd(z, full_matrices=False)
    kept = min(COMPONENTS, int((spread > 1e-9 * max(1.0, spread[0])).sum()))
    if kept == 0:  # all songs sound the same
        return unit_rows(np.ones((len(z), PLACE)))
    parts = z @ axes[:kept].T
    parts *= np.sqrt(len(z)) / np.linalg.norm(parts)  # mean square length 1
    first = rng.standard_normal((kept, HIDDEN)) * GAIN
    hidden = np.tanh(parts @ first + rng.standard_normal(HIDDEN) * GAIN / 2)
    places = _standardised(hidden) @ rng.standard_normal((HIDDEN, PLACE))
    return unit_rows(_standardised(places))


def make_people(
    n: int,
    *,
    sensitive_share: float,
    cold_share: float,
    days: int,
    sessions_per_day: float,
    rng: np.random.Generator,
) -> People:
    """Draw n users, of whom exactly ``round(sensitive_share * n)`` are sensitive."""
    sensitive = np.zeros(n, np.bool_)
    sensitive[rng.permutation(n)[: round(sensitive_share * n)]] = True
    joined = np.zeros(n, np.int64)
    late = rng.permutation(n)[: round(cold_share * n)]
    joined[late] = np.floor(days * rng.uniform(JOIN_FROM, 1.0, len(late)))
    spread = rng.normal(-(ACTIVITY_SPREAD**2) / 2, ACTIVITY_SPREAD, n)
    groups = len(AGE_BANDS) + len(COUNTRIES)
    return People(
        sensitive=sensitive,
        joined_day=joined,
        activity=sessions_per_day * np.exp(spread),
        patience=rng.standard_normal(n),
        age=rng.integers(0, len(AGE_BANDS), n),
        country=rng.integers(0, len(COUNTRIES), n),
        group_places=unit_rows(rng.standard_normal((groups, PLACE))),
    )


def affinities(
    songs: WorldSongs, people: People, *, signal: float, rng: np.random.Generator
) -> FloatArray:
    """Return each user's liking of each song, (U, S), float32: mean 0, variance 1 per user.

    `signal` is the audible share of the squared length of song positions for sensitive users.
    """
    heard = unit_rows(np.sqrt(signal) * songs.audible + np.sqrt(1.0 - signal) * songs.inaudible)
    liking = np.empty((len(people), len(songs)), np.float32)
    for places, rows in (
        (heard, np.flatnonzero(people.sensitive)),
        (songs.inaudible, np.flatnonzero(~people.sensitive)),
    ):
        liking[rows] = _liking(places, people.take(rows), songs.popularity, rng)
    return liking


def unit_rows(vectors: Float64Array) -> Float64Array:
    """Normalise rows to length 1; rows of zeros stay zero."""
    return np.asarray(vectors / lengths_of(vectors), np.float64)


def _liking(
    places: Float64Array, people: People, popularity: Float64Array, rng: np.random.Generator
) -> FloatArray:
    """Return liking (U, S) as a mixture of up to `MODES` peaks, at songs preferred by the group."""
    n = len(people)
    lean = people.group_places[people.age]
    lean = lean + people.group_places[len(AGE_BANDS) + people.country]
    drawn = _gumbel_choice(GROUP_PULL * lean @ places.T + np.log(popularity) / 2, MODES, rng)
    noise = unit_rows(rng.standard_normal((n, drawn.shape[1], PLACE)))
    centres = unit_rows(places[drawn] + MODE_NOISE * noise)
    weights = rng.dirichlet(np.ones(drawn.shape[1]), n)
    peaks = np.zeros((n, len(places)))
    for mode in range(drawn.shape[1]):
        near = centres[:, mode] @ places.T
        peaks += weights[:, [mode]] * np.exp(SHARPNESS * (near - 1.0))
    return _standardised(np.log(peaks).T).T.astype(np.float32)


def _gumbel_choice(logits: Float64Array, k: int, rng: np.random.Generator) -> Int64Array:
    """Draw up to `k` distinct columns per row, with odds ``exp(logits)``."""
    k = min(k, logits.shape[1])
    noisy = logits + rng.gumbel(size=logits.shape)
    return np.argpartition(-noisy, k - 1, axis=1)[:, :k]


def _standardised(columns: Float64Array) -> Float64Array:
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    # A constant column contains rounding noise only.
    return np.asarray(centred / np.where(spread > 1e-12, spread, np.inf), np.float64)


DAY_S = 86_400.0
SONGS_PER_SESSION = 8.0  # mean of a geometric distribution
EXPLORING = 0.5  # share of songs chosen by popularity alone, the rest also by taste
TASTE_PULL = 1.0  # weight of liking, in log odds, in the choice of a song
COMPLETION = {"usual": 0.6, "liking": 1.6, "quality": 0.4, "patience": 0.6, "chance": 1.5}
FINISHED, SKIPPED = 0.9, 0.35  # played ratios from which and below which a play is finish or skip
UNKNOWN_RATIO = 0.03  # share of plays without a played ratio
LIKE = (-3.0, 1.2)  # log odds after a finished song: constant, factor of liking
PLAYLIST = (-3.8, 1.2)
DISLIKE = (-3.5, -1.0)  # after a skipped song
SONG_S, GAP_S, PRESS_S = 210.0, 4.0, 2.0  # song length, gap after it, delay of a like
EVENING_H, HOURS_SPREAD = 19.0, 3.5


@dataclass(frozen=True, slots=True)
class Plays:
    """Events of a simulated world, as P parallel columns."""

    user: Int64Array  # (P,)
    song: Int64Array  # (P,)
    time_s: Float64Array  # (P,): seconds since the first day began
    event: npt.NDArray[np.int8]  # (P,): indices into `EVENTS`
    played_ratio: FloatArray  # (P,): NaN for likes and the like, and for some plays

    def moved(self, first: int) -> "Plays":
        """Return the events with user indices offset by `first`."""
        return Plays(self.user + first, self.song, self.time_s, self.event, self.played_ratio)

    @classmethod
    def joined(cls, parts: "Sequence[Plays]") -> "Plays":
        """Concatenate events."""
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in cls.__slots__))


def simulate_listening(
    songs: WorldSongs, people: People, liking: FloatArray, *, days: int, rng: np.random.Generator
) -> Plays:
    """Simulate `days` days of listening by U users with affinities `liking` (U, S)."""
    user, day, session = _listenings(people, days, rng)
    song = _choose(songs, liking, user, day, rng)
    ratio = _played(songs, people, liking[user, song], user, song, rng)
    time_s = _times(day, session, ratio, rng)
    event = np.full(len(user), EVENTS.index("play"), np.int8)
    event[ratio >= FINISHED] = EVENTS.index("finish")
    event[ratio < SKIPPED] = EVENTS.index("skip")
    shown = np.where(rng.random(len(user)) < UNKNOWN_RATIO, np.nan, ratio)
    listened = Plays(user, song, time_s, event, shown.astype(np.float32))
    return Plays.joined([listened, *_presses(listened, liking, ratio, rng)])


def _listenings(
    people: People, days: int, rng: np.random.Generator
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return user, day and session of each play, grouped by session."""
    sessions = rng.poisson(people.activity[:, None], (len(people), days))
    sessions[np.arange(days) < people.joined_day[:, None]] = 0
    user, day = np.nonzero(sessions)
    count = sessions[user, day]
    user, day = np.repeat(user, count), np.repeat(day, count)
    length = rng.geometric(1.0 / SONGS_PER_SESSION, len(user))
    session = np.repeat(np.arange(len(user)), length)
    return user[session], day[session], session


def _choose(
    songs: WorldSongs,
    liking: FloatArray,
    user: Int64Array,
    day: Int64Array,
    rng: np.random.Generator,
) -> Int64Array:
    """Draw a released song for each play, by popularity or also by taste.

    With songs sorted by release day, those released by a given day are a prefix, so one cumulative
    sum of odds per user serves all days.
    """
    order = np.argsort(songs.release_day, kind="stable")
    out = np.searchsorted(songs.release_day[order], day, side="right")
    charts = np.cumsum(songs.popularity[order])
    odds = np.sqrt(songs.popularity[order]) * np.exp(TASTE_PULL * liking[:, order])
    taste = np.cumsum(odds.astype(np.float64), axis=1)
    taste /= taste[:, -1:]
    where = rng.random(len(user))
    # One ascending array for all users: user u has the values above u, up to u + 1.
    rows = (taste + np.arange(len(liking))[:, None]).ravel()
    by_taste = np.searchsorted(rows, user + where * taste[user, out - 1], side="right")
    by_taste -= user * len(songs)
    by_charts = np.searchsorted(charts, where * charts[out - 1], side="right")
    exploring = rng.random(len(user)) < EXPLORING
    place = np.where(exploring, by_charts, by_taste)
    # Rounding may overshoot by one.
    return np.asarray(order[np.clip(place, 0, out - 1)], np.int64)


def _played(
    songs: WorldSongs,
    people: People,
    liking: FloatArray,
    user: Int64Array,
    song: Int64Array,
    rng: np.random.Generator,
) -> Float64Array:
    """Return the played ratio of each play: a logistic function of liking and other factors."""
    urge = (
        COMPLETION["usual"]
        + COMPLETION["liking"] * liking
        + COMPLETION["quality"] * songs.quality[song]
        + COMPLETION["patience"] * people.patience[user]
        + COMPLETION["chance"] * rng.standard_normal(len(user))
    )
    return np.round(1.0 / (1.0 + np.exp(-urge)), 3)


def _times(
    day: Int64Array, session: Int64Array, ratio: Float64Array, rng: np.random.Generator
) -> Float64Array:
    """Return the start time of each play; songs of a session follow each other."""
    if len(session) == 0:
        return np.empty(0)
    starts = np.clip(rng.normal(EVENING_H, HOURS_SPREAD, session[-1] + 1), 0.0, 23.5)
    lasting = SONG_S * ratio + GAP_S
    before = np.cumsum(lasting) - lasting
    first = np.flatnonzero(np.diff(session, prepend=-1))
    within = before - before[first][session]
    return np.asarray(np.floor(day * DAY_S + starts[session] * 3600.0 + within), np.float64)


def _presses(
    listened: Plays, liking: FloatArray, ratio: Float64Array, rng: np.random.Generator
) -> list[Plays]:
    """Return the likes, dislikes and playlist entries that follow some plays."""
    wants = liking[listened.user, listened.song]
    presses = []
    for name, mask, (constant, slope) in (
        ("like", ratio >= FINISHED, LIKE),
        ("playlist", ratio >= FINISHED, PLAYLIST),
        ("dislike", ratio < SKIPPED, DISLIKE),
    ):
        chance = 1.0 / (1.0 + np.exp(-(constant + slope * wants)))
        rows = np.flatnonzero(mask & (rng.random(len(wants)) < chance))
        at = listened.time_s[rows] + np.floor(SONG_S * ratio[rows]) + PRESS_S
        event = np.full(len(rows), EVENTS.index(name), np.int8)
        unknown = np.full(len(rows), np.nan, np.float32)
        presses.append(Plays(listened.user[rows], listened.song[rows], at, event, unknown))
    return presses
