"""Song vectors in numpy: the part of a trained model that answers queries, without torch.

    mean of the history's rows of `ahead`, each part of unit length ──dot──▶ `behind` of all songs

A model may score in two ways: by the cosine of two songs' vectors, and by the dot product of a
vector and a context, which estimates how much more often than by chance the two co-occur. Each is
a part of the row; the parts are scaled by their spread over songs and added. Neither reflects how
often a song is in lists at all: a last part of width one adds a multiple of its logarithm.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, FloatArray, Int64Array

ASKED = 256  # lists on which the spread of a part is measured
RECALL_AT = 100
ROWS = 65_536  # per block
SPREAD_OVER = 65_536  # songs on which the spread of a part is measured, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongVectors:
    """Vectors of S songs, in one or more parts.

    Attributes
    ----------
    ahead, behind : ndarray, shape (S, W), float32
        Rows that a history averages, and rows that it is compared with; parts side by side.
    parts : tuple of int
        Widths of the parts.
    has_place : ndarray, shape (S,), bool
        Songs that have a vector.
    """

    ahead: FloatArray
    behind: FloatArray
    parts: tuple[int, ...]
    has_place: BoolArray

    def users(self, histories: Sequences) -> FloatArray:
        """Return histories as rows (Q, W): the unit-length mean of each part, or zeros."""
        known = histories.keep(self.has_place[histories.song])
        if known.lengths.any():
            n = max(1, len(self.ahead))
            pair = np.unique(known.owner * n + known.song)
            owner, song = pair // n, pair % n
        else:
            owner = song = np.empty(0, np.int64)
        found = np.zeros((len(histories), self.ahead.shape[1]), np.float64)
        np.add.at(found, owner, self.ahead[song].astype(np.float64))
        first = 0
        for width in self.parts:
            part = found[:, first : first + width]
            lengths = np.linalg.norm(part, axis=1, keepdims=True)
            part /= np.where(lengths > 0, lengths, 1)
            first += width
        return found.astype(np.float32)

    def similarities(self, histories: Sequences) -> FloatArray:
        """Return similarities to all songs, (Q, S); -inf for unknown histories and songs."""
        users = self.users(histories)
        found = users @ self.behind.T
        found[~users.any(axis=1)] = -np.inf
        found[:, ~self.has_place] = -np.inf
        return found.astype(np.float32, copy=False)


def prior_columns(
    counts: Int64Array, has_place: BoolArray, share: float
) -> tuple[FloatArray, FloatArray]:
    """Return the last column of `ahead` and `behind`, (S, 1): `share` times the log of the counts.

    It adds the same number to every history, since a mean of ones is one.
    """
    behind = share * np.log(np.maximum(counts, 1))
    return has_place[:, None].astype(np.float32), behind[:, None].astype(np.float32)


def scaled(
    places: SongVectors, lists: Sequences, warm: BoolArray, weights: tuple[float, ...]
) -> SongVectors:
    """Scale the parts in place: to a spread of 1 over warm songs, times their weights.

    The spread is measured on evenly spaced samples of lists and songs. Parts without a weight are
    left unchanged.
    """
    users = places.users(lists.take(_spaced(lists.lengths > 0, ASKED)))
    songs = _spaced(warm, SPREAD_OVER)
    first = 0
    for width, weight in zip(places.parts, weights, strict=False):
        part = slice(first, first + width)
        spread = float((users[:, part] @ places.behind[songs, part].T).std()) if len(songs) else 0.0
        places.behind[:, part] *= np.float32(weight / spread if spread > 0 else 0.0)
        first += width
    return places


def _spaced(mask: BoolArray, most: int) -> Int64Array:
    found = np.flatnonzero(mask)
    return found[np.linspace(0, len(found) - 1, min(most, len(found))).astype(np.int64)]


def hidden_recall(
    places: SongVectors, known: Sequences, wanted: Sequences, warm: BoolArray
) -> float:
    """Return the mean recall of hidden warm songs at 100, over lists.

    It is capped: divided by min(100, hidden songs). Known songs of a list are not proposed.
    """
    found = places.similarities(known)
    found[known.owner, known.song] = -np.inf
    found[:, ~warm] = -np.inf
    most = min(RECALL_AT, found.shape[1])
    best: Int64Array = np.argpartition(-found, most - 1, axis=1)[:, :most]
    shares = []
    for row in range(len(known)):
        own = np.unique(wanted[row])
        own = own[warm[own]]
        if len(own):
            there = best[row][found[row, best[row]] > -np.inf]
            shares.append(len(np.intersect1d(own, there)) / min(RECALL_AT, len(own)))
    return float(np.mean(shares)) if shares else 0.0


def unit(rows: FloatArray) -> FloatArray:
    """Scale rows to unit length; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: FloatArray = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found
