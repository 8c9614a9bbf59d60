"""Paths and playlists of a store's songs, with the names and defaults of the command line.

    store, two songs         ──path_between──▶ `PathOfSongs`
    store, seeds, minutes    ──playlist_near─▶ `PlaylistOfSongs`

`path` and `playlist` work on arrays; this module resolves song names to rows and applies choices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.files.arrow import integers, pandas_frame
from audiorec.playlists.curves import deviations, read_curves
from audiorec.playlists.draft import PlaylistRequest
from audiorec.playlists.listed_songs import list_html, list_text
from audiorec.playlists.m3u8 import PlaylistEntry, write_m3u8
from audiorec.playlists.path import Path, find_path
from audiorec.playlists.playlist import Playlist, make_playlist
from audiorec.playlists.remarks import remarks
from audiorec.search.choice import Choice
from audiorec.search.filters import name_codes
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import mean_direction
from audiorec.search.space_choice import AutoBy
from audiorec.search.votes import together
from audiorec.types import FloatArray, Int64Array

SPREAD = Choice(per_artist=2)  # default of playlists: at most two songs per artist


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SongList:
    """Songs of a store in playing order.

    Attributes
    ----------
    store : SearchableStore
    rows : ndarray, shape (m,), int64
    by : {"sound", "vector", "mean", "learnt"}
        The space in which they were compared.
    notes : tuple of str
        Requests that could not be met, one per line.
    """

    store: SearchableStore = field(repr=False)
    rows: Int64Array = field(repr=False)
    by: By
    notes: tuple[str, ...] = ()

    @cached_property
    def song_ids(self) -> npt.NDArray[Any]:
        """The songs' ids: shape (m,), an object array."""
        ids = np.empty(len(self.rows), object)
        ids[:] = self.store.id_array.take(integers(self.rows)).to_pylist()
        return ids

    @cached_property
    def songs(self) -> list[dict[str, Any]]:
        """The songs' columns in the store, without the vectors."""
        return self.store.rows(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.song_ids.tolist())

    def columns(self) -> dict[str, Any]:
        """Return the list as named columns, one row per song."""
        names = ("song_id", "artist", "title", "album", "duration_s")
        return {name: [song[name] for song in self.songs] for name in names}

    def to_pandas(self) -> Any:
        """Return `columns` as a `pandas.DataFrame`; raise `MissingExtraError` without pandas."""
        return pandas_frame(self.columns())

    def to_m3u8(self, path: str | FilePath, *, absolute: bool = False) -> list[str]:
        """Write the list as a playlist file; see `write_m3u8`.

        Parameters
        ----------
        path : path
        absolute : bool
            Write absolute song paths; by default they are relative to the playlist's folder.

        Returns
        -------
        left_out : list of str
            Paths of songs that a playlist file cannot hold.
        """
        entries = [
            PlaylistEntry(
                path=s["uri"], duration_s=s["duration_s"], artist=s["artist"], title=s["title"]
            )
            for s in self.songs
        ]
        return [e.path for e in write_m3u8(entries, FilePath(path), absolute=absolute)]

    def __repr__(self) -> str:
        return list_text(self.columns(), self.notes)

    def _repr_html_(self) -> str:
        return list_html(self.columns(), self.notes)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PathOfSongs(SongList):
    """A path from one song of a store to another; `path` holds its numbers."""

    path: Path = field(repr=False)

    def columns(self) -> dict[str, Any]:
        """Return the list as columns, preceded by ``step`` and ``position`` as in `Path`.

        ``step`` is the similarity to the previous song, NaN for the first.
        """
        step = np.append(np.nan, self.path.steps)
        return {"step": step, "position": self.path.position, **super().columns()}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PlaylistOfSongs(SongList):
    """A playlist of a store's songs.

    Attributes
    ----------
    playlist : Playlist
        Its length, whether that is within tolerance, and the seeds that were left out.
    wish : PlaylistRequest
    similarities : ndarray, shape (m,), float32
        Similarity of each song to the seeds.
    curve_scores : mapping of str to ndarray, shape (m,)
        Per curve, each song's mean score of the class, or beats per minute.
    curve_distance : float or None
        Mean distance from the curves, where 100 beats per minute count as 1; None without any.
    """

    playlist: Playlist = field(repr=False)
    wish: PlaylistRequest = field(repr=False)
    similarities: FloatArray = field(repr=False)
    curve_scores: Mapping[str, npt.NDArray[np.floating]] = field(repr=False)
    curve_distance: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the list as columns: ``start_s`` and ``similarity`` first, the curves last."""
        columns = super().columns()
        start = np.cumsum([0.0, *columns["duration_s"]])[:-1]
        first = {"start_s": start, "similarity": self.similarities}
        return {**first, **columns, **self.curve_scores}


def path_between(
    store: SearchableStore,
    start: str,
    end: str,
    *,
    steps: int = 8,
    by: AutoBy = "auto",
    table: str | FilePath | None = None,
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> PathOfSongs:
    """Find a smooth path from one song to another; see `find_path`.

    Parameters
    ----------
    store : SearchableStore
    start, end : str
        Ids, or any text that `SearchableStore.resolve` accepts; they need not be music.
    steps : int
        Number of songs between them; fewer if the path cannot hold more, which `notes` say.
    by, table
        See `SearchableStore.similar`.
    choice : Choice
        Which songs may lie between. Limits apply to the whole path.
    """
    space = store.space(by, table=table, use_index=False)
    first, last = (store.row_number(store.resolve(name)) for name in (start, end))
    space.units((first, last))  # raises if the space lacks one of them
    chosen = store.chosen(choice)
    units, there = space.units_by_row()
    found = find_path(
        units, first, last, steps, allowed=chosen.allowed & there, limits=chosen.limits
    )
    between = len(found.rows) - 2
    note = f"{between} songs between instead of {steps}: a smooth path between the two has no more"
    notes = (note,) if between < steps else ()
    return PathOfSongs(store=store, rows=found.rows, by=space.by, notes=notes, path=found)


def playlist_near(
    store: SearchableStore,
    seeds: str | Sequence[str],
    *,
    minutes: float = 60.0,
    curves: Sequence[str] = (),
    artist_gap: int = 3,
    by: AutoBy = "auto",
    table: str | FilePath | None = None,
    choice: Choice = SPREAD,
    others: FloatArray | None = None,
    mean: bool = False,
) -> PlaylistOfSongs:
    """Make a playlist near some songs; see `make_playlist`.

    Parameters
    ----------
    store : SearchableStore
    seeds : str, or sequence of str
        Ids, or any text that `SearchableStore.resolve` accepts. They come first, in this order;
        with curves, wherever they fit.
    minutes : float
        Target length.
    curves : sequence of str
        In the form read by `read_curves`, for example ``metal:rise``.
    artist_gap : int
        Minimum number of songs between two of one artist.
    by, table
        See `SearchableStore.similar`.
    choice : Choice
        Which songs are eligible besides the seeds, and how many per artist or album.
    others : ndarray, shape (q, W), optional
        Units (see `Space.prepare`) of further seeds that are not in the store.
    mean : bool
        Stay near the mean of the seeds, instead of near each of them.

    Raises
    ------
    InputError
        If there is no seed, a curve is invalid, or the length or the gap is out of range.
    """
    space = store.space(by, table=table, use_index=False)
    names = [seeds] if isinstance(seeds, str) else seeds
    first = list(dict.fromkeys(store.row_number(store.resolve(name)) for name in names))
    units, there = space.units_by_row()
    own = space.units(first)
    own = own if others is None else np.concatenate([own, others])
    directions = mean_direction(own)[None] if mean or len(own) < 2 else together(own)
    chosen = store.chosen(choice)
    wish = PlaylistRequest(
        seconds=60 * minutes,
        limits=chosen.limits,
        artists=name_codes(store, "artist"),
        gap=artist_gap,
        curves=read_curves(store, curves, chosen.allowed),
    )
    lengths = np.asarray(store.column("duration_s").to_pylist(), np.float64)
    allowed = chosen.allowed & there
    for curve in wish.curves:
        unknown = np.isnan(curve.scores)
        if unknown[first].any():
            song = store.ids[first[int(unknown[first].argmax())]]
            raise InputError(f"{song}: has no {curve.name}, so it cannot be placed on that curve")
        allowed &= ~unknown
    found = make_playlist(units, directions, lengths, wish, seeds=first, allowed=allowed)
    off = deviations(found.rows, lengths[found.rows], wish.curves)
    return PlaylistOfSongs(
        store=store,
        rows=found.rows,
        by=space.by,
        notes=remarks(store.ids, found, lengths, wish, allowed=allowed),
        playlist=found,
        wish=wish,
        similarities=(units[found.rows] @ (directions if mean else own).T).max(axis=1),
        curve_scores={curve.name: curve.unit * curve.scores[found.rows] for curve in wish.curves},
        curve_distance=float(np.abs(off).mean()) if off.size else None,
    )
