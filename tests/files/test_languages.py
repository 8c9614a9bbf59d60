"""`audiorec.files.languages`: what tags call a language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.files.languages import NAMED, language_named


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ja", "Japanese"),
        ("JPN", "Japanese"),
        ("日本語", "Japanese"),
        ("ger", "German"),
        ("Deutsch", "German"),
        ("zh-Hant", "Chinese"),
        ("pt_BR", "Portuguese"),
        ("eng; fra", "English"),
        ("engfra", "English"),
        ("german", "German"),  # six letters, and not two codes
        (" Ido ", "Ido"),
        ("XXX", None),
        ("und", None),
        ("zxx", None),
        ("", None),
        (None, None),
    ],
)
def test_names_of_languages(text, name):
    assert language_named(text) == name


def test_no_code_stands_for_two_languages():
    words = [word.casefold() for entry in NAMED.split(";") for word in entry.split()]
    assert len(words) == len(set(words))


@given(st.text(max_size=50))
def test_any_text_is_a_name_or_none(text):
    assert language_named(text) != ""
