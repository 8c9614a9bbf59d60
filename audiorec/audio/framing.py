"""Blocks of any length to frames of a fixed size, for meters that run beside decoding.

    block (n,), block (n,), ...  ──Frames.cut──▶  frames (chunk, length), one chunk after another

Blocks are pushed to a meter on their way to another stage. Chunks are counted from the start of
the song, so that the result does not depend on how the waveform was split into blocks.
"""

from collections.abc import Iterator

import numpy as np

from audiorec.types import FloatArray


class Frames:
    """Splitter of a waveform into windows of `length` samples every `hop`, `chunk` at a time.

    The first window is centred on the first sample: its first half is zeros.
    """

    def __init__(self, length: int, hop: int, chunk: int) -> None:
        self.length, self.hop, self.chunk = length, hop, chunk
        self._parts: list[FloatArray] = [np.zeros(length // 2, np.float32)]
        self._pending = length // 2
        self._needed = (chunk - 1) * hop + length

    def cut(self, block: FloatArray) -> Iterator[FloatArray]:
        """Add a block and yield the chunks of frames (chunk, length) it completes, as views."""
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
        """Return the remaining frames at the end of the song: (fewer than chunk, length)."""
        end = np.zeros(self.length // 2, np.float32)
        return self._views(np.concatenate([*self._parts, end], dtype=np.float32))

    def _views(self, samples: FloatArray) -> FloatArray:
        if len(samples) < self.length:
            return np.zeros((0, self.length), np.float32)
        return np.lib.stride_tricks.sliding_window_view(samples, self.length)[:: self.hop]
