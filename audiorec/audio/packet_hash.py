"""The hash of a stream's packets: part of `content_hash`, and computed while packets are decoded.

codec, rate, channels, packets  ──PacketHash──▶ 32 hex digits
"""

import hashlib
from typing import Any

DIGEST_BYTES = 16


class PacketHash:
    """128-bit blake2b over the codec, the sample rate, the channels and all packets of a stream."""

    def __init__(self, codec: str, sample_rate: int, channels: int) -> None:
        self._digest = new_hash("packets", codec, str(sample_rate), str(channels))
        self._bytes = 0

    def add(self, packet: Any) -> None:
        """Add the next packet of PyAV."""
        self._digest.update(packet)
        self._bytes += packet.size

    def hexdigest(self) -> str:
        """Return the hash; empty if the packets hold no bytes."""
        return self._digest.hexdigest() if self._bytes else ""


def new_hash(*prefix: str) -> "hashlib.blake2b":
    """Return a hash that has begun with some texts, each followed by a zero byte."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update("\0".join((*prefix, "")).encode())
    return digest
