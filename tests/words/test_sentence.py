"""Sentences: what is wanted, denied, a fact, or not understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.words.labels import shipped_labels
from audiorec.words.sentence import (
    concepts,
    key,
    phrases,
    read_sentence,
    shipped_captions,
    stem,
    tokens,
)


def terms(text, **more):
    return [(term.said, term.denied) for term in read_sentence(text, **more).terms]


def test_concepts_are_found_longest_first():
    assert terms("a string quartet with electric guitar") == [
        ("string quartet", False),
        ("electric guitar", False),
    ]
    assert terms("安静的钢琴") == [("安静的", False), ("钢琴", False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("calm piano, no drums", [("calm", False), ("piano", False), ("drums", True)]),
        ("jazz without drums or guitars", [("jazz", False), ("drums", True), ("guitars", True)]),
        ("no drums, bass or guitars", [("drums", True), ("bass", True), ("guitars", True)]),
        ("no drums, piano", [("drums", True), ("piano", False)]),
        ("without drums but with a flute", [("drums", True), ("flute", False)]),
        ("party, but not disco. jazz", [("party", False), ("disco", True), ("jazz", False)]),
        ("not only jazz", [("jazz", False)]),
        ("没有鼓的爵士乐", [("鼓", True), ("爵士乐", False)]),
        ("不要金属的摇滚", [("金属", True), ("摇滚", False)]),
        ("无伴奏人声", [("无伴奏人声", False)]),
        ("a human voice that does not sing", [("human voice", False), ("sing", True)]),
    ],
)
def test_a_denial_reaches_to_the_end_of_its_clause(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("techno at 120 bpm", "bpm>=115.2, bpm<=124.8"),
        ("faster than 140 bpm", "bpm>=140"),
        ("a song under four minutes", "duration<=4:00"),
        ("longer than 2.5 minutes", "duration>=2:30"),
        ("四分钟以内", "duration<=4:00"),
        ("jazz in A minor", "key=A, scale=minor"),
        ("in the key of f sharp major", "key=F#, scale=major"),
        ("a小调钢琴", "key=A, scale=minor"),
    ],
)
def test_facts_are_conditions(text, condition):
    assert list(read_sentence(text).conditions.values()) == [condition]


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


def test_less_of_something_is_not_a_wish_for_it():
    assert terms("jazz with less drums") == [("jazz", False), ("drums", True)]


def test_by_names_an_artist_that_the_library_has():
    read = read_sentence("slow songs by Miles Davis without drums", ["miles davis"])
    assert read.conditions == {"by Miles Davis": 'artist="Miles Davis"'}
    assert [term.said for term in read.terms if term.denied] == ["drums"]
    assert not read_sentence("jazz by candlelight", ["miles davis"]).conditions


def test_what_says_nothing_of_sound_is_told():
    assert read_sentence("Abbey Road").unknown == ("abbey", "road")
    assert read_sentence("some songs please").unknown == ()


def test_speech_and_sounds_may_be_no_music():
    assert read_sentence("dog barking").sounds
    assert not read_sentence("calm piano").sounds
    assert not read_sentence("piano, no speech").sounds


def test_captions_know_what_the_table_does_not():
    known = next(p for p in shipped_captions().places if len(p) == 1 and p not in phrases())
    assert read_sentence(known[0]).terms[0].weight < 1


def test_the_table_names_what_can_be_heard_and_each_phrase_once():
    names = {*shipped_labels().names, "bpm", "loud", "version.voiced"}
    said = [key(tokens(word)) for concept in concepts() for word in concept.words]
    assert len(set(said)) == len(said)
    heads = ("version.", "genre.", "style.")
    for concept in concepts():
        assert any(name in names or name.startswith(heads) for name in concept.heard), concept.words


def test_stems():
    assert [stem(word) for word in ("guitars", "blues", "news", "parties")] == [
        *("guitar", "blue", "news", "party")
    ]


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    read = read_sentence(text)
    assert all(term.heard for term in read.terms)
