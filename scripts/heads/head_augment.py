"""One random segment of a class, as it might have been recorded elsewhere.

The corpora differ in ways that have nothing to do with their classes: the stems are 16 kHz,
speech 8 to 16 kHz, game music 44.1 kHz; the karaoke voices are dry, the studio voices are
not. A head learns that first. So every class gets the same random low-pass, tilt, reverb,
noise, codec, speed and level, and voices are laid over instrumental music of any origin.
"""

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import soundfile
import soxr
from scipy import signal

from audiorec.types import FloatArray

SAMPLE_RATE = 16_000  # Hz
SHOP_RATE = 44_100  # Hz
AAC_KBIT = (24, 65)  # of one channel at 16 kHz
PHONE_HZ, MU = (300.0, 3400.0), 255.0
STRETCH_FFT = 1024  # samples
LENGTH = 51_200  # samples: a segment and 14 frames, so that no edge is heard
ACTIVE_FRAME = 800  # samples: 50 ms
ACTIVE_DB = -35.0  # below the loudest frame: silence between phrases


def activity(voice: FloatArray, reference: float | None = None) -> FloatArray:
    """Return for each 50 ms whether somebody sings, (n,) float32 of 0 and 1.

    Parameters
    ----------
    voice : ndarray, shape (N,), float32
    reference : float, optional
        Loudest frame's power; that of `voice` by default.
    """
    n = len(voice) // ACTIVE_FRAME
    power = np.square(voice[: n * ACTIVE_FRAME].reshape(n, ACTIVE_FRAME)).mean(1)
    loudest = power.max(initial=0.0) if reference is None else reference
    return (power > max(loudest * 10 ** (ACTIVE_DB / 10), 1e-9)).astype(np.float32)


