"""How well songs fit a sentence, whatever else the library holds.

    what is heard of a label, over what is heard where it is there ──fit──▶ 0 to 1 ──word──▶ "some"

How much of a label is heard where it is really there stands in ``data/present.csv``: the larger of
what its own kind of sound has, among the sounds that labels were learnt from, and of what little
music at large has more (``scripts/heads/present_labels.py``). Classes of the heads are
probabilities already. The curve was fitted to sentences about voices and sounds.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from audiorec.tagger.weights import read_checked
from audiorec.types import Float64Array
from audiorec.words.hearing import Hearing
from audiorec.words.labels import TAG, words_data

FILE = "present.csv"
STEEP, HALF = 7.6, 0.69  # of the curve, and where half of the songs fit
STRONG, SOME = 0.75, 0.28  # probabilities
MOST = 1.2  # of what is heard where something is there
QUIET, MIDDLE = 12.0, -14.0  # LUFS: half the range of loudness, and its middle
BPM = np.log2(115)  # neither slow nor fast
BARS = {"strong": "▮▮▮", "some": "▮▮▯", "weak": "▮▯▯", "": ""}


@cache
def present() -> dict[str, float]:
    """Return how much of each label is heard where it is there."""
    text = read_checked(words_data() / FILE)[0].decode()
    return {row["label"]: float(row["present"]) for row in csv.DictReader(text.splitlines())}


def fit(hearing: Hearing, ways: Sequence[Mapping[str, float]], rows: Sequence[int]) -> Float64Array:
    """Return the probability that songs (m,) have what a term says; NaN where only tags tell."""
    levels = [level for way in ways if (level := _level(hearing, way, rows)) is not None]
    if not levels:
        return np.full(len(rows), np.nan)
    found: Float64Array = 1 / (1 + np.exp(-STEEP * (np.max(levels, axis=0) - HALF)))
    return found


def _level(
    hearing: Hearing, heard: Mapping[str, float], rows: Sequence[int]
) -> Float64Array | None:
    """Return how much of it all songs have, 1 where it is there."""
    kept = {name: weight for name, weight in heard.items() if not name.startswith(TAG)}
    wanted = {name: weight for name, weight in kept.items() if weight > 0}
    if not kept:
        return None
    total = np.zeros(len(rows))
    for name in wanted or kept:
        level = np.clip(_one(name, hearing.levels(name)[rows]), 0, MOST)
        total += abs(kept[name]) * (level if wanted else 1 - level)
    return total / sum(abs(kept[name]) for name in wanted or kept)


def _one(name: str, level: Float64Array) -> Float64Array:
    if name in present():
        return level / present()[name]
    if name == "bpm":
        return np.nan_to_num(0.5 + level - BPM, nan=0.5)
    if name == "loud":
        return np.nan_to_num(0.5 + (level - MIDDLE) / QUIET, nan=0.5)
    return np.nan_to_num(1 / (1 + np.exp(-level)), nan=0.5)


def word(probability: float | None) -> str:
    """Return ``strong``, ``some`` or ``weak``; empty where nothing is heard.

    Examples
    --------
    >>> word(0.9), word(0.5), word(0.1), word(None)
    ('strong', 'some', 'weak', '')
    """
    if probability is None:
        return ""
    return "strong" if probability >= STRONG else "some" if probability >= SOME else "weak"
