"""`audiorec.search.codes`: rows that say the same get the same number."""

import numpy as np
from made_library import series, song, write_library

from audiorec.search.codes import UNKNOWN, name_codes, plain_name, text_codes
from audiorec.search.library import Library


def test_texts_are_numbered_and_nothing_is_unknown(tmp_path):
    artists = ["Abba", None, "abba  ", "Queen", "", "ABBA", "\tQueen"]
    made = [song(f"{i}", series(i), artist=artist) for i, artist in enumerate(artists)]
    store = Library.open(write_library(tmp_path, made))
    codes, texts = text_codes(store, "artist")
    assert [None if c == UNKNOWN else texts[c] for c in codes] == artists
    names = name_codes(store, "artist")
    assert names.tolist() == [0, UNKNOWN, 0, 1, UNKNOWN, 0, 1]


def test_an_empty_store(tmp_path):
    store = Library.open(write_library(tmp_path, []))
    assert name_codes(store, "artist").shape == (0,)
    assert text_codes(store, "status")[1] == []
    assert name_codes(store, "album").dtype == np.int32


def test_plain_names():
    assert plain_name(" Straße \n X ") == "strasse x"