def excerpt(waveform: FloatArray, rng: np.random.Generator, length: int = LENGTH) -> FloatArray:
    """Return `length` samples from anywhere; what is shorter is repeated."""
    if len(waveform) < length:
        waveform = np.tile(waveform, -(-length // max(len(waveform), 1)))
    start = rng.integers(0, len(waveform) - length + 1)
    return waveform[start : start + length]


def voiced_excerpt(
    waveform: FloatArray, rng: np.random.Generator, length: int = LENGTH, *, least: float = 0.5
) -> FloatArray:
    """Return samples in which the voice is heard at least that part of the time, if any are."""
    best, most = excerpt(waveform, rng, length), -1.0
    loudest = float(np.square(waveform).max(initial=0.0)) / 8
    for _ in range(8):
        cut = excerpt(waveform, rng, length)
        share = float(activity(cut, loudest).mean())
        if share >= least:
            return cut
        if share > most:
            best, most = cut, share
    return best


def rms(waveform: FloatArray) -> float:
    """Return the root mean square, never 0."""
    return float(np.sqrt(np.square(waveform, dtype=np.float64).mean())) + 1e-9


def mix(voice: FloatArray, music: FloatArray, ratio_db: float) -> FloatArray:
    """Lay a voice over music at a level of `ratio_db` above it."""
    gain = rms(music) / rms(voice) * 10 ** (ratio_db / 20)
    return (voice * gain + music).astype(np.float32)


def speed(waveform: FloatArray, ratio: float) -> FloatArray:
    """Play faster and higher by `ratio`, as a tape would."""
    return soxr.resample(waveform, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="HQ")


def tempo(waveform: FloatArray, ratio: float) -> FloatArray:
    """Play faster by `ratio` at the same pitch."""
    import torch  # late: what changes bands and encodings needs neither
    import torchaudio

    window, step = torch.hann_window(STRETCH_FFT), STRETCH_FFT // 4
    spectrum = torch.stft(
        torch.from_numpy(np.array(waveform)),
        STRETCH_FFT,
        step,
        window=window,
        return_complex=True,
    )
    advance = torch.linspace(0, np.pi * step, STRETCH_FFT // 2 + 1)[:, None]
    stretched = torchaudio.functional.phase_vocoder(spectrum, ratio, advance)
    length = round(len(waveform) / ratio)
    made: FloatArray = torch.istft(
        stretched, STRETCH_FFT, step, window=window, length=length
    ).numpy()
    return made


def pitch(waveform: FloatArray, ratio: float) -> FloatArray:
    """Play higher by `ratio` at the same tempo; formants move along."""
    return speed(tempo(waveform, 1 / ratio), ratio)


def low_pass(waveform: FloatArray, cutoff: float) -> FloatArray:
    """Remove what lies above `cutoff` hertz, as a lower sample rate does."""
    rate = 2 * cutoff
    narrow = soxr.resample(waveform, SAMPLE_RATE, rate, quality="HQ")
    return fit(soxr.resample(narrow, rate, SAMPLE_RATE, quality="HQ"), len(waveform))


def telephone(waveform: FloatArray) -> FloatArray:
    """Return what is left after a telephone: 300 to 3400 Hz, eight bits by the mu law."""
    spectrum = np.fft.rfft(waveform)
    hertz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    rising = 1 / (1 + (PHONE_HZ[0] / np.maximum(hertz, 1.0)) ** 6)
    narrow = np.fft.irfft(spectrum * rising, len(waveform)).astype(np.float32)
    narrow = low_pass(narrow, PHONE_HZ[1])
    peak, steps = _peak(narrow), 127
    loud = np.log1p(MU * np.abs(narrow) / peak) / np.log1p(MU)
    coded = np.expm1(np.round(loud * steps) / steps * np.log1p(MU)) / MU
    return (np.sign(narrow) * coded * peak).astype(np.float32)


def tilt(waveform: FloatArray, slope: float) -> FloatArray:
    """Multiply the spectrum by ``(f / 1 kHz) ** slope``, within 50 Hz and 8 kHz."""
    spectrum = np.fft.rfft(waveform)
    hertz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    gain = (np.clip(hertz, 50.0, 8000.0) / 1000.0) ** slope
    return np.fft.irfft(spectrum * gain, len(waveform)).astype(np.float32)


def reverb(
    waveform: FloatArray, rng: np.random.Generator, *, decay_s: float, wet: float
) -> FloatArray:
    """Add a tail of decaying noise, `decay_s` seconds to -60 dB, at `wet` of the dry energy."""
    n = int(decay_s * SAMPLE_RATE)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail *= np.sqrt(wet / np.square(tail).sum())
    echo = signal.fftconvolve(waveform, tail)[: len(waveform)]
    return (waveform + echo).astype(np.float32)


def codec(waveform: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return what is left after MP3 at the encoder's default rate, or after AAC."""
    if rng.random() < 0.5:
        return _mp3_decoded(waveform, SAMPLE_RATE)
    return _aac_decoded(waveform, SAMPLE_RATE, int(rng.integers(*AAC_KBIT)))


def mp3(waveform: FloatArray, kbit: int) -> FloatArray:
    """Return what is left after an MP3 of 44.1 kHz at that many kbit/s, as shops make them."""
    most, least = 320, 32  # kbit/s of MPEG-1, which libsndfile spreads over its levels
    how = {"compression_level": (most - kbit) / (most - least), "bitrate_mode": "CONSTANT"}
    return _as_sold(waveform, lambda wide: _mp3_decoded(wide, SHOP_RATE, **how))


def aac(waveform: FloatArray, kbit: int) -> FloatArray:
    """Return what is left after AAC of 44.1 kHz at that many kbit/s."""
    return _as_sold(waveform, lambda wide: _aac_decoded(wide, SHOP_RATE, kbit))


def _as_sold(waveform: FloatArray, coded: Callable[[FloatArray], FloatArray]) -> FloatArray:
    wide = coded(soxr.resample(waveform, SAMPLE_RATE, SHOP_RATE, quality="HQ"))
    return fit(soxr.resample(wide, SHOP_RATE, SAMPLE_RATE, quality="HQ"), len(waveform))


def _mp3_decoded(waveform: FloatArray, rate: int, **how: Any) -> FloatArray:
    buffer, peak = io.BytesIO(), _peak(waveform)
    soundfile.write(buffer, waveform / peak, rate, format="MP3", **how)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return fit(decoded, len(waveform)) * peak


def _aac_decoded(waveform: FloatArray, rate: int, kbit: int) -> FloatArray:
    buffer, peak = io.BytesIO(), _peak(waveform)
    with av.open(buffer, "w", format="matroska") as out:  # it notes the delay
        stream = out.add_stream("aac", rate=rate, layout="mono")
        stream.bit_rate = 1000 * kbit
        frame = av.AudioFrame.from_ndarray((waveform / peak)[None], "fltp", "mono")
        frame.sample_rate = rate
        out.mux([*stream.encode(frame), *stream.encode()])
    buffer.seek(0)
    with av.open(buffer) as file:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    return fit(decoded, len(waveform)) * peak


def _peak(waveform: FloatArray) -> float:
    return max(float(np.abs(waveform).max()), 1e-6)


def fit(waveform: FloatArray, length: int) -> FloatArray:
    """Cut or pad with zeros to `length` samples."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform)))).astype(np.float32)


def coloured_noise(rng: np.random.Generator, slope: float, length: int = LENGTH) -> FloatArray:
    """Return noise whose spectrum falls with ``f ** slope`` (0 white, -0.5 pink, -1 brown)."""
    return tilt(rng.standard_normal(length).astype(np.float32), slope)


def room(waveform: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Put a source into a random room with a random microphone."""
    if rng.random() < 0.5:
        waveform = reverb(
            waveform, rng, decay_s=rng.uniform(0.1, 1.8), wet=10 ** rng.uniform(-2, 0)
        )
    return tilt(waveform, rng.uniform(-0.35, 0.35)) if rng.random() < 0.5 else waveform


def channel(waveform: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Send a finished signal through a random chain; the same for every class."""
    if rng.random() < 0.3:
        noise = coloured_noise(rng, rng.uniform(-1, 0), len(waveform))
        waveform = mix(waveform, noise, rng.uniform(20, 50))
    if rng.random() < 0.08:
        waveform = telephone(waveform)
    elif rng.random() < 0.5:
        waveform = low_pass(waveform, float(np.exp(rng.uniform(np.log(2500), np.log(7800)))))
    if rng.random() < 0.15:
        waveform = codec(waveform, rng)
    if rng.random() < 0.08:  # clipped by 3 to 12 dB; the level itself is brought to one later
        waveform = np.clip(waveform / _peak(waveform) * 10 ** (rng.uniform(3, 12) / 20), -1, 1)
    return waveform.astype(np.float32)


def random_rate(waveform: FloatArray, rng: np.random.Generator, *, semitones: float) -> FloatArray:
    """Change speed, tempo or pitch by up to that many semitones, half of the time."""
    if rng.random() < 0.5:
        return waveform
    change = (speed, tempo, pitch)[rng.integers(3)]
    return change(waveform, 2 ** (rng.uniform(-semitones, semitones) / 12))
