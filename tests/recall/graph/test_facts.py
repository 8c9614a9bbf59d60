"""Facts about songs: both forms, what is heard, what comes from lists, and what is a leak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.listening.events import ArtistEvents, Interactions
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import read_side, read_triples
from audiorec.recall.contract.data import Sound
from audiorec.recall.graph.facts import (
    counts_of,
    follow_facts,
    joined,
    list_facts,
    of_rows,
    refuse_leaks,
    side_facts,
    sound_facts,
    write_triples,
)


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


def test_the_pairwise_form_has_a_fact_a_pair(side):
    facts = side_facts(side, form="pairwise", columns=["artist"])
    pairs = {(h, t) for h, _, t in rows(facts)}
    assert facts.relations == ("same_by",)
    names = ("song:a", "song:b", "song:d")
    assert pairs == {(h, t) for h in names for t in names if h != t}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_a_label_of_n_songs_has_n_facts_or_n_times_one_less(labels):
    from audiorec.recall.graph.facts import _of_label

    ids, texts = [str(n) for n in range(len(labels))], [str(label) for label in labels]
    sizes = np.bincount(labels)
    assert len(_of_label(ids, texts, "genre", "hub")) == sizes.sum()
    assert len(_of_label(ids, texts, "genre", "pairwise")) == (sizes * (sizes - 1)).sum()


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
    pairwise = side_facts(side, form="pairwise", columns=["title"])
    assert pairwise.relations == ("same_says",)
    assert len(pairwise) == 4  # a and b by one word, a and c by two that are one fact each way


def test_a_column_that_is_not_there_is_named(side):
    with pytest.raises(
        InputError, match="no column 'mood' for a fact; it has: artist, genre, year"
    ):
        side_facts(side, columns=["mood"])


def test_songs_that_sound_alike_weigh_their_cosine():
    units = np.array([[1, 0], [0.8, 0.6], [-1, 0], [0, 0]], np.float32)
    facts = sound_facts(Sound(tuple("abcd"), units, ("",) * 4), neighbours=2)
    assert rows(facts) == {("song:a", "sounds_like", "song:b"), ("song:b", "sounds_like", "song:a")}
    assert facts.weight.tolist() == pytest.approx([0.8, 0.8])
    assert not len(sound_facts(Sound(tuple("abcd"), units, ("",) * 4), neighbours=0))


def test_lists_likes_and_follows():
    lists = Sequences.from_lists([["a", "b", "a"], ["b"]], ["one", "two"])
    assert rows(list_facts(lists)) == {
        ("song:a", "in_list", "list:one"),
        ("song:b", "in_list", "list:one"),
        ("song:b", "in_list", "list:two"),
    }
    none = np.empty(0)
    events = ArtistEvents(
        artist_ids=("Ayla", "Bob"),
        user=np.array([0, 0], np.int32),
        artist=np.array([0, 1], np.int32),
        timestamp=np.zeros(2),
        event=np.array([0, 1], np.int8),  # a follow, and a block
    )
    log = Interactions(
        user_ids=("ana",),
        song_ids=(),
        artists=events,
        **dict.fromkeys(("user", "song", "timestamp", "event", "played_ratio", "weight"), none),
    )
    assert rows(follow_facts(log)) == {("user:ana", "follows", "artist:ayla")}


def test_facts_are_joined_once_each_and_come_back_from_a_file(tmp_path, side):
    facts = joined([side_facts(side), side_facts(side, columns=["artist"])])
    assert len(facts) == 10
    write_triples(tmp_path / "t.parquet", facts)
    again = read_triples(tmp_path / "t.parquet")
    assert rows(again) == rows(facts)
    assert counts_of(again)[0] == ("by", 4, 4, 2)


def test_the_heavier_weight_of_a_fact_that_stands_once():
    one = of_rows(["song:a"], ["is"], ["genre:x"], np.array([0.5], np.float32))
    assert one.weight.tolist() == [0.5]


def _labelled(tmp_path, label):
    lines = [f"s{n},{label(n)}" for n in range(60)]
    path = tmp_path / "side.csv"
    path.write_text("\n".join(["song_id,mood", *lines]) + "\n")
    return read_side(path)


def test_the_label_of_the_list_is_refused_as_a_leak(tmp_path):
    lists = Sequences.from_lists([[f"s{n}" for n in range(i, i + 6)] for i in range(0, 60, 6)])
    leak = _labelled(tmp_path, lambda n: f"label-{n // 6}")
    with pytest.raises(InputError, match="'mood' has one value in 100% of the lists"):
        refuse_leaks(leak, lists)
    refuse_leaks(_labelled(tmp_path, lambda n: f"label-{n % 3}"), lists)  # says nothing of lists
    refuse_leaks(_labelled(tmp_path, lambda _: "pop"), lists)  # one value for all songs


def test_a_leak_is_found_although_lists_of_another_source_blur_it(tmp_path):
    own = [[f"s{n}" for n in range(i, i + 6)] for i in range(0, 60, 6)]
    others = [[f"s{n}" for n in range(i, 60, 12)] for i in range(6)]  # one song of each label's
    both = Sequences.from_lists([*own, *others, *others])
    leak = _labelled(tmp_path, lambda n: f"label-{n // 6}")
    shown = {song for songs in others for song in songs}
    assert len(shown) < 60  # songs of one list are left
    with pytest.raises(InputError, match="'mood' has one value in 100% of the lists"):
        refuse_leaks(leak, both)
