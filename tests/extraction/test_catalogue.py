"""`audiorec.extraction.catalogue`: what counts as a song, what it is called, what is refused."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError, MissingFileError
from audiorec.extraction.catalogue import find_songs, read_list
from audiorec.extraction.manifest import read_manifest


@pytest.fixture
def library(tmp_path) -> Path:
    root = tmp_path / "songs"
    for name in [
        "b.mp3",
        "a/x.FLAC",
        "a/deep/y.ogg",
        "cover.jpg",
        "notes.txt",
        ".hidden.mp3",
        "a/._x.FLAC",
        ".trash/z.mp3",
    ]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"anything")
    (root / "no_extension").write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt ")
    (root / "unknown.dat").write_bytes(b"0123456789abcdef")
    return root


def ids(sources):
    return [s.song_id for s in sources]


def test_a_folder_gives_its_songs_by_relative_path(library):
    assert ids(find_songs([library])) == ["a/deep/y.ogg", "a/x.FLAC", "b.mp3", "no_extension"]


def test_size_time_and_absolute_uri_travel_with_the_song(library, monkeypatch):
    monkeypatch.chdir(library.parent)
    song = find_songs(["songs/b.mp3"])[0]
    assert (song.song_id, song.size) == ("b.mp3", 8)
    assert song.uri == str(library / "b.mp3")
    assert song.mtime_ns == (library / "b.mp3").stat().st_mtime_ns


def test_several_folders_prefix_their_names(library, tmp_path):
    other = tmp_path / "more"
    other.mkdir()
    (other / "b.mp3").write_bytes(b"another")
    assert ids(find_songs([library, other]))[-2:] == ["songs/b.mp3", "songs/no_extension"]
    assert "more/b.mp3" in ids(find_songs([library, other]))


def test_two_files_of_one_id_are_an_error_that_names_both(library, tmp_path):
    (tmp_path / "b.mp3").write_bytes(b"another")
    with pytest.raises(InputError, match=r"'b\.mp3': .*songs/b\.mp3 and .*b\.mp3"):
        find_songs([library, tmp_path / "b.mp3"])


def test_the_same_file_twice_is_one_song(library):
    assert ids(find_songs([library / "b.mp3", library / "b.mp3"])) == ["b.mp3"]


def test_globs_include_and_exclude(library):
    assert ids(find_songs([f"{library}/**/*.ogg"])) == ["y.ogg"]
    assert ids(find_songs([library], include=["a/*"])) == ["a/deep/y.ogg", "a/x.FLAC"]
    assert ids(find_songs([library], include=["a/*"], exclude=["*.ogg"])) == ["a/x.FLAC"]


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere", "no such file"), ("*.wma", "no file matches")]
)
def test_what_does_not_exist_is_refused(path, message):
    with pytest.raises(InputError, match=message):
        find_songs([path])


def test_links_out_of_the_folder_are_followed_only_when_asked(library, tmp_path):
    outside = tmp_path / "outside.mp3"
    outside.write_bytes(b"out")
    (library / "link.mp3").symlink_to(outside)
    (library / "inner.mp3").symlink_to(library / "b.mp3")
    (library / "dangling.mp3").symlink_to(library / "gone.mp3")
    (library / "loop").symlink_to(library, target_is_directory=True)
    found = ids(find_songs([library]))
    assert "link.mp3" not in found
    assert {"inner.mp3", "dangling.mp3"} <= set(found)
    followed = ids(find_songs([library], follow_links=True))
    assert "link.mp3" in followed
    assert not [name for name in followed if name.startswith("loop/")]


def test_a_fifo_without_an_extension_does_not_block(library):
    os.mkfifo(library / "pipe")
    assert "pipe" not in ids(find_songs([library]))


def test_a_name_that_is_not_utf8_stays_openable_and_printable(library):
    raw = os.fsencode(library) + b"/caf\xe9.mp3"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    song = next(s for s in find_songs([library]) if s.song_id.startswith("caf"))
    assert song.song_id == "caf\\xe9.mp3"
    assert Path(song.path).exists()
    song.uri.encode("utf-8")


def test_ids_of_the_callers_own_making(library):
    stems = find_songs([library], song_id=lambda _path, default: Path(default).stem)
    assert ids(stems) == ["b", "no_extension", "x", "y"]


def test_lists_pass_over_blank_lines_and_remarks(library):
    lines = ["# my songs\n", "\n", f"{library}/b.mp3\n", f"{library}/gone.mp3\r\n"]
    songs = read_list(lines, root=library)
    assert [(s.song_id, s.size) for s in songs] == [("b.mp3", 8), ("gone.mp3", -1)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_manifest_brings_its_ids(library, kind):
    path = library / f"manifest.{kind}"
    if kind == "csv":
        path.write_text("song_id,path\n0017,b.mp3\n0002,a/x.FLAC\n")
    else:
        pq.write_table(pa.table({"path": ["b.mp3", "a/x.FLAC"], "song_id": ["0017", "0002"]}), path)
    songs = read_manifest(str(path))
    assert [(s.song_id, Path(s.path).name) for s in songs] == [
        ("0002", "x.FLAC"),
        ("0017", "b.mp3"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,id\na.mp3,1\n", "no column path or uri"),
        ("path,song_id\na.mp3,1\n,2\n", "row 2 has no path"),
        ("path,song_id\na.mp3,1\nb.mp3,1\n", "two rows have the song_id '1'"),
        ("\x00\x00", "manifest"),
    ],
)
def test_a_bad_manifest_says_where(tmp_path, text, message):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(str(path))


def test_a_manifest_that_is_no_parquet(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="cannot read the manifest"):
        read_manifest(str(path))


def test_a_glob_in_a_folder_that_is_not_there_matches_nothing(tmp_path):
    with pytest.raises(MissingFileError, match="no file matches"):
        find_songs([tmp_path / "nowhere" / "*.mp3"])
