"""`audiorec.audio.sniff`: frame lengths by hand, counts, chains."""

import struct

import numpy as np
import pytest
from odd_files import encode, mp3, music, sound

from audiorec.audio.headers import Header
from audiorec.audio.sniff import adts_length, find_mpeg, is_adts, mpeg_frame, read_mp3


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # MPEG-1 layer III, 128 kbit/s, 44.1 kHz, no padding: floor(144 * 128000 / 44100).
        ("fffb9000", (417, 1152, 44_100, 36)),
        ("fffb9200", (418, 1152, 44_100, 36)),  # padded
        ("fffb90c0", (417, 1152, 44_100, 21)),  # mono: 17 bytes of side information
        ("fffbe400", (960, 1152, 48_000, 36)),  # 320 kbit/s at 48 kHz
        ("fff38000", (208, 576, 22_050, 21)),  # MPEG-2, 64 kbit/s: floor(72 * 64000 / 22050)
        ("ffe318c0", (72, 576, 8_000, 13)),  # MPEG-2.5, 8 kbit/s, mono
        ("fffda000", (626, 1152, 44_100, 36)),  # layer II, 192 kbit/s
        ("ffff9200", (316, 384, 44_100, 36)),  # layer I, 288 kbit/s, padded: 4 * (78 + 1)
    ],
)
def test_frame_headers_by_hand(header, expected):
    assert mpeg_frame(bytes.fromhex(header), 0) == expected


@pytest.mark.parametrize(
    "header",
    ["fffbf000", "fffb0000", "fffb9c00", "ffeb9000", "fff99000", "fedb9000", "ff1b9000", "fffb90"],
    ids=["bitrate", "free", "rate", "version", "layer", "sync", "sync2", "end"],
)
def test_no_frame_headers(header):
    assert mpeg_frame(bytes.fromhex(header), 0) is None


def test_a_real_file_is_a_chain_of_frames(tmp_path):
    mp3(tmp_path / "a.mp3")
    data = (tmp_path / "a.mp3").read_bytes()
    at, n_samples = 0, 0
    while (frame := mpeg_frame(data, at)) is not None:
        at += frame.length
        n_samples += frame.n_samples
    assert at == len(data)
    assert n_samples >= 4 * 44_100


def test_the_count_less_delay_and_padding_is_exact(tmp_path):
    for i, channels in enumerate((1, 2)):
        path = tmp_path / f"{i}.mp3"
        mp3(path, music(seconds=3.217, channels=channels), vbr=bool(i))
        data = path.read_bytes()
        header = read_mp3(data, len(data))
        assert header.claimed_s == pytest.approx(3.217, abs=1 / 44_100)
        assert (header.suits_soundfile, header.cut) == (True, False)
        assert read_mp3(data, len(data) // 2).cut


def test_mpeg_2_has_another_side_information(tmp_path):
    sound(tmp_path / "a", music(rate=22_050), 22_050, kind="MP3", subtype="MPEG_LAYER_III")
    data = (tmp_path / "a").read_bytes()
    assert read_mp3(data, len(data)).claimed_s == pytest.approx(4.0, abs=1e-3)


def test_without_a_count_nothing_is_claimed(tmp_path):
    mp3(tmp_path / "a.mp3", xing=False)
    data = (tmp_path / "a.mp3").read_bytes()
    assert read_mp3(data, len(data)) == Header(suits_soundfile=False)


def test_a_count_that_is_too_small_is_not_believed(tmp_path):
    mp3(tmp_path / "a.mp3")
    data = (tmp_path / "a.mp3").read_bytes()
    header = read_mp3(data, 2 * len(data))
    assert (header.claimed_s, header.suits_soundfile) == (None, False)


def test_vbri():
    frame = bytes.fromhex("fffb9000") + bytes(32)
    frame += b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 50_000, 441) + bytes(300)
    header = read_mp3(frame, 50_000)
    assert header.claimed_s == pytest.approx(441 * 1152 / 44_100)
    assert (header.suits_soundfile, header.cut) == (False, False)
    assert read_mp3(frame, 20_000).cut


def test_find_skips_what_only_looks_like_a_frame(tmp_path):
    mp3(tmp_path / "a.mp3")
    data = (tmp_path / "a.mp3").read_bytes()
    junk = bytes.fromhex("fffb9000") + bytes(500)
    assert find_mpeg(junk + data, is_whole=True) == len(junk)
    assert find_mpeg(junk, is_whole=True) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_mp3(seed):
    noise = np.random.default_rng(seed).bytes(1 << 17)
    assert find_mpeg(noise, is_whole=True) is None
    assert not is_adts(b"\xff\xf1" + noise, is_whole=True)


def test_one_frame_is_enough_only_where_it_fits(tmp_path):
    frame = bytes.fromhex("fffb9000") + bytes(413)
    assert find_mpeg(frame, is_whole=True) == 0
    assert find_mpeg(frame, is_whole=False) is None
    assert find_mpeg(frame[:-1], is_whole=True) is None


def test_adts(tmp_path):
    encode(tmp_path / "a.aac", codec="aac", container="adts")
    data = (tmp_path / "a.aac").read_bytes()
    assert is_adts(data[:4_000], is_whole=False)
    assert mpeg_frame(data, 0) is None
    # fff1 50 80 1f fc: 13 bits of length from the fourth byte on, 000 11111 111 = 255.
    assert adts_length(bytes.fromhex("fff150801ffcfc"), 0) == 0b0000011111111
    assert adts_length(bytes.fromhex("fff174801ffcfc"), 0) is None  # rate index 13
