"""Audio file to mono waveform: one reader, one mix, one resampler, and a status.

    path ──decode──▶ consume(blocks (n,) float32 at 16 kHz) ──▶ its result, `AudioInfo`
         ──envelope──▶ `Envelope`: low, high, rms (n,), to draw a waveform
         ──content_hash──▶ 32 hex digits, which retagging does not change

Audio is passed on in blocks, so that an hour takes no more memory than a minute.
"""

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TypeVar

import numpy as np

from audiorec.audio.readers import MAX_CHANNELS, DecoderError, PacketHash, RawBlock, new_hash
from audiorec.audio.sniff import (
    Container,
    PathLike,
    Sniffed,
    begin_of_audio,
    display_path,
    end_of_audio,
    frames_alone,
    open_regular,
    sniff,
    unreadable,
)
from audiorec.errors import Failure, InputError, SongError
from audiorec.spec import DecodeSpec, FeatureSpec
from audiorec.types import AudioInfo, Envelope, FloatArray, Status

if TYPE_CHECKING:
    import soxr

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


def _resampler(rate: int, target: int) -> "soxr.ResampleStream":
    import soxr

    return soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")


class Mono:
    """Mixer, resampler and level meter of one reading of a file.

        `RawBlock` (n, channels)  ──add──▶  blocks (n,) float32 at the spec's rate

    The mix is the plain mean of the channels, as in the corpora that the weights were trained on;
    the backbone is sensitive to gain. The measured peak, energies and range decide afterwards
    whether the file must be mixed in another way: see `better_mix`.
    """

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
            self._resampler = None if rate == target else _resampler(rate, target)
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


R = TypeVar("R")

_DEFAULT_SPEC = FeatureSpec()
MAX_DURATION_S = 14_400.0  # seconds; longer files are mixes, audio books or mistakes
MIN_RATE, MAX_RATE = 4_000, 192_000  # hertz
MAX_DSD_RATE = 2_822_400  # an eighth of DSD512's bit rate
# A file is truncated if more than both is missing: encoders disagree by a frame or two.
MISSING_SHARE = 0.02
MISSING_S = 0.1
SOUNDFILE_CONTAINERS = frozenset(
    {Container.WAV, Container.AIFF, Container.AU, Container.FLAC, Container.MP3}
)


def decode(
    path: PathLike,
    consume: Callable[[Iterable[FloatArray]], R],
    *,
    spec: FeatureSpec = _DEFAULT_SPEC,
    max_duration_s: float = MAX_DURATION_S,
) -> tuple[R, AudioInfo]:
    """Decode a file and pass its waveform to a function, block by block.

    It takes a function rather than being an iterator because it may have to start over: only at the
    end of a file is it known whether the first decoder can read all of it and whether its channels
    cancel out.

    ===========================================  ==========================================
    soundfile fails, at once or in mid-file      PyAV reads the whole file again: the two
                                                 differ by up to a frame and are not mixed
    the channels cancel out                      first channel only, ``phase_cancelled``
    a peak above ``spec.decode.max_peak``        scaled to peak 1
    ===========================================  ==========================================

    Parameters
    ----------
    path : path-like
        The format is detected from the content, never from the name.
    consume : callable
        Called with an iterable of arrays, shape (n,), float32, mono at
        ``spec.decode.sample_rate``, none longer than about 10 s, which it may keep. Each
        iteration decodes the file from its start and ends the previous iteration. The
        function **must be free of side effects**: it may be called several times, each time
        with the whole song, and only the last result counts. Blocks that it does not consume
        are decoded all the same, to determine the status. Its own exceptions pass through; it
        must not swallow those that the blocks raise.
    spec : FeatureSpec
    max_duration_s : float
        Seconds; a longer file is refused as soon as its length is known.

    Returns
    -------
    result : object
        What `consume` returned.
    info : AudioInfo
        Codec, decoder, rate, channels, duration and status; the worst status that applies.

    Raises
    ------
    SongError
        With the `Failure` and a reason: the file cannot be opened or is not audio
        (see `sniff`), has no samples, contains NaN or infinity, is shorter than
        ``spec.segment.min_track_s`` or longer than `max_duration_s`, has a sample rate outside
        4 to 192 kHz or more than 8 channels, or no decoder can read it.
    """
    song = _Song(path, sniff(path), spec, max_duration_s)
    song.check_claim(song.sniffed.header.claimed_s)
    refusals: list[DecoderError] = []
    for make_reader in readers_for(song.sniffed):
        try:
            return song.read(make_reader, consume, any(r.damaged for r in refusals))
        except DecoderError as refusal:
            refusals.append(refusal)
    # The last decoder knows most formats, but an earlier one may have given a better reason.
    known = [r for r in refusals[::-1] if r.failure is not Failure.UNDECODABLE]
    final = (known or refusals[::-1])[0]
    raise SongError(song.name, final.failure, final.reason, decoder=final.decoder)


