"""Divide a whole library into named playlists, by sound.

    store ──divide_library──▶ `DividedLibrary`: lists, their names, counts of omitted songs
          (optional: the lists of an earlier run, `EarlierLists`)
    units (m, W)             ──divide────────▶ group of each song (m,)
    the same, earlier groups ──update_groups──▶ the same groups, with new songs added to the nearest

Every song that is music is in exactly one list, except for copies of a song in a list. Groups come
from k-means (scikit-learn, extra ``sklearn``); large ones are split, and the songs of small ones go
to the nearest groups with room. The choice of method is documented in docs/benchmarks/playlists.md.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, StoreError, import_extra
from audiorec.files.own_files import read_object, refuse_other_than_folder
from audiorec.playlists.answers import SongList
from audiorec.playlists.names import GroupName, ListToName, Part, name_groups, plain
from audiorec.search.filters import UNKNOWN, name_codes
from audiorec.search.questions import Choice
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, Int64Array

INDEX = "playlists.json"
SCHEMA = "audiorec/playlists-folder/1"
MOST_INDEX_BYTES = 1 << 30  # ten million songs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """One list of a folder.

    Attributes
    ----------
    name, file : str
        `file` is a bare name without a folder.
    songs : tuple of str
        Ids in playing order.
    digests : tuple of str
        SHA-256 of what audiorec wrote to the file, or was about to write.
    says, around
        See `GroupName`.
    """

    name: str
    file: str
    songs: tuple[str, ...]
    digests: tuple[str, ...]
    says: tuple[Part, ...] = ()
    around: str = ""


@dataclass(frozen=True, kw_only=True)
class EarlierLists:
    """Content of a playlist folder's index.

    Attributes
    ----------
    extractor_id, by : str
    size : int
    joined : int
        Songs added since the last full division.
    lists : tuple of ListFile
    """

    extractor_id: str
    by: str
    size: int
    joined: int
    lists: tuple[ListFile, ...] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the lists."""
        return tuple(one.name for one in self.lists)

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """Map each song to the number of its list."""
        return {song: n for n, one in enumerate(self.lists) for song in one.songs}

    def fits(self, store: VectorStore, by: str, size: int) -> bool:
        """Return whether extractor, basis and size are those that would be used now."""
        return (self.extractor_id, self.by, self.size) == (
            store.metadata.extractor_id,
            by,
            size,
        )


def read_lists(folder: str | Path) -> EarlierLists | None:
    """Read the index of a playlist folder; None if there is none.

    Raises
    ------
    StoreError
        If the folder is a link, or its index is damaged or not audiorec's.
    """
    path = Path(folder) / INDEX
    refuse_other_than_folder(Path(folder))
    if not path.exists() and not path.is_symlink():
        return None
    try:
        content = read_object(path, MOST_INDEX_BYTES)
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        lists = tuple(_list_of(one) for one in content["lists"])
        names = [one.name.casefold() for one in lists]
        if len(set(names)) < len(names):
            raise ValueError("duplicate list name")
        return EarlierLists(
            extractor_id=str(content["extractor_id"]),
            by=str(content["by"]),
            size=int(content["size"]),
            joined=int(content["joined"]),
            lists=lists,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: not an index written by audiorec ({error}); name another folder, or move "
            "the file away"
        ) from error


def _list_of(content: Any) -> ListFile:
    name, file = content["name"], content["file"]
    songs, digests = content["songs"], content["digests"]
    says = tuple((str(kind), str(value)) for kind, value in content.get("says", ()))
    around = content.get("around", "")
    texts = [name, file, around, *songs, *digests]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names, files, songs and digests must be strings")
    if Path(file).name != file or not file.endswith(".m3u8") or "\0" in file:
        raise ValueError(f"invalid file name {file!r}")
    return ListFile(
        name=name,
        file=file,
        songs=tuple(songs),
        digests=tuple(digests),
        says=says,
        around=around,
    )


USUAL_SIZE = 25  # songs: an hour and a half


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NamedPlaylist(SongList):
    """One playlist of a divided library.

    Attributes
    ----------
    name : str
    went_on : str or None
        Name of the earlier list that this one continues; None for a new list.
    naming : GroupName
        What the name says, and which share of the songs have it.
    """

    name: str
    went_on: str | None = None
    naming: GroupName


