"""Compute embeddings of unplayed songs, from their sound and their artist.

    embedding of a learnt song  ≈  ridge(its vector)  +  mean residual of its artist's songs
    embedding of a new song     =  the same two parts, scaled to length 1

An artist's residual is shrunk by counting `SHRINK` further songs without one: one song says less
about an artist than ten do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from audiorec.errors import ShapeError
from audiorec.learning.bundle import texts_as_arrays, texts_of_arrays
from audiorec.recall.contract.data import Context
from audiorec.recall.sequence.youtube_dnn.model import of_unit_length
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array, normalised_name

RIDGE = 0.1  # as a multiple of the mean eigenvalue
SHRINK = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoundMap:
    """A map from sound and artist to embeddings of width E, for songs without a play.

    Attributes
    ----------
    by_sound : ndarray, shape (V + 1, E), float32
        Ridge weights from standardised vectors and a constant 1 to embeddings.
    artists : tuple of str, length A
        Plain names (`audiorec.types.normalised_name`) of artists with a learnt song, sorted.
    by_artist : ndarray, shape (A, E), float32
        Residual of each artist, which is added.
    """

    by_sound: FloatArray
    artists: tuple[str, ...] = ()
    by_artist: FloatArray

    def __post_init__(self) -> None:
        if self.by_artist.shape != (len(self.artists), self.by_sound.shape[1]):
            raise ShapeError(
                f"{len(self.artists)} artists of width {self.by_sound.shape[1]} expected, "
                f"got {self.by_artist.shape}"
            )

    @classmethod
    def fit(
        cls,
        embeddings: FloatArray,
        z: FloatArray,
        has_vector: BoolArray,
        artists: Sequence[str],
        learnt: BoolArray,
    ) -> Self:
        """Fit to the songs in `learnt` (S,).

        Parameters
        ----------
        embeddings : ndarray, shape (S, E)
        z : ndarray, shape (S, V)
            Standardised vectors, zeros outside of `has_vector` (S,). V may be 0.
        artists : sequence of str, length S
            Plain names; empty if unknown.
        """
        heard = learnt & has_vector if z.shape[1] else learnt
        x = _with_ones(z[heard])
        gram = x.T @ x
        gram += (RIDGE * np.trace(gram) / len(gram) + 1e-9) * np.eye(len(gram))
        by_sound = np.linalg.solve(gram, x.T @ embeddings[heard].astype(np.float64))
        named = learnt & np.array([bool(name) for name in artists], np.bool_)
        left = embeddings[named] - _with_ones(z[named]) @ by_sound
        own = [artists[row] for row in np.flatnonzero(named).tolist()]
        names, artist = np.unique(np.array(own, object), return_inverse=True)
        total = np.zeros((len(names), embeddings.shape[1]))
        np.add.at(total, artist, left)
        count = np.bincount(artist, minlength=len(names))[:, None]
        return cls(
            by_sound=by_sound.astype(np.float32),
            artists=tuple(names.tolist()),
            by_artist=(total / (count + SHRINK)).astype(np.float32),
        )

    def place(self, z: FloatArray, has_vector: BoolArray, artists: Sequence[str]) -> FloatArray:
        """Return the embeddings of any songs: (n, E) float32, zeros if nothing is known."""
        number = self._numbers(artists)
        parts = np.append(self.by_artist, np.zeros((1, self.by_artist.shape[1]), np.float32), 0)
        found = _with_ones(z) @ self.by_sound + parts[number]
        known = has_vector | (number >= 0)
        return of_unit_length(np.where(known[:, None], found, 0).astype(np.float32))

    def _numbers(self, artists: Sequence[str]) -> Int64Array:
        return IdMap(self.artists).rows(tuple(artists)).astype(np.int64)

    def tensors(self) -> dict[str, Any]:
        """Return all arrays by name, to store in a bundle."""
        names = texts_as_arrays("artists", self.artists)
        return {"by_sound": self.by_sound, "by_artist": self.by_artist, **names}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Any]) -> Self:
        """Undo `tensors`; bundles from before artists were used have no artist tensors."""
        by_sound = tensors["by_sound"]
        if "by_artist" not in tensors:
            return cls(by_sound=by_sound, by_artist=np.zeros((0, by_sound.shape[1]), np.float32))
        artists = texts_of_arrays("artists", tensors)
        return cls(by_sound=by_sound, artists=artists, by_artist=tensors["by_artist"])


def artists_among(context: Context, song_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the plain artist name of each song, from side information or sound, or ""."""
    side = context.side
    if side is not None and "artist" in side.categories:
        texts = (*side.categories["artist"].texts(), None)
        rows = IdMap(side.song_ids).rows(song_ids)
        return tuple(normalised_name(texts[row]) for row in rows.tolist())
    if context.sound is not None:
        return context.sound.among(song_ids).artists
    return ("",) * len(song_ids)


def _with_ones(z: FloatArray) -> Float64Array:
    return np.concatenate([z, np.ones((len(z), 1))], axis=1).astype(np.float64)
