"""The shape of a tower, and its forward pass without torch.

    songs' features ──Embedder──▶ unit embeddings (S, E)

The same arithmetic as `audiorec.recall.audio.tower`, in numpy; the two agree to 1e-5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.store.features import SongSegments
from audiorec.types import FloatArray, Int64Array

Pooling = Literal["mean", "attention"]
EMBEDDING = 40  # numbers in an embedding
MIN_SCALE = 1e-3  # features that hardly vary are not amplified
# A segment's weight is softly limited to e^-8..e^8, so that no exponential overflows.
WEIGHT_LIMIT = 8.0
SONGS_AT_ONCE = 256
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSpec:
    """Shape of a tower; values out of range raise an `InputError`."""

    inputs: tuple[str, ...]  # columns of a segment's row, for example ``msd_penultimate``
    width: int  # width of a row: D
    embedding: int = EMBEDDING  # E
    hidden: int = 64  # units of the hidden layer; 0: linear part only
    pooling: Pooling = "attention"
    attention: int = 32  # units of the attention layer
    dropout: float = 0.3  # of hidden units, in training
    input_dropout: float = 0.0  # of features, in training

    def __post_init__(self) -> None:
        if min(self.width, self.embedding, self.attention) < 1 or self.hidden < 0:
            raise InputError(f"a tower needs positive widths, got {self}")
        if self.pooling not in ("mean", "attention"):
            raise InputError(f"pooling must be mean or attention, got {self.pooling!r}")
        if not (0 <= self.dropout < 1 and 0 <= self.input_dropout < 1):
            raise InputError("dropout must lie in [0, 1)")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TowerSpec":
        """Undo ``asdict``."""
        return cls(**{**content, "inputs": tuple(content["inputs"])})


class Embedder:
    """The forward pass of a tower, given weights named as the parameters and buffers of `Tower`.

    Raises `WeightsError` if a tensor is missing, or its shape does not match `spec`.
    """

    def __init__(self, spec: TowerSpec, tensors: Tensors) -> None:
        self.spec = spec
        for name, shape in expected_shapes(spec).items():
            got = tensors[name].shape if name in tensors else "none"
            if got != shape:
                raise WeightsError(f"tensor {name!r} must have shape {shape}, got {got}")
        self._tensors = tensors

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the songs' embeddings, (S, E) float32, of unit length.

        Raises `ShapeError` if rows do not have ``spec.width`` columns.
        """
        if songs.values.shape[1:] != (self.spec.width,):
            raise ShapeError(
                f"a segment must have shape ({self.spec.width},), got {songs.values.shape[1:]}"
            )
        embeddings = np.empty((len(songs), self.spec.embedding), np.float32)
        for first in range(0, len(songs), SONGS_AT_ONCE):
            offsets = songs.offsets[first : first + SONGS_AT_ONCE + 1]
            rows = songs.values[offsets[0] : offsets[-1]].astype(np.float32)
            embeddings[first : first + SONGS_AT_ONCE] = self._block(rows, offsets - offsets[0])
        return embeddings

    def _block(self, rows: FloatArray, offsets: Int64Array) -> FloatArray:
        t = self._tensors
        x = (rows - t["mean"]) / t["scale"]
        mapped = x @ t["linear.weight"].T + t["linear.bias"]
        if self.spec.hidden:
            hidden = np.maximum(x @ t["hidden.weight"].T + t["hidden.bias"], 0)
            mapped = mapped + hidden @ t["output.weight"].T + t["output.bias"]
        weight = np.ones((len(x), 1), np.float32)
        if self.spec.pooling == "attention":
            heard = np.tanh(x @ t["attention.weight"].T + t["attention.bias"])
            logits = heard @ t["importance.weight"].T + t["importance.bias"]
            weight = np.exp(WEIGHT_LIMIT * np.tanh(logits / WEIGHT_LIMIT))
        sums = np.add.reduceat(mapped * weight, offsets[:-1], axis=0)
        pooled = sums / np.add.reduceat(weight, offsets[:-1], axis=0)
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        embedded: FloatArray = pooled / np.maximum(lengths, 1e-9)
        return embedded


def expected_shapes(spec: TowerSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a tower."""
    d, e, h, a = spec.width, spec.embedding, spec.hidden, spec.attention
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (d,),
        "scale": (d,),
        "linear.weight": (e, d),
        "linear.bias": (e,),
    }
    if h:
        shapes |= {"hidden.weight": (h, d), "hidden.bias": (h,)}
        shapes |= {"output.weight": (e, h), "output.bias": (e,)}
    if spec.pooling == "attention":
        shapes |= {"attention.weight": (a, d), "attention.bias": (a,)}
        shapes |= {"importance.weight": (1, a), "importance.bias": (1,)}
    return shapes
