"""`audiorec.files.visible`: layout, what is left out, and nothing that steers a terminal."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from audiorec.files.visible import MAX_WIDTH, cell_text, clock, html_table, text_table

HOSTILE = "<b>&\"'\n\x1b[31m\u202egpj"


def test_numbers_stand_at_the_right_and_texts_at_the_left():
    rows = [("a", 1, 0.5), ("bcd", 100, np.float32(-1.25))]
    assert text_table(("song", "n", "similarity"), rows).splitlines() == [
        "song    n  similarity",
        "a       1       0.500",
        "bcd   100      -1.250",
    ]


def test_a_column_without_a_value_is_left_out():
    rows = [("a", None, ""), ("b", None, "")]
    assert text_table(("song", "artist", "title"), rows) == "song\na\nb"
    assert "artist" not in html_table(("song", "artist"), [("a", None)])
    assert text_table(("song", "artist"), []) == "song  artist"


def test_wide_letters_take_two_columns():
    lines = text_table(("a", "b"), [("日本", "x"), ("abcd", "y"), ("e\u0301", "z")]).splitlines()
    assert [line.rstrip() for line in lines] == ["a     b", "日本  x", "abcd  y", "e\u0301     z"]


def test_a_long_cell_is_cut():
    line = text_table(("song",), [("x" * 200,)]).splitlines()[1]
    assert line == "x" * (MAX_WIDTH - 1) + "…"


def test_text_is_one_visible_line():
    table = text_table((HOSTILE,), [(HOSTILE,)])
    assert len(table.splitlines()) == 2
    assert not re.search("[\x1b\u202e]", table)


def test_html_holds_texts_as_texts():
    table = html_table((HOSTILE,), [(HOSTILE,), (0.5,)], caption=HOSTILE)
    tree = ElementTree.fromstring(table)  # noqa: S314 - our own
    assert [element.tag for element in tree.iter()] == (
        "table caption thead tr th tbody tr td tr td".split()
    )
    assert tree.find(".//td").text == tree.find("caption").text == "<b>&\"'\\n\\x1b[31m\\u202egpj"


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1.0, "1.000"), (float("nan"), ""), (3, "3"), ("é", "é")]
)
def test_cells(value, text):
    assert cell_text(value) == text


def test_clock():
    assert [clock(s) for s in (0, 59.6, 3599.7)] == ["0:00", "1:00", "1:00:00"]
