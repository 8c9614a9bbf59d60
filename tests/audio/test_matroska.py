"""`audiorec.audio.boxes`: elements written by hand."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.audio.boxes import matroska_tags, read_matroska

AUDIO, VIDEO = 2, 1


def element(kind: int, content: bytes) -> bytes:
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def info(duration=b"", scale=None):
    parts = element(0x2AD7B1, scale.to_bytes(4, "big")) if scale else b""
    return element(0x1549A966, parts + (element(0x4489, duration) if duration else b""))


def tracks(*kinds, extra=b""):
    entries = (element(0xAE, element(0x83, bytes((kind,))) + extra) for kind in kinds)
    return element(0x1654AE6B, b"".join(entries))


def tag(*pairs, level=None):
    target = b"" if level is None else element(0x63C0, element(0x68CA, bytes((level,))))
    simple = (
        element(0x67C8, element(0x45A3, name) + element(0x4487, value)) for name, value in pairs
    )
    return element(0x7373, target + b"".join(simple))


def segment(*parts, unknown=False):
    content = b"".join(parts)
    head = element(0x1A45DFA3, b"\x42\x86\x81\x01")
    if unknown:
        return head + bytes.fromhex("18538067") + b"\x01" + b"\xff" * 7 + content
    return head + element(0x18538067, content)


def read(data):
    return read_matroska(io.BytesIO(data), 0, len(data))


TWO_S = struct.pack(">d", 2_000.0)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (segment(info(TWO_S), tracks(AUDIO)), 2.0),
        (segment(info(struct.pack(">f", 2_000.0)), tracks(AUDIO)), 2.0),
        (segment(info(TWO_S, scale=500_000), tracks(AUDIO, AUDIO)), 1.0),
        (segment(info(TWO_S), tracks(AUDIO, VIDEO)), None),  # the audio may end before
        (segment(info(), tracks(AUDIO)), None),
        (segment(info(struct.pack(">d", float("nan"))), tracks(AUDIO)), None),
        (segment(info(struct.pack(">d", float("inf"))), tracks(AUDIO)), None),
        (segment(info(struct.pack(">d", -1.0)), tracks(AUDIO)), None),
        (segment(info(b"abc"), tracks(AUDIO)), None),
        (segment(info(TWO_S), tracks(AUDIO), unknown=True), 2.0),  # as live recordings have it
        (segment(info(TWO_S)), None),
        (b"\x1a\x45\xdf\xa3", None),
        (b"", None),
    ],
)
def test_duration(data, seconds):
    assert read(data).claimed_s == seconds


def test_cut():
    data = segment(info(TWO_S), tracks(AUDIO), element(0xEC, bytes(100)))
    assert not read(data).cut
    assert read(data[:-1]).cut
    assert not read(segment(info(TWO_S), tracks(AUDIO), unknown=True)[:-1]).cut


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_encryption(is_encrypted):
    kind = 0x5035 if is_encrypted else 0x5034  # compression
    coding = element(0x6D80, element(0x6240, element(kind, b"")))
    drm = read(segment(info(TWO_S), tracks(AUDIO, extra=coding))).drm
    assert drm == ("encrypted (ContentEncryption)" if is_encrypted else None)


def test_tags():
    album = tag((b"TITLE", b"Bagatelles"), (b"ARTIST", b"Various"), level=50)
    song = tag((b"TITLE", "Für Elise".encode()), (b"ARTIST", b"Nobody\0"), (b"", b"x"), level=30)
    title = element(0x1549A966, element(0x7BA9, b"Elise"))
    found = matroska_tags(
        io.BytesIO(data := segment(element(0x1254C367, song + album))), 0, len(data)
    )
    assert found == {"title": "Für Elise", "artist": "Nobody", "album": "Bagatelles"}
    data = segment(title, element(0x1254C367, song))
    found = matroska_tags(io.BytesIO(data), 0, len(data))
    assert found == {"title": "Elise", "artist": "Nobody"}


@given(st.binary(max_size=300), st.integers(0, 80))
def test_any_bytes_are_no_error(data, at):
    whole = segment(info(TWO_S), tracks(AUDIO), element(0x1254C367, tag((b"TITLE", b"x"))))
    spoilt = whole[:at] + data + whole[at:]
    claimed = read(spoilt).claimed_s
    assert claimed is None or claimed >= 0
    assert all(map(str.isprintable, matroska_tags(io.BytesIO(spoilt), 0, len(spoilt))))
