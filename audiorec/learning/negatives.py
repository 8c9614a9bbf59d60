"""Negative sampling by a rule.

A user's disliked songs come first. The rest are songs that the user has not heard, drawn in
proportion to ``popularity ** popularity_exponent``: 0 draws uniformly, 1 by the number of likes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.options import check_fields
from audiorec.types import BoolArray, FloatArray, Int64Array, Pairs

ROUNDS = 8  # of redrawing songs that the user has heard; the remaining ones are not usable


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeRule:
    """Settings of negative sampling.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    count: int = 20  # negatives per liked song
    popularity_exponent: float = 0.5  # of the number of likes plus one

    def __post_init__(self) -> None:
        check_fields(self, count=">=1", popularity_exponent="[0, 2]")


class NegativeSampler:
    """Sampler of negatives from `pool` (n,) for users; disliked songs outside it are ignored.

    `likes` (S,) is the number of users who like each song.
    """

    def __init__(
        self,
        heard: Pairs,
        disliked: Pairs,
        pool: Int64Array,
        likes: npt.NDArray[np.integer],
        rule: NegativeRule,
    ) -> None:
        if not len(pool):
            raise InputError("negatives: there are no songs to draw from")
        self.rule = rule
        self.pool = pool
        self._n_songs = len(likes)
        weight = (likes[pool] + 1.0) ** rule.popularity_exponent
        self._cumulative = np.cumsum(weight / weight.sum())
        self._heard = np.unique(self._key(heard.user, heard.song))
        inside = np.zeros(self._n_songs, np.bool_)
        inside[pool] = True
        kept = disliked.take(inside[disliked.song])
        order = np.argsort(kept.user, kind="stable")
        self._disliked_user, self._disliked_song = kept.user[order], kept.song[order]

    def sample(self, users: Int64Array, rng: np.random.Generator) -> tuple[Int64Array, BoolArray]:
        """Return songs for users (B,), and which are usable: both (B, rule.count).

        A song is not usable if all redraws gave songs that the user has heard.
        """
        shape = (len(users), self.rule.count)
        songs = self._draw(shape, rng)
        for _ in range(ROUNDS):
            usable = ~self._has_heard(users, songs)
            if usable.all():
                break
            songs = np.where(usable, songs, self._draw(shape, rng))
        else:
            usable = ~self._has_heard(users, songs)
        self._put_disliked(users, songs, usable, rng)
        return songs, usable

    def _draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Int64Array:
        place = np.searchsorted(self._cumulative, rng.random(shape), side="right")
        return self.pool[np.minimum(place, len(self.pool) - 1)]

    def _has_heard(self, users: Int64Array, songs: Int64Array) -> BoolArray:
        keys = self._key(users[:, None], songs)
        if not len(self._heard):
            return np.zeros(keys.shape, np.bool_)
        at = np.minimum(np.searchsorted(self._heard, keys), len(self._heard) - 1)
        return self._heard[at] == keys

    def _put_disliked(
        self, users: Int64Array, songs: Int64Array, usable: BoolArray, rng: np.random.Generator
    ) -> None:
        """Replace the first draws by each user's disliked songs, shuffled."""
        low = np.searchsorted(self._disliked_user, users, side="left")
        high = np.searchsorted(self._disliked_user, users, side="right")
        for row in np.flatnonzero(high > low):
            own = rng.permutation(self._disliked_song[low[row] : high[row]])[: self.rule.count]
            songs[row, : len(own)] = own
            usable[row, : len(own)] = True

    def _key(self, user: npt.NDArray[np.integer], song: npt.NDArray[np.integer]) -> Int64Array:
        return user.astype(np.int64) * self._n_songs + song


class SharedSampler:
    """Sampler of negatives for a whole batch, with replacement.

    Song j is drawn in proportion to ``counts[j] ** power``: power 0 draws uniformly, 1 by
    popularity. Songs of count 0 are never drawn.
    """

    def __init__(self, counts: npt.ArrayLike, *, power: float) -> None:
        likes = np.asarray(counts, np.float64)
        weight = np.where(likes > 0, np.power(np.maximum(likes, 1e-300), power), 0.0)
        if not weight.sum() > 0 or not np.isfinite(weight).all():
            raise InputError("negatives: no song has a count above 0")
        self.probability = weight / weight.sum()
        self._until = np.cumsum(self.probability)
        self._last = int(np.flatnonzero(weight)[-1])

    def draw(self, rng: np.random.Generator, n: int) -> Int64Array:
        """Return `n` songs: shape (n,), int64."""
        places = np.searchsorted(self._until, rng.random(n) * self._until[-1], side="right")
        # A product rounded up to the last sum would give a song beyond the end.
        return np.minimum(places, self._last).astype(np.int64)

    def log_expected(self, songs: Int64Array, n: int) -> FloatArray:
        """Return ``log(n Q(j))`` of songs in a draw of `n`: shape (n,), float32."""
        return np.log(n * self.probability[songs]).astype(np.float32)
