"""`audiorec.files.storage`: the same promises on a disk, in memory and in an object store."""

import math
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs
from object_store import s3_server

from audiorec.errors import InputError, MissingExtraError, StoreError
from audiorec.files import storage
from audiorec.files.storage import (
    check_writable,
    exists,
    fetch,
    files_in,
    find,
    is_uri,
    join,
    opened,
    parent,
    put,
    read,
    remove,
    size_bytes,
    time_ns,
    within_int64,
    write,
)


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as uri:
        yield uri


@pytest.fixture(params=["disk", "file", "memory", "s3"])
def folder(request, tmp_path) -> str:
    """A folder of its own in each kind of store."""
    if request.param in ("disk", "file"):
        prefix = "" if request.param == "disk" else "file://"
        return f"{prefix}{tmp_path}/store"
    needs("fsspec")
    root = "memory://" if request.param == "memory" else request.getfixturevalue("bucket")
    return join(root, uuid4().hex)


def names(folder):
    return [entry.name for entry in files_in(folder)]


def test_what_is_written_is_read_and_found(folder):
    place = join(folder, "deep/ünï.json")
    assert read(place, max_bytes=100) is None
    write(place, b"one")
    write(place, b"three")
    assert read(place, max_bytes=5) == b"three"
    entry = find(place)
    assert (entry.size, entry.name) == (5, "ünï.json")
    assert entry.mtime_ns > 1_600_000_000 * 10**9
    assert exists(place)
    assert not exists(join(folder, "deep/other"))


def test_a_small_file_that_is_not_small_is_refused(folder):
    write(join(folder, "big"), b"123456")
    with pytest.raises(StoreError, match="larger than 5 bytes"):
        read(join(folder, "big"), max_bytes=5)


def test_files_are_listed_by_name_with_their_sizes(folder):
    assert files_in(folder) == []
    for name in ("b/two", "a", "b/one"):
        write(join(folder, name), name.encode())
    found = files_in(folder)
    assert [(e.name, e.size) for e in found] == [("a", 1), ("b/one", 5), ("b/two", 5)]
    assert read(found[2].place, max_bytes=9) == b"b/two"


def test_put_moves_a_file_whole(folder, tmp_path):
    local = tmp_path / "made.parquet"
    local.write_bytes(bytes(range(256)) * 100)
    put(local, join(folder, "part.parquet"))
    assert not local.exists()
    assert names(folder) == ["part.parquet"]
    with opened(join(folder, "part.parquet")) as file:
        file.seek(256 * 99 + 7)
        assert file.read(2) == b"\x07\x08"


def test_a_put_that_fails_leaves_the_old_content(folder, tmp_path):
    place = join(folder, "part")
    write(place, b"old")
    with pytest.raises((StoreError, OSError)):
        put(tmp_path / "not there", place)
    assert read(place, max_bytes=9) == b"old"
    assert names(folder) == ["part"]


def test_fetch_copies_up_to_the_limit_and_leaves_nothing_beyond_it(folder, tmp_path):
    write(join(folder, "song.mp3"), b"x" * 1000)
    fetch(join(folder, "song.mp3"), tmp_path / "copy", max_bytes=1000)
    assert (tmp_path / "copy").read_bytes() == b"x" * 1000
    with pytest.raises(StoreError, match="larger than the limit of 999 bytes"):
        fetch(join(folder, "song.mp3"), tmp_path / "second", max_bytes=999)
    with pytest.raises(StoreError, match="no such file"):
        fetch(join(folder, "gone.mp3"), tmp_path / "third", max_bytes=999)
    assert not (tmp_path / "second").exists()
    assert not (tmp_path / "third").exists()


def test_a_file_that_grows_while_it_is_fetched_is_refused(tmp_path, monkeypatch):
    song = tmp_path / "song"
    song.write_bytes(b"x" * 50)
    before = storage.find(str(song))
    song.write_bytes(b"x" * 5000)
    monkeypatch.setattr(storage, "find", lambda _place: before)
    with pytest.raises(StoreError, match="larger than the limit"):
        fetch(str(song), tmp_path / "copy", max_bytes=100)


