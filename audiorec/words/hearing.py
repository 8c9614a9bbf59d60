"""What is heard in each song of a store, standardised over the library.

    store ──Hearing──▶ .column("Piano") (n,)   .column("genre.jazz")   .column("bpm")

Labels and tags come from the embedding; all of them are computed once and kept as float16, so that
a question multiplies a few columns only. Classes of the heads are log-odds: of versions by their
mean scores, of genres and styles by `audiorec.tagger.song_labels`.
A value says by how many standard deviations a song lies above the library's mean. In a small
library, mean and deviation lean on those of the audio that the labels were learnt from.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from threading import RLock

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.search.filters import mean_scores
from audiorec.search.stored_labels import has_labels
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import VOICED
from audiorec.tagger.song_labels import SongLabels
from audiorec.types import BoolArray, Float64Array, FloatArray
from audiorec.words.labels import Labels, shipped_labels

EMBEDDING = "embedding"
LEAN = 30  # songs that the usual mean and deviation count for
FLOOR = 1e-3  # of a mean score, before its log-odds
LARGEST = 4.0  # standard deviations
TOGETHER = 512  # songs whose labels are computed together: what fits into a processor's cache
STILL = 1e-6  # a column that varies less says nothing


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
                f"audiorec extract FOLDER --upgrade --out {store.path}"
            )
        self._place = {name: place for place, name in enumerate(self.labels.names)}
        self._columns: dict[str, FloatArray] = {}
        self._lock = RLock()  # a server's threads wait for the first question of all

    def __contains__(self, name: str) -> bool:
        """Return whether something of this name can be heard in songs of this store."""
        # Scores first: the first question computes them, whatever it asks for.
        with self._lock:
            return name in self._scores or name in self._place or name in ("bpm", "loud")

    @cached_property
    def known(self) -> BoolArray:
        """Which songs have an embedding: shape (n,)."""
        with self._lock:
            return self._heard[0]

    def column(self, name: str) -> FloatArray:
        """Return by how much each song has it: (n,), float32; 0 for the library's mean."""
        with self._lock:
            if name not in self._columns:
                if name in self._place:
                    found = self._heard[1][self._place[name]].astype(np.float32)
                else:
                    number = name in ("bpm", "loud")
                    values = self._number(name) if number else self._scores[name]
                    found = standardised(values, self.known)
                self._columns[name] = found
            return self._columns[name]

    @cached_property
    def _heard(self) -> tuple[BoolArray, npt.NDArray[np.float16]]:
        """Which songs have an embedding, (n,), and all labels of all songs: (L, n)."""
        n, labels = len(self._store), self.labels
        known, heard = np.zeros(n, np.bool_), np.zeros((len(labels.names), n), np.float16)
        for rows, values in self._store.list_blocks(EMBEDDING):
            known[rows] = True
            for part in parts(len(rows)):
                z = (labels.logits(values[part]) - labels.usual) / np.maximum(labels.spread, STILL)
                heard[:, rows[part]] = z.T
        share = known.sum() / (known.sum() + LEAN)
        for row in heard:  # one label at a time: there may be a million songs
            there = row[known].astype(np.float64)
            mean = share * there.mean()
            spread = np.sqrt(share * np.square(there - mean).mean() + 1 - share)
            row[known] = np.clip((there - mean) / spread, -LARGEST, LARGEST)
        return known, heard

    @cached_property
    def _scores(self) -> Mapping[str, Float64Array]:
        """The log-odds of each class's mean score, of a voice, and of genres and styles: (n,) each.

        Genres are those of whole songs, where the store has what they are read from.
        """
        if "mean" not in self._store.metadata.statistics:
            return {}
        names = [name.replace("/", ".", 1) for name in self._store.metadata.classes]
        means = mean_scores(self._store).astype(np.float64)
        found = {name: means[:, place] for place, name in enumerate(names)}
        voiced = [found[f"version.{name}"] for name in VOICED if f"version.{name}" in found]
        if voiced:
            found["version.voiced"] = np.sum(voiced, axis=0)
        if has_labels(self._store):
            found |= self._genres()
        return {name: log_odds(values) for name, values in found.items()}

    def _genres(self) -> Mapping[str, Float64Array]:
        """Return the probabilities of genres and styles of whole songs: (n,) each, NaN without."""
        head = SongLabels.shipped()
        names = (*head.genres, *head.styles)
        found = np.full((len(names), len(self._store)), np.nan)
        columns = (self._store.list_blocks(name) for name in (EMBEDDING, "heard_tags"))
        for (rows, embedding), (_, tags) in zip(*columns, strict=True):
            for part in parts(len(rows)):
                songs = head.of(embedding[part], tags[part])
                found[:, rows[part]] = np.concatenate([songs.genre, songs.styles], axis=1).T
        return {f"genre.{name}": row for name, row in zip(names, found, strict=True)}

    def _number(self, name: str) -> Float64Array:
        """Return the logarithm of the tempo, or the loudness: (n,), NaN where unknown."""
        column = "bpm" if name == "bpm" else "loudness_lufs"
        if name == "bpm" and name not in self._store.metadata.attributes:
            return np.full(len(self._store), np.nan)
        values = [np.nan if v is None else v for v in self._store.column(column).to_pylist()]
        numbers = np.asarray(values, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(numbers) if name == "bpm" else numbers


def parts(count: int) -> Iterator[slice]:
    """Yield slices over so many songs, `TOGETHER` at a time."""
    yield from (slice(start, start + TOGETHER) for start in range(0, count, TOGETHER))


def log_odds(scores: Float64Array) -> Float64Array:
    """Return the log-odds of mean scores, bounded."""
    inside = np.clip(scores, FLOOR, 1 - FLOOR)
    found: Float64Array = np.log(inside / (1 - inside))
    return found


def standardised(values: Float64Array, among: BoolArray) -> FloatArray:
    """Return values (n,) less their mean, over their deviation, among some; 0 where unknown."""
    good = np.isfinite(values)
    there = values[good & among]
    if len(there) == 0 or there.std() < STILL:
        return np.zeros(len(values), np.float32)
    scaled = (np.where(good, values, there.mean()) - there.mean()) / there.std()
    found: FloatArray = np.clip(scaled, -LARGEST, LARGEST).astype(np.float32)
    return found
