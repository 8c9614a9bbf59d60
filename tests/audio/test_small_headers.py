"""`asf`, `ac3_header`, `ape_tags` and `refused`: structures written by hand."""

import io
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from odd_files import ape_tag, id3v1, sound

from audiorec.audio.headers import _FILE, _STREAM, _VIDEO, ASF, read_asf
from audiorec.audio.sniff import ac3_length, is_ac3, unsupported_format
from audiorec.audio.tags import MAX_ITEMS, ape_tags, read_tags

# ASF


def asf(*objects):
    body = b"".join(kind + struct.pack("<Q", 24 + len(data)) + data for kind, data in objects)
    return ASF + struct.pack("<QIH", 30 + len(body), len(objects), 0x0201) + body


def properties(play_100ns, preroll_ms=0, flags=0):
    return _FILE, struct.pack("<40xQ8xQI12x", play_100ns, preroll_ms, flags)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (asf(properties(65_000_000, 1_500)), 5.0),
        (asf(properties(65_000_000, 1_500, flags=2)), 5.0),
        (asf(properties(65_000_000, 1_500, flags=1)), None),  # broadcast: not known
        (asf(properties(10_000_000, 1_500)), None),
        (asf(properties(65_000_000), (_STREAM, _VIDEO + bytes(40))), None),
        (asf(properties(65_000_000), (_STREAM, bytes(56))), 6.5),
        (asf((b"x" * 16, bytes(9)), properties(65_000_000)), 6.5),
        (ASF, None),
        (ASF + b"\xff" * 60, None),
    ],
)
def test_duration_of_an_asf(data, seconds):
    assert read_asf(io.BytesIO(data), 0, len(data)).claimed_s == seconds


@given(st.binary(max_size=200))
def test_any_asf_is_no_error(data):
    whole = ASF + data
    claimed = read_asf(io.BytesIO(whole), 0, len(whole)).claimed_s
    assert claimed is None or claimed >= 0


# AC-3


def ac3(rate_and_size, identification=8, third=0):
    return bytes((0x0B, 0x77, third, 0, rate_and_size, identification << 3))


@pytest.mark.parametrize(
    ("frame", "length"),
    [
        (ac3(0), 128),  # 32 kb/s at 48 kHz: 64 words
        (ac3(30), 1_792),  # 448 kb/s at 48 kHz
        (ac3(0x40 | 28), 2 * 835),  # 384 kb/s at 44.1 kHz: 320 * 384 // 147 words
        (ac3(0x40 | 29), 2 * 836),
        (ac3(0x80 | 1), 192),
        (ac3(0xC0), None),
        (ac3(38), None),
        (ac3(0, identification=17), None),
        (bytes((0x0B, 0x77, 0x01, 0x02, 0, 16 << 3)), 2 * (0x102 + 1)),
        (b"\x0b\x77\x00\x00\x00", None),
        (b"\x77\x0b" + ac3(0)[2:], None),
    ],
)
def test_length_of_a_frame(frame, length):
    assert ac3_length(frame, 0) == ac3_length(b"xx" + frame, 2) == length


def test_frames_have_to_lead_to_each_other():
    frame = ac3(0).ljust(128, b"\0")
    assert is_ac3(frame * 4, is_whole=False)
    assert is_ac3(frame * 2, is_whole=True)
    assert not is_ac3(frame * 3, is_whole=False)
    assert not is_ac3(frame + b"x" + frame * 2, is_whole=False)


# APE tags


def items(*pairs):
    return b"".join(struct.pack("<II", len(v), f) + k + b"\0" + v for k, v, f in pairs)


def tag(content, *, has_header=False):
    size = len(content) + 32
    marks = [
        struct.pack("<8sIIIIQ", b"APETAGEX", 2000, size, 1, flags << 28, 0) for flags in (0xA, 0x8)
    ]
    return (
        marks[0] + content + marks[1]
        if has_header
        else (content + marks[1][:20] + bytes(4) + marks[1][24:])
    )


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("tail", [b"", id3v1()])
def test_items(has_header, tail):
    cover = (b"Cover Art (Front)", b"a.png\0" + bytes(9_000), 2)
    several = (b"Artist", b"Nobody\0Someone", 0)
    content = items((b"TITLE", "Für Elise".encode(), 0), cover, several)
    data = b"audio" * 40 + tag(content, has_header=has_header) + tail
    assert ape_tags(io.BytesIO(data)) == {"title": "Für Elise", "artist": "Nobody"}


def test_what_is_no_tag():
    assert ape_tags(io.BytesIO(b"")) == {}
    assert ape_tags(io.BytesIO(b"audio" * 100)) == {}
    assert ape_tags(io.BytesIO(b"APETAGEX")) == {}  # too short for a footer
    many = items(*((b"K%d" % i, b"v", 0) for i in range(MAX_ITEMS + 50)))
    assert len(ape_tags(io.BytesIO(tag(many)))) == MAX_ITEMS


@given(st.binary(max_size=200), st.integers(0, 300))
@example(data=b"", length=29)  # less than the footer itself
@example(data=bytes([40, *[0] * 8]), length=41)  # an item that reaches into the footer
def test_any_tag_is_no_error(data, length):
    footer = struct.pack("<8sIIIIQ", b"APETAGEX", 2000, length, 9, 0, 0)
    assert sum(map(len, ape_tags(io.BytesIO(data + footer)).values())) <= len(data)


def test_an_ape_tag_behind_a_flac_without_tags_of_its_own(tmp_path):
    sound(tmp_path / "a.flac", kind="FLAC")
    assert read_tags(tmp_path / "a.flac").title is None
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes() + ape_tag("Behind"))
    assert read_tags(tmp_path / "a.flac").title == "Behind"


# Refusals


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"tBaK....", "TAK"),
        (b"#!AMR\n", "AMR"),
        (b"Extended Module: a song", "XM (a tracker module: notes and samples)"),
        (b"IMPM", "IT (a tracker module: notes and samples)"),
        (bytes(44) + b"SCRM", "S3M (a tracker module: notes and samples)"),
        (bytes(1080) + b"8CHN", "MOD (a tracker module: notes and samples)"),
        (bytes(1080) + b"32CH", "MOD (a tracker module: notes and samples)"),
        (b"MThd", "MIDI (notes, no audio)"),
        (b"MP+\x15", "Musepack with a stream version before 7"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (bytes(1079) + b"M.K.", None),
        (b"", None),
    ],
)
def test_names(head, name):
    assert unsupported_format(head) == name
