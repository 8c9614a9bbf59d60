"""Tempo and key of a song, measured while it is decoded.

    blocks (n,) at 16 kHz ──AttributeMeter──▶ the same blocks ──▶ power spectra (f, 257)
                              └─▶ tonality                └─▶ tempo ──▶ `Attributes`

The key is measured on the samples; the tempo on the spectra that are computed for the backbone.

`audiorec extract` writes them to columns of ``vecs.parquet``. They do not affect
vectors.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audiorec.audio import tempo, tonality
from audiorec.audio.tempo import TempoMeter
from audiorec.audio.tonality import KeyMeter
from audiorec.types import FloatArray

# The columns in order, each with its method: values from another method are recomputed.
METHODS = {
    "bpm": tempo.METHOD,
    "bpm_confidence": tempo.METHOD,
    "key": tonality.METHOD,
    "scale": tonality.METHOD,
    "key_confidence": tonality.METHOD,
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Tempo and key of one song.

    Attributes
    ----------
    bpm : float or None
        Beats per minute, from 40 to 250; None if the song has no pulse.
    bpm_confidence : float
        Probability that `bpm` is correct up to octave errors, from 0 to 1; 0 without a tempo.
    key : str or None
        The tonic, one of `audiorec.types.TONICS`; None if nothing in the song has a pitch.
    scale : {"major", "minor"} or None
    key_confidence : float
        Probability that tonic and scale are both correct, from 0 to 1; 0 without a key.
    """

    bpm: float | None
    bpm_confidence: float
    key: str | None
    scale: str | None
    key_confidence: float


class AttributeMeter(Iterable[FloatArray]):
    """Iterable of blocks that measures the key during its first iteration, and tempo on spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from audiorec.audio.mel import power_spectra
    >>> t = np.arange(12 * 16_000) / 16_000
    >>> chord = sum(np.sin(2 * np.pi * hertz * t) for hertz in (220, 277.2, 329.6))  # A, C#, E
    >>> listened = AttributeMeter(np.split(np.float32(chord * np.exp(-10 * (t % 0.5))), 12))
    >>> for spectra in power_spectra(listened):
    ...     listened.add(spectra)
    >>> found = listened.attributes()
    >>> round(found.bpm), found.key, found.scale
    (120, 'A', 'major')
    """

    def __init__(self, blocks: Iterable[FloatArray]) -> None:
        self._blocks = blocks
        self._tempo, self._key = TempoMeter(), KeyMeter()
        self._is_first = True

    def __iter__(self) -> Iterator[FloatArray]:
        is_first, self._is_first = self._is_first, False
        for block in self._blocks:
            if is_first:
                self._key.add(block)
            yield block

    def add(self, spectra: FloatArray) -> None:
        """Add the next power spectra (f, 257) of the blocks: 32 ms, one every 16 ms."""
        self._tempo.add(spectra)

    def attributes(self) -> Attributes:
        """Return the attributes; call it after the last block and its spectra."""
        found, key = self._tempo.tempo(), self._key.key()
        return Attributes(found.bpm, found.confidence, key.tonic, key.scale, key.confidence)
