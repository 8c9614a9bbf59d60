"""``audiorec duplicates``: groups, what they rest on, refusals."""

import json
import shutil

import pytest
from library_commands import files_in
from made_library import series, song, write_library


def test_a_copy_is_found_and_nothing_else(in_library):
    code, out, err = in_library("duplicates")
    assert code == 0, err
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0][:4] == ["group", "verdict", "distance", "song_id"]
    assert [line[:2] for line in lines[1:]] == [["1", "identical"]] * 2
    assert {line[3] for line in lines[1:]} == {"album 3/song 07.ogg", "copies/song 7b.mp3"}
    assert "31 songs, 1 recording with copies (1 identical), 1 surplus song" in err


def test_the_document_says_what_was_compared(in_library, music, tmp_path):
    scores = series(0)
    encoded = scores.copy()
    encoded[3] = scores[3][[1, 0, 2, 4, 3]]  # one segment of twenty is another
    made = [song("a.flac", scores), song("b.mp3", encoded, codec="mp3", size=9_000)]
    made += [song(f"{i}", series(i)) for i in range(1, 5)]
    write_library(tmp_path, made, scores=True)
    code, out, err = in_library("duplicates", "-v", tmp_path / "vecs.parquet", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["schema"], document["checked_by"]) == ("audiorec/duplicates/1", ["scores"])
    (group,) = document["groups"]
    assert group["verdict"] == "same"
    assert (group["kept"], group["why"]) == ("a.flac", "lossless")
    assert [s["song_id"] for s in group["songs"]] == ["a.flac", "b.mp3"]  # the best first
    (pair,) = group["pairs"]
    assert 0 < pair["mismatch"] < 0.25


def test_odd_files_beside_the_store_are_passed_over_with_a_note(in_library, music, tmp_path):
    shutil.copy(music / "vecs.parquet", tmp_path / "vecs.parquet")
    shutil.copy(music / "cut_scores.parquet", tmp_path / "scores.parquet")
    shutil.copy(music / "other/features.parquet", tmp_path / "features.parquet")
    code, _, err = in_library("duplicates", "-v", tmp_path / "vecs.parquet")
    assert code == 0
    assert err.count("note: not used:") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--scores", "scores.parquet"], 2, "it reads scores.parquet beside the store"),
        (["--features", "f.parquet"], 2, "it reads features.parquet beside the store"),
        (["-v", "empty/vecs.parquet"], 4, "has no songs"),
        (["-v", "cut_vecs.parquet"], 4, "cut_vecs.parquet"),
        (["-v", "scores.parquet"], 4, "holds scores, not vectors"),
        (["-v", "gone.parquet"], 2, "audiorec extract"),
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
