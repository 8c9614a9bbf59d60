"""Container headers: the claimed length, whether it can be trusted, and the codec.

    file, begin, size  ──read_wav, read_flac, read_dsf, ...──▶  `Header`

A header is a claim. It can show that a file was cut short, but it never decides how much is read:
streaming encoders leave 0 or 0xFFFFFFFF in it, and MP3 has no header except what an encoder may
have hidden in the first frame. For a file that contradicts itself, the `Header` claims nothing. The
layouts follow the formats' specifications.

FFmpeg says the claimed length itself for WavPack, Monkey's Audio, True Audio, Musepack 7 and MP4
(`audiorec.audio.pyav_reader.CLAIMED`). It does not for the others here: of a file that was cut it
gives the length that is there (WMA, Ogg, DSF, DFF), a wrong one (Musepack 8), or none before its
libraries are loaded, 0.05 CPU-seconds for each worker (WAV, AIFF, AU, FLAC, MP3, which libsndfile
decodes).
"""

import math
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from uuid import UUID

# Streaming encoders write a length of 2 or 4 GiB less the size of a header.
_PLACEHOLDERS = (range(2**31 - 2**16, 2**31), range(2**32 - 2**16, 2**32))
_MAX_CHUNKS = 1024  # of a RIFF or AIFF file: bounds the walk through a hostile file

# Old telephone codecs and ADPCM are left out: music does not use them, and libsndfile's
# ADPCM readers have had memory faults.
WAV_CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "µ-law", 0x50: "MP2", 0x55: "MP3"}
_WAV_EXTENSIBLE = 0xFFFE
_WAV_UNCOMPRESSED = (1, 3, 6, 7)
AIFC_CODECS = frozenset(
    code.encode()
    for code in (
        *("NONE", "sowt", "twos", "raw ", "in24", "in32", "42ni", "23ni"),
        *("fl32", "FL32", "fl64", "FL64", "alaw", "ALAW", "ulaw", "ULAW"),
    )
)
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_AU_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # encoding → bytes


class Header(NamedTuple):
    """Content of a container header."""

    claimed_s: float | None = None  # seconds; None without a trustworthy claim
    suits_soundfile: bool = True  # False if libsndfile would stop before the end
    cut: bool = False  # the file ends before its structure does
    refusal: str | None = None  # an unsupported codec
    drm: str | None = None  # how the file is encrypted
    is_dsd: bool = False  # one-bit audio, with other sample rates and another full scale
    blank_at: int | None = None  # offset of two bytes of a cut file to hide from the decoder


def read_wav(file: BinaryIO, begin: int, size: int) -> Header:
    """Read a RIFF, RF64 or BW64 header: ``fmt``, ``ds64`` and the size of ``data``."""
    file.seek(begin)
    magic, riff_size = struct.unpack("<4sI", read_exactly(file, 8))
    codec = rate = frame_bytes = long_size = None
    for kind, at, length in _chunks(file, begin + 12, size, "<"):
        if kind == b"ds64":
            (long_size,) = struct.unpack("<8xQ", read_exactly(file, 16))
        elif kind == b"fmt ":
            codec, rate, frame_bytes = _wav_format(file, length)
            if codec not in WAV_CODECS:
                return Header(refusal=f"WAV codec 0x{codec:04x}")
        elif kind == b"data":
            is_long = magic != b"RIFF" and length == 0xFFFFFFFF
            length = long_size if is_long and long_size is not None else length
            # A recorder that crashed leaves a length of 0; libsndfile would read no samples.
            unclosed = length == 0 and begin + riff_size + 8 != size and at < size
            if not rate or not frame_bytes or codec not in _WAV_UNCOMPRESSED:
                return Header(suits_soundfile=not unclosed)
            claimed = None if unclosed or _is_placeholder(length) else length
            return _by_bytes(claimed, size - at, frame_bytes * rate, not unclosed)
    return Header()


