"""Log-mel frames to segments: the pieces of 3 s that the backbone looks at.

    blocks (n,) at 16 kHz  ──segments──▶  `Segment` (187, 96), one every 3.000 s

The rule, for N samples, of which 48,000 are 3 s:

* Segment i begins at 3i s and is whole where the track has 3 s from there on: there are
  ``T0 = N // 48000``. Its start is 187.5 i frames, rounded half up, and it has 187 frames:
  a rounded grid keeps step with the clock, where 187 frames after 187 frames would run
  ahead by 8 ms a segment.
* A tail of at least 1.5 s gets one more window: the last 187 frames of the track, which
  overlap the segment before. A shorter tail is dropped.
* A track of 1 to 3 s is padded with zero samples to one segment. Below 1 s it is refused.

With another hop h than 3 s segment i begins at h i s. A longer hop leaves gaps; the tail is
what follows the start of the next segment. A shorter hop makes segments overlap; the tail
is what follows the end of the last one.

A track is brought to one loudness first (`audiorec.audio.level`), which is known when all of it
has been heard. Until then its frames are held as power, for 10 minutes: 14 MB. A longer track is
read twice, so that one of any length takes the same memory.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from audiorec.audio.level import Meter, gain
from audiorec.audio.mel import compressed, mel_power, power_spectra
from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec
from audiorec.types import FloatArray

_DEFAULT_SPEC = FeatureSpec()
HELD_S = 600.0  # of a track's frames, 24 kB a second


class Segment(NamedTuple):
    """One segment of a track."""

    start_s: float  # ``3 i`` for whole segments; of the window over the tail its first frame's
    log_mel: FloatArray  # (187, 96)


class Track(NamedTuple):
    """A track that has been measured, and its segments, which are cut as they are asked for."""

    loudness_lufs: float | None  # of the mono mix; None where it has none, or was not asked for
    segments: Iterator[Segment]


def levelled(blocks: Iterable[FloatArray], spec: FeatureSpec = _DEFAULT_SPEC) -> Track:
    """Measure a track's loudness, and cut it into segments at the loudness of the spec.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32
        The waveform at ``spec.mel.sample_rate``, cut anywhere. Of a track of more than 10 minutes
        they are iterated over twice.
    spec : FeatureSpec

    Returns
    -------
    track : Track
        At least one segment, in order of time.

    Raises
    ------
    ShapeError
        If the track is shorter than ``spec.segment.min_track_s``.
    InputError
        If it is longer than 10 minutes and the blocks can be iterated over only once.

    Examples
    --------
    >>> track = levelled([np.zeros(8 * 16_000, np.float32)])  # two whole segments, a tail of 2 s
    >>> track.loudness_lufs, [(s.start_s, s.log_mel.shape) for s in track.segments]
    (None, [(0.0, (187, 96)), (3.0, (187, 96)), (5.024, (187, 96))])
    """
    if spec.level is None:
        return Track(None, _cut(_Power(blocks, spec), spec, 1.0))
    power = _Power(blocks, spec)
    meter, most = Meter(spec.mel), HELD_S * spec.mel.sample_rate
    held: deque[FloatArray] | None = deque()
    for spectra in power.spectra():
        meter.add(spectra)
        if held is not None and power.n_samples > most:
            _check_again(blocks)
            held = None
        if held is not None:
            held.append(mel_power(spectra, spec.mel))
    loudness = meter.loudness_lufs(power.n_heard)
    again = _Power(blocks, spec) if held is None else _Held(held, power.n_samples)
    return Track(loudness, _cut(again, spec, gain(loudness, spec.level)))


def segments(blocks: Iterable[FloatArray], spec: FeatureSpec = _DEFAULT_SPEC) -> Iterator[Segment]:
    """Yield the segments of a track at the loudness of the spec; see `levelled`.

    Examples
    --------
    >>> track = np.zeros(8 * 16_000, np.float32)  # two whole segments and a tail of 2 s
    >>> [(s.start_s, s.log_mel.shape) for s in segments([track])]
    [(0.0, (187, 96)), (3.0, (187, 96)), (5.024, (187, 96))]
    """
    yield from levelled(blocks, spec).segments


def _check_again(blocks: Iterable[FloatArray]) -> None:
    if isinstance(blocks, Iterator):
        raise InputError(
            f"a track of more than {HELD_S:g} s is read twice, and these blocks can be iterated "
            "over only once: give a list, or what starts anew at each iteration"
        )


def _cut(power: "_Power | _Held", spec: FeatureSpec, factor: float) -> Iterator[Segment]:
    """Yield the segments of a track from its mel power, `factor` times as loud."""
    grid = _Grid(spec)
    window = _Frames(spec.mel.n_mels)
    n_whole = 0
    for frames in power:
        window.extend(frames)
        while power.n_samples >= grid.hop * n_whole + grid.whole:
            start = grid.first_frame(n_whole)
            if start + grid.length > window.end:
                break
            cut = window.cut(start, grid.length)
            yield Segment(n_whole * spec.segment.hop_s, compressed(cut, spec.mel, gain=factor))
            n_whole += 1
        window.forget(min(grid.first_frame(n_whole), window.end - grid.length))
    covered = grid.hop * n_whole + max(0, grid.whole - grid.hop)
    if power.n_samples - covered >= grid.min_tail:
        start = window.end - grid.length
        cut = window.cut(start, grid.length)
        yield Segment(grid.seconds(start), compressed(cut, spec.mel, gain=factor))


class _Grid:
    """The spec in samples and frames."""

    def __init__(self, spec: FeatureSpec) -> None:
        rate = spec.mel.sample_rate
        self.hop = round(spec.segment.hop_s * rate)  # samples between two segments
        self.whole = spec.segment_samples
        self.min_tail = round(spec.segment.min_tail_s * rate)  # samples
        self.min_track = round(spec.segment.min_track_s * rate)  # samples
        self.length = spec.segment.n_frames
        self._frame = spec.mel.hop_length  # samples between two frames
        self._rate = rate

    def first_frame(self, segment: int) -> int:
        """Frame nearest to the segment's start; the earlier of two gives way (half up)."""
        return (2 * segment * self.hop + self._frame) // (2 * self._frame)

    def seconds(self, frame: int) -> float:
        return frame * self._frame / self._rate


