"""Feature specs: the parameters that define what a feature means.

Everything that changes numbers is in a frozen spec with a fingerprint; everything that only changes
speed (jobs, batch size, device, engine) is an argument and must not be added here. Weights belong
to exactly one spec, and every stored vector has the `extractor_id` that was computed from it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from audiorec.errors import InputError

FINGERPRINT_LENGTH = 16  # hex digits
# Choices for the string fields of `MelSpec`.
WINDOWS = ("hann", "hann, symmetric")  # the first is periodic
PADDINGS = ("zeros", "reflect", "none")
SCALES = ("slaney", "htk", "kaldi", "given")  # `audiorec.audio.mel` has the formulas
CURVES = ("log10(c x + 1)", "log(x + c)", "10 log10(max(x, c))")


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
    """Parameters of decoding a file to a mono waveform."""

    sample_rate: int = 16_000  # Hz
    downmix: str = "mean of channels"
    resampler: str = "soxr HQ"
    # A float file with a higher peak is scaled to peak 1. No decoder overshoots by 12 dB, so this
    # only affects files with samples in another unit, such as 16-bit counts.
    max_peak: float = 4.0
    # The first channel is used instead of the mean of the channels if the mean's energy is below
    # this share of the channels' mean energy: 40 dB down, one channel is the other inverted.
    min_mix_energy: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSpec:
    """Parameters of loudness normalisation, applied before spectrogram compression."""

    target_lufs: float = -23.0  # programme loudness of EBU R 128
    # Upper limit of the gain, so that a noise floor is not amplified to the level of music.
    max_gain_db: float = 40.0
    meter: str = "ITU-R BS.1770, gated, of the mono mix"

    def __post_init__(self) -> None:
        if not -70.0 < self.target_lufs <= 0.0 or not 0.0 <= self.max_gain_db <= 100.0:
            raise InputError(
                "expected -70 < target_lufs <= 0 and 0 <= max_gain_db <= 100, "
                f"got {self.target_lufs:g} and {self.max_gain_db:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSpec:
    """Parameters of mel frames; the defaults are those of the shipped networks.

    Frames are ``(curve(mel power) + shift) / divide_by``, with `compression` as the curve's ``c``.
    The fields after `padding` were added later for other networks: `to_dict` omits them at their
    defaults, so that earlier fingerprints stay valid.
    """

    sample_rate: int = 16_000  # Hz
    n_fft: int = 512  # samples
    hop_length: int = 256  # samples
    n_mels: int = 96  # bands
    f_min: float = 0.0  # Hz
    f_max: float = 8_000.0  # Hz
    compression: float = 10_000.0
    padding: str = "zeros"  # n_fft // 2 samples at both ends of each transformed signal
    pre_emphasis: float = 0.0  # c: ``y[n] = x[n] - c x[n - 1]``, from the second sample on
    window: str = "hann"
    window_length: int | None = None  # samples, centred in n_fft; None for n_fft
    power: float = 2.0  # exponent of the spectrum's magnitude
    scale: str = "slaney"
    filterbank: str | None = None  # digest of the matrix, for the scale ``given``
    curve: str = "log10(c x + 1)"
    shift: float = 0.0
    divide_by: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise InputError(
                f"expected 0 <= f_min < f_max <= sample_rate / 2, "
                f"got {self.f_min:g}, {self.f_max:g}, {self.sample_rate / 2:g} Hz"
            )
        for name, choices in _WORDS.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        if self.n_fft % 2 or self.hop_length < 1:
            raise InputError(f"n_fft must be even and hop_length above 0, got {self.n_fft}")
        if not 1 < (self.window_length or self.n_fft) <= self.n_fft:
            raise InputError(
                f"window_length must be 2 to n_fft={self.n_fft} samples, got {self.window_length}"
            )
        if self.power not in (1.0, 2.0) or not self.compression > 0 or not self.divide_by > 0:
            raise InputError("power must be 1 or 2, compression and divide_by above 0")
        if (self.filterbank is None) == (self.scale == "given"):
            raise InputError("scale 'given' requires a filterbank digest; other scales allow none")

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames of a signal of `n_samples` samples."""
        heard = n_samples - (self.pre_emphasis > 0)
        if self.padding == "none":
            heard -= self.n_fft
            return 1 + heard // self.hop_length if heard >= 0 else 0
        return 1 + heard // self.hop_length if heard > 0 else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values, without later fields that have their defaults."""
        return _without_defaults(self, _LATER_MEL)


