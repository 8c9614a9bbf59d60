"""`audiorec.search.filters`: the grammar of --only, what it and patterns mean, codes of texts."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_library import series, song, write_library

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.runs.timing import OverdueError, ending_in
from audiorec.search.filters import (
    MAX_LETTERS,
    MAX_VALUES,
    UNKNOWN,
    Condition,
    class_number,
    excluding,
    matching,
    mean_scores,
    name_codes,
    parse_conditions,
    text_codes,
)

SONGS = {
    "abba/gold/sos.flac": {
        "genre": (0, 0, 3),
        "version": (-1, 1),
        "artist": "ABBA",
        "title": "SOS",
        "album": "Gold",
        "duration_s": 201.4,
    },
    "abba/gold/fernando.mp3": {
        "genre": (1, 0, 3),
        "version": (-1, 1),
        "artist": "Abba ",
        "title": "Fernando",
        "codec": "mp3",
        "duration_s": 254.0,
    },
    "davis/so what.flac": {
        "genre": (4, 0, 0),
        "version": (-3, 3),
        "artist": "Miles Davis",
        "title": "So What",
        "duration_s": 545.0,
    },
    "metal/x.flac": {
        "genre": (0, 2, 0),
        "version": (3, -3),
        "status": "truncated",
        "duration_s": 199.6,
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = []
    for seed, (song_id, values) in enumerate(SONGS.items()):
        values = dict(values)
        kinds = {n: values.pop(n) for n in ("genre", "version") if n in values}
        made.append(song(song_id, series(seed, **kinds), **values))
    return Library.open(write_library(tmp_path_factory.mktemp("filters"), made))


def ids(store, mask):
    return [song_id.rpartition("/")[2].partition(".")[0] for song_id in np.array(store.ids)[mask]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("genre=pop", ["fernando", "sos"]),
        ("genre!=pop|jazz", ["x"]),
        ("genre=jazz|metal", ["so what", "x"]),
        ("version=vocal", ["x"]),
        ("genre.jazz>0.5", ["so what"]),
        ("genre/jazz<=0.5", ["fernando", "sos", "x"]),
        ("jazz>=0.5", ["so what"]),
        ("artist=abba", ["fernando", "sos"]),
        ("artist=*davis", ["so what"]),
        ("artist=m?les*", ["so what"]),
        ('artist=""', ["x"]),
        ("artist!=abba", ["so what", "x"]),
        ("artist=*", ["fernando", "sos", "so what"]),
        ("album=gold", ["sos"]),
        ("title=so what", ["so what"]),
        ("codec=mp3", ["fernando"]),
        ("status!=ok", ["x"]),
        ("duration<3:20", ["x"]),
        ("duration=200", ["x"]),
        ("duration=3:21", ["sos"]),
        ("duration>0:04:14", ["so what"]),
        ("duration>=4:14, duration<9:00", ["fernando"]),
        ("genre=pop, codec=flac", ["sos"]),
    ],
)
def test_who_meets_a_condition(store, text, expected):
    assert sorted(ids(store, matching(store, parse_conditions(text)))) == sorted(expected)


def test_no_condition_lets_all_songs_pass(store):
    assert matching(store, ()).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gerne=jazz", "unknown name 'gerne'; there are the heads version, genre, their classes"),
        ("genre=jaz", "unknown class 'jaz'; there are: jazz, metal, pop"),
        ("genre.jaz>0.5", "unknown class 'genre.jaz'; did you mean genre.jazz? there are"),
        ("genre<jazz", "compare genre with = or !="),
        ("genre.jazz=0.5", "compare a mean score with <, <=, > or >="),
        ("genre.jazz>much", "a number from 0 to 1 expected, got 'much'"),
        ("genre.jazz>nan", "a number from 0 to 1 expected, got 'nan'"),
        ("genre.jazz>0.1|0.2", "> takes one value"),
        ("artist>a", "compare artist with = or !="),
        ("status=fine", "unknown status 'fine'; there are: damaged, truncated"),
        ("codec=opus", "unknown codec 'opus'; there are: flac, mp3"),
        ("duration<long", "seconds or a time like 3:20 expected, got 'long'"),
        ("duration<3:75", "seconds or a time like 3:20 expected, got '3:75'"),
    ],
)
def test_a_wrong_name_or_value_lists_what_there_is(store, text, message):
    with pytest.raises(InputError) as caught:
        matching(store, parse_conditions(text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abba/gold/sos.flac", ["sos"]),
        ("SOS", ["sos"]),
        ("abba/", ["fernando", "sos"]),
        ("gold/", []),
        ("*.flac", ["sos", "so what", "x"]),
        ("abba/*/s*", ["sos"]),
        ("so", ["sos", "so what"]),
        ("", []),
    ],
)
def test_who_is_left_out(store, pattern, expected):
    mask, idle = excluding(store, [pattern])
    assert sorted(ids(store, mask)) == sorted(expected)
    assert idle == (() if expected else (pattern,))


def test_patterns_add_up(store):
    mask, idle = excluding(store, ["metal/", "nobody", "what"])
    assert sorted(ids(store, mask)) == ["so what", "x"]
    assert idle == ("nobody",)
    assert not excluding(store, [])[0].any()


def test_an_exact_id_is_not_a_part(tmp_path):
    made = [song(name, series(i)) for i, name in enumerate(["a", "ab", "[a]"])]
    store = Library.open(write_library(tmp_path, made))
    assert excluding(store, ["a"])[0].tolist() == [False, True, False]
    assert store.ids == ("[a]", "a", "ab")
    assert excluding(store, ["[a]"])[0].tolist() == [True, False, False]


def test_class_names(store):
    assert class_number(store, "genre.metal") == class_number(store, "metal") == 3
    with pytest.raises(InputError, match="unknown class 'rock'"):
        class_number(store, "rock")


def test_mean_scores_are_those_of_the_series(store):
    scores = series(0, genre=(0, 0, 3), version=(-1, 1))
    at = store.row_number("abba/gold/sos.flac")
    np.testing.assert_allclose(mean_scores(store)[at], scores.mean(axis=0), rtol=1e-5)


def test_an_empty_store_has_empty_masks(tmp_path):
    store = Library.open(write_library(tmp_path, []))
    assert matching(store, parse_conditions("genre=jazz, artist=x, duration<3")).shape == (0,)
    assert excluding(store, ["x"])[0].shape == (0,)


def test_every_part_of_the_grammar():
    text = ' genre = jazz | "hip, hop",genre.metal<=0.5 ,artist!="say ""hi""", title="" '
    assert parse_conditions(text) == (
        Condition("genre", "=", ("jazz", "hip, hop")),
        Condition("genre.metal", "<=", ("0.5",)),
        Condition("artist", "!=", ('say "hi"',)),
        Condition("title", "=", ("",)),
    )


