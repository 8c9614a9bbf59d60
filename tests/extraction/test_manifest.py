"""`audiorec.extraction.manifest`: what is written comes back, by any machine, a part at a time."""

import os
from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import needs
from object_store import s3_server

from audiorec.errors import InputError
from audiorec.extraction import manifest
from audiorec.extraction.catalogue import Source, find_songs
from audiorec.extraction.manifest import Manifest, find_sources, with_current_stat, write_manifest
from audiorec.files.storage import join, write

AT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


def songs(n: int) -> list[Source]:
    return [Source(f"{i:05d}", f"/music/{i}.mp3", f"/music/{i}.mp3", i, 10 * i) for i in range(n)]


def rows(place, start=0, stop=10**6):
    with Manifest.open(str(place)) as opened:
        return opened.sources(start, stop)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9])
def test_what_is_written_comes_back_in_its_order(tmp_path, monkeypatch, n):
    monkeypatch.setattr(manifest, "GROUP_ROWS", 4)
    place = str(tmp_path / "lists" / "m.parquet")
    write_manifest(place, songs(n)[::-1], created_at=AT)
    with Manifest.open(place) as found:
        assert (len(found), found.created_at) == (n, AT)
        assert found.sources(0, n) == songs(n)[::-1]


@pytest.mark.parametrize("count", [1, 2, 3, 11, 40])
def test_the_rows_of_all_shards_are_the_rows(tmp_path, monkeypatch, count):
    monkeypatch.setattr(manifest, "GROUP_ROWS", 4)
    place = str(tmp_path / "m.parquet")
    write_manifest(place, songs(11))
    with Manifest.open(place) as found:
        bounds = [i * 11 // count for i in range(count + 1)]
        parts = [found.sources(*pair) for pair in pairwise(bounds)]
    assert [song for part in parts for song in part] == songs(11)


def test_a_shard_reads_its_own_row_groups_only(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "GROUP_ROWS", 4)
    place = str(tmp_path / "m.parquet")
    write_manifest(place, songs(40))
    read = []
    group = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda s, i, **k: read.append(i) or group(s, i, **k)
    )
    assert len(rows(place, 9, 14)) == 5
    assert read == [2, 3]


def test_the_time_of_a_table_of_ones_own_is_that_of_its_file(tmp_path):
    place = tmp_path / "m.csv"
    place.write_text("path\nsong.mp3\n")
    os.utime(place, ns=(0, 1_700_000_000_123_456_789))
    with Manifest.open(str(place)) as found:
        assert found.created_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


def test_a_csv_needs_a_path_and_nothing_else(tmp_path):
    place = tmp_path / "m.csv"
    place.write_text("uri,size,mtime_ns\nb/one.mp3,12,\n/abs/two.mp3,,7\ns3://b/three.mp3,3,4\n")
    found = rows(place)
    assert [(s.song_id, s.path, s.size, s.mtime_ns) for s in found] == [
        ("b/one.mp3", f"{tmp_path}/b/one.mp3", 12, -1),
        ("/abs/two.mp3", "/abs/two.mp3", -1, 7),
        ("s3://b/three.mp3", "s3://b/three.mp3", 3, 4),
    ]
    assert found[0].uri == f"{tmp_path}/b/one.mp3"


