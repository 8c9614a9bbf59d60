"""Time the backbones: how many seconds of audio a processor second pays for.

    python -m benchmarks bench_backbone [--segments 16] [--repeats 9]

Prints how many channels of the network's first layer are constants, then one JSON line for each
engine. The engines take turns in every round, so that a busy machine slows all of them alike; one
thread, processor time. Answers are checked against the original network's before anything is timed.
The last lines are the limit: time and multiplications of each operation of the graph, by ONNX
Runtime's own profile, beside a product of two matrices of 512, and what a network of the same
multiplications at that speed would make.
"""

import argparse
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from audiorec.tagger.backbone import OnnxBackbone
from audiorec.tagger.features import Backbone
from audiorec.tagger.weights import WEIGHTS, BackboneName, onnx_model, weights_path

ORACLE = Path(__file__).parents[2] / "fixtures" / "musicnn_oracle.npz"
SEGMENT_S = 187 * 256 / 16_000  # of audio in a segment
WARM_UP = 2
PRODUCTS = ("Conv", "MatMul", "Gemm", "FusedGemm")
BATCH = 8  # segments, as `extract` runs them
GEMM_SIDE = 512
CHECKED = {  # outputs, their names in the oracle, and what they may be off by
    "tags": ("sigmoid", 1e-5),
    "penultimate": ("penultimate", 1e-4),
    "max_pool": ("max_pool", 2e-3),  # values up to 110
    "mean_pool": ("mean_pool", 2e-4),
}

from musicnn_folding import FIRST, fold_first


