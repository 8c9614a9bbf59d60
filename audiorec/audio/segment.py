"""Log-mel frames to segments of 3 s at one loudness, the backbone's input.

    blocks (n,) at 16 kHz  ──segments──▶  `Segment` (187, 96), one every 3.000 s
    power spectra (f, 257)  ──LoudnessMeter──▶  loudness_lufs  ──gain──▶  factor of the samples

A song is first brought to the spec's loudness, which is only known at its end. Until then its
frames are held as power, for up to two hours: 173 MB. A longer song is read twice, so that memory
does not grow with its length. `Grid` says where segments lie. `clips` computes a spectrogram for
each segment, for networks that were trained on clips.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from audiorec.audio.mel import Transform, compressed, mel_power, power_spectra, window
from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec, LevelSpec, MelSpec
from audiorec.types import Float64Array, FloatArray

Heard = Callable[[FloatArray], None]  # called with power spectra (f, 1 + n_fft // 2)

_DEFAULT_SPEC = FeatureSpec()
BLOCK_S, STEP_S = 0.4, 0.1
METER_HOP_S = 0.016  # hop of the meter's own spectra, if those of the front end do not fit
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
_OFFSET_LU = -0.691  # makes the loudness of a 997 Hz sine equal its RMS level
# The two filters of the standard, as (b, a) at 48 kHz: the head's shelf, then the high-pass.
_FILTER_RATE = 48_000  # Hz
_FILTERS = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)


def loudness_lufs(waveform: FloatArray, spec: MelSpec = _DEFAULT_SPEC.mel) -> float | None:
    """Return the integrated loudness of a waveform.

    Parameters
    ----------
    waveform : ndarray, shape (N,), float32
        Mono samples at ``spec.sample_rate``.
    spec : MelSpec

    Returns
    -------
    loudness : float or None
        In LUFS. None if no block of 400 ms is louder than -70 LUFS: silence, a noise floor, a
        waveform shorter than 400 ms.

    Raises
    ------
    ShapeError
        If `waveform` has more than one axis.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 997 / 16_000 * np.arange(48_000)).astype(np.float32)
    >>> round(loudness_lufs(tone), 2), loudness_lufs(0 * tone)
    (-3.01, None)
    """
    meter = LoudnessMeter(spec)
    for spectra in power_spectra([waveform], spec):
        meter.add(spectra)
    return meter.loudness_lufs(len(waveform))


def gain(loudness: float | None, spec: LevelSpec | None) -> float:
    """Return the factor that brings a song's samples to the spec's loudness.

    1 if the loudness is undefined or the spec has no level; at most the spec's maximum gain.

    Examples
    --------
    >>> round(gain(-33.0, LevelSpec(target_lufs=-23.0)), 3)
    3.162
    """
    if loudness is None or spec is None:
        return 1.0
    return float(10.0 ** (min(spec.target_lufs - loudness, spec.max_gain_db) / 20.0))


def reads_frames_of(spec: MelSpec) -> bool:
    """Return whether the meter can reuse a front end's own spectra.

    It can if they have the meter's FFT size and hop, and the default window and padding.
    """
    return spec == MelSpec(
        sample_rate=spec.sample_rate,
        n_fft=meter_spec(spec).n_fft,
        hop_length=meter_spec(spec).hop_length,
        n_mels=spec.n_mels,
        f_min=spec.f_min,
        f_max=spec.f_max,
        compression=spec.compression,
    )


def meter_spec(spec: MelSpec) -> MelSpec:
    """Return the meter's spectrum spec at a front end's sample rate: 32 ms, one every 16 ms."""
    hop = round(METER_HOP_S * spec.sample_rate)
    half = spec.sample_rate / 2
    return MelSpec(sample_rate=spec.sample_rate, n_fft=2 * hop, hop_length=hop, f_max=half)


class LoudnessMeter:
    """Loudness meter of one song, fed with power spectra.

    It follows ITU-R BS.1770: K-weighting, which removes inaudibly low frequencies and boosts those
    that the head's acoustics make louder; blocks of 400 ms, one every 100 ms; the mean of the
    blocks above -70 LUFS, then of those no more than 10 LU below that mean, so that pauses do not
    count. The weighting is a factor per bin of spectra that are computed for the mel frames anyway.

    It measures the backbone's input: the mono mix at 16 kHz. The standard sums channels, so a
    stereo file with equal channels measures 3 LU more by it; and what lies above 8 kHz is not
    measured here.

    `n_samples` counts the samples that passed through `pass_through`. `heard`, if given, is called
    with the same spectra, for another meter.
    """

    def __init__(self, spec: MelSpec = _DEFAULT_SPEC.mel, heard: Heard | None = None) -> None:
        self.n_samples = 0
        self._spec, self._heard = spec, heard
        self._frames: list[FloatArray] = []  # mean square of each: 250 bytes a second

    def add(self, spectra: FloatArray) -> None:
        """Add the next spectra, shape (f, 1 + n_fft // 2), as `power_spectra` yields them."""
        self._frames.append(spectra @ _weights(self._spec))
        if self._heard:
            self._heard(spectra)

    def pass_through(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Pass through the blocks (n,) of a song and measure them."""
        transform, edge = Transform(self._spec), np.zeros(self._spec.n_fft // 2, np.float32)
        self._add_all(transform.add(edge))
        for block in blocks:
            self.n_samples += len(block)
            self._add_all(transform.add(block))
            yield block
        self._add_all(transform.add(edge))
        self._add_all(transform.rest(self._spec.n_frames(self.n_samples)))

    def _add_all(self, spectra: Iterable[FloatArray]) -> None:
        for some in spectra:
            self.add(some)

    def loudness_lufs(self, n_samples: int) -> float | None:
        """Return the loudness of the first `n_samples`, like the function `loudness_lufs`.

        Later frames, which contain only padding, do not count.
        """
        # Half of frame 0 lies before the song begins; the first block starts at frame 1.
        whole = n_samples // self._spec.hop_length
        frames = np.concatenate([np.zeros(0, np.float32), *self._frames])[1 : 1 + whole]
        sums = np.concatenate([[0.0], np.cumsum(frames, dtype=np.float64)])
        rate = self._spec.sample_rate / self._spec.hop_length
        length = round(BLOCK_S * rate)  # 25 frames are 400 ms
        steps = np.arange(1 + max(0, int((len(frames) - length) / (STEP_S * rate))))
        starts = np.floor(steps * (STEP_S * rate) + 1e-6).astype(np.int64)
        starts = starts[starts + length <= len(frames)]
        return _gated((sums[starts + length] - sums[starts]) / length)


def _gated(blocks: Float64Array) -> float | None:
    """Return the gated loudness of blocks given as mean squares; None if no block passes."""
    heard = blocks[blocks > _mean_square(ABSOLUTE_GATE_LUFS)]
    if not len(heard):
        return None
    heard = heard[heard > heard.mean() * 10.0 ** (RELATIVE_GATE_LU / 10.0)]
    return float(_OFFSET_LU + 10.0 * np.log10(heard.mean()))


def _mean_square(lufs: float) -> float:
    return float(10.0 ** ((lufs - _OFFSET_LU) / 10.0))


@functools.cache
def _weights(spec: MelSpec) -> FloatArray:
    """Return the weights (1 + n_fft // 2) from a power spectrum to a K-weighted mean square."""
    z = np.exp(-2j * np.pi * np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
               / _FILTER_RATE)  # fmt: skip
    response: Any = 1.0
    for b, a in _FILTERS:
        response = response * np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    twice = np.full(len(z), 2.0)  # the other half of a real signal's spectrum
    twice[-1] = 1.0
    twice[:2] = 0.0  # a DC offset, which is inaudible, would leak into bin 1
    energy = spec.n_fft * np.square(window(spec).astype(np.float32), dtype=np.float64).sum()
    return (np.abs(response) ** 2 * twice / energy).astype(np.float32)


class Segment(NamedTuple):
    """One segment of a song."""

    start_s: float  # ``3 i``; for the window over the tail, the time of its first frame
    log_mel: FloatArray  # (187, 96)


class PowerSegment(NamedTuple):
    """A segment's mel power, not yet compressed: compression needs the gain of the whole song."""

    start_s: float
    power: FloatArray  # (187, 96): mel power


class LevelledSong(NamedTuple):
    """Loudness of a song, and its segments, which are computed on demand."""

    loudness_lufs: float | None  # of the mono mix; None if undefined or not measured
    segments: Iterator[Segment]


class Grid:
    """Segmentation parameters of a spec, converted to samples and frames.

    The rule, for N samples, of which 48,000 are 3 s:

    * Segment i begins at 3i s and is whole if the song has 3 s from there on: there are
      ``T0 = N // 48000``. It starts at frame 187.5 i, rounded half up, and has 187 frames:
      rounding keeps the grid in step with the clock, whereas segments of 187 frames back to back
      would run ahead by 8 ms each.
    * A tail of at least 1.5 s gets one more window: the last 187 frames of the song, which
      overlap the segment before. A shorter tail is dropped.
    * A song of 1 to 3 s is zero-padded to one segment. Below 1 s it is refused.

    With a hop h other than 3 s, segment i begins at h i s. A longer hop leaves gaps; the tail then
    begins at the start of the next segment. A shorter hop makes segments overlap; the tail then
    begins at the end of the last one.
    """

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


def clips(
    blocks: Iterable[FloatArray], spec: FeatureSpec, filterbank: FloatArray | None = None
) -> Iterator[PowerSegment]:
    """Yield the mel power of each segment of a song, streaming.

    Segments lie where `Grid` puts them, but are padded with their own reflected samples or with
    zeros, not with the song's samples around them.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32
    spec : FeatureSpec
        With a ``segment.length_s``.
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), optional

    Raises
    ------
    ShapeError
        At the end of the blocks, if the song is shorter than ``spec.segment.min_track_s``.
    """
    grid, rate = Grid(spec), spec.mel.sample_rate
    waiting, begin, n_whole = np.zeros(0, np.float32), 0, 0  # samples from number `begin` on

    def piece(start: int) -> PowerSegment:
        samples = waiting[start - begin :][: grid.whole]
        power = [mel_power(s, spec.mel, filterbank) for s in power_spectra([samples], spec.mel)]
        return PowerSegment(start / rate, np.concatenate(power))

    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while begin + len(waiting) >= (start := grid.hop * n_whole) + grid.whole:
            yield piece(start)
            n_whole += 1
        # Keep the next segment's samples, and those that the window over the tail may need.
        drop = min(grid.hop * n_whole, begin + len(waiting) - grid.whole) - begin
        waiting, begin = waiting[max(0, drop) :], begin + max(0, drop)
    n_samples = begin + len(waiting)
    grid.check(n_samples)
    if n_samples < grid.whole:
        waiting = np.pad(waiting, (0, grid.whole - n_samples))
        yield piece(0)
    elif grid.has_tail(n_samples, n_whole):
        yield piece(n_samples - grid.whole)


HELD_S = 7260.0  # seconds of frames held in memory, 24 kB per second: two hours and padding
JOINED = 32  # chunks of 128 frames
HELD_BYTES = 32 << 20  # of segments held in memory, for networks with other frames


def levelled(
    blocks: Iterable[FloatArray],
    spec: FeatureSpec = _DEFAULT_SPEC,
    *,
    filterbank: FloatArray | None = None,
    heard: Heard | None = None,
) -> LevelledSong:
    """Measure a song's loudness and split it into segments at the loudness of the spec.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32
        The waveform at ``spec.mel.sample_rate``, in blocks of any length. Iterated over twice for
        a song of more than two hours.
    spec : FeatureSpec
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), optional
        If the scale of ``spec.mel`` is ``given``.
    heard : callable, optional
        Called once with each chunk of the power spectra that loudness is measured on, in order:
        shape (f, 257), 32 ms, one every 16 ms at 16 kHz.

    Returns
    -------
    track : LevelledSong
        Loudness, and at least one segment, in order of time.

    Raises
    ------
    ShapeError
        If the song is shorter than ``spec.segment.min_track_s``.
    InputError
        If it is longer than two hours and the blocks can only be iterated over once.

    Examples
    --------
    >>> track = levelled([np.zeros(8 * 16_000, np.float32)])  # two whole segments, a tail of 2 s
    >>> track.loudness_lufs, [(s.start_s, s.log_mel.shape) for s in track.segments]
    (None, [(0.0, (187, 96)), (3.0, (187, 96)), (5.024, (187, 96))])
    """
    meter = LoudnessMeter(meter_spec(spec.mel), heard)
    if spec.level is None:
        blocks = meter.pass_through(blocks) if heard else blocks
        return LevelledSong(None, _at_gain(_pieces(blocks, spec, filterbank), spec, 1.0))
    if spec.segment.length_s is None and reads_frames_of(spec.mel):
        return _measured_by_its_frames(blocks, spec, heard)
    held = _HeldPieces(blocks)
    for piece in _pieces(meter.pass_through(blocks), spec, filterbank):
        held.add(piece)
    loudness = meter.loudness_lufs(meter.n_samples)
    pieces = _pieces(blocks, spec, filterbank) if held.pieces is None else held.drained()
    return LevelledSong(loudness, _at_gain(pieces, spec, gain(loudness, spec.level)))


def segments(
    blocks: Iterable[FloatArray],
    spec: FeatureSpec = _DEFAULT_SPEC,
    *,
    filterbank: FloatArray | None = None,
) -> Iterator[Segment]:
    """Yield the segments of a song at the loudness of the spec; see `levelled`.

    Examples
    --------
    >>> track = np.zeros(8 * 16_000, np.float32)  # two whole segments and a tail of 2 s
    >>> [(s.start_s, s.log_mel.shape) for s in segments([track])]
    [(0.0, (187, 96)), (3.0, (187, 96)), (5.024, (187, 96))]
    """
    yield from levelled(blocks, spec, filterbank=filterbank).segments


def _measured_by_its_frames(
    blocks: Iterable[FloatArray], spec: FeatureSpec, heard: Heard | None
) -> LevelledSong:
    """Do the same as `levelled`, for a front end with spectra that the meter can reuse."""
    power = _Power(blocks, spec)
    meter, most = LoudnessMeter(spec.mel, heard), HELD_S * spec.mel.sample_rate
    held: _Held | None = _Held()
    for spectra in power.spectra():
        meter.add(spectra)
        if held is not None and power.n_samples > most:
            _check_again(blocks)
            held = None
        if held is not None:
            held.add(mel_power(spectra, spec.mel), power.n_samples)
    loudness = meter.loudness_lufs(power.n_heard)
    again = _Power(blocks, spec) if held is None else held
    return LevelledSong(loudness, _at_gain(_cut(again, spec), spec, gain(loudness, spec.level)))


def _check_again(blocks: Iterable[FloatArray]) -> None:
    if isinstance(blocks, Iterator):
        raise InputError(
            f"a song of more than {HELD_S:g} s is read twice, but these blocks can only be "
            "iterated over once: pass a list, or an iterable that starts over each time"
        )


def _pieces(
    blocks: Iterable[FloatArray], spec: FeatureSpec, filterbank: FloatArray | None
) -> Iterator[PowerSegment]:
    """Yield the mel power of each segment."""
    if spec.segment.length_s is not None:
        return clips(blocks, spec, filterbank)
    return _cut(_Power(blocks, spec, filterbank), spec)


def _at_gain(pieces: Iterable[PowerSegment], spec: FeatureSpec, factor: float) -> Iterator[Segment]:
    """Yield segments with a gain of `factor` applied."""
    for start_s, power in pieces:
        yield Segment(start_s, compressed(power, spec.mel, gain=factor))


def _cut(power: "_Power | _Held", spec: FeatureSpec) -> Iterator[PowerSegment]:
    """Yield the segments of a song from the mel power of its frames."""
    grid = Grid(spec)
    window = _Frames(spec.mel.n_mels)
    n_whole = 0
    for frames in power:
        window.extend(frames)
        while power.n_samples >= grid.hop * n_whole + grid.whole:
            start = grid.first_frame(n_whole)
            if start + grid.length > window.end:
                break
            yield PowerSegment(n_whole * spec.segment.hop_s, window.cut(start, grid.length))
            n_whole += 1
        window.forget(min(grid.first_frame(n_whole), window.end - grid.length))
    if grid.has_tail(power.n_samples, n_whole):
        start = window.end - grid.length
        yield PowerSegment(grid.seconds(start), window.cut(start, grid.length))


class _Power:
    """Mel power of a song, streaming; a short song is padded to one segment.

    `n_samples` counts the samples so far including padding; `n_heard` excludes it.
    """

    def __init__(
        self,
        blocks: Iterable[FloatArray],
        spec: FeatureSpec,
        filterbank: FloatArray | None = None,
    ) -> None:
        self.n_samples = self.n_heard = 0
        self._blocks = blocks
        self._spec = spec
        self._filterbank = filterbank

    def __iter__(self) -> Iterator[FloatArray]:
        for spectra in self.spectra():
            yield mel_power(spectra, self._spec.mel, self._filterbank)

    def spectra(self) -> Iterator[FloatArray]:
        return power_spectra(self._padded(), self._spec.mel)

    def _padded(self) -> Iterator[FloatArray]:
        for block in self._blocks:
            self.n_heard += len(block)
            self.n_samples = self.n_heard
            yield block
        grid = Grid(self._spec)
        grid.check(self.n_heard)
        if (missing := grid.whole - self.n_heard) > 0:
            self.n_samples = grid.whole
            yield np.zeros(missing, np.float32)


class _Held:
    """Mel power of a song, held in memory and freed as it is consumed.

    Chunks are joined into pieces of 1.5 MB: held one by one they cost a fourth more, as gaps.
    """

    def __init__(self) -> None:
        self.n_samples = 0
        self._pieces: deque[FloatArray] = deque()
        self._chunks: list[FloatArray] = []

    def add(self, frames: FloatArray, n_samples: int) -> None:
        """Add the next frames, and the number of samples up to now."""
        self.n_samples = n_samples
        self._chunks.append(frames)
        if len(self._chunks) == JOINED:
            self._join()

    def _join(self) -> None:
        if self._chunks:
            self._pieces.append(np.concatenate(self._chunks))
            self._chunks.clear()

    def __iter__(self) -> Iterator[FloatArray]:
        self._join()
        while self._pieces:
            yield self._pieces.popleft()


class _HeldPieces:
    """Segments of a song as power, held while they fit in `HELD_BYTES`; freed when consumed."""

    def __init__(self, blocks: Iterable[FloatArray]) -> None:
        self.pieces: deque[PowerSegment] | None = deque()
        self._blocks = blocks
        self._bytes = 0

    def add(self, piece: PowerSegment) -> None:
        self._bytes += piece.power.nbytes
        if self.pieces is not None and self._bytes > HELD_BYTES:
            _check_again(self._blocks)
            self.pieces = None
        if self.pieces is not None:
            self.pieces.append(
                PowerSegment(piece.start_s, np.array(piece.power))
            )  # a copy, not a view

    def drained(self) -> Iterator[PowerSegment]:
        while self.pieces:
            yield self.pieces.popleft()


class _Frames:
    """Frames that may still be needed, indexed by their number in the song."""

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
        """Drop the frames before number `before`."""
        drop = max(0, before - self._begin)
        self._frames = self._frames[drop:]
        self._begin += drop
