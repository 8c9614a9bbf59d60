"""`web.lists`: what a page may ask for, and the one thing that it may write."""

import resource
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_library import series, song, write_library
from needs import needs

needs("starlette")  # of the page

from audiorec.errors import AudiorecError, ExistingFileError, InputError, StoreError
from audiorec.library.library import open_store
from audiorec.search.explain import sentence
from audiorec.search.questions import PathQuestion
from audiorec.web.lists import (
    MOST_SONGS,
    Saver,
    described_by,
    path_of,
    playlist_of,
    radio_of,
    rows_in,
    songs_as,
    songs_given,
)
from audiorec.web.song_columns import SongColumns

OLD = b"#EXTM3U\nold.mp3\n"


@pytest.fixture
def shelf(tmp_path):
    rows = [
        song(f"s{i}", series(i), title=f"Song {i}", artist=f"A{i}", uri=str(tmp_path / f"s{i}.mp3"))
        for i in range(8)
    ]
    return SongColumns(open_store(write_library(tmp_path, rows)))


def test_a_list_is_saved_beside_the_store_and_undone(shelf, tmp_path):
    saver = Saver(shelf)
    done = saver.save([2, 0], "evening.m3u8")
    place = tmp_path / "evening.m3u8"
    assert done == {"path": str(place), "songs": 2, "left_out": 0}
    assert place.read_text().splitlines()[2::2] == ["s2.mp3", "s0.mp3"]
    assert saver.undo() == {"path": str(place), "restored": False}
    assert not place.exists()
    with pytest.raises(InputError, match="nothing has been saved"):
        saver.undo()


def test_an_old_list_is_replaced_only_when_told_and_comes_back(shelf, tmp_path):
    place = tmp_path / "old.m3u8"
    place.write_bytes(OLD)
    saver = Saver(shelf)
    with pytest.raises(ExistingFileError, match="already exists"):
        saver.save([1], str(place))
    saver.save([1], str(place), replace=True)
    assert place.read_bytes() != OLD
    saver.undo()
    assert place.read_bytes() == OLD


def test_what_changed_since_is_left_alone(shelf, tmp_path):
    saver = Saver(shelf)
    saver.save([1], "mine.m3u8")
    (tmp_path / "mine.m3u8").write_text("edited")
    with pytest.raises(InputError, match="changed since"):
        saver.undo()
    assert (tmp_path / "mine.m3u8").read_text() == "edited"


