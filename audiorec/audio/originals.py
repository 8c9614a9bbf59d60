"""Which of two copies of a recording was made from the other, told from their samples.

    path ──Listened.to──▶ pieces of the waveform at its own rate, power of each kilohertz
    lossy and lossless copy ──origin──▶ `Origin`: which is the original, and what tells it
    two paths ──likeness──▶ correlation of their spectrograms: 1 for copies

A lossy codec rounds the coefficients of a transform, most of the high ones to zero. Whoever takes
the same transform of the decoded samples, at the same place of the grid, finds these zeros again:
a lossless file that has them was made from a lossy one. Where they are not found, a lossless file
that has sound in a band in which the lossy copy has none cannot have been made from it. MP3 leaves
no such trace, since its transform follows a bank of filters.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np

from audiorec.audio.decode import decode, readers_for
from audiorec.audio.mel import mel_power, power_spectra
from audiorec.audio.readers import DecoderError, RawBlock
from audiorec.audio.sniff import PathLike, display_path, open_regular, sniff
from audiorec.errors import Failure, SongError
from audiorec.spec import MelSpec
from audiorec.types import Float64Array, FloatArray, Int64Array

_SIZE = 2048  # samples of a long block of Vorbis and AAC
_HOP = _SIZE // 2
_PIECE = _SIZE + _HOP  # holds a block at each place of the grid
_PIECES = 512  # kept at most; then every second one is dropped
_GRID = 64  # places at which the grid may lie
_SEARCHED, _PROVEN, _FEWEST = 4, 32, 12  # pieces in which the grid is searched, and proven
_OTHERS = np.array([0, 5, 16, 27, 38, 49])  # from the place that is found to those beside it
_EDGES = (2_000, 6_000, 10_000, 15_000)  # hertz: bands in which zeros are looked for
_STEP = 2.0**-15  # of 16 bits
_FLOOR = _STEP**2 / 12 * _SIZE / 4  # power of a coefficient that is 0 but for rounding
_DEPTH, _CERTAIN = 0.02, 4.0  # least dip: mean of log10 power, and in standard errors
_NAMED, _OWN = 0.2, 1.3  # least dip that names a codec, and times as deep as by others' windows
_LOUDER, _HEARD = 8.0, -105.0  # decibels: more in a band, and above which it counts
_BANDS = range(8, 22)  # kilohertz
_MEL = MelSpec(n_mels=40)
_MOST_FRAMES = 3_750  # a minute
_LEVEL = slice(1, 6)  # kilohertz in which two copies are equally loud


class Origin(Enum):
    """Which of a lossy and a lossless copy was made from the other."""

    UNKNOWN = 0
    LOSSY = 1  # the lossless one carries its trace
    LOSSLESS = 2  # it has sound where the lossy one has none


@dataclass(frozen=True, slots=True, eq=False)
class Listened:
    """What is kept of a file's samples at their own rate.

    Attributes
    ----------
    rate : int
        Hertz.
    at : ndarray, shape (n,), int64
        Where each piece begins, in samples.
    pieces : ndarray, shape (n, 3072), float32
        Of the first channel.
    power : ndarray, shape (24,), float64
        Mean power of each kilohertz from 0 on, of samples rounded to 16 bits, full scale 1.
    """

    rate: int
    at: Int64Array
    pieces: FloatArray
    power: Float64Array

    @classmethod
    def to(cls, path: PathLike) -> "Listened":
        """Read a file; raise `SongError` if it cannot be read."""
        at: list[int] = []
        pieces: list[FloatArray] = []
        done, every, rate = 0, 2, 0
        power, n_power = np.zeros(_HOP + 1), 0
        rest = np.zeros(0, np.float32)
        for block in _blocks(path):
            rate = block.sample_rate
            rest = np.concatenate([rest, block.samples[:, 0]])
            whole = rest[: len(rest) - len(rest) % _PIECE].reshape(-1, _PIECE)
            rest = rest[whole.size :].copy()
            power += _power(whole)
            n_power += 2 * len(whole)
            for piece in whole:
                if (done // _PIECE) % every == 0:
                    at.append(done)
                    pieces.append(piece.copy())
                done += _PIECE
            if len(at) > _PIECES:
                at, pieces, every = at[::2], pieces[::2], 2 * every
        kept = np.stack(pieces) if pieces else np.zeros((0, _PIECE), np.float32)
        khz = np.minimum(np.arange(_HOP + 1) * rate // (_SIZE * 1000), 24)
        bands = np.bincount(khz, power / max(n_power, 1), 25)[:24].astype(np.float64)
        return cls(rate, np.asarray(at, np.int64), kept, bands)

    def trace(self) -> str:
        """Return whose traces the samples carry: ``vorbis``, ``aac``, ``other``, or "" for none.

        The grid is searched in a few pieces, and what is found proven in others.
        """
        steady = self._steady()
        searched, proven = steady[:_SEARCHED], steady[_SEARCHED : _SEARCHED + _PROVEN]
        if len(proven) < _FEWEST:
            return ""
        depths = {"vorbis": 0.0, "aac": 0.0}
        for codec, window in _windows():
            found = np.mean([self._zeros(n, np.arange(_GRID), window) for n in searched], axis=0)
            place, band = np.unravel_index(np.argmin(found - np.median(found, axis=0)), found.shape)
            depths[codec] = max(depths[codec], self._dip(proven, int(place), int(band), window))
        codec, other = sorted(depths, key=depths.__getitem__, reverse=True)
        if depths[codec] >= max(_NAMED, _OWN * depths[other]):
            return codec
        return "other" if depths[codec] else ""

    def _dip(self, pieces: Int64Array, place: int, band: int, window: FloatArray) -> float:
        """Return how far a band dips at a place of the grid; 0 unless that is certain."""
        places = (place + _OTHERS) % _GRID
        level = np.stack([self._zeros(n, places, window)[:, band] for n in pieces])
        dips = level[:, 1:].mean(axis=1) - level[:, 0]
        mean, error = dips.mean(), dips.std() / np.sqrt(len(dips))
        return float(mean) if mean > _DEPTH and mean > _CERTAIN * error else 0.0

    def _steady(self) -> Int64Array:
        """Return the pieces in which high frequencies sound, the steadiest first."""
        parts = np.diff(self.pieces, axis=1, append=0).reshape(len(self.pieces), 12, -1)
        energy = np.square(parts).mean(axis=2)
        least = energy.min(axis=1)
        rows = np.flatnonzero(least > (4 * _STEP) ** 2)
        uneven = energy.max(axis=1)[rows] / least[rows]
        return rows[np.argsort(uneven, kind="stable")]

    def _zeros(self, piece: int, places: Int64Array, window: FloatArray) -> FloatArray:
        """Return the mean log power of coefficients at places of the grid: (places, bands).

        Short blocks shift the grid of Vorbis by 64 samples each, so the least of all shifts counts.
        """
        starts = (places[:, None] + np.arange(0, _HOP, _GRID) - self.at[piece]) % _HOP
        blocks = np.lib.stride_tricks.sliding_window_view(self.pieces[piece], _SIZE)[starts]
        edges = [int(f * _SIZE / self.rate) for f in _EDGES]
        power = _coefficients(blocks * window)[..., edges[0] : edges[-1]] ** 2
        level = np.log10(power + np.float32(_FLOOR))
        bands = np.add.reduceat(level, np.subtract(edges[:-1], edges[0]), axis=-1)
        return (bands / np.diff(edges)).min(axis=1)


def origin(lossy: Listened, codec: str, lossless: Listened) -> tuple[Origin, int]:
    """Tell which of a lossy copy, of a codec, and a lossless copy was made from the other.

    Returns
    -------
    origin : Origin
    khz : int
        The band that only the lossless one has, from so many kilohertz on; else 0.
    """
    if trace := lossless.trace():
        return (Origin.LOSSY if trace == codec else Origin.UNKNOWN), 0
    more = 10 * np.log10((lossless.power + 1e-14) / (lossy.power + 1e-14))
    more -= np.median(more[_LEVEL])
    heard = 10 * np.log10(lossless.power + 1e-14) >= _HEARD
    bands = [k for k in _BANDS if more[k] >= _LOUDER and heard[k]]
    return (Origin.LOSSLESS, bands[0]) if bands else (Origin.UNKNOWN, 0)


def likeness(path: PathLike, other: PathLike, *, shift_s: float) -> float:
    """Return how alike the shorter of two files and the beginning of the other are, from -1 to 1.

    The correlation of their log-mel frames, without each band's mean, at the best shift of at most
    `shift_s` seconds; raises `SongError`.
    """
    short, long = sorted((_log_mel(path), _log_mel(other)), key=len)
    most = round(shift_s * _MEL.sample_rate / _MEL.hop_length)
    short = short[:_MOST_FRAMES]
    long = np.pad(long[: len(short) + most], ((most, 0), (0, 0)), mode="edge")
    short = short - short.mean(axis=0)
    best = -1.0
    for shift in range(len(long) - len(short) + 1):
        part = long[shift : shift + len(short)]
        part = part - part.mean(axis=0)
        norm = np.sqrt(np.vdot(short, short) * np.vdot(part, part))
        best = max(best, float(np.vdot(short, part) / max(norm, 1e-9)))
    return best


def _blocks(path: PathLike) -> Iterator[RawBlock]:
    """Yield the samples of a file, not mixed and not resampled, until no decoder can go on."""
    sniffed, begun = sniff(path), False
    with open_regular(path) as file:
        for make_reader in readers_for(sniffed):
            file.seek(0)
            with suppress(DecoderError):
                for block in make_reader(file, sniffed).blocks():
                    begun = True
                    yield block
            if begun:
                return
    raise SongError(display_path(path), Failure.UNDECODABLE, "no decoder can read it")


def _log_mel(path: PathLike) -> FloatArray:
    """Return log-mel frames (f, 40) of a file."""

    def heard(blocks: Iterable[FloatArray]) -> FloatArray:
        return np.concatenate([mel_power(spectra, _MEL) for spectra in power_spectra(blocks)])

    power = decode(path, heard)[0]
    return np.log10(power + np.float32(1e-4) * power.mean() + np.float32(1e-12))


def _power(pieces: FloatArray) -> Float64Array:
    """Return the sum of the power spectra (1025,) of both blocks of pieces, in 16 bits."""
    rounded = np.round(np.clip(pieces, -1, 1 - _STEP) / _STEP) * np.float32(_STEP)
    window = np.hanning(_SIZE).astype(np.float32) / np.float32(_SIZE * np.sqrt(3 / 16))
    blocks = np.stack([rounded[:, :_SIZE], rounded[:, _HOP:]]) * window
    spectra = np.fft.rfft(blocks)
    return (spectra.real**2 + spectra.imag**2).sum(axis=(0, 1))


def _coefficients(blocks: FloatArray) -> FloatArray:
    """Return the modified discrete cosine transform of windowed blocks: (..., 2048) to (..., 1024).

    Folded to half its length, and then a cosine transform by an FFT of a quarter.
    """
    a, b, c, d = np.split(blocks, 4, axis=-1)
    folded = np.concatenate([-c[..., ::-1] - d, a - b[..., ::-1]], axis=-1)
    turn = np.exp(-1j * np.pi * (np.arange(_HOP // 2) + 0.25) / _HOP).astype(np.complex64)
    half = np.fft.fft((folded[..., ::2] + 1j * folded[..., ::-2]) * turn) * turn
    result = np.empty(folded.shape, np.float32)
    result[..., ::2], result[..., ::-2] = half.real, half.imag
    return result


@cache
def _windows() -> tuple[tuple[str, FloatArray], ...]:
    """Return codecs and the windows (2048,) of their long blocks."""
    sine = np.sin(np.pi * (np.arange(_SIZE) + 0.5) / _SIZE)
    kaiser = np.cumsum(np.kaiser(_HOP + 1, 4 * np.pi))
    rise = np.sqrt(kaiser[:-1] / kaiser[-1])
    every = np.sin(np.pi / 2 * sine**2), np.concatenate([rise, rise[::-1]]), sine
    return tuple(zip(("vorbis", "aac", "aac"), (w.astype(np.float32) for w in every), strict=True))