@dataclass(frozen=True, kw_only=True, eq=False)
class DividedLibrary:
    """A library divided into playlists.

    Attributes
    ----------
    store : SearchableStore
    lists : tuple of NamedPlaylist
        Sorted by name.
    by : {"sound", "vector", "mean", "learnt"}
        The space in which the songs were compared.
    size : int
        Target number of songs per list.
    not_music, copies, not_compared : int
        Songs in no list: not music, copies of a song in a list, or missing from the space.
    new, moved : int
        Songs that were in no earlier list, and songs that changed lists.
    joined : int
        Songs added since the last full division.
    """

    store: SearchableStore = field(repr=False)
    lists: tuple[NamedPlaylist, ...]
    by: By
    size: int
    not_music: int = 0
    copies: int = 0
    not_compared: int = 0
    new: int = 0
    moved: int = 0
    joined: int = 0

    def __iter__(self) -> Iterator[NamedPlaylist]:
        return iter(self.lists)

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, name: str) -> NamedPlaylist:
        """Return the list with this name."""
        for one in self.lists:
            if one.name == name:
                return one
        raise KeyError(name)

    def __repr__(self) -> str:
        songs = sum(map(len, self.lists))
        return f"DividedLibrary({songs} songs in {len(self.lists)} lists, by {self.by})"


def divide_library(
    store: SearchableStore,
    *,
    size: int = USUAL_SIZE,
    by: str | Path = "auto",
    choice: Choice = Choice(),  # noqa: B008 - frozen
    earlier: EarlierLists | None = None,
) -> DividedLibrary:
    """Divide a library into named playlists.

    Parameters
    ----------
    store : SearchableStore
    size : int
        Target number of songs per list: a list has at least a third and at most twice as many,
        unless the whole library has fewer.
    by
        See `SearchableStore.similar`.
    choice : Choice
        Which songs are eligible; its limits are ignored here.
    earlier : EarlierLists, optional
        Result of `audiorec.playlists.library_lists.read_lists`. Its songs and names are kept as
        long as size and basis are unchanged and at most a quarter of the songs were added since
        the last full division. Otherwise all songs are divided afresh, and a list that shares
        most of its songs with an earlier one takes over its name.

    Returns
    -------
    divided : DividedLibrary
        The same store and earlier lists give the same lists.

    Raises
    ------
    InputError
        If no song is eligible, or `size` is below 2.
    MissingExtraError
        If scikit-learn is not installed (extra ``sklearn``).

    Examples
    --------
    >>> from audiorec import open_store
    >>> divided = divide_library(open_store("fixtures/formats/vecs-v1.parquet"), size=2)
    >>> [(one.name, one.song_ids.tolist()) for one in divided]  # doctest: +SKIP
    [('Classical', ['piano/etude.flac', 'piano/prelude.flac'])]
    """
    sizes = Sizes(size)
    space = store.space(by)
    units, there = space.units_by_row()
    chosen = store.chosen(choice)
    compared = chosen.allowed & there
    if not compared.any():
        raise InputError(f"{store.path}: no eligible songs for a playlist")
    # Sorted by id, so that the result does not depend on the order of rows in the store.
    rows = np.asarray(sorted(np.flatnonzero(compared), key=store.ids.__getitem__))
    before = _before(store, rows, earlier)
    same = earlier is not None and earlier.fits(store, space.by, size)
    songs = units[rows]
    if same and earlier is not None:
        groups, joined = update_groups(songs, before, sizes, joined=earlier.joined)
    else:
        groups, joined = divide(songs, sizes), 0
    goes_on = match_earlier(groups, before)
    artists = name_codes(store, "artist")[rows].astype(np.int64)
    orders = []
    for group in range(int(groups.max()) + 1):
        places = np.flatnonzero(groups == group)
        orders.append(places[playing_order(songs[places], artists[places], UNKNOWN)])
    before_of = {g: earlier.lists[old] for g, old in goes_on.items()} if earlier else {}
    names = _named(store, rows, orders, before_of)
    lists = []
    for group, (naming, order) in enumerate(zip(names, orders, strict=True)):
        old = before_of.get(group)
        kept = order if old is None else _as_before(store, rows, order, old.songs)
        lists.append(
            NamedPlaylist(
                store=store,
                rows=rows[kept],
                by=space.by,
                name=naming.text,
                went_on=None if old is None else old.name,
                naming=naming,
            )
        )
    known = before != NEW
    stayed = np.asarray(
        [goes_on.get(int(g), NEW) == b for g, b in zip(groups, before, strict=True)]
    )
    return DividedLibrary(
        store=store,
        lists=tuple(sorted(lists, key=lambda one: one.name.casefold())),
        by=space.by,
        size=size,
        not_music=chosen.not_music,
        copies=chosen.copies,
        not_compared=int((chosen.allowed & ~there).sum()),
        new=int((~known).sum()) if earlier is not None else 0,
        moved=int((known & ~stayed).sum()),
        joined=joined,
    )