def read_aiff(file: BinaryIO, begin: int, size: int) -> Header:
    """Read an AIFF or AIFF-C header: the number of frames and the rate in ``COMM``."""
    for kind, _, length in _chunks(file, begin + 12, size, ">"):
        if kind != b"COMM" or length < 18:
            continue
        content = read_exactly(file, min(length, 22))
        frames, exponent, mantissa = struct.unpack(">2xI2xHQ", content[:18])
        codec = content[18:22]
        if codec and codec not in AIFC_CODECS:
            return Header(refusal=f"AIFF-C codec {codec!r}")
        # 80-bit extended precision: sign and 15 bits of exponent, 64 bits of mantissa.
        rate = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63) if exponent < 16447 else 0
        return Header(claimed_s=frames / rate if frames and rate >= 1 else None)
    return Header()


def read_au(file: BinaryIO, begin: int, size: int) -> Header:
    """Read an AU header: the number of data bytes, unless it is left open."""
    file.seek(begin + 4)
    offset, length, encoding, rate, channels = struct.unpack(">5I", read_exactly(file, 20))
    if encoding not in _AU_SAMPLE_BYTES:
        return Header(refusal=f"AU encoding {encoding}")
    claimed = None if length == 0 or _is_placeholder(length) else length
    return _by_bytes(
        claimed, size - begin - offset, _AU_SAMPLE_BYTES[encoding] * channels * rate, True
    )


def read_flac(file: BinaryIO, begin: int) -> Header:
    """Read FLAC's STREAMINFO: 20 bits of sample rate and 36 bits of total samples."""
    file.seek(begin + 18)
    (packed,) = struct.unpack(">Q", read_exactly(file, 8))
    rate, samples = packed >> 44, packed & (2**36 - 1)
    return Header(claimed_s=samples / rate if samples and rate else None)


def has_flac_frame(data: bytes) -> bool:
    """Return whether a frame of FLAC begins in some bytes, by its header and the header's CRC-8."""
    return any(_is_flac_frame(data[m.start() : m.start() + 16]) for m in _FLAC_SYNC.finditer(data))


