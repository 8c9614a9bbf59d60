"""Build the ONNX form of musicnn, folded and rearranged for speed.

    log_mel (B, 187, 96)  ──▶  tags (B, 50), penultimate (B, 200),
                               max_pool (B, 753), mean_pool (B, 753)

Every rearrangement is exact in real arithmetic, but for channels that no input moves
(`musicnn_folding`).

Speed. The first layer is four fifths of the work. Its kernels are cut into short filters
over time (`toom_cook`): 7 taps for 6 frames at a time, with 12 products instead of 42; the
long kernels in groups of 4 taps for 4 frames, with 7 instead of 16. A product is then a
convolution over frequency or over the groups, one group of ONNX's ``Conv`` for each point. A
``Scan`` works on a few tiles of frames at a time, which stay in the processor's cache.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnx
from musicnn_folding import Channels, Float64Array, Weights, affine, fold_first, folded
from onnx import TensorProto, helper, numpy_helper
from toom_cook import ToomCook, toom_cook, transform_taps

FRAMES, MELS = 187, 96
OPSET, IR_VERSION = 17, 8  # onnxruntime 1.25 reads both
OUTPUTS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
TIMBRAL = {"timbral_38": 38, "timbral_67": 67}  # bands; 7 frames each
TIMBRAL_TILE = 6  # frames
TIMBRAL_STEP = 4  # tiles that are worked on at once; 32 of them cover a segment
TIMBRAL_POINTS = (0, 1, -1, 2, -2, HALF, -HALF, 3, -3, THIRD, -THIRD)
TEMPORAL = {"temporal_128": 128, "temporal_64": 64, "temporal_32": 32}  # frames; 1 band each
TEMPORAL_TILE = TEMPORAL_GROUP = 4  # frames, taps
TEMPORAL_POINTS = (0, 1, -1, 2, -2, HALF)
MIDDLE, MIDDLE_WIDTH = ("mid_1", "mid_2", "mid_3"), 3 * 64
CHANNEL_BLOCK = 16  # onnxruntime computes a convolution of this many channels at a time


class Graph:
    """Nodes and constants in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a constant, int64 if `value` holds integers, else float32; return its name."""
        array = np.asarray(value)
        dtype = np.int64 if array.dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(array.astype(dtype), name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node of one output and return the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def shaped(self, op: str, value: str, shape: Sequence[int], output: str) -> str:
        """Add a ``Reshape`` to `shape`, or an ``Unsqueeze`` of the axes `shape`."""
        return self.add(op, [value, self.constant(f"{output}.{op}", list(shape))], output)

    def frames(self, value: str, output: str, *, axis: int) -> str:
        """Drop what the last tile has beyond the segment's frames."""
        bounds = {"start": 0, "end": FRAMES, "axis": axis}
        inputs = [value, *(self.constant(f"{output}.{k}", [v]) for k, v in bounds.items())]
        return self.add("Slice", inputs, output)

    def scan(self, body: "Graph", value: str, shape: Sequence[int], result: str) -> str:
        """Run `body` on each row of `value`; its input has the name ``<result>.row``.

        The body's constants join this graph's, which the body can see.
        """
        self.constants += body.constants
        rows = [f"{result}.row"], [body.nodes[-1].output[0]]
        infos = [
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n in names]
            for names, s in zip(rows, (shape, None), strict=True)
        ]
        graph = helper.make_graph(body.nodes, f"{result}.body", *infos)
        return self.add("Scan", [value], result, body=graph, num_scan_inputs=1)


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
    channels = fold_first(weights)
    features = _middle(graph, weights, _front(graph, weights, channels), channels)
    _back(graph, weights, features, channels)
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


