"""Decoded blocks to a mono waveform at 16 kHz, with levels measured on the way.

    `RawBlock` (n, channels)  ──Mono.add──▶  blocks (n,) float32 at the spec's rate

The mix is the plain mean of the channels, as in the corpora that the weights were trained on;
the backbone is sensitive to gain. The measured peak, energies and range decide afterwards whether
the file must be mixed in another way: see `Mono.better_mix`.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soxr

from audiorec.audio.raw import RawBlock
from audiorec.spec import DecodeSpec
from audiorec.types import FloatArray

SILENCE = 1e-4  # half the range of a signal at -80 dBFS


class ChannelMix(NamedTuple):
    """How to mix a file's channels, as determined by a first reading."""

    channel: int | None = None  # use this channel alone instead of the mean
    gain: float = 1.0


AS_MIXED = ChannelMix()


class NotFiniteError(Exception):
    """A sample is NaN or infinite; has its time in seconds."""

    def __init__(self, at_s: float) -> None:
        super().__init__(at_s)
        self.at_s = at_s


class Mono:
    """Mixer, resampler and level meter of one reading of a file."""

    def __init__(self, spec: DecodeSpec, mix: ChannelMix = AS_MIXED) -> None:
        self.seconds = 0.0  # of input
        self.n_samples = 0  # of output
        self.sample_rate = self.channels = 0  # of the first block
        self.peak = 0.0  # largest absolute sample over all channels, before the gain
        self._spec = spec
        self._channels_mix = mix
        self._low, self._high = math.inf, -math.inf
        self._mix_energy = self._channel_energy = 0.0
        self._resampler: soxr.ResampleStream | None = None
        self._rate = 0

    def add(self, block: RawBlock) -> Iterator[FloatArray]:
        """Add a decoded block and yield the samples that are ready.

        Raises `NotFiniteError` for NaN and infinity.
        """
        samples, rate = block
        self._measure(samples, rate)
        self.seconds += len(samples) / rate
        if self._is_too_loud:
            return  # the file will be read again with another gain; only the peak matters now
        mixed = self._mix(samples)
        if rate != self._rate:
            yield from self.flush()
            self._rate, target = rate, self._spec.sample_rate  # chained streams may differ
            self._resampler = (
                None
                if rate == target
                else soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
            )
        yield from self._emit(mixed, last=False)

    def flush(self) -> Iterator[FloatArray]:
        """Yield the samples left in the resampler; call once after the last block."""
        if self._resampler is not None:
            yield from self._emit(np.zeros(0, np.float32), last=True)

    def better_mix(self) -> ChannelMix | None:
        """Return the mix that the file needs, or None if this one was right."""
        if self._is_too_loud:
            return self._channels_mix._replace(gain=1.0 / self.peak)
        is_mix = self.channels > 1 and self._channels_mix.channel is None
        if is_mix and self._mix_energy < self._spec.min_mix_energy * self._channel_energy:
            return self._channels_mix._replace(channel=0)
        return None

    @property
    def is_silent(self) -> bool:
        """True if the waveform stays within -80 dBFS of a constant."""
        return (self._high - self._low) / 2 < SILENCE

    @property
    def _is_too_loud(self) -> bool:
        return self._channels_mix.gain == 1.0 and self.peak > self._spec.max_peak

    def _measure(self, samples: FloatArray, rate: int) -> None:
        low, high = float(samples.min()), float(samples.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            first = int(np.argmin(np.isfinite(samples).all(axis=1)))
            raise NotFiniteError(self.seconds + first / rate)
        self.peak = max(self.peak, -low, high)
        if not self.sample_rate:
            self.sample_rate, self.channels = rate, samples.shape[1]

    def _mix(self, samples: FloatArray) -> FloatArray:
        if self._channels_mix.gain != 1.0:
            samples = samples * np.float32(self._channels_mix.gain)
        n_channels = samples.shape[1]
        if self._channels_mix.channel is not None or n_channels == 1:
            mixed = samples[:, self._channels_mix.channel or 0].copy()
        else:
            mixed = samples[:, 0] + samples[:, 1]  # 5 to 25 times as fast as mean(axis=1)
            for extra in range(2, n_channels):
                mixed += samples[:, extra]
            mixed *= np.float32(1.0 / n_channels)
            every = samples.ravel(order="K")
            self._channel_energy += float(np.dot(every, every)) / n_channels
            self._mix_energy += float(np.dot(mixed, mixed))
        self._low = min(self._low, float(mixed.min()))
        self._high = max(self._high, float(mixed.max()))
        return mixed

    def _emit(self, mixed: FloatArray, *, last: bool) -> Iterator[FloatArray]:
        if self._resampler is not None:
            mixed = self._resampler.resample_chunk(mixed, last=last)
        self.n_samples += len(mixed)
        if len(mixed):
            yield mixed
