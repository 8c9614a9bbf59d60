"""`audiorec.audio.pyav_reader`: sample formats, whitelists, damage."""

import errno
import io
import os
from types import SimpleNamespace

import av
import numpy as np
import pytest
from odd_files import LAYOUTS, encode, music, patch, sound

from audiorec.audio.headers import Header
from audiorec.audio.pyav_reader import (
    PyavReader,
    _join,
    _Part,
    _to_float,
    audio_stream,
    codec_name,
    open_container,
)
from audiorec.audio.readers import BLOCK_FRAMES, DecoderError, RawBlock
from audiorec.audio.sniff import Container, Sniffed, open_regular, sniff
from audiorec.errors import Failure


def read(path) -> tuple[list[RawBlock], PyavReader]:
    with open_regular(path) as file:
        reader = PyavReader(file, sniff(path))
        return list(reader.blocks()), reader


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        ("u8", np.uint8, [0, 64, 128, 255]),
        ("s16", np.int16, [-(2**15), -(2**14), 0, 2**15 - 1]),
        ("s32", np.int32, [-(2**31), -(2**30), 0, 2**31 - 1]),
        ("flt", np.float32, [-1.0, -0.5, 0.0, 0.9999]),
        ("dbl", np.float64, [-1.0, -0.5, 0.0, 0.9999]),
    ],
)
@pytest.mark.parametrize("is_planar", [False, True])
def test_every_sample_format_has_full_scale_one(kind, dtype, values, is_planar):
    data = np.array([values, values[::-1]], dtype)  # (channels, n)
    raw = data if is_planar else np.ascontiguousarray(data.T).reshape(1, -1)
    name = kind + "p" * is_planar
    frame = av.AudioFrame.from_ndarray(raw, format=name, layout="stereo")
    expected = np.array([-1.0, -0.5, 0.0, 1.0])
    found = _to_float(frame)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [expected, expected[::-1]], atol=0.01)
    np.testing.assert_array_equal(found[0, :3], np.float32(expected[:3]))


def write_opus(path, samples):
    family = {"mapping_family": "1"}
    encode(path, samples, 48_000, codec="libopus", container="ogg", codec_options=family)


SURROUND = {  # how files of one to eight channels are made, by their codec
    "opus": write_opus,
    "vorbis": lambda path, samples: sound(path, samples, 48_000, kind="OGG", subtype="VORBIS"),
    "aac": lambda path, samples: encode(path, samples, 48_000, codec="aac", container="mp4"),
    "flac": lambda path, samples: encode(path, samples, 48_000, codec="flac", container="ogg"),
}


@pytest.mark.parametrize("channels", sorted(LAYOUTS))
@pytest.mark.parametrize("codec", SURROUND)
def test_one_to_eight_channels_of_every_codec(tmp_path, codec, channels):
    """PyAV itself reads a ninth plane of eight and dies of it."""
    samples = music(seconds=2.0, rate=48_000, channels=channels)
    SURROUND[codec](tmp_path / "song", samples)
    blocks, reader = read(tmp_path / "song")
    found = np.concatenate([block.samples for block in blocks])
    assert (reader.codec, reader.packet_errors) == (codec, 0)
    assert found.shape[1] == channels
    assert abs(len(found) - len(samples)) <= 2_048
    if codec == "flac":
        np.testing.assert_allclose(found, samples, atol=2 / 2**15)
    # The bass channel is cut off above 120 Hz; all others sound as loud as they did.
    loud = np.sort(found.std(axis=0) / samples.std(axis=0).mean())
    assert (loud[channels > 5 :] > 0.7).all()
    assert (loud < 1.3).all()


def test_a_sample_format_outside_the_list_is_refused():
    frame = av.AudioFrame(format="s64", layout="mono", samples=8)
    with pytest.raises(DecoderError, match="sample format s64 is not supported"):
        _to_float(frame)


