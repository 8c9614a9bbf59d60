"""What is certain about songs: artist, genre, voice, tempo and key, each only where it is sure.

    store, rows ──song_facts──▶ [`SureFacts`, ...]   one for each row
    store ──`FactReader`──▶ the same for several calls, and for songs that are not in the store

Reasons and names of playlists are made of these facts, so each has a limit in absolute terms: it
depends on the song alone, not on the library. A song that is not music has its tags only. How often
facts are right: docs/decisions/0059.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from audiorec.search.choice import HEAD, why_vector_not_music
from audiorec.search.stored_labels import has_labels, stored_labels
from audiorec.store.schema import GENRE_TAG
from audiorec.store.store import VectorStore
from audiorec.tagger.genre_names import tagged_genre
from audiorec.tagger.song_labels import FoundLabels, SongLabels
from audiorec.tagger.weights import MSD
from audiorec.types import (
    SCALES,
    TONICS,
    FloatArray,
    Int64Array,
    Numbers,
)

Version = Literal["", "instrumental", "voice", "voice alone"]
Singer = Literal["", "woman", "man"]

SURE = 0.9  # confidence of a tempo or a key; of those above it 97 in 100 are right
# Mean scores of the version head, and of its two classes with a voice together.
INSTRUMENTAL, VOICED, ALONE = 0.75, 0.7, 0.6
# Mean of the backbone's tag "female vocalists" in songs with voice and instruments.
WOMAN, MAN = 0.12, 0.05
EMBEDDING, TAGS = "embedding", "heard_tags"
WOMAN_TAG = MSD.tags.index("female vocalists")


@dataclass(frozen=True, slots=True, kw_only=True)
class SureFacts:
    """What is certain about one song; a fact that is not certain is empty or None.

    Attributes
    ----------
    artist : str
        As its tag has it.
    year : int or None
        From a column ``year`` of the store.
    genre : str
        One of the ten: that of the file's own tag, or else the one that is clear by the sound;
        empty where the two differ.
    styles : tuple of str
        The same.
    version : {"", "instrumental", "voice", "voice alone"}
    singer : {"", "woman", "man"}
        Whose voice it is; only of a voice with instruments.
    bpm : float or None
        Right within 4 %, or by a factor of two.
    key, scale : str
    loudness_lufs : float or None
    """

    artist: str = ""
    year: int | None = None
    genre: str = ""
    styles: tuple[str, ...] = ()
    version: Version = ""
    singer: Singer = ""
    bpm: float | None = None
    key: str = ""
    scale: str = ""
    loudness_lufs: float | None = None


class _Heard(NamedTuple):
    """What the networks heard of n whole songs.

    `women` (n,) is the mean of the tag of women's voices, NaN for a song without.
    """

    women: FloatArray
    labels: FoundLabels | None

    def labels_of(self, place: int) -> dict[str, Any]:
        """Return the clear genre and styles of one song."""
        if self.labels is None:
            return {}
        names, found = SongLabels.shipped(), self.labels
        genre = names.genres[found.genre[place].argmax()] if found.genre_clear[place] else ""
        styles = tuple(names.styles[n] for n in np.flatnonzero(found.style_clear[place]))
        return {"genre": genre, "styles": styles} if genre or styles else {}


class FactReader:
    """Reads what is certain about songs of a store; what networks heard is read once, for all."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def of_rows(self, rows: Sequence[int] | Int64Array) -> list[SureFacts]:
        """Return what is certain about some songs, in the order of `rows`."""
        numbers = np.asarray(rows, np.int64)
        if not len(numbers):
            return []
        songs, vectors = self._store.rows(numbers.tolist()), self._store.read_rows(numbers)
        return self._facts(songs, vectors, self._heard, numbers)

    def of_songs(
        self,
        songs: Sequence[Mapping[str, Any]],
        vectors: FloatArray,
        lists: Mapping[str, Numbers],
    ) -> list[SureFacts]:
        """Return what is certain about songs that were extracted like those of the store.

        Parameters
        ----------
        songs : sequence of mapping
            Their columns; those that are missing are unknown.
        vectors : ndarray, shape (n, V)
        lists : mapping of str to ndarray, shape (n, W)
            Lists beside the vector, by column; empty for songs without.
        """
        labels = None
        if has_labels(self._store) and {EMBEDDING, TAGS} <= lists.keys():
            segments = np.asarray([song.get("segments") or 0 for song in songs], np.int64)
            labels = SongLabels.shipped().of(lists[EMBEDDING], lists[TAGS]).heard_long(segments)
        women = np.full(len(songs), np.nan, np.float32)
        if TAGS in lists:
            women = _women(lists[TAGS])
        return self._facts(songs, vectors, _Heard(women, labels), np.arange(len(songs)))

    @cached_property
    def _heard(self) -> _Heard:
        """What was heard of all songs of the store, read in blocks."""
        women = np.full(len(self._store), np.nan, np.float32)
        if TAGS in self._store.metadata.lists:
            for there, tags in self._store.list_blocks(TAGS):
                women[there] = _women(tags)
        return _Heard(women, stored_labels(self._store))

    def _facts(
        self,
        songs: Sequence[Mapping[str, Any]],
        vectors: FloatArray,
        heard: _Heard,
        places: Int64Array,
    ) -> list[SureFacts]:
        means = self._store.metadata.mean_columns(HEAD)
        found = []
        for n, (song, place) in enumerate(zip(songs, places, strict=True)):
            status, segments = str(song.get("status") or "ok"), int(song.get("segments") or 0)
            tags = _of_tags(song)
            if why_vector_not_music(self._store, vectors[n], status, segments):
                found.append(tags)
                continue
            version = _version({name: float(vectors[n, at]) for name, at in means.items()})
            singer = _singer(version, float(heard.women[place]))
            told = {**_labels(song, heard.labels_of(int(place))), **_measured(song)}
            found.append(replace(tags, version=version, singer=singer, **told))
        return found


