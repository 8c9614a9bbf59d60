"""Tempo and key of a song, measured while it is decoded.

    blocks (n,) at 16 kHz ──AttributeMeter──▶ the same blocks ──▶ power spectra (f, 257)
                              └─▶ KeyMeter                └─▶ TempoMeter ──▶ `Attributes`

The key is measured on the samples, the tempo on the spectra that are computed for the backbone and
for loudness. Both are estimated as blocks arrive, so memory does not grow with the song, and both
come with a confidence. They become columns of ``vecs.parquet`` and do not affect vectors.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from audiorec.audio.tempo import TEMPO_METHOD, TempoMeter
from audiorec.types import SCALES, TONICS, Float64Array, FloatArray


class Frames:
    """Splitter of a waveform into windows of `length` samples every `hop`, `chunk` at a time.

        block (n,), block (n,), ...  ──cut──▶  frames (chunk, length), one chunk after another

    The first window is centred on the first sample: its first half is zeros. Chunks are counted
    from the start of the song, so that the result does not depend on how it was split into blocks.
    """

    def __init__(self, length: int, hop: int, chunk: int) -> None:
        self.length, self.hop, self.chunk = length, hop, chunk
        self._parts: list[FloatArray] = [np.zeros(length // 2, np.float32)]
        self._pending = length // 2
        self._needed = (chunk - 1) * hop + length

    def cut(self, block: FloatArray) -> Iterator[FloatArray]:
        """Add a block and yield the chunks of frames (chunk, length) it completes, as views."""
        self._parts.append(block)
        self._pending += len(block)
        if self._pending < self._needed:
            return
        samples = np.concatenate(self._parts, dtype=np.float32)
        while len(samples) >= self._needed:
            yield self._views(samples[: self._needed])
            samples = samples[self.chunk * self.hop :]
        self._parts, self._pending = [samples], len(samples)

    def rest(self) -> FloatArray:
        """Return the remaining frames at the end of the song: (fewer than chunk, length)."""
        end = np.zeros(self.length // 2, np.float32)
        return self._views(np.concatenate([*self._parts, end], dtype=np.float32))

    def _views(self, samples: FloatArray) -> FloatArray:
        if len(samples) < self.length:
            return np.zeros((0, self.length), np.float32)
        return np.lib.stride_tricks.sliding_window_view(samples, self.length)[:: self.hop]


KEY_METHOD = "key 3"  # increment the number when results change

_THINNED = 3  # one sample of so many is kept
_TAPS, _AT_ONCE = 51, 16  # samples of the low-pass filter; samples kept of each of its frames
_KEY_RATE = 16_000 / _THINNED  # Hz
_LENGTH, _KEY_HOP, _CHUNK = 2880, 2880, 16  # samples, samples, frames
_LOWEST, _HIGHEST = 36, 96  # MIDI notes: 65 Hz to 2 kHz
_PARTS = 10  # bins per semitone
_TILT = -0.5  # log2 of a partial's weight, per octave
_WIDTH = 0.25  # semitones: standard deviation of a note's Gaussian weight
_KEY_SILENT = 1e-4  # magnitude of a frame's loudest partial
_FADING = 0.8  # how much less likely a partial is one step higher in the series of its tone
_SERIES = 5  # partials of a tone: places of the series in which one may be
_EVEN = 0.7  # power of the chroma, so that one loud tone does not decide
# Mean of two profiles, each standardised: of textbook music and of dance music.
_PROFILES = np.array(
    [
        [1.85, -1.11, 0.40, -1.07, 0.94, 0.27, -1.04, 1.41, -1.02, 0.10, -0.77, 0.04],
        [1.87, -1.06, 0.33, 0.67, -1.13, 0.33, -1.02, 1.51, 0.04, -1.09, -0.26, -0.18],
    ]
)
# Confidence: probability that tonic and scale are right, from the best key's correlation and its
# margin over the second; fitted to rendered clips, as `benchmarks/sound/eval_attributes.py --fit`
# does, and to pieces of games by what another program says of them.
_KEY_OFFSET, _KEY_SLOPE = -9.67, 11.8


@dataclass(frozen=True, slots=True)
class Key:
    """Key of a song, None if nothing in it has a pitch; confidence from 0 to 1.

    The tonic is one of `audiorec.types.TONICS`, the scale ``major`` or ``minor``.
    """

    tonic: str | None
    scale: str | None
    confidence: float


class KeyMeter:
    """Streaming estimator of a song's key.

        blocks (n,) at 16 kHz ──every third sample──▶ 5.3 kHz ──peaks of spectra of 0.5 s──▶
            histogram in tenths of a semitone ──tuning──▶ chroma (12,) ──profiles──▶ tonic, scale,
            confidence

    Only partials below 2 kHz count, so a low-pass filter and every third sample suffice, which
    makes the spectra cheap. Peaks of a long spectrum are partials of tones. Each is weighted by its
    share of its frame's sum, so that loud passages do not outweigh quiet ones; high ones count for
    less. A partial may be the first of its tone or one of the next four, so it counts for each of
    the tones as well that it may be an overtone of. The partials' common offset from the notes is
    the recording's tuning. The chroma is correlated with the major and the minor profile on each of
    the twelve tonics. A profile is the mean of two: the counts of D. Temperley ("Music and
    Probability", MIT Press, 2007) in the excerpts of Kostka and Payne's textbook, and what
    Á. Faraldo and others chose for electronic dance music ("A Multi-Profile Method for Key
    Estimation in EDM", AES 2017).
    """

    def __init__(self) -> None:
        self._whole = Frames(_THINNED * (_AT_ONCE - 1) + _TAPS, _THINNED * _AT_ONCE, 512)
        self._frames = Frames(_LENGTH, _KEY_HOP, _CHUNK)
        self._notes = np.zeros((_HIGHEST - _LOWEST) * _PARTS)

    def add(self, block: FloatArray) -> None:
        """Add a block (n,), float32, at 16 kHz."""
        for whole in self._whole.cut(block):
            self._add_thinned(whole)

    def key(self) -> Key:
        """Return the key of the song; call it after the last block."""
        self._add_thinned(self._whole.rest())
        self._add(self._frames.rest())
        chroma = _chroma(self._notes)
        if chroma.std() == 0.0:
            return Key(None, None, 0.0)
        fits = key_fits(chroma)
        best, second = np.argsort(fits)[:-3:-1]
        clear = 2.0 * fits[best] - fits[second]
        confidence = 1.0 / (1.0 + np.exp(-(_KEY_OFFSET + _KEY_SLOPE * clear)))
        return Key(TONICS[best % 12], SCALES[best // 12], float(confidence))

    def _add_thinned(self, whole: FloatArray) -> None:
        """Add what a low-pass filter keeps of frames (f, 96)."""
        thinned = np.ascontiguousarray(whole) @ _low_pass()
        for frames in self._frames.cut(thinned.ravel()):
            self._add(frames)

    def _add(self, frames: FloatArray) -> None:
        """Add the partials of frames (f, 2880)."""
        if len(frames) == 0:
            return
        spectra = np.fft.rfft(frames * _window(), axis=-1)[:, : _bin(_HIGHEST) + 2]
        power = (spectra.real**2 + spectra.imag**2).astype(np.float32, copy=False)
        at = power[:, 1:-1]
        is_peak = (at > power[:, :-2]) & (at >= power[:, 2:]) & (at > _KEY_SILENT**2)
        place = np.flatnonzero(is_peak)
        row, column = np.divmod(place, at.shape[1])
        place += 2 * row  # in `power`, of the bin before
        around = [np.log(np.take(power, place + side) + np.float32(1e-24)) for side in range(3)]
        magnitude = np.exp(0.5 * around[1])
        shift = 0.5 * (around[0] - around[2]) / (around[0] - 2 * around[1] + around[2] - 1e-12)
        hertz = (column + 1 + np.clip(shift, -0.5, 0.5)) * (_KEY_RATE / _LENGTH)
        note = 69.0 + 12.0 * np.log2(hertz / 440.0) - (_LOWEST - 0.5)
        within = (note >= 0) & (note < _HIGHEST - _LOWEST)
        row, note, magnitude = row[within], note[within], magnitude[within]
        weight = magnitude * 2.0 ** (_TILT / 12.0 * note)
        share = weight / np.bincount(row, weight, len(frames))[row]
        place = (note * _PARTS).astype(np.int64)
        self._notes += np.bincount(place, share, len(self._notes))[: len(self._notes)]


@cache
def _low_pass() -> FloatArray:
    """Return the matrix (96, 16) from a frame of samples to those kept of it.

    Each column is the same windowed sinc, three samples further on: -3 dB at 2.67 kHz, -60 dB from
    3.24 kHz on, which is what would be mirrored below the highest note.
    """
    places = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(places / _THINNED) / _THINNED * np.kaiser(_TAPS, 5.65)
    matrix = np.zeros((_THINNED * (_AT_ONCE - 1) + _TAPS, _AT_ONCE), np.float32)
    for column in range(_AT_ONCE):
        matrix[_THINNED * column :][:_TAPS, column] = taps
    return matrix


@cache
def _window() -> FloatArray:
    """Return a Hann window (2880,), under which a sine of 1 peaks at 0.5."""
    phase = 2.0 * np.pi * np.arange(_LENGTH) / _LENGTH
    return ((1.0 - np.cos(phase)) / _LENGTH).astype(np.float32)


def key_fits(chroma: Float64Array) -> Float64Array:
    """Return the correlation of a chroma (12,) with each key: (24,), major keys from C first."""
    standard = (chroma - chroma.mean()) / chroma.std()
    profiles = _PROFILES - _PROFILES.mean(axis=1, keepdims=True)
    profiles /= profiles.std(axis=1, keepdims=True)
    turned = np.stack([np.roll(p, tonic) for p in profiles for tonic in range(12)])
    return turned @ standard / 12.0


def _chroma(notes: Float64Array) -> Float64Array:
    """Return the chroma (12,), from C, after correcting for the recording's tuning."""
    heard = notes.copy()
    for place in range(2, _SERIES + 1):
        lower = round(12 * np.log2(place) * _PARTS)
        heard[:-lower] += _FADING ** (place - 1) * notes[lower:]
    return np.power(_folded(heard), _EVEN)


def _folded(notes: Float64Array) -> Float64Array:
    """Return how much there is of each note of the octave: (12,)."""
    by_note = notes.reshape(-1, 12, _PARTS).sum(axis=0)  # the lowest note is a C
    centre = (_PARTS - 1) / 2
    angle = 2.0 * np.pi * (np.arange(_PARTS) - centre) / _PARTS
    off = np.angle(by_note.sum(axis=0) @ np.exp(1j * angle)) / (2.0 * np.pi) * _PARTS
    places = np.arange(12 * _PARTS)
    middles = np.arange(12)[:, None] * _PARTS + centre + off
    around = 12 * _PARTS
    apart = (places - middles + around / 2) % around - around / 2
    return np.exp(-0.5 * (apart / _PARTS / _WIDTH) ** 2) @ by_note.ravel()


def _bin(note: int) -> int:
    """Return the bin of the spectrum just above a MIDI note."""
    return int(np.ceil(440.0 * 2.0 ** ((note - 69) / 12.0) * _LENGTH / _KEY_RATE))


# The columns in order, each with its method: values from another method are recomputed.
METHODS = {
    "bpm": TEMPO_METHOD,
    "bpm_confidence": TEMPO_METHOD,
    "bpm_other": TEMPO_METHOD,
    "key": KEY_METHOD,
    "scale": KEY_METHOD,
    "key_confidence": KEY_METHOD,
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Tempo and key of one song.

    Attributes
    ----------
    bpm : float or None
        Beats per minute, from 40 to 250; None if the song has no pulse.
    bpm_confidence : float
        Probability that `bpm` is right, its level included, from 0 to 1; 0 without a tempo.
    bpm_other : float or None
        Half or twice as fast, where people may tap that instead; None where one level is clear.
    key : str or None
        The tonic, one of `audiorec.types.TONICS`; None if nothing in the song has a pitch.
    scale : {"major", "minor"} or None
    key_confidence : float
        Probability that tonic and scale are both correct, from 0 to 1; 0 without a key.
    """

    bpm: float | None
    bpm_confidence: float
    bpm_other: float | None
    key: str | None
    scale: str | None
    key_confidence: float


class AttributeMeter(Iterable[FloatArray]):
    """Iterable of blocks that measures the key during its first iteration, and tempo on spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from audiorec.audio.mel import power_spectra
    >>> t = np.arange(12 * 16_000) / 16_000
    >>> chord = sum(np.sin(2 * np.pi * hertz * t) for hertz in (220, 277.2, 329.6))  # A, C#, E
    >>> listened = AttributeMeter(np.split(np.float32(chord * np.exp(-10 * (t % 0.5))), 12))
    >>> for spectra in power_spectra(listened):
    ...     listened.add(spectra)
    >>> found = listened.attributes()
    >>> round(found.bpm), found.key, found.scale
    (120, 'A', 'major')
    """

    def __init__(self, blocks: Iterable[FloatArray]) -> None:
        self._blocks = blocks
        self._tempo, self._key = TempoMeter(), KeyMeter()
        self._is_first = True

    def __iter__(self) -> Iterator[FloatArray]:
        is_first, self._is_first = self._is_first, False
        for block in self._blocks:
            if is_first:
                self._key.add(block)
            yield block

    def add(self, spectra: FloatArray) -> None:
        """Add the next power spectra (f, 257) of the blocks: 32 ms, one every 16 ms."""
        self._tempo.add(spectra)

    def attributes(self) -> Attributes:
        """Return the attributes; call it after the last block and its spectra."""
        result, key = self._tempo.tempo(), self._key.key()
        tempo = (result.bpm, result.confidence, result.other)
        return Attributes(*tempo, key.tonic, key.scale, key.confidence)
