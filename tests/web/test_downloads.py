"""Lists and copies as text that a browser keeps: what other tools get is what the store holds."""

import csv
import io
import json

import pytest
from made_library import series, song, write_library
from needs import needs

needs("starlette")

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.search.copies import find_duplicates
from audiorec.web.lists import CopiesView, songs_as
from audiorec.web.song_columns import SongColumns


@pytest.fixture
def shelf(tmp_path):
    """Eight songs; s1 is there three times, once without loss, and s2 twice, equally good."""
    about = {"artist": "A", "loudness_lufs": -18.25, "bpm": 120.5, "key": "C", "scale": "minor"}
    rows = [
        song(f"s{i}", series(i), title=f"Song {i}", uri=str(tmp_path / f"s{i}.mp3"), **about)
        for i in range(8)
    ]
    for name, of, changes in (
        ("s1 small.mp3", 1, {"codec": "mp3", "size": 480_000}),
        ("s1 large.mp3", 1, {"codec": "mp3", "size": 960_000}),
        ("s2 again.flac", 2, {"title": "=cmd|x", "loudness_lufs": float("nan")}),
    ):
        same = {
            "content_hash": f"hash of s{of}",
            "uri": str(tmp_path / name),
            "title": f"Song {of}",
        }
        rows.append(song(name, series(of), **{**same, **changes}))
    return SongColumns(open_store(write_library(tmp_path, rows)))


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def rows_of(shelf, *ids):
    return [shelf.library.row_number(song_id) for song_id in ids]


def test_a_playlist_for_a_browser_has_whole_paths(shelf, tmp_path):
    found = songs_as(shelf, rows_of(shelf, "s2", "s0"), "m3u8")
    assert found["left_out"] == 0
    paths = [str(tmp_path / name) for name in ("s2.mp3", "s0.mp3")]
    assert found["text"].splitlines()[2::2] == paths
    assert songs_as(shelf, rows_of(shelf, "s2", "s0"), "paths")["text"].splitlines() == paths


def test_a_table_has_what_the_store_knows_in_order_and_runs_no_formula(shelf, tmp_path):
    first, second = table(songs_as(shelf, rows_of(shelf, "s3", "s2 again.flac"), "csv")["text"])
    assert (first["title"], first["bpm"], first["key"], first["scale"]) == (
        "Song 3",
        "120.5",
        "C",
        "minor",
    )
    assert first["uri"] == str(tmp_path / "s3.mp3")
    assert second["title"] == "'=cmd|x"
    assert second["loudness_lufs"] == ""


@pytest.mark.parametrize("kind", [None, "exe", 3, ["csv"]])
def test_other_kinds_are_refused(shelf, kind):
    with pytest.raises(InputError, match="m3u8, csv, paths"):
        songs_as(shelf, [0], kind)


def test_copies_side_by_side_are_those_of_the_library_best_first(shelf):
    found = CopiesView(shelf).all()
    json.dumps(found, allow_nan=False)
    assert [group.rows for group in find_duplicates(shelf.library)] == [
        tuple(song["row"] for song in group["songs"]) for group in found["groups"]
    ]
    first, second = found["groups"]
    assert [song["row"] for song in first["songs"]] == rows_of(
        shelf, "s1", "s1 large.mp3", "s1 small.mp3"
    )
    assert (first["verdict"], first["why"], first["gain"]) == ("identical", "", 1_440_000)
    assert [song["kbit_s"] for song in first["songs"]] == [133, 128, 64]
    assert [song["loudness_lufs"] for song in second["songs"]] == [-18.25, None]
    assert second["songs"][1]["surplus"] == "the same audio as s2"


def test_the_list_for_other_tools_has_the_surplus_copies_and_the_table_all(shelf, tmp_path):
    view = CopiesView(shelf)
    paths = view.given({"as": "paths", "verdicts": ["identical"]})["text"].splitlines()
    names = ("s1 large.mp3", "s1 small.mp3", "s2 again.flac")
    assert paths == [str(tmp_path / name) for name in names]
    lines = table(view.given({"as": "csv", "verdicts": ["identical"]})["text"])
    assert [line["recording"] for line in lines] == ["1", "1", "1", "2", "2"]
    assert [line["best"] for line in lines] == ["yes", "no", "no", "yes", "no"]
    assert [line["why"] for line in lines[:2]] == ["", "the same audio as s1"]
    assert view.given({"as": "paths", "verdicts": ["likely"]})["text"] == ""
    with pytest.raises(InputError, match="verdicts"):
        view.given({"as": "paths"})
