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

All of it streams: samples are drawn as segments are asked for, and no more than a few
segments are held, so that a track of any length takes the same memory.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from audiorec.audio.mel import log_mel_frames
from audiorec.errors import ShapeError
from audiorec.spec import FeatureSpec
from audiorec.types import FloatArray

_DEFAULT_SPEC = FeatureSpec()


class Segment(NamedTuple):
    """One segment of a track."""

    start_s: float  # ``3 i`` for whole segments; of the window over the tail its first frame's
    log_mel: FloatArray  # (187, 96)


def segments(blocks: Iterable[FloatArray], spec: FeatureSpec = _DEFAULT_SPEC) -> Iterator[Segment]:
    """Yield the segments of a track while its samples come in.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32
        The waveform at ``spec.mel.sample_rate``, cut anywhere.
    spec : FeatureSpec

    Yields
    ------
    Segment
        At least one, in order of time.

    Raises
    ------
    ShapeError
        If the track is shorter than ``spec.segment.min_track_s``, once that is known.

    Examples
    --------
    >>> track = np.zeros(8 * 16_000, np.float32)  # two whole segments and a tail of 2 s
    >>> [(s.start_s, s.log_mel.shape) for s in segments([track])]
    [(0.0, (187, 96)), (3.0, (187, 96)), (5.024, (187, 96))]
    """
    grid = _Grid(spec)
    counted = _Counted(blocks, grid)
    window = _Frames(spec.mel.n_mels)
    n_whole = 0
    for frames in log_mel_frames(counted, spec.mel):
        window.extend(frames)
        while counted.n_samples >= grid.hop * n_whole + grid.whole:
            start = grid.first_frame(n_whole)
            if start + grid.length > window.end:
                break
            yield Segment(n_whole * spec.segment.hop_s, window.cut(start, grid.length))
            n_whole += 1
        window.forget(min(grid.first_frame(n_whole), window.end - grid.length))
    covered = grid.hop * n_whole + max(0, grid.whole - grid.hop)
    if counted.n_samples - covered >= grid.min_tail:
        start = window.end - grid.length
        yield Segment(grid.seconds(start), window.cut(start, grid.length))


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


class _Counted:
    """The blocks, counted as they pass, and padded to one segment where there is less."""

    def __init__(self, blocks: Iterable[FloatArray], grid: _Grid) -> None:
        self.n_samples = 0
        self._blocks = blocks
        self._grid = grid

    def __iter__(self) -> Iterator[FloatArray]:
        for block in self._blocks:
            self.n_samples += len(block)
            yield block
        grid = self._grid
        if self.n_samples < grid.min_track:
            raise ShapeError(
                f"a track must have at least {grid.min_track} samples, got {self.n_samples}"
            )
        if (missing := grid.whole - self.n_samples) > 0:
            self.n_samples = grid.whole
            yield np.zeros(missing, np.float32)


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
        return self._frames[start - self._begin :][:length].copy()

    def forget(self, before: int) -> None:
        """Drop the frames before the given number."""
        drop = max(0, before - self._begin)
        self._frames = self._frames[drop:]
        self._begin += drop
