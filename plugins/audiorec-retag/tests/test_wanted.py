"""`audiorec_retag.retagging`: moods of a song from the tags that its store holds."""

import numpy as np
import pytest
from made_library import series, song, write_library
from made_sound import add_lists

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import MSD
from audiorec_retag.retagging import wanted_fields


@pytest.fixture
def path(tmp_path):
    return write_library(tmp_path, [song(name, series(1, segments=9)) for name in "abc"])


def tags(**means):
    values = np.zeros(len(MSD.tags))
    for name, mean in means.items():
        values[MSD.tags.index(name)] = mean
    return values


def test_up_to_two_moods_the_strongest_first(path):
    heard = [tags(sad=0.2, Mellow=0.3, happy=0.15), tags(sad=0.09), None]
    add_lists(path, heard_tags=heard)
    found, _ = wanted_fields(VectorStore.open(path), ["mood"], np.arange(3))
    assert found == [{"mood": ("mellow", "sad")}, {}, {}]


def test_tempo_and_key_where_they_are_certain_and_what_the_owner_says(tmp_path):
    sure = {"bpm_confidence": 0.95, "key": "A", "scale": "minor", "key_confidence": 0.95}
    rows = [
        song("a", series(1, segments=9), bpm=120.4, **sure),
        song("b", series(2, segments=9), bpm=90.0, **sure | {"bpm_confidence": 0.2}),
    ]
    library = Library.open(write_library(tmp_path, rows))
    fields = ["bpm", "key", "genre"]
    found, _ = wanted_fields(library, fields[:2], np.arange(2))
    assert found == [{"bpm": ("120",), "key": ("Am",)}, {"key": ("Am",)}]
    for field, value in (("tempo", "77"), ("genre", "Soul")):
        library.correct("b", field, value)
    found, _ = wanted_fields(library, fields, np.arange(2))
    assert found[1] == {"bpm": ("77",), "key": ("Am",), "genre": ("Soul",)}


def test_a_store_without_tags_says_how_to_add_them(path):
    with pytest.raises(InputError, match=r"has no heard_tags.*--overwrite"):
        wanted_fields(VectorStore.open(path), ["mood"], np.arange(3))
    add_lists(path, heard_tags=[[0.5] * 7] * 3)
    with pytest.raises(InputError, match="its heard_tags have 7 numbers, not 50"):
        wanted_fields(VectorStore.open(path), ["mood"], np.arange(3))
