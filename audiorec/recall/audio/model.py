"""A metric model: its form, its folder, and its embeddings, without torch.

    songs' features ──Embedder──▶ unit embeddings (S, E)

The arithmetic is that of `audiorec.recall.audio.tower`, in numpy; the two agree to 1e-5.
Besides its weights a bundle says which extractor's features it reads, in whose users' space
its embeddings lie, and which artists it never heard.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, SpecMismatchError, WeightsError
from audiorec.learning.bundle import Bundle, read_bundle, write_bundle
from audiorec.recall.audio.held_out import Split
from audiorec.spec import FeatureSpec
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray, Int64Array

KIND = "metric"
Pooling = Literal["mean", "attention"]
EMBEDDING = 40  # numbers in an embedding
MIN_SCALE = 1e-3  # a feature that hardly varies is not blown up
# A segment weighs e^-8 to e^8, reached softly: no exponential overflows.
WEIGHT_LIMIT = 8.0
SONGS_AT_ONCE = 256
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSpec:
    """The form of a tower; numbers out of their range are refused."""

    inputs: tuple[str, ...]  # what stands in a segment's row, for example ``msd_penultimate``
    width: int  # numbers in a row: D
    embedding: int = EMBEDDING  # E
    hidden: int = 64  # units of the small network; 0 for the linear part alone
    pooling: Pooling = "attention"
    attention: int = 32  # units that decide how much a segment counts
    dropout: float = 0.3  # of hidden units and of features, in training
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.embedding, self.attention) < 1 or self.hidden < 0:
            raise InputError(f"a tower needs positive widths, got {self}")
        if self.pooling not in ("mean", "attention"):
            raise InputError(f"pooling must be mean or attention, got {self.pooling!r}")
        if not (0 <= self.dropout < 1 and 0 <= self.input_dropout < 1):
            raise InputError("dropout must lie in [0, 1)")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TowerSpec":
        """Read what ``asdict`` wrote."""
        return cls(**{**content, "inputs": tuple(content["inputs"])})


class Embedder:
    """A tower's weights, by the names of `Tower`'s parameters and buffers, ready to embed.

    A tensor that is missing, or of another shape than `spec` says, is a `WeightsError`.
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

        Rows of another width than ``spec.width`` are a `ShapeError`.
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


@dataclass(frozen=True, slots=True, eq=False)
class MetricModel:
    """A model that turns any song's audio into an embedding.

    Use `MetricModel.load`.
    """

    bundle: Bundle

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "MetricModel":
        """Read a bundle.

        Raises
        ------
        WeightsError
            If it is missing, damaged, of another kind, or its weights do not fit its form.
        """
        model = cls(read_bundle(path, kind=KIND))
        try:
            spec = model.spec
            if not model.end_to_end:
                Embedder(spec, model.bundle.tensors)
            texts = (model.extractor_id, model.space)
            Split(**model.bundle.config["split"])
            FeatureSpec.from_dict(model.bundle.config["audio_spec"])
        except (KeyError, TypeError, ValueError, WeightsError) as error:
            raise WeightsError(
                f"{path}: model.json does not fit a metric model: {error}"
            ) from error
        if not all(isinstance(text, str) for text in texts):
            raise WeightsError(f"{path}: model.json must name an extractor and a space")
        return model

    @property
    def spec(self) -> TowerSpec:
        """The form of the tower."""
        return TowerSpec.from_dict(self.bundle.config["tower"])

    @property
    def model_id(self) -> str:
        """What the model is told apart by."""
        return self.bundle.model_id

    @property
    def space(self) -> str:
        """The model of the users that the embeddings may be compared with; empty for none."""
        space: str = self.bundle.config["space"]
        return space

    @property
    def extractor_id(self) -> str:
        """The extractor whose features the model reads."""
        extractor_id: str = self.bundle.config["extractor_id"]
        return extractor_id

    @property
    def end_to_end(self) -> bool:
        """Whether the model hears log-mel segments, not features."""
        return bool(self.bundle.config.get("end_to_end", False))

    @property
    def audio_spec(self) -> FeatureSpec:
        """Everything between a file and a segment."""
        return FeatureSpec.from_dict(self.bundle.config["audio_spec"])

    @property
    def split(self) -> Split:
        """Which artists were held out of the training."""
        return Split(**self.bundle.config["split"])

    def check_extractor(self, extractor_id: str, what: str) -> None:
        """Refuse features of another extractor; `what` names in the message what holds them."""
        if extractor_id != self.extractor_id:
            raise SpecMismatchError(
                f"{what} was made by extractor {extractor_id}, the model was trained on "
                f"{self.extractor_id}: extract the songs again, or train a model on these features"
            )

    def check_space(self, theirs: Collection[str], what: str) -> None:
        """Refuse users of another space than this model's, or the one that it was trained in.

        `theirs` are the users' model id, and the space that they name; `what` names the users.
        """
        if not ({self.model_id, self.space} - {""}) & set(theirs):
            raise SpecMismatchError(
                f"{what}: users of {', '.join(sorted(set(theirs) - {''}))}, the model was trained "
                f"in the space of {self.space or self.model_id}"
            )

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the songs' embeddings, (S, E) float32, of unit length.

        Rows of another width than ``spec.width`` are a `ShapeError`.
        """
        return Embedder(self.spec, self.bundle.tensors).embed(songs)


def save_model(
    path: str | os.PathLike[str],
    *,
    tensors: Mapping[str, FloatArray],
    config: Mapping[str, Any],
    card: str,
    metrics: str,
) -> str:
    """Write a model's folder, whole or not at all, and return its model id.

    `config` holds plain JSON values: ``tower`` (a `TowerSpec`), ``extractor_id``, ``audio_spec``
    (a `FeatureSpec`), ``space``, ``split`` (a `Split`), ``end_to_end``, ``backbone``,
    ``training``, ``figures``, ``versions``. For errors see `write_bundle`.
    """
    whole = {"kind": KIND, **config}
    return write_bundle(
        path, tensors=tensors, config=whole, card=card, files={"metrics.jsonl": metrics}
    )
