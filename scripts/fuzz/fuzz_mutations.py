"""Ways to spoil a file: `mutate` draws one that suits the format, and sometimes a second.

    format, good bytes, generator  ──mutate──▶  bad bytes, names of the ways

The ways of this module know nothing of formats; `fuzz_headers` tells lies in the right
places, with checksums put right where a decoder would otherwise not look further, and
`fuzz_tags` makes tags no player would write; `fuzz_codecs` does both for newer formats.
"""

from collections.abc import Callable, Mapping

import fuzz_codecs
import fuzz_headers
import fuzz_tags
import numpy as np
from fuzz_seeds import FORMATS, seed

Generator = np.random.Generator
Way = Callable[[Generator, bytes], bytes]

HEADERS = {**fuzz_headers.HEADERS, **fuzz_codecs.HEADERS}
TAGS = {**fuzz_tags.TAGS, **fuzz_codecs.TAGS}
HEAD_BYTES = 512  # where most containers keep what they claim
MAX_BLOCK = 8192  # bytes that are overwritten, left out or put in at once
SECOND_WAY = 0.25  # share of the cases that are spoilt twice


def truncate(rng: Generator, data: bytes) -> bytes:
    """Keep the beginning: any part of it, or little more than the header."""
    near = rng.random() < 0.4
    return data[: int(rng.integers(0, min(len(data), HEAD_BYTES) if near else len(data)))]


def flip_bits(rng: Generator, data: bytes) -> bytes:
    """Flip 1 to 64 bits anywhere."""
    return _flip(rng, data, int(rng.integers(1, 65)), 0, len(data))


def flip_head(rng: Generator, data: bytes) -> bytes:
    """Flip 1 to 8 bits in the first 512 bytes."""
    return _flip(rng, data, int(rng.integers(1, 9)), 0, min(HEAD_BYTES, len(data)))


def flip_tail(rng: Generator, data: bytes) -> bytes:
    """Flip 1 to 8 bits in the last 512 bytes."""
    return _flip(rng, data, int(rng.integers(1, 9)), max(0, len(data) - HEAD_BYTES), len(data))


def set_bytes(rng: Generator, data: bytes) -> bytes:
    """Overwrite 1 to 16 single bytes by any value."""
    return _set(rng, data, int(rng.integers(1, 17)))


def overwrite(rng: Generator, data: bytes) -> bytes:
    """Overwrite a block by zeros, by ones or by noise."""
    at, length = _block(rng, data)
    filling = (bytes(length), b"\xff" * length, rng.bytes(length))[int(rng.integers(3))]
    return data[:at] + filling + data[at + length :]


def leave_out(rng: Generator, data: bytes) -> bytes:
    """Leave out a block: everything behind it moves."""
    at, length = _block(rng, data)
    return data[:at] + data[at + length :]


def double(rng: Generator, data: bytes) -> bytes:
    """Put a block in once more, somewhere."""
    at, length = _block(rng, data)
    to = int(rng.integers(0, len(data) + 1))
    return data[:to] + data[at : at + length] + data[to:]


def splice(rng: Generator, data: bytes) -> bytes:
    """Go on with another file, of any format, at any place."""
    other = seed(FORMATS[int(rng.integers(len(FORMATS)))])
    at, to = int(rng.integers(0, len(data) + 1)), int(rng.integers(0, len(other) + 1))
    return data[:at] + other[to:]


def wrap(rng: Generator, data: bytes) -> bytes:
    """Put bytes in front of the file, or behind it: noise, zeros or another file."""
    other = seed(FORMATS[int(rng.integers(len(FORMATS)))])
    length = int(rng.integers(1, MAX_BLOCK))
    more = (rng.bytes(length), bytes(length), other)[int(rng.integers(3))]
    return more + data if rng.random() < 0.5 else data + more


WAYS: Mapping[str, Way] = {
    way.__name__: way
    for way in (
        *(truncate, flip_bits, flip_head, flip_tail, set_bytes),
        *(overwrite, leave_out, double, splice, wrap),
    )
}


def mutate(rng: Generator, kind: str, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Spoil a file.

    Parameters
    ----------
    rng : Generator
    kind : str
        One of `FORMATS`: which lies and tags suit the file.
    data : bytes

    Returns
    -------
    spoilt : bytes
    ways : tuple of str
        One or two names: of `WAYS`, ``header`` or ``tags``.
    """
    ways: dict[str, Way] = {**WAYS, "header": HEADERS[kind], "tags": TAGS[kind]}
    weights = np.array([*(1.0 for _ in WAYS), 5.0, 3.0])
    n_ways = 2 if rng.random() < SECOND_WAY else 1
    names = rng.choice(list(ways), size=n_ways, p=weights / weights.sum())
    for name in names:
        data = ways[name](rng, data) if data else data
    return data, tuple(map(str, names))


def _flip(rng: Generator, data: bytes, n_bits: int, begin: int, end: int) -> bytes:
    spoilt = bytearray(data)
    for bit in rng.integers(8 * begin, 8 * end, n_bits):
        spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def _set(rng: Generator, data: bytes, n_bytes: int) -> bytes:
    spoilt = bytearray(data)
    for at in rng.integers(0, len(data), n_bytes):
        spoilt[at] = int(rng.integers(256))
    return bytes(spoilt)


def _block(rng: Generator, data: bytes) -> tuple[int, int]:
    """Begin and length of a block that lies in the file, short ones more often."""
    length = min(len(data), int(np.exp(rng.uniform(0, np.log(MAX_BLOCK)))))
    return int(rng.integers(0, len(data) - length + 1)), length
