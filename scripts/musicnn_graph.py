"""Build the ONNX form of musicnn, folded for inference.

    log_mel (B, 187, 96)  ──▶  tags (B, 50), penultimate (B, 200),
                               max_pool (B, 753), mean_pool (B, 753)

Every rearrangement is exact in real arithmetic:

- The input's batch-norm, ``a * x + c``, comes before the zero padding. The graph subtracts
  ``-c / a``, the value that it maps to 0, so that zero padding stays right, and ``a`` moves
  into the first kernels.
- A block is convolution, ReLU, batch-norm: ``a * relu(z) + c`` per channel. That is
  ``a * z + c``, cut off at ``c``: from below where ``a >= 0``, from above where ``a < 0``.
  So ``a`` and ``c`` move into kernel and bias, and two cut-offs remain. They do not
  decrease, so the maximum over all frequencies may come first, for either sign of ``a``.
- The batch-norm before the dense layer moves into it. The pooled features come as all
  maxima, then all means; in the weights they alternate.

Folding runs in float64 and rounds once. Sums are exact (`math.fsum`), so the bytes do not
depend on a linear algebra library.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

FRAMES, MELS = 187, 96
OPSET, IR_VERSION = 17, 8  # onnxruntime 1.19 reads both
NORM_EPSILON = 1e-3
TIMBRAL = ("timbral_38", "timbral_67")
TEMPORAL = ("temporal_128", "temporal_64", "temporal_32")
FRONT_CHANNELS, MIDDLE = 561, ("mid_1", "mid_2", "mid_3")
LARGEST = float(np.finfo(np.float32).max)  # stands for "no limit"
OUTPUTS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}

Float64Array = npt.NDArray[np.float64]
Weights = Mapping[str, Float64Array]


class Graph:
    """Nodes and constants in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Add a node of one output and return the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def build_model(
    tensors: Mapping[str, npt.NDArray[np.float32]], metadata: Mapping[str, str]
) -> bytes:
    """Return the serialised model.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        The weights under the names of `audiorec.tagger.backbone_torch.Musicnn`.
    metadata : mapping of str to str
        Goes into the model's ``metadata_props``.
    """
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    graph = Graph()
    features = _middle(graph, weights, _front(graph, weights))
    _back(graph, weights, features)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "musicnn",
            [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["B", FRAMES, MELS])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", width])
                for name, width in OUTPUTS.items()
            ],
            graph.constants,
        ),
        producer_name="audiorec",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _front(graph: Graph, weights: Weights) -> str:
    """Convolve the spectrogram and keep the maximum over frequency: (B, 561, 187, 1)."""
    scale, shift = _affine(weights, "input_norm")
    zero = graph.constant("zero_input", -shift / scale)
    centred = graph.add("Sub", ["log_mel", zero], "centred")
    axis = graph.constant("channel_axis", [1], np.int64)
    image = graph.add("Unsqueeze", [centred, axis], "image")  # (B, 1, 187, 96)
    maxima, limits = [], []
    for layer in TIMBRAL + TEMPORAL:
        kernel, bias, limit = _folded(weights, layer)
        time, width = kernel.shape[2:]
        before = (time - 1) // 2  # an even kernel has its odd zero at the end
        inputs = [
            image,
            graph.constant(f"{layer}.kernel", kernel * scale),
            graph.constant(f"{layer}.bias", bias),
        ]
        mapped = graph.add("Conv", inputs, f"{layer}.conv", pads=[before, 0, time - 1 - before, 0])
        maxima.append(
            graph.add("MaxPool", [mapped], f"{layer}.max", kernel_shape=[1, MELS - width + 1])
        )
        limits.append(limit)
    joined = graph.add("Concat", maxima, "front.max", axis=1)
    return _cut_off(graph, joined, np.concatenate(limits, axis=1), "front")


def _middle(graph: Graph, weights: Weights, front: str) -> str:
    """Add three layers over time, the last two residual: (B, 753, 187)."""
    maps = [front]
    for i, layer in enumerate(MIDDLE):
        kernel, bias, limit = _folded(weights, layer)
        inputs = [
            maps[-1],
            graph.constant(f"{layer}.kernel", kernel[..., None]),
            graph.constant(f"{layer}.bias", bias),
        ]
        mapped = graph.add("Conv", inputs, f"{layer}.conv", pads=[3, 0, 3, 0])
        cut = _cut_off(graph, mapped, limit, layer)
        maps.append(graph.add("Add", [cut, maps[-1]], f"{layer}.sum") if i else cut)
    return graph.add("Concat", maps, "features", axis=1)


def _back(graph: Graph, weights: Weights, features: str) -> None:
    """Pool over time and add the dense layers; names the four outputs."""
    pooling = {"axes": [2, 3], "keepdims": 0}
    pooled = [
        graph.add("ReduceMax", [features], "max_pool", **pooling),
        graph.add("ReduceMean", [features], "mean_pool", **pooling),
    ]
    joined = graph.add("Concat", pooled, "pooled", axis=1)
    scale, shift = _affine(weights, "pool_norm")
    matrix = weights["dense.weight"]  # (200, 1506), columns alternate max, mean
    bias = weights["dense.bias"] + [math.fsum(row) for row in matrix * shift]
    matrix = (matrix * scale).reshape(len(bias), -1, 2).transpose(0, 2, 1).reshape(len(bias), -1)
    inputs = [joined, graph.constant("dense.matrix", matrix), graph.constant("dense.bias", bias)]
    hidden = graph.add("Gemm", inputs, "dense", transB=1)
    hidden = graph.add("Relu", [hidden], "dense.relu")
    scale, shift = _affine(weights, "dense_norm")
    hidden = graph.add("Mul", [hidden, graph.constant("dense_norm.scale", scale)], "dense_norm")
    graph.add("Add", [hidden, graph.constant("dense_norm.shift", shift)], "penultimate")
    inputs = ["penultimate"] + [
        graph.constant(f"output.{part}", weights[f"output.{part}"]) for part in ("weight", "bias")
    ]
    graph.add("Sigmoid", [graph.add("Gemm", inputs, "logits", transB=1)], "tags")


def _affine(weights: Weights, norm: str) -> tuple[Float64Array, Float64Array]:
    """Return the factor and the summand that a batch-norm amounts to, per channel."""
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    scale = weights[f"{norm}.weight"] / np.sqrt(variance + NORM_EPSILON)
    return scale, weights[f"{norm}.bias"] - mean * scale


def _folded(weights: Weights, layer: str) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return kernel and bias of a block with its batch-norm, and its limits (2, C)."""
    scale, shift = _affine(weights, f"{layer}.norm")
    kernel = weights[f"{layer}.conv.weight"]
    kernel = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    bias = weights[f"{layer}.conv.bias"] * scale + shift
    lowest = np.where(scale < 0, -LARGEST, shift)
    highest = np.where(scale < 0, shift, LARGEST)
    return kernel, bias, np.stack([lowest, highest])


def _cut_off(graph: Graph, values: str, limits: Float64Array, name: str) -> str:
    """Keep (B, C, frames, 1) between the limits (2, C)."""
    lowest, highest = limits.reshape(2, -1, 1, 1)
    values = graph.add("Max", [values, graph.constant(f"{name}.lowest", lowest)], f"{name}.raised")
    return graph.add("Min", [values, graph.constant(f"{name}.highest", highest)], f"{name}.cut")
