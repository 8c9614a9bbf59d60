"""All songs of a library as columns, in the form that the page loads at its start.

    Library ──`SongColumns`──▶ .about    names of columns, classes and statistics: JSON
                         .texts    titles, artists, albums, ids: JSON, one list per column
                         .numbers  map positions, durations, classes, scores: bytes, by column
                         .find     conditions of the command line ▶ one bit per song
    projected (m, 2)    ──laid_out──▶ `Layout` of n songs, spread over -1 to 1
    "version/vocal_accompaniment" ──class_words──▶ "sung"

Stored by column, 100,000 songs are a few megabytes, which a browser reads in a tenth of a second.
The map is computed while the page is opening, and kept beside the store (`MapKeeper`).
"""

import gzip
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError
from audiorec.library.library import Library
from audiorec.library.readings import scores_beside
from audiorec.search.atlas import MapKind, project, top_classes
from audiorec.search.filters import UNKNOWN, matching, mean_scores, parse_conditions, text_codes
from audiorec.search.space import Space
from audiorec.search.stored_labels import StatedGenres, stated_genres
from audiorec.search.topk import top_k
from audiorec.store.features import SeriesFile
from audiorec.store.map_file import read_map, write_map
from audiorec.store.schema import schema_of
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap, Int64Array, string_array

