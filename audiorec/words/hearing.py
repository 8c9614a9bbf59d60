"""What is heard in each song of a store, standardised over the library.

    store ──Hearing──▶ .columns(["Piano", "genre.jazz", "bpm"]): (n,) each

Labels and tags come from the embedding: the few numbers that all of them follow from are computed
once, and a label when a question names it. Classes of the heads are log-odds: of versions by their
mean scores, of genres and styles by `audiorec.tagger.song_labels`.
A value says by how many standard deviations a song lies above the library's mean. In a small
library, mean and deviation lean on those of the audio that the labels were learnt from.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from threading import RLock

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.search.filters import mean_scores
from audiorec.search.similar import OpenedSong
from audiorec.search.stored_labels import has_labels, said_genres
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import VOICED
from audiorec.tagger.song_labels import SongLabels
from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, Float64Array, FloatArray, Numbers
from audiorec.words.labels import EMBEDDING, Labels, shipped_labels

LEAN = 30  # songs that the usual mean and deviation count for
NUMBERS = {"bpm": "bpm", "loud": "loudness_lufs"}  # columns of the store
FLOOR = 1e-3  # of a mean score, before its log-odds
LARGEST = 4.0  # standard deviations
Scale = tuple[float, float]  # mean and deviation
STILL = 1e-6  # what varies less says nothing
TOGETHER = 512  # songs whose labels are computed together: what fits into a processor's cache


class Hearing:
    """What is heard in the songs of a store.

    Parameters
    ----------
    store : VectorStore
    labels : Labels, optional
        By default the shipped ones.

    Raises
    ------
    InputError
        If the store has no embedding of the network that the labels read.
    """

    def __init__(self, store: VectorStore, labels: Labels | None = None) -> None:
        self.labels = shipped_labels() if labels is None else labels
        self._store = store
        sound = store.metadata.sound_id
        if not store.songs_with(EMBEDDING) or not self.labels.sound_sha256.startswith(sound):
            why = "its songs have no embedding" if not sound else "another network made its sound"
            raise InputError(
                f"{store.path}: songs cannot be found by words: {why}; add what is needed: "
                f"audiorec extract FOLDER --overwrite --out {store.path}"
            )
        self._place = {name: index for index, name in enumerate(self.labels.names)}
        self._columns: dict[str, FloatArray] = {}
        self._scales: dict[str, Scale] = {}
        self._told: dict[str, Float64Array] = {}
        self._lock = RLock()  # a server's threads wait for the first question of all

    def __contains__(self, name: str) -> bool:
        """Return whether something of this name can be heard in songs of this store."""
        known = (self._place, NUMBERS, self._genres, self._classes, self._told)
        return any(name in one for one in known)

    def tell(self, name: str, values: Float64Array) -> None:
        """Say by how much each song (n,) has something that only the library knows, of any scale.

        For example how near songs are to an artist of the library.
        """
        with self._lock:
            self._told.setdefault(name, values)

    @cached_property
    def known(self) -> BoolArray:
        """Which songs have an embedding: shape (n,)."""
        with self._lock:
            return self._heard[0]

    def columns(self, names: Collection[str]) -> list[FloatArray]:
        """Return by how much each song has each of them: (n,), float32; 0 for the usual."""
        with self._lock:
            new = [name for name in names if name not in self._columns]
            for name, values in zip(new, self._raw(new), strict=True):
                scale = scale_of(values, self.known, LEAN if name in self._place else 0)
                self._scales[name] = scale
                self._columns[name] = standardised(values, self.known, scale)
            return [self._columns[name] for name in names]

    def levels(self, name: str) -> Float64Array:
        """Return what each song has, in its own units: (n,), within `LARGEST` of the usual."""
        with self._lock:
            column = self.columns([name])[0].astype(np.float64)
            mean, spread = self._scales[name]
            return mean + column * (spread if np.isfinite(spread) else 0.0)

    def of_songs(self, name: str, songs: Sequence[OpenedSong]) -> FloatArray:
        """Return by how much songs that are not in the store have it: (m,), float32."""
        with self._lock:
            self.columns([name])
            result = np.array([self._raw_of(name, song) for song in songs], np.float64)
            return standardised(result, np.ones(len(result), np.bool_), self._scales[name])

    def _raw(self, names: Sequence[str]) -> list[npt.NDArray[np.floating]]:
        """Return what each song has of each name, in its own units; labels are made together."""
        own = [name for name in names if name in self._place]
        labels = self.labels.heard(self._heard[1], [self._place[name] for name in own])
        heard = dict(zip(own, labels, strict=True))
        return [heard[name] if name in heard else self._raw_one(name) for name in names]

    def _raw_one(self, name: str) -> Float64Array:
        if name in self._told:
            return self._told[name]
        if name in NUMBERS:
            return self._number(name)
        if name in self._genres:
            return log_odds(self._heard[2][:, self._genres.index(name)])
        return log_odds(self._classes[name])

    def _raw_of(self, name: str, song: OpenedSong) -> float:
        """Return the same of a song that is not in the store as `_raw` of one that is."""
        embedding = np.asarray(song.lists[EMBEDDING])[None]
        if name in self._place:
            numbers = self.labels.numbers(embedding)
            return float(self.labels.heard(numbers, [self._place[name]])[0, 0])
        if name in self._told:
            return np.nan
        if name in NUMBERS:
            value = song.entry.get(NUMBERS[name])
            return float(_as_heard(name, np.array([np.nan if value is None else value]))[0])
        statistics = self._store.metadata.statistics
        means = song.vector[statistics.index("mean") :: len(statistics)]
        if name in self._genres:
            tags = np.asarray(song.lists["heard_tags"])[None]
            return float(log_odds(_genres(embedding, tags)[0])[self._genres.index(name)])
        return float(log_odds(self._classes_of(means[None].astype(np.float64))[name])[0])

    @cached_property
    def _heard(self) -> tuple[BoolArray, FloatArray, Float64Array]:
        """Which songs have an embedding (n,), numbers for labels (n, R + 50), genres (n, G).

        Genres and styles are probabilities, NaN without an embedding.
        """
        n = len(self._store)
        known = np.zeros(n, np.bool_)
        numbers = np.zeros((n, len(self.labels.outer) + len(MSD.tags)), np.float32)
        genres = np.full((n, len(self._genres)), np.nan)
        columns = (EMBEDDING, "heard_tags") if self._genres else (EMBEDDING,)
        for (rows, embedding), *tags in zip(*map(self._store.list_blocks, columns), strict=True):
            known[rows] = True
            for start in range(0, len(rows), TOGETHER):
                part = slice(start, start + TOGETHER)
                numbers[rows[part]] = self.labels.numbers(embedding[part])
                if tags:
                    genres[rows[part]] = _genres(embedding[part], tags[0][1][part])
        codes, statements = said_genres(self._store)
        for code in np.flatnonzero(list(map(bool, statements))).tolist():
            is_named = [statements[code].is_one_of([n[6:]]) for n in self._genres]
            genres[codes == code] = np.where(is_named, 1.0, 0.0)  # `log_odds` bounds them
        return known, numbers, genres

    @cached_property
    def _genres(self) -> tuple[str, ...]:
        """The genres and styles of whole songs, where the store has what they are read from."""
        head = SongLabels.shipped() if has_labels(self._store) else None
        return tuple(f"genre.{name}" for name in (*head.genres, *head.styles)) if head else ()

    @cached_property
    def _classes(self) -> Mapping[str, Float64Array]:
        """The mean score of each class of the store, and of a voice: (n,) each."""
        if "mean" not in self._store.metadata.statistics:
            return {}
        means = mean_scores(self._store).astype(np.float64)
        names = self._store.metadata.classes
        of_version = [n for n, name in enumerate(names) if name.startswith("version/")]
        for row, value in self._store.corrections["version"].items():
            means[row, of_version] = [names[n] == f"version/{value}" for n in of_version]
        return self._classes_of(means)

    def _classes_of(self, means: Float64Array) -> dict[str, Float64Array]:
        """Return the mean scores (m,) of each class, and of a voice, of mean scores (m, C)."""
        names = [name.replace("/", ".", 1) for name in self._store.metadata.classes]
        classes = {name: means[:, index] for index, name in enumerate(names)}
        voiced = [classes[f"version.{name}"] for name in VOICED if f"version.{name}" in classes]
        if voiced:
            classes["version.voiced"] = np.sum(voiced, axis=0)
        return classes

    def _number(self, name: str) -> Float64Array:
        """Return the logarithm of the tempo, or the loudness: (n,), NaN where unknown."""
        if name == "bpm" and name not in self._store.metadata.attributes:
            return np.full(len(self._store), np.nan)
        values = self._store.column(NUMBERS[name]).to_pylist()
        return _as_heard(name, np.array([np.nan if v is None else v for v in values], np.float64))


def _as_heard(name: str, values: Float64Array) -> Float64Array:
    """Return a tempo's logarithm, and a loudness as it is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(values) if name == "bpm" else values