def _is_flac_frame(data: bytes) -> bool:
    """Check a frame header: sync, four codes, a number as in UTF-8, and what the codes announce."""
    head = data.ljust(16, b"\0")
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return False
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # leading ones: bytes of the number; none: one byte
    if ones in (1, 8):
        return False
    end = (
        4 + max(ones, 1) + {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    )
    crc = 0
    for byte in head[: end + 1]:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc == 0  # of the header with its own CRC


def read_ogg_end(file: BinaryIO, size: int) -> Header:
    """Check the last page of an Ogg file: a complete file ends with an end-of-stream page."""
    longest_page = 27 + 255 + 255 * 255  # bytes
    file.seek(max(0, size - 2 * longest_page))
    tail = file.read()
    at = tail.rfind(b"OggS\x00")
    if at < 0 or at + 27 > len(tail):
        return Header(cut=at >= 0)
    n_lacing = tail[at + 26]
    page_end = at + 27 + n_lacing + sum(tail[at + 27 : at + 27 + n_lacing])
    is_last = bool(tail[at + 5] & 4)
    return Header(cut=not is_last or page_end > len(tail))


def read_exactly(file: BinaryIO, length: int) -> bytes:
    """Read `length` bytes; if the file ends earlier, pad them with zeros."""
    return file.read(length).ljust(length, b"\0")


def _chunks(file: BinaryIO, at: int, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and length of RIFF-like chunks, with the file positioned at the content."""
    header = struct.Struct(order + "4sI")
    for _ in range(_MAX_CHUNKS):
        if at + header.size > size:
            return
        file.seek(at)
        kind, length = header.unpack(read_exactly(file, header.size))
        begin = at + header.size
        yield kind, begin, length
        at = begin + length + length % 2  # chunks are padded to an even length


def _wav_format(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """Return codec, frames per second and bytes per frame of a ``fmt`` chunk."""
    content = read_exactly(file, min(length, 40)).ljust(40, b"\0")
    codec, _, rate, _, frame_bytes = struct.unpack("<HHIIH", content[:14])
    if codec == _WAV_EXTENSIBLE:  # the codec is the first field of a GUID
        (codec,) = struct.unpack("<H", content[24:26])
    return codec, rate, frame_bytes


def _by_bytes(claimed: int | None, present: int, byte_rate: int, suits: bool) -> Header:
    """Return the header of samples at a constant `byte_rate` in bytes per second."""
    if claimed is None or byte_rate == 0:
        return Header(suits_soundfile=suits)
    return Header(claimed / byte_rate, suits, cut=claimed > present)


def _is_placeholder(length: int) -> bool:
    return any(length in span for span in _PLACEHOLDERS)


_MUSEPACK_RATES = (44_100, 48_000, 37_800, 32_000)
_MAX_PACKETS = 16  # of a Musepack file, to find the one that counts its samples


_WAVPACK_DSD = 1 << 31  # flag of a block that holds one-bit audio


def read_wavpack(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read whether a WavPack file holds PCM or DSD."""
    file.seek(begin + 24)
    (flags,) = struct.unpack("<I", read_exactly(file, 4))
    return Header(suits_soundfile=False, is_dsd=bool(flags & _WAVPACK_DSD))


def read_tta(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read whether a True Audio file needs a password."""
    file.seek(begin + 4)
    (kind,) = struct.unpack("<H", read_exactly(file, 2))
    return Header(suits_soundfile=False, drm="encrypted with a password" if kind == 2 else None)


def read_musepack(file: BinaryIO, begin: int, size: int) -> Header:
    """Read a Musepack header of stream version 8; FFmpeg reads version 7 as it is."""
    file.seek(begin)
    is_new = file.read(4) == b"MPCK"
    return _musepack_8(file, begin, size) if is_new else Header(suits_soundfile=False)


def _musepack_8(file: BinaryIO, begin: int, size: int) -> Header:
    claimed_s, blank_at, at = None, None, begin + 4
    for _ in range(_MAX_PACKETS):
        if at >= size:
            break
        file.seek(at)
        packet = read_exactly(file, 40)
        length, content = _varint(packet, 2)
        if packet[:2] == b"SH":
            claimed_s = _musepack_length(packet, content + 5)  # after a checksum and the version
        elif packet[:2] == b"SO" and at + _varint(packet, content)[0] >= size:
            # The seek table was cut off with the end of the file: FFmpeg would stop there.
            blank_at = at
        elif packet[:2] == b"AP":
            break
        at += max(length, 3)
    return Header(claimed_s, suits_soundfile=False, blank_at=blank_at)


def _musepack_length(packet: bytes, at: int) -> float | None:
    total, at = _varint(packet, at)
    _, at = _varint(packet, at)  # silence that the encoder prepended
    index = packet[at] >> 5
    rate = _MUSEPACK_RATES[index] if index < len(_MUSEPACK_RATES) else 0
    return total / rate if total and rate else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number stored in seven bits per byte, and the position after it."""
    number = 0
    for place in range(at, min(at + 9, len(data) - 1)):
        number = number << 7 | data[place] & 0x7F
        if not data[place] & 0x80:
            return number, place + 1
    return 0, min(at + 9, len(data) - 1)


DSF, DFF = b"DSD ", b"FRM8"
_DSF_HEADER = 92  # bytes before the samples
_MAX_DSD_CHUNKS = 256


def read_dsf(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read the rate and the samples per channel from the ``fmt`` chunk of a DSF file.

    Three little-endian chunks, with the offset of an ID3 tag in the first.
    """
    file.seek(begin + 28)
    kind, rate, total = struct.unpack("<4s24xI4xQ", read_exactly(file, 44))
    claimed_s = total / rate if kind == b"fmt " and rate else None
    return Header(claimed_s or None, suits_soundfile=False, is_dsd=True)


def read_dff(file: BinaryIO, begin: int, size: int) -> Header:
    """Read the rate, the channels and the number of samples of a DFF file.

    A big-endian IFF with 64-bit lengths; its audio is plain or losslessly compressed (DST).
    """
    rate = channels = n_bytes = frames = frame_rate = 0
    for kind, at, length in chunks(file, begin + 16, size):
        if kind == b"PROP":
            rate, channels = _properties(file, at + 4, min(at + length, size))
        elif kind == b"DSD ":
            n_bytes = length
        elif kind == b"DST ":
            for inner, _, _ in chunks(file, at, size):
                if inner == b"FRTE":
                    frames, frame_rate = struct.unpack(">IH", read_exactly(file, 6))
                break
    claimed_s = 8 * n_bytes / (rate * channels) if rate and channels else 0.0
    if frames and frame_rate:
        claimed_s = frames / frame_rate
    return Header(claimed_s or None, suits_soundfile=False, is_dsd=True)


def _properties(file: BinaryIO, at: int, end: int) -> tuple[int, int]:
    rate = channels = 0
    for kind, _, _ in chunks(file, at, end):
        if kind == b"FS  ":
            (rate,) = struct.unpack(">I", read_exactly(file, 4))
        elif kind == b"CHNL":
            (channels,) = struct.unpack(">H", read_exactly(file, 2))
    return rate, channels


def trailing_tag(file: BinaryIO) -> int | None:
    """Return the offset of the ID3 tag at the end of a DSF file; None for any other file."""
    file.seek(0)
    head = read_exactly(file, 28)
    (at,) = struct.unpack_from("<Q", head, 20)
    return at if head[:4] == DSF and at >= _DSF_HEADER else None


def id3_span(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Return begin and end of the ID3 tag of a DSF or DFF file; None if it has none."""
    if (tag_at := trailing_tag(file)) is not None:
        return (tag_at, size) if tag_at < size else None
    file.seek(0)
    if file.read(4) == DFF:
        for kind, at, length in chunks(file, 16, size):
            if kind == b"ID3 ":
                return at, min(at + length, size)
    return None


def chunks(file: BinaryIO, at: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and length of a DFF's chunks, with the file positioned at the content."""
    for _ in range(_MAX_DSD_CHUNKS):
        if at + 12 > size:
            return
        file.seek(at)
        kind, length = struct.unpack(">4sQ", read_exactly(file, 12))
        yield kind, at + 12, length
        at += 12 + length + length % 2


ASF = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le  # of the header object
_FILE = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_STREAM = UUID("b7dc0791-a9b7-11cf-8ee6-00c00c205365").bytes_le
_VIDEO = UUID("bc19efc0-5b4d-11cf-a8fd-00805f5c442b").bytes_le
_EXTENSION = UUID("5fbf03b5-a92e-11cf-8ee3-00c00c205365").bytes_le
_ENCRYPTION = frozenset(
    UUID(text).bytes_le
    for text in (
        "2211b3fb-bd23-11d2-b4b7-00a0c955fc6e",  # content encryption
        "298ae614-2622-4c17-b935-dae07ee9289c",  # extended
        "43058533-6981-49e6-9b74-ad12cb86d58c",  # advanced
    )
)
_BROADCAST = 1  # flag of a stream of unknown length
_OBJECT_HEADER = 24  # bytes
_MAX_OBJECTS = 1024


def read_asf(file: BinaryIO, begin: int, size: int) -> Header:
    """Read the duration of an audio-only ASF file, and its encryption.

    A file with video makes no claim: its audio may end before the video does.

    A header object contains the others, each with a GUID and a length, little-endian. Files from
    online shops of the 2000s carry an encryption object; a decoder turns such a file into noise.
    """
    file.seek(begin + 16)
    (length,) = struct.unpack("<Q", read_exactly(file, 8))
    claimed_s, has_video = None, False
    for kind, at, _ in _objects(file, begin + 30, min(begin + length, size)):
        if kind in _ENCRYPTION:
            return Header(suits_soundfile=False, drm="protected by DRM (Windows Media)")
        file.seek(at)
        if kind == _FILE:
            claimed_s = _duration(read_exactly(file, 80))
        elif kind == _STREAM:
            has_video |= read_exactly(file, 16) == _VIDEO
    return Header(None if has_video else claimed_s, suits_soundfile=False)


def _duration(content: bytes) -> float | None:
    """Return the seconds of audio: the play time less the player's initial buffering."""
    play, preroll, flags = struct.unpack("<40xQ8xQI12x", content)
    seconds = play / 1e7 - preroll / 1e3  # in 100 ns, in ms
    return seconds if seconds > 0 and not flags & _BROADCAST else None


def _objects(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield GUID, begin and end of each object's content, including the extension's objects."""
    for _ in range(_MAX_OBJECTS):
        if at + _OBJECT_HEADER > end:
            return
        file.seek(at)
        kind, length = struct.unpack("<16sQ", read_exactly(file, _OBJECT_HEADER))
        yield kind, at + _OBJECT_HEADER, at + length
        if length < _OBJECT_HEADER:
            return
        # The extension contains objects after 22 bytes of header: step into it, not over it.
        at += _OBJECT_HEADER + 22 if kind == _EXTENSION else length
