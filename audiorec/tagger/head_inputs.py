"""Backbone outputs side by side: what a head reads, in training and in use.

An input is named ``<backbone>.<output>``, for example ``msd.penultimate``. The outputs are
those of `Features`, as they are: tags enter as probabilities. Their logits would tell rare
tags apart better, and carry less well to other artists and recordings. A network that a user
added has the outputs of `AddedFeatures`: ``mn04.scores``, ``mn04.embedding``.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import AnyFeatures, Float64Array

# The arrays of `Features`, in its order, and their columns.
OUTPUT_WIDTHS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}
ADDED_OUTPUTS = ("scores", "embedding")  # of `AddedFeatures`, as wide as their network says


def split_input(name: str) -> tuple[str, str]:
    """Return the backbone and the output of an input name.

    Raises
    ------
    InputError
        If there is no backbone, or the output is not one of `OUTPUT_WIDTHS`, or of
        `ADDED_OUTPUTS` where the backbone is none of the shipped ones.

    Examples
    --------
    >>> split_input("mtt.tags")
    ('mtt', 'tags')
    """
    backbone, _, output = name.rpartition(".")
    outputs = tuple(OUTPUT_WIDTHS) if backbone in ("", *WEIGHTS) else ADDED_OUTPUTS
    if not backbone or output not in outputs:
        raise InputError(f"a head input is <backbone>.<one of {', '.join(outputs)}>, got {name!r}")
    return backbone, output


def assemble(features: Mapping[str, AnyFeatures], inputs: Sequence[str]) -> Float64Array:
    """Put the backbone outputs that a head reads side by side, (T, D) float64.

    A missing backbone is an `InputError`; another width, or backbones that differ in T, a
    `ShapeError`.
    """
    columns = []
    for name in inputs:
        backbone, output = split_input(name)
        if backbone not in features:
            raise InputError(f"{name} needs backbone {backbone!r}, got {sorted(features)}")
        values = getattr(features[backbone], output, None)
        if values is None:
            raise InputError(f"backbone {backbone!r} has no {output}")
        width = OUTPUT_WIDTHS.get(output, "D")
        if values.ndim != 2 or values.shape[1] != OUTPUT_WIDTHS.get(output, values.shape[1]):
            raise ShapeError(f"{output} must have shape (T, {width}), got {values.shape}")
        columns.append(values.astype(np.float64))
    if len({len(block) for block in columns}) != 1:
        counts = {name: len(block) for name, block in zip(inputs, columns, strict=True)}
        raise ShapeError(f"backbones must agree in their number of segments, got {counts}")
    return np.concatenate(columns, axis=1)
