"""The centre of the new heads' vectors, and what a narrow band does to them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from head_features import Table

from audiorec.search.scaling import FILE, WEIGHTS, MeasuredHeads, log_odds
from audiorec.tagger.heads import Head, Heads
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS, Float64Array


def save_narrowing(out: Path, heads: Sequence[Head], copied: Mapping[str, Table]) -> None:
    """Measure it on copies of music, of which the first is as it was, and write the file."""
    both = Heads(heads)
    first, *others = (columns(both, table) for table in copied.values())
    moved = np.concatenate([one - first for one in others])  # the changes, over all songs and bands
    MeasuredHeads(
        heads=tuple(head.sha256 for head in heads),
        statistics=STATISTICS,
        centre=first.mean(axis=0),
        spread=first.std(axis=0),
        moment=moved.T @ moved / len(moved),
    ).save(out / FILE)


def columns(heads: Heads, table: Table) -> Float64Array:
    """Return the vectors (n, V) of the tracks of a table, in the form that they are compared in."""
    scores = heads.scores({"msd": table.msd})
    names = np.unique(table.track)
    vectors = np.stack([summarise(scores[table.track == name]) for name in names])
    scores = np.tile([name in WEIGHTS for name in STATISTICS], len(heads.classes))
    found: Float64Array = np.where(scores, log_odds(vectors), vectors)
    return found