def _named(
    store: SearchableStore,
    rows: Int64Array,
    orders: Sequence[Int64Array],
    before: Mapping[int, ListFile],
) -> list[GroupName]:
    """Name the lists, whose songs are places in `rows`, the most typical first."""
    facts = store.facts.of_rows(rows)
    first = store.rows([int(rows[order[0]]) for order in orders])
    files = Counter(Path(song_id).stem for song_id in store.ids)
    groups = [
        ListToName(
            songs=[facts[place] for place in order],
            ids=[store.ids[rows[place]] for place in order],
            typical=song[StoreColumns.ID],
            title=_called(song, files),
        )
        for order, song in zip(orders, first, strict=True)
    ]
    kept = {
        group: GroupName(text=old.name, says=old.says, around=old.around)
        for group, old in before.items()
    }
    return name_groups(groups, kept=kept)


def _called(song: Mapping[str, Any], files: Mapping[str, int]) -> str:
    """Return artist and title of a song, or its file's name, with the folder if others have it."""
    title, path = plain(song["title"] or ""), Path(song[StoreColumns.ID])
    if not title:
        parts = path.parts[-2:-1] if files[path.stem] > 1 else ()
        return plain("/".join((*parts, path.stem))) or "songs"
    artist = plain(song["artist"] or "")
    return f"{artist} \N{EN DASH} {title}" if artist else title


def _before(store: SearchableStore, rows: Int64Array, earlier: EarlierLists | None) -> Int64Array:
    """Return the earlier list of each song, `NEW` for none."""
    places = {} if earlier is None else earlier.place_of
    return np.asarray([places.get(store.ids[row], NEW) for row in rows], np.int64)


def _as_before(
    store: SearchableStore, rows: Int64Array, order: Int64Array, before: Sequence[str]
) -> Int64Array:
    """Return songs in their earlier order; new ones follow in the given order."""
    places = {song_id: index for index, song_id in enumerate(before)}
    result = [places.get(store.ids[rows[n]], len(before)) for n in order]
    return order[np.argsort(result, kind="stable")]


NEW = -1  # earlier group of a song that had none
STARTS = 4  # k-means initialisations, of which the best is kept
RENEWED = 0.25  # share of songs added since the last full division that triggers another


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds on the number of songs in a group: about `usual`, from `least` to `most`."""

    usual: int

    def __post_init__(self) -> None:
        if self.usual < 2:
            raise InputError(f"a playlist needs 2 songs or more, got {self.usual}")

    @property
    def least(self) -> int:
        """A third of `usual`, at least 2; a library of fewer than twice that is one group."""
        return max(2, self.usual // 3)

    @property
    def most(self) -> int:
        """Twice `usual`."""
        return 2 * self.usual


def divide(units: FloatArray, sizes: Sizes) -> Int64Array:
    """Divide songs into groups.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
        Rows of length 1.
    sizes : Sizes

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Group numbers from 0, without gaps; the same for the same songs in the same order.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    if len(units) <= sizes.most and len(units) < 2 * sizes.least:
        return np.zeros(len(units), np.int64)
    count = max(1, round(len(units) / sizes.usual))
    return bound_sizes(units, _means(units, count), sizes)


def update_groups(
    units: FloatArray, before: Int64Array, sizes: Sizes, *, joined: int = 0
) -> tuple[Int64Array, int]:
    """Keep existing groups, and add new songs to the nearest group.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    before : ndarray, shape (m,), int64
        The earlier group of each song; `NEW` for none.
    sizes : Sizes
        Groups that have become too large are split, those too small dissolved.
    joined : int
        Songs added by earlier runs since the last full division.

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Divided afresh if more than a quarter of the songs were added since the last time.
    joined : int
        The updated number, for the next run.
    """
    is_new = before == NEW
    joined += int(is_new.sum())
    if joined > RENEWED * len(units) or is_new.all():
        return divide(units, sizes), 0
    groups = np.unique(before[~is_new], return_inverse=True)[1]
    every = np.full(len(units), NEW, np.int64)
    every[~is_new] = groups
    centres = _centres(units[~is_new], groups)
    every[is_new] = (units[is_new] @ centres.T).argmax(axis=1)
    return bound_sizes(units, every, sizes), joined


