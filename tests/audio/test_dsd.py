"""`audiorec.audio.headers`: lengths and tags of DSF and DFF, written by hand."""

import io
import struct

import pytest

from audiorec.audio.headers import id3_span, read_dff, read_dsf, trailing_tag


def dsf(total=5_644_800, rate=2_822_400, tag_at=0):
    head = struct.pack("<4sQQQ", b"DSD ", 28, 92 + 8_192, tag_at)
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, rate, 1, total, 4_096, 0)
    return head + form + struct.pack("<4sQ", b"data", 12 + 8_192) + bytes(8_192)


def chunk(kind, content):
    return struct.pack(">4sQ", kind, len(content)) + content + bytes(len(content) % 2)


def dff(*chunks, rate=2_822_400, channels=2):
    sound = (
        b"SND "
        + chunk(b"FS  ", struct.pack(">I", rate))
        + chunk(b"CHNL", struct.pack(">H", channels) + b"SLFTSRGT")
    )
    return chunk(
        b"FRM8", b"DSD " + chunk(b"FVER", bytes(4)) + chunk(b"PROP", sound) + b"".join(chunks)
    )


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (dsf(), 2.0),
        (dsf(total=0), None),
        (dsf(rate=0), None),
        (dsf()[:28] + b"junk" + dsf()[32:], None),
        (b"DSD ", None),
    ],
)
def test_dsf(data, seconds):
    header = read_dsf(io.BytesIO(data), 0, len(data))
    assert (header.claimed_s, header.is_dsd) == (seconds, True)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (dff(chunk(b"DSD ", bytes(9_408))), 9_408 * 8 / 2 / 2_822_400),
        (dff(chunk(b"DSD ", bytes(9_408)))[:-9_000], 9_408 * 8 / 2 / 2_822_400),  # cut
        (dff(chunk(b"DSD ", bytes(9_408)), rate=0), None),
        (dff(chunk(b"DSD ", bytes(9_408)), channels=0), None),
        (dff(chunk(b"DST ", chunk(b"FRTE", struct.pack(">IH", 150, 75)))), 2.0),
        (dff(chunk(b"DST ", chunk(b"FRTE", struct.pack(">IH", 150, 0)))), None),
        (dff(), None),
        (b"FRM8" + b"\xff" * 60, None),
    ],
)
def test_dff(data, seconds):
    assert read_dff(io.BytesIO(data), 0, len(data)).claimed_s == seconds


def test_place_of_the_tag():
    tagged = dff(chunk(b"DSD ", bytes(11)), chunk(b"ID3 ", b"ID3 and so on"))
    begin = tagged.index(b"ID3 and")
    assert id3_span(io.BytesIO(tagged), len(tagged)) == (begin, begin + 13)
    assert id3_span(io.BytesIO(dff()), len(dff())) is None
    for at, expected in (
        (8_284, (8_284, 8_290)),
        (0, None),
        (50, None),
        (8_290, None),
        (2**63, None),
    ):
        data = dsf(tag_at=at) + b"ID3..."
        assert id3_span(io.BytesIO(data), len(data)) == expected
        assert trailing_tag(io.BytesIO(data)) == (at if at > 92 else None)
    assert trailing_tag(io.BytesIO(b"no DSF".ljust(100))) is None
