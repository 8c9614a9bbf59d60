"""Compare two meanings of a monotone path between songs, on the songs of a store.

    python -m benchmarks eval_paths STORE [--by sound] [--pairs 200] [--steps 8]

By *position* the similarity to the end minus the similarity to the start rises with every step:
what `audiorec.playlists.path` does. By *both* the similarity to the start never rises and that
to the end never falls. One JSON line each, over random pairs of songs: paths of full length, and
of the paths the median and the 10th percentile of the smallest similarity of two neighbours, the
mean similarity of neighbours, and by how much a similarity to an end goes the wrong way in one
step.
"""

import argparse
import json
import os
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt

from audiorec.library.library import Library
from audiorec.playlists.path import best_paths, find_path
from audiorec.types import FloatArray


def by_position(units: FloatArray, start: int, end: int, steps: int) -> npt.NDArray[np.int64]:
    """Return the rows of the path that audiorec takes."""
    return find_path(units, start, end, steps, pool=len(units)).rows


def by_both(units: FloatArray, start: int, end: int, steps: int) -> npt.NDArray[np.int64]:
    """Return the rows of the smoothest path on which both similarities are monotone."""
    vectors = units.astype(np.float64)
    a, b = vectors @ vectors[start], vectors @ vectors[end]
    inner = np.flatnonzero((a > a[end]) & (b > b[start]) & (a < 1 - 1e-6) & (b < 1 - 1e-6))
    rows = np.concatenate([[start], inner[np.argsort((b - a)[inner])], [end]])
    a, b = a[rows], b[rows]
    follows = (a[None] <= a[:, None]) & (b[None] >= b[:, None])
    follows &= (b - a)[None] > (b - a)[:, None]
    cost = np.where(follows, 1.0 - vectors[rows] @ vectors[rows].T, np.inf)
    cost[cost > cost[0, -1]] = np.inf
    worst = best_paths(cost, steps, np.maximum)
    between = max(n for n, (_, total) in enumerate(worst) if np.isfinite(total))
    cost[cost > worst[between][1]] = np.inf
    return rows[best_paths(cost, between, np.add)[between][0]]


def main() -> None:
    """Find the paths, print what they are like."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--by", choices=("sound", "vector", "mean"), default="sound")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    units = Library.open(args.store).space(args.by, use_index=False).matrix
    rng = np.random.default_rng(0)
    pairs = [rng.choice(len(units), 2, replace=False).tolist() for _ in range(args.pairs)]
    for meaning, find in {"position": by_position, "both": by_both}.items():
        smallest, means, wrong, full = [], [], [], 0
        for start, end in pairs:
            path = units[find(units, start, end, args.steps)].astype(np.float64)
            steps = np.einsum("ij,ij->i", path[:-1], path[1:])
            away = (
                np.diff(path @ path[0]).max(initial=0),
                (-np.diff(path @ path[-1])).max(initial=0),
            )
            smallest.append(steps.min())
            means.append(steps.mean())
            wrong.append(max(away))
            full += len(path) == args.steps + 2
        report = {
            "bench": "paths",
            "by": args.by,
            "monotone_by": meaning,
            "songs": len(units),
            "pairs": len(pairs),
            "full_length": full,
            "smallest_p50": round(float(np.median(smallest)), 3),
            "smallest_p10": round(float(np.quantile(smallest, 0.1)), 3),
            "mean": round(float(np.mean(means)), 3),
            "wrong_way_p50": round(float(np.median(wrong)), 3),
            "wrong_way_p90": round(float(np.quantile(wrong, 0.9)), 3),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
