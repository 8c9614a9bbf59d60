"""`audiorec.types`: ids and rows, names of artists."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.types import IdMap, name_numbers, normalised_name


@pytest.mark.parametrize("ids", [("a", "été", ""), pa.array(["x", "a", "été", ""]).slice(1)])
def test_rows_of_ids(ids):
    known = IdMap(ids)
    for names in (["été", "x", "a", ""], pa.array(["été", "x", "a", ""])):
        rows = known.rows(names)
        assert (rows.tolist(), rows.dtype) == ([1, -1, 0, 2], np.int64)
    assert known.rows([]).shape == (0,)
    assert IdMap(()).rows(["a"]).tolist() == [-1]


def test_an_id_map_is_frozen():
    with pytest.raises(AttributeError):
        IdMap(("a",)).ids = ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ABBA", " abba "),
        ("Nina  Simone", "nina\tsimone"),
        ("Bjo\u0308rk", "BJÖRK"),  # a letter and its mark, or one letter
        ("\uff2c\uff55\uff2c\uff55", "Lulu"),  # of full width
        ("高町\u3000なのは", "高町 なのは"),
        ("STRASSE", "Straße"),
    ],
)
def test_one_artist(one, other):
    assert normalised_name(one) == normalised_name(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("Mya", "Mýa"), ("Who", "The Who"), ("H.E.R.", "Her"), ("Eve", "Eve feat. Sean Paul")],
)
def test_two_artists(one, other):
    assert normalised_name(one) != normalised_name(other)


@given(st.text())
def test_a_plain_name_is_plain_already(name):
    assert normalised_name(normalised_name(name)) == normalised_name(name)


def test_nobody_has_no_number():
    assert name_numbers([None, "b", "", " ", "a", "B "]).tolist() == [-1, 0, -1, -1, 1, 0]
    assert name_numbers([]).shape == (0,)


def test_types_load_no_arrow():
    script = "import sys, audiorec.types; print('pyarrow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
