"""Titles, artists and names of files that a sentence says; songs that it names; denials alone."""

import numpy as np
import pytest
from good_store import change
from made_words import write_heard

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.library.sentences import liked
from audiorec.search.questions import Choice, SimilarQuestion
from audiorec.words.find import understood, values
from audiorec.words.sentence import read_sentence

ALL = Choice(also=("non-music",))
SAID = {  # title, artist, album
    "animal.flac": ("Ave Maria", "Ivo Brandt", "Fauna"),
    "drums.flac": ("Christmas Drums", "Lena Holm", "Noise"),
    "metal.flac": ("Lucid Dream", "Lena Holm", "Noise"),
    "piano.flac": ("Evening", "Ivo Brandt", "Quiet"),
    "sax.flac": ("青花瓷", "周杰伦", "Quiet"),
    "speech.flac": ("Ave Verum", "Ivo Brandt", "Quiet"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = write_heard(tmp_path_factory.mktemp("titles"))
    for column, place in (("title", 0), ("artist", 1), ("album", 2)):
        for row, said in enumerate(SAID.values()):
            change(path, column, row, said[place])
    return open_store(path)


def found(library, text, k=6):
    return library.find(text, k, choice=ALL)


def first(library, text):
    return found(library, text)[0].song_id


@pytest.mark.parametrize(
    ("text", "song_id", "where"),
    [
        ("christmas", "drums.flac", "title"),
        ("lucid dream", "metal.flac", "title"),
        ("fauna", "animal.flac", "album"),
        ("brandt evening", "piano.flac", "title, artist"),
        ("sax", "sax.flac", "file name"),
        ("青花瓷", "sax.flac", "title"),
        ("christmsa", "drums.flac", "title"),  # two letters swapped
        ("chrismas", "drums.flac", "title"),  # one left out
        ("christmaas", "drums.flac", "title"),  # one too many
        ("luxid", "metal.flac", "title"),  # another one
    ],
)
def test_words_of_titles_are_found_and_the_answer_says_where(library, text, song_id, where):
    answer = found(library, text)
    assert answer[0].song_id == song_id
    assert ", ".join(answer.said[answer.rows[0]]) == where


@pytest.mark.parametrize("text", ["avr", "chrismos"])  # too short for a typo, two of them
def test_more_than_a_typo_is_no_title(library, text):
    with pytest.raises(InputError, match="no title has these words"):
        found(library, text)


def test_a_quoted_phrase_is_a_title_alone(library):
    assert found(library, '"ave maria"').song_ids.tolist() == ["animal.flac"]
    assert set(found(library, 'no "ave maria"').song_ids) == set(SAID) - {"animal.flac"}


def test_title_and_sound_are_fused(library):
    """The song whose title says it and which sounds so comes before those of one alone."""
    assert first(library, "metal, lucid") == "metal.flac"
    assert first(library, "piano, christmas") in ("piano.flac", "drums.flac")


def test_words_that_describe_a_sound_are_no_title_of_their_own(library):
    """Of one word alone it may be either; of several, or beside a fact, it is what one hears."""
    assert found(library, "drums").said
    for text in ("drums, metal", "drums under two minutes"):
        assert not found(library, text).said
    assert found(library, "drums, christmas").said


def test_a_song_that_is_called_so_comes_first_whatever_one_hears(tmp_path):
    path = write_heard(tmp_path)
    change(path, "title", 0, "The Calm Piano")
    with_title = open_store(path)
    for text in ("calm piano", "The calm, piano!"):
        assert [first(with_title, text), found(with_title, text)[1].song_id] == [
            "animal.flac",
            "piano.flac",
        ]
    assert first(with_title, "calm grand piano") == first(with_title, "piano") == "piano.flac"
    assert not with_title.titles.called("piano").any()  # one word may be what one hears


def test_artists_are_alternatives_or_denied(library):
    assert set(found(library, "by Ivo Brandt or 周杰伦").song_ids) == {
        *("animal.flac", "piano.flac", "speech.flac", "sax.flac"),
    }
    assert "drums.flac" not in found(library, "drums, nothing by Lena Holm").song_ids
    assert set(found(library, "not by Ivo Brandt, and not by Lena Holm").song_ids) == {"sax.flac"}


def test_facts_of_which_one_is_enough(library):
    """All songs last 15.5 seconds."""
    assert len(found(library, "under 10 seconds or over 12 seconds")) == 6
    assert len(found(library, "under 10 seconds or over 20 seconds")) == 0
    assert len(found(library, "over 10 seconds and over 20 seconds")) == 0


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("like Lucid Dream", {"metal.flac"}),
        ("like Lena Holm", {"metal.flac", "drums.flac"}),
        ("like the album Noise", set()),
        ("like Noise or Evening", {"metal.flac", "drums.flac", "piano.flac"}),
        ("calmer than Evening", {"piano.flac"}),
    ],
)
def test_a_name_is_a_seed(library, text, seeds):
    """The songs that are searched from are not in the answer."""
    rows = liked(library.titles, read_sentence(text, library.titles))
    assert {library.ids[row] for row in rows} == seeds
    assert seeds.isdisjoint(found(library, text).song_ids)


def test_a_title_is_a_seed_of_similar(library):
    asked = SimilarQuestion(seeds=("Lucid Dream",), k=9, minimum=-1, choice=ALL)
    assert set(library.ask(asked).song_ids) == set(SAID) - {"metal.flac"}


def test_not_like_leaves_out_songs_and_turns_away_from_them(library):
    away = found(library, "not like Lucid Dream")
    near = found(library, "like Lucid Dream")
    assert "metal.flac" not in away.song_ids
    assert away.song_ids.tolist() == near.song_ids.tolist()[::-1]
    piano = found(library, "drums, not like Christmas Drums")
    assert "drums.flac" not in piano.song_ids
    assert piano.sentence.chips == ("drums", "not like Christmas Drums")
    similar = library.ask(
        SimilarQuestion(
            seeds=("Evening",), words="not like Lucid Dream", k=9, minimum=-1, choice=ALL
        )
    )
    assert "metal.flac" not in similar.song_ids


def test_what_is_only_denied_is_ordered_by_how_little_of_it_there_is(library):
    answer = found(library, "no drums")
    (term,) = understood(answer.sentence, library.hearing)
    heard, _ = values(term, library.hearing)
    assert answer.rows.tolist() == np.argsort(heard, kind="stable").tolist()
    assert answer.song_ids[-1] == "drums.flac"


def test_ties_are_said(library):
    assert "they are in the order of their ids" in " ".join(found(library, "over a second").remarks)
