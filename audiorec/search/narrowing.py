"""What a narrow band does to a song's vector, so that `similar` can look past it.

    music, as it is and through narrow bands  ──moment_of──▶  `Narrowing` (V, V), with the heads

A telephone, an old codec or a file of 8 kHz takes the top of a record away, and moves its scores:
not at random, but along a few directions. The file ``narrowing.safetensors`` beside the heads
holds the mean product of these differences, measured on music of packages by
``scripts/train_heads.py``. It belongs to the shipped heads alone; a store of other heads is
searched without it.
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
class Narrowing:
    """How vectors of some heads differ between a song and the same song through a narrow band.

    Attributes
    ----------
    heads : tuple of str
        Checksums of the heads, in order.
    statistics, log_odds : tuple of str
        Statistics in order, and those that enter as log-odds.
    moment : ndarray, shape (V, V), float64
        Mean product of the differences of two columns.
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
        """Return whether it is of the heads and the statistics of a store."""
        heads = [w["sha256"] for w in metadata.weights if w["name"].startswith("head_")]
        width = len(metadata.classes) * len(metadata.statistics)
        same = (self.heads, self.statistics) == (tuple(heads), tuple(metadata.statistics))
        return same and len(self.moment) == width

    def save(self, path: Path | str) -> None:
        """Write it as one safetensors file."""
        about = {
            "format": FORMAT_VERSION,
            "heads": self.heads,
            "statistics": self.statistics,
            "log_odds": self.log_odds,
        }
        tensors = {"moment": np.ascontiguousarray(self.moment, np.float32)}
        Path(path).write_bytes(save(tensors, {METADATA_KEY: json.dumps(about, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path | str) -> "Narrowing":
        """Read what `save` wrote.

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
                    f"format {about['format']!r}, this audiorec reads {FORMAT_VERSION}"
                )
            named = {n: tuple(map(str, about[n])) for n in ("heads", "statistics", "log_odds")}
            return cls(moment=moment, **named)
        except FileNotFoundError as error:
            raise MissingWeightsError(f"{path}: no such file") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: not a sound file: {error!r}") from error


def moment_of(as_it_is: FloatArray, narrowed: Sequence[FloatArray]) -> Float64Array:
    """Return the mean product of what narrow bands change, of columns in the form they enter.

    Parameters
    ----------
    as_it_is : ndarray, shape (n, V)
    narrowed : sequence of ndarray, shape (n, V)
        The same songs through each band.

    Examples
    --------
    >>> moment_of(np.zeros((2, 2)), [np.float64([[1, -1], [3, -3]])])
    array([[ 5., -5.],
           [-5.,  5.]])
    """
    moved = np.concatenate([one.astype(np.float64) - as_it_is for one in narrowed])
    moment: Float64Array = moved.T @ moved / len(moved)
    return moment


@cache
def _shipped() -> Narrowing:
    return Narrowing.load(data_folder() / FILE)


def narrowing(metadata: StoreMetadata) -> Narrowing | None:
    """Return what is known of the heads of a store, None where that is nothing."""
    found = _shipped()
    return found if found.fits(metadata) else None
