"""Songs as rows of segments: what a tower reads.

All segments of all songs stand in one array, one song after the other; `offsets` says where
each begins. A row may be a feature vector (D,) or a log-mel segment (F, M).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError
from audiorec.types import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class SongSegments:
    """The segments of S songs.

    Attributes
    ----------
    song_ids : tuple of str, length S
    values : ndarray, shape (m, ...), float32 or float16
        All segments, song by song. May be mapped from a file.
    offsets : ndarray, shape (S + 1,), int64
        Song s has the rows ``offsets[s]:offsets[s + 1]``, at least one.

    Raises
    ------
    ShapeError
        If the offsets do not cut the rows into one non-empty piece a song.
    """

    song_ids: tuple[str, ...]
    values: FloatArray | npt.NDArray[np.float16]
    offsets: Int64Array

    def __post_init__(self) -> None:
        counts = np.diff(self.offsets)
        fits = len(self.offsets) == len(self.song_ids) + 1 and self.offsets[0] == 0
        if not fits or self.offsets[-1] != len(self.values) or (counts < 1).any():
            raise ShapeError(
                f"offsets must cut {len(self.values)} segments into {len(self.song_ids)} songs "
                "of at least one segment"
            )

    def __len__(self) -> int:
        return len(self.song_ids)

    def means(self) -> FloatArray:
        """Return each song's mean over its segments: shape (S, D), float32."""
        sums = np.add.reduceat(self.values.astype(np.float64), self.offsets[:-1], axis=0)
        counts = np.diff(self.offsets).reshape(-1, *(1,) * (self.values.ndim - 1))
        means: FloatArray = (sums / counts).astype(np.float32)
        return means

    def rows(
        self, songs: Int64Array, *, limit: int = 0, rng: np.random.Generator | None = None
    ) -> tuple[Int64Array, Int64Array]:
        """Return which rows belong to some songs.

        Parameters
        ----------
        limit : int
            Most segments a song; 0 for all of them.
        rng : Generator, optional
            Draws which segments a longer song is heard by; without it they are spread evenly.

        Returns
        -------
        rows : ndarray, shape (m,), int64
            In the order of `songs`, ascending within a song.
        owner : ndarray, shape (m,), int64
            Place in `songs` of each row.
        """
        counts = np.diff(self.offsets)[songs]
        owner = np.repeat(np.arange(len(songs)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        within = np.arange(len(owner)) - first
        if limit and (counts > limit).any():
            keep = _chosen(within, owner, counts, limit, rng)
            owner, within = owner[keep], within[keep]
        return self.offsets[songs][owner] + within, owner


def join_songs(
    parts: Sequence[tuple[str, FloatArray | npt.NDArray[np.float16]]],
) -> SongSegments:
    """Make `SongSegments` of song ids and their (T, ...) arrays.

    Examples
    --------
    >>> quiet, loud = np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32)
    >>> songs = join_songs([("a", quiet), ("b", loud)])
    >>> songs.offsets.tolist(), songs.means()[1].tolist()
    ([0, 2, 3], [1.0, 1.0, 1.0])
    """
    counts = [len(values) for _, values in parts]
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    return SongSegments(
        tuple(name for name, _ in parts), np.concatenate([v for _, v in parts]), offsets
    )


def _chosen(
    within: Int64Array,
    owner: Int64Array,
    counts: Int64Array,
    limit: int,
    rng: np.random.Generator | None,
) -> BoolArray:
    """Return which rows stay so that no song has more than `limit`."""
    if rng is None:  # row i of T stays where i * limit / T passes a whole number
        total = counts[owner]
        step = within * limit // total
        spread: BoolArray = (total <= limit) | (step != (within - 1) * limit // total)
        return spread
    order = np.lexsort((rng.random(len(owner)), owner))
    place = np.empty(len(owner), np.int64)
    place[order] = within  # rows of a song are contiguous, so its places are 0 to T - 1
    chosen: BoolArray = place < limit
    return chosen
