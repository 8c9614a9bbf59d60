"""Spaces in which songs are compared: sound, the vector, or a learnt embedding.

    store, "auto"  ──choose_space──▶ `SpaceChoice`: by, table, and a note ──open_space──▶ `Space`
    `Space` ──search──▶ `Neighbours`: ids and similarities, as a table and as a DataFrame

Sound finds more of the same music than the vector (docs/decisions/0054). A store that has none, of
an older audiorec or of ``extract --vector-only``, is compared by the vector, and the note says so.

A `Space` addresses songs by their rows in the store, whatever its numbers are, so filters and the
order of ties are the same in all spaces. A song without a sound, or missing from the file of
embeddings, is never found, and cannot be a query.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, ShapeError, StoreError
from audiorec.files.arrow import integers, pandas_frame
from audiorec.files.visible import ShownAsTable, TableView, clock
from audiorec.search.scaling import (
    LEARNT,
    SOUND,
    By,
    LoadedUnits,
    Scaling,
    learnt_units,
    sound_units,
    vector_units,
)
from audiorec.search.topk import nearest
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Numbers

MOST_ROWS = 20  # rows per table; further rows are only counted
TAGS = ("artist", "title", "album", "duration_s")

OPPOSED = 1e-6  # the direction of a shorter mean is rounding noise


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One song of `Neighbours`.

    Attributes
    ----------
    song_id : str
    similarity : float
        Cosine of the two songs in the space, from -1 to 1.
    """

    song_id: str
    similarity: float
    _among: "Neighbours" = field(repr=False, compare=False)
    _place: int = field(repr=False, compare=False)

    @property
    def row(self) -> Mapping[str, Any]:
        """The song's other columns in the store, without the vector."""
        return self._among.songs[self._place]


class Neighbours(ShownAsTable):
    """The songs nearest to one query, or to each of several.

    For one query a sequence of `Neighbour`, most similar first; for several a sequence of
    `Neighbours`, one per query. Two results are equal if their ids and similarities are.

    Attributes
    ----------
    rows : ndarray, shape (k,) or (Q, k), int64
        Rows of the store; for several queries, -1 where one has fewer than k.
    similarities : ndarray, of the same shape, float64
        NaN where a query has fewer than k.
    by : {"sound", "vector", "mean", "learnt"}
        The space in which the songs were compared.
    """

    def __init__(
        self,
        store: VectorStore,
        rows: Int64Array,
        similarities: Float64Array,
        *,
        by: By = "vector",
    ) -> None:
        there = rows >= 0 if rows.ndim == 1 else slice(None)
        self._store = store
        self.by = by
        self.rows, self.similarities = rows[there], similarities[there]

    @cached_property
    def song_ids(self) -> npt.NDArray[Any]:
        """Ids of the songs: an object array of the shape of `rows`, None where there is none."""
        there = self.rows >= 0
        ids = np.full(self.rows.shape, None, object)
        ids[there] = self._store.id_array.take(integers(self.rows[there])).to_pylist()
        return ids

    @cached_property
    def songs(self) -> list[dict[str, Any]]:
        """Columns of the songs in the store, without the vectors; for one query only."""
        return self._store.rows(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        """Return one song of one query, one query of several, or a slice of either."""
        rows, similarities = self.rows[place], self.similarities[place]
        if rows.ndim:
            return Neighbours(self._store, rows, similarities, by=self.by)
        number = int(np.arange(len(self))[place])
        return Neighbour(self.song_ids[number], float(similarities), self, number)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Neighbours):
            return NotImplemented
        return np.array_equal(self.song_ids, other.song_ids) and np.array_equal(
            self.similarities, other.similarities, equal_nan=True
        )

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per neighbour.

        Columns ``rank``, ``song_id``, ``similarity``, ``artist``, ``title``, ``album`` and
        ``duration_s``; for several queries ``query``, numbered from 0, and the first three.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        if self.rows.ndim == 1:
            tags = {name: [song[name] for song in self.songs] for name in TAGS}
            place = {"rank": np.arange(1, len(self) + 1), StoreColumns.ID: self.song_ids}
            return pandas_frame({**place, "similarity": self.similarities, **tags})
        there = self.rows >= 0
        query, rank = np.nonzero(there)
        ids, similarities = self.song_ids[there], self.similarities[there]
        result = {"query": query, "rank": rank + 1, StoreColumns.ID: ids}
        return pandas_frame({**result, "similarity": similarities})

    def _view(self) -> TableView:
        """Return the songs of one query, or the nearest song of each of several."""
        n = len(self)
        rows: list[tuple[object, ...]]
        if self.rows.ndim == 1:
            first = self[:MOST_ROWS]
            rows = [
                (rank, near, song[StoreColumns.ID], song["artist"], song["title"], length)
                for rank, (near, song) in enumerate(
                    zip(first.similarities.tolist(), first.songs, strict=True), start=1
                )
                for length in (clock(song["duration_s"]),)
            ]
            columns = ("rank", "similarity", StoreColumns.ID, "artist", "title", "length")
            return TableView(f"{n} neighbour{'s' * (n != 1)}", columns, rows, n)
        k = self.rows.shape[1]
        rows = [
            (query, self.song_ids[query, 0], float(self.similarities[query, 0]))
            for query in range(min(n, MOST_ROWS) if k else 0)
        ]
        title = f"up to {k} neighbours of each of {n} queries"
        return TableView(title, ("query", "nearest", "similarity"), rows, n)


