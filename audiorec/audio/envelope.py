"""Waveform overview for drawing: blocks to a few thousand pieces, in constant memory.

    blocks (n,)  ──pieces of 2^k samples──▶  `Envelope`: low, high, rms (n,)

The length of a song is only known at its end. So pieces begin short, and whenever there are twice
as many as requested, neighbouring pairs are merged.
"""

from collections.abc import Iterable

import numpy as np

from audiorec.audio.decode import decode
from audiorec.audio.sniff import PathLike
from audiorec.errors import InputError
from audiorec.spec import FeatureSpec
from audiorec.types import Envelope, FloatArray

POINTS = 2_000  # about two per pixel of a typical picture's width
SHORTEST = 16  # samples of a piece at the start: 1 ms
RATE = FeatureSpec().decode.sample_rate  # hertz


def envelope(path: PathLike, *, points: int = POINTS) -> Envelope:
    """Decode a file and return its envelope.

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
        found = np.stack([pieces.min(axis=1), pieces.max(axis=1), square])
        self._pieces = np.hstack([self._pieces, found])

    def _halve(self) -> None:
        low, high, square = self._pieces.reshape(3, -1, 2)
        self._pieces = np.stack([low.min(axis=1), high.max(axis=1), square.mean(axis=1)])
        self._length *= 2
