"""`audiorec.files.m3u8`: what players read, and nothing that a tag could smuggle in."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiorec.errors import StoreError
from audiorec.files.m3u8 import PlaylistEntry, missing_files, render_m3u8, write_m3u8


def song(path, **fields):
    return PlaylistEntry(path=str(path), **fields)


def lines(entries, folder):
    return render_m3u8(entries, folder=folder)[0].splitlines()


def test_whole_file(tmp_path):
    entries = [
        song(tmp_path / "music/Abba/SOS 100%.mp3", duration_s=200.6, artist="Abba", title="SOS"),
        song(tmp_path / "other/é.flac", title="Étude"),
        song(tmp_path / "lists/near.ogg", duration_s=0.4, artist="Nobody"),
    ]
    path = tmp_path / "lists" / "night.m3u8"
    path.parent.mkdir()
    assert write_m3u8(entries, path) == []
    assert (
        path.read_bytes()
        == (
            "#EXTM3U\n"
            "#EXTINF:201,Abba - SOS\n"
            "../music/Abba/SOS 100%.mp3\n"
            "#EXTINF:-1,Étude\n"
            "../other/é.flac\n"
            "#EXTINF:0,Nobody - near\n"
            "near.ogg\n"
        ).encode()
    )
    assert [p.name for p in path.parent.iterdir()] == ["night.m3u8"]


def test_absolute(tmp_path):
    write_m3u8([song(tmp_path / "a.mp3")], tmp_path / "x.m3u8", absolute=True)
    assert (tmp_path / "x.m3u8").read_text().splitlines()[2] == f"{tmp_path}/a.mp3"


def test_paths_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lines([song("music/a.mp3")], Path("lists"))[2] == "../music/a.mp3"


def test_name_that_would_be_a_comment(tmp_path):
    assert lines([song(tmp_path / "#1 hit.mp3")], tmp_path)[2] == "./#1 hit.mp3"


def test_spaces_before_a_name_are_not_stripped(tmp_path):
    assert lines([song(tmp_path / " a.mp3")], tmp_path)[2] == "./ a.mp3"


def test_paths_lead_out_of_the_folder_that_a_link_points_to(tmp_path):
    (tmp_path / "disk" / "lists").mkdir(parents=True)
    (tmp_path / "a.mp3").write_bytes(b"x")
    link = tmp_path / "lists"
    link.symlink_to(tmp_path / "disk" / "lists")
    write_m3u8([song(tmp_path / "a.mp3")], link / "x.m3u8")
    location = (link / "x.m3u8").read_text().splitlines()[2]
    assert location == "../../a.mp3"
    assert (link / location).read_bytes() == b"x"


def test_addresses_stand_as_they_are(tmp_path):
    address = "s3://bucket/a b/c.flac"
    assert lines([song(address)], tmp_path)[2] == address


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "a.mp3").touch()
    entries = [song(tmp_path / "a.mp3"), song(tmp_path / "b.mp3"), song("https://x.org/c.mp3")]
    assert missing_files(entries) == entries[1:2]


def test_tags_cannot_inject_lines(tmp_path):
    evil = song(
        tmp_path / "a.mp3", artist="A\r\n#EXTINF:1,x", title="T\n/etc/passwd\u2028\x85\x00B"
    )
    text = lines([evil], tmp_path)
    assert len(text) == 3
    assert text[1] == "#EXTINF:-1,A  #EXTINF:1,x - T /etc/passwd   B"


def test_tag_of_control_characters_counts_as_none(tmp_path):
    assert lines([song(tmp_path / "a.mp3", artist="\n", title="\t")], tmp_path)[1] == "#EXTINF:-1,a"


@pytest.mark.parametrize(
    "name", ["caf\udce9.mp3", "two\nlines.mp3", "caf\\xe9.mp3", "a\u2028b.mp3"]
)
def test_names_that_cannot_stand_in_a_playlist_are_reported(tmp_path, name):
    entries = [song(tmp_path / name), song(tmp_path / "good.mp3")]
    text, left_out = render_m3u8(entries, folder=tmp_path)
    assert left_out == entries[:1]
    assert text.splitlines()[2:] == ["good.mp3"]


def test_real_backslash_stays(tmp_path):
    path = tmp_path / "caf\\xe9.mp3"
    path.touch()
    assert lines([song(path)], tmp_path)[2] == "caf\\xe9.mp3"


def test_no_entries():
    assert render_m3u8([], folder=None) == ("#EXTM3U\n", [])


def test_failure_leaves_the_old_list(tmp_path, monkeypatch):
    path = tmp_path / "x.m3u8"
    path.write_text("old")

    def full_disk(_self, _data):
        raise OSError(28, "full")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StoreError, match="cannot be written: no space left on device"):
        write_m3u8([song("a.mp3")], path)
    assert path.read_text() == "old"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(min_size=1), st.none() | st.text(), st.none() | st.text())))
def test_three_lines_a_song_whatever_the_tags(tmp_path, songs):
    entries = [song(f"/m/{i}.mp3", artist=a, title=t) for i, (_, a, t) in enumerate(songs)]
    text, left_out = render_m3u8(entries, folder=Path("/m"))
    rows = text.encode().decode().splitlines()
    assert left_out == []
    assert rows[0::2][1:] == [f"{i}.mp3" for i in range(len(songs))]
    assert all(row.startswith("#EXTINF:-1,") for row in rows[1::2])


def test_a_title_cannot_turn_the_direction_of_a_line(tmp_path):
    odd = song(tmp_path / "a.mp3", artist="A\u202e", title="\u2067gpj.exe\u200f\u061c")
    assert lines([odd], tmp_path)[1] == "#EXTINF:-1,A - gpj.exe"
