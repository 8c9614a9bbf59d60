"""Answers to questions about a library: paths and playlists.

    Asked, `PathQuestion`      ──path_between──▶ `PathOfSongs`
    Asked, `PlaylistQuestion`  ──playlist_near─▶ `PlaylistOfSongs`

`Library.ask` reads the seeds and chooses the space; whoever asks renders what comes back: as a
table, as a document (`to_dict`), as a playlist file (`to_m3u8`), with `remarks` for a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.files.arrow import integers, pandas_frame
from audiorec.files.visible import ShownAsTable, TableView, clock
from audiorec.playlists.curves import deviations, read_curves
from audiorec.playlists.path import Path, find_path
from audiorec.playlists.playlist import Playlist, PlaylistRequest, make_playlist, remarks
from audiorec.search.bars import shown, word
from audiorec.search.beside import Beside
from audiorec.search.explain import SureFacts
from audiorec.search.filters import name_codes
from audiorec.search.near import together
from audiorec.search.questions import PathQuestion, PlaylistQuestion
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.search.similar import Asked, ForPlayers, source_of
from audiorec.search.space import mean_direction
from audiorec.types import FloatArray, Int64Array

TIMES = {"start_s": "start", "duration_s": "length"}  # shown as clock times, under these names
MOST_ROWS = 60  # rows per table; further rows are only counted


TAGS = ("artist", "title", "album", "duration_s")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SongList(ShownAsTable, ForPlayers):
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

    store: SearchableStore
    rows: Int64Array
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
        return {name: [song[name] for song in self.songs] for name in (StoreColumns.ID, *TAGS)}

    def to_pandas(self) -> Any:
        """Return `columns` as a `pandas.DataFrame`; raise `MissingExtraError` without pandas."""
        return pandas_frame(self.columns())

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs, in order."""
        return self.songs

    def _documents(self) -> Iterator[dict[str, Any]]:
        fields = (StoreColumns.ID, "uri", "artist", "title", "album", "duration_s")
        return (
            {**{f: song[f] for f in fields}, "copies": self.store.copies_of(row)}
            for row, song in zip(self.rows.tolist(), self.songs, strict=True)
        )

    def _view(self) -> TableView:
        columns = self.columns()
        shown = {
            TIMES.get(name, name): [clock(v) for v in values] if name in TIMES else list(values)
            for name, values in columns.items()
            if name != "album"  # omitted: too wide for a terminal
        }
        rows = list(zip(*shown.values(), strict=True))
        n, notes = len(rows), [f"note: {note}" for note in self.notes]
        title = f"{n} song{'s' * (n != 1)}, {clock(sum(columns['duration_s']))}"
        return TableView(title, tuple(shown), rows[:MOST_ROWS], n, notes)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PathOfSongs(SongList):
    """A path from one song of a store to another; `path` holds its numbers."""

    asked: Asked
    path: Path

    def columns(self) -> dict[str, Any]:
        """Return the list as columns, preceded by ``step`` and ``position`` as in `Path`.

        ``step`` is the similarity to the previous song, NaN for the first.
        """
        step = np.append(np.nan, self.path.steps)
        return {"step": step, "position": self.path.position, **super().columns()}

    @cached_property
    def beside(self) -> Beside:
        """Each song beside the one before it; the first has none."""
        step = np.append(np.nan, self.path.steps)
        return Beside(
            self.store,
            rows=self.rows,
            closer_than=np.where(
                np.isnan(step), np.nan, self.store.closer_than(self.asked.space, step)
            ),
            others=lambda: [None, *self.store.facts.of_rows(self.rows[:-1])],
        )

    @property
    def remarks(self) -> list[str]:
        """What to tell a person about the path, one line each."""
        return [*self.asked.remarks(self.rows.tolist()), *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a document of JSON values."""
        path = self.path
        songs = [
            {
                "place": index,
                **song,
                "step": round(float(path.steps[index - 1]), 6) if index else None,
                **self.beside.fields(index, why=self.asked.question.why),
                "to_start": round(float(path.to_start[index]), 6),
                "to_end": round(float(path.to_end[index]), 6),
                "position": round(float(path.position[index]), 6),
            }
            for index, song in enumerate(self._documents())
        ]
        source = source_of(self.store)
        return {
            "schema": "audiorec/path/1",
            "vectors": source["vectors"],
            "by": self.by,
            "extractor_id": source["extractor_id"],
            "steps_asked": cast("PathQuestion", self.asked.question).steps,
            "steps": len(songs) - 2,
            "songs": songs,
        }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PlaylistOfSongs(SongList):
    """A playlist of a store's songs.

    Attributes
    ----------
    asked : Asked
    playlist : Playlist
        Its length, whether that is within tolerance, and the seeds that were left out.
    wish : PlaylistRequest
    similarities : ndarray, shape (m,), float32
        Similarity of each song to the seeds; NaN without seeds.
    curve_scores : mapping of str to ndarray, shape (m,)
        Per curve, each song's mean score of the class, or beats per minute.
    strengths : tuple of float or None
        How likely each song fits the sentence; None beside seeds, or where nothing tells.
    curve_distance : float or None
        Mean distance from the curves, where 100 beats per minute count as 1; None without any.
    """

    asked: Asked
    playlist: Playlist
    wish: PlaylistRequest
    similarities: FloatArray
    curve_scores: Mapping[str, npt.NDArray[np.floating]]
    strengths: tuple[float | None, ...]
    curve_distance: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the list as columns: ``start_s`` and ``similarity`` first, the curves last."""
        columns = super().columns()
        start = np.cumsum([0.0, *columns["duration_s"]])[:-1]
        first = {"start_s": start, "similarity": self.similarities}
        return {**first, **columns, **self.curve_scores}

    @cached_property
    def beside(self) -> Beside:
        """Each song beside its nearest seed; a seed has none."""
        seeds = self.asked.beside_seeds(self.rows)
        own = np.isin(self.rows, self.asked.rows)

        def others() -> list[SureFacts | None]:
            return [None if is_seed else s for is_seed, s in zip(own, seeds.others(), strict=True)]

        share = np.where(own, np.nan, seeds.closer_than)
        fits = tuple(map(shown, self.strengths)) if any(self.strengths) else None
        return replace(seeds, closer_than=share, others=others, strengths=fits)

    @property
    def remarks(self) -> list[str]:
        """What to tell a person about the playlist, one line each."""
        return [*self.asked.remarks(self.rows.tolist()), *(f"note: {n}" for n in self.notes)]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a document of JSON values."""
        songs = []
        for index, song in enumerate(self._documents()):
            scores = [round(float(scores[index]), 6) for scores in self.curve_scores.values()]
            near = float(self.similarities[index])
            similarity = None if np.isnan(near) else round(near, 6)
            beside = self.beside.fields(index, why=self.asked.question.why)
            row = {**song, "similarity": similarity, **beside, "curve_scores": scores}
            if (strength := self.strengths[index]) is not None:
                row |= {"strength": strength, "fits": word(strength)}
            songs.append({"place": index + 1, **row})
        source, distance = source_of(self.store), self.curve_distance
        return {
            "schema": "audiorec/playlist/1",
            "vectors": source["vectors"],
            "by": self.by,
            "extractor_id": source["extractor_id"],
            "seeds": [seed.name for seed in self.asked.seeds],
            "seconds_asked": self.wish.seconds,
            "seconds": round(self.playlist.seconds, 3),
            "tolerance_s": self.wish.tolerance_s,
            "within_tolerance": self.playlist.within_tolerance,
            "left_out": [self.store.ids[row] for row in self.playlist.left_out],
            "curve_distance": None if distance is None else round(distance, 6),
            "notes": list(self.notes),
            **self.asked.sentence,
            "songs": songs,
        }


def path_between(asked: Asked) -> PathOfSongs:
    """Find a smooth path from the first seed to the second; see `find_path`."""
    steps = cast("PathQuestion", asked.question).steps
    units, there = asked.space.units_by_row()
    allowed, limits = asked.chosen.allowed & there, asked.chosen.limits
    first, last = asked.rows
    if first == last and (copies := [seed.note for seed in asked.seeds if seed.note]):
        raise InputError(f"a path needs two different songs; {copies[0]}")
    path = find_path(units, first, last, steps, allowed=allowed, limits=limits)
    between = len(path.rows) - 2
    note = f"{between} songs between instead of {steps}: a smooth path between the two has no more"
    notes = (note,) if between < steps else ()
    return PathOfSongs(**_list(asked, path.rows, notes), path=path)


def playlist_near(asked: Asked) -> PlaylistOfSongs:
    """Make a playlist near the seeds; see `make_playlist`.

    Raises
    ------
    InputError
        If a curve is invalid, or the length or the gap is out of range.
    """
    question, store = cast("PlaylistQuestion", asked.question), asked.store
    first, (units, there) = asked.rows, asked.space.units_by_row()
    opened = [seed.unit for seed in asked.seeds if seed.row is None]
    own = np.concatenate([units[first], *(unit[None] for unit in opened)])
    mean = question.mean
    one = mean or len(own) == 1
    directions = mean_direction(own)[None] if one and len(own) else together(own)
    wish = PlaylistRequest(
        seconds=60 * question.minutes,
        limits=asked.chosen.limits,
        artists=name_codes(store, "artist"),
        gap=question.artist_gap,
        curves=read_curves(store, tuple(question.curve), asked.chosen.allowed),
        pull=asked.pull,
    )
    lengths = np.asarray(store.column("duration_s").to_pylist(), np.float64)
    allowed = asked.chosen.allowed & there
    if asked.pull is not None:
        allowed &= asked.pull > -np.inf
    unplaced = []
    for curve in wish.curves:
        unknown = np.isnan(curve.scores)
        unplaced += [f"{store.ids[row]} has no {curve.name}" for row in first if unknown[row]]
        first, allowed = [row for row in first if not unknown[row]], allowed & ~unknown
    playlist = make_playlist(units, directions, lengths, wish, seeds=first, allowed=allowed)
    off = deviations(playlist.rows, lengths[playlist.rows], wish.curves)
    alone = asked.wished if not asked.seeds else None
    strengths = alone.strengths(playlist.rows.tolist()) if alone else (None,) * len(playlist.rows)
    notes = [
        *(f"{one}: the list is near it, without it" for one in unplaced),
        *remarks(store.ids, playlist, lengths, wish, allowed=allowed),
    ]
    return PlaylistOfSongs(
        **_list(asked, playlist.rows, (*_that_fit(strengths), *notes)),
        playlist=playlist,
        wish=wish,
        similarities=(units[playlist.rows] @ (directions if mean else own).T).max(axis=1)
        if len(own)
        else np.full(len(playlist.rows), np.nan, np.float32),
        curve_scores={
            curve.name: curve.unit * curve.scores[playlist.rows] for curve in wish.curves
        },
        strengths=strengths,
        curve_distance=float(np.abs(off).mean()) if off.size else None,
    )


def _that_fit(strengths: Sequence[float | None]) -> Iterator[str]:
    """Say how many songs of a list fit a sentence, unless all do."""
    said = [word(one) for one in strengths if one is not None]
    fit = len(said) - said.count("weak")
    if fit < len(said):
        many = f"{fit} of {len(said)} songs fit" if fit != 1 else f"1 of {len(said)} songs fits"
        yield f"{many}; the rest, marked weak, is what comes nearest"


def _list(asked: Asked, rows: Int64Array, notes: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that all lists have in common."""
    return {
        "asked": asked,
        "store": asked.store,
        "rows": rows,
        "by": asked.space.by,
        "notes": notes,
    }