def waveform(
    path: PathLike,
    *,
    spec: FeatureSpec = _DEFAULT_SPEC,
    max_duration_s: float = MAX_DURATION_S,
) -> tuple[FloatArray, AudioInfo]:
    """Decode a whole file into memory, for short clips and notebooks.

    Parameters
    ----------
    path : path-like
    spec : FeatureSpec
    max_duration_s : float
        Seconds.

    Returns
    -------
    waveform : ndarray, shape (N,), float32
        Mono at ``spec.decode.sample_rate``; 3.84 MB per minute.
    info : AudioInfo

    Raises
    ------
    SongError
        As in `decode`.
    """
    return decode(
        path,
        lambda blocks: np.concatenate(list(blocks)),
        spec=spec,
        max_duration_s=max_duration_s,
    )


class _Reader(Protocol):
    """The interface of `SoundfileReader` and `PyavReader`."""

    decoder: str
    codec: str
    claimed_s: float | None
    packet_errors: int
    is_damaged: bool
    ends_in_error: bool
    content_hash: str

    def blocks(self) -> Iterator[RawBlock]: ...


_MakeReader = Callable[[BinaryIO, Sniffed], _Reader]


class _ReadAgainError(Exception):
    """The file must be read again with another `ChannelMix`."""

    def __init__(self, mix: ChannelMix) -> None:
        super().__init__(mix)
        self.mix = mix


def readers_for(sniffed: Sniffed) -> Iterator[_MakeReader]:
    """Yield the decoders to try, in order; FFmpeg's import takes 0.05 CPU-seconds."""
    if sniffed.container in SOUNDFILE_CONTAINERS and sniffed.header.suits_soundfile:
        from audiorec.audio.soundfile_reader import SoundfileReader

        yield SoundfileReader
    from audiorec.audio.pyav_reader import PyavReader

    yield PyavReader


class _Song:
    """One file and the limits that apply to it."""

    def __init__(
        self, path: PathLike, sniffed: Sniffed, spec: FeatureSpec, max_duration_s: float
    ) -> None:
        self.name = display_path(path)
        self.sniffed = sniffed
        self.spec = spec
        self._path = path
        self._max_duration_s = max_duration_s

    def read(
        self,
        make_reader: _MakeReader,
        consume: Callable[[Iterable[FloatArray]], R],
        is_damaged: bool,
    ) -> tuple[R, AudioInfo]:
        """Read with one decoder, again for each change of mix."""
        mix = AS_MIXED
        while True:
            with open_regular(self._path) as file:
                blocks = _Blocks(partial(_Reading, self, make_reader, file, mix))
                try:
                    result, reading = blocks.given_to(consume)
                    has_shrunk = os.fstat(file.fileno()).st_size < self.sniffed.size
                    return result, reading.info(is_damaged, has_shrunk)
                except _ReadAgainError as again:
                    mix = again.mix

    def check_claim(self, claimed_s: float | None) -> None:
        if claimed_s is not None and not self.sniffed.header.cut:  # a cut file may be short enough
            self.check_duration(claimed_s)

    def check_duration(self, seconds: float) -> None:
        if seconds > self._max_duration_s:
            hours, limit = seconds / 3600, self._max_duration_s / 3600
            reason = f"at least {hours:.2f} h long; the limit is {limit:.2f} h"
            raise self.error(Failure.TOO_LONG, reason)

    def check_block(self, block: RawBlock) -> None:
        n_channels, rate = block.samples.shape[1], block.sample_rate
        if not 1 <= n_channels <= MAX_CHANNELS:
            reason = f"{n_channels} channels; 1 to {MAX_CHANNELS} are supported"
            raise self.error(Failure.UNSUPPORTED, reason)
        highest = MAX_DSD_RATE if self.sniffed.header.is_dsd else MAX_RATE
        if not MIN_RATE <= rate <= highest:
            reason = f"sample rate {rate} Hz; {MIN_RATE} to {highest} Hz are supported"
            raise self.error(Failure.UNSUPPORTED, reason)

    def check_samples(self, n_samples: int, claimed_s: float | None) -> None:
        seconds, least = n_samples / self.spec.decode.sample_rate, self.spec.segment.min_track_s
        if n_samples == 0 and claimed_s:
            reason = f"none of the {claimed_s:.1f} s that the header claims could be decoded"
            raise self.error(Failure.UNDECODABLE, reason)
        if n_samples == 0:
            raise self.error(Failure.NO_AUDIO, "the file contains no samples")
        if n_samples < least * self.spec.decode.sample_rate:
            reason = f"{seconds:.3f} s long; at least {least:g} s is required"
            raise self.error(Failure.TOO_SHORT, reason)

    def error(self, failure: Failure, reason: str, decoder: str | None = None) -> SongError:
        return SongError(self.name, failure, reason, decoder=decoder)


