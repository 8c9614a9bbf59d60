"""Backbone outputs concatenated: the input of a head, in training and in use.

An input is named ``<backbone>.<output>``, for example ``msd.penultimate``. The outputs are those
of `Features`, unchanged: tags enter as probabilities. Their logits would separate rare tags
better, but generalise less well to other artists and recordings. An added network has the outputs
of `AddedFeatures`: ``mn04.scores``, ``mn04.embedding``.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.tagger.weights import GONE, WEIGHTS
from audiorec.types import AnyFeatures, Float64Array

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
    if backbone in GONE:
        raise InputError(f"{name}: {GONE[backbone]}")
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