def bound_sizes(units: FloatArray, groups: Int64Array, sizes: Sizes) -> Int64Array:
    """Return groups within the size bounds: large ones split, small ones dissolved."""
    groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    for group in range(int(groups.max()) + 1):
        _split(units, groups, group, sizes)
    while True:
        counts = np.bincount(groups)
        small = np.flatnonzero(counts < sizes.least)
        if not len(small) or len(counts) == 1:
            return groups
        _dissolve(units, groups, int(small[counts[small].argmin()]), sizes)
        groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)


def match_earlier(groups: Int64Array, before: Int64Array) -> dict[int, int]:
    """Return the earlier group that each group continues, judged by shared songs.

    A group continues an earlier one if it has at least half of that one's remaining songs, or if
    at least half of its own songs come from it. Each is matched at most once, by the assignment
    that maximises the number of shared songs.
    """
    from scipy.optimize import linear_sum_assignment

    known = before != NEW
    if not known.any():
        return {}
    shared = np.zeros((int(groups.max()) + 1, int(before.max()) + 1), np.int64)
    np.add.at(shared, (groups[known], before[known]), 1)
    new, old = shared.sum(axis=1), shared.sum(axis=0)
    pairs = zip(*linear_sum_assignment(-shared), strict=True)
    return {
        int(a): int(b) for a, b in pairs if shared[a, b] and 2 * shared[a, b] >= min(new[a], old[b])
    }


def _split(units: FloatArray, groups: Int64Array, group: int, sizes: Sizes) -> None:
    """Split a group that is too large, recursively and in place."""
    rows = np.flatnonzero(groups == group)
    if len(rows) <= sizes.most:
        return
    parts = _means(units[rows], math.ceil(len(rows) / sizes.usual))
    if not parts.any():  # identical units: split in row order
        parts = np.arange(len(rows)) // sizes.usual
    first = int(groups.max()) + 1
    for part in range(1, int(parts.max()) + 1):
        groups[rows[parts == part]] = first + part - 1
    for part in (group, *range(first, int(groups.max()) + 1)):
        _split(units, groups, part, sizes)


def _dissolve(units: FloatArray, groups: Int64Array, group: int, sizes: Sizes) -> None:
    """Move the songs of a group to the nearest groups with room, in place."""
    rows = np.flatnonzero(groups == group)
    others = np.setdiff1d(np.unique(groups), [group])
    near = units[rows] @ np.stack([_centre(units[groups == other]) for other in others]).T
    room = sizes.most - np.bincount(groups, minlength=int(others.max()) + 1)[others]
    if room.sum() < len(rows):  # not enough room: merge into one oversized group
        groups[rows] = others[near.mean(axis=0).argmax()]
        return
    for place in np.argsort(-near.max(axis=1), kind="stable"):
        best = int(np.where(room > 0, near[place], -np.inf).argmax())
        groups[rows[place]] = others[best]
        room[best] -= 1


def _means(units: FloatArray, count: int) -> Int64Array:
    if count < 2:
        return np.zeros(len(units), np.int64)
    k_means = import_extra("sklearn.cluster", "dividing a library", "sklearn").KMeans
    distinct = len(np.unique(units, axis=0))
    fit = k_means(n_clusters=min(count, distinct), n_init=STARTS, random_state=0).fit(units)
    return np.asarray(fit.labels_, np.int64)


def _centres(units: FloatArray, groups: Int64Array) -> FloatArray:
    return np.stack([_centre(units[groups == g]) for g in range(int(groups.max()) + 1)])


def _centre(units: FloatArray) -> FloatArray:
    mean = units.mean(axis=0, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def playing_order(units: FloatArray, artists: Int64Array, unknown: int) -> Int64Array:
    """Return a playing order of a group: most typical songs first, artists separated.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    artists : ndarray, shape (m,), int
    unknown : int
        The artist code of songs whose artist is unknown.
    """
    order = np.argsort(-(units @ _centre(units)), kind="stable").tolist()
    ordered: list[int] = []
    while order:
        last = artists[ordered[-1]] if ordered else unknown
        apart = (p for p, row in enumerate(order) if last == unknown or artists[row] != last)
        ordered.append(order.pop(next(apart, 0)))
    return np.asarray(ordered, np.int64)
