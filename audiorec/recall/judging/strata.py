"""Recall of parts of what was asked for: songs by how often they were played, users by history.

ranks, plays, lists of each song ──song_strata──▶ recall and number of wanted songs
recall a query, lengths          ──user_strata──▶ mean recall and number of queries
"""

from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, Float64Array, Int64Array

Strata = dict[str, tuple[float, int]]  # a figure, and of how many
PLAYS = {"never played": (0, 0), "played once": (1, 1), "played more": (2, None)}
HISTORY = {"no history": (0, 0), "short history": (1, 9), "long history": (10, None)}


def song_strata(hit: BoolArray, plays: Int64Array, owners: Int64Array) -> Strata:
    """Return the share of wanted songs (T,) that were found, by what was learnt of them.

    `plays` and `owners` (T,) say how often, and in how many sequences, each was played. Songs
    ``in one list`` are also counted among those played once or more.
    """
    parts = {name: _within(plays, *bounds) for name, bounds in PLAYS.items()}
    parts["in one list"] = owners == 1
    return {name: _mean(hit[part]) for name, part in parts.items()}


def user_strata(recall: Float64Array, lengths: Int64Array) -> Strata:
    """Return the mean recall of queries (Q,) by the number of plays in their histories.

    Queries with NaN are left out.
    """
    asked = ~np.isnan(recall)
    parts = {name: _within(lengths, *bounds) for name, bounds in HISTORY.items()}
    return {name: _mean(recall[part & asked]) for name, part in parts.items()}


def owners_of(plays: Sequences, n_songs: int) -> Int64Array:
    """Return in how many sequences each song stands, (S,)."""
    pairs = np.unique(plays.owner * max(1, n_songs) + plays.song)
    return np.bincount(pairs % max(1, n_songs), minlength=n_songs).astype(np.int64)


def _within(values: Int64Array, low: int, high: int | None) -> BoolArray:
    return (values >= low) & (values <= (np.inf if high is None else high))


def _mean(values: Any) -> tuple[float, int]:
    return (float(values.mean()) if len(values) else float("nan")), len(values)
