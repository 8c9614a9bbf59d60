"""Answers to questions about a library: similar songs, paths and playlists.

    Asked, `SimilarQuestion`   ──similar_songs─▶ `SimilarSongs`
    Asked, `PathQuestion`      ──path_between──▶ `PathOfSongs`
    Asked, `PlaylistQuestion`  ──playlist_near─▶ `PlaylistOfSongs`

`Library.ask` reads the seeds and chooses the space; whoever asks renders what comes back: as a
table, as a document (`to_dict`), as a playlist file (`to_m3u8`), with `remarks` for a person.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.files.arrow import integers, pandas_frame
from audiorec.files.visible import ShownAsTable, TableView, clock
from audiorec.playlists.beside import Beside, Wished
from audiorec.playlists.curves import deviations, read_curves
from audiorec.playlists.m3u8 import PlaylistEntry, write_m3u8
from audiorec.playlists.path import Path, find_path
from audiorec.playlists.playlist import Playlist, PlaylistRequest, make_playlist, remarks
from audiorec.search.choice import Chosen, non_music_left_out, why_not_music
from audiorec.search.explain import SureFacts
from audiorec.search.filters import name_codes
from audiorec.search.near import near_seeds, together
from audiorec.search.questions import PathQuestion, PlaylistQuestion, Question, SimilarQuestion
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Neighbours, Space, mean_direction
from audiorec.types import Float64Array, FloatArray, Int64Array, Numbers

TIMES = {"start_s": "start", "duration_s": "length"}  # shown as clock times, under these names
MOST_ROWS = 60  # rows per table; further rows are only counted


TAGS = ("artist", "title", "album", "duration_s")


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSong:
    """A song that is not in the store: the columns and lists it would have, its vector (V,).

    `why_not_music` is empty for music.
    """

    entry: dict[str, Any]
    vector: FloatArray
    why_not_music: str
    lists: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SeedSong:
    """A song to start from: a row of the store, or one that was `opened` for the question.

    `unit` (W,) is its place in the space; `note` says if its file is a copy of another song.
    """

    name: str
    row: int | None
    unit: FloatArray
    opened: OpenedSong | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A question with what was read to answer it.

    Attributes
    ----------
    question : Question
    store : SearchableStore
    space : Space
    seeds, less_like : sequence of SeedSong
    chosen : Chosen
        The eligible songs and the limits.
    wished : Wished, optional
        What the question's sentence asks of the songs.
    """

    question: Question
    store: SearchableStore
    space: Space
    seeds: Sequence[SeedSong]
    less_like: Sequence[SeedSong] = ()
    chosen: Chosen
    wished: Wished | None = None

    @property
    def pull(self) -> FloatArray | None:
        """What the sentence adds to each song's similarity (n,); None without one."""
        return None if self.wished is None else self.wished.pull

    @property
    def sentence(self) -> dict[str, str]:
        """The sentence, as a field of the answer's document; empty without one."""
        return {} if self.wished is None else {"words": self.wished.text}

    @cached_property
    def units(self) -> FloatArray:
        """The units of the seeds: shape (Q, W)."""
        return np.stack([seed.unit for seed in self.seeds])

    @cached_property
    def rows(self) -> list[int]:
        """The rows of the seeds that the store has."""
        return [seed.row for seed in self.seeds if seed.row is not None]

    @cached_property
    def taken(self) -> list[int]:
        """The rows of all songs that the question names: they are never found."""
        return [*self.rows, *(seed.row for seed in self.less_like if seed.row is not None)]

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the seeds."""
        stored = iter(self.store.rows(self.rows))
        return [next(stored) if s.opened is None else s.opened.entry for s in self.seeds]

    @cached_property
    def facts(self) -> list[SureFacts]:
        """What is certain about the seeds."""
        stored = iter(self.store.facts.of_rows(self.rows))
        return [
            next(stored) if one.opened is None else _opened_facts(self.store, one.opened)
            for one in self.seeds
        ]

    def nearest(self, rows: Int64Array) -> tuple[Int64Array, Float64Array]:
        """Return each song's nearest seed, by place, and its similarity to that seed: (m,) each."""
        if not len(rows) or not self.seeds:
            return np.full(len(rows), -1), np.full(len(rows), np.nan)
        near = self.space.units(rows).astype(np.float64) @ self.units.T.astype(np.float64)
        return near.argmax(axis=1), near.max(axis=1)

    def beside_seeds(self, rows: Int64Array) -> Beside:
        """Compare songs with the seed that is nearest to each."""
        seeds, similarities = self.nearest(rows)
        shares = self.store.closer_than(self.space, similarities)
        return Beside(
            self.store,
            rows=rows,
            closer_than=np.where(np.isnan(similarities), np.nan, shares),
            others=lambda: [self.facts[seed] if seed >= 0 else None for seed in seeds],
            wished=self.wished,
        )

    def remarks(self, rows: Sequence[int]) -> Iterator[str]:
        """Yield what to tell a person about a list of `rows`, one line each."""
        yield from (f"note: {s.note}" for s in (*self.seeds, *self.less_like) if s.note)
        basis = self.store.default_space(self.question.by)
        some = basis.note if basis.by == "sound" else ""  # that all lack it is told once
        wished = () if self.wished is None else self.wished.notes
        yield from (f"note: {note}" for note in (some, *wished) if note)
        other = "non-music" in self.question.choice.also
        if not other and not isinstance(self.question, PathQuestion):
            yield from self._no_music()
        yield from (f"note: --exclude {one} matches no song" for one in self.chosen.idle)
        if self.chosen.unmet:
            yield f"note: {self.chosen.unmet}"
        shown = 0 if other else int((~self.store.music[list(set(rows))]).sum())
        if (count := self.chosen.not_music - shown) > 0:
            yield non_music_left_out(count)
        if said := self.store.copies_left_out(rows, self.question.choice):
            yield said

    def _no_music(self) -> Iterator[str]:
        for seed in self.seeds:
            opened, row = seed.opened, seed.row
            why = opened.why_not_music if opened else why_not_music(self.store, cast("int", row))
            if why:
                yield (
                    f"note: {seed.name} is not music ({why}); --also non-music also searches such "
                    "sounds"
                )