class _Power:
    """Mel power of a track while it is read, padded to one segment where there is less.

    `n_samples` counts what was read so far, with the padding; `n_heard` without it.
    """

    def __init__(self, blocks: Iterable[FloatArray], spec: FeatureSpec) -> None:
        self.n_samples = self.n_heard = 0
        self._blocks = blocks
        self._spec = spec

    def __iter__(self) -> Iterator[FloatArray]:
        for spectra in self.spectra():
            yield mel_power(spectra, self._spec.mel)

    def spectra(self) -> Iterator[FloatArray]:
        return power_spectra(self._padded(), self._spec.mel)

    def _padded(self) -> Iterator[FloatArray]:
        for block in self._blocks:
            self.n_heard += len(block)
            self.n_samples = self.n_heard
            yield block
        grid = _Grid(self._spec)
        if self.n_heard < grid.min_track:
            raise ShapeError(
                f"a track must have at least {grid.min_track} samples, got {self.n_heard}"
            )
        if (missing := grid.whole - self.n_heard) > 0:
            self.n_samples = grid.whole
            yield np.zeros(missing, np.float32)


class _Held:
    """Mel power of a track that has been read, let go of as it is used."""

    def __init__(self, chunks: deque[FloatArray], n_samples: int) -> None:
        self.n_samples = n_samples
        self._chunks = chunks

    def __iter__(self) -> Iterator[FloatArray]:
        while self._chunks:
            yield self._chunks.popleft()


class _Frames:
    """The frames that may still be needed, under their numbers in the track."""

    def __init__(self, n_mels: int) -> None:
        self._begin = 0
        self._frames = np.zeros((0, n_mels), np.float32)

    @property
    def end(self) -> int:
        return self._begin + len(self._frames)

    def extend(self, frames: FloatArray) -> None:
        self._frames = np.concatenate([self._frames, frames])

    def cut(self, start: int, length: int) -> FloatArray:
        return self._frames[start - self._begin :][:length]

    def forget(self, before: int) -> None:
        """Drop the frames before the given number."""
        drop = max(0, before - self._begin)
        self._frames = self._frames[drop:]
        self._begin += drop
