"""Facts about songs: of side information, of titles, and what is heard."""

import numpy as np
import pytest

from audiorec.listening.side import read_side
from audiorec.recall.contract.data import Sound
from audiorec.recall.graph.facts import joined, side_facts, sound_facts, triples_from_rows


def rows(facts):
    return {
        (facts.entity_ids[h], facts.relations[r], facts.entity_ids[t])
        for h, r, t in zip(facts.head, facts.relation, facts.tail, strict=True)
    }


@pytest.fixture
def side(tmp_path):
    path = tmp_path / "side.csv"
    path.write_text(
        "song_id,artist,genre,released,genre_from_heads\n"
        "a,Ayla,rock,1994-05-20,false\n"
        "b, AYLA,rock,1994,true\n"
        "c,Bob,,,false\n"
        "d,Ayla,jazz,2001,false\n"
    )
    return read_side(path)


def test_the_hub_form_has_a_fact_a_song_and_label(side):
    found = rows(side_facts(side))
    assert found == {
        ("song:a", "by", "artist:ayla"),
        ("song:b", "by", "artist:ayla"),
        ("song:c", "by", "artist:bob"),
        ("song:d", "by", "artist:ayla"),
        ("song:a", "is", "genre:rock"),
        ("song:b", "heard_as_genre", "genre:rock"),
        ("song:d", "is", "genre:jazz"),
        ("song:a", "from_year", "year:1994"),
        ("song:b", "from_year", "year:1994"),
        ("song:d", "from_year", "year:2001"),
    }


def test_titles_are_facts_by_the_words_that_they_share(tmp_path):
    path = tmp_path / "side.csv"
    path.write_text(
        "song_id,title\na,Halo (Live at Home) live\nb,LIVE and let die\nc,At home\nd,Café\ne,\n"
    )
    side = read_side(path)
    assert rows(side_facts(side)) == {
        ("song:a", "says", "word:live"),
        ("song:b", "says", "word:live"),
        ("song:a", "says", "word:at"),
        ("song:c", "says", "word:at"),
        ("song:a", "says", "word:home"),
        ("song:c", "says", "word:home"),
    }


def test_songs_that_sound_alike_weigh_their_cosine():
    units = np.array([[1, 0], [0.8, 0.6], [-1, 0], [0, 0]], np.float32)
    facts = sound_facts(Sound(tuple("abcd"), units, ("",) * 4), neighbours=2)
    assert rows(facts) == {("song:a", "sounds_like", "song:b"), ("song:b", "sounds_like", "song:a")}
    assert facts.weight.tolist() == pytest.approx([0.8, 0.8])
    assert not len(sound_facts(Sound(tuple("abcd"), units, ("",) * 4), neighbours=0))


def test_facts_are_joined_once_each(side):
    assert rows(joined([side_facts(side), side_facts(side)])) == rows(side_facts(side))


def test_the_heavier_weight_of_a_fact_that_stands_once():
    one = triples_from_rows(["song:a"], ["is"], ["genre:x"], np.array([0.5], np.float32))
    assert one.weight.tolist() == [0.5]
