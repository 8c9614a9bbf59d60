"""Pairs of co-occurring songs, built one block at a time.

    lists ──cut──▶ blocks of at most L songs ──padded──▶ (B, L): up to L (L - 1) pairs per block

With a window, blocks are runs of the list, cut at a different offset in each epoch, and songs
within the window are pairs: in a short list, all of them. Without a window, every entry pairs with
every other, whatever the order: a long list is shuffled in each epoch before it is cut, so that
all pairs occur over time, and a song counts in proportion to the length of its list and not to the
square of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, Int32Array, Int64Array

SORTED_TOGETHER = 64  # batches sorted together by length: more means less padding, less shuffling


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks of songs: block b is ``song[first[b]:first[b] + lengths[b]]``."""

    first: Int64Array
    lengths: Int64Array
    song: Int32Array

    def __len__(self) -> int:
        return len(self.first)

    def padded(self, rows: Int64Array) -> tuple[Int64Array, BoolArray]:
        """Return some blocks as songs (B, L) and a mask of real entries; padding is song 0."""
        column = np.arange(int(self.lengths[rows].max(initial=0)))
        there = column < self.lengths[rows][:, None]
        songs = np.zeros(there.shape, np.int64)
        songs[there] = self.song[(self.first[rows][:, None] + column)[there]]
        return songs, there


def blocks_of(
    lists: Sequences, rng: np.random.Generator, *, longest: int, window: int | None = None
) -> Blocks:
    """Cut lists into blocks of at most `longest` songs for one epoch; single songs are dropped.

    Without a window, duplicates in a list count once. With one, no entry is copied: memory grows
    only with the number of blocks.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b", "c", "d", "e"], ["f"], ["g", "h"]])
    >>> blocks_of(lists, np.random.default_rng(0), longest=3).lengths.tolist()
    [3, 2, 2]
    """
    song, counts = lists.song, lists.lengths
    if window is None:
        n = max(1, len(lists.song_ids))
        pair = np.unique(lists.owner * n + lists.song)
        owner = pair // n
        order = np.lexsort((rng.random(len(pair)), owner))
        song = (pair % n)[order].astype(np.int32)
        counts = np.bincount(owner, minlength=len(lists))
        shift = np.zeros(len(lists), np.int64)
    else:
        shift = rng.integers(0, longest, len(lists))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # Pretend that `shift` songs precede each list: only its first and last block can be short.
    pieces = np.where(counts > 0, -(-(counts + shift) // longest), 0)
    of = np.repeat(np.arange(len(lists)), pieces)
    number = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = starts[of] + np.maximum(0, number * longest - shift[of])
    end = np.minimum(starts[of + 1], starts[of] + (number + 1) * longest - shift[of])
    kept = end - begin > 1
    return Blocks(begin[kept], (end - begin)[kept], song)


def batches_of(
    blocks: Blocks, rng: np.random.Generator, *, places: int
) -> Iterator[tuple[Int64Array, BoolArray]]:
    """Yield batches of about `places` entries, of blocks of similar length: songs (B, L), mask.

    Padding is song 0.
    """
    lengths = blocks.lengths
    order = rng.permutation(len(lengths))
    most = max(1, places // max(1, int(lengths.mean()))) if len(lengths) else 1
    groups: list[Int64Array] = []
    for first in range(0, len(order), most * SORTED_TOGETHER):
        rows = order[first : first + most * SORTED_TOGETHER]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        upto = np.cumsum(lengths[rows]) - 1
        cuts = np.flatnonzero(np.diff(upto // places)) + 1
        groups += np.split(rows, cuts)
    for group in rng.permutation(len(groups)).tolist():
        rows = groups[group]
        yield blocks.padded(rows)


def pair_mask(there: BoolArray, window: int | None = None) -> BoolArray:
    """Return which entries of a block form pairs, (B, L, L): distinct, and neither is padding.

    Examples
    --------
    >>> pair_mask(np.array([[True, True, True, False]]), window=1)[0].astype(int).tolist()
    [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    apart = np.abs(np.subtract.outer(np.arange(there.shape[1]), np.arange(there.shape[1])))
    near = (apart > 0) if window is None else (apart > 0) & (apart <= window)
    mask: BoolArray = there[:, :, None] & there[:, None, :] & near
    return mask
