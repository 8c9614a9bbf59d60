"""What a narrow band does to the vectors of the new heads, for `audiorec.search.scaling`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from head_features import Table

from audiorec.search.scaling import FILE, LOG_ODDS_FLOOR, BandwidthEffect
from audiorec.tagger.heads import Head, Heads
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS, Float64Array

LOG_ODDS = ("max", "min", "mean")  # statistics that are compared as log-odds


def save_narrowing(out: Path, heads: Sequence[Head], copied: Mapping[str, Table]) -> None:
    """Measure it on copies of music, of which the first is as it was, and write the file."""
    both = Heads(heads)
    first, *others = (columns(both, table) for table in copied.values())
    moved = np.concatenate([one - first for one in others])  # the changes, over all songs and bands
    BandwidthEffect(
        heads=tuple(head.sha256 for head in heads),
        statistics=STATISTICS,
        log_odds=LOG_ODDS,
        moment=moved.T @ moved / len(moved),
    ).save(out / FILE)


def columns(heads: Heads, table: Table) -> Float64Array:
    """Return the vectors (n, V) of the tracks of a table, in the form that they are compared in."""
    scores = heads.scores({"msd": table.msd})
    names = np.unique(table.track)
    vectors = np.stack([summarise(scores[table.track == name]) for name in names])
    odds = np.tile([name in LOG_ODDS for name in STATISTICS], len(heads.classes))
    p = np.clip(vectors[:, odds].astype(np.float64), 0.0, 1.0)
    found = vectors.astype(np.float64)
    found[:, odds] = np.log((p + LOG_ODDS_FLOOR) / (1 + LOG_ODDS_FLOOR - p))
    return found
