"""`audiorec.tagger.song_labels`: what people write as a genre, and what is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.tagger.reading import Reading
from audiorec.tagger.song_labels import (
    GENRES,
    STYLES,
    SongLabel,
    SongLabels,
    TaggedGenre,
    tagged_genre,
)


@pytest.mark.parametrize(
    ("text", "genres", "styles"),
    [
        ("Hip-Hop", "hiphop", ""),
        ("HIP HOP/Rap", "hiphop", ""),
        ("R&B", "", "rnb"),
        ("Contemporary R & B", "", "rnb"),
        ("Hip Hop & R&B", "hiphop", "rnb"),
        ("Drum & Bass", "electronic", ""),
        ("liquid drum'n'bass", "electronic", ""),
        ("Rock and Roll", "rock", ""),
        ("Jazz + Funk", "jazz", "funk"),
        ("Folk, World, & Country", "folk country", "world"),
        ("Pop/Rock; Pop", "pop rock", ""),
        ("Symphonic Black Metal", "metal", ""),
        ("Post-Punk", "rock", "punk"),
        ("Deep House|Techno", "electronic", "house techno"),
        ("Rap français", "hiphop", ""),
        ("Électronique", "electronic", ""),
        ("Video Game Music", "", "soundtrack"),
        ("摇滚乐", "rock", ""),
        ("古典音乐；民谣", "classical folk", ""),  # noqa: RUF001
        ("节奏布鲁斯", "", "rnb"),
        ("嘻哈", "hiphop", ""),
        ("ロック", "rock", ""),
        ("Other", "", ""),
        ("Zydeco", "", ""),
        ("&", "", ""),
    ],
)
def test_names_of_genres(text, genres, styles):
    found = tagged_genre(text)
    assert (" ".join(found.genres), " ".join(found.styles)) == (genres, styles)
    assert found.is_known == bool(genres or styles)
    assert found.text == text


def test_the_ten_are_those_of_the_head_and_every_name_means_one():
    assert tuple(GENRES) == SongLabels.shipped().genres
    assert set(SongLabels.shipped().styles) <= STYLES.keys()
    names = {**GENRES, **{style: others for style, (_, others) in STYLES.items()}}
    means: dict[str, set[str]] = {}
    for name, others in names.items():
        for other in others.split(","):
            means.setdefault(other.strip(), set()).add(name)
            found = tagged_genre(other.strip())
            assert name in (*found.genres, *found.styles), other
    assert all(len(found) == 1 for found in means.values())
    assert {parent for parent, _ in STYLES.values()} <= {"", *GENRES}


@pytest.mark.parametrize("text", [None, ""])
def test_no_tag_says_nothing(text):
    assert tagged_genre(text) is None


@given(st.text(max_size=500))
def test_any_text_is_read(text):
    found = tagged_genre(text)
    assert found is None or set(found.genres) <= GENRES.keys()


def heard(genre="jazz", *, clear=True, styles=()):
    return SongLabel(
        likely={"jazz": 0.5, "disco": 0.3, "rock": 0.2},
        genre=genre,
        genre_clear=clear,
        styles=styles,
    )


@pytest.mark.parametrize(
    ("tag", "label", "agrees"),
    [
        ("Jazz", heard(), True),
        ("Rock/Jazz", heard(), True),
        ("Rock", heard(), False),
        ("Rock", heard(clear=False), None),
        ("Zydeco", heard(), None),
        ("Soul", heard(), None),  # no head hears soul
        ("Disco", heard(), False),
        ("Disco", heard(clear=False, styles=("disco",)), True),
        ("Rock", heard(clear=False, styles=("disco",)), False),
        ("Jazz", None, None),
        (None, heard(), None),
    ],
)
def test_a_tag_agrees_with_what_is_clear(tag, label, agrees):
    reading = Reading(
        best={"genre": "jazz"},
        scores={},
        voiced=None,
        segments=9,
        genre_clear=label is not None and label.genre_clear,
        label=label,
        tagged=tagged_genre(tag),
    )
    assert reading.tag_agrees is agrees
    assert (reading.tag_facts() or {"agrees": None})["agrees"] is agrees


def test_a_tag_as_plain_values():
    reading = Reading(
        best={},
        scores={},
        voiced=None,
        segments=1,
        tagged=TaggedGenre("Punk", ("rock",), ("punk",)),
    )
    said = {"text": "Punk", "genres": ["rock"], "styles": ["punk"], "agrees": None}
    assert reading.tag_facts() == said
