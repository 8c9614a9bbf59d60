"""A folder of audio files as the world has them: odd, broken and hostile, made on the fly.

    for odd in odd_files(tmp_path):
        ...  # odd.name, odd.path, odd.expected: a `Status` or a `Failure`

Each row of `ROWS` is one file; the functions above it can be used alone. The signal is a
chord with a tremolo and different channels, 4 s long unless the row is about length.
"""

import os
import struct
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
import soundfile

from audiorec.errors import Failure
from audiorec.types import Status

Samples = npt.NDArray[np.float32]
RATE = 44_100  # hertz
SECONDS = 4.0


class OddFile(NamedTuple):
    """One file, and what is to become of it."""

    name: str
    path: Path
    expected: Status | Failure

    @property
    def is_good(self) -> bool:
        """Whether it is to have a vector."""
        return isinstance(self.expected, Status)


def odd_files(folder: Path) -> list[OddFile]:
    """Write one file per row into a folder that exists."""
    made = []
    for name, (make, expected) in ROWS.items():
        path = folder / os.fsdecode(name)
        make(path)
        made.append(OddFile(os.fsdecode(name), path, expected))
    return made


LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@cache
def music(
    *, seconds: float = SECONDS, rate: int = RATE, channels: int = 2, seed: int = 0
) -> Samples:
    """A chord with tremolo and a little noise, shape (n, channels), peak about 0.6, shared."""
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    columns = []
    for channel in range(channels):
        tones = [220.0 + 40 * seed, 277.2 + 13 * channel, 659.3, 1318.5]
        chord = sum(np.sin(2 * np.pi * hz * t) / (i + 2) for i, hz in enumerate(tones))
        tremolo = 1 + 0.5 * np.sin(2 * np.pi * (1.3 + 0.4 * channel) * t)
        columns.append(0.3 * chord * tremolo + 0.01 * rng.normal(size=len(t)))
    samples = np.stack(columns, axis=1).astype(np.float32)
    samples.flags.writeable = False
    return samples


def sound(
    path: Path,
    samples: Samples | None = None,
    rate: int = RATE,
    *,
    kind: str = "WAV",
    **options: str | float,
) -> None:
    """Write by soundfile; `kind` decides the format, not the name."""
    samples = music(rate=rate) if samples is None else samples
    with path.open("wb") as file:
        soundfile.write(file, samples, rate, format=kind, **options)


def mp3(
    path: Path, samples: Samples | None = None, *, xing: bool = True, vbr: bool = False
) -> None:
    """Write an MP3 with the encoder's own count of frames in front, or without."""
    samples = music() if samples is None else samples
    mode: dict[str, str | float] = {"bitrate_mode": "VARIABLE"}
    if not vbr:  # soundfile ignores a constant bitrate without a level
        mode = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
    sound(path, samples, kind="MP3", subtype="MPEG_LAYER_III", **mode)
    if not xing:
        data = path.read_bytes()
        second = data.index(data[:2], 4)  # the frame behind the silent one that counts
        assert b"Xing" in data[:second] or b"Info" in data[:second]
        path.write_bytes(data[second:])


def encode(
    path: Path,
    samples: Samples | None = None,
    rate: int = RATE,
    *,
    codec: str,
    container: str,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> None:
    """Write by PyAV: what soundfile cannot."""
    samples = music(rate=rate) if samples is None else samples
    layout = LAYOUTS[samples.shape[1]]
    if (codec, layout) == ("aac", "quad"):
        layout = "4.0"
    with (
        path.open("wb") as file,
        av.open(file, "w", format=container, options=options or {}) as out,
    ):
        out.metadata.update(tags or {})
        stream = out.add_stream(codec, rate=rate, layout=layout, options=codec_options or {})
        # PyAV itself cannot fill eight planes.
        usual = "fltp" if samples.shape[1] < 8 else "flt"
        kinds = {"alac": "s16p", "mp2": "s16", "flac": "s16", "tta": "s16"}
        kind = kinds.get(codec, usual)
        size = stream.frame_size or 1024
        for at in range(0, len(samples), size):
            out.mux(stream.encode(_frame(samples[at : at + size], kind, layout, rate, at)))
        out.mux(stream.encode(None))


def _frame(block: Samples, kind: str, layout: str, rate: int, at: int) -> av.AudioFrame:
    values = block if kind.startswith("flt") else np.round(block * 32767).astype(np.int16)
    values = values.T if kind.endswith("p") else values.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format=kind, layout=layout)
    frame.sample_rate, frame.pts = rate, at
    return frame


def m4a(path: Path, *, codec: str = "aac", index_first: bool = False) -> None:
    """Write an M4A; its index stands at the end, or in front as for streaming."""
    options = {"movflags": "faststart"} if index_first else None
    encode(path, codec=codec, container="ipod", options=options)


