"""Which of the songs that are called new get lists, and what a person calls them.

    a store, or embeddings ──SongFacts──▶ titles, content hashes, what is music
    SongFacts, catalogue   ──screen─────▶ rows that stay, copies of known audio, what is no music

A copy of a song of the catalogue is not new, whatever it is called: its audio has the same content
hash. The very file of the catalogue is no copy, so one store may hold the known songs and the new
ones. Speech, noise, silence and jingles are nobody's new song (`audiorec.search.music`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import strings
from audiorec.search.music import is_music
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.store import VectorStore
from audiorec.types import IdMap, Int64Array

MUSIC = "music"  # a column of embeddings: whether the song is music


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """What is known of n songs beside their numbers; None where a file does not say."""

    content_hash: tuple[str | None, ...]
    uri: tuple[str | None, ...]
    title: tuple[str | None, ...]
    artist: tuple[str | None, ...]
    music: tuple[bool | None, ...]

    @classmethod
    def of_store(cls, store: VectorStore) -> "SongFacts":
        """Read the columns of a store; whether a song is music follows from its scores."""
        texts = {name: tuple(store.column(name).to_pylist()) for name in TEXTS}
        return cls(**texts, music=tuple(is_music(store).tolist()))

    @classmethod
    def of_embeddings(cls, table: EmbeddingTable) -> "SongFacts":
        """Read those columns that the file has, of the types that `recall songs` writes."""
        found: dict[str, Any] = {}
        for name in (*TEXTS, MUSIC):
            values: Sequence[Any] = [None] * len(table)
            if name in table.column_names:
                column = table.columns([name]).column(name)
                if column.type == (pa.bool_() if name == MUSIC else pa.string()):
                    values = column.to_pylist()
            found[name] = tuple(values)
        return cls(**found)

    def take(self, rows: Int64Array) -> "SongFacts":
        """Return what is known of some of the songs."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return SongFacts(**{name: tuple(v[i] for i in rows) for name, v in values.items()})


TEXTS = ("content_hash", "uri", "title", "artist")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAudio:
    """A song that is called new, and the song of the catalogue with the same audio."""

    song_id: str
    same_as: str  # its id in the catalogue; its file, where the ids are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What came of looking at the new songs."""

    kept: Int64Array  # rows of the songs that get lists, ascending
    known: tuple[KnownAudio, ...] = ()  # those that are not new, kept or not
    not_music: tuple[str, ...] = ()  # ids of the others that are no music, kept or not
    # other ids in the catalogue, and for each the row of the new song with its audio
    copies: tuple[tuple[str, int], ...] = ()


def screen(
    ids: Sequence[str],
    facts: SongFacts,
    catalogue: SearchableStore | None,
    *,
    keep_known: bool = False,
    include_non_music: bool = False,
) -> Screening:
    """Look at new songs.

    Parameters
    ----------
    ids : sequence of str, length n
    facts : SongFacts
        Of the same songs.
    catalogue : SearchableStore, optional
        The songs that users know; without it no song is a copy.
    keep_known, include_non_music : bool
        Copies of known audio, and what is no music, are named and stay.
    """
    copies = [] if catalogue is None else _copies(facts, catalogue)
    known: dict[int, str] = {}
    for song_id, uri, row in copies:
        if song_id != ids[row]:
            known[row] = song_id
        elif facts.uri[row] not in (None, uri):
            known.setdefault(row, uri)
    noise = [i for i, music in enumerate(facts.music) if music is False and i not in known]
    left_out = set(() if keep_known else known) | set(() if include_non_music else noise)
    return Screening(
        kept=np.array([i for i in range(len(ids)) if i not in left_out], np.int64),
        known=tuple(KnownAudio(song_id=ids[i], same_as=known[i]) for i in sorted(known)),
        not_music=tuple(ids[i] for i in noise),
        copies=tuple((song_id, row) for song_id, _, row in copies if song_id != ids[row]),
    )


def _copies(facts: SongFacts, catalogue: SearchableStore) -> list[tuple[str, str, int]]:
    """Return id and file of songs of the catalogue, and the row of a new song of each's audio."""
    rows_of: dict[str, list[int]] = {}
    for row, content in enumerate(facts.content_hash):
        if content is not None:
            rows_of.setdefault(content, []).append(row)
    hashes = strings(list(rows_of))
    found = IdMap(hashes).rows(catalogue.column("content_hash").combine_chunks())
    theirs = np.flatnonzero(found >= 0)
    same = zip(theirs.tolist(), found[theirs].tolist(), strict=True)
    uris = catalogue.column("uri")
    return [
        (catalogue.id_array[at].as_py(), uris[at].as_py(), row)
        for at, number in same
        for row in rows_of[hashes[number].as_py()]
    ]
