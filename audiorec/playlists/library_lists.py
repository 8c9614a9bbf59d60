"""Divide a whole library into named playlists, by sound.

    store ──divide_library──▶ `DividedLibrary`: lists, their names, counts of omitted songs
          (optional: the lists of an earlier run, `EarlierLists`)

Every song that is music is in exactly one list, except for copies of a song in a list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.answers import SongList
from audiorec.playlists.clusters import (
    NEW,
    Sizes,
    divide,
    match_earlier,
    playing_order,
    update_groups,
)
from audiorec.playlists.earlier_lists import EarlierLists
from audiorec.playlists.group_names import group_properties, name_groups
from audiorec.search.duplicates import find_duplicates, series_beside
from audiorec.search.questions import Choice
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.types import BoolArray, Int64Array

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
        Result of `audiorec.playlists.earlier_lists.read_lists`. Its songs and names are kept as
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
