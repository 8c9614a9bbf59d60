"""Turn what is stored of songs into units, so that the cosine of two songs is meaningful.

    (V,) ──three statistics as log-odds──centre, spread, weight──discount narrow bands──▶ (W,)
    store  ──sound_units, vector_units, learnt_units──▶ `LoadedUnits`: rows (m,), units (m, W)

Nothing is fitted to a store: songs that are added change no similarity, and the units of two
stores of the same heads compare. Sound and learnt embeddings are compared as they are.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
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
from audiorec.types import Float64Array, FloatArray, IdMap, Int64Array

By = Literal["sound", "vector", "learnt"]
SOUND: Literal["sound"] = "sound"
LEARNT: Literal["learnt"] = "learnt"

# The statistics that are compared, as log-odds, and their weights, chosen on training tracks
# (docs/decisions/0006-similarity.md). The shape of a score's distribution over time (variance,
# kurtosis, skewness) tells two songs apart but not two kinds of music: it only adds noise.
WEIGHTS = {"max": 0.75, "min": 0.75, "mean": 1.0}
# Keeps the log-odds of 0 and 1 finite. It is about the resolution of float32 next to 1; with a
# coarser floor fewer songs find themselves again (docs/decisions/0006-similarity.md).
LOG_ODDS_FLOOR = 1e-6
# How strongly directions of narrow-band changes are discounted (docs/decisions/0040).
LOOKED_PAST = 30.0
# Below this length a vector's direction is rounding noise.
NO_DIRECTION = 1e-6
OFF_LENGTH = 1e-3  # lengths are rounded to float32 when they are stored
BLOCK_ROWS = 16_384  # rows per block, which bounds the float64 copy

FILE = "narrowing.safetensors"
METADATA_KEY = "audiorec_narrowing"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredHeads:
    """What was measured of the vectors of some heads: centre, spread, what a narrow band does.

    Limited bandwidth (a telephone line, an old codec, 8 kHz) shifts a song's scores along typical
    directions, which count less: the moment is the mean of the outer products of these shifts,
    measured by ``scripts/heads/train_heads.py`` on music from packages. Centre and spread are
    those of the first 36 pieces of ``fixtures/demo``, by ``scripts/heads/fit_scaling.py``. Columns
    of a score are in log-odds. The file beside the heads is valid for the shipped heads only.

    Attributes
    ----------
    heads : tuple of str
        SHA-256 of the heads' weights, in order.
    statistics : tuple of str
        The statistics in order.
    centre, spread : ndarray, shape (V,), float64
    moment : ndarray, shape (V, V), float64
        Mean product of the changes of two columns.
    """

    heads: tuple[str, ...]
    statistics: tuple[str, ...]
    centre: Float64Array
    spread: Float64Array
    moment: Float64Array

    def __post_init__(self) -> None:
        width = len(self.centre)
        if self.moment.shape != (width, width) or self.spread.shape != (width,):
            raise ShapeError(f"a centre (V,) and a square (V, V) expected, got {self.moment.shape}")
        arrays = (self.centre, self.spread, self.moment)
        if not all(np.isfinite(array).all() for array in arrays) or (self.spread <= 0).any():
            raise ShapeError("a number that is not finite, or a spread of 0")

    def fits(self, metadata: StoreMetadata) -> bool:
        """Return whether this belongs to the heads and statistics of a store."""
        heads = [w["sha256"] for w in metadata.weights if w["name"].startswith("head_")]
        width = len(metadata.classes) * len(metadata.statistics)
        same = (self.heads, self.statistics) == (tuple(heads), tuple(metadata.statistics))
        return same and len(self.centre) == width

    def save(self, path: Path | str) -> None:
        """Write this to one safetensors file."""
        about = {"format": FORMAT_VERSION, "heads": self.heads, "statistics": self.statistics}
        tensors: dict[str, npt.NDArray[Any]] = {
            "moment": np.ascontiguousarray(self.moment, np.float32),
            "centre": np.ascontiguousarray(self.centre, np.float64),
            "spread": np.ascontiguousarray(self.spread, np.float64),
        }
        Path(path).write_bytes(save(tensors, {METADATA_KEY: json.dumps(about, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path | str) -> "MeasuredHeads":
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
                centre, spread = file.get_tensor("centre"), file.get_tensor("spread")
            if about["format"] != FORMAT_VERSION:
                raise ValueError(
                    f"format {about['format']!r}; this audiorec reads {FORMAT_VERSION}"
                )
            named = {n: tuple(map(str, about[n])) for n in ("heads", "statistics")}
            return cls(moment=moment, centre=centre, spread=spread, **named)
        except FileNotFoundError as error:
            raise MissingWeightsError(f"{path}: no such file") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error


@cache
def _shipped() -> MeasuredHeads:
    return MeasuredHeads.load(data_folder() / FILE)


def log_odds(values: FloatArray | Float64Array) -> Float64Array:
    """Return the log-odds of probabilities, in float64; beyond 0 and 1 they count as 0 and 1.

    A song's scores of 0.001 and 0.01 are far apart, but nearly equal as probabilities.
    """
    p = np.clip(values.astype(np.float64), 0.0, 1.0)
    odds: Float64Array = np.log((p + LOG_ODDS_FLOOR) / (1.0 + LOG_ODDS_FLOOR - p))
    return odds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """How the numbers of a song become its unit, of length 1; the same for every store.

    Columns of weight 0 are dropped. A song at the centre has no direction: its unit is 0, and it is
    similar to no song. Figures: docs/benchmarks/similar.md.
    """

    width: int  # V, the length of what is prepared
    columns: Int64Array  # (W,): the source column of each number in a unit
    # (W,) each: applied as ``(log-odds - centre) * weights``, of which the weights include the
    # spread; None: the numbers as they are
    centre: Float64Array | None = None
    weights: Float64Array | None = None
    mix: Float64Array | None = None  # (W, W), symmetric: multiplies the weighted columns

    @classmethod
    def plain(cls, width: int) -> "Scaling":
        """Return the scaling that only brings numbers to length 1."""
        return cls(width=width, columns=np.arange(width))

    @classmethod
    def of_vectors(cls, metadata: StoreMetadata) -> "Scaling":
        """Return the scaling of a store's vectors.

        Scores of other heads than the shipped ones are centred at an even score, 1 / K for K
        classes of a head; their columns have one spread, and no direction counts less.
        """
        names, classes = metadata.statistics, metadata.classes
        weights = np.tile([WEIGHTS.get(name, 0.0) for name in names], len(classes))
        columns = np.flatnonzero(weights)
        weights = weights[columns]
        if (known := _shipped()).fits(metadata):
            centre, weights = known.centre[columns], weights / known.spread[columns]
            mix = _turned(known.moment, columns, weights)
        else:
            heads = [name.rpartition("/")[0] for name in classes]
            sizes = Counter(heads)
            even = np.array([1 / max(2, sizes[head]) for head in heads])
            centre, mix = np.repeat(log_odds(even), len(names))[columns], None
        width = len(names) * len(classes)
        return cls(width=width, columns=columns, centre=centre, weights=weights, mix=mix)

    def prepare(self, values: FloatArray) -> FloatArray:
        """Prepare the numbers of songs (Q, V): units (Q, W), float32, of length 1 or 0.

        Raises `ShapeError` for another length, `InputError` for a number that is NaN or infinite.
        """
        if values.ndim != 2 or values.shape[1] != self.width:
            raise ShapeError(f"vectors must have shape (Q, {self.width}), got {values.shape}")
        if not np.isfinite(values).all():
            raise InputError("a vector to compare with has a number that is NaN or infinite")
        z: Float64Array = values.astype(np.float64)
        if self.centre is not None and self.weights is not None:
            z = (log_odds(z[:, self.columns]) - self.centre) * self.weights
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
        """Return the fields as JSON values, without those that are None."""
        arrays = {name: getattr(self, name) for name in self.__slots__ if name != "width"}
        lists = {name: array.tolist() for name, array in arrays.items() if array is not None}
        return {"width": self.width, **lists}


def _turned(moment: Float64Array, columns: Int64Array, weights: Float64Array) -> Float64Array:
    """Return the symmetric matrix that shrinks the directions of unwanted changes.

    A direction in which the mean square change is 1 is shrunk by the square root of
    ``1 + LOOKED_PAST``; unaffected directions are kept, so columns keep their meaning.
    """
    changes = moment[np.ix_(columns, columns)] * np.outer(weights, weights)
    values, directions = np.linalg.eigh(np.eye(len(weights)) + LOOKED_PAST * changes)
    return directions / np.sqrt(values) @ directions.T


def _cut(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Cut blocks into pieces of at most `BLOCK_ROWS` rows."""
    for block in blocks:
        for start in range(0, len(block), BLOCK_ROWS):
            yield block[start : start + BLOCK_ROWS]


class LoadedUnits(NamedTuple):
    """The songs of a space: rows of the store (m,), units (m, W), and what prepares others."""

    rows: Int64Array
    units: FloatArray
    scaling: Scaling


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


def vector_units(store: VectorStore) -> LoadedUnits:
    """Return all songs by their vectors."""
    scaling = Scaling.of_vectors(store.metadata)
    units = scaling.prepare_all(store.blocks(), len(store))
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