def eight_channels(path: Path) -> None:
    """Write an Opus file of 7.1 channels."""
    family = {"mapping_family": "1"}
    samples = music(rate=48_000, channels=8)
    encode(path, samples, 48_000, codec="libopus", container="ogg", codec_options=family)


def cut(path: Path, share: float = 0.6) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def scratch(path: Path, n_bytes: int = 4096) -> None:
    """Overwrite bytes in the middle with noise."""
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1).integers(0, 256, n_bytes, dtype=np.uint8).tobytes()
    at = len(data) // 2
    data[at : at + n_bytes] = noise
    path.write_bytes(data)


def patch(path: Path, old: bytes, new: bytes) -> None:
    """Replace the only occurrence of some bytes by as many others."""
    data = path.read_bytes()
    assert data.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


def id3v2(n_bytes: int = 10_000, *, title: str = "", genre: str = "") -> bytes:
    """An ID3v2.4 tag with a title and a genre, and padding up to about `n_bytes`."""
    texts = {b"TIT2": b"\x03" + title.encode(), b"TCON": b"\x03" + genre.encode()}
    frames = [n + _syncsafe(len(t)) + b"\0\0" + t for n, t in texts.items() if len(t) > 1]
    content = b"".join(frames).ljust(n_bytes, b"\0")
    return b"ID3\x04\0\0" + _syncsafe(len(content)) + content


def id3v1(title: str = "Coda") -> bytes:
    """An ID3v1 tag, which stands at the end."""
    return b"TAG" + title.encode().ljust(125, b"\0")


def ape_tag(title: str = "Coda") -> bytes:
    """An APEv2 tag of one item, with header and footer."""
    value = title.encode()
    item = struct.pack("<II", len(value), 0) + b"Title\0" + value
    common = struct.pack("<III", 2000, len(item) + 32, 1)
    header = b"APETAGEX" + common + struct.pack("<I", 0xA0000000) + bytes(8)
    footer = b"APETAGEX" + common + struct.pack("<I", 0x80000000) + bytes(8)
    return header + item + footer


def prepend(path: Path, data: bytes) -> None:
    """Put bytes in front of a file."""
    path.write_bytes(data + path.read_bytes())


def append(path: Path, data: bytes) -> None:
    """Put bytes behind a file."""
    path.write_bytes(path.read_bytes() + data)


def _syncsafe(length: int) -> bytes:
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def _wav_data_size(path: Path, size: int, *, riff: bool = True) -> None:
    """Overwrite the sizes in a WAV header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    if riff:
        data[4:8] = struct.pack("<I", size)
    path.write_bytes(data)


def _then(first: Callable[[Path], None], *steps: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        for step in (first, *steps):
            step(path)

    return make


def _flac_total(path: Path, total: int) -> None:
    """Overwrite the total of samples in STREAMINFO (its low 32 bits)."""
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = struct.pack(">I", total)
    path.write_bytes(data)


def _spoil_all(path: Path) -> None:
    """Keep a FLAC's header and replace its frames by noise."""
    head = path.read_bytes()[:42]
    head = head[:4] + bytes([head[4] | 0x80]) + head[5:]  # STREAMINFO is the last block
    path.write_bytes(head + np.random.default_rng(4).bytes(50_000))


def _box(length: int) -> bytes:
    """The beginning of an MP4 box whose length takes 64 bits."""
    return struct.pack(">I4sQ", 1, b"free", length) + bytes(24)


def _long_length(path: Path) -> None:
    """Give the samples of an MP4 a length of 64 bits, as files over 4 GB have it."""
    data = path.read_bytes()
    at = data.index(b"mdat") - 4
    assert data[at - 8 : at] == b"\0\0\0\x08free"  # FFmpeg keeps this place for it
    (length,) = struct.unpack(">I", data[at : at + 4])
    path.write_bytes(data[: at - 8] + struct.pack(">I4sQ", 1, b"mdat", length + 8) + data[at + 8 :])


def _script(path: Path) -> None:
    """A script that makes FFmpeg open another file, under the name of a song."""
    other = path.with_name("secret.wav")
    sound(other)
    path.write_text(f"ffconcat version 1.0\nfile '{other.name}'\n")


def _joined(path: Path) -> None:
    mp3(path)
    path.write_bytes(path.read_bytes() * 2)


