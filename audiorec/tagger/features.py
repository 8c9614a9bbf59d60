"""Features of a network: how segments are batched and checked, and the input of a head.

    ["msd.penultimate", "msd.tags"], features  ──assemble──▶  (T, D), the input of a head
    segments (B, 187, 96)  ──in_batches(run)──▶  `Features` of B rows

An input is named ``<backbone>.<output>``. Tags enter as probabilities: their logits would separate
rare tags better, but generalise less well to other artists and recordings. An added network has the
outputs of `AddedFeatures`: ``mn04.scores``, ``mn04.embedding``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import AnyFeatures, Features, Float64Array, FloatArray

# The arrays of `Features` in order, and their numbers of columns.
OUTPUT_WIDTHS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}
ADDED_OUTPUTS = ("scores", "embedding")  # of `AddedFeatures`; widths depend on the network


def split_input(name: str) -> tuple[str, str]:
    """Split an input name into backbone and output.

    Raises
    ------
    InputError
        If the backbone is missing or no longer there, or the output is not one of `OUTPUT_WIDTHS`
        (for a shipped backbone) or `ADDED_OUTPUTS` (for any other).

    Examples
    --------
    >>> split_input("msd.tags")
    ('msd', 'tags')
    """
    backbone, _, output = name.rpartition(".")
    outputs = tuple(OUTPUT_WIDTHS) if backbone in ("", *WEIGHTS) else ADDED_OUTPUTS
    if not backbone or output not in outputs:
        raise InputError(
            f"a head input must be <backbone>.<one of {', '.join(outputs)}>, got {name!r}"
        )
    return backbone, output


def assemble(features: Mapping[str, AnyFeatures], inputs: Sequence[str]) -> Float64Array:
    """Concatenate the backbone outputs that a head reads: (T, D) float64.

    Raises `InputError` for a missing backbone or output, `ShapeError` for a wrong width or for
    backbones that differ in T.
    """
    columns = []
    for name in inputs:
        backbone, output = split_input(name)
        if backbone not in features:
            raise InputError(f"{name} needs backbone {backbone!r}, got {sorted(features)}")
        values = getattr(features[backbone], output, None)
        if values is None:
            raise InputError(f"backbone {backbone!r} has no output {output}")
        width = OUTPUT_WIDTHS.get(output, "D")
        if values.ndim != 2 or values.shape[1] != OUTPUT_WIDTHS.get(output, values.shape[1]):
            raise ShapeError(f"{output} must have shape (T, {width}), got {values.shape}")
        columns.append(values.astype(np.float64))
    if len({len(block) for block in columns}) != 1:
        counts = {name: len(block) for name, block in zip(inputs, columns, strict=True)}
        raise ShapeError(f"all backbones must have the same number of segments, got {counts}")
    return np.concatenate(columns, axis=1)


SEGMENT_SHAPE = (187, 96)  # frames, mel bands


class Backbone(Protocol):
    """A frozen network that turns log-mel segments into features."""

    @property
    def name(self) -> str:
        """Name of the network: ``msd``, or that of an added one."""

    @property
    def weights_sha256(self) -> str:
        """Checksum that identifies the network in heads and stores, the same for every engine."""

    def features(self, segments: FloatArray) -> AnyFeatures:
        """Return the features, float32, of segments (B, 187, 96), float32; B may be 0."""


class ShippedBackbone(Backbone, Protocol):
    """One of the networks shipped with audiorec."""

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the 50 columns of `Features.tags`."""

    def features(self, segments: FloatArray) -> Features:
        """Return the features of B segments."""


def in_batches(
    run: Callable[[FloatArray], Features], segments: FloatArray, *, batch_size: int
) -> Features:
    """Check segments (B, 187, 96), run them in batches, and concatenate the results."""
    if segments.shape[1:] != SEGMENT_SHAPE:
        raise ShapeError(f"segments must have shape (B, 187, 96), got {segments.shape}")
    if len(segments) == 0:
        return Features(*(np.empty((0, width), np.float32) for width in OUTPUT_WIDTHS.values()))
    segments = np.ascontiguousarray(segments, np.float32)
    parts = [run(segments[i : i + batch_size]) for i in range(0, len(segments), batch_size)]
    if len(parts) == 1:
        return parts[0]
    return Features(
        *(np.concatenate([getattr(part, output) for part in parts]) for output in OUTPUT_WIDTHS)
    )


def check_batch_size(batch_size: int) -> int:
    """Return the batch size; raise `InputError` if it is below 1."""
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size
