"""What a sentence asks of the songs of a list, beside the seeds: "but calmer, without drums".

`audiorec.words.wish` makes it; similar songs and playlists are drawn by it, and say it.
"""

from dataclasses import dataclass
from typing import Any

from audiorec.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wished:
    """What a sentence asks of the songs of a list.

    Attributes
    ----------
    text : str
        The sentence.
    names : tuple of str, length T
        What was understood: ``more calm``, ``no drums``.
    by : ndarray, shape (T, n), float32
        By how much each song of the store has it. Beside seeds in deviations over the library, from
        its mean, or, where more or less was asked for, from the seeds; without seeds what it adds
        to the song's similarity.
    pull : ndarray, shape (n,), float32
        What this adds to each song's similarity where songs are chosen.
    notes : tuple of str
        What to tell a person about the sentence, one line each.
    """

    text: str
    names: tuple[str, ...]
    by: FloatArray
    pull: FloatArray
    notes: tuple[str, ...]

    def fields(self, row: int) -> dict[str, Any]:
        """Return what a document says of one song."""
        values = [round(float(value), 4) for value in self.by[:, row]]
        return dict(zip(self.names, values, strict=True))

    def said(self, row: int) -> str:
        """Return the same in words.

        Examples
        --------
        >>> import numpy as np
        >>> by = np.float32([[0.84], [-0.3]])
        >>> names = ("more calm", "no drums")
        >>> Wished(text="", names=names, by=by, pull=by[0], notes=()).said(0)
        'more calm +0.84, no drums -0.30'
        """
        return ", ".join(
            f"{name} {round(value, 2) + 0.0:+.2f}" for name, value in self.fields(row).items()
        )
