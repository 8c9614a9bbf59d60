"""Run a network that a user added, in ONNX Runtime.

    segments (B, T, M)  ──AddedOnnx.features──▶  scores (B, C), embedding (B, D), if it has them

It is opened in worker processes only, from bytes whose checksum was recorded when it was added.
ONNX Runtime never gets these, but what `audiorec.tagger.onnx_file` has read in them, written anew,
and no path, so that the model cannot refer to files.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiorec.errors import ShapeError, WeightsError
from audiorec.files.visible import visible
from audiorec.tagger.added import AddedBackbone
from audiorec.tagger.backbone import onnx_errors, open_session
from audiorec.tagger.backbone_spec import Activation, BackboneSpec, Role
from audiorec.tagger.batching import check_batch_size
from audiorec.tagger.onnx_file import rewritten_onnx
from audiorec.types import AddedFeatures, FloatArray


class AddedOnnx:
    """An added network in ONNX Runtime, on one CPU thread.

    Parameters
    ----------
    added : AddedBackbone
    batch_size : int
        Segments per batch, unless the graph has a fixed batch size.

    Raises
    ------
    WeightsError
        If its file changed, or `rewritten_onnx` refuses it.
    """

    def __init__(self, added: AddedBackbone, *, batch_size: int = 8) -> None:
        self.name = added.name
        self.weights_sha256 = added.sha256
        self.widths = added.widths
        self.stated = added.stated
        self._graph = Graph(added.stated, added.model_bytes(), batch_size=batch_size)

    def features(self, segments: FloatArray) -> AddedFeatures:
        """Return the features of B segments (B, T, M), float32; B may be 0."""
        frames, bands = self.stated.features.segment.n_frames, self.stated.features.mel.n_mels
        if segments.shape[1:] != (frames, bands):
            raise ShapeError(
                f"segments must have shape (B, {frames}, {bands}), got {segments.shape}"
            )
        found = self._graph.run(segments) if len(segments) else {}
        empty = {role: np.empty((0, width), np.float32) for role, width in self.widths.items()}
        return AddedFeatures(**{**empty, **found})


class Graph:
    """An open ONNX graph with inputs and outputs checked against the user's spec.

    `batch` is the graph's fixed batch size, 0 for any.
    """

    def __init__(self, stated: BackboneSpec, model: bytes, *, batch_size: int = 8) -> None:
        self._stated = stated
        model = rewritten_onnx(model)
        try:
            self._session = open_session(model)
        except onnx_errors() as error:
            raise WeightsError(f"ONNX Runtime cannot open it: {_reason(error)}") from error
        self.batch = self._check_input()
        self._check_outputs()
        self._at_once = self.batch or check_batch_size(batch_size)

    def run(self, segments: FloatArray) -> dict[Role, FloatArray]:
        """Return the outputs (B, D) of B segments (B, T, M) by role; B is at least 1."""
        parts = [
            self._run(segments[i : i + self._at_once])
            for i in range(0, len(segments), self._at_once)
        ]
        return {role: np.concatenate([part[role] for part in parts]) for role in parts[0]}

    def _run(self, segments: FloatArray) -> dict[Role, FloatArray]:
        count = len(segments)
        if self.batch and count < self.batch:  # pad to the fixed batch size
            segments = np.concatenate([segments, np.repeat(segments[-1:], self.batch - count, 0)])
        given = {self._stated.input: in_layout(segments, self._stated.layout)}
        names = list(self._stated.outputs.values())
        try:
            values = self._session.run(names, given)
        except onnx_errors() as error:
            raise WeightsError(
                f"{self._stated.name}: ONNX Runtime failed: {_reason(error)}"
            ) from error
        found: dict[Role, FloatArray] = {}
        for role, value in zip(self._stated.outputs, values, strict=True):
            if value.ndim != 2 or len(value) != len(segments) or value.dtype != np.float32:
                raise WeightsError(
                    f"output {self._stated.outputs[role]!r} of {len(segments)} segments: expected "
                    f"float32 of shape ({len(segments)}, D), got {value.dtype} of {value.shape}"
                )
            if not np.isfinite(value).all():
                raise WeightsError(
                    f"output {self._stated.outputs[role]!r} contains NaN or infinity"
                )
            found[role] = value[:count]
        if "scores" in found:
            found["scores"] = apply_activation(found["scores"], self._stated.activation)
        return found

    def _check_input(self) -> int:
        """Check the graph's single input against the spec; return its fixed batch size, or 0."""
        stated, inputs = self._stated, self._session.get_inputs()
        if [one.name for one in inputs] != [stated.input]:
            there = ", ".join(repr(one.name) for one in inputs)
            raise WeightsError(
                f"expected one input {stated.input!r}, the graph has {there or 'none'}"
            )
        (one,) = inputs
        if one.type != "tensor(float)":
            raise WeightsError(f"input {one.name!r} is {one.type}; it must be float32")
        mel, segment = stated.features.mel, stated.features.segment
        expected = [{"T": segment.n_frames, "M": mel.n_mels, "1": 1}.get(c) for c in stated.layout]
        sizes = [size if isinstance(size, int) else None for size in one.shape]
        fits = len(sizes) == len(expected) and all(
            None in (size, right) or size == right
            for size, right in zip(sizes, expected, strict=True)
        )
        if not fits:
            shown = ", ".join("N" if right is None else str(right) for right in expected)
            raise WeightsError(
                f"input {one.name!r} has shape {_shape(one.shape)}, the spec says ({shown})"
            )
        return sizes[stated.layout.index("N")] or 0

    def _check_outputs(self) -> None:
        there = {one.name: one for one in self._session.get_outputs()}
        for role, name in self._stated.outputs.items():
            if name not in there:
                raise WeightsError(f"no output {name!r}; the graph has {', '.join(sorted(there))}")
            width = there[name].shape[-1] if there[name].shape else None
            classes = len(self._stated.classes)
            if role == "scores" and isinstance(width, int) and width != classes:
                raise WeightsError(
                    f"output {name!r} has {width} numbers per segment, the spec {classes} classes"
                )