NEAREST = 3  # songs in whose middle a new one stands
APART = 0.006  # of the map's half width: new songs of the same neighbours do not cover each other
TURN = 2.4  # radians, near the golden angle: successive ones point everywhere
MOST_GROWTH = 2.0  # songs for each song that was laid out, before all are laid out anew


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The places of songs on a map.

    Attributes
    ----------
    songs : pyarrow.StringArray
        The songs by row, as `audio_of` names them.
    places : ndarray, shape (n, 2), float32
        From about -1 to 1; NaN for songs without a place.
    at_first : int
        Number of songs that had a place when the map was laid out.
    """

    songs: Any = field(repr=False)
    places: FloatArray
    at_first: int

    def with_songs(self, songs: Any, space: Space) -> "Layout | None":
        """Return the places of a changed library: songs that were there are where they were.

        New songs are placed among their nearest. A map of a library that has more than doubled
        would be that of a part of it: then there is none, and the songs are laid out anew.

        Parameters
        ----------
        songs : pyarrow.StringArray
            All songs, by row.
        space : Space
            What songs of the changed library are compared by, without an index.

        Returns
        -------
        layout : Layout or None
            None if the library has more than doubled, or no song was there before; itself if
            nothing has changed.
        """
        if len(space.rows) > MOST_GROWTH * self.at_first:
            return None
        rows = IdMap(self.songs).rows(songs)
        places = np.full((len(songs), 2), np.nan, np.float32)
        places[rows >= 0] = self.places[rows[rows >= 0]]
        is_there = np.isfinite(places[space.rows, 0])
        new, old = np.flatnonzero(~is_there), np.flatnonzero(is_there)
        if not len(old):
            return None
        if not len(new) and songs.equals(self.songs):
            return self
        near = top_k(space.matrix[new], space.matrix[old], min(NEAREST, len(old))).indices
        middle = places[space.rows[old[near]]].mean(axis=1)
        angles = TURN * np.arange(len(new))
        aside = APART * np.column_stack([np.cos(angles), np.sin(angles)])
        places[space.rows[new]] = middle + aside
        return Layout(songs, places, self.at_first)

    def to_bytes(self) -> bytes:
        """Return x, then y of all songs, float32, little-endian."""
        return np.ascontiguousarray(self.places.T, "<f4").tobytes()


def laid_out(songs: Any, rows: Int64Array, projected: FloatArray) -> Layout:
    """Spread projected songs (m, 2), which have some rows, over a map.

    Each axis is half as it was projected and half even, so that dense regions get room and
    outliers do not set the scale.
    """
    places = np.full((len(songs), 2), np.nan, np.float32)
    if len(projected):
        low, high = np.quantile(projected, (0.005, 0.995), axis=0)
        scaled = 2 * (projected - low) / np.where(high > low, high - low, 1.0) - 1
        order = np.argsort(projected, axis=0, kind="stable")
        even = 2 * np.argsort(order, axis=0, kind="stable") / max(1, len(projected) - 1) - 1
        places[rows] = (np.clip(scaled, -1.1, 1.1) + even) / 2
    return Layout(songs, places, len(projected))


def audio_of(hashes: Any) -> Any:
    """Name songs by their audio, in an Arrow array: the hash, and a number for each of its copies.

    Examples
    --------
    >>> audio_of(pa.array(["b", "a", "b"])).to_pylist()
    ['b/0', 'a/0', 'b/1']
    """
    codes = np.asarray(hashes.dictionary_encode().indices, np.int64)
    order = np.argsort(codes, kind="stable")
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - np.searchsorted(codes[order], codes[order])
    return pc.binary_join_element_wise(hashes, pa.array(number).cast(pa.string()), "/")


class MapKeeper:
    """Makes the maps of a store: as they were kept beside it, or anew.

    Parameters
    ----------
    store : VectorStore
    writes : bool
        Whether to keep them.

    Attributes
    ----------
    notes : list of str
        Why a map that was kept is not used, or why one is not kept.
    """

    def __init__(self, store: VectorStore, *, writes: bool) -> None:
        self._store, self._writes = store, writes
        self._hashes = store.column("content_hash").combine_chunks()
        self._songs = audio_of(self._hashes)
        self.notes: list[str] = []

    def layout(self, projection: MapKind, space: Space, before: Layout | None) -> Layout:
        """Return the map of all songs: as it was, with new songs beside their likes, or anew.

        Parameters
        ----------
        projection : {"pca", "tsne", "umap"}
        space : Space
            What songs are compared by, without an index.
        before : Layout or None
            The map of the library before it changed; None for the one that was kept.
        """
        before = before or self._kept(projection, space)
        result = before and before.with_songs(self._songs, space)
        if result is None:
            result = laid_out(self._songs, space.rows, project(space.matrix, projection))
        if self._writes and result is not before:
            self._keep(projection, space, result)
        return result

    def _kept(self, projection: MapKind, space: Space) -> Layout | None:
        try:
            kept = read_map(self._store, projection, space.by)
        except StoreError as error:
            self.notes.append(f"{error}; the songs are laid out anew")
            return None
        return kept and Layout(audio_of(kept[0]), *kept[1:])

    def _keep(self, projection: MapKind, space: Space, layout: Layout) -> None:
        there = np.isfinite(layout.places[:, 0])
        kept = self._hashes.filter(pa.array(there)), layout.places[there], layout.at_first
        try:
            write_map(self._store, projection, space.by, kept)
        except StoreError as error:  # for example a folder that may only be read
            self.notes.append(f"the map is not kept: {error}")


CLASSES = {
    "version/vocal": "voice alone",
    "version/instrumental": "no voice",
    "version/vocal_accompaniment": "sung",
    "version/other": "not music",
    "genre/hiphop": "hip-hop",
}


def class_words(name: str) -> str:
    """Return the display name of a class.

    Examples
    --------
    >>> class_words("genre/jazz"), class_words("version/vocal")
    ('jazz', 'voice alone')
    """
    return CLASSES.get(name, name.partition("/")[2].replace("_", " ") or name)


NONE = 255  # code of a song without a class
STANDS_OUT = 0.8  # share of the library's songs that have less of a mood or word that is named
LEVEL = 1  # gzip level: low, since the browser is usually on this machine
SHOWN_TEXTS = ("title", "artist", "album", "status", "codec")
MOOD = "tag_"  # how the columns of moods begin
PLAIN_KINDS = (pa.types.is_integer, pa.types.is_floating)


class SongColumns:
    """The songs of a library as columns.

    Parameters
    ----------
    library : Library
    projection : {"pca", "tsne", "umap"}
        Projection of the map; t-SNE and UMAP need their extras.
    before : SongColumns, optional
        Of the library before it changed: its songs keep their places on the map.
    keeps_map : bool
        Write the places of songs on the map beside the store.
    """

    def __init__(
        self,
        library: Library,
        *,
        projection: MapKind = "pca",
        before: "SongColumns | None" = None,
        keeps_map: bool = False,
    ) -> None:
        self.library = library
        self.projection, self.keeps_map = projection, keeps_map
        self._mapper: threading.Thread | None = None
        self._better: Layout | None = None
        # Layouts of the library before, not its columns: editions do not pile up.
        self._first = None if before is None else before.layout
        self._before = None if before is None else before._better
        self.lock = threading.RLock()  # of what is computed once

    @property
    def ready(self) -> Library:
        """The library, whose space is opened."""
        with self.lock:  # once
            self.library.space()
        return self.library

    @cached_property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """The classes of each head, in the order of the codes in `numbers`."""
        return {head: names for head, (names, _) in self.likeliest.items()}

    @cached_property
    def own_columns(self) -> list[str]:
        """Columns that the user added to the store, and those that not every store has."""
        usual = set(schema_of(replace(self.library.metadata, attributes={}, tags={})).names)
        first = self.library.rows([0])[0] if len(self.library) else {}
        return [name for name in first if name not in usual]

    @cached_property
    def about(self) -> dict[str, Any]:
        """Summary of the library: what has a name here; values that JSON can hold."""
        metadata = self.library.metadata
        return {
            "folder": str(self.library.path.resolve().parent),
            "songs": len(self.library),
            "heads": {head: list(names) for head, names in self.heads.items()},
            "classes": list(metadata.classes),
            "projection": self.projection,
            "words": {name: class_words(name) for name in metadata.classes},
        }

    @cached_property
    def texts(self) -> bytes:
        """Columns of text as gzipped JSON: plain lists, or distinct values and a code per song."""
        columns: dict[str, Any] = {"id": list(self.library.ids)}
        for name in SHOWN_TEXTS:
            columns[name] = _coded(*text_codes(self.library, name))
        for name in self._own_texts:
            columns[f"own:{name}"] = _coded(*text_codes(self.library, name))
        if any(one.styles for one in self._stated.statements):
            columns["style"] = _coded(*self._styles())
        if any(name.startswith(MOOD) for name in self._own_numbers):
            columns["mood"] = _coded(*self._moods())
        text = json.dumps(columns, separators=(",", ":"))
        return gzip.compress(text.encode(), LEVEL)

    @cached_property
    def numbers(self) -> bytes:
        """Columns of numbers, gzipped: a JSON header that describes them, then their bytes.

        The first four bytes are the length of the header, little-endian; every column is aligned
        to four bytes.
        """
        return gzip.compress(packed(self._number_columns()), LEVEL)

    def find(self, conditions: str) -> bytes:
        """Return which songs meet some conditions: one bit per song, lowest bit first.

        Raises
        ------
        InputError
            If a condition cannot be parsed; says where.
        """
        mask = matching(self.library, parse_conditions(conditions))
        return np.packbits(mask, bitorder="little").tobytes()

    def prepare(self) -> None:
        """Compute in advance what the page requests first."""
        for name in ("about", "texts", "numbers"):
            self.made(name)

    def made(self, name: str) -> Any:
        """Return one of the cached properties, computed once under the lock."""
        with self.lock:
            return getattr(self, name)

    def _number_columns(self) -> dict[str, npt.NDArray[Any]]:
        places = self.layout.places
        columns: dict[str, npt.NDArray[Any]] = {
            "x": places[:, 0],
            "y": places[:, 1],
            "duration": self._seconds.astype(np.float32),
            "music": self.library.music.astype(np.uint8),
            "copies": self._copies(),
            "added": self.added,
        }
        if "loudness_lufs" in schema_of(self.library.metadata).names:
            columns["loudness"] = self.floats("loudness_lufs")
        for head, (_, best) in self.likeliest.items():
            columns[f"head:{head}"] = best.astype(np.uint8)
        if self._stated.heard is not None:
            is_clear = self._stated.which(lambda one: one.is_clear)
            columns["genre_clear"] = is_clear.astype(np.uint8)
        if "mean" in self.library.metadata.statistics:
            means = mean_scores(self.library)
            columns["means"] = np.rint(255 * means.clip(0, 1)).astype(np.uint8).ravel()
        for name in self._own_numbers:
            columns[f"own:{name}"] = self.floats(name)
        return columns

    def floats(self, name: str) -> FloatArray:
        """Return a column of numbers, NaN where a song has none: shape (n,), float32."""
        values = self.library.column(name).cast(pa.float64()).fill_null(np.nan)
        return np.asarray(values.to_numpy(), np.float32)

    @cached_property
    def added(self) -> npt.NDArray[np.uint32]:
        """Return when each song was heard first, in seconds since 1970: shape (n,)."""
        times = self.library.column("extracted_at").cast(pa.timestamp("s", "UTC"), safe=False)
        return np.asarray(times.cast(pa.int64()).fill_null(0), np.int64).astype(np.uint32)

    def _copies(self) -> FloatArray:
        """Return how many other copies of its recording each song has: shape (n,), float32."""
        codes = self.library.recordings.codes
        counts = np.bincount(codes[codes != UNKNOWN], minlength=1)
        return np.where(codes == UNKNOWN, 0, counts[codes] - 1).astype(np.float32)

    def _styles(self) -> tuple[npt.NDArray[Any], Sequence[str]]:
        """Return a code for the first style that is stated of each song, and the names."""
        first = ["".join(one.styles[:1]) for one in self._stated.statements]
        names = sorted({*first} - {""})
        codes = np.asarray([names.index(one) if one else UNKNOWN for one in first])
        return codes[self._stated.codes], names

    def _moods(self) -> tuple[npt.NDArray[Any], Sequence[str]]:
        """Return a code for the mood in which each song stands out, and the names.

        It stands out where the song has more of it than `STANDS_OUT` of the library, and more so
        than of any other mood; a song that is not music has none: `UNKNOWN`.
        """
        names = [name for name in self._own_numbers if name.startswith(MOOD)]
        values = np.column_stack([self.floats(name) for name in names])
        places = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        known = (~np.isnan(values)).sum(axis=0)  # unknown values have the last places
        share = np.where(np.isnan(values), -1.0, places / np.maximum(1, known - 1))
        stands_out = (share.max(axis=1) >= STANDS_OUT) & self.library.music
        words = [name.removeprefix(MOOD).replace("_", " ") for name in names]
        return np.where(stands_out, share.argmax(axis=1), UNKNOWN), words

    def better_places(self) -> bytes | None:
        """Return the positions on the t-SNE or UMAP map: x, then y of all songs, float32 bytes.

        None while a background thread computes them; until then the page shows the PCA map.
        """
        with self.lock:
            if self._mapper is None:
                space = self.library.space()
                _ = space.matrix  # read under the lock
                target = partial(self._make_better, self._keeper, space)
                self._mapper = threading.Thread(target=target, daemon=True)
                self._mapper.start()
        return None if self._better is None else self._better.to_bytes()

    def _make_better(self, keeper: MapKeeper, space: Space) -> None:
        self._better = keeper.layout(self.projection, space, self._before)

    @cached_property
    def layout(self) -> Layout:
        """Where each song stands on the PCA map."""
        return self._keeper.layout("pca", self.library.space(), self._first)

    @cached_property
    def series(self) -> tuple[SeriesFile | None, str]:
        """The scores over time beside the store, or why there are none."""
        return scores_beside(self.library)

    @property
    def notes(self) -> list[str]:
        """What to tell a person about the map."""
        return self._keeper.notes

    @cached_property
    def _keeper(self) -> MapKeeper:
        return MapKeeper(self.library, writes=self.keeps_map)

    @cached_property
    def likeliest(self) -> dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]]:
        """Each head's classes, and the number of each song's likeliest class, (n,)."""
        return dict(top_classes(self.library))

    @property
    def _stated(self) -> StatedGenres:
        return stated_genres(self.library)

    @cached_property
    def _seconds(self) -> npt.NDArray[Any]:
        return np.asarray(self.library.column("duration_s").to_pylist(), np.float64)

    @cached_property
    def _own_kinds(self) -> dict[str, Any]:
        return {n: self.library.column(n).type for n in self.own_columns}

    @cached_property
    def _own_texts(self) -> list[str]:
        return [n for n, kind in self._own_kinds.items() if pa.types.is_string(kind)]

    @cached_property
    def _own_numbers(self) -> list[str]:
        kinds = self._own_kinds.items()
        return [n for n, kind in kinds if any(is_kind(kind) for is_kind in PLAIN_KINDS)]


def _coded(codes: npt.NDArray[Any], values: Sequence[str]) -> dict[str, Any]:
    """Return a column of text in values that JSON can hold."""
    return {"values": list(values), "codes": codes.tolist()}


def packed(columns: dict[str, npt.NDArray[Any]]) -> bytes:
    """Serialise columns of numbers; see `SongColumns.numbers` for the format.

    Examples
    --------
    >>> data = packed({"a": np.uint8([1, 2, 3]), "b": np.float32([0.5])})
    >>> length = int.from_bytes(data[:4], "little")
    >>> json.loads(data[4 : 4 + length])
    [{'name': 'a', 'type': 'u1', 'at': 0, 'n': 3}, {'name': 'b', 'type': 'f4', 'at': 4, 'n': 1}]
    """
    entries, parts, at = [], [], 0
    for name, values in columns.items():
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        data = little.tobytes()
        entries.append(
            {"name": name, "type": little.dtype.str[1:], "at": at, "n": int(values.size)}
        )
        data += b"\0" * (-len(data) % 4)
        parts.append(data)
        at += len(data)
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 4)
    return len(head).to_bytes(4, "little") + head + b"".join(parts)


def songs_by_id(library: Library, song_ids: list[str]) -> list[int | None]:
    """Return the row of each id; None for ids that the store does not have."""
    songs = pc.index_in(string_array(song_ids), value_set=library.id_array)
    return songs.to_pylist()