def test_join_cuts_where_the_stream_changes():
    def frame(n: int, layout: str, rate: int) -> av.AudioFrame:
        channels = {"mono": 1, "stereo": 2}[layout]
        made = av.AudioFrame.from_ndarray(
            np.zeros((channels, n), np.float32), format="fltp", layout=layout
        )
        made.sample_rate = rate
        return made

    frames = [frame(1_000, "stereo", 44_100)] * 2 + [frame(500, "mono", 44_100)]
    frames += [frame(300, "mono", 22_050)] + [frame(BLOCK_FRAMES // 2 + 1, "mono", 22_050)] * 2
    found = [(b.samples.shape, b.sample_rate) for b in _join(iter(frames))]
    assert found == [
        ((2_000, 2), 44_100), ((500, 1), 44_100), ((BLOCK_FRAMES, 1), 22_050), ((302, 1), 22_050),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codec"),
    [("pcm16.caf", "pcm_s16"), ("cbr_no_count.mp3", "mp3"), ("layer2.mp2", "mp2"),
     ("opus.opus", "opus"), ("alac.m4a", "alac")],
)  # fmt: skip
def test_codec_names(name, codec, odd):
    with open_regular(odd[name].path) as file, open_container(file, end=10**9) as container:
        assert codec_name(audio_stream(container)) == codec


def test_a_script_cannot_open_another_file(odd):
    path = odd["script.mp3"].path
    with av.open(str(path)) as container:  # FFmpeg alone follows it
        assert container.format.name == "concat"
        assert sum(frame.samples for frame in container.decode(audio=0)) > 100_000
    # `sniff` keeps scripts away; the whitelist is the second lock.
    with open_regular(path) as file, pytest.raises(DecoderError, match="invalid argument"):
        open_container(file, end=10**9).__enter__()


@pytest.mark.parametrize("container", ["nut", "mpegts"])
def test_containers_outside_the_list_are_not_opened(tmp_path, container):
    path = tmp_path / "a.mp3"
    encode(path, codec="aac", container=container)
    av.open(str(path)).close()  # FFmpeg itself knows it
    with path.open("rb") as file, pytest.raises(DecoderError, match="invalid argument"):
        open_container(file, end=10**9).__enter__()


def test_codecs_outside_the_list_are_named(tmp_path):
    path = tmp_path / "a.mka"
    encode(path, codec="aac", container="matroska")
    patch(path, b"A_AAC", b"A_DTS")
    with pytest.raises(DecoderError, match=r"codec (dca|unknown) is not supported") as caught:
        read(path)
    assert caught.value.failure is Failure.UNSUPPORTED


def test_a_container_without_audio(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(DecoderError, match="contains video and no audio") as caught:
        read(path)
    assert caught.value.failure is Failure.NO_AUDIO


def test_holes_and_bad_packets_are_told_apart_from_a_cut(odd):
    _, scratched = read(odd["scratched.m4a"].path)
    assert scratched.is_damaged
    assert not scratched.ends_in_error
    _, cut = read(odd["cut.m4a"].path)
    assert (cut.packet_errors, cut.is_damaged, cut.ends_in_error) == (1, False, True)
    _, ogg = read(odd["scratched.ogg"].path)  # the demuxer drops bad pages silently
    assert (ogg.packet_errors, ogg.is_damaged) == (0, True)


class Packet(bytes):
    """Stands for one packet: its frames, or an error."""

    size = 1

    def __new__(cls, *_: float, **__: object) -> "Packet":
        return super().__new__(cls, b"p")

    def __init__(self, *starts_s: float, bad: bool = False, channels: int = 2) -> None:
        about = {"samples": 1_000, "sample_rate": 1_000}
        layout = SimpleNamespace(nb_channels=channels)
        self._frames = [SimpleNamespace(time=at, layout=layout, **about) for at in starts_s]
        self._bad = bad

    def decode(self) -> list[SimpleNamespace]:
        if self._bad:
            raise av.error.InvalidDataError(1, "bad packet")
        return self._frames


class Flush(Packet):
    """Stands for the end: what the decoder held back comes out."""

    size = 0


def stream_of(**about):
    layout = SimpleNamespace(nb_channels=2)
    codec = SimpleNamespace(name="vorbis", sample_rate=1_000, layout=layout)
    return SimpleNamespace(codec_context=codec, **about)


@pytest.mark.parametrize(
    ("packets", "errors", "is_damaged", "ends_in_error"),
    [
        ([Packet(0), Packet(1), Packet(2)], 0, False, False),
        ([Packet(0), Packet(bad=True), Packet(1)], 1, True, False),  # without a jump in time
        ([Packet(bad=True), Packet(0)], 1, True, False),
        ([Packet(0), Packet(1.06)], 0, True, False),
        ([Packet(0), Packet(1.03)], 0, False, False),  # Vorbis, where its block size changes
        ([Packet(0, 1.01), Packet(2.02)], 0, False, False),  # time stamps are rounded
        ([Packet(5), Packet(6), Packet(0)], 0, False, False),  # joined streams begin anew
        ([Packet(0), Packet(bad=True), Packet(bad=True)], 2, False, True),
        ([Packet(0), Packet(1, channels=9), Packet(2)], 1, True, False),
        ([Packet(0, channels=8), Packet(1, channels=20)], 1, False, True),
        ([Packet(0), Packet(bad=True), Flush(1)], 1, False, True),  # a cut, not damage
        ([Packet(0), Flush(1.06)], 0, True, False),
    ],
)
def test_damage_by_hand(packets, errors, is_damaged, ends_in_error):
    sniffed = Sniffed(container=Container.OGG, size=9, audio_end=9, header=Header())
    reader = PyavReader(io.BytesIO(), sniffed)
    list(reader._frames(SimpleNamespace(demux=lambda _: iter(packets)), stream_of()))
    found = (reader.packet_errors, reader.is_damaged, reader.ends_in_error)
    assert found == (errors, is_damaged, ends_in_error)


def test_a_demuxer_that_stumbles_goes_on_and_does_not_go_on_for_ever():
    class Stumbling:
        calls = 0

        def demux(self, _):
            self.calls += 1
            if self.calls == 2:
                yield Packet(0)
            raise av.error.InvalidDataError(1, "bad page")

    sniffed = Sniffed(container=Container.OGG, size=9, audio_end=9, header=Header())
    reader = PyavReader(io.BytesIO(), sniffed)
    stream = stream_of(decode=lambda _: Packet(1).decode())  # what the decoder held back
    assert [f.time for f in reader._frames(Stumbling(), stream)] == [0, 1]
    assert reader.packet_errors == 1 + 16


def test_frames_of_too_many_channels_are_not_touched(tmp_path):
    path = tmp_path / "9.flac"
    encode(path, music(channels=1), codec="flac", container="flac")
    sniffed = sniff(path)
    with open_regular(path) as file:
        reader = PyavReader(file, sniffed)
        reader._packets = lambda *_: iter([Packet(0, channels=20), Packet(1, channels=20)])
        with pytest.raises(DecoderError, match="20 channels; 1 to 8 are supported") as caught:
            list(reader.blocks())
    assert caught.value.failure is Failure.UNSUPPORTED


def test_what_is_shown_begins_behind_the_tag_in_front():
    part = _Part(io.BytesIO(b"tag-audio-tail"), 4, 10)
    assert (part.read(100), part.tell(), part.read(100)) == (b"audio-", 6, b"")
    assert (part.seek(1), part.read(3)) == (1, b"udi")
    assert (part.seek(-2, os.SEEK_END), part.read(9)) == (4, b"o-")
    assert (part.seek(-1, os.SEEK_CUR), part.read(1)) == (5, b"-")
    assert part.seek(-1) == part.seek(-99, os.SEEK_CUR) == part.seek(1 << 70) == -errno.EINVAL
    assert part.tell() == 6  # where it was


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_tags_inside_a_wav_are_shown_as_junk_whatever_is_read_at_once(size):
    content = b"tag-RIFF....WAVEid3 ...ID3 dataID3tail"
    part = _Part(io.BytesIO(content), 4, len(content) - 4)
    shown = b"".join(iter(lambda: part.read(size), b""))
    assert shown == b"RIFF....WAVEjunk...junkdataID3"
    assert part.tell() == len(content) - 8
    other = _Part(io.BytesIO(b"fLaC id3 "), 0, 9)
    assert other.read(9) == b"fLaC id3 "


def test_length_of_an_mp4_stands_in_its_index(odd):
    assert read(odd["cut.m4a"].path)[1].claimed_s == pytest.approx(4.0, abs=0.03)


def test_blocks_are_at_most_ten_seconds(tmp_path):
    sound(tmp_path / "a.ogg", np.zeros((200_000, 1), np.float32), 4_000, kind="OGG")
    blocks, _ = read(tmp_path / "a.ogg")
    assert all(len(b.samples) <= 40_000 for b in blocks)
    assert sum(len(b.samples) for b in blocks) == 200_000


def test_bytes_that_no_demuxer_knows():
    sniffed = Sniffed(container=Container.OGG, size=9, audio_end=9, header=Header())
    with pytest.raises(DecoderError) as caught:
        list(PyavReader(io.BytesIO(b"not audio"), sniffed).blocks())
    assert caught.value.failure is Failure.UNDECODABLE