class _Blocks:
    """Iterable waveform of one file; each iteration starts a new `_Reading`."""

    def __init__(self, begin: Callable[[], "_Reading"]) -> None:
        self._begin = begin
        self._readings: list[_Reading] = []

    def __iter__(self) -> Iterator[FloatArray]:
        for reading in self._readings:
            reading.blocks.close()
        self._readings.append(self._begin())
        return self._readings[-1].blocks

    def given_to(self, consume: Callable[[Iterable[FloatArray]], R]) -> "tuple[R, _Reading]":
        """Return the function's result and the last reading, read to its end."""
        try:
            result = consume(self)
            for _ in self._readings[-1].blocks if self._readings else self:  # unconsumed
                pass
        finally:
            for reading in self._readings:
                reading.blocks.close()
        for reading in self._readings:
            if reading.error is not None:  # even if `consume` swallowed it
                raise reading.error
        return result, self._readings[-1]


class _Reading:
    """One reading of a song from its beginning, by one decoder."""

    def __init__(
        self, song: _Song, make_reader: _MakeReader, file: BinaryIO, mix: ChannelMix
    ) -> None:
        file.seek(0)
        self._song = song
        self._reader = make_reader(file, song.sniffed)
        self._channels_mix = mix
        self._mono = Mono(song.spec.decode, mix)
        self.error: Exception | None = None
        self.blocks = self._checked_blocks()

    def _checked_blocks(self) -> Generator[FloatArray]:
        try:
            for block in self._reader.blocks():
                self._song.check_block(block)
                self._song.check_claim(self._reader.claimed_s)
                yield from self._mono.add(block)
                self._song.check_duration(self._mono.seconds)
            yield from self._mono.flush()
            # Checked before the caller's function sees the end, so it need not know the limits.
            if (better := self._mono.better_mix()) is not None:
                raise _ReadAgainError(better)
            self._song.check_samples(self._mono.n_samples, self._reader.claimed_s)
        except NotFiniteError as error:
            reason = f"samples contain NaN or infinity, first at {error.at_s:.3f} s"
            self.error = self._song.error(Failure.NOT_FINITE, reason, self._reader.decoder)
            raise self.error from None
        except OSError as error:  # a failing disk or a lost network share
            self.error = unreadable(self._song.name, error)
            raise self.error from None
        except (SongError, DecoderError, _ReadAgainError) as error:
            self.error = error
            raise

    def info(self, is_damaged: bool, has_shrunk: bool) -> AudioInfo:
        """Return the `AudioInfo`.

        `is_damaged`: another decoder failed in mid-file. `has_shrunk`: the file was cut while it
        was being read.
        """
        reader, mono = self._reader, self._mono
        return AudioInfo(
            codec=reader.codec,
            decoder=reader.decoder,
            sample_rate=mono.sample_rate,
            channels=mono.channels,
            duration_s=mono.seconds,
            claimed_s=self._claimed_s(),
            packet_errors=reader.packet_errors,
            content_hash=reader.content_hash,
            status=self._status(is_damaged, has_shrunk),
        )

    def _status(self, is_damaged: bool, has_shrunk: bool) -> Status:
        reader, mono = self._reader, self._mono
        # A bad packet at the very end marks where the file was cut, not damage within it.
        claimed_s, is_cut = self._claimed_s(), self._song.sniffed.header.cut
        if claimed_s is not None:
            is_cut = claimed_s - mono.seconds > _tolerance_s(claimed_s)
        is_truncated = has_shrunk or is_cut
        ends_badly = (reader.ends_in_error or is_damaged) and not is_truncated
        applies = {
            Status.DAMAGED: reader.is_damaged or ends_badly,
            Status.TRUNCATED: is_truncated,
            Status.PHASE_CANCELLED: self._channels_mix.channel is not None,
            Status.SILENT: mono.is_silent,
            Status.SHORT: mono.n_samples < self._song.spec.segment_samples,
            Status.OK: True,
        }
        return next(status for status in Status if applies[status])

    def _claimed_s(self) -> float | None:
        """Return the length that the header claims, unless the file contains more."""
        claimed_s, seconds = self._reader.claimed_s, self._mono.seconds
        if claimed_s is None or seconds - claimed_s > _tolerance_s(claimed_s):
            return None
        return claimed_s


def _tolerance_s(claimed_s: float) -> float:
    return max(MISSING_SHARE * claimed_s, MISSING_S)


POINTS = 2_000  # about two per pixel of a typical picture's width
SHORTEST = 16  # samples of a piece at the start: 1 ms
RATE = FeatureSpec().decode.sample_rate  # hertz


