"""Popularity, evenness and diversity of the lists of a channel.

lists (Q, k), plays, `Sound`, kinds ──spread_of──▶ popularity, Gini, coverage, diversities
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from audiorec.evaluation.full_rank import intra_list_diversity, list_spread, sound_diversity
from audiorec.recall.contract.data import Sound
from audiorec.types import Float64Array, Int64Array

Labels = Mapping[str, Mapping[str, str]]  # kind, e.g. "artist" → song id → label


def spread_of(
    lists: Int64Array,
    plays: npt.NDArray[np.integer],
    song_ids: tuple[str, ...],
    *,
    sound: Sound | None = None,
    kinds: Labels | None = None,
) -> dict[str, float]:
    """Return statistics of lists (Q, k), by name.

    Besides popularity, Gini coefficient and coverage: ``diversity_NAME``, the mean share of pairs
    in a list that differ, for each of `kinds`, for the artists of `sound` and the classes of its
    heads; ``diversity_sound`` is the mean distance of two songs. Statistics without any known
    label are left out.

    Examples
    --------
    >>> lists, artists = np.array([[0, 1], [0, 2]]), {"a": "x", "b": "x", "c": "y"}
    >>> spread_of(lists, np.ones(3, int), tuple("abc"), kinds={"artist": artists})[
    ...     "diversity_artist"
    ... ]
    0.5
    """
    found = dict(list_spread(lists, plays))
    for name, codes in _codes(song_ids, sound, kinds or {}).items():
        if (codes >= 0).any():
            found[f"diversity_{name}"] = _mean(intra_list_diversity(lists, codes))
    if sound is not None:
        units = sound.among(song_ids).units
        if units.any():
            found["diversity_sound"] = _mean(sound_diversity(lists, units))
    return found


def _codes(
    song_ids: tuple[str, ...], sound: Sound | None, kinds: Labels
) -> dict[str, npt.NDArray[np.integer]]:
    """Return the label of each song (S,) by kind, -1 if unknown; `kinds` override `sound`."""
    found: dict[str, npt.NDArray[np.integer]] = {}
    if sound is not None:
        ours = sound.among(song_ids)
        found["artist"] = _numbers(ours.artists)
        found |= ours.kinds
    for name, labels in kinds.items():
        found[name] = _numbers(tuple(labels.get(song, "") for song in song_ids))
    return found


def _numbers(labels: tuple[str, ...]) -> Int64Array:
    number: dict[str, int] = {}
    return np.array(
        [number.setdefault(label, len(number)) if label else -1 for label in labels], np.int64
    )


def _mean(values: Float64Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
