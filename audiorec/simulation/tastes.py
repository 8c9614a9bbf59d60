"""Songs and users of a simulated world: positions in taste space, and affinities.

Every song has two positions. The audible one is a random smooth function of its features; the
inaudible one is drawn at random and stands for everything that cannot be heard: fame, friends,
lyrics, scenes. Taste depends on a mixture of the two, which is hidden from models.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

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
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), np.float64)


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