def envelope(path: PathLike, *, points: int = POINTS) -> Envelope:
    """Decode a file and return its envelope.

    The length of a song is only known at its end. So pieces begin short, and whenever there are
    twice as many as requested, neighbouring pairs are merged: memory is constant.

    Parameters
    ----------
    path : path
        An audio file of any supported format.
    points : int
        The envelope has at least `points` pieces and at most twice as many; fewer if the song
        has less than 16 samples per point.

    Raises
    ------
    SongError
        As `decode`.
    InputError
        If `points` is below 1.

    Examples
    --------
    >>> found = envelope("fixtures/audio/jazz-vibraphone.mp3", points=100)
    >>> 100 <= len(found) <= 200, bool((found.low <= found.high).all())
    (True, True)
    """
    if points < 1:
        raise InputError(f"points must be at least 1, got {points}")
    pieces, _info = decode(path, lambda blocks: _Pieces(points).filled(blocks))
    return pieces


class _Pieces:
    """Pieces of equal length, and the samples after the last whole piece."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._length = SHORTEST  # samples of a piece
        self._n_samples = 0
        self._rest = np.zeros(0, np.float32)
        self._pieces = np.zeros((3, 0))  # low, high, mean square

    def filled(self, blocks: Iterable[FloatArray]) -> Envelope:
        """Consume all blocks of a song and return its envelope."""
        for block in blocks:
            self._add(block)
        if len(self._rest):  # one last, shorter piece
            self._append(self._rest[None])
        low, high, square = self._pieces.astype(np.float32)
        return Envelope(low, high, np.sqrt(square), self._n_samples / RATE)

    def _add(self, block: FloatArray) -> None:
        self._n_samples += len(block)
        samples = np.concatenate([self._rest, block])
        while len(samples) >= self._length:
            room = 2 * self._points - self._pieces.shape[1]
            n_pieces = min(room, len(samples) // self._length)
            taken, samples = np.split(samples, [n_pieces * self._length])
            self._append(taken.reshape(n_pieces, self._length))
            if n_pieces == room:
                self._halve()
        self._rest = samples.copy()

    def _append(self, pieces: FloatArray) -> None:
        square = np.square(pieces, dtype=np.float64).mean(axis=1)
        result = np.stack([pieces.min(axis=1), pieces.max(axis=1), square])
        self._pieces = np.hstack([self._pieces, result])

    def _halve(self) -> None:
        low, high, square = self._pieces.reshape(3, -1, 2)
        self._pieces = np.stack([low.min(axis=1), high.max(axis=1), square.mean(axis=1)])
        self._length *= 2


_READ_BYTES = 1 << 20


def content_hash(path: PathLike) -> str:
    """Hash the audio packets of a file.

    Titles are corrected, covers added, files moved; the audio packets stay the same. The hash is
    used to resume, to follow moved files and to find duplicates. Equal hashes mean the same bytes
    of audio, not a similar sound.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    digest : str
        32 hex digits: 128-bit blake2b over the codec, the sample rate, the number of channels
        and all packets of the first audio stream. If the packets cannot be read, over the bytes
        of the file, with a prefix so that the two kinds never collide.

    Raises
    ------
    SongError
        ``unreadable``: the file is gone, permission is denied, or it is not a regular file.

    Notes
    -----
    FFmpeg splits the container into packets: a new version that splits it differently changes
    hashes, which costs a re-extraction and nothing else.
    """
    with open_regular(path) as file:
        try:
            return content_hash_of(file)
        except OSError as error:  # a failing disk
            raise unreadable(path, error) from None


def content_hash_of(file: BinaryIO) -> str:
    """Return the `content_hash` of an open file; raise `OSError` if it cannot be read."""
    begin, end = begin_of_audio(file), end_of_audio(file)
    if (frames := frames_alone(file, begin, end)) is not None:
        walked = PacketHash("mp3", frames.sample_rate, frames.channels)
        file.seek(frames.begin)
        while chunk := file.read(min(_READ_BYTES, end - file.tell())):
            walked.add(chunk)
        return walked.hexdigest()
    from audiorec.audio.pyav_reader import DEMUXER_ERRORS  # late, as in `readers_for`

    try:
        return _hash_packets(file, begin, end)
    except (DecoderError, *DEMUXER_ERRORS):
        return _hash_bytes(file)


def _hash_packets(file: BinaryIO, begin: int, end: int) -> str:
    from audiorec.audio.pyav_reader import audio_stream, open_container, packet_hash

    with open_container(file, begin=begin, end=end) as container:
        stream = audio_stream(container)
        result = packet_hash(stream)
        for packet in container.demux(stream):
            result.add(packet)
    if not (digest := result.hexdigest()):
        raise DecoderError("no packets", "")
    return digest


def _hash_bytes(file: BinaryIO) -> str:
    digest = new_hash("bytes")
    file.seek(0)
    while chunk := file.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
