"""Frame headers of AC-3 and E-AC-3, which are recognised by several consecutive frames."""

from audiorec.audio.mpeg_header import has_consecutive_frames

_KBITS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
)
_LAST_AC3, _LAST_EAC3 = 10, 16  # bit stream identifications


def ac3_length(data: bytes, at: int) -> int | None:
    """Return the length in bytes of the AC-3 or E-AC-3 frame at `at`; None if there is none."""
    if data[at : at + 2] != b"\x0b\x77" or at + 6 > len(data):
        return None
    identification = data[at + 5] >> 3
    if identification > _LAST_EAC3:
        return None
    if identification > _LAST_AC3:
        return 2 * ((data[at + 2] & 7) << 8 | data[at + 3]) + 2
    rate, size = data[at + 4] >> 6, data[at + 4] & 63
    if rate == 3 or size >= 2 * len(_KBITS):
        return None
    kbits = _KBITS[size >> 1]
    # At 48, 44.1 and 32 kHz: 1536 samples in words of 16 bits.
    return 2 * (2 * kbits, 320 * kbits // 147 + (size & 1), 3 * kbits)[rate]


def is_ac3(data: bytes, *, is_whole: bool) -> bool:
    """Return whether the data begins with several consecutive AC-3 or E-AC-3 frames."""
    return has_consecutive_frames(data, ac3_length, is_whole=is_whole)
