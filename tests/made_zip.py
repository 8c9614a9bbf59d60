"""Zips written field by field, so that their directory may claim anything.

write_zip(path, packed, method, claim)  ──▶  path
"""

import lzma
import struct

NAME = "Streaming_History_Audio_1.json"
LZMA_FILTER = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}
LZMA_HEAD = b"\x09\x04\x05\x00\x5d\x00\x00\x01\x00"  # version, length, lc lp pb, 64 KiB


def write_zip(path, packed, method, claim, *, crc=0, flags=0, version=63, packed_claim=None):
    """Write a zip of one member with whatever its directory claims."""
    name, size = NAME.encode(), len(packed) if packed_claim is None else packed_claim
    about = (version, flags, method, 0, 0x5821, crc, size, claim, len(name), 0)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *about) + name
    place = (0, 0, 0, 0, 0)
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 63, *about, *place) + name
    end = (0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    path.write_bytes(local + packed + entry + struct.pack("<4sHHHHIIH", b"PK\5\6", *end))
    return path
