"""Shared by all engines of a network: the contract, checks and batching.

segments (B, 187, 96)  ──in_batches(run)──▶  Features of B rows
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.tagger.head_inputs import OUTPUT_WIDTHS
from audiorec.types import AnyFeatures, Features, FloatArray

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
