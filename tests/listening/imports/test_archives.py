"""`listening.imports.archives`: every way a zip can be packed, and every way one can lie."""

import bz2
import io
import json
import lzma
import os
import struct
import zipfile

import made_exports as made
import pytest
from made_zip import LZMA_FILTER, LZMA_HEAD, NAME, write_zip

from audiorec.errors import DamagedFileError, InputError
from audiorec.listening.imports.archives import members
from audiorec.listening.imports.job import import_history

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
STREAMS = json.dumps(
    [made.stream("2024-03-01T12:00:15Z", 15_000, "A", f"song {n}") for n in range(400)]
).encode()


def content(path):
    (member,) = members([path], r"\.json$")
    with member.open() as file:
        return file.read()


def packed(method, data, mode="w"):
    with zipfile.ZipFile(memory := io.BytesIO(), mode, method) as archive:
        archive.writestr(NAME, data)
    return memory.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_a_zip_is_read_however_it_is_packed(tmp_path, method):
    path = tmp_path / "export.zip"
    path.write_bytes(packed(method, STREAMS))
    assert import_history("spotify", [path], tmp_path / "plays.parquet").plays == 400
    (member,) = members([path], r"\.json$")
    with member.open() as file:
        assert file.read(7) == STREAMS[:7]
        assert file.tell() == 7
        file.seek(0)  # as readers do that look at the first line
        assert file.read() == STREAMS
        assert file.read(1) == b""
    with member.open() as file:
        assert list(file) == [STREAMS]


def test_lzma_without_an_end_mark_and_an_empty_file(tmp_path):
    raw = lzma.compress(STREAMS, lzma.FORMAT_ALONE, filters=[LZMA_FILTER])
    stream = raw[13:]  # behind the head of the format .lzma
    path = write_zip(
        *(tmp_path / "e.zip", LZMA_HEAD + stream, zipfile.ZIP_LZMA, len(STREAMS)),
        crc=zipfile.crc32(STREAMS),
    )
    assert content(path) == STREAMS
    (tmp_path / "e.zip").write_bytes(packed(zipfile.ZIP_BZIP2, b""))
    assert content(tmp_path / "e.zip") == b""


def lies(path):
    """Yield zips that are not what they say, and what is said of each."""
    bz, xz = bz2.compress(STREAMS), packed(zipfile.ZIP_LZMA, STREAMS)
    n, crc = len(STREAMS), zipfile.crc32(STREAMS)
    yield "cut", write_zip(path, bz[:40], 12, n, crc=crc), "ends too early"
    yield "longer", write_zip(path, bz, 12, n + 5, crc=crc), "ends too early"
    yield "other bytes", write_zip(path, bz, 12, n, crc=1), "its checksum is wrong"
    yield "no bzip2", write_zip(path, b"x" * 99, 12, n), "cannot be read"
    yield "no lzma", write_zip(path, LZMA_HEAD + b"\xff" * 99, 14, n), "cannot be unpacked"
    yield "short lzma", write_zip(path, b"\x09\x04", 14, n), "properties cannot be read"
    yield "odd lzma", write_zip(path, b"\x09\x04\xff\xff" + b"x" * 99, 14, n), "properties"
    huge = b"\x09\x04\x05\x00\x5d\xff\xff\xff\xff"  # a dictionary of 4 GiB
    yield "huge lzma", write_zip(path, huge + bytes(99), 14, n), "cannot be unpacked"
    yield "deflate", write_zip(path, b"x" * 99, 8, n), "cannot be read"
    for method in (1, 6, 9, 93, 95, 97, 98, 99):
        yield f"method {method}", write_zip(path, bz, method, n), f"packed by method {method}"
    yield "encrypted", write_zip(path, bz, 12, n, flags=1), "is encrypted"
    yield "encrypted", write_zip(path, bz, 8, n, flags=1), "is encrypted"
    yield "strongly encrypted", write_zip(path, bz, 12, n, flags=0x41), "encryption"
    yield "patched", write_zip(path, bz, 8, n, flags=0x20), "patched data"
    yield "later", write_zip(path, bz, 12, n, version=99), "version"
    yield "beyond the end", write_zip(path, bz, 12, n, packed_claim=1 << 20), "larger than itself"
    path.write_bytes(xz[:-30])
    yield "no directory", path, "is not a zip, or is damaged"


def test_a_zip_that_lies_is_one_line(tmp_path):
    for name, path, message in lies(tmp_path / "export.zip"):
        with pytest.raises(InputError, match=message) as caught:
            import_history("spotify", [path], tmp_path / "plays.parquet")
        assert "\n" not in str(caught.value), name
        assert str(path) in str(caught.value), name
    assert [one.name for one in tmp_path.iterdir()] == ["export.zip"]


def test_members_that_lie_over_each_other_are_refused(tmp_path):
    """A directory may name one place a thousand times: bombs of quadratic size are made so."""
    path = tmp_path / "export.zip"
    path.write_bytes(packed(zipfile.ZIP_STORED, STREAMS))
    whole = path.read_bytes()
    at = whole.index(b"PK\1\2")
    entry, end = whole[at:-22], bytearray(whole[-22:])
    end[8:16] = struct.pack("<HHI", 50, 50, 50 * len(entry))
    path.write_bytes(whole[:at] + 50 * entry + end)
    with pytest.raises(DamagedFileError, match=r"larger than itself|verlap"):
        import_history("spotify", [path], tmp_path / "plays.parquet")


def test_the_directory_of_a_zip_is_read_once(tmp_path, monkeypatch):
    path, opened = tmp_path / "export.zip", []
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(300):
            archive.writestr(f"endsong_{n}.json", STREAMS[:300])
    read = zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", lambda self: opened.append(read(self)))
    for member in members([path], r"\.json$"):
        with member.open() as file:
            assert file.read() == STREAMS[:300]
    assert len(opened) == 1


def test_a_pipe_called_zip_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "export.zip")
    with pytest.raises(InputError, match="is not a file"):
        members([tmp_path / "export.zip"], r"\.json$")


def test_a_user_that_is_nested_without_end_names_nobody(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "user.json").write_text('{"user_name":' + "[" * 60_000)
    listen = json.dumps(made.listen(made.NOON, "A", "B"))
    (tmp_path / "export" / "1.jsonl").write_text(listen)
    found = import_history("listenbrainz", [tmp_path / "export"], tmp_path / "plays.parquet")
    assert (found.plays, found.users) == (1, 1)
