"""``audiorec playlist``: length, spread, curves, files, refusals."""

import json

import pytest
from library_commands import assert_opens, files_in, read_m3u8


def playlist(in_library, *arguments):
    code, out, err = in_library("playlist", *arguments, "--json")
    assert code == 0, err
    return json.loads(out), err


def test_as_long_as_asked_for_with_artists_spread(in_library):
    document, _ = playlist(in_library, "song 00", "--minutes", "20")
    assert document["schema"] == "audiorec/playlist/1"
    assert document["within_tolerance"] is True
    assert abs(document["seconds"] - 1_200) <= document["tolerance_s"] == 30
    songs = document["songs"]
    assert songs[0]["song_id"] == "album 0/song 00.flac"
    assert document["seconds"] == pytest.approx(sum(s["duration_s"] for s in songs), abs=0.01)
    artists = [(s["artist"] or "").strip().casefold() for s in songs]
    for place, artist in enumerate(artists):
        assert not artist or artist not in artists[max(0, place - 3) : place]
        assert not artist or artists.count(artist) <= 2
    names = [s["song_id"] for s in songs]
    assert len(names) == len(set(names))


def test_the_table_shows_the_curves(in_library):
    _, out, _ = in_library("playlist", "song 00", "-m", "10", "--curve", "genre.jazz:arc")
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == [
        *("start", "closer_than", "song_id", "artist", "title", "length", "genre.jazz"),
    ]
    assert lines[1][0] == "0:00"


def test_a_playlist_file_opens(in_library, music):
    target = music / "lists" / "hour.m3u8"
    code, out, _err = in_library(
        *("playlist", "song 00", "song 03", "-m", "15", "--m3u8", target, "--exclude", "copies/"),
    )
    assert (code, out) == (0, "")
    entries = read_m3u8(target)
    assert [path.stem for _, _, path in entries[:2]] == ["song 00", "song 03"]
    assert_opens(entries)
    assert abs(sum(seconds for seconds, _, _ in entries) - 900) <= 35


def test_a_curve_that_cannot_hold_is_noted_with_its_distance(in_library):
    arguments = ("song 00", "-m", "15", "--curve", "jazz:0.1..0.9", "--only", "genre.jazz<0.5")
    document, err = playlist(in_library, *arguments)
    assert document["by"] == "vector"
    assert 0.05 < document["curve_distance"] < 0.5
    (note,) = [line for line in document["notes"] if "jazz misses the curve" in line]
    assert f"note: {note}" in err.splitlines()
    document, _ = playlist(in_library, "song 00", "-m", "15")
    assert (document["curve_distance"], document["notes"]) == (None, [])


def test_what_could_not_be_done_is_said(in_library):
    document, err = playlist(in_library, "song 00", "--minutes", "600")
    assert document["within_tolerance"] is False
    assert "instead of 10:00:00: no songs of the store" in err
    document, err = playlist(in_library, "song 00", "song 06", "-m", "9", "--max-per-artist", "1")
    assert document["left_out"] == ["album 2/song 06.mp3"]
    assert "song 06.mp3 did not fit in" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a song"),
        (["song 00", "--minutes", "0"], 2, "minutes"),
        (["song 00", "--curve", "jaz:rise"], 2, "unknown class 'jaz'; did you mean jazz? there"),
        (["song 00", "--curve", "jazz:up"], 2, "rise, fall, arc, dip or mean scores"),
        (["song 00", "--curve", "jazz"], 2, "rise, fall, arc, dip or mean scores"),
        (["song 00", "--curve", "jazz:0..2"], 2, "from 0 to 1"),
        (["song 00", "--m3u8", "nowhere/x.m3u8"], 2, "there is no folder"),
        (["song 00", "-v", "empty/vecs.parquet"], 4, "has no songs"),
        (["music/album 0/song 00.flac", "-v", "other/vecs.parquet"], 2, "fedcba9876543210"),
        (["song 00", "--by", "cut_features.parquet"], 4, "cut_features"),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(
    in_library, music, arguments, code, message
):
    before = files_in(music)
    found, out, err = in_library("playlist", *arguments)
    assert found == code, err
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert files_in(music) == before
