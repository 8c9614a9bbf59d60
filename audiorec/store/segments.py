"""Songs as rows of segments: the input of an audio tower.

The segments of all songs are concatenated in one array; `offsets` says where each song begins.
A row may be the features (D,) or a log-mel segment (F, M).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError
from audiorec.types import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class SongSegments:
    """The segments of S songs; `ShapeError` if a song has none or the offsets do not fit."""

    song_ids: tuple[str, ...]
    values: FloatArray | npt.NDArray[np.float16]  # (m, ...), song by song; may be memory-mapped
    offsets: Int64Array  # (S + 1,): song s has the rows ``offsets[s]:offsets[s + 1]``

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
        """Return the rows of some songs, in the order of `songs`, ascending within each song.

        Also return each row's index into `songs`; both shape (m,), int64. A song with more than
        `limit` segments (0: no limit) is reduced to a random subset drawn from `rng`, or to evenly
        spaced segments without `rng`.
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
    """Make `SongSegments` from song ids and their (T, ...) arrays."""
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
    """Return a mask of the rows to keep, so that no song has more than `limit`."""
    if rng is None:  # keep row i of T where i * limit / T passes a whole number
        total = counts[owner]
        step = within * limit // total
        spread: BoolArray = (total <= limit) | (step != (within - 1) * limit // total)
        return spread
    order = np.lexsort((rng.random(len(owner)), owner))
    place = np.empty(len(owner), np.int64)
    place[order] = within  # rows of a song are contiguous, so its places are 0 to T - 1
    chosen: BoolArray = place < limit
    return chosen
