"""Blocks that were cut anywhere, as frames of one size: what meters that listen along are fed.

    block (n,), block (n,), ...  ──Frames.cut──▶  frames (chunk, length), one chunk after another

A meter is pushed to: it hears what passes on its way to another stage. Chunks are counted from the
start of the track, so that its answer does not depend on how the waveform was cut into blocks.
"""

from collections.abc import Iterator

import numpy as np

from audiorec.types import FloatArray


class Frames:
    """Windows of `length` samples, every `hop`, `chunk` of them at a time.

    The first is centred on the first sample: half a window of zeros stands before it.
    """

    def __init__(self, length: int, hop: int, chunk: int) -> None:
        self.length, self.hop, self.chunk = length, hop, chunk
        self._parts: list[FloatArray] = [np.zeros(length // 2, np.float32)]
        self._pending = length // 2
        self._needed = (chunk - 1) * hop + length

    def cut(self, block: FloatArray) -> Iterator[FloatArray]:
        """Take a block; yield the frames (chunk, length) that it completes, as views."""
        self._parts.append(block)
        self._pending += len(block)
        if self._pending < self._needed:
            return
        samples = np.concatenate(self._parts, dtype=np.float32)
        while len(samples) >= self._needed:
            yield self._views(samples[: self._needed])
            samples = samples[self.chunk * self.hop :]
        self._parts, self._pending = [samples], len(samples)

    def rest(self) -> FloatArray:
        """Return the frames that are left at the end of the track: (fewer than chunk, length)."""
        end = np.zeros(self.length // 2, np.float32)
        return self._views(np.concatenate([*self._parts, end], dtype=np.float32))

    def _views(self, samples: FloatArray) -> FloatArray:
        if len(samples) < self.length:
            return np.zeros((0, self.length), np.float32)
        return np.lib.stride_tricks.sliding_window_view(samples, self.length)[:: self.hop]
