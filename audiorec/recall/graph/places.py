"""Where songs lie, in numpy: what a trained model answers with, without torch.

    mean of the history's rows of `ahead`, each part of unit length ──dot──▶ `behind` of all songs

A model may have two opinions: the cosine of two songs' vectors, and the dot product of a vector
with a context, which is how much more often than by chance the two stand together. Each is a
part of the row; they add up, both on the scale of their spread over songs. Neither says how often a
song stands in lists at all: a last part of one number adds a share of its logarithm.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, FloatArray, Int64Array

ASKED = 256  # lists that the scale of a part is measured on
RECALL_AT = 100
ROWS = 65_536  # that are worked on at a time
SPREAD_OVER = 65_536  # songs that the scale of a part is measured on, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """S songs in a space of one or more parts.

    Attributes
    ----------
    ahead, behind : ndarray, shape (S, W), float32
        Rows that a history is the mean of, and rows that it is held against; parts side by side.
    parts : tuple of int
        Widths of the parts.
    has_place : ndarray, shape (S,), bool
        Songs that something was learnt of.
    """

    ahead: FloatArray
    behind: FloatArray
    parts: tuple[int, ...]
    has_place: BoolArray

    def users(self, histories: Sequences) -> FloatArray:
        """Return histories as rows (Q, W): the mean of each part, of unit length; else zeros."""
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
        """Return similarities with all songs, (Q, S); -inf where nothing is known."""
        users = self.users(histories)
        found = users @ self.behind.T
        found[~users.any(axis=1)] = -np.inf
        found[:, ~self.has_place] = -np.inf
        return found.astype(np.float32, copy=False)


def prior_columns(
    counts: Int64Array, has_place: BoolArray, share: float
) -> tuple[FloatArray, FloatArray]:
    """Return the last part of `ahead` and `behind`, (S, 1): `share` times the log of the counts.

    Every history gets it alike, since the mean of ones is one.
    """
    behind = share * np.log(np.maximum(counts, 1))
    return has_place[:, None].astype(np.float32), behind[:, None].astype(np.float32)


def scaled(places: Places, lists: Sequences, warm: BoolArray, weights: tuple[float, ...]) -> Places:
    """Bring parts onto one scale, in place: of spread 1 over warm songs, times their weights.

    The spread is that of some lists with some songs, spaced evenly. Parts behind the last weight
    stay as they are.
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


def hidden_recall(places: Places, known: Sequences, wanted: Sequences, warm: BoolArray) -> float:
    """Return the mean share of hidden songs among the first hundred warm ones, of all lists.

    Divided by min(100, hidden songs); what a list shows is not proposed.
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
    """Return rows of unit length; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: FloatArray = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found
