"""Small files of WMA, Matroska, DSD and Musepack that hold far too much, or never end."""

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from audiorec.audio.decode import content_hash, decode
from audiorec.audio.tags import read_tags
from audiorec.errors import SongError
from audiorec.types import Status

FOLDER = Path(__file__).parents[2] / "fixtures" / "codecs"
CONTENT = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")  # values of an ASF header


def syncsafe(length):
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def bomb() -> bytes:
    """An ID3 tag of 48 kB that unfolds to 48 MB."""
    content = struct.pack(">I", 48 << 20) + zlib.compress(bytes(48 << 20))
    frame = b"GEOB" + syncsafe(len(content)) + b"\0\x09" + content
    return b"ID3\x04\0\0" + syncsafe(len(frame)) + frame


def wma(path: Path) -> None:
    data, name, tag = (FOLDER / "tabla-v2.wma").read_bytes(), "ID3\0".encode("utf-16-le"), bomb()
    value = struct.pack("<H", len(name)) + name + struct.pack("<HH", 1, len(tag)) + tag
    extra = CONTENT + struct.pack("<QH", 26 + 8 * len(value), 8) + 8 * value
    length, count = struct.unpack_from("<QI", data, 16)
    head = data[:16] + struct.pack("<QI", length + len(extra), count + 1) + data[28:length]
    path.write_bytes(head + extra + data[length:])


def mka(path: Path) -> None:
    """Two attachments of 40 MB each, in front of the audio."""
    data = (FOLDER / "tabla-vorbis.mka").read_bytes()
    at = data.index(bytes.fromhex("1f43b675"))

    def element(kind: str, content: bytes) -> bytes:
        return bytes.fromhex(kind) + (len(content) | 1 << 56).to_bytes(8, "big") + content

    noise = np.random.default_rng(0).bytes(40 << 20)
    parts = element("466e", b"a.ttf"), element("4660", b"font/ttf"), element("465c", noise)
    file = element("61a7", b"".join((*parts, element("46ae", b"\x07"))))
    path.write_bytes(data[:at] + element("1941a469", 2 * file) + data[at:])


def dsd_octets(seconds: float) -> bytes:
    return np.random.default_rng(0).bytes(round(88_200 * seconds))  # 705.6 kHz


def dsf(path: Path) -> None:
    audio, tag = dsd_octets(3.5).ljust(76 * 4_096, b"\x69"), bomb()
    head = struct.pack("<4sQQQ", b"DSD ", 28, 92 + len(audio) + len(tag), 92 + len(audio))
    numbers = (b"fmt ", 52, 1, 0, 1, 1, 705_600, 1, 8 * len(audio), 4_096, 0)
    form = struct.pack("<4sQIIIIIIQII", *numbers)
    path.write_bytes(head + form + struct.pack("<4sQ", b"data", 12 + len(audio)) + audio + tag)


def dff(path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">4sQ", kind, len(content)) + content + bytes(len(content) % 2)

    sound = chunk(b"FS  ", struct.pack(">I", 705_600)) + chunk(b"CHNL", b"\0\x01C000")
    properties = chunk(b"PROP", b"SND " + sound + chunk(b"CMPR", b"DSD \0\0"))
    version = chunk(b"FVER", bytes((1, 5, 0, 0)))
    audio = chunk(b"DSD ", dsd_octets(3.5))
    path.write_bytes(
        chunk(b"FRM8", b"DSD " + version + properties + chunk(b"ID3 ", bomb()) + audio)
    )


@pytest.mark.parametrize("make", [wma, mka, dsf, dff], ids=lambda make: make.__name__)
def test_what_no_one_asked_for_is_neither_unpacked_nor_kept(tmp_path, make, peak_mib):
    path = tmp_path / "song"
    make(path)
    decode(FOLDER / "tabla-v2.wma", lambda blocks: sum(map(len, blocks)))  # libraries are loaded
    with peak_mib() as peak:
        n_samples, info = decode(path, lambda blocks: sum(map(len, blocks)))
        read_tags(path)
        content_hash(path)
    assert (info.status, n_samples > 48_000) == (Status.OK, True)
    assert peak.grown < 40


def test_a_musepack_without_a_count_of_frames_ends(tmp_path):
    data = bytearray((FOLDER / "tabla-sv7.mpc").read_bytes())
    data[4:8] = bytes(4)
    (tmp_path / "a.mpc").write_bytes(data)
    n_samples, info = decode(tmp_path / "a.mpc", lambda blocks: sum(map(len, blocks)))
    assert info.packet_errors < 20_000
    assert n_samples == pytest.approx(4.6 * 16_000, abs=1_000)


def test_lengths_beyond_any_file_end_in_a_status_or_a_typed_error(tmp_path):
    for name in ("tabla-sv8.mpc", "tabla-v2.wma", "tabla-vorbis.mka", "tabla.ape", "tabla.wv"):
        data = bytearray((FOLDER / name).read_bytes())
        for at in range(4, 120, 4):
            data[at : at + 4] = b"\xff" * 4
            (tmp_path / "a").write_bytes(data)
            with suppress(SongError):  # and no other error
                decode(tmp_path / "a", lambda blocks: sum(map(len, blocks)))
            read_tags(tmp_path / "a")
            assert content_hash(tmp_path / "a") != content_hash(FOLDER / name)
