"""`audiorec.store.corrections`: what the owner says stands in every answer, and survives."""

import csv

import numpy as np
import pytest
from made_labels import add_genre_tags
from made_library import series, song, write_library

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.library.readings import readings
from audiorec.playlists.names import ListToName, name_groups
from audiorec.search.atlas import atlas_table
from audiorec.search.filters import matching, parse_conditions
from audiorec.store.compact import combine
from audiorec.store.corrections import CORRECTIONS_FILE, read_corrections
from audiorec.store.export import export
from audiorec.store.schema import Kind

GENRE = (0.0, 9.0, 0.0)
SAID = {"genre": "Jazz", "tempo": "77", "version": "vocal", "music": "yes"}


def rows(**changes):
    measured = {"bpm": 150.0, "bpm_confidence": 0.6, "key": "C", "scale": "major"}
    measured |= {"bpm_other": 75.0}
    return [
        song(name, series(n, genre=GENRE, segments=9), **measured | {"key_confidence": 0.1})
        for n, name in enumerate("abc")
    ]


@pytest.fixture
def library(tmp_path):
    path = add_genre_tags(write_library(tmp_path, rows()), ["Rock", "Rock", None])
    return Library.open(path)


def meets(library, condition):
    mask = matching(library, parse_conditions(condition))
    return "".join(np.array(library.ids)[mask])


def test_it_stands_in_every_answer(library, tmp_path):
    assert meets(library, "genre=jazz|metal") == "c"
    for field, value in SAID.items():
        library.correct("a", field, value)
    first = library.classify("a")
    assert (first.best["genre"], first.stated.source) == ("jazz", "correction")
    assert (first.best["version"], library.row("a")["bpm"]) == ("vocal", 77.0)
    assert [library.row(name)["bpm_other"] for name in "ab"] == [None, 75.0]
    for condition in ("genre=jazz", "bpm=77", "version=vocal, bpm<80"):
        assert "a" in meets(library, condition), condition
    assert "a" not in meets(library, "genre!=jazz")
    assert meets(library, "bpm>100") == "bc"
    facts = library.facts.of_rows([0])[0]
    assert (facts.genre, facts.bpm, facts.version) == ("jazz", 77.0, "voice alone")
    (name,) = name_groups([ListToName(songs=[facts] * 3, ids="abc", typical="a", title="A")])
    assert name.text.startswith("Jazz")
    assert "jazz" in atlas_table(library).column("genre").to_pylist()
    export(library.path, tmp_path / "songs.csv", columns=["bpm"])
    with (tmp_path / "songs.csv").open(newline="") as file:
        assert next(csv.DictReader(file)) == {
            "song_id": "a",
            "bpm": "77",
            "corrected_version": "vocal",
            "corrected_genre": "Jazz",
            "corrected_tempo": "77",
            "corrected_music": "yes",
        }


def test_no_music_leaves_every_list_and_comes_back(library):
    library.correct("b", "music", "no")
    assert library.music.tolist() == [True, False, True]
    assert readings(library)[1].best["genre"] is None
    library.correct("b", "music", "")
    assert library.music.all()


def test_it_belongs_to_the_audio_and_survives_a_merge(library, tmp_path):
    library.correct("a", "genre", "Soul")
    library.correct("a", "genre", "Jazz")
    (only,) = read_corrections(library.path.with_name(CORRECTIONS_FILE))
    assert (only.song_id, only.value) == ("a", "Jazz")
    (tmp_path / "other").mkdir()
    (tmp_path / "new").mkdir()
    new = tmp_path / "new" / "vecs.parquet"
    combine({Kind.VECTORS: [library.path]}, {Kind.VECTORS: new})
    assert meets(Library.open(new), "genre=jazz") == "a"
    assert Library.open(library.path).classify("a").stated.words == "jazz"


def test_untagged_songs_have_what_the_artists_others_have(tmp_path):
    named = [song(n, series(1, genre=GENRE, segments=9), artist="Ada") for n in "abc"]
    path = write_library(tmp_path, named)
    agreed = Library.open(add_genre_tags(path, ["Jazz/Rock", "Jazz", None]))
    third = agreed.classify("c")
    assert (third.genre_words, third.stated.source) == ("jazz", "artist")
    agreed.correct("a", "genre", "Metal")
    assert agreed.classify("c").stated.source != "artist"  # two that differ


def test_values_are_checked(library):
    wrong = {"genre": "\n", "tempo": "fast", "version": "opera", "music": "maybe", "mood": "sad"}
    for field, value in wrong.items():
        if value.strip():
            with pytest.raises(InputError):
                library.correct("a", field, value)
    assert not library.path.with_name(CORRECTIONS_FILE).exists()
