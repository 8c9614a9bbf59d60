"""Answers to the question which songs are similar to some seeds.

    Asked, `SimilarQuestion`  ──similar_songs─▶ `SimilarSongs`

`Library.ask` reads the seeds and chooses the space, for this question and for those of
`audiorec.playlists.answers`; whoever asks renders what comes back: as a table, as a document
(`to_dict`), as a playlist file (`to_m3u8`), with `remarks` for a person.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.files.m3u8 import PlaylistEntry, write_m3u8
from audiorec.search.beside import Beside, Wished
from audiorec.search.choice import Chosen, non_music_left_out
from audiorec.search.explain import SureFacts
from audiorec.search.music import why_not_music
from audiorec.search.near import near_seeds
from audiorec.search.questions import PathQuestion, Question, SimilarQuestion
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Neighbours, Space, mean_direction
from audiorec.types import Float64Array, FloatArray, Int64Array, Numbers


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
        yield from (f"note: `exclude` {one} matches no song" for one in self.chosen.idle)
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
                    f"note: {seed.name} is not music ({why}); `also=non-music` also searches such "
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

    def to_m3u8(self, path: str | Path, *, absolute: bool = False) -> list[str]:
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
        return [e.path for e in write_m3u8(entries, Path(path), absolute=absolute)]


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
            least = f"{question.minimum:g} (`minimum=-1` lists them)"
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
            **source_of(self.asked.store),
            "songs": songs,
            "minimum": self.question.minimum,
            **({"less_like": away} if away else {}),
            **self.asked.sentence,
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


def source_of(store: SearchableStore) -> dict[str, str]:
    """Return the fields of a document that name its store."""
    return {"vectors": str(store.path), "extractor_id": store.metadata.extractor_id}
