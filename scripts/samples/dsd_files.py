"""One-bit audio from samples, as DSF, DFF and DFF packed by DST: there are no free encoders.

    samples (n,) at 22,050 Hz  ──one_bit──▶  bits (128 n,)  ──dsf, dff──▶  bytes of a file

The modulator is of the second order: what rounding leaves is pushed beyond what music holds.
A sample of 1 becomes half of the modulation, which is the 0 dB of an SACD.
"""

import struct

import numpy as np
import numpy.typing as npt
import soxr

DSD64 = 2_822_400  # bits a second of an SACD
BLOCK = 4096  # bytes a channel of a block of a DSF
FRAMES_S = 75  # frames a second of DST
Bits = npt.NDArray[np.uint8]


def one_bit(samples: npt.NDArray[np.float64], rate: int, dsd_rate: int = DSD64) -> Bits:
    """Return the bits, 0 or 1, shape (n,) for samples of shape (n,) with full scale 1."""
    fine = 0.5 * soxr.resample(np.asarray(samples, np.float64), rate, dsd_rate)
    bits = bytearray(len(fine))
    last = before = 0.0  # the errors of the last two bits
    for i, sample in enumerate(fine.tolist()):  # floats of Python's: three times as fast
        value = sample + 2 * last - before
        bit = value >= 0
        bits[i], before = bit, last
        last = value - (1.0 if bit else -1.0)
    return np.frombuffer(bits, np.uint8)


def dsf(channels: list[Bits], dsd_rate: int = DSD64, tag: bytes = b"") -> bytes:
    """Return a DSF file of bits, with an ID3 tag at its end."""
    n_channels, n_bits = len(channels), len(channels[0])
    octets = [np.packbits(bits, bitorder="little") for bits in channels]
    n_blocks = -(-len(octets[0]) // BLOCK)
    padded = [np.pad(o, (0, n_blocks * BLOCK - len(o))).reshape(n_blocks, BLOCK) for o in octets]
    data = np.stack(padded, axis=1).tobytes()
    tag_at = 92 + len(data) if tag else 0
    kind = {1: 1, 2: 2}[n_channels]
    form = struct.pack(
        "<4sQIIIIIIQII",
        *(b"fmt ", 52, 1, 0, kind, n_channels, dsd_rate, 1, n_bits, BLOCK, 0),
    )
    head = struct.pack("<4sQQQ", b"DSD ", 28, 92 + len(data) + len(tag), tag_at)
    return head + form + struct.pack("<4sQ", b"data", 12 + len(data)) + data + tag


def dff(
    channels: list[Bits], dsd_rate: int = DSD64, tag: bytes = b"", *, packed: bool = False
) -> bytes:
    """Return a DFF file of bits, plain or packed by DST, with an ID3 tag at its end."""
    names = (b"SLFT", b"SRGT")[: len(channels)] if len(channels) > 1 else (b"C000",)
    coding = b"DST \x0bDST Encoded" if packed else b"DSD \x0enot compressed\0"
    properties = b"SND " + b"".join(
        (
            _chunk(b"FS  ", struct.pack(">I", dsd_rate)),
            _chunk(b"CHNL", struct.pack(">H", len(names)) + b"".join(names)),
            _chunk(b"CMPR", coding),
        )
    )
    octets = np.stack([np.packbits(bits) for bits in channels], axis=1)  # (n, channels)
    audio = _dst(channels, dsd_rate) if packed else _chunk(b"DSD ", octets.tobytes())
    body = _chunk(b"FVER", bytes((1, 5, 0, 0))) + _chunk(b"PROP", properties) + audio
    return _chunk(b"FRM8", b"DSD " + body + (_chunk(b"ID3 ", tag) if tag else b""))


def _dst(channels: list[Bits], dsd_rate: int) -> bytes:
    """Return the chunk of packed audio; what does not fill a frame is left out."""
    size = dsd_rate // FRAMES_S
    n_frames = len(channels[0]) // size
    bits = np.stack(channels, axis=1)[: n_frames * size].reshape(n_frames, -1)
    frames = b"".join(_chunk(b"DSTF", frame) for frame in dst_frames(bits, len(channels)))
    count = _chunk(b"FRTE", struct.pack(">IH", n_frames, FRAMES_S))
    return _chunk(b"DST ", count + frames)


def dst_frames(bits: Bits, n_channels: int) -> list[bytes]:
    """Return DST frames for bits of shape (frames, n), the channels alternating.

    The simplest that the standard has: a predictor of one coefficient, 0, and a probability
    of one half for every bit, so that nothing gets smaller. The arithmetic coder keeps a
    range `a` for each frame; the code of a frame is the sum of what is taken off it, each
    shifted by as much as the range was afterwards.
    """
    n_frames, n = bits.shape
    a = np.full(n_frames, 4095 - 15, np.int64)  # behind a first bit, whose probability is 1/256
    taken = np.zeros((n_frames, n), np.int64)
    shift = np.zeros((n_frames, n), np.int64)
    shifted = np.zeros(n_frames, np.int64)
    for i in range(n):
        part = (a >> 8 | a >> 7 & 1) * 128
        rest, is_one = a - part, bits[:, i] == 1
        taken[:, i], shift[:, i] = np.where(is_one, 0, rest), shifted
        a = np.where(is_one, rest, part)
        steps = 12 - np.frexp(a.astype(np.float64))[1]  # back to at least 2048
        a, shifted = a << steps, shifted + steps
    head = "111111" + "0" * n_channels + "00000000000000000000000011111110"
    return [
        _code(head, t, s, int(total)) for t, s, total in zip(taken, shift, shifted, strict=True)
    ]


def _code(
    head: str, taken: npt.NDArray[np.int64], shift: npt.NDArray[np.int64], total: int
) -> bytes:
    """Add up the parts of a frame's code, number `i` shifted left by ``total - shift[i]``."""
    places = total - shift
    limbs = np.bincount(places >> 4, taken << (places & 15))  # sums stay far below 2 ** 53
    code = sum(int(limb) << 16 * i for i, limb in enumerate(limbs))
    text = head + format(code, f"0{total + 12}b")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">4sQ", kind, len(content)) + content + b"\0" * (len(content) % 2)
