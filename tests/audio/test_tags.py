"""`audiorec.audio.tags`: fields, cleaning, and never an error."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_files import append, encode, id3v1, id3v2, mp3, prepend

from audiorec.audio.tags import (
    MAX_CHARACTERS,
    MAX_FRAME_BYTES,
    SongTags,
    musicbrainz_ufid,
    read_tag,
    read_tags,
)

FIELDS = {
    "title": "Für Elise",
    "artist": "Λ",
    "album": "Bagatelles",
}


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libmp3lame", "mp3"), ("aac", "ipod"), ("flac_ogg", "ogg")],
)
def test_fields(tmp_path, codec, container):
    path = tmp_path / "song"
    if codec == "flac_ogg":
        encode(path, rate=48_000, codec="libopus", container=container, tags=FIELDS)
    else:
        encode(path, codec=codec, container=container, tags=FIELDS)
    assert read_tags(path) == SongTags(**FIELDS)


def test_ids_of_recordings(tmp_path):
    path = tmp_path / "song.opus"
    tags = {"ISRC": "DEA123", "MUSICBRAINZ_TRACKID": "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"}
    encode(path, rate=48_000, codec="libopus", container="ogg", tags=tags)
    found = read_tags(path)
    assert (found.isrc, found.musicbrainz_trackid) == tuple(tags.values())
    assert found.title is None


def test_id3v1(tmp_path):
    mp3(tmp_path / "a.mp3")
    append(tmp_path / "a.mp3", id3v1("Coda"))
    assert read_tags(tmp_path / "a.mp3").title == "Coda"


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("two\nlines\tand \x1b[31mred\x07", "two lines and [31mred"),
        ("  spaces  ", "spaces"),
        ("\x01\x02", None),
        ("x" * 3_000, "x" * MAX_CHARACTERS),
        ("‮gnp.exe", "gnp.exe"),  # an override of the writing direction
    ],
)
def test_titles_become_one_clean_line(tmp_path, title, clean):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", id3v2(5_000, title=title))
    assert read_tags(tmp_path / "a.mp3").title == clean


def test_no_bad_file_raises(odd):
    for file in odd.values():
        found = read_tags(file.path)
        assert isinstance(found, SongTags)
    assert read_tags(odd["vanished.mp3"].path) == SongTags()
    assert read_tags(odd["pipe.mp3"].path) == SongTags()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    head=st.sampled_from([b"ID3\x04\0\0\0\0\x7f\x7f", b"OggS\0\2", b"fLaC"]),
)
def test_noise_behind_a_magic_raises_nothing(tmp_path, seed, head):
    path = tmp_path / "a"
    path.write_bytes(head + np.random.default_rng(seed).bytes(3_000))
    assert isinstance(read_tags(path), SongTags)


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
    one = found(b"ID3" + bytes([version, 0, flags]) + synchsafe(len(data)) + data)
    assert one is None or len(one) <= len(data)


def test_a_text_frame_wins_and_a_file_shows_its_id(tmp_path):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", tag(4, frame(4, OWNED)))
    assert read_tags(tmp_path / "a.mp3").musicbrainz_trackid == MBID
    text = b"\x03MusicBrainz Track Id\0" + b"the other"
    mp3(tmp_path / "b.mp3")
    prepend(tmp_path / "b.mp3", tag(4, frame(4, OWNED), frame(4, text, b"TXXX")))
    assert read_tags(tmp_path / "b.mp3").musicbrainz_trackid == "the other"


@pytest.mark.parametrize(
    ("tags", "genre", "year"),
    [
        ({"genre": "Hip-Hop", "date": "1998-05-01"}, "Hip-Hop", 1998),
        ({"genre": "Soul;Funk", "date": "01.05.1977"}, "Soul;Funk", 1977),
        ({"genre": "\x07 \n", "date": "unknown"}, None, None),
        ({"date": "198"}, None, None),
        ({"date": "20250101"}, None, None),  # as digits it may be anything
    ],
)
def test_genre_and_year(tmp_path, tags, genre, year):
    path = tmp_path / "song.opus"
    encode(path, rate=48_000, codec="libopus", container="ogg", tags={"title": "a", **tags})
    found = read_tags(path)
    assert (found.genre, found.year) == (genre, year)
    assert read_tag(path, "year") == (None if year is None else str(year))


def lyrics(version, language, text):
    content = b"\3" + language + b"\0" + text.encode()
    return frame(version, content, b"ULT" if version == 2 else b"USLT")


@pytest.mark.parametrize(
    ("version", "frames", "language"),
    [
        (4, [frame(4, b"\3jpn", b"TLAN"), lyrics(4, b"deu", "Mond")], "Japanese"),
        (3, [frame(3, b"\0engfre", b"TLAN")], "English"),
        (3, [frame(3, b"\0und", b"TLAN"), lyrics(3, b"deu", "Mond")], "German"),
        (2, [lyrics(2, b"deu", "Mond")], "German"),
        (4, [lyrics(4, b"jpn", "tsuki no hikari")], "Japanese"),
        (4, [lyrics(4, b"eng", "Mond")], None),  # which editors write unless they are told
        (4, [lyrics(4, b"eng", "Калинка")], "Cyrillic script"),
        (4, [lyrics(4, b"XXX", "夜に駆ける " * 100)], "Japanese"),
        (4, [lyrics(4, b"\xff\0\0", "la la")], None),
        (4, [], None),
    ],
)
def test_language_of_a_tag_or_of_the_lyrics(tmp_path, version, frames, language):
    mp3(tmp_path / "a.mp3")
    title = frame(version, b"\0Coda", b"TT2" if version == 2 else b"TIT2")
    prepend(tmp_path / "a.mp3", tag(version, title, *frames))
    assert read_tags(tmp_path / "a.mp3").language == language


def test_language_of_a_vorbis_comment(tmp_path):
    path = tmp_path / "song.opus"
    encode(path, rate=48_000, codec="libopus", container="ogg", tags={"LANGUAGE": "fr-CA"})
    assert read_tags(path).language == read_tag(path, "language") == "French"
    encode(path, rate=48_000, codec="libopus", container="ogg", tags={"LYRICS": "Катюша"})
    assert read_tags(path).language == "Cyrillic script"


def test_several_genres_are_kept(tmp_path):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", id3v2(5_000, title="a", genre="Rock\0Blues\0Rock"))
    assert read_tags(tmp_path / "a.mp3").genre == "Rock; Blues"
