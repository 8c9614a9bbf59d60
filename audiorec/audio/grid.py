"""Where segments lie in a track, in samples and frames; and what they are.

FeatureSpec ──Grid──▶ hop, length, least tail        `Segment`, `Track`: what comes of a track
"""

from collections.abc import Iterator
from typing import NamedTuple

from audiorec.errors import ShapeError
from audiorec.spec import FeatureSpec
from audiorec.types import FloatArray


class Segment(NamedTuple):
    """One segment of a track."""

    start_s: float  # ``3 i`` for whole segments; of the window over the tail its first frame's
    log_mel: FloatArray  # (187, 96)


class Piece(NamedTuple):
    """A segment before its power is compressed, which waits for the track's gain."""

    start_s: float
    power: FloatArray  # (187, 96): of each mel band


class Track(NamedTuple):
    """A track that has been measured, and its segments, which are cut as they are asked for."""

    loudness_lufs: float | None  # of the mono mix; None where it has none, or was not asked for
    segments: Iterator[Segment]


class Grid:
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
        """Return where a frame is centred."""
        return frame * self._frame / self._rate

    def has_tail(self, n_samples: int, n_whole: int) -> bool:
        """Whether what follows `n_whole` segments gets a window of its own, at the track's end."""
        covered = self.hop * n_whole + max(0, self.whole - self.hop)
        return n_samples - covered >= self.min_tail

    def check(self, n_samples: int) -> None:
        """Raise a `ShapeError` for a track that is too short to be heard."""
        if n_samples < self.min_track:
            raise ShapeError(
                f"a track must have at least {self.min_track} samples, got {n_samples}"
            )
