"""A consistent view for requests: a store, its names and its lists, loaded together.

    files ──`Snapshot`──▶ library, names, columns of tags, artists, lists of ``recall run``
    songs (n, W), their artists ──`ArtistMap`──▶ means (G, W) ──near──▶ artists, and songs of both
    "3f1c…" of a music server ──`SongNames.find`──▶ `NamedSong`: row, and the kind of name

Everything that responses need is read or opened when the snapshot is made; a file that is replaced
later belongs to the next snapshot (`audiorec.web.editions`).
"""

import bisect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import (
    AudiorecError,
    InputError,
    StoreError,
    UnknownSongError,
)
from audiorec.files.storage import is_uri
from audiorec.files.user_files import csv_rows
from audiorec.library.library import Library, open_store
from audiorec.recall.serving.nightly.current import served_files, served_folder
from audiorec.search.atlas import top_classes
from audiorec.search.filters import name_codes
from audiorec.search.searchable import SearchableStore
from audiorec.store.aliases import ALIASES_FILE, AliasKind, alias_table
from audiorec.store.corrections import CORRECTIONS_FILE
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap, Int32Array, Int64Array, normalised_name
from audiorec.web.nights import ServedNight
from audiorec.web.recommendations import RecommendationPages
from audiorec.web.song_columns import SongColumns

BY_ID = "id"
LONGEST_NAME = 4096  # characters


@dataclass(frozen=True, slots=True)
class NamedSong:
    """A song that another program named.

    Attributes
    ----------
    row : int
        Row in the store.
    kind : str
        ``id``, or the kind of alias.
    text : str
        The name as it was requested.
    """

    row: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of one kind."""

    texts: pa.StringArray  # sorted
    rows: Int64Array  # the song of each text
    order: Int64Array  # indices into `texts`, sorted by row, to look up a song's names
    ordered: Int64Array  # rows[order]

    @classmethod
    def of(cls, texts: pa.StringArray, rows: Int64Array) -> Self:
        order = np.argsort(rows, kind="stable")
        return cls(texts, rows, order, rows[order])

    def rows_of(self, text: str) -> list[int]:
        """Return the songs with this name, ascending."""
        n = len(self.texts)
        place = bisect.bisect_left(range(n), text, key=lambda i: self.texts[i].as_py())
        rows = set()
        while place < n and self.texts[place].as_py() == text:
            rows.add(int(self.rows[place]))
            place += 1
        return sorted(rows)

    def of_row(self, row: int, length: int) -> str | None:
        """Return a song's name, one of this length if there is any."""
        start, stop = np.searchsorted(self.ordered, [row, row + 1])
        texts = [self.texts[int(place)].as_py() for place in self.order[start:stop]]
        same = [text for text in texts if len(text) == length]
        return next(iter([*same, *texts]), None)