def test_remove_and_the_probe_leave_nothing(folder):
    write(join(folder, "a"), b"")
    check_writable(folder)
    assert names(folder) == ["a"]
    remove(join(folder, "a"))
    assert names(folder) == []


def test_who_may_write_and_not_remove_may_write(folder, monkeypatch):
    def forbidden(place):
        raise StoreError(f"{place}: cannot be removed: AccessDenied")

    monkeypatch.setattr(storage, "remove", forbidden)
    check_writable(folder)
    check_writable(folder)
    assert names(folder) == [storage.PROBE]


def test_a_file_in_a_folders_place_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file: cannot be written"):
        check_writable(str(tmp_path / "file"))


def test_a_bucket_that_is_not_there(bucket):
    with pytest.raises(StoreError, match="cannot be written"):
        write("s3://no-such-bucket/a", b"")
    with pytest.raises(StoreError, match="cannot be opened"), opened(f"{bucket}/nothing"):
        pass


def test_a_listing_sees_what_another_wrote_since(bucket):
    import fsspec

    folder = f"{bucket}/{uuid4().hex}"
    write(f"{folder}/mine", b"1")
    assert names(folder) == ["mine"]
    other = fsspec.filesystem("s3", skip_instance_cache=True)
    other.pipe_file(f"{folder}/theirs", b"2")
    assert names(folder) == ["mine", "theirs"]
    assert exists(f"{folder}/theirs")


@pytest.mark.parametrize("place", ["http://host/a", "zip::s3://b/a", "ssh://host/a", "s3:/x://y"])
def test_places_of_other_kinds_are_refused(place):
    with pytest.raises(InputError, match="unsupported protocol"):
        exists(place)


def test_without_fsspec_paths_work_and_uris_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    write(str(tmp_path / "a"), b"1")
    with pytest.raises(MissingExtraError, match=r'needs the extra "cloud"'):
        write("memory://a", b"1")


def test_places_are_joined_and_divided():
    assert join("vecs", "/abs/song.mp3") == "/abs/song.mp3"
    assert join("", "song.mp3") == "song.mp3"
    assert join("s3://b/", "a//b") == "s3://b/a//b"
    assert parent("s3://b/m.parquet") == "s3://b"
    assert parent("/lists/m.parquet") == "/lists"
    assert is_uri(Path("a")) is False


@given(st.integers(-(1 << 80), 1 << 80))
def test_every_time_fits_and_the_next_one_differs(nanoseconds):
    found = within_int64(nanoseconds)
    assert -(1 << 63) <= found < 1 << 63
    assert found != within_int64(nanoseconds + 1)
    if -(1 << 63) <= nanoseconds < 1 << 63:
        assert found == nanoseconds


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, -1),
        (math.nan, -1),
        (math.inf, -1),
        ("yesterday", -1),
        (0, 0),
        (1_700_000_000, 1_700_000_000 * 10**9),
        (1_700_000_000.5, 1_700_000_000_500_000_000),
        (datetime(2024, 2, 29, 12, 30, 15, 123456), 1_709_209_815_123_456_000),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -(10**9)),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
    ],
)
def test_times_of_object_stores(changed, expected):
    assert time_ns(changed) == expected


@pytest.mark.parametrize("changed", [1e300, -1e300, 10**30, datetime.max, datetime.min])
def test_absurd_times_of_object_stores_fit(changed):
    assert -(1 << 63) <= time_ns(changed) < 1 << 63


@pytest.mark.parametrize(
    ("size", "expected"), [(None, -1), (7, 7), (7.0, 7), (-3, -1), (math.nan, -1), (1 << 63, -1)]
)
def test_sizes_of_object_stores(size, expected):
    assert size_bytes(size) == expected
