"""How well songs fit a sentence, whatever else the library holds.

    what is heard of a label, over what is heard where it is there ──fit──▶ 0 to 1

How much of a label is heard where it is really there stands in ``data/present.csv``: the larger of
what its own kind of sound has, among the sounds that labels were learnt from, and of what little
music at large has more (``scripts/heads/present_labels.py``). Classes of the heads are
probabilities already. The curves were fitted to half of the sentences and songs of a benchmark, and
told on the others (``benchmarks/words/eval_strength.py``): what a mood or a use makes one hear is
heard in parts, so songs fit at less of it.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from audiorec.types import Float64Array
from audiorec.words.hearing import Hearing
from audiorec.words.labels import TAG
from audiorec.words.vocabulary import rows_of

FILE = "present.csv"
CURVE = 4.78, 0.70  # how steep it is, and where half of the songs fit
IN_PARTS = {"mood": (2.04, 0.29), "use": (2.04, 0.29)}  # curves of these kinds of concepts
LEAST = 1e-3  # of a clause, so that no clause alone decides
MOST = 1.2  # of what is heard where something is there
QUIET, MIDDLE = 12.0, -14.0  # LUFS: half the range of loudness, and its middle
BPM = np.log2(115)  # neither slow nor fast


@cache
def present() -> dict[str, float]:
    """Return how much of each label is heard where it is there."""
    return {row["label"]: float(row["present"]) for row in rows_of(FILE)}


def fit(
    hearing: Hearing, ways: Sequence[Mapping[str, float]], rows: Sequence[int], kind: str = ""
) -> Float64Array:
    """Return the probability that songs (m,) have what a term of a kind says.

    It is NaN where only tags tell.
    """
    found = level(hearing, ways, rows)
    steep, half = IN_PARTS.get(kind, CURVE)
    probability: Float64Array = 1 / (1 + np.exp(-steep * (found - half)))
    return probability


def level(
    hearing: Hearing, ways: Sequence[Mapping[str, float]], rows: Sequence[int]
) -> Float64Array:
    """Return how much songs (m,) have of what a term says, 1 where it is there."""
    levels = [found for way in ways if (found := _level(hearing, way, rows)) is not None]
    return np.max(levels, axis=0) if levels else np.full(len(rows), np.nan)


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
        one = np.clip(_one(name, hearing.levels(name)[rows]), 0, MOST)
        total += abs(kept[name]) * (one if wanted else 1 - one)
    return total / sum(abs(kept[name]) for name in wanted or kept)


def _one(name: str, heard: Float64Array) -> Float64Array:
    if name in present():
        return heard / present()[name]
    if name == "bpm":
        return np.nan_to_num(0.5 + heard - BPM, nan=0.5)
    if name == "loud":
        return np.nan_to_num(0.5 + (heard - MIDDLE) / QUIET, nan=0.5)
    return np.nan_to_num(1 / (1 + np.exp(-heard)), nan=0.5)


def together(likely: Sequence[Float64Array]) -> Float64Array:
    """Return how likely songs (m,) fit several clauses: the geometric mean of how likely each is.

    Clauses go together more often than by chance, so their product would be too humble.
    """
    found: Float64Array = np.exp(np.mean(np.log(np.maximum(likely, LEAST)), axis=0))
    return found