class SongNames:
    """The ids of a store, and all aliases of its songs, as of construction.

    Names must match exactly. A part of an id is enough for a person, but not for a program: a
    server that asks for a song that the store does not have must not get the neighbours of another
    song.

    Parameters
    ----------
    store : VectorStore
    """

    def __init__(self, store: VectorStore) -> None:
        self._ids = store.id_array
        table = alias_table(store)
        rows = IdMap(self._ids).rows(table.column(ListColumns.SONG).combine_chunks())
        kinds = table.column("kind")
        order = np.argsort(store.ranks)  # a store of another program may not be sorted
        self._kinds = {BY_ID: _Names.of(self._ids.take(order), order)}
        self._nameless: dict[str, frozenset[str]] = {}
        for kind in AliasKind:
            mask = pc.equal(kinds, kind.value)
            places = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
            if len(places):
                texts = table.column("alias").filter(mask).combine_chunks()
                self._kinds[kind.value] = _Names.of(texts, rows[places])

    def find(self, text: str) -> NamedSong:
        """Return the song with exactly this id or, failing that, alias; kinds in lookup order.

        Raises
        ------
        UnknownSongError
            If there is no such song.
        InputError
            If several songs have this alias.
        """
        if text and len(text) <= LONGEST_NAME and _is_text(text):
            for kind, names in self._kinds.items():
                rows = names.rows_of(_as_kept(text, kind))
                if len(rows) > 1:
                    raise InputError(f"{text!r} is the {kind} of {len(rows)} songs")
                if rows:
                    return NamedSong(rows[0], kind, text)
        raise UnknownSongError(text[:LONGEST_NAME])

    def id_of(self, row: int) -> str:
        """Return the id of a song."""
        return str(self._ids[row].as_py())

    def called(self, rows: Sequence[int], like: NamedSong) -> list[str | None]:
        """Return the songs' names of the same kind as `like`; None for a song without one.

        If a song has several aliases, prefer the first with the same length as `like`, since the
        ids of one server usually have the same length.
        """
        if like.kind == BY_ID:
            return [self.id_of(row) for row in rows]
        return [self._kinds[like.kind].of_row(row, len(like.text)) for row in rows]

    @property
    def usual(self) -> NamedSong:
        """The kind of name used in responses if the request named no song.

        Aliases that the user added, if there are any, since they are meant for a server; else ids.
        """
        own = AliasKind.CSV.value
        return NamedSong(-1, own if own in self._kinds else BY_ID, "")

    def nameless(self, like: NamedSong) -> frozenset[str]:
        """Return the ids of the songs without a name of this kind, which cannot be returned."""
        if like.kind == BY_ID:
            return frozenset()
        if like.kind not in self._nameless:
            self._nameless[like.kind] = self._without(like.kind)
        return self._nameless[like.kind]

    def _without(self, kind: str) -> frozenset[str]:
        there = np.zeros(len(self._ids), np.bool_)
        there[self._kinds[kind].rows] = True
        if there.all():
            return frozenset()
        return frozenset(self._ids.filter(pa.array(~there)).to_pylist())


def _as_kept(text: str, kind: str) -> str:
    """Normalise an alias to the form in which the store keeps its kind."""
    if kind == AliasKind.MBID:
        return text.lower()
    return text.replace("-", "").upper() if kind == AliasKind.ISRC else text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from JSON
        return False
    return True


