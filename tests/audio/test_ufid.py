"""`audiorec.audio.ufid`: the recording's id of an MP3, in every version of ID3v2."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_files import mp3, prepend

from audiorec.audio.tags import read_tags
from audiorec.audio.ufid import MAX_FRAME_BYTES, musicbrainz_ufid

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
OWNED = b"http://musicbrainz.org\0" + MBID.encode()
OTHER = b"http://example.org\0" + b"17"


def synchsafe(number):
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(version, content, name=b"UFID"):
    if version == 2:
        return name[:3] + len(content).to_bytes(3, "big") + content
    size = synchsafe(len(content)) if version == 4 else len(content).to_bytes(4, "big")
    return name + size + b"\0\0" + content


def tag(version, *frames, flags=0, before=b""):
    content = before + b"".join(frames)
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(content)) + content


def found(data):
    return musicbrainz_ufid(io.BytesIO(data))


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_version(version):
    title = frame(version, b"\0Coda" * 40, b"TIT2")  # 200 bytes: sizes differ by version
    owned, other = frame(version, OWNED), frame(version, OTHER)
    assert found(tag(version, title, other, owned) + b"audio") == MBID
    assert found(tag(version, title, other) + owned) is None  # behind the tag it is no tag
    assert found(tag(version, title, bytes(20), owned)) is None  # behind the padding neither


def test_unsynchronised_tag():
    picture = frame(3, b"\xff\xfe\x01" * 9, b"APIC")
    content = (picture + frame(3, OWNED)).replace(b"\xff", b"\xff\x00")
    assert found(b"ID3\x03\x00\x80" + synchsafe(len(content)) + content) == MBID


def test_extended_header():
    for version, size in ((4, synchsafe(10)), (3, (6).to_bytes(4, "big"))):
        data = tag(version, frame(version, OWNED), flags=0x40, before=size + bytes(6))
        assert found(data) == MBID, version


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3",
        b"ID3\x05\0\0\0\0\0\x7f" + frame(4, OWNED),
        tag(4, frame(4, OWNED))[:-60],
        tag(4, frame(4, b"http://musicbrainz.org\0")),
        tag(4, frame(4, b"musicbrainz.org" + b"\0" + b"x" * MAX_FRAME_BYTES)),
        tag(4, frame(4, b"", b"TIT2") * 3_000, frame(4, OWNED)),
    ],
    ids=["empty", "short", "version", "cut", "no_id", "too_long", "too_many"],
)
def test_nothing_to_be_found(data):
    assert found(data) is None


@given(st.binary(max_size=200), st.sampled_from([2, 3, 4]), st.integers(0, 255))
def test_any_bytes_are_no_error(data, version, flags):
    found(b"ID3" + bytes([version, 0, flags]) + synchsafe(len(data)) + data)


def test_a_text_frame_wins_and_a_file_shows_its_id(tmp_path):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", tag(4, frame(4, OWNED)))
    assert read_tags(tmp_path / "a.mp3").musicbrainz_trackid == MBID
    text = b"\x03MusicBrainz Track Id\0" + b"the other"
    mp3(tmp_path / "b.mp3")
    prepend(tmp_path / "b.mp3", tag(4, frame(4, OWNED), frame(4, text, b"TXXX")))
    assert read_tags(tmp_path / "b.mp3").musicbrainz_trackid == "the other"