class Space:
    """The songs of a store as vectors of length 1, searchable by similarity.

    Obtained from `SearchableStore.space`.

    Attributes
    ----------
    store : VectorStore
    by : {"sound", "vector", "learnt"}
    rows : ndarray, shape (m,), int64
        The store row of each song in the space: all n, unless some lack what is compared.
    """

    def __init__(
        self,
        store: VectorStore,
        by: By,
        load: Callable[[], LoadedUnits],
        *,
        count: int,
    ) -> None:
        self.store, self.by = store, by
        self._load, self._count = load, count

    def __len__(self) -> int:
        return self._count

    @cached_property
    def rows(self) -> Int64Array:
        """The store row of each song in the space, ascending: shape (m,), int64."""
        return np.arange(self._count) if self._count == len(self.store) else self._loaded.rows

    @property
    def matrix(self) -> FloatArray:
        """The units of all songs of the space: shape (m, W), rows as in `rows`."""
        return self._loaded.units

    @property
    def scaling(self) -> Scaling:
        """The scaling that prepares numbers for this space."""
        return self._loaded.scaling

    def prepare(self, values: FloatArray) -> FloatArray:
        """Prepare sounds, vectors or embeddings (Q, V): units (Q, W), of length 1."""
        return self.scaling.prepare(values)

    def of_song(self, vector: FloatArray, lists: Mapping[str, Numbers]) -> FloatArray:
        """Return the unit (W,) of a song that was extracted like the store's, and is not in it.

        Raises
        ------
        InputError
            If such a song has nothing to be compared by, as in a space of learnt embeddings.
        """
        if self.by == LEARNT or (self.by == SOUND and SOUND not in lists):
            raise InputError(f"a song that is not in the store has no {self.by} to compare")
        values = lists[SOUND] if self.by == SOUND else vector
        return self.prepare(np.asarray(values, np.float32)[None])[0]

    def units(self, numbers: Sequence[int] | Int64Array) -> FloatArray:
        """Return the units of songs, given by their rows in the store: shape (Q, W).

        Raises
        ------
        InputError
            If a song of the store is not in this space.
        """
        wanted = np.asarray(numbers, np.int64)
        lacking = np.flatnonzero(self._places[wanted] < 0)
        if len(lacking):
            song_id = self.store.id_array[int(wanted[lacking[0]])].as_py()
            raise InputError(self._lacks(song_id))
        return self.matrix[self._places[wanted]]

    def _lacks(self, song_id: str) -> str:
        """Say that a song is not in the space, and what to do."""
        if self.by == SOUND:
            return (
                f"{song_id!r} has no sound, as it was extracted without: compare by vector, or "
                f"add it: audiorec extract FOLDER --overwrite --out {self.store.path}"
            )
        return f"the embeddings have no row for {song_id!r}; compare by sound or vector"

    def units_by_row(self) -> tuple[FloatArray, BoolArray]:
        """Return the units of all songs of the store (n, W), and which of them are valid (n,).

        Songs that are missing from the space have zeros.
        """
        there = self.there
        if there.all():
            return self.matrix, there
        units = np.zeros((len(there), self.matrix.shape[1]), np.float32)
        units[self.rows] = self.matrix
        return units, there

    @cached_property
    def there(self) -> BoolArray:
        """Which songs of the store are in the space: shape (n,), bool."""
        result: BoolArray = self._places >= 0
        result.flags.writeable = False
        return result

    def search(
        self,
        units: FloatArray,
        k: int,
        *,
        allowed: BoolArray | None = None,
        own: Int64Array | None = None,
    ) -> Neighbours:
        """Return the `k` songs most similar to each query.

        Parameters
        ----------
        units : ndarray, shape (Q, W), float32
            Of length 1 or 0, as `prepare` and `units` return them.
        k : int
            Fewer are returned if fewer are allowed.
        allowed : ndarray, shape (n,), bool, optional
            Rows of the store that may be returned; all by default.
        own : ndarray, shape (Q,), int64, optional
            Store row of the song behind each query; it is not its own neighbour.

        Returns
        -------
        found : Neighbours
            Of Q queries; most similar first, ties in id order.

        Raises
        ------
        InputError
            If `k` is below 1.
        ShapeError
            If `units` does not have W columns, or `allowed` not n rows.
        """
        width, n = len(self.scaling.columns), len(self.store)
        if units.ndim != 2 or units.shape[1] != width:
            raise ShapeError(f"units must have shape (Q, {width}), got {units.shape}")
        if allowed is not None and allowed.shape != (n,):
            raise ShapeError(f"allowed must have shape ({n},), got {allowed.shape}")
        if own is not None and len(own) == 1:  # a single query's own row can go into `allowed`
            allowed = np.ones(n, np.bool_) if allowed is None else allowed.copy()
            allowed[own], own = False, None
        whole = len(self) == n  # the rows are those of the store
        rows, similarities = nearest(
            self.matrix,
            units,
            k,
            allowed=allowed if whole or allowed is None else allowed[self.rows],
            ranks=self.store.ranks if whole else self.store.ranks[self.rows],
            own=None if own is None else self._places[own],
        )
        if not whole:
            rows = np.where(rows >= 0, np.append(self.rows, -1)[rows], -1)
        return Neighbours(self.store, rows, similarities, by=self.by)

    @cached_property
    def _loaded(self) -> LoadedUnits:
        result = self._load()
        if len(result.rows) != self._count:
            raise StoreError(
                f"{self.store.path}: has another number of sounds than its footer says"
            )
        return result

    @cached_property
    def _places(self) -> Int64Array:
        """Position of each store row in this space, -1 if it is missing."""
        places = np.full(len(self.store), -1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places


def mean_direction(units: FloatArray) -> FloatArray:
    """Return the normalised mean of units (Q, W): the direction between several seeds, (W,).

    Every seed has length 1, so each counts the same. A single one is returned unchanged; one of
    length 0 contributes no direction.

    Raises
    ------
    InputError
        If there are no seeds, or if they cancel each other out.

    Examples
    --------
    >>> mean_direction(np.float32([[1, 0], [0, 1]])).round(3)
    array([0.707, 0.707], dtype=float32)
    """
    if len(units) == 0:
        raise InputError("no seed: name at least one song")
    if len(units) == 1:
        return units[0]
    mean = units.astype(np.float64).mean(axis=0)
    length = float(np.sqrt((mean * mean).sum()))
    if length < OPPOSED:
        raise InputError("the seeds are opposites and cancel out: no song is near all of them")
    return (mean / length).astype(np.float32)


SPACES = ("auto", "sound", "vector")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceChoice:
    """The space in which songs are compared, and its file.

    Attributes
    ----------
    by : {"sound", "vector", "learnt"}
    table : Path or None
        The file of learnt embeddings.
    note : str
        Why sound is not used, or how many songs lack it, and the command that would change it;
        empty where there is nothing to report.
    """

    by: By
    table: Path | None = None
    note: str = ""


def choose_space(store: VectorStore, by: str | Path = "auto") -> SpaceChoice:
    """Choose the space in which songs are compared.

    Parameters
    ----------
    store : VectorStore
    by : {"auto", "sound", "vector"} or path
        A space, or a file of learnt embeddings (``.parquet``).

    Raises
    ------
    InputError
        If `by` is neither.
    """
    name = str(by)
    if name not in SPACES:
        if Path(name).suffix != ".parquet" and not Path(name).exists():
            known = ", ".join(SPACES)
            raise InputError(f"by must be one of {known}, or embeddings.parquet, got {name!r}")
        return SpaceChoice(by=LEARNT, table=Path(name))
    if name == "vector":
        return SpaceChoice(by="vector")
    count, n = store.songs_with(SOUND), len(store)
    upgrade = f"audiorec extract FOLDER --overwrite --out {store.path}"
    if name == "auto" and not count:
        none = f"compared by vector: this store has no sound; to add it: {upgrade}" if n else ""
        return SpaceChoice(by="vector", note=none)
    some = f"{n - count:,} of {n:,} songs have no sound and are never found; to add it: {upgrade}"
    return SpaceChoice(by=SOUND, note=some if 0 < count < n else "")


def open_space(store: VectorStore, compared: SpaceChoice) -> Space:
    """Open a space of a store; see `SearchableStore.space`."""
    by = compared.by
    if by == "vector":
        return Space(store, by, partial(vector_units, store), count=len(store))
    if compared.table is None:
        if SOUND not in store.metadata.lists:
            store.read_list(SOUND)  # raises
        return Space(store, by, partial(sound_units, store), count=store.songs_with(SOUND))
    loaded = learnt_units(store, compared.table)
    return Space(store, by, lambda: loaded, count=len(loaded.rows))
