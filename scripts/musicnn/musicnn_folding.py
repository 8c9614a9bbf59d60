"""Fold musicnn's normalisations into its convolutions, and find the channels that are constant.

Folding. The input's batch-norm, ``a * x + c``, comes before the zero padding: the graph
subtracts ``-c / a``, the value that it maps to 0, and ``a`` moves into the first kernels. A
block is convolution, ReLU, batch-norm: ``a * relu(z) + c`` per channel. That is ``a * z + c``
cut off at ``c``, from below where ``a >= 0``, from above where ``a < 0``. So ``a`` and ``c``
move into kernel and bias, and what remains never decreases: the maximum over all frequencies
may come before it, for either sign of ``a``. The batch-norm before the dense layer moves into
that, too. Sums are exact (`math.fsum`) or in a fixed order and in float64, so the bytes do
not depend on a linear algebra library.

Constants. Training has left many filters of the first layer at 1e-12 to 1e-30, 497 of 561 in
MSD_musicnn and 240 in MTT_musicnn: their channels are constants to more digits than float32
has. Those that no spectrogram moves by more than a millionth are left out, and their
constants are written into the pooled features and, frame by frame, into the bias of the next
layer. (Such weights do worse than nothing: their products are denormal numbers, which some
processors compute many times more slowly.)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.tagger.weights import NORM_EPSILON

LARGEST = float(np.finfo(np.float32).max)  # stands for "no limit"
FIRST = ("timbral_38", "timbral_67", "temporal_128", "temporal_64", "temporal_32")  # layers
LARGEST_INPUT = 10.0  # log-mel lies between 0 and about 8, and ``-c / a`` is nearer to 0
NEGLIGIBLE = 1e-6

Float64Array = npt.NDArray[np.float64]
Weights = Mapping[str, Float64Array]


@dataclass(frozen=True, slots=True)
class Channels:
    """The first layer's 561 channels, folded.

    Attributes
    ----------
    lives : ndarray of bool, shape (561,)
        False for a channel that no input moves by more than `NEGLIGIBLE`.
    constants : ndarray, shape (561,)
        What such a channel always is.
    kernels : mapping of str to ndarray, shape (C, frames, bands)
        By layer, living channels only.
    bias : ndarray, shape (561,)
    limits : ndarray, shape (2, 561)
    """

    lives: npt.NDArray[np.bool_]
    constants: Float64Array
    kernels: Weights
    bias: Float64Array
    limits: Float64Array


def fold_first(weights: Weights) -> Channels:
    """Fold the first layer and find the channels that no input moves."""
    scale, _ = affine(weights, "input_norm")
    blocks = {layer: folded(weights, layer) for layer in FIRST}
    kernels = {layer: kernel[:, 0] * scale for layer, (kernel, _, _) in blocks.items()}
    moves = {
        layer: np.array([math.fsum(np.abs(k).ravel()) * LARGEST_INPUT for k in kernel])
        for layer, kernel in kernels.items()
    }
    bias = np.concatenate([bias for _, bias, _ in blocks.values()])
    limits = np.concatenate([limits for _, _, limits in blocks.values()], axis=1)
    return Channels(
        lives=np.concatenate(list(moves.values())) > NEGLIGIBLE,
        constants=np.clip(bias, *limits),
        kernels={layer: kernels[layer][moves[layer] > NEGLIGIBLE] for layer in kernels},
        bias=bias,
        limits=limits,
    )


def affine(weights: Weights, norm: str) -> tuple[Float64Array, Float64Array]:
    """Return the factor and the summand that a batch-norm amounts to, per channel."""
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    scale = weights[f"{norm}.weight"] / np.sqrt(variance + NORM_EPSILON)
    return scale, weights[f"{norm}.bias"] - mean * scale


def folded(weights: Weights, layer: str) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return kernel and bias of a block with its batch-norm, and its limits (2, C)."""
    scale, shift = affine(weights, f"{layer}.norm")
    kernel = weights[f"{layer}.conv.weight"]
    kernel = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    bias = weights[f"{layer}.conv.bias"] * scale + shift
    lowest = np.where(scale < 0, -LARGEST, shift)
    highest = np.where(scale < 0, shift, LARGEST)
    return kernel, bias, np.stack([lowest, highest])
