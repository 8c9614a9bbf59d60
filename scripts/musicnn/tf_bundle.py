"""Read the tensors of a TensorFlow checkpoint with numpy alone.

A checkpoint in the "bundle" format is two files. ``<prefix>.data-00000-of-00001`` holds the
tensors' bytes one after the other. ``<prefix>.index`` is a sorted string table that maps
each tensor's name to a small protobuf message: its type, shape and place in the data file.

    index bytes, data bytes  ──read_bundle──▶  {name: array}

The table's last 48 bytes are its footer: two handles (offset and size, as varints), padding
and a magic number. The second handle points to the index block, whose values are handles of
the data blocks. In a block, each key repeats only what differs from the key before it.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

FOOTER_BYTES = 48
TABLE_MAGIC = 0xDB4775248B80FB57
UNCOMPRESSED = 0  # the byte that follows a block and names its compression
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
}
# Field numbers of the two messages: BundleEntryProto and TensorShapeProto.
ENTRY_DTYPE, ENTRY_SHAPE, ENTRY_SHARD, ENTRY_OFFSET, ENTRY_SIZE = 1, 2, 3, 4, 5
SHAPE_DIM, DIM_SIZE = 2, 1
# Wire types of protobuf.
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5


class BundleError(Exception):
    """The bytes are not a checkpoint that this reader knows."""


def read_bundle(index: bytes, data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Return all tensors of a checkpoint of one shard.

    Parameters
    ----------
    index, data : bytes
        The contents of the ``.index`` and the ``.data-00000-of-00001`` file.

    Returns
    -------
    tensors : dict of str to ndarray
        Read-only views of `data`.

    Raises
    ------
    BundleError
        If the table is compressed, damaged or of another format, if a tensor has a type
        other than those of `DTYPES`, lies in another shard or outside of `data`.
    """
    return {name: _tensor(name, entry, data) for name, entry in _table(index) if name}


def _table(index: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the names and values of the table; the header has the empty name."""
    footer = index[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != TABLE_MAGIC:
        raise BundleError("the index does not end with the magic number of a table")
    _offset, at = _varint(footer, 0)
    _size, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, at = _varint(footer, at)
    for _key, handle in _block(index, offset, size):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        for key, value in _block(index, offset, size):
            yield key.decode(), value


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of one block."""
    if offset + size >= len(table) or size < 4:
        raise BundleError(f"a block of {size} bytes at {offset} lies outside of the index")
    if table[offset + size] != UNCOMPRESSED:
        raise BundleError("the index is compressed")
    block = table[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def _tensor(name: str, message: bytes, data: bytes) -> npt.NDArray[np.generic]:
    """Return the tensor that an entry of the table describes."""
    entry: dict[int, Any] = dict(_fields(message))
    if entry.get(ENTRY_DTYPE) not in DTYPES:
        raise BundleError(f"{name}: unknown type number {entry.get(ENTRY_DTYPE)}")
    if entry.get(ENTRY_SHARD, 0) != 0:
        raise BundleError(f"{name}: lies in shard {entry[ENTRY_SHARD]}, only one is read")
    dims = [dict(_fields(v)) for n, v in _fields(entry.get(ENTRY_SHAPE, b"")) if n == SHAPE_DIM]
    shape = [dim.get(DIM_SIZE, 0) for dim in dims]
    dtype, offset = DTYPES[entry[ENTRY_DTYPE]], entry.get(ENTRY_OFFSET, 0)
    size = entry.get(ENTRY_SIZE, 0)
    if size != dtype.itemsize * int(np.prod(shape)) or offset + size > len(data):
        raise BundleError(f"{name}: {size} bytes at {offset} do not hold shape {tuple(shape)}")
    return np.frombuffer(data, dtype, count=size // dtype.itemsize, offset=offset).reshape(shape)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the field numbers and values of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            length, at = _varint(message, at)
        elif wire in (FIXED_32, FIXED_64):
            length = 4 if wire == FIXED_32 else 8
        else:
            raise BundleError(f"unknown wire type {wire}")
        yield number, message[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at `at`, seven bits a byte, and where it ends."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise BundleError("the data end within a number")
