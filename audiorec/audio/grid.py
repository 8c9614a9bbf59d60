"""Positions of segments in a song, in samples and frames; and the types of a segmented song.

FeatureSpec ──Grid──▶ hop, length, shortest tail        `Segment`, `PowerSegment`, `LevelledSong`
"""

from collections.abc import Iterator
from typing import NamedTuple

from audiorec.errors import ShapeError
from audiorec.spec import FeatureSpec
from audiorec.types import FloatArray


class Segment(NamedTuple):
    """One segment of a song."""

    start_s: float  # ``3 i``; for the window over the tail, the time of its first frame
    log_mel: FloatArray  # (187, 96)


class PowerSegment(NamedTuple):
    """A segment before compression, which needs the song's gain."""

    start_s: float
    power: FloatArray  # (187, 96): mel power


class LevelledSong(NamedTuple):
    """Loudness of a song, and its segments, which are computed on demand."""

    loudness_lufs: float | None  # of the mono mix; None if undefined or not measured
    segments: Iterator[Segment]


class Grid:
    """Segmentation parameters of a spec, converted to samples and frames."""

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
        """Return the frame nearest to the segment's start, rounding half up."""
        return (2 * segment * self.hop + self._frame) // (2 * self._frame)

    def seconds(self, frame: int) -> float:
        """Return the time of a frame's centre."""
        return frame * self._frame / self._rate

    def has_tail(self, n_samples: int, n_whole: int) -> bool:
        """Return whether the tail after `n_whole` segments is long enough for one more window."""
        covered = self.hop * n_whole + max(0, self.whole - self.hop)
        return n_samples - covered >= self.min_tail

    def check(self, n_samples: int) -> None:
        """Raise `ShapeError` if the song is too short."""
        if n_samples < self.min_track:
            raise ShapeError(f"a song must have at least {self.min_track} samples, got {n_samples}")
