"""An old file told by the new one and the few bytes that differ.

    old, new  ──delta_of──▶ `Delta`        Delta, new  ──old_bytes──▶ old, byte for byte

Tags grow or shrink in one place, and what stands behind them moves as a whole. So the beginning
of the old file is taken from the beginning of the new one, all of the rest from its end, and what
still differs (the tags themselves, page numbers and sums of Ogg, the index of an MP4) is kept.
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
from audiorec.types import Int64Array

BLOCK_BYTES = 1 << 22
GAP_BYTES = 24  # of equal bytes; two patches nearer than this are one
MOST_BYTES = 64 << 20  # of patches of one file


@dataclass(frozen=True, slots=True)
class Delta:
    """How to make an old file of a new one.

    Attributes
    ----------
    old_size, new_size : int
        Bytes.
    prefix : int
        So many bytes at the beginning are those of the new file.
    patches : tuple of (int, bytes)
        Place in the old file, and what stands there. All other bytes behind the prefix are those
        of the new file at the same distance from the end.
    """

    old_size: int
    new_size: int
    prefix: int
    patches: tuple[tuple[int, bytes], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as numbers and texts."""
        patches = [
            [at, base64.b85encode(zlib.compress(data)).decode()] for at, data in self.patches
        ]
        return {"prefix": self.prefix, "patches": patches}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], old_size: int, new_size: int) -> "Delta":
        """Read `to_json`; what makes no sense is a `ValueError`."""
        prefix = content["prefix"]
        if not 0 <= prefix <= min(old_size, new_size):
            raise ValueError("its prefix is longer than the file")
        patches = []
        room, last = min(MOST_BYTES, old_size), prefix
        first = max(prefix, old_size - new_size)
        for at, text in content["patches"]:
            data = _inflated(text, room)
            room -= len(data)
            if not last <= at <= old_size - len(data):
                raise ValueError("its patches are out of order")
            if at > last and last < first:
                raise ValueError("a part of the old file is missing")
            last = at + len(data)
            patches.append((at, data))
        if last < first:
            raise ValueError("a part of the old file is missing")
        return cls(old_size, new_size, prefix, tuple(patches))


def delta_of(old: BinaryIO, new: BinaryIO) -> Delta:
    """Compare two open files.

    Raises
    ------
    StoreError
        If more than 64 MiB differ: that is not a change of tags.
    """
    before, after = _mapped(old), _mapped(new)
    prefix = _common_prefix(before, after)
    shift = len(after) - len(before)
    # Old bytes before this have no place in the new file when both are counted from the end.
    first = max(prefix, -shift)
    runs = [(prefix, first)] if first > prefix else []
    total = first - prefix
    for start, end in _runs(_differing(before, after, first, shift)):
        if runs and start - runs[-1][1] <= GAP_BYTES:
            total += end - runs[-1][1]
            runs[-1] = (runs[-1][0], end)
        else:
            total += end - start
            runs.append((start, end))
        if total > MOST_BYTES:
            raise StoreError(f"more than {MOST_BYTES >> 20} MiB of the file would change")
    patches = tuple((start, before[start:end].tobytes()) for start, end in runs)
    return Delta(len(before), len(after), prefix, patches)


def old_bytes(delta: Delta, new: BinaryIO) -> Iterator[bytes]:
    """Yield the old file, block by block, from the open new one.

    Raises
    ------
    ValueError
        If the new file has another size than it had.
    """
    if new.seek(0, os.SEEK_END) != delta.new_size:
        raise ValueError("the file has another size")
    shift = delta.new_size - delta.old_size
    yield from _blocks(new, 0, delta.prefix)
    at = delta.prefix
    for start, data in delta.patches:
        yield from _blocks(new, at + shift, start + shift)
        yield data
        at = start + len(data)
    yield from _blocks(new, at + shift, delta.new_size)


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


def _common_prefix(before: Any, after: Any) -> int:
    length = min(len(before), len(after))
    for start in range(0, length, BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, length)
        differ = before[start:end] != after[start:end]
        if differ.any():
            return start + int(differ.argmax())
    return length


def _differing(before: Any, after: Any, first: int, shift: int) -> Iterator[Int64Array]:
    """Yield places in the old file whose byte the new one has not at that distance from its end."""
    for start in range(first, len(before), BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, len(before))
        places = np.flatnonzero(before[start:end] != after[start + shift : end + shift])
        if len(places):
            yield places.astype(np.int64) + start


def _runs(blocks: Iterator[Int64Array]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of runs of places with small gaps between them."""
    for places in blocks:
        cuts = np.flatnonzero(np.diff(places) > GAP_BYTES) + 1
        for run in np.split(places, cuts):
            yield int(run[0]), int(run[-1]) + 1


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        file.seek(start)
        block = file.read(min(BLOCK_BYTES, end - start))
        if not block:
            raise ValueError("the file became shorter meanwhile")
        start += len(block)
        yield block
