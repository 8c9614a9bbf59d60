"""Build the ONNX form of musicnn, folded and rearranged for speed.

    log_mel (B, 187, 96)  ──▶  tags (B, 50), penultimate (B, 200),
                               max_pool (B, 753), mean_pool (B, 753)

Every rearrangement is exact in real arithmetic, but for channels that no input moves
(`musicnn_folding`).

Speed. The first layer is four fifths of the work. Its kernels are cut into short filters
over time (`toom_cook`): 7 taps for 6 frames at a time, with 12 products instead of 42; the
long kernels in groups of 4 taps for 4 frames, with 7 instead of 16. What is left for each
point is a convolution over frequency or over the groups. It is written as a product with a
matrix whose rows are the kernel, each shifted by one more place than the row before
(Toeplitz): up to an eighth more multiplications for most layers, but no copies of overlapping
windows, and the shape that processors multiply fastest. A ``Scan`` works on one segment, and
there on a block of outputs at a time, which stays in the processor's cache.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnx
from musicnn_folding import LARGEST, Channels, Float64Array, Weights, affine, fold_first, folded
from onnx import TensorProto, helper, numpy_helper
from toom_cook import ToomCook, toom_cook, transform_taps

from audiorec.tagger.weights import dense_matrix

FRAMES, MELS = 187, 96
OPSET, IR_VERSION = 17, 8  # onnxruntime 1.25 reads both
OUTPUTS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
TIMBRAL = {"timbral_38": 38, "timbral_67": 67}  # bands; 7 frames each
TIMBRAL_TILE = 6  # frames
TIMBRAL_POINTS = (0, 1, -1, 2, -2, HALF, -HALF, 3, -3, THIRD, -THIRD)
TEMPORAL = {"temporal_128": 128, "temporal_64": 64, "temporal_32": 32}  # frames; 1 band each
TEMPORAL_TILE = TEMPORAL_GROUP = 4  # frames, taps
BLOCK = {  # outputs of one product: bands or tiles
    "timbral_38": 6,
    "timbral_67": 5,
    "temporal_128": 12,
    "temporal_64": 12,
    "temporal_32": 6,
}
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

    def part(self, value: str, output: str, start: int, end: int, *, axis: int) -> str:
        """Keep the entries from `start` to `end` of an axis."""
        bounds = {"start": start, "end": end, "axis": axis}
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
    body = Graph()
    maxima = [layers(body, "front.row", channels.kernels) for layers in (_timbral, _temporal)]
    body.add("Concat", maxima, "front.segment", axis=0)
    front = graph.scan(body, centred, [FRAMES, MELS], "front")
    front = graph.shaped("Unsqueeze", front, [3], "front.max")
    bias = graph.constant("front.bias", channels.bias[channels.lives][:, None, None])
    biased = graph.add("Add", [front, bias], "front.sum")
    return _cut_off(graph, biased, channels.limits[:, channels.lives], "front")


def _timbral(body: Graph, image: str, kernels: Weights) -> str:
    """Return the maxima of both timbral layers in a segment (187, 96), without bias: (C, 187)."""
    matrices = toom_cook(TIMBRAL_TILE, 7, TIMBRAL_POINTS)
    tiles = -(-FRAMES // TIMBRAL_TILE)
    groups = _groups(body, image, "timbral", (tiles + 1, TIMBRAL_TILE), before=3)
    groups = body.add("Transpose", [groups], "timbral.by_band", perm=[1, 2, 0])
    places = _tiles(body, matrices, groups, "timbral", [-1, MELS, tiles], axis=2)
    maxima = []
    for layer, bands in TIMBRAL.items():
        kernel = transform_taps(matrices, kernels[layer].transpose(0, 2, 1))  # (points, C, bands)
        blocks = _convolved(body, matrices, places, kernel, layer, MELS - bands + 1)
        blocks = [body.add("ReduceMax", [b], f"{b}.max", axes=[2], keepdims=0) for b in blocks]
        maxima.append(body.add("Max", blocks, f"{layer}.max"))
    return _by_frame(body, maxima, "timbral")


def _temporal(body: Graph, image: str, kernels: Weights) -> str:
    """Return the maxima of the temporal layers in a segment (187, 96), without bias: (C, 187)."""
    matrices = toom_cook(TEMPORAL_TILE, TEMPORAL_GROUP, TEMPORAL_POINTS)
    longest, most = max(TEMPORAL.values()), max(BLOCK[layer] for layer in TEMPORAL)
    tiles = -(-FRAMES // (TEMPORAL_TILE * most)) * most  # whole blocks
    count = tiles + longest // TEMPORAL_GROUP - 1  # a tile needs as many groups as its kernel has
    before = (longest - 1) // 2  # a kernel's odd zero is at the end
    groups = _groups(body, image, "temporal", (count + 1, TEMPORAL_TILE), before=before)
    groups = body.add("Transpose", [groups], "temporal.by_group", perm=[1, 0, 2])
    places = _tiles(body, matrices, groups, "temporal", [-1, count, MELS], axis=1)
    maxima = []
    for layer, taps in TEMPORAL.items():
        kernel = kernels[layer].reshape(-1, taps // TEMPORAL_GROUP, TEMPORAL_GROUP)
        first = (longest - taps) // 2 // TEMPORAL_GROUP  # a shorter kernel starts later
        kernel = transform_taps(matrices, kernel)  # (points, C, groups)
        blocks = _convolved(body, matrices, places, kernel, layer, tiles, first=first)
        blocks = [body.add("ReduceMax", [b], f"{b}.max", axes=[3], keepdims=0) for b in blocks]
        maxima.append(body.add("Concat", blocks, f"{layer}.max", axis=2))
    return _by_frame(body, maxima, "temporal")


def _groups(body: Graph, image: str, name: str, shape: tuple[int, int], *, before: int) -> str:
    """Put zeros around a segment and cut it into groups of frames: (*shape, 96)."""
    after = shape[0] * shape[1] - before - FRAMES
    pads = body.constant(f"{name}.pads", [before, 0, after, 0])
    padded = body.add("Pad", [image, pads], f"{name}.padded")
    return body.shaped("Reshape", padded, [*shape, MELS], f"{name}.groups")


def _tiles(
    body: Graph, matrices: ToomCook, groups: str, name: str, shape: list[int], *, axis: int
) -> str:
    """Apply ``inputs`` to tiles, each a group and the beginning of the next one on `axis`.

    The groups' frames are on the first axis, where the result (points, *shape[1:]) has points.
    """
    tile, points = matrices.output.shape
    sides = [
        body.part(groups, f"{name}.{side}", i, i + shape[axis], axis=axis)
        for i, side in enumerate(("begin", "rest"))
    ]
    frames = body.add("Concat", sides, f"{name}.tiles", axis=0)
    frames = body.shaped("Reshape", frames, [2 * tile, -1], f"{name}.flat")
    inputs = np.pad(matrices.inputs, [(0, 0), (0, 2 * tile - points)])
    values = body.add("MatMul", [body.constant(f"{name}.inputs", inputs), frames], f"{name}.values")
    return body.shaped("Reshape", values, shape, f"{name}.points")


def _convolved(
    body: Graph,
    matrices: ToomCook,
    places: str,
    kernel: Float64Array,
    layer: str,
    outputs: int,
    *,
    first: int = 0,
) -> list[str]:
    """Convolve along the second axis, from entry `first` on, and apply ``output``.

    The convolution of (points, places, N) with (points, C, taps) is done in blocks of outputs:
    (tile, C, block, N) each. The last block overlaps the one before if they do not fit.
    """
    (points, channels, taps), block = kernel.shape, BLOCK[layer]
    shifted = np.zeros((points, channels, block, block + taps - 1))
    for i in range(block):
        shifted[:, :, i, i : i + taps] = kernel
    matrix = body.constant(f"{layer}.kernel", shifted.reshape(points, channels * block, -1))
    output = body.constant(f"{layer}.output", matrices.output)
    results = []
    for i in range(0, outputs, block):
        begin, name = first + min(i, outputs - block), f"{layer}.{i}"
        part = body.part(places, f"{name}.part", begin, begin + block + taps - 1, axis=1)
        products = body.add("MatMul", [matrix, part], f"{name}.products")
        products = body.shaped("Reshape", products, [points, -1], f"{name}.flat")
        frames = body.add("MatMul", [output, products], f"{name}.frames")
        shape = [len(matrices.output), channels, block, -1]
        results.append(body.shaped("Reshape", frames, shape, name))
    return results


def _by_frame(body: Graph, maxima: Sequence[str], name: str) -> str:
    """Join layers and order their frames: (tile, C, tiles) each to (C, 187)."""
    joined = body.add("Concat", maxima, f"{name}.joined", axis=1)
    joined = body.add("Transpose", [joined], f"{name}.by_frame", perm=[1, 2, 0])
    joined = body.shaped("Reshape", joined, [0, -1], f"{name}.frames")
    return body.part(joined, f"{name}.max", 0, FRAMES, axis=1)


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
    _, shift = affine(weights, "pool_norm")
    matrix = weights["dense.weight"]  # (200, 1506), columns alternate max, mean
    bias = weights["dense.bias"] + [math.fsum(row) for row in matrix * shift]
    hidden = _dense(graph, joined, dense_matrix(weights.__getitem__), bias, "dense")
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


def _dense(graph: Graph, value: str, matrix: npt.ArrayLike, bias: Float64Array, output: str) -> str:
    """Multiply by a matrix (out, in) and add the bias."""
    parts = [graph.constant(f"{output}.matrix", matrix), graph.constant(f"{output}.bias", bias)]
    return graph.add("Gemm", [value, *parts], output, transB=1)


def _cut_off(graph: Graph, values: str, limits: Float64Array, name: str) -> str:
    """Keep (B, C, frames, 1) between the limits (2, C); an operation only where one is finite."""
    for op, bounds in zip(("Max", "Min"), limits.reshape(2, -1, 1, 1), strict=True):
        if (np.abs(bounds) < LARGEST).any():
            bound = graph.constant(f"{name}.{op}.limit", bounds)
            values = graph.add(op, [values, bound], f"{name}.{op}")
    return values
