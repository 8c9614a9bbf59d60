"""A sentence beside seeds: what is compared is measured from them, all else pulls."""

import json
from dataclasses import replace

import numpy as np
import pytest
from good_store import write_good_store
from made_words import write_heard

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.search import bars
from audiorec.search.questions import Choice, PlaylistQuestion, SimilarQuestion
from audiorec.search.similar import OpenedSong, SeedSong
from audiorec.words.find import STEP, understood, values, wished_of
from audiorec.words.sentence import read_sentence

ALL = Choice(also=("non-music",))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return open_store(write_heard(tmp_path_factory.mktemp("heard")))


def ask(library, words, *seeds, **more):
    fields = {"minimum": -1, "k": 9, "choice": ALL} | more
    return library.ask(SimilarQuestion(seeds=seeds, words=words, **fields))


def seed(library, song_id):
    row = library.row_number(song_id)
    return SeedSong(song_id, row, library.space("vector").units([row])[0])


def test_what_is_wanted_comes_first_and_similarities_stay_those_of_the_space(library):
    plain, found = ask(library, "", "metal"), ask(library, "but saxophone", "metal")
    assert plain[0].song_id != found[0].song_id == "sax.flac"
    there = dict(zip(plain.song_ids, plain.similarities, strict=True))
    assert found.similarities == pytest.approx([there[name] for name in found.song_ids])


def test_what_is_denied_goes_back(library):
    plain, found = (ask(library, words, "metal").song_ids.tolist() for words in ("", "no drums"))
    assert found.index("drums.flac") > plain.index("drums.flac")


def test_more_and_less_are_measured_from_the_seeds(library):
    sentence = read_sentence("more piano, less drums")
    terms = understood(sentence, library.hearing)
    piano, drums = (values(one, library.hearing)[0] for one in terms)
    row = library.row_number("sax.flac")
    wished = wished_of(sentence, library.hearing, [seed(library, "sax.flac")])
    assert wished.names == ("more piano", "less drums")
    assert wished.by[0] == pytest.approx(piano - piano[row], abs=1e-5)
    assert wished.by[1] == pytest.approx(drums[row] - drums, abs=1e-5)
    short = np.minimum(wished.by - STEP, 0).sum(axis=0)
    assert wished.pull == pytest.approx(np.maximum(short, -8), abs=1e-5)


def test_who_goes_far_enough_gains_nothing_more(library):
    """The nearest of the songs with more piano comes first, not the one with most of it."""
    wished = wished_of(read_sentence("more piano"), library.hearing, [seed(library, "drums.flac")])
    enough = wished.by[0] >= STEP
    assert enough.any()
    assert (wished.pull[enough] == 0).all()
    assert (wished.pull[~enough] < 0).all()


def test_a_file_is_heard_as_the_same_song_of_the_store(library):
    """An opened song has the values that its own row has, to the rounding of float16."""
    row = library.row_number("piano.flac")
    there, vectors = library.rows([row])[0], library.read_rows([row])
    _, embedding = library.read_list("embedding")
    opened = OpenedSong(there, vectors[0], "", {"embedding": embedding[row]})
    for name in ("Piano", "Speech", "tag.rock", "loud", "bpm", "version.vocal", "genre.jazz"):
        if name in library.hearing:
            own = library.hearing.of_songs(name, [opened])
            assert own == pytest.approx(library.hearing.columns([name])[0][row], abs=2e-2), name


def test_several_seeds_and_songs_to_avoid_go_with_words(library):
    found = ask(library, "saxophone", "metal", "drums", less_like=("speech",), diversity=0.2)
    assert found[0].song_id == "sax.flac"
    assert len(found) == 3


def test_the_document_and_the_reasons_say_it(library):
    found = ask(library, "more piano, zzz", "drums", why=True)
    assert found.to_dict()["words"] == "more piano, zzz"
    assert found.to_dict()["songs"][0]["words"].keys() == {"more piano"}
    assert found.beside.said[0].startswith("more piano +")
    remarks = " ".join(found.remarks)
    assert "understood more piano: Piano" in remarks
    assert "not understood: zzz" in remarks
    assert "words" not in ask(library, "", "drums").to_dict()


def test_facts_are_conditions(library):
    with pytest.raises(InputError, match="none describes a sound"):
        ask(library, "Abbey Road", "drums")
    assert len(ask(library, "under nine minutes", "drums")) == 5
    assert len(ask(library, "longer than nine minutes", "drums")) == 0


def test_a_playlist_of_a_sentence_alone(library):
    question = PlaylistQuestion(words="calmer, with a saxophone", minutes=1.2, choice=ALL)
    found = library.ask(question)
    assert found.song_ids[0] == "sax.flac"
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["seeds"] == []
    first = document["songs"][0]
    assert first["similarity"] is first["closer_than"] is None
    assert set(first["words"]) == {"calm", "saxophone"}  # there is nothing to be calmer than
    with pytest.raises(InputError, match="name a song"):
        library.ask(PlaylistQuestion(minutes=1))
    with pytest.raises(InputError, match="name a song"):
        library.ask(SimilarQuestion(words="saxophone"))


def test_a_playlist_says_where_the_material_runs_out(library, monkeypatch):
    """Songs that do not fit are marked, in the order of the list; beside seeds nothing is."""
    monkeypatch.setattr(bars, "SOME", 0.05)  # labels of made songs are heard faintly
    question = PlaylistQuestion(words="metal", minutes=1.2, choice=ALL, artist_gap=0)
    found = library.ask(question)
    said = [song["fits"] for song in found.to_dict()["songs"]]
    fit = len(said) - said.count("weak")
    assert 0 < fit < len(said)
    assert f"note: {fit} of {len(said)} songs fit" in " ".join(found.remarks)
    assert [one.endswith("weak") for one in found.beside.strengths] == [x == "weak" for x in said]
    near = library.ask(replace(question, seeds=("metal",)))
    assert near.beside.strengths is None
    assert "songs fit" not in " ".join(near.remarks)


def test_a_playlist_near_seeds_with_words(library):
    question = PlaylistQuestion(
        seeds=("metal",), words="saxophone", minutes=1.2, choice=ALL, artist_gap=0
    )
    found = library.ask(question)
    assert found.song_ids[:2].tolist() == ["metal.flac", "sax.flac"]


def test_a_store_without_an_embedding_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="extract FOLDER --overwrite"):
        open_store(write_good_store(tmp_path)).ask(SimilarQuestion(seeds=("one",), words="piano"))