def test_a_bare_value_may_hold_what_ends_a_name():
    assert parse_conditions("artist=Wham!")[0].values == ("Wham!",)
    assert parse_conditions("artist=a=b")[0].values == ("a=b",)


@given(
    st.lists(
        st.builds(
            Condition,
            st.text(),
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            st.lists(st.text(), min_size=1, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_again(conditions):
    assert parse_conditions(", ".join(map(str, conditions))) == tuple(conditions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a name expected at the end"),
        ("genre", "one of = != < <= > >= expected at the end"),
        ("genre=", "a value expected at the end"),
        ("genre==jazz", "a value expected before '=jazz'"),
        ("genre=jazz,", "a condition after the comma expected at the end"),
        ("genre=jazz,,x=1", "a name expected before ',x=1'"),
        ("genre=jazz|", "a value expected at the end"),
        ('genre="jazz', "a value expected before '\"jazz'"),
        ('genre="jazz" x', "a comma between conditions expected before 'x'"),
        ("=jazz", "a name expected before '=jazz'"),
        ("genre ~ jazz", "one of = != < <= > >= expected at the end"),
    ],
)
def test_says_what_is_wrong_and_where(text, message):
    with pytest.raises(InputError) as caught:
        parse_conditions(text)
    assert message in str(caught.value)
    assert "for example" in str(caught.value)


def test_texts_are_numbered_and_nothing_is_unknown(tmp_path):
    artists = ["Abba", None, "abba  ", "Queen", "", "ABBA", "\tQueen"]
    made = [song(f"{i}", series(i), artist=artist) for i, artist in enumerate(artists)]
    store = Library.open(write_library(tmp_path, made))
    codes, texts = text_codes(store, "artist")
    assert [None if c == UNKNOWN else texts[c] for c in codes] == artists
    names = name_codes(store, "artist")
    assert names.tolist() == [0, UNKNOWN, 0, 1, UNKNOWN, 0, 1]


def test_an_empty_store(tmp_path):
    store = Library.open(write_library(tmp_path, []))
    assert name_codes(store, "artist").shape == (0,)
    assert text_codes(store, "status")[1] == []
    assert name_codes(store, "album").dtype == np.int32


def fits(pattern, text):
    """Match by the definition of ``*`` and ``?``, in exponential time."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(fits(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and fits(pattern[1:], text[1:])


@pytest.fixture(scope="module")
def all_titles(tmp_path_factory):
    """A store of all titles of up to four letters that a wildcard, a bracket or a dot may meet."""
    alphabet = "a[."
    titles = ["".join(letters) for n in (1, 2, 3, 4) for letters in product(alphabet, repeat=n)]
    made = [song(title, series(0), title=title) for title in titles]
    return Library.open(write_library(tmp_path_factory.mktemp("titles"), made))


@given(st.text("a[].!\\*?", min_size=1, max_size=6))
@example("[a]")
@example("[!a")
@example("**a")
def test_wildcards_mean_what_their_definition_says(all_titles, pattern):
    found = matching(all_titles, [Condition("title", "=", (pattern,))])
    assert found.tolist() == [fits(pattern, title) for title in all_titles.ids]


@pytest.mark.parametrize("value", ["*?" * 12 + "*Z", "*?a" * 60 + "Z", "a*" * 90 + "Z", "*a" * 90])
def test_no_pattern_takes_long(tmp_path, value):
    made = [song(str(n), series(0), title="a" * 400 + str(n)) for n in range(20)]
    store = Library.open(write_library(tmp_path, made))
    started = time.process_time()
    mask = matching(store, parse_conditions(f"title={value}"))
    assert time.process_time() - started < 1
    assert not mask.any()


def test_conditions_have_an_end():
    with pytest.raises(InputError, match=r"10,003 letters; at most 10,000"):
        parse_conditions("title=" + "x" * (MAX_LETTERS - 3))
    many = "|".join(["x"] * (MAX_VALUES - 1))
    assert len(parse_conditions(f"artist={many},title=x")) == 2
    with pytest.raises(InputError, match="more than 200 values"):
        parse_conditions(f"artist={many},title=x,album=x")


def test_a_condition_ends_at_the_deadline(store):
    with ending_in(-1), pytest.raises(OverdueError):
        matching(store, parse_conditions("artist=*abba*"))
    assert matching(store, parse_conditions("artist=*abba*")).sum() == 2