def song_facts(store: VectorStore, rows: Sequence[int] | Int64Array) -> list[SureFacts]:
    """Return what is certain about some songs of a store, in the order of `rows`.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> [facts.artist for facts in song_facts(store, [0, 1])]
    ['Anna', 'Anna']
    """
    return FactReader(store).of_rows(rows)


def _labels(song: Mapping[str, Any], heard: dict[str, Any]) -> dict[str, Any]:
    """Return genre and styles of the file's own tag if it names any, and of the sound otherwise."""
    tag = tagged_genre(song.get(GENRE_TAG))
    if tag is None or not tag.is_known:
        return heard
    clear = [label for label in (heard.get("genre"), *heard.get("styles", ())) if label]
    if tag.agrees(clear, SongLabels.shipped().styles) is False:
        return {}
    own = [*(genre for genre in tag.genres if genre in clear), *tag.genres]
    genre, styles = heard.get("genre", ""), heard.get("styles", ())
    return {"genre": own[0] if own else genre, "styles": tag.styles or styles}


def _women(tags: Numbers) -> FloatArray:
    """Return the tag of women's voices of the tags (n, 50); NaN of those of another network."""
    if tags.shape[1] != len(MSD.tags):
        return np.full(len(tags), np.nan, np.float32)
    return tags[:, WOMAN_TAG].astype(np.float32)


def _of_tags(song: Mapping[str, Any]) -> SureFacts:
    year = song.get("year")
    return SureFacts(
        artist=" ".join((song.get("artist") or "").split()),
        year=year if isinstance(year, int) else None,
    )


def _measured(song: Mapping[str, Any]) -> dict[str, Any]:
    """Return tempo and key, where they are certain, and loudness."""
    bpm, key, scale = song.get("bpm") or 0.0, song.get("key"), song.get("scale")
    has_beat = bpm > 0 and (song.get("bpm_confidence") or 0.0) >= SURE
    in_key = (song.get("key_confidence") or 0.0) >= SURE and key in TONICS and scale in SCALES
    return {
        "bpm": float(bpm) if has_beat else None,
        "key": str(key) if in_key else "",
        "scale": str(scale) if in_key else "",
        "loudness_lufs": song.get("loudness_lufs"),
    }


def _version(means: Mapping[str, float]) -> Version:
    alone = means.get("vocal", 0.0)
    if alone >= ALONE:
        return "voice alone"
    if means.get("instrumental", 0.0) >= INSTRUMENTAL:
        return "instrumental"
    return "voice" if alone + means.get("vocal_accompaniment", 0.0) >= VOICED else ""


def _singer(version: Version, woman: float) -> Singer:
    """Say whose voice is heard; the tag takes a voice alone for a woman's."""
    if version != "voice":
        return ""
    return "woman" if woman >= WOMAN else "man" if woman <= MAN else ""
