"""Simulate listening: sessions, chosen songs, played ratios, likes and other events."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.listening.events import EVENTS
from audiorec.simulation.tastes import People, WorldSongs
from audiorec.types import Float64Array, FloatArray, Int64Array

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
