"""`audiorec.audio.boxes`: encryption, wholeness, and files that make no sense."""

import io
import struct
import time

import pytest

from audiorec.audio.boxes import boxes, inspect_mp4


def box(kind: bytes, content: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(content) if length is None else length) + kind + content


def track(entry: bytes) -> bytes:
    stsd = box(b"stsd", bytes(8) + box(entry, bytes(28)))
    path = box(b"stbl", box(b"stts", bytes(4)) + stsd)
    return box(b"trak", box(b"tkhd", bytes(9)) + box(b"mdia", box(b"minf", path)))


def mp4(*entries: bytes, mdat: int = 50) -> bytes:
    moov = box(b"moov", box(b"mvhd", bytes(100)) + b"".join(track(e) for e in entries))
    return box(b"ftyp", b"M4A \0\0\0\0") + moov + box(b"mdat", bytes(mdat))


def inspect(data: bytes) -> tuple[bytes | None, bool, bool]:
    return tuple(inspect_mp4(io.BytesIO(data), len(data)))


@pytest.mark.parametrize("entry", [b"drms", b"enca", b"encv", b"aavd"])
def test_encrypted_entries_are_found_in_any_track(entry):
    assert inspect(mp4(b"mp4a", entry)) == (entry, True, False)


def test_clear_entries():
    assert inspect(mp4(b"mp4a", b"alac")) == (None, True, False)


def test_the_word_alone_is_no_encryption():
    data = mp4(b"mp4a") + box(b"free", b"\0\0\0\x20drmsenca")
    assert inspect(data) == (None, True, False)


@pytest.mark.parametrize("length", [2**62, 2**63 - 1, 2**63 + 5, 2**64 - 1])
def test_a_length_that_no_file_has_ends_the_walk(tmp_path, length):
    """No seek follows it: a disk would call that an invalid argument."""
    data = mp4(b"mp4a") + struct.pack(">I4sQ", 1, b"free", length) + bytes(40)
    assert inspect(data) == (None, True, True)
    path = tmp_path / "a.m4a"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert inspect_mp4(file, len(data)) == (None, True, True)


def test_cut_in_the_samples_and_before_the_index():
    assert inspect(mp4(b"mp4a")[:-1]) == (None, True, True)
    late = box(b"ftyp", bytes(8)) + box(b"mdat", bytes(99)) + box(b"moov")
    assert inspect(late[:60]) == (None, False, True)


def test_lengths_of_64_bits_and_to_the_end():
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 40) + bytes(40)
    data = long + mp4(b"drms")
    assert inspect(data)[0] == b"drms"
    assert [b.kind for b in boxes(io.BytesIO(data), 0, len(data))] == [
        b"mdat", b"ftyp", b"moov", b"mdat",
    ]  # fmt: skip
    to_end = mp4(b"mp4a") + box(b"free", bytes(20), length=0)
    assert inspect(to_end) == (None, True, False)


@pytest.mark.parametrize("length", [2, 7])
def test_a_box_shorter_than_its_header_ends_the_walk(length):
    assert inspect(box(b"moov", length=length) + mp4(b"drms")) == (None, False, False)


def test_a_hostile_number_of_boxes_costs_little_time():
    data = box(b"moov", b"".join(track(b"mp4a") for _ in range(3_000))) + box(b"free") * 200_000
    start = time.process_time()
    inspect(data)
    assert time.process_time() - start < 1.0
