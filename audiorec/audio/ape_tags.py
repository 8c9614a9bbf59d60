"""APEv2 tags, found at the end of WavPack, Monkey's Audio, Musepack and some MP3 files.

    file  ──ape_tags──▶  {"title": ..., "artist": ...}

A footer of 32 bytes gives the size of the items before it; an item is the length of its value,
flags, a name and the value. Binary items, such as covers, are skipped.
"""

import struct
from collections.abc import Mapping
from typing import BinaryIO

from audiorec.audio.headers import read_exactly
from audiorec.audio.sniff import APE_FOOTER_BYTES, APE_MARK, ape_footer, end_of_audio

MAX_ITEMS = 256
MAX_NAME = 256  # bytes
MAX_TEXT = 4096  # bytes read of a value
_KIND = 6  # the bits of the flags that are 0 for text


def ape_tags(file: BinaryIO) -> Mapping[str, str]:
    """Read the text items of the APEv2 tag at a file's end, keyed by lower-case name.

    Only the first value of an item is kept. Empty for a file without a tag.
    """
    stop = ape_footer(file)
    if stop is None:
        return {}
    at = end_of_audio(file)
    file.seek(at)
    if file.read(len(APE_MARK)) == APE_MARK:  # an optional header, laid out like the footer
        at += APE_FOOTER_BYTES
    found: dict[str, str] = {}
    for _ in range(MAX_ITEMS):
        file.seek(at)
        item = file.read(8 + MAX_NAME)
        name, zero, _ = item[8:].partition(b"\0")
        if not zero or item[: len(APE_MARK)] == APE_MARK:
            break
        length, flags = struct.unpack_from("<II", item)
        begin = at + 8 + len(name) + 1
        if begin + length > stop:
            break
        if not flags & _KIND:
            file.seek(begin)
            value = read_exactly(file, min(length, MAX_TEXT)).partition(b"\0")[0]
            found.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
        at = begin + length
    return found
