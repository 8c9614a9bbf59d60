"""Similar artists: each artist is represented by the mean of their songs.

    songs (n, W), their artists ──`ArtistMap`──▶ means (G, W) ──near──▶ artists, and songs of both

A music server's ids of artists are read from a table with the columns ``artist_id`` and
``artist``; without one, an artist's id is the name.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.search.filters import name_codes
from audiorec.search.searchable import SearchableStore
from audiorec.types import FloatArray, Int32Array, Int64Array, normalised_name

REPRESENTATIVE = 3  # songs returned for each of two similar artists
LEAST_LENGTH = 1e-6  # length of a mean; below this the songs cancel each other out
MAX_TABLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class NearArtist:
    """An artist similar to another one.

    Attributes
    ----------
    name, artist_id : str
    similarity : float
    songs : tuple of two lists of int
        Rows of songs of the requested artist nearest to this one, and of this one nearest to the
        requested artist.
    """

    name: str
    artist_id: str
    similarity: float
    songs: tuple[list[int], list[int]]


class ArtistMap:
    """Search of similar artists in a store.

    Parameters
    ----------
    store : SearchableStore
    ids : mapping of str to str, optional
        A server's artist ids to artist names; see `read_artist_ids`.
    """

    def __init__(self, store: SearchableStore, ids: Mapping[str, str] | None = None) -> None:
        space = store.space("auto", use_index=False)
        units, there = space.units_by_row()
        codes = name_codes(store, "artist")
        codes = np.where(there & store.music, codes, -1)
        self._units, self._codes = units, codes
        self._number: dict[str, int] = {}
        self._names: list[str] = []
        self._means = self._read(store, codes)
        self._ids = dict(ids or {})
        self._id_of = {normalised_name(name): artist_id for artist_id, name in self._ids.items()}

    def _read(self, store: SearchableStore, codes: Int32Array) -> FloatArray:
        """Assign a number to each artist with music; return their mean directions, (G, W)."""
        names = store.column("artist").to_pylist()
        self._rows: list[Int64Array] = []
        order = np.argsort(codes, kind="stable")
        kinds, starts = np.unique(codes[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        means = []
        for kind, start, end in zip(kinds.tolist(), starts.tolist(), ends, strict=True):
            if kind < 0:
                continue
            rows = order[start:end]
            mean = self._units[rows].astype(np.float64).mean(axis=0)
            length = float(np.sqrt(mean @ mean))
            if length < LEAST_LENGTH:
                continue
            name = str(names[int(rows[0])])
            self._number[normalised_name(name)] = len(self._names)
            self._names.append(name)
            self._rows.append(rows.astype(np.int64))
            means.append((mean / length).astype(np.float32))
        return np.stack(means) if means else np.zeros((0, self._units.shape[1]), np.float32)

    def __len__(self) -> int:
        return len(self._names)

    def near(self, artist: str, n: int) -> list[NearArtist]:
        """Return up to `n` artists similar to one, nearest first; empty if it is unknown.

        Parameters
        ----------
        artist : str
            A server's id for the artist, or the name.
        n : int
        """
        number = self._number.get(normalised_name(self._ids.get(artist, artist)))
        if number is None or n < 1:
            return []
        similarities = self._means @ self._means[number]
        similarities[number] = -np.inf
        best = np.argsort(-similarities, kind="stable")[: min(n, len(self) - 1)]
        return [self._near(number, int(other), float(similarities[other])) for other in best]

    def _near(self, one: int, other: int, similarity: float) -> NearArtist:
        name = self._names[other]
        artist_id = self._id_of.get(normalised_name(name), "" if self._ids else name)
        songs = self._nearest(one, other), self._nearest(other, one)
        return NearArtist(name, artist_id, similarity, songs)

    def _nearest(self, of: int, to: int) -> list[int]:
        """Return the songs of one artist that are nearest to the mean of another."""
        rows = self._rows[of]
        alike = self._units[rows] @ self._means[to]
        best: list[int] = rows[np.argsort(-alike, kind="stable")[:REPRESENTATIVE]].tolist()
        return best


def read_artist_ids(path: Path) -> dict[str, str]:
    """Read a CSV with the columns ``artist_id`` and ``artist``.

    Raises
    ------
    MissingFileError
        If there is no such file.
    DamagedFileError
        If it is not such a table, or too large.
    InputError
        If a column is missing.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; give a CSV with artist_id,artist")
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise DamagedFileError(f"{path}: too large for a table of artists")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            names = rows.fieldnames or []
            if "artist_id" not in names or "artist" not in names:
                raise InputError(f"{path}: needs the columns artist_id and artist")
            return {row["artist_id"]: row["artist"] or "" for row in rows if row["artist_id"]}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFileError(f"{path}: not a table of artists: {error}") from error
