"""The good files that `fuzz` starts from: one of each format that audiorec reads, all tagged.

    seeds()  →  {"wav16": bytes, "flac": bytes, ...}

Those that FFmpeg and libsndfile do not write come from ``fixtures/codecs``. They last three
to five seconds: long enough for one whole segment, so that a case may still end
as ``ok``, and short enough that a case is little more than one pass through the networks.
"""

import io
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile

sys.path.append(str(Path(__file__).parents[1] / "samples"))

import dsd_files

CODECS = Path(__file__).parents[2] / "fixtures" / "codecs"
DSD_RATE = 16 * 44_100  # of the bits; at the rate of an SACD it would be a megabyte
RATE = 24_000  # hertz: MP3, Opus and AAC all have it
SECONDS = 3.2
TITLE, ARTIST = "Coda in A", "Nobody & the Fuzz"
Samples = npt.NDArray[np.float32]


def music(channels: int) -> Samples:
    """Return a chord that swells, with a little noise: shape (n, channels)."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    rng = np.random.default_rng(11)
    tones = sum(np.sin(2 * np.pi * hz * t) / (i + 2) for i, hz in enumerate((196.0, 247.5, 830.0)))
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * 1.7 * t)
    columns = [0.3 * tones * swell + 0.01 * rng.normal(size=len(t)) for _ in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def _pcm(kind: str, subtype: str, channels: int = 1) -> bytes:
    """Write by soundfile, with a title and an artist where the format has them."""
    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory, "w", RATE, channels, subtype=subtype, format=kind, closefd=False
    ) as file:
        if kind in ("WAV", "AIFF", "FLAC", "OGG"):
            file.title, file.artist = TITLE, ARTIST
        file.write(music(channels))
    return memory.getvalue()


def _coded(codec: str, container: str, channels: int = 2) -> bytes:
    """Write by PyAV, with a title and an artist where the format has them."""
    memory = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[channels]
    samples = music(channels)
    kind = {"alac": "s16p", "mp2": "s16"}.get(codec, "fltp")
    with av.open(memory, "w", format=container) as out:
        out.metadata.update({"title": TITLE, "artist": ARTIST})
        stream = out.add_stream(codec, rate=RATE, layout=layout)
        size = stream.frame_size or 1024
        for at in range(0, len(samples), size):
            out.mux(stream.encode(_frame(samples[at : at + size], kind, layout, at)))
        out.mux(stream.encode(None))
    return memory.getvalue()


def _frame(block: Samples, kind: str, layout: str, at: int) -> av.AudioFrame:
    values = block if kind == "fltp" else np.round(block * 32767).astype(np.int16)
    values = values.T if kind.endswith("p") else values.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format=kind, layout=layout)
    frame.sample_rate, frame.pts = RATE, at
    return frame


def _kept(name: str) -> bytes:
    return (CODECS / name).read_bytes()


@cache
def _bits() -> dsd_files.Bits:
    return dsd_files.one_bit(music(1)[:, 0], RATE, DSD_RATE)


def _dsf() -> bytes:
    tag = b"ID3\x04\0\0\0\0\0\x0fTIT2\0\0\0\x05\0\0\x03Coda"
    return dsd_files.dsf([_bits()], DSD_RATE, tag)


def _dff(*, packed: bool) -> bytes:
    return dsd_files.dff([_bits()], DSD_RATE, packed=packed)


_MAKERS: Mapping[str, Callable[[], bytes]] = {
    "wav8": partial(_pcm, "WAV", "PCM_U8"),
    "wav16": partial(_pcm, "WAV", "PCM_16", 2),
    "wav24": partial(_pcm, "WAVEX", "PCM_24"),
    "wavfloat": partial(_pcm, "WAV", "FLOAT"),
    "rf64": partial(_pcm, "RF64", "PCM_16"),
    "aiff": partial(_pcm, "AIFF", "PCM_16"),
    "au": partial(_pcm, "AU", "PCM_16"),
    "caf": partial(_pcm, "CAF", "PCM_16"),
    "flac": partial(_pcm, "FLAC", "PCM_16", 2),
    "oggflac": partial(_coded, "flac", "ogg", 1),
    "mp3": partial(_coded, "libmp3lame", "mp3"),
    "mp2": partial(_coded, "mp2", "mp2"),
    "vorbis": partial(_pcm, "OGG", "VORBIS", 2),
    "opus": partial(_pcm, "OGG", "OPUS", 2),
    "m4a": partial(_coded, "aac", "ipod"),
    "alac": partial(_coded, "alac", "ipod"),
    "adts": partial(_coded, "aac", "adts"),
    "wavpack": partial(_kept, "tabla.wv"),
    "ape": partial(_kept, "tabla.ape"),
    "tta": partial(_kept, "tabla.tta"),
    "mpc7": partial(_kept, "tabla-sv7.mpc"),
    "mpc8": partial(_kept, "tabla-sv8.mpc"),
    "wma1": partial(_kept, "tabla-v1.wma"),
    "wma2": partial(_kept, "tabla-v2.wma"),
    "ac3": partial(_kept, "tabla.ac3"),
    "eac3": partial(_kept, "tabla.eac3"),
    "speex": partial(_kept, "tabla.spx"),
    "mka": partial(_kept, "tabla-vorbis.mka"),
    "webm": partial(_kept, "tabla-opus.webm"),
    "dsf": _dsf,
    "dff": partial(_dff, packed=False),
    "dst": partial(_dff, packed=True),
}
FORMATS = tuple(_MAKERS)


@cache
def seed(name: str) -> bytes:
    """Return a format's file, made once a process."""
    return _MAKERS[name]()


def seeds() -> Mapping[str, bytes]:
    """Return every format's file."""
    return {name: seed(name) for name in FORMATS}