def _spoiled(value: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        samples = music().copy()
        samples[70_000, 1] = value
        sound(path, samples, subtype="FLOAT")

    return make


def _loud_then_quiet() -> Samples:
    """A VBR encoder's first frames are large here, and the guessed length is short."""
    noise = np.random.default_rng(2).normal(0, 0.2, (RATE * 4, 2))
    return np.concatenate([noise, 0.2 * music(seconds=12.0)]).astype(np.float32)


def _inverted() -> Samples:
    left = music(channels=1)
    return np.concatenate([left, -left], axis=1)


CONSTANT = np.full((RATE * 4, 2), 0.25, np.float32)
SILENCE = np.zeros((RATE * 4, 2), np.float32)

ROWS: dict[str | bytes, tuple[Callable[[Path], None], Status | Failure]] = {
    # Every format, resolution, rate and number of channels.
    "pcm8.wav": (partial(sound, subtype="PCM_U8"), Status.OK),
    "pcm16.wav": (partial(sound, subtype="PCM_16"), Status.OK),
    "pcm24_96k.wav": (partial(sound, rate=96_000, subtype="PCM_24"), Status.OK),
    "pcm32.wav": (partial(sound, subtype="PCM_32"), Status.OK),
    "float32.wav": (partial(sound, subtype="FLOAT"), Status.OK),
    "float64.wav": (partial(sound, subtype="DOUBLE"), Status.OK),
    "ulaw_8k.wav": (partial(sound, rate=8_000, subtype="ULAW"), Status.OK),
    "rf64.wav": (partial(sound, kind="RF64", subtype="PCM_16"), Status.OK),
    "mono.wav": (lambda p: sound(p, music(channels=1)), Status.OK),
    "six_channels.wav": (lambda p: sound(p, music(channels=6), kind="WAVEX"), Status.OK),
    "eight_channels.flac": (lambda p: sound(p, music(channels=8), kind="FLAC"), Status.OK),
    "192k.wav": (partial(sound, rate=192_000), Status.OK),
    "16k.wav": (partial(sound, rate=16_000), Status.OK),
    "4k.wav": (partial(sound, rate=4_000), Status.OK),
    "pcm16.flac": (partial(sound, kind="FLAC"), Status.OK),
    "pcm24.flac": (partial(sound, kind="FLAC", subtype="PCM_24"), Status.OK),
    "pcm16.aiff": (partial(sound, kind="AIFF", subtype="PCM_16"), Status.OK),
    "float.aifc": (partial(sound, kind="AIFF", subtype="FLOAT"), Status.OK),
    "pcm16.au": (partial(sound, kind="AU", subtype="PCM_16"), Status.OK),
    "pcm16.caf": (partial(sound, kind="CAF", subtype="PCM_16"), Status.OK),
    "cbr.mp3": (mp3, Status.OK),
    "vbr.mp3": (partial(mp3, vbr=True), Status.OK),
    "cbr_no_count.mp3": (partial(mp3, xing=False), Status.OK),
    "vbr_no_count.mp3": (lambda p: mp3(p, _loud_then_quiet(), xing=False, vbr=True), Status.OK),
    "layer2.mp2": (partial(encode, codec="mp2", container="mp2"), Status.OK),
    "vorbis.ogg": (partial(sound, kind="OGG", subtype="VORBIS"), Status.OK),
    "opus.opus": (partial(sound, rate=48_000, kind="OGG", subtype="OPUS"), Status.OK),
    "aac.m4a": (m4a, Status.OK),
    "aac_index_first.m4a": (partial(m4a, index_first=True), Status.OK),
    "alac.m4a": (partial(m4a, codec="alac"), Status.OK),
    "long_length.m4a": (_then(m4a, _long_length), Status.OK),
    "endless_box.m4a": (_then(m4a, lambda p: append(p, _box(2**63 + 5))), Status.OK),
    "long_box.m4a": (_then(m4a, lambda p: append(p, _box(2**60))), Status.OK),
    "eight_channels.opus": (eight_channels, Status.OK),
    "bare.aac": (partial(encode, codec="aac", container="adts"), Status.OK),
    # Names and tags that mislead.
    "mp3_named.wav": (mp3, Status.OK),
    "wav_named.mp3": (sound, Status.OK),
    "no_extension": (sound, Status.OK),
    b"not_utf8_\xff\xe9.flac": (partial(sound, kind="FLAC"), Status.OK),
    "id3_10kB.mp3": (_then(mp3, lambda p: prepend(p, id3v2())), Status.OK),
    "id3_353kB.mp3": (_then(mp3, lambda p: prepend(p, id3v2(353_000))), Status.OK),
    "id3.flac": (_then(partial(sound, kind="FLAC"), lambda p: prepend(p, id3v2())), Status.OK),
    "id3v1.flac": (_then(partial(sound, kind="FLAC"), lambda p: append(p, id3v1())), Status.OK),
    # Headers that claim nothing, too little or too much.
    "streamed.wav": (_then(sound, lambda p: _wav_data_size(p, 0xFFFFFFFF)), Status.OK),
    "crashed_recorder.wav": (_then(sound, lambda p: _wav_data_size(p, 0)), Status.OK),
    "claims_13h.wav": (
        _then(lambda p: sound(p, music(channels=1)), lambda p: _wav_data_size(p, 2**32 - 100)),
        Status.OK,
    ),
    "streamed.flac": (_then(partial(sound, kind="FLAC"), lambda p: _flac_total(p, 0)), Status.OK),
    "claims_too_little.flac": (
        _then(partial(sound, kind="FLAC"), lambda p: _flac_total(p, 20_000)),
        Status.OK,
    ),
    "two_joined.mp3": (_joined, Status.OK),
    # Cut and scratched.
    "cut.wav": (_then(sound, cut), Status.TRUNCATED),
    "cut.aiff": (_then(partial(sound, kind="AIFF"), cut), Status.TRUNCATED),
    "cut.mp3": (_then(mp3, partial(cut, share=0.5)), Status.TRUNCATED),
    "cut.flac": (_then(partial(sound, kind="FLAC"), cut), Status.TRUNCATED),
    "cut.ogg": (_then(partial(sound, kind="OGG"), cut), Status.TRUNCATED),
    "cut.m4a": (_then(partial(m4a, index_first=True), cut), Status.TRUNCATED),
    "cut_before_index.m4a": (_then(m4a, cut), Failure.UNDECODABLE),
    "scratched.mp3": (_then(partial(mp3, vbr=True), scratch), Status.DAMAGED),
    "scratched_a_little.mp3": (_then(mp3, partial(scratch, n_bytes=64)), Status.DAMAGED),
    "scratched.flac": (_then(partial(sound, kind="FLAC"), scratch), Status.DAMAGED),
    "scratched.ogg": (_then(partial(sound, kind="OGG"), scratch), Status.DAMAGED),
    "scratched.m4a": (_then(partial(m4a, index_first=True), scratch), Status.DAMAGED),
    "scratched.aac": (
        _then(partial(encode, codec="aac", container="adts"), scratch),
        Status.DAMAGED,
    ),
    "header_only.flac": (_then(partial(sound, kind="FLAC"), _spoil_all), Failure.UNDECODABLE),
    # Odd signals.
    "inverted.wav": (lambda p: sound(p, _inverted()), Status.PHASE_CANCELLED),
    "silence.flac": (lambda p: sound(p, SILENCE, kind="FLAC"), Status.SILENT),
    "constant.wav": (lambda p: sound(p, CONSTANT, subtype="FLOAT"), Status.SILENT),
    "short.wav": (lambda p: sound(p, music(seconds=1.5)), Status.SHORT),
    "peak_41.wav": (lambda p: sound(p, music() * 70, subtype="FLOAT"), Status.OK),
    "nan.wav": (_spoiled(np.nan), Failure.NOT_FINITE),
    "infinite.wav": (_spoiled(np.inf), Failure.NOT_FINITE),
    "no_samples.wav": (lambda p: sound(p, music(seconds=0)), Failure.NO_AUDIO),
    "100_samples.wav": (lambda p: sound(p, music()[:100]), Failure.TOO_SHORT),
    # Outside the limits.
    "nine_channels.wav": (lambda p: sound(p, music(channels=9)), Failure.UNSUPPORTED),
    "3k.wav": (partial(sound, rate=3_999), Failure.UNSUPPORTED),
    "384k.wav": (
        lambda p: sound(p, music(seconds=1.5, rate=384_000), 384_000),
        Failure.UNSUPPORTED,
    ),
    "adpcm.wav": (partial(sound, subtype="IMA_ADPCM"), Failure.UNSUPPORTED),
    "half_a_magic.wma": (
        lambda p: p.write_bytes(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(500)),
        Failure.NOT_AUDIO,
    ),
    "tracker.mod": (
        lambda p: p.write_bytes(b"a song".ljust(1080, b"\0") + b"M.K." + bytes(4_000)),
        Failure.UNSUPPORTED,
    ),
    "cinema.dts": (
        lambda p: p.write_bytes(b"\x7f\xfe\x80\x01" + bytes(4_000)),
        Failure.UNSUPPORTED,
    ),
    "shop.m4p": (_then(m4a, lambda p: patch(p, b"mp4a", b"drms")), Failure.DRM),
    # No audio at all.
    "empty.mp3": (Path.touch, Failure.EMPTY),
    "page.mp3": (lambda p: p.write_text("<!DOCTYPE html><p>404\n" * 50), Failure.NOT_AUDIO),
    "script.mp3": (_script, Failure.NOT_AUDIO),
    "noise.mp3": (
        lambda p: p.write_bytes(np.random.default_rng(3).bytes(100_000)),
        Failure.NOT_AUDIO,
    ),
    "folder.mp3": (Path.mkdir, Failure.UNREADABLE),
    "pipe.mp3": (os.mkfifo, Failure.UNREADABLE),
    "vanished.mp3": (lambda _: None, Failure.UNREADABLE),
}
