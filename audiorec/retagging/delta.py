"""Binary diff that restores an old file from the new one.

    old, new  ──delta_of──▶ `Delta`        Delta, new  ──old_bytes──▶ old, byte for byte

Tags grow or shrink in one place, the fold: before it all bytes keep their distance from the
beginning of the file, after it from the end. The fold is placed where the fewest bytes differ;
those that still do (the tags themselves, page numbers and checksums of Ogg, the index of an MP4)
are stored as patches.
"""

import base64
import binascii
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from audiorec.errors import StoreError
from audiorec.types import BoolArray

BLOCK_BYTES = 1 << 22
CELL_BYTES = 1 << 12  # the fold is searched by cell, then by byte
GAP_BYTES = 24  # equal bytes between two patches; with fewer the patches are merged
MOST_BYTES = 64 << 20  # limit on the patches of one file


@dataclass(frozen=True, slots=True)
class Delta:
    """How to restore an old file from the new one.

    Attributes
    ----------
    old_size, new_size : int
        Bytes.
    fold : int
        Offset in the old file: bytes before it equal those of the new file at the same distance
        from the beginning, bytes after it those at the same distance from the end.
    patches : tuple of (int, bytes)
        Offset in the old file, and the bytes that differ there.
    """

    old_size: int
    new_size: int
    fold: int
    patches: tuple[tuple[int, bytes], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fold and the patches as values that JSON can hold."""
        patches = [
            [at, base64.b85encode(zlib.compress(data)).decode()] for at, data in self.patches
        ]
        return {"fold": self.fold, "patches": patches}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], old_size: int, new_size: int) -> "Delta":
        """Read what `to_json` returned; raise `ValueError` if it is inconsistent."""
        fold = content["fold"]
        if not 0 <= fold <= min(old_size, new_size):
            raise ValueError("its fold lies outside the file")
        patches = []
        room, last = min(MOST_BYTES, old_size), 0
        for at, text in content["patches"]:
            data = _inflated(text, room)
            room -= len(data)
            if not last <= at <= old_size - len(data):
                raise ValueError("its patches are out of order")
            last = at + len(data)
            patches.append((at, data))
        return cls(old_size, new_size, fold, tuple(patches))


def delta_of(old: BinaryIO, new: BinaryIO) -> Delta:
    """Compare two open files.

    Raises
    ------
    StoreError
        If more than 64 MiB differ, which is more than a change of tags.
    """
    before, after = _mapped(old), _mapped(new)
    shift = len(after) - len(before)
    fold = _fold(before, after)
    runs: list[tuple[int, int]] = []
    kept = 0
    for start, end in _differing(before, after, fold, shift):
        joins = bool(runs) and start - runs[-1][1] <= GAP_BYTES
        kept += end - (runs[-1][1] if joins else start)
        runs.append((runs.pop()[0] if joins else start, end))
        if kept > MOST_BYTES:
            raise StoreError(f"more than {MOST_BYTES >> 20} MiB of the file would change")
    patches = tuple((start, before[start:end].tobytes()) for start, end in runs)
    return Delta(len(before), len(after), fold, patches)


def old_bytes(delta: Delta, new: BinaryIO) -> Iterator[bytes]:
    """Yield the old file, block by block, from the open new one.

    Raises
    ------
    ValueError
        If the size of the new file has changed, or a part of the old file cannot be restored.
    """
    if new.seek(0, os.SEEK_END) != delta.new_size:
        raise ValueError("the size of the file has changed")
    at = 0
    for start, data in (*delta.patches, (delta.old_size, b"")):
        yield from _unchanged(delta, new, at, start)
        yield data
        at = start + len(data)


def _unchanged(delta: Delta, new: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield a part of the old file that the new one shares, on both sides of the fold."""
    shift = delta.new_size - delta.old_size
    yield from _blocks(new, start, min(end, delta.fold))
    behind = max(start, delta.fold)
    if behind < end and behind + shift < 0:
        raise ValueError("a part of the old file is missing")
    yield from _blocks(new, behind + shift, end + shift)


def _inflated(text: str, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b85decode(text), most + 1)
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"a patch cannot be read: {error}") from error
    if len(data) > most:
        raise ValueError("its patches are larger than the file")
    return data


def _mapped(file: BinaryIO) -> np.memmap[Any, np.dtype[np.uint8]]:
    file.flush()
    return np.memmap(file, np.uint8, "r")


def _fold(before: Any, after: Any) -> int:
    """Return the offset with the fewest differing bytes before and after it together."""
    size, shift = min(len(before), len(after)), len(after) - len(before)
    n_cells = -(-len(before) // CELL_BYTES)
    front, back = np.zeros(n_cells + 1, np.int64), np.zeros(n_cells + 1, np.int64)
    for start in range(0, len(before), BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, len(before))
        cell, edges = start // CELL_BYTES, np.arange(0, end - start, CELL_BYTES)
        for counts, distance in ((front, 0), (back, shift)):
            wrong = _unlike(before, after, start, end, distance)
            counts[cell : cell + len(edges)] = np.add.reduceat(wrong.astype(np.int64), edges)
    costs = np.cumsum(front) - front + np.cumsum(back[::-1])[::-1]
    best = int(costs[: size // CELL_BYTES + 1].argmin()) * CELL_BYTES
    # Repeat byte by byte around the best cell.
    low, high = max(0, best - CELL_BYTES), min(best + CELL_BYTES, size)
    if high <= low:
        return low
    ahead = np.cumsum(_unlike(before, after, low, high, 0), dtype=np.int64)
    behind = np.cumsum(_unlike(before, after, low, high, shift), dtype=np.int64)
    fine = np.concatenate([[0], ahead]) + behind[-1] - np.concatenate([[0], behind])
    return low + int(fine.argmin())


def _unlike(before: Any, after: Any, start: int, end: int, shift: int) -> BoolArray:
    """Return which old bytes differ from the new file's at an offset of `shift`.

    Bytes for which the new file has no counterpart count as different.
    """
    unlike = np.ones(end - start, np.bool_)
    low, high = max(start, -shift), min(end, len(after) - shift)
    if low < high:
        unlike[low - start : high - start] = before[low:high] != after[low + shift : high + shift]
    return unlike


def _differing(before: Any, after: Any, fold: int, shift: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of old bytes that differ, given the fold."""
    for low, high, distance in ((0, fold, 0), (fold, len(before), shift)):
        for start in range(low, high, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, high)
            places = np.flatnonzero(_unlike(before, after, start, end, distance)) + start
            for run in np.split(places, np.flatnonzero(np.diff(places) > GAP_BYTES) + 1):
                if len(run):
                    yield int(run[0]), int(run[-1]) + 1


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        file.seek(start)
        block = file.read(min(BLOCK_BYTES, end - start))
        if not block:
            raise ValueError("the file was truncated meanwhile")
        start += len(block)
        yield block
