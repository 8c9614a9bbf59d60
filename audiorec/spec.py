"""The numbers that decide what a feature means.

What changes numbers is a frozen spec with a fingerprint; what changes speed (jobs, batch
size, device, engine) is an argument and is never added here. Weights belong to exactly
one spec, and every stored vector carries the `extractor_id` that was computed from it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from audiorec.errors import InputError

FINGERPRINT_LENGTH = 16  # hex digits


def fingerprint(content: Mapping[str, Any]) -> str:
    """Return sixteen hex digits that change when any value in `content` changes.

    Examples
    --------
    >>> fingerprint({"a": 1}) == fingerprint({"a": 1})
    True
    >>> fingerprint({"a": 1}) == fingerprint({"a": 2})
    False
    """
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSpec:
    """How a file becomes a mono waveform."""

    sample_rate: int = 16_000  # Hz
    downmix: str = "mean of channels"
    resampler: str = "soxr HQ"
    # A float file whose peak lies above this is scaled to peak 1. No decoder overshoots
    # by 12 dB, so only files with samples in another unit (16-bit counts, say) are touched.
    max_peak: float = 4.0
    # The mean of the channels is replaced by the first channel when its energy is below
    # this part of the channels' mean energy: 40 dB down, one channel is the other inverted.
    min_mix_energy: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSpec:
    """To which loudness a track is brought before its spectrogram is compressed."""

    target_lufs: float = -23.0  # programme loudness of EBU R 128
    # What has no loudness is left as it is, and what is quieter than this allows stays quieter:
    # a noise floor is not music.
    max_gain_db: float = 40.0
    meter: str = "ITU-R BS.1770, gated, of the mono mix"

    def __post_init__(self) -> None:
        if not -70.0 < self.target_lufs <= 0.0 or not 0.0 <= self.max_gain_db <= 100.0:
            raise InputError(
                "need -70 < target_lufs <= 0 and 0 <= max_gain_db <= 100, "
                f"got {self.target_lufs:g} and {self.max_gain_db:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSpec:
    """How a waveform becomes log-mel frames: one STFT over the whole track, centred frames."""

    sample_rate: int = 16_000  # Hz
    n_fft: int = 512  # samples, periodic Hann window
    hop_length: int = 256  # samples
    n_mels: int = 96  # bands, Slaney scale and area normalisation
    f_min: float = 0.0  # Hz
    f_max: float = 8_000.0  # Hz
    compression: float = 10_000.0  # log10(compression * power + 1)
    padding: str = "zeros"  # half a window on both ends of the track

    def __post_init__(self) -> None:
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise InputError(
                f"need 0 <= f_min < f_max <= sample_rate / 2, "
                f"got {self.f_min:g}, {self.f_max:g}, {self.sample_rate / 2:g} Hz"
            )

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames of a track of `n_samples` samples."""
        return 1 + n_samples // self.hop_length if n_samples > 0 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """How a track is cut: a segment every `hop_s` seconds, each of `n_frames` frames."""

    # Bounds of the hop: below, neighbours are nearly the same; above, songs are hardly heard.
    MIN_HOP_S: ClassVar[float] = 0.5
    MAX_HOP_S: ClassVar[float] = 60.0

    n_frames: int = 187  # mel frames in a segment: 2.992 s
    hop_s: float = 3.0  # seconds between the starts of two segments
    min_tail_s: float = 1.5  # a tail at least this long gets one more window at the end
    min_track_s: float = 1.0  # a shorter track is refused

    def __post_init__(self) -> None:
        if not self.MIN_HOP_S <= self.hop_s <= self.MAX_HOP_S:
            raise InputError(
                f"the hop must lie between {self.MIN_HOP_S:g} and {self.MAX_HOP_S:g} s, "
                f"got {self.hop_s:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Everything between a file and the backbone's input.

    ``level=None`` takes tracks as loud as they come. Nothing new should: stores, heads and models
    of audiorec before format 2 were made so, and keep their fingerprints.
    """

    decode: DecodeSpec = field(default_factory=DecodeSpec)
    level: LevelSpec | None = field(default_factory=LevelSpec)
    mel: MelSpec = field(default_factory=MelSpec)
    segment: SegmentSpec = field(default_factory=SegmentSpec)

    def __post_init__(self) -> None:
        if self.decode.sample_rate != self.mel.sample_rate:
            raise InputError(
                f"decode.sample_rate={self.decode.sample_rate} Hz differs from "
                f"mel.sample_rate={self.mel.sample_rate} Hz"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain nested dicts, ready for JSON; no level, no key."""
        return {name: part for name, part in asdict(self).items() if part is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "FeatureSpec":
        """Return the spec that `to_dict` wrote.

        Raises
        ------
        InputError
            If a part or a number is missing or unknown, or out of its bounds.

        Examples
        --------
        >>> FeatureSpec.from_dict(FeatureSpec().to_dict()) == FeatureSpec()
        True
        """
        parts = {"decode": DecodeSpec, "level": LevelSpec, "mel": MelSpec, "segment": SegmentSpec}
        try:
            if content.keys() | {"level"} != parts.keys():
                raise TypeError(f"expected the parts {', '.join(parts)}")
            made: dict[str, Any] = {name: parts[name](**part) for name, part in content.items()}
        except TypeError as error:
            raise InputError(f"not a feature spec of this audiorec: {error}") from error
        return cls(**{"level": None, **made})

    @property
    def segment_samples(self) -> int:
        """Samples that a segment stands for: half a frame more than its frames, 3.000 s."""
        return (2 * self.segment.n_frames + 1) * self.mel.hop_length // 2

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when any field changes."""
        return fingerprint(self.to_dict())

    @property
    def front_end(self) -> str:
        """The fingerprint of all that shapes one segment: whatever the hop, a head fits."""
        parts = self.to_dict()
        return fingerprint({**parts, "segment": {"n_frames": self.segment.n_frames}})