def _front(graph: Graph, weights: Weights, channels: Channels) -> str:
    """Convolve the spectrogram and keep the maximum over frequency: (B, L, 187, 1)."""
    scale, shift = affine(weights, "input_norm")
    zero = graph.constant("zero_input", -shift / scale)
    centred = graph.add("Sub", ["log_mel", zero], "centred")
    image = graph.shaped("Unsqueeze", centred, [1], "image")  # (B, 1, 187, 96)
    kernels = {layer: channels.kernels[layer] for layer in (*TIMBRAL, *TEMPORAL)}
    maxima = [_timbral(graph, kernels, image), _temporal(graph, kernels, image)]
    joined = graph.add("Concat", maxima, "front.joined", axis=1)
    joined = graph.shaped("Unsqueeze", joined, [3], "front.max")
    bias = graph.constant("front.bias", channels.bias[channels.lives][:, None, None])
    biased = graph.add("Add", [joined, bias], "front.sum")
    return _cut_off(graph, biased, channels.limits[:, channels.lives], "front")


def _timbral(graph: Graph, kernels: Weights, image: str) -> str:
    """Return the maxima of both timbral layers, without bias: (B, C, 187)."""
    matrices = toom_cook(TIMBRAL_TILE, 7, TIMBRAL_POINTS)
    points, tiles = len(matrices.inputs), -(-FRAMES // TIMBRAL_TILE)
    tiled = _tiles(graph, matrices, image, "timbral", tile=TIMBRAL_TILE, before=3, tiles=tiles)
    step = TIMBRAL_STEP
    rows = graph.shaped("Reshape", tiled, [0, points, -1, step, MELS], "timbral.steps")
    rows = graph.add("Transpose", [rows], "timbral.by_step", perm=[0, 2, 1, 3, 4])
    rows = graph.shaped("Reshape", rows, [-1, 1, points, step, MELS], "timbral.rows")
    body, maxima = Graph(), []
    for layer, bands in TIMBRAL.items():
        kernel = transform_taps(matrices, kernels[layer].transpose(0, 2, 1))  # (points, C, bands)
        products = _products(body, "timbral.row", kernel[..., None, :], layer)
        shape = [-1, step, MELS - bands + 1]
        maxima.append(_maximum(body, matrices, products, shape, layer))
    body.add("Concat", maxima, "timbral.tile", axis=1)  # (tile, C, step)
    found = graph.scan(body, rows, [1, points, step, MELS], "timbral")
    count = sum(len(kernels[layer]) for layer in TIMBRAL)
    found = graph.shaped(
        "Reshape", found, [-1, tiles // step, TIMBRAL_TILE, count, step], "timbral.stepped"
    )
    found = graph.add("Transpose", [found], "timbral.by_frame", perm=[0, 3, 1, 4, 2])
    found = graph.shaped("Reshape", found, [0, count, -1], "timbral.frames")
    return graph.frames(found, "timbral.max", axis=2)


def _temporal(graph: Graph, kernels: Weights, image: str) -> str:
    """Return the maxima of the three temporal layers, without bias: (B, C, 187)."""
    matrices = toom_cook(TEMPORAL_TILE, TEMPORAL_GROUP, TEMPORAL_POINTS)
    points, longest = len(matrices.inputs), max(TEMPORAL.values())
    tiles = -(-FRAMES // TEMPORAL_TILE)  # a tile needs as many groups as its kernel has
    groups = tiles + longest // TEMPORAL_GROUP - 1
    before = (longest - 1) // 2  # a kernel's odd zero is at the end
    tiled = _tiles(
        graph, matrices, image, "temporal", tile=TEMPORAL_TILE, before=before, tiles=groups
    )
    rows = graph.shaped("Unsqueeze", tiled, [1], "temporal.rows")  # (B, 1, points, groups, 96)
    body, maxima = Graph(), []
    for layer, taps in TEMPORAL.items():
        first = (longest - taps) // 2 // TEMPORAL_GROUP  # a shorter kernel starts later
        window = [first, first + tiles + taps // TEMPORAL_GROUP - 1, 2]
        bounds = [body.constant(f"{layer}.window{i}", [v]) for i, v in enumerate(window)]
        part = body.add("Slice", ["temporal.row", *bounds], f"{layer}.part")
        kernel = kernels[layer].reshape(-1, taps // TEMPORAL_GROUP, TEMPORAL_GROUP)
        products = _products(body, part, transform_taps(matrices, kernel)[..., None], layer)
        maxima.append(_maximum(body, matrices, products, [-1, tiles, MELS], layer))
    body.add("Concat", maxima, "temporal.segment", axis=1)  # (tile, C, tiles)
    found = graph.scan(body, rows, [1, points, groups, MELS], "temporal")
    found = graph.add("Transpose", [found], "temporal.by_frame", perm=[0, 2, 3, 1])
    count = sum(len(kernels[layer]) for layer in TEMPORAL)
    found = graph.shaped("Reshape", found, [0, count, -1], "temporal.frames")
    return graph.frames(found, "temporal.max", axis=2)


def _tiles(
    graph: Graph,
    matrices: ToomCook,
    image: str,
    name: str,
    *,
    tile: int,
    before: int,
    tiles: int,
) -> str:
    """Apply ``inputs`` to tiles of frames: (B, 1, 187, 96) to (B, points, tiles, 96)."""
    points = len(matrices.inputs)
    after = tile * (tiles - 1) + points - before - FRAMES
    kernel = graph.constant(f"{name}.inputs", matrices.inputs[:, None, :, None])
    pads = [before, 0, after, 0]
    return graph.add("Conv", [image, kernel], f"{name}.tiles", strides=[tile, 1], pads=pads)


def _products(body: Graph, value: str, kernel: Float64Array, layer: str) -> str:
    """Convolve each point with its own kernels (points, C, height, width)."""
    points, _channels, height, width = kernel.shape
    stacked = body.constant(f"{layer}.kernel", kernel.reshape(-1, 1, height, width))
    return body.add("Conv", [value, stacked], f"{layer}.products", group=points)


def _maximum(
    body: Graph, matrices: ToomCook, products: str, shape: Sequence[int], layer: str
) -> str:
    """Apply ``output`` and keep the maximum over the last axis of (tile, *shape)."""
    tile, points = matrices.output.shape
    flat = body.shaped("Reshape", products, [points, -1], f"{layer}.flat")
    output = body.constant(f"{layer}.output", matrices.output)
    mapped = body.add("MatMul", [output, flat], f"{layer}.mapped")
    mapped = body.shaped("Reshape", mapped, [tile, *shape], f"{layer}.positions")
    return body.add("ReduceMax", [mapped], f"{layer}.max", axes=[len(shape)], keepdims=0)


def _middle(graph: Graph, weights: Weights, front: str, channels: Channels) -> str:
    """Add three layers over time, the last two residual: (B, L + 192, 187, 1)."""
    maps = [front]
    for i, layer in enumerate(MIDDLE):
        kernel, bias, limits = folded(weights, layer)
        bias_map = np.repeat(bias[:, None], FRAMES, axis=1)
        if i == 0:
            bias_map = bias_map + _constant_part(kernel, channels)
            kernel = kernel[:, channels.lives]
        missing = -kernel.shape[1] % CHANNEL_BLOCK
        kernel = np.pad(kernel, [(0, 0), (0, missing), (0, 0)])[..., None]
        value = maps[-1]
        if missing:
            pads = graph.constant(f"{layer}.pads", [0, 0, 0, 0, 0, missing, 0, 0])
            value = graph.add("Pad", [value, pads], f"{layer}.padded")
        inputs = [value, graph.constant(f"{layer}.kernel", kernel)]
        mapped = graph.add("Conv", inputs, f"{layer}.conv", pads=[3, 0, 3, 0])
        summand = graph.constant(f"{layer}.bias", bias_map[..., None])
        mapped = graph.add("Add", [mapped, summand], f"{layer}.biased")
        cut = _cut_off(graph, mapped, limits, layer)
        maps.append(graph.add("Add", [cut, maps[-1]], f"{layer}.sum") if i else cut)
    return graph.add("Concat", maps, "features", axis=1)


def _constant_part(kernel: Float64Array, channels: Channels) -> Float64Array:
    """Return what the constant channels add to each frame, shape (64, 187).

    It is the same for all frames but those at the ends, where zeros stand beside them.
    """
    taps = kernel.shape[2]
    added = kernel[:, ~channels.lives] * channels.constants[~channels.lives][:, None]
    by_tap = [[math.fsum(row) for row in added[..., k]] for k in range(taps)]  # (taps, 64)
    summed = np.zeros((len(kernel), FRAMES))
    for k, values in enumerate(by_tap):
        first = taps // 2 - k  # the frame whose tap k lies on the first frame
        summed[:, max(first, 0) : FRAMES + min(first, 0)] += np.array(values)[:, None]
    return summed


def _back(graph: Graph, weights: Weights, features: str, channels: Channels) -> None:
    """Pool over time and add the dense layers; names the four outputs."""
    pooled = [
        _with_constants(
            graph,
            graph.add(op, [features], f"{output}.living", axes=[2, 3], keepdims=0),
            output,
            channels,
        )
        for op, output in (("ReduceMax", "max_pool"), ("ReduceMean", "mean_pool"))
    ]
    joined = graph.add("Concat", pooled, "pooled", axis=1)
    scale, shift = affine(weights, "pool_norm")
    matrix = weights["dense.weight"]  # (200, 1506), columns alternate max, mean
    bias = weights["dense.bias"] + [math.fsum(row) for row in matrix * shift]
    matrix = (matrix * scale).reshape(len(bias), -1, 2).transpose(0, 2, 1).reshape(len(bias), -1)
    hidden = _dense(graph, joined, matrix, bias, "dense")
    hidden = graph.add("Relu", [hidden], "dense.relu")
    scale, shift = affine(weights, "dense_norm")
    hidden = graph.add("Mul", [hidden, graph.constant("dense_norm.scale", scale)], "dense_norm")
    graph.add("Add", [hidden, graph.constant("dense_norm.shift", shift)], "penultimate")
    matrix, bias = weights["output.weight"], weights["output.bias"]
    graph.add("Sigmoid", [_dense(graph, "penultimate", matrix, bias, "logits")], "tags")


def _with_constants(graph: Graph, living: str, output: str, channels: Channels) -> str:
    """Put constant channels among the pooled living ones: (B, L + 192) to (B, 753)."""
    lives = np.concatenate([channels.lives, np.ones(MIDDLE_WIDTH, bool)])
    n_living = int(lives.sum())
    pads = graph.constant(f"{output}.pads", [0, 0, 0, 1])
    padded = graph.add("Pad", [living, pads], f"{output}.padded")  # the last column is zero
    where = np.where(lives, np.cumsum(lives) - 1, n_living)
    indices = graph.constant(f"{output}.where", where)
    spread = graph.add("Gather", [padded, indices], f"{output}.spread", axis=1)
    values = np.zeros(len(lives))
    values[: len(channels.lives)] = np.where(channels.lives, 0.0, channels.constants)
    return graph.add("Add", [spread, graph.constant(f"{output}.constants", values)], output)


def _dense(graph: Graph, value: str, matrix: Float64Array, bias: Float64Array, output: str) -> str:
    """Multiply by a matrix (out, in) and add the bias."""
    parts = [graph.constant(f"{output}.matrix", matrix), graph.constant(f"{output}.bias", bias)]
    return graph.add("Gemm", [value, *parts], output, transB=1)


def _cut_off(graph: Graph, values: str, limits: Float64Array, name: str) -> str:
    """Keep (B, C, frames, 1) between the limits (2, C)."""
    lowest, highest = limits.reshape(2, -1, 1, 1)
    values = graph.add("Max", [values, graph.constant(f"{name}.lowest", lowest)], f"{name}.raised")
    return graph.add("Min", [values, graph.constant(f"{name}.highest", highest)], f"{name}.cut")
