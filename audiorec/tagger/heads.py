"""Backbone features to class scores.

    features of T segments  ──Head.scores──▶  (T, C), every row sums to 1

A head is a small classifier on the backbone features of a segment. It is one self-describing
safetensors file, so the taxonomy is data, not code. Two heads are shipped, version and genre, and
a second edition of both that learnt from free audio alone; their model card is
``docs/model_cards/heads.md``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from audiorec.errors import (
    InputError,
    MissingWeightsError,
    ShapeError,
    SpecMismatchError,
    WeightsError,
)
from audiorec.files.own_files import parse_json, sealed, unsealed
from audiorec.spec import FeatureSpec, fingerprint
from audiorec.tagger.features import OUTPUT_WIDTHS, assemble, split_input
from audiorec.tagger.weights import data_folder
from audiorec.types import STATISTICS, AnyFeatures, Float64Array, FloatArray

SHIPPED_TASKS = ("version", "genre")  # in the order of their scores
OPEN = "open"  # the edition learnt from free audio alone
FORMAT_VERSION = 2  # 1 had no front end: songs were not normalised in loudness
METADATA_KEY = "audiorec_head"
BLOCK_SEGMENTS = 256  # scored at a time
MAX_LAYERS = 8  # a file that claims more is damaged
TRAIN_AGAIN = "train it again (audiorec heads LABELS --task NAME --out FOLDER)"
MAX_JSON_BYTES = 16 << 20
MAX_FILE_BYTES = 256 << 20  # a head is a few hundred kB


def softmax(logits: Float64Array) -> Float64Array:
    """Return the softmax over the last axis, without overflow for large logits."""
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A trained classifier of segments.

    It standardises its input, applies dense layers with ReLU between them, vector scaling (the
    calibration) and softmax, all in NumPy float64 with one rounding to float32 at the end, so
    scores do not depend on how the segments were batched.

    Attributes
    ----------
    task : str
        What the head classifies: ``version``, ``genre`` or any name of yours.
    classes : tuple of str, length C
        In the order of the score columns.
    inputs : tuple of str
        Backbone outputs in order, D columns altogether.
    backbones : mapping of str to str
        sha256 of the weights of every backbone in `inputs`.
    mean, scale : ndarray, shape (D,), float32
        Standardisation: ``(x - mean) / scale``.
    layers : tuple of (weight, bias)
        Weights of shape (in, out) and biases of shape (out,), float32; ReLU between layers.
    calibration_scale, calibration_bias : ndarray, shape (C,), float32
        Vector scaling of the logits: ``scale * z + bias``. A temperature is a constant scale.
    info : mapping
        Training recipe and measured figures; plain JSON values.
    front_end : str
        `FeatureSpec.front_end` of the training segments.
    """

    task: str
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    backbones: Mapping[str, str]
    mean: FloatArray
    scale: FloatArray
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    calibration_scale: FloatArray
    calibration_bias: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    front_end: str = field(default_factory=lambda: FeatureSpec().front_end)

    def __post_init__(self) -> None:
        if not self.task or "/" in self.task:
            raise InputError(f"a task must have a name without '/', got {self.task!r}")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"a head needs two or more different classes, got {self.classes}")
        if set(self.backbones) != set(self.required_backbones):
            raise InputError(
                f"inputs {self.inputs} need checksums of {self.required_backbones}, "
                f"got {sorted(self.backbones)}"
            )
        self._check_shapes()

    def _check_shapes(self) -> None:
        """Raise an error for tensors with inconsistent shapes or values that are not finite."""
        widths = [OUTPUT_WIDTHS.get(split_input(name)[1]) for name in self.inputs]
        # The output widths of an added network are known from the head's tensors alone.
        width = self.mean.size if None in widths else sum(w for w in widths if w is not None)
        expected: dict[str, tuple[int, ...]] = {"mean": (width,), "scale": (width,)}
        for i, (weight, _) in enumerate(self.layers):
            out = weight.shape[-1]
            expected[f"weight_{i}"], expected[f"bias_{i}"] = (width, out), (out,)
            width = out
        if not self.layers or width != len(self.classes):
            raise ShapeError(f"the last layer has {width} columns for {len(self.classes)} classes")
        expected["calibration_scale"] = expected["calibration_bias"] = (width,)
        for name, tensor in self.tensors().items():
            if tensor.shape != expected[name]:
                raise ShapeError(f"{name} must have shape {expected[name]}, got {tensor.shape}")
            if not np.isfinite(tensor).all():
                raise InputError(f"{name} contains NaN or infinity")
        if not (self.scale > 0).all():
            raise InputError("scale must be positive everywhere")

    @property
    def required_backbones(self) -> tuple[str, ...]:
        """Backbones in `inputs`, in order, without duplicates."""
        return tuple(dict.fromkeys(split_input(name)[0] for name in self.inputs))

    @property
    def licence(self) -> str:
        """Licence of the weights, as stated by the training recipe."""
        return str(self.info.get("licence", "not stated"))

    @property
    def sha256(self) -> str:
        """Checksum over everything that changes scores, so without figures and notes."""
        digest = hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode())
        for name, tensor in sorted(self.tensors().items()):
            digest.update(f"{name}{tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor, dtype="<f4").tobytes())
        return digest.hexdigest()

    def _identity(self) -> dict[str, Any]:
        """Return the part of the metadata that changes scores."""
        return {
            "format": FORMAT_VERSION,
            "task": self.task,
            "classes": list(self.classes),
            "inputs": list(self.inputs),
            "backbones": dict(self.backbones),
            "front_end": self.front_end,
        }

    def tensors(self) -> dict[str, FloatArray]:
        """Return the tensors, keyed by their names in the file."""
        named = {"mean": self.mean, "scale": self.scale}
        for i, (weight, bias) in enumerate(self.layers):
            named[f"weight_{i}"], named[f"bias_{i}"] = weight, bias
        named["calibration_scale"] = self.calibration_scale
        named["calibration_bias"] = self.calibration_bias
        return named

    def check_backbones(self, sha256: Mapping[str, str]) -> None:
        """Raise `SpecMismatchError` for backbones other than those the head was trained on.

        `sha256` maps the names of the backbones in use to the checksums of their weights; it must
        contain every backbone that the head reads.
        """
        for name, trained in self.backbones.items():
            used = sha256.get(name, "missing")
            if used != trained:
                raise SpecMismatchError(
                    f"head {self.task!r} was trained on backbone {name!r} {trained[:12]}, but "
                    f"this one is {used[:12]}: train the head again or use its backbone"
                )

    def check_front_end(self, front_end: str) -> None:
        """Raise `SpecMismatchError` for segments of another front end than in training."""
        if front_end != self.front_end:
            raise SpecMismatchError(
                f"head {self.task!r} was trained with front end {self.front_end}, but these "
                f"segments have {front_end}: {TRAIN_AGAIN}"
            )

    def logits(self, columns: npt.NDArray[np.floating]) -> Float64Array:
        """Return the uncalibrated logits of assembled columns: (T, D) to (T, C) float64."""
        if columns.shape[1] != len(self.mean):
            raise ShapeError(
                f"head {self.task!r} reads {len(self.mean)} columns, got {columns.shape[1]}"
            )
        x = (columns.astype(np.float64) - self.mean) / self.scale
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight.astype(np.float64) + bias
            if i < len(self.layers) - 1:
                x = np.maximum(x, 0.0)
        return x

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Score T segments: calibrated softmax (T, C), float32, with rows that sum to 1.

        Parameters
        ----------
        features : mapping of str to Features or AddedFeatures
            By backbone name; backbones that the head does not read are ignored.

        Raises
        ------
        InputError
            If a backbone is missing.
        ShapeError
            If the backbones differ in T, or an output in its width.
        """
        longest = max((len(result) for result in features.values()), default=0)
        blocks = [  # in blocks: two hours in float64 would take 20 MB
            self.scores_of_columns(assemble(_segments(features, start), self.inputs))
            for start in range(0, max(longest, 1), BLOCK_SEGMENTS)
        ]
        return np.concatenate(blocks)

    def scores_of_columns(self, columns: npt.NDArray[np.floating]) -> FloatArray:
        """Score assembled columns, (T, D) to (T, C) float32."""
        z = self.logits(columns) * self.calibration_scale + self.calibration_bias
        return softmax(z).astype(np.float32)

    def save(self, path: Path | str) -> None:
        """Write the head as one safetensors file.

        Parameters
        ----------
        path : path
            By convention with the extension ``.safetensors``. An existing file is replaced.
        """
        meta = sealed(self._identity() | {"info": dict(self.info), "sha256": self.sha256})
        tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in self.tensors().items()}
        Path(path).write_bytes(save(tensors, {METADATA_KEY: json.dumps(meta, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path | str) -> "Head":
        """Read a head that `save` wrote.

        Raises
        ------
        WeightsError
            If the file is missing, damaged, not a head, or has another format version.
        SpecMismatchError
            If it was trained before songs were normalised in loudness (format 1).
        """
        meta, tensors = _read_head_file(path)
        try:
            head = cls(
                task=str(meta["task"]),
                classes=tuple(str(c) for c in meta["classes"]),
                inputs=tuple(str(i) for i in meta["inputs"]),
                backbones={str(k): str(v) for k, v in meta["backbones"].items()},
                mean=tensors["mean"],
                scale=tensors["scale"],
                layers=_layers(tensors),
                calibration_scale=tensors["calibration_scale"],
                calibration_bias=tensors["calibration_bias"],
                info=meta.get("info", {}),
                front_end=str(meta["front_end"]),
            )
        except (KeyError, TypeError, AttributeError, InputError) as error:
            raise WeightsError(f"{path}: not a valid head file: {error}") from error
        if "sha256" in meta and meta["sha256"] != head.sha256:
            raise WeightsError(f"{path}: damaged: checksum does not match")
        return head


def _read_head_file(path: Path | str) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Return the metadata and the tensors of a head file."""
    try:
        if Path(path).exists() and not Path(path).is_file():  # opening a pipe would block
            raise WeightsError(f"{path}: not a regular file")
        if Path(path).stat().st_size > MAX_FILE_BYTES:
            raise WeightsError(f"{path}: too large for a head: more than {MAX_FILE_BYTES} bytes")
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise MissingWeightsError(f"{path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}") from error
    if text is None:
        raise WeightsError(f"{path}: not a head file: no metadata key {METADATA_KEY!r}")
    try:
        meta = unsealed(parse_json(text, max_bytes=MAX_JSON_BYTES))
    except ValueError as error:
        raise WeightsError(f"{path}: head metadata is not JSON: {error}") from error
    version = meta.get("format")
    if version == 1:
        raise SpecMismatchError(
            f"{path}: trained before songs were normalised in loudness: {TRAIN_AGAIN}"
        )
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: head format {version!r}; this audiorec reads {FORMAT_VERSION}")
    return meta, tensors


def _segments(features: Mapping[str, AnyFeatures], start: int) -> dict[str, AnyFeatures]:
    """Return one block of segments from every backbone, as views."""
    block = slice(start, start + BLOCK_SEGMENTS)
    return {name: result.rows(block) for name, result in features.items()}


def _layers(tensors: Mapping[str, FloatArray]) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Collect ``weight_0``, ``bias_0``, ``weight_1``, ... in order."""
    count = sum(name.startswith("weight_") for name in tensors)
    if not 1 <= count <= MAX_LAYERS:
        raise InputError(f"a head must have 1 to {MAX_LAYERS} layers, got {count}")
    return tuple((tensors[f"weight_{i}"], tensors[f"bias_{i}"]) for i in range(count))


class Heads:
    """Ordered collection of heads with concatenated scores.

    Parameters
    ----------
    heads : sequence of Head
        One or more, with different tasks.

    Raises
    ------
    InputError
        If there are none, or two heads have the same task or different weights of a backbone.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        tasks = [head.task for head in heads]
        if not heads or len(set(tasks)) != len(tasks):
            raise InputError(f"expected one or more heads with different tasks, got {tasks}")
        self._heads = tuple(heads)
        self.backbone_sha256: dict[str, str] = {}
        for head in self._heads:
            for name, sha256 in head.backbones.items():
                if self.backbone_sha256.setdefault(name, sha256) != sha256:
                    raise InputError(f"heads {tasks} were trained on different backbones {name!r}")

    def __iter__(self) -> Iterator[Head]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Column names of `scores`, as ``task/class``."""
        return tuple(f"{head.task}/{name}" for head in self for name in head.classes)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones that the heads read, without duplicates."""
        return tuple(self.backbone_sha256)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Statistics of each class in a vector: all six."""
        return STATISTICS

    def check_backbones(self, sha256: Mapping[str, str]) -> None:
        """Check the backbones against every head; see `Head.check_backbones`."""
        for head in self:
            head.check_backbones(sha256)

    def check_front_end(self, front_end: str) -> None:
        """Check the front end against every head; see `Head.check_front_end`."""
        for head in self:
            head.check_front_end(front_end)

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Return the scores (T, H), float32, of T segments, concatenated over the heads."""
        return np.concatenate([head.scores(features) for head in self], axis=1)


def shipped_head(task: str, edition: str = "") -> Path:
    """Return the path of a shipped head, of the usual edition or of ``open``.

    Raises
    ------
    InputError
        If no head of that task is shipped.
    """
    if task not in SHIPPED_TASKS:
        raise InputError(f"audiorec has no head for {task!r}, only for {', '.join(SHIPPED_TASKS)}")
    return data_folder() / f"head_{task}{edition and '_' + edition}.safetensors"


def shipped_heads(edition: str = "") -> tuple[Path, ...]:
    """Return the paths of the shipped heads of an edition in the order of their scores."""
    return tuple(shipped_head(task, edition) for task in SHIPPED_TASKS)


def default_heads() -> Heads:
    """Return the shipped heads: version (4 classes), then genre (10 classes).

    Raises
    ------
    WeightsError
        If a shipped file is missing or damaged.
    """
    return Heads([Head.load(path) for path in shipped_heads()])


def training_record(
    columns: npt.NDArray[np.floating], targets: Float64Array, recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of a training for a head's `info`: fingerprints of data and recipe.

    `columns` (n, D) are rounded to three decimals, on which the engines agree; `targets` (n, C)
    are probabilities.
    """
    data = hashlib.sha256(np.round(columns.astype(np.float64), 3).tobytes())
    data.update(np.round(targets, 6).tobytes())
    return {
        "training_data": data.hexdigest()[:16],
        "training_rows": len(targets),
        "recipe": json.loads(json.dumps(recipe)),
        "recipe_fingerprint": fingerprint(recipe),
    }
