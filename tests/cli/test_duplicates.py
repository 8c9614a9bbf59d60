"""``audiorec duplicates``: groups, what they rest on, refusals."""

import json

import pytest
from library_commands import files_in
from made_library import series, song, write_library
from made_sound import add_lists

from audiorec.search.copies import CANNOT_TELL
from audiorec.store.store import VectorStore


def test_a_copy_is_found_and_nothing_else(in_library):
    code, out, err = in_library("duplicates")
    assert code == 0, err
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0][:4] == ["group", "verdict", "distance", "song_id"]
    assert [line[:2] for line in lines[1:]] == [["1", "identical"]] * 2
    assert {line[3] for line in lines[1:]} == {"album 3/song 07.ogg", "copies/song 7b.mp3"}
    assert "31 songs, 1 recording with copies (1 identical), 1 surplus song" in err


def test_the_document_says_how_far_copies_are_apart(in_library, tmp_path):
    made = [song("a.flac", series(0)), song("b.mp3", series(0), codec="mp3", size=9_000)]
    made += [song(f"{i}", series(i)) for i in range(1, 5)]
    path = write_library(tmp_path, made)
    embedding = {"a.flac": [0.5, 1], "b.mp3": [0.5, 1], "1": [1, 1], "2": [2, 1], "3": [3, 1]}
    lists = [embedding.get(row) for row in VectorStore.open(path).ids]
    add_lists(path, embedding=lists, sound=[None if v is None else [0.6, 0.8] for v in lists])
    code, out, err = in_library("duplicates", "-v", path, "--json")
    assert code == 0, err
    assert "note: 1 song has no sound" in err
    document = json.loads(out)
    assert document["schema"] == "audiorec/duplicates/3"
    (group,) = document["groups"]
    assert group["verdict"] == "likely"
    assert (group["kept"], group["why"]) == ("a.flac", CANNOT_TELL)
    songs = [(s["song_id"], s["surplus"]) for s in group["songs"]]
    assert songs == [("a.flac", None), ("b.mp3", None)]  # the best first, none is surplus
    (pair,) = group["pairs"]
    assert pair["distance"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-v", "empty/vecs.parquet"], 4, "has no songs"),
        (["-v", "scores.parquet"], 4, "holds scores, not vectors"),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(
    in_library, music, arguments, code, message
):
    before = files_in(music)
    found, out, err = in_library("duplicates", *arguments)
    assert found == code, err
    assert message in err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert files_in(music) == before