def test_an_errors_file_is_a_manifest_of_what_failed():
    found = rows("fixtures/formats/errors-v1.parquet")
    assert found
    assert all(s.song_id and s.path for s in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nsong.mp3\n", "no column path or uri"),
        ("path,song_id\na.mp3,1\n,2\n", "row 2 has no path"),
        ("path,song_id\na.mp3,1\nb.mp3,1\n", "two rows have the song_id '1': .*a.mp3 and .*b.mp3"),
        ("path,size\na.mp3,many\n", "row 1: invalid literal"),
        ("path\n\xff\n", "cannot read the manifest"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_clear_line(tmp_path, text, message):
    place = tmp_path / "m.csv"
    place.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as caught:
        rows(place)
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.parquet", "song.parquet"])
def test_no_file_and_no_table(tmp_path, name):
    (tmp_path / "song.parquet").write_bytes(b"fLaC" * 9)
    with pytest.raises(InputError, match=f"{name}: cannot read the manifest"):
        rows(tmp_path / name)


def test_a_name_that_is_not_utf8_comes_back_as_the_same_file(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "one.flac").write_bytes(b"fLaC" + bytes(90))
    found = find_songs([tmp_path])
    write_manifest(str(tmp_path / "m.parquet"), found)
    again = rows(tmp_path / "m.parquet")
    assert again == found
    assert with_current_stat(again[0]).size == 94


def test_a_folder_that_could_not_be_listed_comes_back_with_its_reason(tmp_path):
    closed = Source("rock/", "/m/rock", "/m/rock", -1, -1, "permission denied")
    gone = Source("a.mp3", f"{tmp_path}/a.mp3", f"{tmp_path}/a.mp3", -1, -1, "no such file")
    place = str(tmp_path / "m.parquet")
    write_manifest(place, [closed, gone])
    assert rows(place) == [closed, gone]
    assert with_current_stat(closed) is closed
    (tmp_path / "a.mp3").write_bytes(b"12")
    assert (with_current_stat(gone).size, with_current_stat(gone).problem) == (2, "")
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("path,problem\na.mp3,too loud\n")
    assert rows(theirs)[0].problem == ""


def test_a_local_song_is_looked_at_and_one_elsewhere_is_not(tmp_path):
    song = tmp_path / "a.mp3"
    song.write_bytes(b"12345")
    assert with_current_stat(Source("a", str(song), str(song), -1, -1)).size == 5
    remote = Source("b", "s3://b/a.mp3", "s3://b/a.mp3", 7, 8)
    assert with_current_stat(remote) is remote


def test_a_bucket_is_listed_and_its_manifest_lies_in_it():
    with s3_server() as bucket:
        for name in ("pop/a.mp3", "pop/b.FLAC", "pop/cover.jpg", "live/c.ogg"):
            write(join(bucket, f"music/{name}"), name.encode())
        found = find_sources([f"{bucket}/music"], exclude=["live/*"])
        assert [(s.song_id, s.uri, s.size) for s in found] == [
            ("pop/a.mp3", f"{bucket}/music/pop/a.mp3", 9),
            ("pop/b.FLAC", f"{bucket}/music/pop/b.FLAC", 10),
        ]
        assert found[0].mtime_ns > 0
        write_manifest(f"{bucket}/lists/m.parquet", found, created_at=AT)
        assert rows(f"{bucket}/lists/m.parquet") == found
        write(f"{bucket}/lists/relative.csv", b"path\n../odd.mp3\nx.mp3\n")
        assert rows(f"{bucket}/lists/relative.csv")[1].path == f"{bucket}/lists/x.mp3"
        with Manifest.open(f"{bucket}/lists/relative.csv") as theirs:
            assert theirs.created_at.year >= 2024


def test_two_places_with_one_id_are_refused(tmp_path):
    needs("fsspec")
    write("memory://mani/a.mp3", b"1")
    (tmp_path / "a.mp3").write_bytes(b"2")
    with pytest.raises(InputError, match=r"two files have the song id 'a.mp3'"):
        find_sources([str(tmp_path), "memory://mani"])


def test_the_stored_sample_of_version_1_is_still_read():
    with Manifest.open("fixtures/formats/manifest-v1.parquet") as found:
        assert (len(found), found.created_at) == (3, AT)
        songs = found.sources(0, 3)
    assert [s.song_id for s in songs] == ["a/1.mp3", "b/2.flac", "caf\\xe9.wav"]
    assert songs[0] == Source("a/1.mp3", "/music/a/1.mp3", "/music/a/1.mp3", 5, 10**18)
    assert songs[1].path == "s3://bucket/b/2.flac"
    assert songs[2].path == "/music/caf\udce9.wav"


def test_our_schema_says_what_may_be_missing():
    nullable = {field.name: field.nullable for field in manifest.SCHEMA}
    assert nullable == {
        "path": False,
        "song_id": False,
        "size": False,
        "mtime_ns": False,
        "path_bytes": True,
        "problem": True,
    }
    assert manifest.SCHEMA.field("path_bytes").type == pa.binary()
