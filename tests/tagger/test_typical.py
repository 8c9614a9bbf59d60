"""`audiorec.tagger.reading`: the 20 s in which a song is most itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.tagger.reading import typical_part
from audiorec.types import ScoreSeries

CLASSES = ("version/instrumental", "version/other", "genre/jazz", "genre/rock")
QUIET = (0.1, 0.9, 0.5, 0.5)
SOLO = (0.9, 0.1, 0.9, 0.1)
CHORUS = (0.9, 0.1, 0.1, 0.9)


def series(*rows):
    return ScoreSeries(
        np.array(rows, np.float32), 3 * np.arange(len(rows), dtype=np.float32), CLASSES
    )


def test_intro_and_solo_lose_against_the_chorus():
    song = series(*[QUIET] * 4, *[SOLO] * 8, *[CHORUS] * 12, *[QUIET] * 4)
    start, end = typical_part(song, duration_s=84.0, part_s=21.0)
    assert (start, end) == (36.0, 57.0)  # the earliest of the parts that are all chorus


def test_music_is_preferred_to_an_equally_long_silence():
    song = series(*[QUIET] * 7, *[SOLO] * 7)
    assert typical_part(song, duration_s=42.0, part_s=21.0) == (21.0, 42.0)


def test_a_short_song_is_its_own_part():
    assert typical_part(series(SOLO), duration_s=2.5) == (0.0, 2.5)
    assert typical_part(series(SOLO, SOLO), duration_s=6.0) == (0.0, 6.0)


def test_the_part_never_passes_the_end():
    song = series(*[QUIET] * 8, *[CHORUS] * 3)  # the last segment ends with the song
    start, end = typical_part(song, duration_s=31.5)
    assert start <= 11.5
    assert end <= 31.5


@given(st.lists(st.sampled_from([QUIET, SOLO, CHORUS]), min_size=1, max_size=30))
def test_any_song_has_a_part_within_it(rows):
    duration = 3.0 * len(rows)
    start, end = typical_part(series(*rows), duration_s=duration)
    assert 0 <= start < end <= duration
    assert end - start == pytest.approx(min(20.0, duration))


def test_no_part_of_no_length():
    with pytest.raises(InputError, match="longer than 0"):
        typical_part(series(SOLO), duration_s=3.0, part_s=0.0)