def in_layout(segments: FloatArray, layout: str) -> FloatArray:
    """Transpose segments (B, T, M) to a layout such as ``N1MT``.

    Examples
    --------
    >>> in_layout(np.zeros((2, 300, 128), np.float32), "N1MT").shape
    (2, 1, 128, 300)
    """
    order = ["NTM".index(letter) for letter in layout if letter != "1"]
    moved = segments.transpose(order)
    shape = iter(moved.shape)
    return np.ascontiguousarray(
        moved.reshape([1 if letter == "1" else next(shape) for letter in layout]), np.float32
    )


def apply_activation(values: FloatArray, activation: Activation) -> FloatArray:
    """Apply the activation to a graph's output (B, C): scores from 0 to 1, float32.

    Raises `WeightsError` if there is no activation and a value lies outside 0 to 1.
    """
    wide = values.astype(np.float64)
    if activation == "sigmoid":
        wide = 1.0 / (1.0 + np.exp(-np.clip(wide, -700, 700)))
    elif activation == "softmax":
        wide = np.exp(wide - wide.max(axis=1, keepdims=True))
        wide /= wide.sum(axis=1, keepdims=True)
    elif wide.min() < 0 or wide.max() > 1:
        raise WeightsError(
            f"scores from {wide.min():.3g} to {wide.max():.3g} are not probabilities: set the "
            "spec's activation to sigmoid or softmax"
        )
    scores: FloatArray = wide.astype(np.float32)
    return scores


def _reason(error: Exception) -> str:
    return visible(next(iter(str(error).strip().splitlines()), type(error).__name__)[:300])


def _shape(sizes: Sequence[Any]) -> str:
    return f"({', '.join(str(size)[:40] for size in sizes)})"