def _opened_facts(store: SearchableStore, song: OpenedSong) -> SureFacts:
    lists = {name: np.asarray(values)[None] for name, values in song.lists.items()}
    return store.facts.of_songs([song.entry], song.vector[None], lists)[0]


class AnsweredSongs(Protocol):
    """What commands and servers render."""

    @property
    def remarks(self) -> list[str]:
        """What to tell a person about the answer, one line each."""

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs to play, in order."""

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a document of JSON values."""


class ForPlayers(ABC):
    """A list that can be written as a playlist file."""

    @abstractmethod
    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs to play, in order."""

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
        entries = [PlaylistEntry.of(song) for song in self.entries()]
        return [e.path for e in write_m3u8(entries, FilePath(path), absolute=absolute)]


class SimilarSongs(Neighbours, ForPlayers):
    """The songs nearest to some seeds: a sequence of `Neighbour`, and what was asked.

    Attributes
    ----------
    asked : Asked
    """

    def __init__(self, asked: Asked, found: Neighbours) -> None:
        super().__init__(asked.store, found.rows, found.similarities, by=found.by)
        self.asked = asked

    @property
    def question(self) -> SimilarQuestion:
        """What was asked."""
        return cast("SimilarQuestion", self.asked.question)

    @cached_property
    def beside(self) -> Beside:
        """Each song beside its nearest seed."""
        return self.asked.beside_seeds(self.rows)

    @cached_property
    def remarks(self) -> list[str]:
        """What to tell a person about the list, one line each."""
        asked, question, store = self.asked, self.question, self.asked.store
        lines = list(asked.remarks([*asked.taken, *self.rows.tolist()]))
        unlike = len(_near(asked, -1.0)) - len(self) if len(self) < question.k else 0
        if unlike:
            have = "song has" if unlike == 1 else "songs have"
            least = f"{question.minimum:g} (--minimum -1 lists them)"
            lines.append(f"{unlike} more {have} a similarity below {least}")
        there = len(self) + unlike
        if len(store) == len(asked.taken):
            lines.append("the store has no other song; add some: audiorec extract FOLDER")
        elif there < question.k:
            many = f"{there} eligible song{'s' * (there != 1)}"
            lines.append(f"the store has {many}, not {question.k}")
        return lines

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs to play: the seeds come first."""
        return self.asked.entries() + self.songs

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a document of JSON values; with reasons if they were asked for."""
        fields = ("uri", "artist", "title", "album", "duration_s", "status")
        songs = [
            {
                "rank": rank,
                StoreColumns.ID: n.song_id,
                "similarity": round(n.similarity, 6),
                **self.beside.fields(rank - 1, why=self.question.why),
                **{f: n.row.get(f) for f in fields},
                "copies": self.asked.store.copies_of(int(self.rows[rank - 1])),
            }
            for rank, n in enumerate(self, start=1)
        ]
        names = [seed.name for seed in self.asked.seeds]
        away = [seed.name for seed in self.asked.less_like]
        document = {"schema": "audiorec/similar/2", "query": " + ".join(names), "seeds": names}
        return {
            **document,
            "by": self.by,
            **_source(self.asked.store),
            "songs": songs,
            "minimum": self.question.minimum,
            **({"less_like": away} if away else {}),
            **self.asked.sentence,
        }


def _source(store: SearchableStore) -> dict[str, str]:
    return {"vectors": str(store.path), "extractor_id": store.metadata.extractor_id}


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
        source = _source(self.store)
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
    curve_distance : float or None
        Mean distance from the curves, where 100 beats per minute count as 1; None without any.
    """

    asked: Asked
    playlist: Playlist
    wish: PlaylistRequest
    similarities: FloatArray
    curve_scores: Mapping[str, npt.NDArray[np.floating]]
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
        return replace(seeds, closer_than=share, others=others)

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
            songs.append({"place": index + 1, **row})
        source, distance = _source(self.store), self.curve_distance
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


