"""``audiorec playlist A --to B``: a path, what it prints, writes and refuses."""

import pytest
from library_commands import assert_opens, files_in, read_m3u8


def test_a_table_for_a_pipe(in_library):
    _, out, _ = in_library("playlist", "song 00", "--to", "song 07.ogg", "-n", "2")
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0][:4] == ["place", "closer_than", "position", "song_id"]
    assert [line[0] for line in lines[1:]] == ["0", "1", "2", "3"]
    assert lines[1][1] == ""


def test_caps_filters_and_a_playlist(in_library, music):
    target = music / "lists" / "path.m3u8"
    options = ("--max-per-artist", "1", "--only", "duration<4:00", "--m3u8", target)
    code, _, err = in_library("playlist", "song 00", "--to", "song 07.ogg", "-n", "3", *options)
    assert code == 0, err
    entries = read_m3u8(target)
    artists = [label.partition(" - ")[0] for _, label, _ in entries if " - " in label]
    assert len(artists) == len(set(artists))
    assert all(seconds < 240 for seconds, _, _ in entries)
    assert_opens(entries)


def test_a_shorter_path_is_said(in_library):
    code, out, err = in_library("playlist", "song 00", "--to", "song 07.ogg", "-n", "25")
    assert code == 0
    between = len(out.splitlines()) - 3
    assert f"{between} songs between instead of 25" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["song 00", "--to", "song 00"], 2, "two different songs"),
        (["song 07.ogg", "--to", "song 7b"], 2, "sound the same"),
        (["song 00", "--to", "song 01", "-n", "99"], 2, "needs 101 songs; the store has 31"),
        (["song 00", "--to", "song 01", "-n", "0"], 2, "steps"),
        (["song 00", "--to", "lists"], 2, "no song with id 'lists'"),
        (["song 00", "--to", "vecs.parquet"], 2, "vecs.parquet: not a song of"),
        (["song 00", "--to", "song 01", "-v", "empty/vecs.parquet"], 4, "has no songs"),
        (["--to", "song 01"], 2, "name one, got 0"),
        (["song 00", "song 01", "--to", "song 02"], 2, "name one, got 2"),
        (["song 00", "--to", "song 01", "--words", "calm"], 2, "which has no --words"),
        (["song 00", "--to", "song 01", "--curve", "jazz:rise"], 2, "which has no --curve"),
        (["song 00", "--to", "song 01", "--minutes", "9"], 2, "which has no --minutes"),
        (["song 00", "--steps", "3"], 2, "name its last song by --to"),
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