_WORDS = {"window": WINDOWS, "padding": PADDINGS, "scale": SCALES, "curve": CURVES}
_LATER_MEL = (
    *("pre_emphasis", "window", "window_length", "power"),
    *("scale", "filterbank", "curve", "shift", "divide_by"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """Parameters of segmentation: a segment of `n_frames` frames every `hop_s` seconds."""

    # Bounds of the hop: below, segments are nearly the same; above, too little of a song is used.
    MIN_HOP_S: ClassVar[float] = 0.5
    MAX_HOP_S: ClassVar[float] = 60.0

    n_frames: int = 187  # mel frames in a segment: 2.992 s
    hop_s: float = 3.0  # seconds between segment starts
    min_tail_s: float = 1.5  # a tail of at least this length gets one more window at the end
    min_track_s: float = 1.0  # a shorter song is refused
    # Length in seconds of segments with a spectrogram each, for networks that were trained on
    # clips; None if one STFT runs over the whole song. Not in `to_dict` if it is None.
    length_s: float | None = None

    def __post_init__(self) -> None:
        if not self.MIN_HOP_S <= self.hop_s <= self.MAX_HOP_S:
            raise InputError(
                f"the hop must be from {self.MIN_HOP_S:g} to {self.MAX_HOP_S:g} s, "
                f"got {self.hop_s:g}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values."""
        return _without_defaults(self, ("length_s",))


def _without_defaults(part: Any, later: Sequence[str]) -> dict[str, Any]:
    """Return a spec's fields, omitting those in `later` that have their defaults."""
    usual = {f.name: f.default for f in fields(part) if f.name in later}
    return {k: v for k, v in asdict(part).items() if k not in usual or v != usual[k]}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """All parameters between a file and the backbone's input.

    ``level=None`` disables loudness normalisation, for networks that hear tracks at their own
    level.
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
        if self.segment.length_s is not None:
            frames = self.mel.n_frames(self.segment_samples)
            if frames != self.segment.n_frames or not frames:
                raise InputError(
                    f"{self.segment.length_s:g} s has {frames} frames, got {self.segment.n_frames}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as nested dicts for JSON; without a level, that key is absent."""
        parts = {"decode": asdict(self.decode), "level": self.level and asdict(self.level)}
        parts |= {"mel": self.mel.to_dict(), "segment": self.segment.to_dict()}
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "FeatureSpec":
        """Return the spec from the output of `to_dict`.

        Raises
        ------
        InputError
            If a part or a number is missing, unknown or out of range.

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
        """Samples covered by a segment: 3.000 s by default, half a frame more than its frames."""
        if self.segment.length_s is not None:
            return round(self.segment.length_s * self.mel.sample_rate)
        if self.mel.padding == "none":
            return (self.segment.n_frames - 1) * self.mel.hop_length + self.mel.n_fft
        return (2 * self.segment.n_frames + 1) * self.mel.hop_length // 2

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when any field changes."""
        return fingerprint(self.to_dict())

    @property
    def front_end(self) -> str:
        """Fingerprint of everything but the hop and tail rules: what a head depends on."""
        parts = self.to_dict()
        shape = {"n_frames": self.segment.n_frames, "length_s": self.segment.length_s}
        kept = {name: value for name, value in shape.items() if value is not None}
        return fingerprint({**parts, "segment": kept})