def similar_songs(asked: Asked) -> SimilarSongs:
    """Find the songs nearest to the seeds; see `near_seeds`."""
    return SimilarSongs(asked, _near(asked, cast("SimilarQuestion", asked.question).minimum))


def _near(asked: Asked, minimum: float) -> Neighbours:
    question = cast("SimilarQuestion", asked.question)
    away = asked.less_like
    return near_seeds(
        asked.space,
        asked.units,
        question.k,
        asked.chosen,
        taken=asked.taken,
        away=mean_direction(np.stack([seed.unit for seed in away])) if away else None,
        mean=question.mean,
        diversity=question.diversity,
        minimum=minimum,
        pull=asked.pull,
    )


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
    for curve in wish.curves:
        unknown = np.isnan(curve.scores)
        if unknown[first].any():
            song = store.ids[first[int(unknown[first].argmax())]]
            raise InputError(f"{song}: has no {curve.name}, so it cannot be placed on that curve")
        allowed &= ~unknown
    playlist = make_playlist(units, directions, lengths, wish, seeds=first, allowed=allowed)
    off = deviations(playlist.rows, lengths[playlist.rows], wish.curves)
    return PlaylistOfSongs(
        **_list(asked, playlist.rows, remarks(store.ids, playlist, lengths, wish, allowed=allowed)),
        playlist=playlist,
        wish=wish,
        similarities=(units[playlist.rows] @ (directions if mean else own).T).max(axis=1)
        if len(own)
        else np.full(len(playlist.rows), np.nan, np.float32),
        curve_scores={
            curve.name: curve.unit * curve.scores[playlist.rows] for curve in wish.curves
        },
        curve_distance=float(np.abs(off).mean()) if off.size else None,
    )


def _list(asked: Asked, rows: Int64Array, notes: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that all lists have in common."""
    return {
        "asked": asked,
        "store": asked.store,
        "rows": rows,
        "by": asked.space.by,
        "notes": notes,
    }
