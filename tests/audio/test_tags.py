"""`audiorec.audio.tags`: fields, cleaning, and never an error."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_files import append, encode, id3v1, id3v2, mp3, prepend

from audiorec.audio.tags import MAX_CHARACTERS, SongTags, read_tags

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
