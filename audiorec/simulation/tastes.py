"""Songs and people of a made-up world: where songs lie in taste, and what people like.

Every song has two places. The audible one is a random smooth function of what the song
sounds like; the inaudible one is drawn at random and stands for all that cannot be heard:
fame, friends, lyrics, scenes. Taste lives in a mixture of the two that no model sees.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

PLACE = 8  # dimensions of both places
COMPONENTS = 16  # principal components of the features that reach the ear
HIDDEN = 64  # units of the random network
GAIN = 1.0  # of its first layer: larger is less smooth
MODES = 3  # most songs around which a user's taste lies
SHARPNESS = 3.0  # of the peaks of a taste
MODE_NOISE = 0.4  # spread of a taste around its songs, in lengths of a place
GROUP_PULL = 2.0  # how much age and country decide which songs these are
ZIPF = 0.7  # exponent of popularity by rank
LATE_FROM, LATE_UNTIL = 0.6, 0.95  # when late songs come out, as parts of the time
JOIN_FROM = 0.9  # when late users join
ACTIVITY_SPREAD = 0.5  # of the logarithm of the sessions a day

AGE_BANDS = ("under 18", "18-24", "25-34", "35-49", "50-64", "65 and over")
COUNTRIES = ("A", "B", "C", "D", "E", "F", "G", "H")


@dataclass(frozen=True, slots=True)
class WorldSongs:
    """S songs of a world."""

    audible: Float64Array  # (S, PLACE): places of length 1
    inaudible: Float64Array  # (S, PLACE)
    popularity: Float64Array  # (S,): sums to 1
    quality: Float64Array  # (S,): standard normal: how much longer anybody listens
    release_day: Int64Array  # (S,): 0 for songs that were there before

    def __len__(self) -> int:
        return len(self.popularity)


@dataclass(frozen=True, slots=True)
class People:
    """U users of a world."""

    sensitive: BoolArray  # (U,): whose taste can be heard in the songs, as far as the signal goes
    joined_day: Int64Array  # (U,)
    activity: Float64Array  # (U,): mean sessions a day
    patience: Float64Array  # (U,): standard normal: how much longer the user listens to anything
    age: Int64Array  # (U,): places in `AGE_BANDS` and `COUNTRIES`
    country: Int64Array  # (U,)
    group_places: Float64Array  # (ages + countries, PLACE): what each age and each country leans to

    def __len__(self) -> int:
        return len(self.sensitive)

    def take(self, rows: Int64Array) -> "People":
        """Return some of the users."""
        names = ("sensitive", "joined_day", "activity", "patience", "age", "country")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def make_songs(
    features: npt.NDArray[Any], *, days: int, cold_share: float, rng: np.random.Generator
) -> WorldSongs:
    """Give songs, by finite features (S, D), their places, popularity, quality and release.

    `cold_share` of them come late; at least one song is there from the start.
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
    """Send features through a random smooth network: shape (S, PLACE), length 1.

    Standardised columns, their first principal components, one hidden layer of tanh with
    random weights, a random projection. Songs that sound alike come out near each other;
    neither the components nor the network can be read off the result.
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
    """Draw users; exactly ``round(sensitive_share * n)`` of them are sensitive."""
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
    """Return how much each user likes each song, (U, S): mean 0 and spread 1 over a user's songs.

    `signal` is the part of the squared length of a sensitive user's song places that is audible.
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
    """Bring rows to length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), np.float64)


def _liking(
    places: Float64Array, people: People, popularity: Float64Array, rng: np.random.Generator
) -> FloatArray:
    """Mix up to `MODES` peaks around songs that the user's age and country lean to."""
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
    """Draw up to `k` different columns a row, with odds ``exp(logits)``."""
    k = min(k, logits.shape[1])
    noisy = logits + rng.gumbel(size=logits.shape)
    return np.argpartition(-noisy, k - 1, axis=1)[:, :k]


def _standardised(columns: Float64Array) -> Float64Array:
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    # A constant column holds rounding noise only.
    return np.asarray(centred / np.where(spread > 1e-12, spread, np.inf), np.float64)
