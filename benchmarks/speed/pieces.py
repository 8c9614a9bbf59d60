"""Real music cut into parts and written in many formats: the songs that a benchmark hears."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile

PART_S = 30.0
FORMATS = (".flac", ".mp3", ".ogg", ".opus", ".m4a")
MUSIC_SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav")
MIN_BYTES = 200_000  # smaller files are a game's sounds, not its music
Samples = npt.NDArray[np.float32]


def parts(music: Path, part_s: float = PART_S) -> Iterator[tuple[Path, int]]:
    """Yield files and part numbers: the first part of every song, then the second."""
    lengths = {}
    for path in sorted(music.rglob("*")):
        if path.suffix in MUSIC_SUFFIXES and path.stat().st_size >= MIN_BYTES:
            try:
                lengths[path] = int(soundfile.info(path).duration // part_s)
            except soundfile.LibsndfileError:
                continue
    for number in range(max(lengths.values(), default=0)):
        yield from ((path, number) for path, count in lengths.items() if number < count)


def read(path: Path, number: int, part_s: float = PART_S) -> tuple[Samples, int]:
    """Read one part: shape (samples, channels), and its rate in hertz."""
    with soundfile.SoundFile(path) as file:
        file.seek(round(number * part_s * file.samplerate))
        count = round(part_s * file.samplerate)
        return file.read(count, dtype="float32", always_2d=True)[:, :2], file.samplerate


def write(path: Path, samples: Samples, rate: int) -> None:
    """Write samples in the encoding of the path's suffix."""
    if path.suffix in (".opus", ".m4a"):
        codec = {".opus": "libopus", ".m4a": "aac"}[path.suffix]
        layout = "mono" if samples.shape[1] == 1 else "stereo"
        form = {".opus": "ogg", ".m4a": "mp4"}[path.suffix]
        with av.open(str(path), "w", format=form) as file:
            stream = file.add_stream(codec, rate=48_000, layout=layout)
            resampler = av.AudioResampler("fltp", layout, 48_000, frame_size=1024)
            for piece in [*_frames(samples, rate, layout, resampler), None]:
                file.mux(stream.encode(piece))
        return
    form, subtype = {
        ".wav": ("WAV", "PCM_16"),
        ".flac": ("FLAC", "PCM_16"),
        ".mp3": ("MP3", "MPEG_LAYER_III"),
        ".ogg": ("OGG", "VORBIS"),
    }[path.suffix]
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], subtype, format=form) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis fails on long writes
            file.write(samples[start : start + rate])


def _frames(samples: Samples, rate: int, layout: str, resampler: Any) -> Iterator[Any]:
    """Yield frames of an encoder's size, made second by second: FFmpeg's memory is limited."""
    for start in range(0, len(samples), rate):
        part = np.ascontiguousarray(samples[start : start + rate].T)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate = rate
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def make(music: Path, folder: Path, *, songs: int, part_s: float = PART_S) -> None:
    """Write the library, or what is missing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i, (path, number) in enumerate(itertools.islice(parts(music, part_s), songs)):
        target = folder / f"{i:04d}-{path.stem[:40]}-{number}{FORMATS[i % len(FORMATS)]}"
        names.append(target)
        if target.exists():
            continue
        samples, rate = read(path, number, part_s)
        # Vorbis by libsndfile takes no rate above 192 kHz, MP3 none above 48.
        partial = target.with_name(f".partial{target.suffix}")
        write(partial, samples, rate)
        partial.rename(target)
    if len(names) < songs:
        sys.exit(f"error: {music} has music for {len(names)} songs of {songs}")
