"""A trained tower on frozen features, without torch: songs in, unit embeddings out.

The same arithmetic as `audiorec.recall.audio.tower`, in numpy; the two agree to 1e-5.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError, WeightsError
from audiorec.recall.audio.tower_spec import WEIGHT_LIMIT, TowerSpec
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray, Int64Array

SONGS_AT_ONCE = 256
Tensors = Mapping[str, npt.NDArray[Any]]


class Embedder:
    """A tower's weights, ready to embed.

    Parameters
    ----------
    spec : TowerSpec
    tensors : mapping of str to ndarray
        By the names of `Tower`'s parameters and buffers.

    Raises
    ------
    WeightsError
        If a tensor is missing or of another shape than `spec` says.
    """

    def __init__(self, spec: TowerSpec, tensors: Tensors) -> None:
        self.spec = spec
        for name, shape in expected_shapes(spec).items():
            got = tensors[name].shape if name in tensors else "none"
            if got != shape:
                raise WeightsError(f"tensor {name!r} must have shape {shape}, got {got}")
        self._tensors = tensors

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the songs' embeddings.

        Parameters
        ----------
        songs : SongSegments
            Rows of ``spec.width`` features.

        Returns
        -------
        embeddings : ndarray, shape (S, E), float32
            Of unit length.

        Raises
        ------
        ShapeError
            If the rows have another width.
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
