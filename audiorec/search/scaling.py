"""Scale vectors so that the cosine of two songs is meaningful: standardise, weight, normalise.

    (V,) ──log-odds of some──standardise──weight──discount narrow-band changes──unit length──▶ (W,)
    store  ──sound_units, vector_units, learnt_units──▶ `LoadedUnits`: rows (m,), units (m, W)
    store, by, scaling  ──units_reader──▶ rows (Q,) ──▶ units (Q, W)

A `Weighting` is the request; `fit` reads all songs once and returns the `Scaling`, which can
prepare any vector, from the store or not. Sound and learnt embeddings are compared by the cosine as
they are, so that nothing is fitted, and songs that are added change no similarity.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from audiorec.errors import (
    InputError,
    MissingWeightsError,
    ShapeError,
    SpecMismatchError,
    StoreError,
    WeightsError,
)
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.schema import StoreMetadata
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import data_folder
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array

FILE = "narrowing.safetensors"
METADATA_KEY = "audiorec_narrowing"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BandwidthEffect:
    """Second moment of the changes that a limited bandwidth makes to the vectors of some heads.

    Limited bandwidth (a telephone line, an old codec, 8 kHz) shifts a song's scores along typical
    directions; these count less. The file beside the heads holds the mean of the outer products of
    these shifts, measured by ``scripts/heads/train_heads.py`` on music from packages. It is valid
    for the shipped heads only; a store of other heads is searched without it.

    Attributes
    ----------
    heads : tuple of str
        SHA-256 of the heads' weights, in order.
    statistics, log_odds : tuple of str
        The statistics in order, and those that enter as log-odds.
    moment : ndarray, shape (V, V), float64
        Mean product of the changes of two columns.
    """

    heads: tuple[str, ...]
    statistics: tuple[str, ...]
    log_odds: tuple[str, ...]
    moment: Float64Array

    def __post_init__(self) -> None:
        width = self.moment.shape[0]
        if self.moment.shape != (width, width) or not np.isfinite(self.moment).all():
            raise ShapeError(f"a finite square matrix expected, got {self.moment.shape}")

    def fits(self, metadata: StoreMetadata) -> bool:
        """Return whether this belongs to the heads and statistics of a store."""
        heads = [w["sha256"] for w in metadata.weights if w["name"].startswith("head_")]
        width = len(metadata.classes) * len(metadata.statistics)
        same = (self.heads, self.statistics) == (tuple(heads), tuple(metadata.statistics))
        return same and len(self.moment) == width

    def save(self, path: Path | str) -> None:
        """Write this to one safetensors file."""
        about = {
            "format": FORMAT_VERSION,
            "heads": self.heads,
            "statistics": self.statistics,
            "log_odds": self.log_odds,
        }
        tensors = {"moment": np.ascontiguousarray(self.moment, np.float32)}
        Path(path).write_bytes(save(tensors, {METADATA_KEY: json.dumps(about, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path | str) -> "BandwidthEffect":
        """Read a file written by `save`.

        Raises
        ------
        WeightsError
            If the file is missing, damaged, or of another format.
        """
        try:
            with safe_open(str(path), framework="numpy") as file:
                about = json.loads((file.metadata() or {})[METADATA_KEY])
                moment = file.get_tensor("moment").astype(np.float64)
            if about["format"] != FORMAT_VERSION:
                raise ValueError(
                    f"format {about['format']!r}; this audiorec reads {FORMAT_VERSION}"
                )
            named = {n: tuple(map(str, about[n])) for n in ("heads", "statistics", "log_odds")}
            return cls(moment=moment, **named)
        except FileNotFoundError as error:
            raise MissingWeightsError(f"{path}: no such file") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error


@cache
def _shipped() -> BandwidthEffect:
    return BandwidthEffect.load(data_folder() / FILE)


def bandwidth_effect(metadata: StoreMetadata) -> BandwidthEffect | None:
    """Return the shipped `BandwidthEffect` if it fits the heads of a store, else None."""
    result = _shipped()
    return result if result.fits(metadata) else None


By = Literal["sound", "vector", "mean", "learnt"]

# Yields all rows in blocks (rows, V), anew at each call, so vectors need not fit in memory.
Blocks = Callable[[], Iterable[FloatArray]]

# One weight per statistic, chosen on training tracks (docs/decisions/0006-similarity.md). The
# shape of a score's distribution over time (variance, kurtosis, skewness) tells two songs apart
# but not two kinds of music: at any weight it only adds noise.
DEFAULT_WEIGHTS = {
    "max": 0.75,
    "min": 0.75,
    "mean": 1.0,
    "variance": 0.0,
    "kurtosis": 0.0,
    "skewness": 0.0,
}
LOG_ODDS = ("max", "min")  # statistics that enter as log-odds
WEIGHTS_BY: dict[By, dict[str, float]] = {"vector": DEFAULT_WEIGHTS, "mean": {"mean": 1.0}}
# Keeps the log-odds of 0 and 1 finite. It is about the resolution of float32 next to 1; with a
# coarser floor fewer songs find themselves again (docs/decisions/0006-similarity.md).
LOG_ODDS_FLOOR = 1e-6
# How strongly directions of narrow-band changes are discounted (docs/decisions/0040).
LOOKED_PAST = 30.0
# A column whose standard deviation is below this fraction of its largest value holds only
# rounding noise, and is left unscaled.
CONSTANT_SPREAD = 1e-6
# Below this length, in weighted standard deviations, a vector's direction is rounding noise.
NO_DIRECTION = 1e-6
BLOCK_ROWS = 16_384  # rows per block, which bounds the float64 copy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighting:
    """Weight and form of each column in a comparison.

    A song's largest and smallest scores enter as log-odds: 0.001 and 0.01 are far apart for a
    smallest score, but nearly equal as probabilities. Figures: docs/benchmarks/similar.md.
    """

    weights: Float64Array  # (V,): not negative, at least one above 0; 0 drops a column
    log_odds: BoolArray  # (V,): columns that hold probabilities and enter as ``log(p / (1 - p))``
    # (V, V): second moment of the changes to discount, for columns in the form in which they
    # enter; None to discount nothing
    moment: Float64Array | None = None

    def __post_init__(self) -> None:
        if self.weights.ndim != 1 or self.weights.shape != self.log_odds.shape:
            raise ShapeError(
                f"weights and log_odds must have one shape (V,), got {self.weights.shape} and "
                f"{self.log_odds.shape}"
            )
        if self.moment is not None and self.moment.shape != 2 * self.weights.shape:
            raise ShapeError(
                f"moment must have shape {2 * self.weights.shape}, got {self.moment.shape}"
            )
        if not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise InputError("weights must be finite and not negative")
        if not self.weights.any():
            raise InputError("weights must be finite and not negative, and one of them above 0")

    @classmethod
    def of_store(
        cls, metadata: StoreMetadata, by: By = "vector", weights: Sequence[float] | None = None
    ) -> "Weighting":
        """Return the weights for all classes, given one per statistic; by default those of `by`.

        The defaults for "vector" also discount narrow-band changes, if known for these heads.
        """
        names, n_classes = metadata.statistics, len(metadata.classes)
        known = bandwidth_effect(metadata) if weights is None and by == "vector" else None
        log_odds = LOG_ODDS if known is None else known.log_odds
        if weights is None:
            weights = [WEIGHTS_BY[by].get(name, 0.0) for name in names]
        if len(weights) != len(names):
            raise ShapeError(
                f"expected {len(names)} weights, one per statistic, got {len(weights)}"
            )
        return cls(
            weights=np.tile(np.asarray(weights, np.float64), n_classes),
            log_odds=np.tile([name in log_odds for name in names], n_classes),
            moment=None if known is None else known.moment,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """Scale and centre of each column, learnt from a store by `fit`; prepares vectors.

    Columns of weight 0 are dropped, so W is the number of weights above 0. A song that is average
    in every column has no direction: its prepared vector is 0, and it is similar to no song.
    """

    width: int  # V, the length of an unprepared vector
    columns: Int64Array  # (W,): the source column of each number in a prepared vector
    # (W,): applied as ``(x - centre) / spread * weights``; x are log-odds where `log_odds` is True
    weights: Float64Array
    log_odds: BoolArray  # (W,)
    centre: Float64Array  # (W,)
    spread: Float64Array  # (W,)
    mix: Float64Array | None = None  # (W, W), symmetric: multiplies the weighted columns

    @classmethod
    def plain(cls, width: int) -> "Scaling":
        """Return the scaling that only brings numbers to length 1."""
        ones, zeros = np.ones(width), np.zeros(width)
        return cls(
            width=width,
            columns=np.arange(width),
            weights=ones,
            log_odds=np.zeros(width, np.bool_),
            centre=zeros,
            spread=ones,
        )

    def prepare(self, vectors: FloatArray) -> FloatArray:
        """Prepare vectors (Q, V): log-odds, standardise, weight, normalise; (Q, W), float32.

        A vector that is average in every column becomes 0. Raises `ShapeError` for another
        length, `InputError` for a number that is NaN or infinite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise ShapeError(f"vectors must have shape (Q, {self.width}), got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise InputError("a vector to compare with has a number that is NaN or infinite")
        z = _used(vectors, self.columns, self.log_odds)
        z -= self.centre
        z *= self.weights / self.spread
        if self.mix is not None:
            z = z @ self.mix
        length = np.sqrt(np.einsum("ij,ij->i", z, z))
        some = length > NO_DIRECTION
        z *= np.where(some, 1.0 / np.where(some, length, 1.0), 0.0)[:, None]
        return z.astype(np.float32)

    def prepare_all(self, blocks: Iterable[FloatArray], rows: int) -> FloatArray:
        """Prepare blocks with `rows` rows in total into one array."""
        units = np.empty((rows, len(self.columns)), np.float32)
        start = 0
        for block in _cut(blocks):
            units[start : start + len(block)] = self.prepare(block)
            start += len(block)
        return units

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values, without `mix` if it is None."""
        arrays = {name: getattr(self, name) for name in self.__slots__ if name != "width"}
        lists = {name: array.tolist() for name, array in arrays.items() if array is not None}
        return {"width": self.width, **lists}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Scaling":
        """Read the result of `to_dict`; raise `StoreError` for anything else."""
        kinds = {"columns": np.int64, "log_odds": np.bool_}
        try:
            width = int(content["width"])
            arrays: dict[str, Any] = {
                name: np.array(content[name], kinds.get(name, np.float64))
                for name in cls.__slots__
                if name not in ("width", "mix")
            }
            mix = None if content.get("mix") is None else np.array(content["mix"], np.float64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"the scaling is damaged: {error!r}") from error
        shapes = {array.shape for array in arrays.values()}
        columns = arrays["columns"]
        good = len(shapes) == 1 and columns.ndim == 1 and len(columns) > 0
        good = good and bool((columns >= 0).all() and (columns < width).all())
        numbers = [arrays[name] for name in ("weights", "centre", "spread")]
        good = good and all(bool(np.isfinite(array).all()) for array in numbers)
        if mix is not None:
            good = good and mix.shape == 2 * columns.shape and bool(np.isfinite(mix).all())
        if not good or (arrays["spread"] <= 0).any():
            raise StoreError("the scaling is damaged: its fields contradict each other")
        return cls(width=width, mix=mix, **arrays)


def fit_units(blocks: Blocks, rows: int, weighting: Weighting) -> tuple[Scaling, FloatArray]:
    """Fit the scaling on all songs, and prepare them block by block: units (rows, W)."""
    scaling = fit(blocks, weighting)
    return scaling, scaling.prepare_all(blocks(), rows)


def fit(blocks: Blocks, weighting: Weighting) -> Scaling:
    """Learn the centre and spread of each column in one pass over blocks (rows, V)."""
    width = len(weighting.weights)
    columns = np.flatnonzero(weighting.weights)
    log_odds = weighting.log_odds[columns]
    plain = _Moments(width)
    odds = _Moments(int(log_odds.sum()))
    for block in _cut(blocks()):
        if block.shape[1] != width:
            raise ShapeError(
                f"vectors (n, V) and weights (V,) expected, got {block.shape}, {width}"
            )
        plain.add(block.astype(np.float64))
        odds.add(_used(block, columns[log_odds], np.ones(odds.width, np.bool_)))
    centre, spread = plain.mean[columns], plain.std()[columns]
    centre[log_odds], spread[log_odds] = odds.mean, odds.std()
    weights = weighting.weights[columns]
    moment = None if weighting.moment is None else weighting.moment[np.ix_(columns, columns)]
    return Scaling(
        width=width,
        columns=columns,
        weights=weights,
        log_odds=log_odds,
        centre=centre,
        spread=spread,
        mix=None if moment is None else _turned(moment, weights / spread),
    )


def _turned(moment: Float64Array, scale: Float64Array) -> Float64Array:
    """Return the symmetric matrix that shrinks the directions of unwanted changes.

    A direction in which the mean square change is 1 is shrunk by the square root of
    ``1 + LOOKED_PAST``; unaffected directions are kept, so columns keep their meaning.
    """
    metric = np.eye(len(scale)) + LOOKED_PAST * moment * np.outer(scale, scale)
    values, directions = np.linalg.eigh(metric)
    return directions / np.sqrt(values) @ directions.T


class _Moments:
    """Running mean and deviation of columns by Chan's formula, which is numerically stable."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.n = 0
        self.mean, self._squares, self._largest = (np.zeros(width) for _ in range(3))

    def add(self, block: Float64Array) -> None:
        """Add a block of shape (rows, width)."""
        if len(block) == 0 or self.width == 0:
            return
        self._largest = np.maximum(self._largest, np.maximum(block.max(0), -block.min(0)))
        mean = block.mean(axis=0)
        block = block - mean
        squares = np.einsum("ij,ij->j", block, block)
        total = self.n + len(block)
        shift = mean - self.mean
        self._squares += squares + shift * shift * (self.n * len(block) / total)
        self.mean = self.mean + shift * (len(block) / total)
        self.n = total

    def std(self) -> Float64Array:
        """Return the population standard deviation, 1 for a constant column."""
        std = np.sqrt(self._squares / max(1, self.n))
        return np.where(std <= CONSTANT_SPREAD * self._largest, 1.0, std)


def _used(vectors: FloatArray, columns: Int64Array, log_odds: BoolArray) -> Float64Array:
    """Return a float64 copy of the columns, as log-odds where `log_odds` is True."""
    used: Float64Array = vectors[:, columns].astype(np.float64)
    if log_odds.any():
        p = np.clip(used[:, log_odds], 0.0, 1.0)
        used[:, log_odds] = np.log((p + LOG_ODDS_FLOOR) / (1.0 + LOG_ODDS_FLOOR - p))
    return used


def _cut(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Cut blocks into pieces of at most `BLOCK_ROWS` rows."""
    for block in blocks:
        for start in range(0, len(block), BLOCK_ROWS):
            yield block[start : start + BLOCK_ROWS]


SOUND: Literal["sound"] = "sound"
LEARNT: Literal["learnt"] = "learnt"
INDEXED: tuple[By, ...] = (SOUND, "vector")  # spaces that may have an index
OFF_LENGTH = 1e-3  # lengths are rounded to float32 when they are stored
UnitsReader = Callable[[Sequence[int] | Int64Array], FloatArray]


class LoadedUnits(NamedTuple):
    """The songs of a space: rows of the store (m,), units (m, W), and what prepares others."""

    rows: Int64Array
    units: FloatArray
    scaling: Scaling


def usual_space(store: VectorStore) -> By:
    """Return what the songs of a store are compared by unless asked: sound if any song has it."""
    return "sound" if store.songs_with(SOUND) else "vector"


def sound_units(store: VectorStore) -> LoadedUnits:
    """Return the songs that have a sound, as it is stored.

    A song that was extracted without one is never found.

    Raises
    ------
    InputError
        If the store has no such column.
    StoreError
        If a sound is not of length 1 or 0, or the file is damaged.
    """
    rows = np.empty(len(store), np.int64)
    units = np.empty((len(store), store.metadata.lists.get(SOUND, 0)), np.float32)
    end = 0
    for there, values in store.list_blocks(SOUND):
        start, end = end, end + len(there)
        rows[start:end], units[start:end] = there, _checked(store, there, values)
    return LoadedUnits(rows[:end], units[:end], Scaling.plain(units.shape[1]))


def vector_units(store: VectorStore, weighting: Weighting) -> LoadedUnits:
    """Return all songs by their vectors, scaled over the store."""
    scaling, units = fit_units(store.blocks, len(store), weighting)
    return LoadedUnits(np.arange(len(store)), units, scaling)


def learnt_units(store: VectorStore, path: Path) -> LoadedUnits:
    """Return the songs of a file of embeddings that the store has.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another kind.
    SpecMismatchError
        If it was made from a store of another extractor.
    """
    table = EmbeddingTable.open(path, kind="songs")
    ids, values, extractor_id = table.id_array, table.embeddings, table.metadata.extractor_id
    if extractor_id and extractor_id != store.metadata.extractor_id:
        raise SpecMismatchError(
            f"{path} was made by extractor {extractor_id}, {store.path} by "
            f"{store.metadata.extractor_id}: embed the songs of this store (audiorec recall songs "
            "MODEL)"
        )
    rows = IdMap(store.id_array).rows(ids)
    places = np.flatnonzero(rows >= 0)
    places = places[np.argsort(rows[places], kind="stable")]
    scaling = Scaling.plain(values.shape[1])  # embeddings were trained for the plain cosine
    return LoadedUnits(rows[places], scaling.prepare_all([values[places]], len(places)), scaling)


def units_reader(store: VectorStore, by: By, scaling: Scaling) -> UnitsReader:
    """Return what reads the units of some rows in the space of sound, or of vectors."""
    if by != SOUND:
        return lambda numbers: scaling.prepare_all([store.read_rows(numbers)], len(numbers))

    def read(numbers: Sequence[int] | Int64Array) -> FloatArray:
        wanted = np.asarray(numbers, np.int64)
        units = np.zeros((len(wanted), scaling.width), np.float32)
        there, values = store.list_rows(SOUND, wanted)
        units[there] = _checked(store, wanted[there], values)
        return units

    return read


def _checked(store: VectorStore, rows: Int64Array, values: FloatArray) -> FloatArray:
    """Return the sounds of some rows if each is of length 1, or 0 for no direction."""
    squares = np.einsum("ij,ij->i", values, values)
    wrong = (np.abs(squares - 1.0) > OFF_LENGTH) & (squares != 0)
    if wrong.any():
        song_id = store.id_array[int(rows[int(wrong.argmax())])].as_py()
        raise StoreError(
            f"{store.path}: the sound of {song_id!r} is not of length 1: the file is damaged; "
            "extract it again: audiorec extract FOLDER --overwrite"
        )
    return values