REPRESENTATIVE = 3  # songs returned for each of two similar artists
LEAST_LENGTH = 1e-6  # length of a mean; below this the songs cancel each other out


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
        A server's artist ids to artist names (`read_artist_ids`); by default the names themselves.
    """

    def __init__(self, store: SearchableStore, ids: Mapping[str, str] | None = None) -> None:
        space = store.space("auto")
        units, there = space.units_by_row()
        codes = name_codes(store, "artist")
        codes = np.where(there & store.music, codes, -1)
        self._units, self._codes = units, codes
        self._number: dict[str, int] = {}
        self._names: list[str] = []
        self._means = self._number_artists(store, codes)
        self._ids = dict(ids or {})
        self._id_of = {normalised_name(name): artist_id for artist_id, name in self._ids.items()}

    def _number_artists(self, store: SearchableStore, codes: Int32Array) -> FloatArray:
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
        return rows[np.argsort(-alike, kind="stable")[:REPRESENTATIVE]].tolist()


def read_artist_ids(path: Path) -> dict[str, str]:
    """Read a CSV with the columns ``artist_id`` and ``artist``.

    Raises `InputError` if there is no such table.
    """
    rows = csv_rows(path, "cannot read the artists", needed=("artist_id", "artist"))
    return {row["artist_id"]: row["artist"] or "" for row in rows if row["artist_id"]}


TAGS = ("title", "artist", "album", "uri", "duration_s", "codec")


@dataclass(frozen=True, slots=True)
class SnapshotSources:
    """The files of a snapshot.

    Attributes
    ----------
    vectors : Path
    recall : Path, optional
        The folder that ``recall run`` wrote; of days, the one that is served
        (`audiorec.recall.serving.nightly.current`).
    artists : Path, optional
        A server's ids of artists: a CSV with ``artist_id`` and ``artist``.
    """

    vectors: Path
    recall: Path | None = None
    artists: Path | None = None

    def paths(self) -> list[Path]:
        """Return the files whose replacement triggers a new snapshot; the store comes first."""
        result = [self.vectors.with_name(name) for name in (ALIASES_FILE, CORRECTIONS_FILE)]
        result.insert(0, self.vectors)
        if self.artists is not None:
            result.append(self.artists)
        if self.recall is not None:
            result += served_files(self.recall)
        return result


class Snapshot:
    """A consistent view of a store and its lists.

    Parameters
    ----------
    sources : SnapshotSources

    Attributes
    ----------
    library : Library
    names : SongNames
    lock : threading.RLock
        Hold it while reading the library, which is not thread-safe.
    night : ServedNight or None
        The lists and models: of a run by day, those of the day that is served.
    proposals : RecommendationPages or None
        Channels that can be queried with a history.

    Raises
    ------
    StoreError
        If the store has no songs, or is damaged.
    InputError
        If the recall folder has no candidate lists, or the table of artists is invalid.
    """

    def __init__(self, sources: SnapshotSources) -> None:
        self.library = open_store(sources.vectors)
        if not len(self.library):
            raise StoreError(f"{sources.vectors}: has no songs; add some: audiorec extract FOLDER")
        self._tags = self.library.table(TAGS).combine_chunks()
        self.names = SongNames(self.library)
        shelf = SongColumns(self.library)
        self.lock = shelf.lock
        self._artist_ids = read_artist_ids(sources.artists) if sources.artists else {}
        self.night = self.proposals = None
        if sources.recall is not None:
            folder = served_folder(sources.recall)
            self.night = ServedNight(folder)
            self.proposals = RecommendationPages(self.night, shelf)
            if self.night.fused is not None:
                _ = self.night.fused.users  # read them; refuses lists that are not grouped
            for name, model in self.night.models.items():
                # A day that was promoted replaces no other unless it is whole.
                if isinstance(model, str) and folder != sources.recall:
                    raise StoreError(f"{folder}: {name} cannot be used: {model}")
        self._warm()

    def _warm(self) -> None:
        """Load in advance what the first requests need."""
        library: Library = self.library
        library.similar(library.ids[0], 1, minimum=-1)
        library.space("auto").units_by_row()
        _ = library.music
        if self.proposals is not None:
            with suppress(AudiorecError):  # a faulty model is reported to requests that use it
                self.proposals.ask({"songs": [library.ids[0]]})

    def songs(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the tags of some songs (`TAGS`), in the order requested."""
        return self._tags.take(np.asarray(rows, np.int64)).to_pylist()

    @cached_property
    def artists(self) -> ArtistMap:
        """The artists by sound; computed on first use."""
        return ArtistMap(self.library, self._artist_ids)

    @cached_property
    def genres(self) -> list[str]:
        """The stated or likeliest genre of each song, in lower case; empty if there is none."""
        result = top_classes(self.library).get("genre")
        if result is None:
            return [""] * len(self.library)
        names, numbers = result
        plain = [*(name.partition("/")[2].lower() or name.lower() for name in names), ""]
        return [plain[n] if 0 <= n < len(names) else "" for n in numbers.tolist()]

    @cached_property
    def durations(self) -> npt.NDArray[np.float64]:
        """Duration of each song in seconds: shape (n,), float64."""
        return np.asarray(self._tags.column("duration_s").to_pylist(), np.float64)

    @cached_property
    def artist_codes(self) -> Int32Array:
        """The artist of each song as a number, -1 for none: shape (n,), int32."""
        return name_codes(self.library, "artist")


def check_sources(sources: SnapshotSources) -> None:
    """Refuse a store in an object store, which cannot be watched for changes."""
    if is_uri(str(sources.vectors)):
        raise StoreError(f"{sources.vectors}: only local files can be served; download it first")
