"""Time the backbones: how many seconds of audio a processor second pays for.

    python -m benchmarks bench_backbone [--segments 16] [--repeats 9]

Prints how many channels of the network's first layer are constants, then one JSON line for each
network. One thread, processor time. Answers are checked against the original network's before
anything is timed.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from audiorec.tagger.backbone import OnnxBackbone
from audiorec.tagger.features import Backbone
from audiorec.tagger.weights import WEIGHTS, BackboneName, weights_path

ORACLE = Path(__file__).parents[2] / "fixtures" / "musicnn_oracle.npz"
SEGMENT_S = 187 * 256 / 16_000  # of audio in a segment
WARM_UP = 2
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


def load_settings() -> dict[str, list[Backbone]]:
    """Load every network, by the names to print."""
    return {f"onnx {name}": [OnnxBackbone(name)] for name in WEIGHTS}


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