def main() -> None:
    """Check, warm up, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--segments", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()

    with np.load(ORACLE, allow_pickle=False) as stored:
        oracle = dict(stored)
    repeats = -(-args.segments // len(oracle["mel"]))
    segments = np.tile(oracle["mel"], (repeats, 1, 1))[: args.segments]
    settings = load_settings()
    errors = {
        name: np.max([check(backbone, oracle) for backbone in backbones], axis=0)
        for name, backbones in settings.items()
    }

    for name in WEIGHTS:
        print(json.dumps({"bench": "backbone/channels", "network": name, **constants(name)}))

    def run(backbones: list[Backbone]) -> None:
        for backbone in backbones:
            backbone.features(segments)

    calls = {name: lambda chosen=chosen: run(chosen) for name, chosen in settings.items()}
    seconds = take_turns(calls, repeats=args.repeats)
    for name, times in seconds.items():
        speeds = sorted(len(segments) * SEGMENT_S / t for t in times)
        print(json.dumps(report(name, speeds, errors[name]) | vars(args)))
    for name in WEIGHTS:
        for line in limit(name, segments, repeats=args.repeats):
            print(json.dumps(line))


def limit(name: BackboneName, segments: np.ndarray, *, repeats: int) -> Iterator[dict[str, object]]:
    """Yield where the time of the graph goes, by kind of operation, and how fast it could be."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/run"
        session = onnxruntime.InferenceSession(
            onnx_model(name), options, providers=["CPUExecutionProvider"]
        )
        entry = session.get_inputs()[0].name
        for start in range(0, repeats * len(segments), BATCH):
            batch = np.arange(start, start + BATCH) % len(segments)
            session.run(None, {entry: segments[batch]})
        events = json.loads(Path(session.end_profiling()).read_text())
    seconds, flops = Counter[str](), Counter[str]()
    for event in events:
        if event["cat"] != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        node, kind = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
        if kind == "Scan":  # its own operations are events too
            continue
        part = f"{node.partition('.')[0]} {kind if kind in PRODUCTS else 'moving and comparing'}"
        seconds[part] += event["dur"] / 1e6
        flops[part] += operations(kind, event["args"])
    audio_s = -(-repeats * len(segments) // BATCH) * BATCH * SEGMENT_S
    for part, taken in seconds.most_common(12):
        yield {
            "bench": "backbone/limit",
            "part": part,
            "ms_per_audio_s": round(1e3 * taken / audio_s, 4),
            "mflop_per_audio_s": round(flops[part] / audio_s / 1e6, 2),
            "gflop_per_s": round(flops[part] / taken / 1e9, 1),
        }
    peak = gemm_speed()
    yield {
        "bench": "backbone/limit",
        "part": "all",
        "ms_per_audio_s": round(1e3 * seconds.total() / audio_s, 4),
        "mflop_per_audio_s": round(flops.total() / audio_s / 1e6, 2),
        "gflop_per_s": round(flops.total() / seconds.total() / 1e9, 1),
        "gemm_gflop_per_s": round(peak / 1e9, 1),
        "x_realtime_at_gemm_speed": round(audio_s * peak / flops.total()),
    }


def operations(kind: str, args: dict[str, Any]) -> float:
    """Return the floating-point operations of one call, from its shapes in the profile."""
    if kind not in PRODUCTS:
        return 0.0
    inputs = [next(iter(one.values())) for one in args["input_type_shape"]]
    out = math.prod(next(iter(args["output_type_shape"][0].values())))
    inner = math.prod(inputs[1][1:]) if kind == "Conv" else inputs[0][-1]
    return 2.0 * out * inner


def gemm_speed() -> float:
    """Return the operations a second of numpy's product of two matrices, on one thread."""
    one = np.random.default_rng(0).random((GEMM_SIDE, GEMM_SIDE), np.float32)
    times = take_turns({"gemm": lambda: one @ one}, repeats=50)["gemm"]
    return 2.0 * GEMM_SIDE**3 / statistics.median(times)


def load_settings() -> dict[str, list[Backbone]]:
    """Load every engine that is installed, with its own batch size, by the names to print."""
    onnx: list[Backbone] = [OnnxBackbone(name) for name in WEIGHTS]
    settings: dict[str, list[Backbone]] = {f"onnx {b.name}": [b] for b in onnx}
    if find_spec("torch"):
        import torch

        from audiorec.tagger.backbone_torch import TorchBackbone

        torch.set_num_threads(1)
        for name in WEIGHTS:
            settings[f"torch {name}"] = [TorchBackbone(name)]
    return settings


def constants(name: BackboneName) -> dict[str, int]:
    """Count the channels of the first layer, and those that no input moves, by layer."""
    weights = {k: v.astype(np.float64) for k, v in load_file(weights_path(name)).items()}
    channels = fold_first(weights)
    total = {layer: len(weights[f"{layer}.conv.weight"]) for layer in FIRST}
    by_layer = {layer: total[layer] - len(channels.kernels[layer]) for layer in FIRST}
    return {"channels": sum(total.values()), "constant": sum(by_layer.values()), **by_layer}


def check(backbone: Backbone, oracle: dict[str, np.ndarray]) -> list[float]:
    """Return the largest error in each output; stop if one is too large."""
    found, errors = backbone.features(oracle["mel"]), []
    for output, (stored, tolerance) in CHECKED.items():
        error = np.abs(getattr(found, output) - oracle[f"{backbone.name}_{stored}"]).max()
        assert error <= tolerance, f"{backbone.name}: {output} is off by {error:.1e}"
        errors.append(float(error))
    return errors


def take_turns(calls: Mapping[str, Callable[[], None]], *, repeats: int) -> dict[str, list[float]]:
    """Return the processor seconds of every call in every round after the warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(WARM_UP + repeats):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn >= WARM_UP:
                seconds[name].append(time.process_time() - start)
    return seconds


def report(name: str, speeds: list[float], errors: np.ndarray) -> dict[str, object]:
    """Return what one line says, apart from the arguments."""
    return {
        "bench": "backbone",
        "setting": name,
        "x_realtime_min_median_max": [
            round(v, 1) for v in (speeds[0], statistics.median(speeds), speeds[-1])
        ],
        **{f"error_of_{n}": float(f"{e:.1e}") for n, e in zip(CHECKED, errors, strict=True)},
        "machine": f"{platform.machine()} {platform.system()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


if __name__ == "__main__":
    main()