def _genres(embedding: Numbers, tags: Numbers) -> Float64Array:
    """Return the probabilities of genres and styles of whole songs: (m, G)."""
    songs = SongLabels.shipped().of(embedding, tags)
    return np.concatenate([songs.genre, songs.styles], axis=1, dtype=np.float64)


def log_odds(scores: Float64Array) -> Float64Array:
    """Return the log-odds of mean scores, bounded."""
    inside = np.clip(scores, FLOOR, 1 - FLOOR)
    return np.log(inside / (1 - inside))


def scale_of(values: npt.NDArray[np.floating], among: BoolArray, lean: int = 0) -> Scale:
    """Return mean and deviation of values (n,) among some; 0 and 1 count for `lean` songs."""
    there = values[among & np.isfinite(values)].astype(np.float64)
    if not len(there):
        return 0.0, np.inf
    share = len(there) / (len(there) + lean)
    mean = share * float(there.mean())
    spread = float(np.sqrt(share * np.square(there - mean).mean() + 1 - share))
    return mean, spread if spread >= STILL else np.inf


def standardised(
    values: npt.NDArray[np.floating], among: BoolArray, scale: Scale | None = None
) -> FloatArray:
    """Return values (n,) less a mean, over a deviation, by default theirs; 0 where unknown."""
    mean, spread = scale_of(values, among) if scale is None else scale
    there = among & np.isfinite(values)
    result = np.zeros(len(values), np.float32)
    result[there] = np.clip((values[there].astype(np.float64) - mean) / spread, -LARGEST, LARGEST)
    return result
