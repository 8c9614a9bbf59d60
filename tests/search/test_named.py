"""`audiorec.search.searchable`: paths of known files, parts of ids, and why a song is not there."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from made_library import series, song, write_library
from made_songs import write_song

from audiorec.errors import InputError, SeveralSongsError, UnknownFileError, UnknownSongError
from audiorec.library.library import Library
from audiorec.search.searchable import song_of_file
from audiorec.store.records import row_batch
from audiorec.store.schema import Kind, schema_of, write_table


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with music/ab/one.wav, which the store knows, and new.wav, which it does not."""
    write_song(tmp_path / "music" / "ab" / "one.wav", seed=1)
    write_song(tmp_path / "new.wav", seed=2)
    uri = {"uri": str(tmp_path / "music" / "ab" / "one.wav")}
    songs = [song("ab/one.wav", series(1), **uri), song("cd/two.wav", series(2))]
    write_library(tmp_path, songs)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(home):
    return Library.open(home / "vecs.parquet")


@pytest.mark.parametrize(
    "path",
    ["music/ab/one.wav", "./music/ab/one.wav", "music/../music/ab/one.wav", "music//ab/one.wav"],
)
def test_a_path_however_written_is_the_song(store, home, monkeypatch, path):
    assert store.resolve(path) == song_of_file(store, path) == "ab/one.wav"
    assert store.resolve(str(home / path)) == "ab/one.wav"
    monkeypatch.chdir(home / "music")
    assert song_of_file(store, f"../{path}") == "ab/one.wav"
    monkeypatch.setenv("HOME", str(home))
    assert store.resolve(f"~/{path}") == "ab/one.wav"


def test_links_lead_to_the_song(store, home):
    (home / "linked").symlink_to(home / "music")
    (home / "other name.wav").symlink_to(home / "music" / "ab" / "one.wav")
    assert store.resolve("linked/ab/one.wav") == "ab/one.wav"
    assert store.resolve("other name.wav") == "ab/one.wav"


def test_a_store_made_through_a_link_knows_the_file_itself(home):
    (home / "linked").symlink_to(home / "music")
    uri = {"uri": str(home / "linked" / "ab" / "one.wav")}
    write_library(home, [song("x", series(1), **uri), song("y", series(2), uri="/gone/one.wav")])
    assert song_of_file(Library.open(home / "vecs.parquet"), "music/ab/one.wav") == "x"


def test_a_file_of_its_own_is_no_song_of_the_store(store, home):
    write_song(home / "elsewhere" / "one.wav", seed=3)  # the name of a known one
    assert song_of_file(store, "elsewhere/one.wav") is None
    assert song_of_file(store, "new.wav") is None
    assert song_of_file(store, "music") is None
    assert song_of_file(store, "gone.wav") is None


def test_a_part_of_an_id_works_everywhere(store):
    assert store.row("TWO")["song_id"] == "cd/two.wav"
    assert store.vector("two").tolist() == store.vector("cd/two.wav").tolist()
    with pytest.raises(UnknownSongError):
        store.row("three")


@pytest.mark.parametrize("path", ["/nowhere/one.wav", "~/one.wav", "./one.wav", "../cd/two.wav"])
def test_what_is_a_path_for_certain_is_a_missing_file(store, path):
    with pytest.raises(FileNotFoundError, match="no such file, and no song with this id") as caught:
        store.resolve(path)
    assert isinstance(caught.value, UnknownSongError)
    assert caught.value.query == path


def test_what_may_be_an_id_as_well(store):
    with pytest.raises(UnknownFileError, match=r"xyz\.flac: .*; add songs: audiorec extract"):
        store.resolve("xyz.flac")
    with pytest.raises(UnknownSongError, match=r"no song with id 'ab/ona\.wav'; did you mean"):
        store.resolve("ab/ona.wav")
    with pytest.raises(
        UnknownSongError, match=r"no song with id 'qqq' in .*vecs\.parquet; list its"
    ) as caught:
        store.resolve("qqq")
    assert not isinstance(caught.value, FileNotFoundError)


def test_two_copies_of_a_title_are_two_songs(home):
    songs = [song(f"queen/innuendo.{ending}", series(n)) for n, ending in enumerate(("mp3", "m4a"))]
    songs += [song(f"live/{n}.flac", series(n)) for n in range(7)]
    write_library(home, songs)
    store = Library.open(home / "vecs.parquet")
    both = (
        r"^2 songs match 'Innuendo': queen/innuendo\.(mp3|m4a), queen/innuendo\.(mp3|m4a); name one"
    )
    with pytest.raises(SeveralSongsError, match=f"{both} by its id or path$") as caught:
        store.resolve("Innuendo")
    assert (caught.value.count, len(caught.value.near)) == (2, 2)
    assert store.resolve("innuendo.m4a") == "queen/innuendo.m4a"
    with pytest.raises(SeveralSongsError, match=r"^7 songs match 'live': .* and 2 more; name one"):
        store.resolve("live")
    with pytest.raises(UnknownFileError, match="did you mean: "):  # a path for certain
        store.resolve("./innuendo.m")


def write_errors(home, metadata, make_failure, ids):
    about = replace(metadata, kind=Kind.ERRORS, features={})
    schema = schema_of(about)
    made = {
        "status": "undecodable",
        "message": "bad header",
        "failed_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    rows = [make_failure(name, uri=str(home / "music" / name), **made) for name in ids]
    table = pa.Table.from_batches([row_batch(row, schema) for row in rows], schema)
    write_table(home / "vecs.errors.parquet", table, about)


def test_a_song_that_failed_says_why(store, home, metadata, make_failure):
    write_errors(home, metadata, make_failure, ["cd/broken.mp3", "ef/broken too.mp3"])
    said = r"^cd/broken\.mp3 failed during extraction: undecodable: bad header$"
    for text in (
        "cd/broken.mp3",
        "broken.mp3",
        "music/cd/broken.mp3",
        str(home / "music/cd/broken.mp3"),
    ):
        with pytest.raises(InputError, match=said):
            store.resolve(text)
    with pytest.raises(UnknownSongError):
        store.resolve("brok")  # of two
    assert store.resolve("one") == "ab/one.wav"


def test_several_songs_are_not_one_that_failed(store, home, metadata, make_failure):
    write_errors(home, metadata, make_failure, ["x/wave of mutilation.mp3"])
    with pytest.raises(SeveralSongsError, match=r"^2 songs match 'wav'"):
        store.resolve("wav")
    with pytest.raises(InputError, match="failed during extraction"):
        store.resolve("mutilation")


def test_a_damaged_errors_file_says_nothing(store, home):
    (home / "vecs.errors.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnknownFileError):
        store.resolve("xyz.flac")


def test_bytes_that_are_no_utf8(home):
    name = os.fsdecode(b"caf\xe9.wav")
    (home / name).write_bytes(b"RIFF")
    write_library(home, [song("cafe", series(1), uri=str(home) + "/caf\\xe9.wav")])
    store = Library.open(home / "vecs.parquet")
    assert song_of_file(store, name) == store.resolve(name) == "cafe"
    with pytest.raises(UnknownFileError):
        store.resolve(os.fsdecode(b"/nowhere/\xe9.wav"))
