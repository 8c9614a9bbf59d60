"""`audiorec.search.stored_labels`: a store's songs, labelled by the columns that it keeps."""

import numpy as np
import pytest
from made_labels import add_genre_tags, add_labels, use_hand_head
from made_library import series, song, write_library
from made_sound import add_lists

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.library.readings import readings
from audiorec.search.atlas import top_classes
from audiorec.search.filters import matching, parse_conditions
from audiorec.search.questions import Choice
from audiorec.search.stored_labels import stored_labels
from audiorec.store.store import VectorStore

SONGS = ({"jazz": 0.9}, {"metal": 0.5, "pop": 0.45}, {"disco": 0.9}, None)
METAL = (0.0, 9.0, 0.0)  # what the vectors of all songs say


@pytest.fixture
def path(tmp_path):
    rows = [song(name, series(n, genre=METAL, segments=9)) for n, name in enumerate("abcd")]
    return write_library(tmp_path, rows)


@pytest.fixture
def store(path, monkeypatch):
    use_hand_head(monkeypatch)
    return VectorStore.open(add_labels(path, SONGS))


def test_songs_in_order_and_those_without_columns(store):
    found = stored_labels(store)
    assert found.genre_clear.tolist() == [True, False, False, False]
    assert found.style_clear[:, 0].tolist() == [False, False, True, False]
    assert np.isnan(found.genre).all(axis=1).tolist() == [False, False, False, True]
    some = stored_labels(store, [3, 0])
    np.testing.assert_array_equal(some.genre[1], found.genre[0])
    assert np.isnan(some.genre[0]).all()
    assert stored_labels(store, []).genre.shape == (0, 3)


def test_a_store_without_the_columns_has_no_labels(path, monkeypatch):
    assert stored_labels(VectorStore.open(path)) is None
    use_hand_head(monkeypatch)
    add_lists(path, sound_id="another network", heard_tags=[np.zeros(50)] * 4)
    assert stored_labels(VectorStore.open(path)) is None


def test_genres_of_a_head_of_ones_own_are_left_alone(path):
    add_labels(path, SONGS)  # three genres, which are not those of the shipped head
    store = VectorStore.open(path)
    assert stored_labels(store) is None
    assert {reading.genre_words for reading in readings(store)} == {"metal"}
    assert {reading.genre_clear for reading in readings(store)} == {None}


def test_readings_say_what_is_sure(store):
    found = readings(store)
    unclear = "unclear: metal or pop"  # the last song by its vector alone
    assert [one.genre_words for one in found] == ["jazz", unclear, "disco", unclear]
    assert [one.genre_clear for one in found] == [True, False, True, False]
    assert [one.best["genre"] for one in found] == ["jazz", "metal", "disco", "metal"]
    assert [one.styles for one in found] == [(), (), ("disco",), ()]
    assert found[0].genre_facts() == {
        "words": "jazz",
        "clear": True,
        "source": "head",
        "why": "by its sound",
        "likely": {"jazz": 0.9995, "metal": 0.0001, "pop": 0.0001},
        "styles": [],
    }


@pytest.mark.parametrize(
    ("conditions", "meet"),
    [
        ("genre=jazz", "a"),  # c is disco, whatever the head would call it else
        ("genre=metal", "bd"),
        ("genre!=jazz", "bcd"),
        ("style=disco", "c"),
        ("style!=disco", "abd"),
        ('style=""', "abd"),
        ('style=disco|""', "abcd"),
        ("genre=jazz, style!=disco", "a"),
        ("genre.metal>0.5", "abcd"),  # scores stay those of the vector
    ],
)
def test_conditions_go_by_the_labels(store, conditions, meet):
    mask = matching(store, parse_conditions(conditions))
    assert "".join(np.array(store.ids)[mask]) == meet


def test_conditions_that_cannot_be(store, path):
    with pytest.raises(InputError, match=r"unknown style 'polka'; there are: ambient, disco"):
        matching(store, parse_conditions("style=polka"))
    with pytest.raises(InputError, match=r"compare style with = or !="):
        matching(store, parse_conditions("style>disco"))


def test_no_song_of_a_store_without_labels_has_a_style(path):
    mask = matching(VectorStore.open(path), parse_conditions("style=disco"))
    assert not mask.any()


def test_the_map_and_the_page_name_the_same_genre(store):
    names, numbers = top_classes(store)["genre"]
    assert [names[n] for n in numbers] == [
        "jazz",
        "metal",
        "pop",
        "metal",
    ]  # disco has the colour of its family


TAGGED = ("Heavy Metal", "Zydeco", None, "Soul/Disco")  # beside jazz, metal, disco, metal by sound


@pytest.fixture
def tagged(store, path):
    languages = ("Japanese", None, "English", "Japanese")
    return VectorStore.open(add_genre_tags(path, TAGGED, languages=languages))


@pytest.mark.parametrize(
    ("conditions", "tags", "sound", "both"),
    [
        ("genre=metal", "ab", "bd", "abd"),
        ("genre=jazz", "", "ac", "ac"),
        ("genre!=jazz", "abcd", "bd", "bd"),
        ("style=disco", "cd", "c", "cd"),
        ('style=""', "ab", "abd", "abd"),
        ("style=disco, genre!=jazz", "cd", "", "d"),
    ],
)
def test_tags_win_unless_asked(tagged, conditions, tags, sound, both):
    for genre_from, meet in (("tags", tags), ("sound", sound), ("both", both)):
        mask = matching(tagged, parse_conditions(conditions), genre_from=genre_from)
        assert "".join(np.array(tagged.ids)[mask]) == meet, genre_from


def test_styles_of_tags_are_known_where_there_are_tags(tagged, path, store):
    mask = matching(tagged, parse_conditions("style=soul"))
    assert np.array(tagged.ids)[mask].tolist() == ["d"]
    assert not matching(tagged, parse_conditions("style=soul"), genre_from="sound").any()


@pytest.mark.parametrize(
    ("condition", "meet"),
    [
        ("genre_tag=*metal", "a"),
        ('genre_tag=""', "c"),
        ("genre_tag!=zydeco", "acd"),
        ("year=1998", "abcd"),
        ("year<1990", ""),
        ("language=japanese", "ad"),
        ('language=""', "b"),
    ],
)
def test_tags_are_conditions_of_their_own(tagged, condition, meet):
    mask = matching(tagged, parse_conditions(condition))
    assert "".join(np.array(tagged.ids)[mask]) == meet


def test_without_tags_their_columns_are_missed(store):
    for condition in ("genre_tag=jazz", "year>1990", "language=French"):
        with pytest.raises(InputError, match=r"has no column '\w+'; add it: .*--overwrite"):
            matching(store, parse_conditions(condition))


def test_choices_say_where_genres_come_from(tagged, path):
    library = open_store(path)
    for genre_from, allowed in (("tags", ""), ("sound", "ac"), ("both", "ac")):
        choice = Choice(only="genre=jazz", genre_from=genre_from, also=("non-music",))
        mask = library.chosen(choice).allowed
        assert "".join(np.array(library.ids)[mask]) == allowed
    with pytest.raises(InputError, match="genre_from must be tags, sound or both, got 'file'"):
        Choice(genre_from="file")
