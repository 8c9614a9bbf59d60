"""How limited audio bandwidth changes a song's vector, so that `similar` can discount it.

    full and limited band ──second_moment──▶ `BandwidthEffect` (V, V), stored with the heads

A telephone line, an old codec or a sample rate of 8 kHz cuts off the high frequencies, and shifts
a song's scores along a few typical directions. The file ``bandwidth_effect.safetensors`` beside the
heads holds the second moment of these shifts (the mean of their outer products), measured by
``scripts/train_heads.py`` on music from packages. It is valid for the shipped heads only; a store
of other heads is searched without it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from audiorec.errors import MissingWeightsError, ShapeError, WeightsError
from audiorec.store.schema import StoreMetadata
from audiorec.tagger.weights import data_folder
from audiorec.types import Float64Array, FloatArray

FILE = "narrowing.safetensors"
METADATA_KEY = "audiorec_narrowing"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BandwidthEffect:
    """Second moment of the changes that a limited bandwidth makes to the vectors of some heads.

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


def second_moment(as_it_is: FloatArray, narrowed: Sequence[FloatArray]) -> Float64Array:
    """Return the second moment of the changes, over all songs and bands: shape (V, V), float64.

    Parameters
    ----------
    as_it_is : ndarray, shape (n, V)
        Full-band vectors, columns in the form in which they are compared.
    narrowed : sequence of ndarray, shape (n, V)
        The same songs through each band, in the same form.

    Examples
    --------
    >>> second_moment(np.zeros((2, 2)), [np.float64([[1, -1], [3, -3]])])
    array([[ 5., -5.],
           [-5.,  5.]])
    """
    moved = np.concatenate([one.astype(np.float64) - as_it_is for one in narrowed])
    moment: Float64Array = moved.T @ moved / len(moved)
    return moment


@cache
def _shipped() -> BandwidthEffect:
    return BandwidthEffect.load(data_folder() / FILE)


def bandwidth_effect(metadata: StoreMetadata) -> BandwidthEffect | None:
    """Return the shipped `BandwidthEffect` if it fits the heads of a store, else None."""
    found = _shipped()
    return found if found.fits(metadata) else None
