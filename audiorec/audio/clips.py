"""Segments with a spectrogram computed for each, for networks that were trained on clips.

    blocks (n,) ──clips──▶ `PowerSegment` (frames, bands), one every hop

Segments lie where `audiorec.audio.segment` puts them; only their edges differ: a segment is padded
with its own reflected samples or with zeros, not with the song's samples around it.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from audiorec.audio.grid import Grid, PowerSegment
from audiorec.audio.mel import mel_power, power_spectra
from audiorec.spec import FeatureSpec
from audiorec.types import FloatArray


def clips(
    blocks: Iterable[FloatArray], spec: FeatureSpec, filterbank: FloatArray | None = None
) -> Iterator[PowerSegment]:
    """Yield the mel power of each segment of a song, streaming.

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
