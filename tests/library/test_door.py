"""`audiorec.library.library`, `rows` and `shortcuts`: a library as a notebook meets it."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from good_store import IDS, write_good_store
from made_library import series, song, write_library
from made_songs import write_song
from needs import needs

import audiorec
from audiorec.errors import (
    AudiorecError,
    InputError,
    MissingFileError,
    SpecMismatchError,
    StoreError,
    UnknownSongError,
)
from audiorec.library.readings import Readings
from audiorec.search.questions import Choice
from audiorec.store.schema import number_names
from audiorec.store.store import write_table

pytestmark = pytest.mark.usefixtures("in_this_process")
FIXTURE = Path(__file__).parents[2] / "fixtures" / "formats" / "vecs-v1.parquet"
JAZZ, METAL = (2.0, -2.0, 0.0), (-2.0, 2.0, 0.0)
BAD = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture
def library(tmp_path):
    return audiorec.open_store(write_good_store(tmp_path))


@pytest.fixture
def music(tmp_path):
    """Forty songs from jazz to metal, two by each artist; the last is a copy of the first."""
    songs = []
    for i in range(40):
        part = i / 39
        genre = tuple(a + part * (b - a) for a, b in zip(JAZZ, METAL, strict=True))
        scores = series(i, genre=genre, spread=0.2)
        tags = {"artist": f"artist {i // 2}", "title": f"title {i}", "album": "one"}
        songs.append(song(f"{i:02}.flac", scores, **tags))
    copy = songs[0][0] | {"song_id": "copy.flac", "uri": "/music/copy.flac"}
    return audiorec.open_store(write_library(tmp_path, [*songs, (copy, songs[0][1])]))


def test_a_library_says_what_it_is(library):
    path = library.path
    assert repr(library) == (f"Library({str(path)!r}: 4 songs, 1:02, extractor 0123456789abcdef)")
    html = library._repr_html_()
    cells = [e.text for e in ElementTree.fromstring(html).iter("td")]  # noqa: S314
    facts = dict(zip(cells[::2], cells[1::2], strict=True))
    assert (facts["songs"], facts["status"]) == ("4", "ok 4")
    assert facts["beside it"] == "scores.parquet, features.parquet, vecs.errors.parquet"
    assert set(facts) >= {"version", "genre", "extractor", "audio", "file"}
    assert sum(int(part.split()[-1]) for part in facts["version"].split(", ")) == 4


def test_nothing_in_a_store_is_taken_for_html(tmp_path):
    folder = tmp_path / BAD.replace("/", "")
    path = write_good_store(folder, title=BAD, artist=BAD, codec=BAD)
    found = audiorec.open_store(path)
    shown = [found, found["two"], found.similar("two", 2, minimum=-1), found.classify()]
    shown += [found.path_between("one", "three", steps=1), found.playlist("two", minutes=1.5)]
    for thing in shown:
        html = thing._repr_html_()
        for text in (html, repr(thing)):
            assert not set(text) & {"\x1b", "\u202e"}
        tags = {element.tag for element in ElementTree.fromstring(html).iter()}  # noqa: S314
        assert tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_an_empty_library(tmp_path):
    empty = audiorec.open_store(write_good_store(tmp_path, ids=()))
    assert (len(empty), list(empty)) == (0, [])
    assert "0 songs, 0:00" in repr(empty)
    assert "0 songs" in repr(empty.classify())
    assert "<td>0</td>" in empty._repr_html_()


def test_iteration_membership_and_rows(library):
    assert (tuple(library), len(library)) == (IDS, 4)
    assert "a/two.flac" in library
    assert "two" not in library  # exact, so that what is iterated over is what is in it
    row = library["two"]
    assert row["song_id"] == "a/two.flac"
    np.testing.assert_array_equal(row.vector, library.vectors[1])
    assert row["vector"] is row.vector
    names = number_names(library.metadata)
    assert list(row.numbers) == names
    assert row.numbers[names[3]] == row.vector[3]
    assert "song_id" in repr(row)
    assert "30 numbers" in repr(row)


@pytest.mark.parametrize(
    "ask",
    [
        lambda lib, name: lib.row(name)["song_id"],
        lambda lib, name: lib[name]["song_id"],
        lambda lib, name: lib.resolve(name),
        lambda lib, name: lib.ids[int((lib.vectors == lib.vector(name)).all(axis=1).argmax())],
        lambda lib, name: lib.path_between(name, "one", steps=1).song_ids[0],
        lambda lib, name: lib.playlist(name, minutes=1.5).song_ids[0],
        lambda lib, name: next(iter(lib.classify([name]))),
    ],
)
def test_a_part_of_an_id_works_everywhere(library, ask):
    assert ask(library, "TWO") == ask(library, "a/two.flac") == "a/two.flac"
    with pytest.raises(UnknownSongError, match=r"a/one\.flac"):
        ask(library, "flac")
    with pytest.raises(KeyError):
        ask(library, "nothing like it")


def test_tables(library):
    needs("pandas")
    frame = library.frame()
    assert (frame.shape, frame.index.name) == ((4, 30), "song_id")
    assert list(frame.columns) == number_names(library.metadata)
    np.testing.assert_array_equal(frame.to_numpy(), library.vectors)
    assert frame.loc["a/two.flac"].tolist() == library.vector("two").tolist()
    whole = library.to_pandas()
    assert whole["song_id"].tolist() == list(IDS)
    assert whole["vector"][0].tolist() == library.vectors[0].tolist()
    assert list(library.to_pandas(["title"]).columns) == ["title"]
    with pytest.raises(InputError, match="no column 'nothing'"):
        library.to_pandas(["nothing"])


def test_polars(library):
    needs("polars")
    assert library.to_polars(["song_id", "duration_s"]).rows()[0] == ("a/one.flac", 15.5)


def test_a_copy_is_no_neighbour(music):
    assert "copy.flac" not in music.similar("00.flac", 40, minimum=-1).song_ids
    found = music.similar("00.flac", 40, minimum=-1, choice=Choice(also=("copies",)))
    assert found[0].song_id == "copy.flac"


def test_paths(music):
    way = music.path_between("01.flac", "39.flac", steps=4, by="vector")
    ids = list(way)
    assert (ids[0], ids[-1], len(way)) == ("01.flac", "39.flac", 6)
    assert ids == sorted(ids)  # from jazz to metal, without a turn
    lines = repr(way).splitlines()
    assert lines[0] == "6 songs, 6:00"
    assert lines[1].split() == "step position song_id artist title length".split()
    assert len(lines) == 8
    way = music.path_between(
        "01.flac", "39.flac", steps=3, choice=Choice(only="genre=jazz"), by="vector"
    )
    assert set(way.song_ids[1:-1]) <= {f"{i:02}.flac" for i in range(25)}


def test_playlists(music, tmp_path):
    needs("pandas")
    found = music.playlist("05", minutes=8, by="vector")
    assert found.song_ids[0] == "05.flac"
    assert len(found) == 8
    frame = found.to_pandas()
    assert frame["start_s"].tolist() == [60.0 * i for i in range(8)]
    assert frame["artist"].value_counts().max() <= 2
    rising = music.playlist("20", minutes=8, curve="metal:rise", by="vector")
    metal = rising.curve_scores["metal"]
    assert metal[-1] > 2 * metal[0]
    assert "metal" in repr(rising).splitlines()[1]
    assert rising.to_m3u8(tmp_path / "rise.m3u8", absolute=True) == []
    assert "/music/" in (tmp_path / "rise.m3u8").read_text()


def test_what_cannot_be_done_is_a_note(music):
    found = music.playlist("05", minutes=500, by="vector")
    assert "note: " in repr(found)
    assert found.notes[0] in found._repr_html_()


def test_classify_from_the_store(library):
    found = library.classify()
    assert isinstance(found, Readings)
    assert tuple(found) == IDS
    assert library.classify("two") == found["a/two.flac"]
    assert list(library.classify(["three", "two"])) == ["b/three.mp3", "a/two.flac"]


def test_the_shortcuts_open_the_store(music, monkeypatch, tmp_path):
    path = music.path
    expected = music.similar("05", 3)
    assert audiorec.similar("05", 3, vectors=path) == expected
    assert audiorec.similar("05", 3, vectors=music) == expected
    monkeypatch.setenv("AUDIOREC_VECTORS", str(path))
    monkeypatch.chdir(tmp_path.parent)
    assert audiorec.similar("05", 3) == expected
    monkeypatch.delenv("AUDIOREC_VECTORS")
    monkeypatch.chdir(tmp_path)
    assert audiorec.similar("05", 3) == expected
    ends = "01", "39"
    assert list(audiorec.path(*ends, steps=2)) == list(music.path_between(*ends, steps=2))
    assert list(audiorec.playlist("05", minutes=4)) == list(music.playlist("05", minutes=4))
    groups = audiorec.duplicates()
    assert groups == music.duplicates()
    assert {"00.flac", "copy.flac"} <= set(groups[0].song_ids)


def test_the_shortcuts_take_the_words_of_the_library():
    """What a method has, its shortcut has, with the same default; but for files beside a store."""
    import inspect

    from audiorec.library.library import Library

    for short, method in (
        (audiorec.similar, Library.similar),
        (audiorec.path, Library.path_between),
        (audiorec.playlist, Library.playlist),
        (audiorec.duplicates, Library.duplicates),
    ):
        here, there = (inspect.signature(f).parameters for f in (short, method))
        words = {name: p.default for name, p in there.items() if p.kind is p.KEYWORD_ONLY}
        for name in ("table", "weights", "exclude_ids"):
            words.pop(name, None)
        assert {name: here[name].default for name in words} == words, short


def test_without_a_store_the_error_says_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match=r"vecs\.parquet: no such store .*audiorec\.extract"):
        audiorec.similar("a")
    with pytest.raises(FileNotFoundError, match=r"^there\.parquet: no such store; make one"):
        audiorec.duplicates(vectors="there.parquet")


def test_audio_that_the_store_does_not_have(tmp_path):
    songs = [write_song(tmp_path / "songs" / f"{i}.flac", seed=i, seconds=12) for i in range(3)]
    audiorec.extract(tmp_path / "songs", out=tmp_path / "vecs.parquet", jobs=1)
    library = audiorec.open_store(tmp_path / "vecs.parquet")
    options = {"vectors": library, "minimum": -1, "choice": Choice(also=("non-music",))}
    other = write_song(tmp_path / "other.flac", seed=9, seconds=12)
    found = audiorec.similar(other, 3, **options)
    assert (found.by, len(found)) == ("sound", 3)
    by_vector = library.similar(
        audiorec.vector(other), 3, minimum=-1, choice=Choice(also=("non-music",))
    )
    assert audiorec.similar(other, 3, by="vector", **options) == by_vector
    # It is where it would be as a song of the store.
    audiorec.extract(tmp_path, out=tmp_path / "more.parquet", jobs=1)
    more = audiorec.open_store(tmp_path / "more.parquet")
    space, (last,) = more.space(), [n for n, i in enumerate(more.ids) if i == "other.flac"]
    units = space.units([last, *(more.row_number(f"songs/{n.song_id}") for n in found)])
    np.testing.assert_allclose(units[1:] @ units[0], found.similarities, atol=1e-6)
    # A file of the store, and a copy of one, are that song.
    copy = shutil.copy(songs[1], tmp_path / "copy.flac")
    for same in (songs[1], copy):
        assert "1.flac" not in audiorec.similar(same, 3, **options).song_ids
    (tmp_path / "broken.mp3").write_bytes(b"no audio")
    with pytest.raises(AudiorecError, match=r"broken\.mp3: not_audio"):
        audiorec.similar(tmp_path / "broken.mp3", vectors=library)
    with pytest.raises(FileNotFoundError, match="no such file"):
        audiorec.similar("~/nowhere.flac", vectors=library)


def test_audio_is_not_placed_in_a_store_of_another_sound(tmp_path):
    songs = [write_song(tmp_path / "songs" / f"{i}.flac", seed=i, seconds=12) for i in range(2)]
    path = tmp_path / "vecs.parquet"
    audiorec.extract(tmp_path / "songs", out=path, jobs=1)
    store = audiorec.open_store(path)
    write_table(path, store.table(), replace(store.metadata, sound_id="of-another-network"))
    other = write_song(tmp_path / "other.flac", seed=9, seconds=12)
    with pytest.raises(SpecMismatchError, match=r"made by of-another-network.*compare by vector"):
        audiorec.similar(other, vectors=path, choice=Choice(also=("non-music",)))
    options = {"vectors": path, "choice": Choice(also=("non-music",)), "minimum": -1}
    assert len(audiorec.similar(other, by="vector", **options)) == len(songs)


def test_a_store_prints_itself(library):
    from audiorec.store.store import VectorStore

    assert repr(VectorStore.open(library.path)) == f"VectorStore({str(library.path)!r}: 4 songs)"


def test_open_store_takes_any_path(library, tmp_path):
    for path in (str(library.path), library.path):
        assert len(audiorec.open_store(path)) == 4
    with pytest.raises(StoreError, match="nowhere") as caught:
        audiorec.open_store(tmp_path / "nowhere.parquet")
    assert isinstance(caught.value, FileNotFoundError)


def test_looking_at_a_library_loads_no_pandas():
    script = (
        "import audiorec, sys\n"
        f"library = audiorec.open_store({str(FIXTURE)!r})\n"
        "shown = [library, library['etude'], library.similar('etude'), library.classify()]\n"
        "[(repr(s), s._repr_html_()) for s in shown]\n"
        "print([m for m in ('pandas', 'polars', 'torch', 'sklearn', 'matplotlib', 'onnxruntime')"
        " if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_help_shows_the_public_names():
    import pydoc

    text = pydoc.render_doc(audiorec, renderer=pydoc.plaintext)
    listed = text.partition("PACKAGE CONTENTS")[0]
    for name in audiorec.__all__:
        if name != "errors":
            assert f"``{name}(" in listed
            assert f"\n    {name}(" in text.partition("FUNCTIONS")[2] or f"class {name}(" in text
    assert sorted(audiorec.__all__) == dir(audiorec)
