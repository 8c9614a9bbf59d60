"""Divide a whole library into named playlists, by sound.

    store ──divide_library──▶ `DividedLibrary`: lists, their names, counts of omitted songs
          (optional: the lists of an earlier run, `EarlierLists`)

Every song that is music is in exactly one list, except for copies of a song in a list.

A name has the genre of most songs, and the version if it differs from that of the whole library.
Groups that would get the same name each add the word in which they differ most: a backbone tag, a
class of a head, or an artist. All names are unique.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, StoreError
from audiorec.files.json_files import parse_json, unsealed
from audiorec.files.own_files import read_own, refuse_other_than_folder
from audiorec.playlists.answers import SongList
from audiorec.playlists.clusters import (
    NEW,
    Sizes,
    divide,
    match_earlier,
    playing_order,
    update_groups,
)
from audiorec.playlists.m3u8 import BIDI
from audiorec.search.choice import HEAD
from audiorec.search.duplicates import find_duplicates, series_beside
from audiorec.search.filters import UNKNOWN, mean_scores, name_codes
from audiorec.search.questions import Choice
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.search.tag_means import stored_tag_means
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array, Int64Array

INDEX = "playlists.json"
SCHEMA = "audiorec/playlists-folder/1"
MOST_INDEX_BYTES = 1 << 30  # ten million songs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """One list of a folder.

    Attributes
    ----------
    name, file : str
        `file` has no folder in it.
        `file` is a bare name without a folder.
    songs : tuple of str
        Ids in playing order.
    digests : tuple of str
        SHA-256 of what audiorec wrote to the file, or was about to write.
    """

    name: str
    file: str
    songs: tuple[str, ...]
    digests: tuple[str, ...]


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
        content = unsealed(parse_json(read_own(path, MOST_INDEX_BYTES), max_bytes=MOST_INDEX_BYTES))
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
    texts = [name, file, *songs, *digests]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names, files, songs and digests must be strings")
    if Path(file).name != file or not file.endswith(".m3u8") or "\0" in file:
        raise ValueError(f"invalid file name {file!r}")
    return ListFile(name=name, file=file, songs=tuple(songs), digests=tuple(digests))


GENRE = "genre"
HALF = 0.5  # share of the songs from which one genre is the whole name
TOLD = 0.7  # share of the songs from which a version is named, unless it is the library's, too
MOST_NAME = 60  # characters
APART = 0.3  # standard deviations by which a word must distinguish a group
SPELLED = {
    "hiphop": "hip hop",
    "Hip-Hop": "hip hop",
    "vocal": "voices alone",
    "vocal_accompaniment": "sung",
    "rnb": "R&B",
    "chill": "chilled",
    "chillout": "chilled",
}


@dataclass(frozen=True, slots=True)
class GroupProperties:
    """Properties of a store's songs that names are built from.

    Attributes
    ----------
    heads : mapping of str to (tuple of str, ndarray)
        Class labels of each head, and the mean scores (n, C).
    tags : tuple of str
        Backbone tags; empty for a store without `heard_tags`.
    tag_values : ndarray, shape (n, len(tags)), float32
    artists : ndarray, shape (n,), int32
        Artist codes; `UNKNOWN` for none.
    artist_names : sequence of str
        Indexed by artist code.
    """

    heads: Mapping[str, tuple[tuple[str, ...], FloatArray]]
    tags: tuple[str, ...]
    tag_values: FloatArray
    artists: Int32Array
    artist_names: Sequence[str]


def group_properties(store: VectorStore) -> GroupProperties:
    """Read the properties that group names are built from."""
    classes = store.metadata.classes
    means = np.asarray(mean_scores(store), np.float32)
    heads = {}
    for head in dict.fromkeys(name.partition("/")[0] for name in classes):
        columns = [i for i, name in enumerate(classes) if name.startswith(f"{head}/")]
        labels = tuple(classes[i].partition("/")[2] for i in columns)
        heads[head] = labels, means[:, columns]
    tags = stored_tag_means(store)
    codes = name_codes(store, "artist")
    texts = store.column("artist").to_pylist()
    names = [""] * (int(codes.max(initial=-1)) + 1)
    for code, text in zip(codes.tolist(), texts, strict=True):
        if code != UNKNOWN and not names[code]:
            plain = "".join(c for c in " ".join(str(text).split()) if c.isprintable())
            names[code] = BIDI.sub("", plain)
    return GroupProperties(
        heads=heads,
        tags=tags.names if tags is not None else (),
        tag_values=np.nan_to_num(tags.values) if tags is not None else means[:, :0],
        artists=codes,
        artist_names=names,
    )


def name_groups(
    words: GroupProperties,
    groups: Int64Array,
    rows: Int64Array,
    *,
    kept: Mapping[int, str] | None = None,
) -> list[str]:
    """Name every group.

    Parameters
    ----------
    words : GroupProperties
    groups : ndarray, shape (m,), int64
        The group of each song.
    rows : ndarray, shape (m,), int64
        The songs' rows in the store.
    kept : mapping of int to str, optional
        Names to keep, by group.

    Returns
    -------
    names : list of str
        Unique, ignoring case.
    """
    kept = kept or {}
    members = [rows[groups == group] for group in range(int(groups.max()) + 1)]
    bases = {g: _base(words, m, rows) for g, m in enumerate(members) if g not in kept}
    taken = {name.casefold() for name in kept.values()}
    names = dict(kept)
    for base in dict.fromkeys(bases.values()):
        alike = [group for group, other in bases.items() if other == base]
        if len(alike) == 1 and base.casefold() not in taken:
            names[alike[0]] = base
            taken.add(base.casefold())
            continue
        for group in alike:
            others = np.concatenate([members[g] for g in alike if g != group] or [rows])
            names[group] = _set_apart(words, base, members[group], others, taken)
            taken.add(names[group].casefold())
    return [names[group] for group in range(len(members))]


def _base(words: GroupProperties, members: Int64Array, rows: Int64Array) -> str:
    """Return genre and version of a group as a name."""
    parts = []
    if GENRE in words.heads:
        labels, means = words.heads[GENRE]
        shares = np.bincount(means[members].argmax(axis=1), minlength=len(labels)) / len(members)
        order = np.argsort(-shares, kind="stable")
        first = _spelled(labels[order[0]])
        alone = shares[order[0]] >= HALF or len(labels) < 2 or not shares[order[1]]
        parts.append(first if alone else f"{first} and {_spelled(labels[order[1]])}")
    if HEAD in words.heads:
        labels, means = words.heads[HEAD]
        ours, all_of_it = (
            np.bincount(means[some].argmax(axis=1), minlength=len(labels)) / len(some)
            for some in (members, rows)
        )
        best = int(ours.argmax())
        if ours[best] >= TOLD > all_of_it[best]:
            parts.append(_spelled(labels[best]))
    name = ", ".join(parts) or "songs"
    return name[0].upper() + name[1:]


def _set_apart(
    words: GroupProperties,
    base: str,
    members: Int64Array,
    others: Int64Array,
    taken: Collection[str],
) -> str:
    """Return the name extended by what distinguishes a group from similar ones."""
    for word in _contrasts(words, members, others):
        name = f"{base}, {_spelled(word)}"
        if _letters(word) not in _letters(base) and name.casefold() not in taken:
            return name
    counts = Counter(words.artists[members].tolist())
    counts.pop(UNKNOWN, None)
    for artist, count in counts.most_common(3):
        name = f"{base}, around {words.artist_names[artist]}"[:MOST_NAME].strip()
        if count > 1 and name.casefold() not in taken:
            return name
    number = 2
    while f"{base} {number}".casefold() in taken:
        number += 1
    return f"{base} {number}"


def _contrasts(words: GroupProperties, members: Int64Array, others: Int64Array) -> list[str]:
    """Return the words for which a group scores above the others, largest difference first."""
    found: list[tuple[float, str]] = []
    columns = [(words.tags, words.tag_values), *words.heads.values()]
    for labels, values in columns:
        if not labels:
            continue
        both: Float64Array = values[np.concatenate([members, others])].astype(np.float64)
        spread = np.maximum(both.std(axis=0), 1e-6)
        apart = (values[members].mean(axis=0) - values[others].mean(axis=0)) / spread
        found += [(float(a), label) for a, label in zip(apart, labels, strict=True) if a > APART]
    return [label for _, label in sorted(found, key=lambda one: (-round(one[0], 6), one[1]))]


def _letters(text: str) -> str:
    return "".join(c for c in _spelled(text).casefold() if c.isalnum())


def _spelled(label: str) -> str:
    word = SPELLED.get(label, label.replace("_", " "))
    word = BIDI.sub("", "".join(c for c in word if c.isprintable()))[:MOST_NAME]
    return word if word.isupper() or word[:1].isdigit() else word.lower()


USUAL_SIZE = 25  # songs: an hour and a half


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NamedPlaylist(SongList):
    """One playlist of a divided library.

    Attributes
    ----------
    name : str
    went_on : str or None
        Name of the earlier list that this one continues; None for a new list.
    """

    name: str
    went_on: str | None = None


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
    seed: int = 0,
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
    seed : int
        The same store, earlier lists and seed give the same lists.

    Returns
    -------
    divided : DividedLibrary

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
    space = store.space(by, use_index=False)
    units, there = space.units_by_row()
    chosen = store.chosen(choice)
    compared = chosen.allowed & there
    if not compared.any():
        raise InputError(f"{store.path}: no eligible songs for a playlist")
    copies = np.zeros(len(store), np.bool_) if "copies" in choice.also else _copies(store, compared)
    # Sorted by id, so that the result does not depend on the order of rows in the store.
    rows = np.asarray(sorted(np.flatnonzero(compared & ~copies), key=store.ids.__getitem__))
    before = _before(store, rows, earlier)
    same = earlier is not None and earlier.fits(store, space.by, size)
    songs = units[rows]
    if same and earlier is not None:
        groups, joined = update_groups(songs, before, sizes, joined=earlier.joined, seed=seed)
    else:
        groups, joined = divide(songs, sizes, seed=seed), 0
    goes_on = match_earlier(groups, before)
    names_before = earlier.names if earlier is not None else ()
    words = group_properties(store)
    kept = {group: names_before[old] for group, old in goes_on.items()}
    names = name_groups(words, groups, rows, kept=kept)
    lists = []
    for group, name in enumerate(names):
        places = np.flatnonzero(groups == group)
        artists = words.artists[rows[places]].astype(np.int64)
        order = places[playing_order(songs[places], artists, -1)]
        if earlier is not None and group in goes_on:
            order = _as_before(store, rows, order, earlier.lists[goes_on[group]].songs)
        lists.append(
            NamedPlaylist(
                store=store, rows=rows[order], by=space.by, name=name, went_on=kept.get(group)
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
        copies=int(copies.sum()),
        not_compared=int((chosen.allowed & ~there).sum()),
        new=int((~known).sum()) if earlier is not None else 0,
        moved=int((known & ~stayed).sum()),
        joined=joined,
    )


def _before(store: SearchableStore, rows: Int64Array, earlier: EarlierLists | None) -> Int64Array:
    """Return the earlier list of each song, `NEW` for none."""
    places = {} if earlier is None else earlier.place_of
    return np.asarray([places.get(store.ids[row], NEW) for row in rows], np.int64)


def _as_before(
    store: SearchableStore, rows: Int64Array, order: Int64Array, before: Sequence[str]
) -> Int64Array:
    """Return songs in their earlier order; new ones follow in the given order."""
    places = {song_id: place for place, song_id in enumerate(before)}
    found = [places.get(store.ids[rows[n]], len(before)) for n in order]
    return order[np.argsort(found, kind="stable")]


def _copies(store: SearchableStore, compared: BoolArray) -> BoolArray:
    """Return which songs have the same audio as a better eligible song: shape (n,), bool."""
    series, _ = series_beside(store)
    extra = np.zeros(len(store), np.bool_)
    for group in _duplicates(store, series):
        rows = [row for row in group if compared[row]]
        songs = dict(zip(rows, store.rows(rows), strict=True))
        if rows:
            best = min(rows, key=lambda row: _worse(songs[row]))
            extra[[row for row in rows if row != best]] = True
    return extra


def _duplicates(store: SearchableStore, series: Sequence[Any]) -> list[tuple[int, ...]]:
    try:
        return [group.rows for group in find_duplicates(store, series)]
    except InputError:  # lacks statistics: fall back to content hashes
        by_hash: dict[str, list[int]] = {}
        for row, content in enumerate(store.column("content_hash").to_pylist()):
            by_hash.setdefault(content, []).append(row)
        return [tuple(rows) for rows in by_hash.values() if len(rows) > 1]


def _worse(song: dict[str, Any]) -> tuple[float, str]:
    """Sort key of copies: higher bytes per second first, then by id."""
    return -song["size"] / max(float(song["duration_s"]), 1.0), song["song_id"]