@contextmanager
def full_disk(left):
    """Let no file grow beyond `left` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_undo_on_a_full_disk_leaves_all_as_it_is_and_works_later(shelf, tmp_path):
    place = tmp_path / "mine.m3u8"
    mine = OLD + b"song.mp3\n" * 10_000
    place.write_bytes(mine)
    saver = Saver(shelf)
    saver.save([1, 2], str(place), replace=True)
    saved = place.read_bytes()
    with full_disk(4096), pytest.raises(StoreError, match="cannot be written"):
        saver.undo()
    assert place.read_bytes() == saved
    assert [p.name for p in tmp_path.glob("*m3u8*")] == ["mine.m3u8"]
    assert saver.undo() == {"path": str(place), "restored": True}
    assert place.read_bytes() == mine


@pytest.mark.parametrize(
    "name",
    [
        *("~nobody-of-this-name/x.m3u8", "x\ud800.m3u8", "z" * 250 + ".m3u8", "z" * 300 + ".m3u8"),
        *("z" * 5000 + "/x.m3u8", "a/" * 3000 + "x.m3u8"),
    ],
)
def test_a_name_that_no_file_has_is_one_line(shelf, tmp_path, name):
    with pytest.raises(AudiorecError) as caught:
        Saver(shelf).save([1], name)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*m3u8*"))


def test_nothing_but_a_playlist_is_replaced(shelf, tmp_path):
    saver = Saver(shelf)
    secret = tmp_path / "diary.m3u8"
    secret.write_text("dear diary")
    (tmp_path / "link.m3u8").symlink_to(secret)
    (tmp_path / "folder.m3u8").mkdir()
    (tmp_path / "large.m3u8").write_bytes(b"#EXTM3U\n" + b"x" * (5 << 20))
    for name in ("diary.m3u8", "link.m3u8", "folder.m3u8", "large.m3u8"):
        with pytest.raises(InputError):
            saver.save([1], name, replace=True)
    for name in ("", "x", "x.mp3", "x.m3u8/", "no/such/folder/x.m3u8", "a\0.m3u8", "vecs.parquet"):
        with pytest.raises(InputError):
            saver.save([1], name, replace=True)
    assert secret.read_text() == "dear diary"
    assert sorted(p.name for p in tmp_path.glob("*.m3u8")) == [
        *("diary.m3u8", "folder.m3u8", "large.m3u8", "link.m3u8"),
    ]


def test_a_path_and_a_list_with_a_curve(shelf):
    found = path_of(shelf, PathQuestion(seeds=(0, 5), steps=2))
    assert (found["rows"][0], found["rows"][-1]) == (0, 5)
    steps = shelf.library.ask(PathQuestion(seeds=(0, 5), steps=2)).beside.reasons
    assert found["why"] == [sentence(reasons) for reasons in steps]
    assert found["why"][0] == ""  # nothing comes before the first song
    curve = {"of": "genre/metal", "points": [0.1, 0.5, 0.9]}
    found = playlist_of(shelf, {"seeds": [0], "minutes": 3, "curve": curve})
    assert len(found["scores"]) == len(found["rows"]) == len(found["why"])
    assert found["why"][found["rows"].index(0)] == ""  # a seed goes with itself
    assert not any("genre/" in note for note in found["notes"])


BAD = [
    {},
    {"seeds": []},
    {"seeds": [99]},
    {"seeds": [True]},
    {"seeds": ["0"]},
    {"seeds": [0], "minutes": 0},
    {"seeds": [0], "minutes": "60"},
    {"seeds": [0], "minutes": float("nan")},
    {"seeds": [0], "curve": []},
    {"seeds": [0], "curve": {"of": "genre/metal", "points": [2]}},
    {"seeds": [0], "curve": {"of": "genre/polka", "points": [0.5]}},
    {"seeds": [0], "curve": {"of": "genre/metal", "points": [0.5] * 51}},
    {"seeds": [0], "only": "genre=polka"},
]


@pytest.mark.parametrize("wish", BAD)
def test_a_wish_that_is_none_is_one_line(shelf, wish):
    with pytest.raises(InputError) as caught:
        playlist_of(shelf, wish)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_rows_are_rows_or_an_error(value):
    try:
        rows = rows_in(value, 5)
    except InputError:
        return
    assert all(type(row) is int and 0 <= row < 5 for row in rows)


def test_a_radio_plays_neither_what_was_played_nor_what_was_skipped(shelf):
    first = radio_of(shelf, {"seeds": [0]})["rows"]
    assert first
    assert 0 not in first
    later = radio_of(shelf, {"seeds": [0], "played": [0, *first[:2]], "skipped": [first[2]]})
    assert not {0, *first[:3]} & set(later["rows"])
    with pytest.raises(InputError, match="choose a song"):
        radio_of(shelf, {"seeds": []})
    with pytest.raises(InputError, match="no such song"):
        radio_of(shelf, {"seeds": [0], "skipped": [99]})


@pytest.mark.parametrize("text", [None, 3, "la" * 300, ["piano"]])
def test_a_sentence_is_a_short_text(shelf, text):
    with pytest.raises(InputError, match="at most 500"):
        described_by(shelf, {"text": text})


def test_a_library_without_embeddings_says_what_to_run(shelf):
    with pytest.raises(InputError, match="--overwrite"):
        described_by(shelf, {"text": "piano"})


def uri(shelf, row):
    return shelf.library.column("uri").to_pylist()[row]


GIVEN = {
    "paths": lambda shelf: f"{uri(shelf, 3)}\n\n{uri(shelf, 1)}\r\n",
    "ids": lambda _: "# mine\ns3\ns1\n",
    "of another folder": lambda shelf: f"../{uri(shelf, 3)[1:]}\nC:{uri(shelf, 1)}".replace(
        "/", "\\"
    ),
    "addresses": lambda shelf: f"file://{uri(shelf, 3)}\nfile://{uri(shelf, 1)}",
    "labels": lambda _: (
        "\ufeff#EXTM3U\n#EXTINF:60,a3 - song 3\nx/1.mp3\n#EXTINF:60,A1 - Song 1\nx/2.mp3\n"
    ),
    "table": lambda shelf: f'n,uri,"a,b"\n1,{uri(shelf, 3)},x\n2,{uri(shelf, 1)},y\n',
    "titles": lambda _: "artist,title\nA3,Song 3\nA1,Song 1\n",
    "twice": lambda _: "s3\ns1\ns3\n",
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_list_that_one_has_is_read_in_its_order(shelf, name):
    found = songs_given(shelf, {"text": GIVEN[name](shelf)})
    assert found == {"rows": [3, 1], "missing": 0, "examples": []}


def test_the_lists_that_the_page_gives_are_read_again(shelf):
    for kind in ("m3u8", "csv", "paths"):
        text = songs_as(shelf, [5, 2, 7], kind)["text"]
        assert songs_given(shelf, {"text": text})["rows"] == [5, 2, 7]


def test_what_the_library_lacks_is_counted_and_named(shelf):
    text = "s1\n" + "".join(f"no/such{n}.mp3\n" for n in range(5))
    found = songs_given(shelf, {"text": text})
    assert (found["rows"], found["missing"]) == ([1], 5)
    assert found["examples"] == [f"no/such{n}.mp3" for n in range(3)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "content of a playlist"),
        ("", "1 to 2000 songs is expected"),
        ("#EXTM3U\n", "1 to 2000 songs"),
        ("s1\n" * (MOST_SONGS + 1), "1 to 2000 songs"),
        ("x.mp3\ny.mp3", "none of its songs, for example x.mp3"),
        ("title,artist\n" + "x" * 200_000, "not a table"),
        ("\0\n", "none of its songs"),
    ],
)
def test_a_list_that_is_none_is_refused(shelf, text, said):
    with pytest.raises(InputError, match=said):
        songs_given(shelf, {"text": text})


def test_more_like_a_list_has_none_of_its_songs_and_ends_in_time(shelf):
    wish = {"seeds": [0, 1, 2], "minutes": 3, "new": True}
    found = playlist_of(shelf, wish)
    lengths = shelf.library.column("duration_s").to_pylist()
    assert not set(found["rows"]) & {0, 1, 2}
    assert found["rows"] == playlist_of(shelf, wish)["rows"]
    assert len(found["why"]) == len(found["rows"]) == 3  # of a minute each
    assert sum(lengths[row] for row in found["rows"]) <= 180
    assert playlist_of(shelf, wish | {"minutes": 60})["rows"][:3] == found["rows"]
    assert set(playlist_of(shelf, wish | {"new": False})["rows"]) >= {0, 1, 2}
