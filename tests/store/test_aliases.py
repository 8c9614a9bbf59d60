"""`audiorec.store.aliases`: every name leads to its song, and none to the wrong one."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import MBID, change, write_good_store

from audiorec.errors import InputError, StoreError, UnknownSongError
from audiorec.library.library import Library
from audiorec.store.aliases import (
    add_own_aliases,
    alias_table,
    find_by_alias,
    read_aliases,
    write_aliases,
)


@pytest.fixture
def path(tmp_path):
    """Songs a/one.flac, a/two.flac (an ISRC), b/three.mp3 (a MusicBrainz id), b/été.mp3."""
    return write_good_store(tmp_path)


def resolve(path, query):
    return Library.open(path).resolve(query)


@pytest.mark.parametrize(
    ("query", "song"),
    [
        (MBID, "b/three.mp3"),
        (MBID.upper(), "b/three.mp3"),
        ("USRC17607839", "a/two.flac"),
        ("us-rc1-76-07839", "a/two.flac"),
        ("/music/a/one.flac", "a/one.flac"),
        ("/music/b/../a//one.flac", "a/one.flac"),
        ("two", "a/two.flac"),
        ("été", "b/été.mp3"),
        ("one.flac", "a/one.flac"),  # no alias, but the end of an id
    ],
)
def test_every_kind(path, query, song):
    assert resolve(path, query) == song


def test_a_relative_path_starts_at_the_working_folder(path, tmp_path, monkeypatch):
    change(path, "uri", 0, str(tmp_path / "here" / "song.flac"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert resolve(path, "song.flac") == "a/one.flac"
    assert resolve(path, "../here/song.flac") == "a/one.flac"


def test_an_id_wins_over_every_alias(path):
    change(path, "song_id", 3, MBID)
    assert resolve(path, MBID) == MBID


def test_an_alias_wins_over_a_part_of_an_id(path):
    change(path, "uri", 2, "/music/flac.mp3")
    assert resolve(path, "flac") == "b/three.mp3"


def test_kinds_are_asked_in_order(path):
    change(path, "uri", 0, "/music/USRC17607839.flac")  # the name of one, the ISRC of another
    assert resolve(path, "USRC17607839") == "a/two.flac"
    add_own_aliases(path.with_name("aliases.parquet"), [("two", "a/one.flac")])
    assert resolve(path, "two") == "a/one.flac"  # of one's own before the file's name


def test_an_alias_of_two_songs_names_both(path):
    change(path, "musicbrainz_trackid", 0, MBID.upper())
    match = rf"2 songs match '{MBID}': a/one\.flac, b/three\.mp3; name one by its id or path"
    with pytest.raises(InputError, match=match):
        resolve(path, MBID)


def test_many_candidates_are_cut(path):
    own = [("fav", f"a/{n}") for n in ("one.flac", "two.flac")] + [("fav", "b/three.mp3")]
    add_own_aliases(path.with_name("aliases.parquet"), own)
    with pytest.raises(InputError, match="3 songs match 'fav'"):
        resolve(path, "fav")


def test_stems_are_whole_and_paths_without_an_ending_are_theirs(path):
    change(path, "uri", 0, "/music/x.tar.flac")
    assert resolve(path, "x.tar") == "a/one.flac"
    assert find_by_alias(Library.open(path), "x") is None
    assert find_by_alias(Library.open(path), "wo") is None
    assert find_by_alias(Library.open(path), "a/two") is None
    assert find_by_alias(Library.open(path), "") is None


def test_what_looks_like_an_alias_and_is_none(path):
    with pytest.raises(UnknownSongError):
        resolve(path, MBID.replace("8", "9"))
    with pytest.raises(UnknownSongError):
        resolve(path, "USRC17607830")


def test_table(path, tmp_path):
    own = tmp_path / "aliases.parquet"
    assert (
        add_own_aliases(own, [("B-12", "a/one.flac"), ("B-12", "a/one.flac"), ("x", "gone")]) == 2
    )
    rows = alias_table(Library.open(path)).to_pylist()
    assert [tuple(r.values()) for r in rows if r["kind"] not in ("path", "stem")] == [
        (MBID, "mbid", "b/three.mp3"),
        ("B-12", "csv", "a/one.flac"),
        ("USRC17607839", "isrc", "a/two.flac"),
    ]
    assert [r["alias"] for r in rows if r["kind"] == "stem"] == ["one", "three", "two", "été"]
    assert sum(r["kind"] == "path" for r in rows) == 4
    out = tmp_path / "all.parquet"
    write_aliases(out, alias_table(Library.open(path)))
    assert read_aliases(out).to_pylist() == rows
    for r in rows:
        assert resolve(path, r["alias"]) == r["song_id"]


def test_own_aliases_replace_those_of_the_same_song_only(tmp_path):
    own = tmp_path / "aliases.parquet"
    add_own_aliases(own, [("old", "1"), ("two", "2")])
    add_own_aliases(own, [("new", "1")])
    assert read_aliases(own).column("alias").to_pylist() == ["new", "two"]
    assert add_own_aliases(own, []) == 0
    assert len(read_aliases(own)) == 2


def test_other_kinds_in_the_file_are_not_believed(path, tmp_path):
    rows = {"alias": ["/music/moved.flac"], "kind": ["path"], "song_id": ["a/one.flac"]}
    write_aliases(tmp_path / "aliases.parquet", pa.table(rows))
    assert find_by_alias(Library.open(path), "/music/moved.flac") is None


@pytest.mark.parametrize("content", [b"", b"PAR1 no", "columns"])
def test_a_file_that_is_no_table_of_aliases(path, tmp_path, content):
    own = tmp_path / "aliases.parquet"
    if content == "columns":
        pq.write_table(pa.table({"alias": ["x"], "song_id": ["y"]}), own)
    else:
        own.write_bytes(content)
    with pytest.raises(StoreError, match=r"aliases\.parquet: not a table of aliases: "):
        resolve(path, "no exact id")
    assert resolve(path, "a/one.flac") == "a/one.flac"
    with pytest.raises(StoreError, match=r"gone\.parquet: no such file"):
        read_aliases(tmp_path / "gone.parquet")


def test_empty_store(path):
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    store = Library.open(path)
    assert find_by_alias(store, MBID) is None
    assert len(alias_table(store)) == 0
