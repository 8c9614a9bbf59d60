"""Screening of new songs: which of them get lists, and their metadata.

    a store, or embeddings ──SongFacts──▶ titles, content hashes, music flags
    SongFacts, catalogue   ──screen─────▶ rows kept, copies of known audio, songs that are not music

A copy of a catalogue song, under any id, is not new: its audio has the same content hash. The same
file in the catalogue is not a copy, so one store may hold both known and new songs. Speech, noise,
silence and jingles are not recommended (`audiorec.search.music`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import string_array
from audiorec.search.music import is_music
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.store import VectorStore
from audiorec.types import IdMap, Int64Array

MUSIC = "music"  # a column of embeddings: whether the song is music


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """Metadata of n songs; None for values missing from the file."""

    content_hash: tuple[str | None, ...]
    uri: tuple[str | None, ...]
    title: tuple[str | None, ...]
    artist: tuple[str | None, ...]
    music: tuple[bool | None, ...]

    @classmethod
    def of_store(cls, store: VectorStore) -> "SongFacts":
        """Read the columns of a store; music flags are derived from the scores."""
        texts = {name: tuple(store.column(name).to_pylist()) for name in TEXTS}
        return cls(**texts, music=tuple(is_music(store).tolist()))

    @classmethod
    def of_embeddings(cls, table: EmbeddingTable) -> "SongFacts":
        """Read the columns that are present and have the types written by `recall songs`."""
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
        """Return the metadata of the given songs."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return SongFacts(**{name: tuple(v[i] for i in rows) for name, v in values.items()})


TEXTS = ("content_hash", "uri", "title", "artist")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAudio:
    """A supposedly new song, and the catalogue song with the same audio."""

    song_id: str
    same_as: str  # its id in the catalogue; its file if the ids are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Result of screening new songs."""

    kept: Int64Array  # rows of the songs that get lists, ascending
    known: tuple[KnownAudio, ...] = ()  # songs that are not new, kept or not
    not_music: tuple[str, ...] = ()  # ids of the other songs that are not music, kept or not
    # ids of copies in the catalogue, each with the row of the new song with the same audio
    copies: tuple[tuple[str, int], ...] = ()


def screen(
    ids: Sequence[str],
    facts: SongFacts,
    catalogue: SearchableStore | None,
    *,
    keep_known: bool = False,
    include_non_music: bool = False,
) -> Screening:
    """Find copies of known audio and songs that are not music among new songs.

    Parameters
    ----------
    ids : sequence of str, length n
    facts : SongFacts
        Metadata of these songs.
    catalogue : SearchableStore, optional
        The known songs; without it, no song is a copy.
    keep_known, include_non_music : bool
        Report copies of known audio, or songs that are not music, but keep them.
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
    """Return id and file of each copy in the catalogue, and the row of the new song."""
    rows_of: dict[str, list[int]] = {}
    for row, content in enumerate(facts.content_hash):
        if content is not None:
            rows_of.setdefault(content, []).append(row)
    hashes = string_array(list(rows_of))
    found = IdMap(hashes).rows(catalogue.column("content_hash").combine_chunks())
    theirs = np.flatnonzero(found >= 0)
    same = zip(theirs.tolist(), found[theirs].tolist(), strict=True)
    uris = catalogue.column("uri")
    return [
        (catalogue.id_array[at].as_py(), uris[at].as_py(), row)
        for at, number in same
        for row in rows_of[hashes[number].as_py()]
    ]
