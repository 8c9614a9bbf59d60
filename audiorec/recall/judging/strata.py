"""Recall by stratum: wanted songs by their plays in training, users by length of history.

hits, plays and lists of each song  ──song_strata──▶ recall and number of wanted songs
recall per query, history lengths   ──user_strata──▶ mean recall and number of queries
"""

from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, Float64Array, Int64Array

Strata = dict[str, tuple[float, int]]  # a mean, and the number of values
PLAYS = {"never played": (0, 0), "played once": (1, 1), "played more": (2, None)}
HISTORY = {"no history": (0, 0), "short history": (1, 9), "long history": (10, None)}


def song_strata(hit: BoolArray, plays: Int64Array, owners: Int64Array) -> Strata:
    """Return the share of wanted songs that were found, by their plays in training.

    All arrays have one entry per wanted song: `hit`, its number of plays, and the number of
    sequences that contain it. Songs ``in one list`` are also in one of the other strata.
    """
    parts = {name: _within(plays, *bounds) for name, bounds in PLAYS.items()}
    parts["in one list"] = owners == 1
    return {name: _mean(hit[part]) for name, part in parts.items()}


def user_strata(recall: Float64Array, lengths: Int64Array) -> Strata:
    """Return the mean recall of queries (Q,) by length of history; NaN is ignored."""
    asked = ~np.isnan(recall)
    parts = {name: _within(lengths, *bounds) for name, bounds in HISTORY.items()}
    return {name: _mean(recall[part & asked]) for name, part in parts.items()}


def owners_of(plays: Sequences, n_songs: int) -> Int64Array:
    """Return the number of sequences that contain each song, (S,)."""
    pairs = np.unique(plays.owner * max(1, n_songs) + plays.song)
    return np.bincount(pairs % max(1, n_songs), minlength=n_songs).astype(np.int64)


def _within(values: Int64Array, low: int, high: int | None) -> BoolArray:
    return (values >= low) & (values <= (np.inf if high is None else high))


def _mean(values: Any) -> tuple[float, int]:
    return (float(values.mean()) if len(values) else float("nan")), len(values)
