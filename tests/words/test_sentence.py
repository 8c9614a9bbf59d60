"""Sentences: what is wanted, denied, a fact, or not understood."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.words.clauses import NoNames
from audiorec.words.labels import shipped_labels
from audiorec.words.sentence import read_sentence
from audiorec.words.vocabulary import (
    GRAMMAR,
    concepts,
    key,
    phrases,
    rows_of,
    shipped_captions,
    stem,
    tokens,
)

NAMES = NoNames(
    artists={
        *("miles davis", "obsidian shell", "k-pone", "sean hawk", "bob marley", "nina simone"),
        *("周杰伦", "林俊杰", "earth, wind & fire"),
    },
    titles={"ave maria", "lucid dream", "urban bolero", "青花瓷"},
    albums={"kind of blue"},
)
TABLE = Path(__file__).parent / "sentences.csv"


def test_sentences_mean_what_people_mean():
    """A reader may extend the table; clauses are written as `Sentence.chips` has them."""
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = {row["sentence"]: read_sentence(row["sentence"], NAMES) for row in rows}
    got = {text: (" + ".join(one.chips), " ".join(one.unknown)) for text, one in read.items()}
    assert got == {row["sentence"]: (row["reading"], row["unknown"]) for row in rows}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("but calmer", ["more calm"]),
        ("slower, sadder and heavier", ["more slow", "more sad", "more heavy"]),
        ("a bit more guitar, less drums", ["more guitar", "less drums"]),
        ("no drums, more piano", ["no drums", "more piano"]),
        ("not slower", ["less slow"]),
        ("a drummer and a singer", ["drummer", "singer"]),
        ("slower than 120 bpm", []),
        ("更安静", ["more 安静"]),
        ("慢一点, 少一点鼓", ["more 慢", "less 鼓"]),
        ("多一些吉他", ["more 吉他"]),
    ],
)
def test_comparatives(text, expected):
    assert [term.name for term in read_sentence(text).terms] == expected


def test_what_says_nothing_of_sound_is_told():
    assert read_sentence("Abbey Road").unknown == ("abbey", "road")
    assert read_sentence("some songs please").unknown == ()


def test_speech_and_sounds_may_be_no_music():
    assert read_sentence("dog barking").sounds
    assert not read_sentence("calm piano").sounds
    assert not read_sentence("piano, no speech").sounds


def test_captions_know_what_the_table_does_not():
    single = (p for p in shipped_captions().places if len(p) == 1 and p not in phrases())
    read = (read_sentence(one).terms for (one,) in single)
    assert next(filter(None, read))[0].weight < 1


def test_the_table_names_what_can_be_heard_and_each_phrase_once():
    names = {*shipped_labels().names, "bpm", "loud", "version.voiced"}
    said = [key(tokens(word)) for concept in concepts() for word in concept.words]
    assert len(set(said)) == len(said)
    heads = ("version.", "genre.", "style.")
    for concept in concepts():
        heard = concept.heard or concept.denied
        there = any(name in names or name.startswith(heads) for name in heard)
        assert there or concept.kind == "name", concept.words


def test_the_grammar_names_each_phrase_once_in_its_role():
    rows = rows_of(GRAMMAR)
    said = [(row["role"], word.strip()) for row in rows for word in row["words"].split(";")]
    assert len(set(said)) == len(said)
    assert all(word for _, word in said)


def test_stems():
    assert [stem(word) for word in ("guitars", "blues", "news", "parties")] == [
        *("guitar", "blue", "news", "party")
    ]


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    read = read_sentence(text)
    assert all(all(term.ways) for term in read.terms)


def test_the_words_of_a_denied_fact_begin_with_the_denial():
    read = read_sentence("calm, not faster than 90 bpm; no songs by Sean Hawk or K-Pone", NAMES)
    assert read.conditions == {
        "not faster than 90 bpm": "bpm<=90",
        "no songs by Sean Hawk or K-Pone": "artist!=Sean Hawk|K-Pone",
    }
    read = read_sentence("no drums, piano under four minutes")
    assert read.conditions == {"under four minutes": "duration<=4:00"}
