"""What is heard in each song of a store, standardised over the library.

    store ──Hearing──▶ .column("Piano") (n,)   .column("genre.jazz")   .column("bpm")

Labels and tags come from the embedding; all of them are computed once and kept as float16, so that
a question multiplies a few columns only. Classes of the heads are log-odds of their mean scores.
A value says by how many standard deviations a song lies above the library's mean. In a small
library, mean and deviation lean on those of the audio that the labels were learnt from.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.search.filters import mean_scores
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import VOICED
from audiorec.types import BoolArray, Float64Array, FloatArray
from audiorec.words.labels import Labels, shipped_labels

EMBEDDING = "embedding"
LEAN = 30  # songs that the usual mean and deviation count for
FLOOR = 1e-3  # of a mean score, before its log-odds
LARGEST = 4.0  # standard deviations
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

    def __contains__(self, name: str) -> bool:
        """Return whether something of this name can be heard in songs of this store."""
        return name in self._place or name in self._scores or name in ("bpm", "loud")

    @cached_property
    def known(self) -> BoolArray:
        """Which songs have an embedding: shape (n,)."""
        return self._heard[0]

    def column(self, name: str) -> FloatArray:
        """Return by how much each song has it: (n,), float32; 0 for the library's mean."""
        if name not in self._columns:
            if name in self._place:
                self._columns[name] = self._heard[1][self._place[name]].astype(np.float32)
            else:
                values = self._number(name) if name in ("bpm", "loud") else self._scores[name]
                self._columns[name] = standardised(values, self.known)
        return self._columns[name]

    @cached_property
    def _heard(self) -> tuple[BoolArray, npt.NDArray[np.float16]]:
        """Which songs have an embedding, (n,), and all labels of all songs: (L, n)."""
        n, labels = len(self._store), self.labels
        known, logits = np.zeros(n, np.bool_), np.zeros((len(labels.names), n), np.float32)
        for rows, values in self._store.list_blocks(EMBEDDING):
            known[rows] = True
            logits[:, rows] = labels.logits(values).T
        there = logits[:, known]
        count = there.shape[1]
        share = count / (count + LEAN)
        mean = share * there.mean(axis=1) + (1 - share) * labels.usual
        square = np.square(there - mean[:, None]).mean(axis=1)
        spread = np.sqrt(share * square + (1 - share) * np.square(labels.spread))
        logits -= mean[:, None]
        logits /= np.maximum(spread, STILL)[:, None]
        np.clip(logits, -LARGEST, LARGEST, out=logits)
        return known, logits.astype(np.float16)

    @cached_property
    def _scores(self) -> Mapping[str, Float64Array]:
        """The log-odds of the mean score of each class, and of a voice: (n,) each."""
        if "mean" not in self._store.metadata.statistics:
            return {}
        names = [name.replace("/", ".", 1) for name in self._store.metadata.classes]
        means = mean_scores(self._store).astype(np.float64)
        found = {name: means[:, place] for place, name in enumerate(names)}
        voiced = [found[f"version.{name}"] for name in VOICED if f"version.{name}" in found]
        if voiced:
            found["version.voiced"] = np.sum(voiced, axis=0)
        return {name: log_odds(values) for name, values in found.items()}

    def _number(self, name: str) -> Float64Array:
        """Return the logarithm of the tempo, or the loudness: (n,), NaN where unknown."""
        column = "bpm" if name == "bpm" else "loudness_lufs"
        if name == "bpm" and name not in self._store.metadata.attributes:
            return np.full(len(self._store), np.nan)
        values = [np.nan if v is None else v for v in self._store.column(column).to_pylist()]
        numbers = np.asarray(values, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(numbers) if name == "bpm" else numbers


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
