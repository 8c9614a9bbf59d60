"""Hold the correlation analysis against worlds in which the answer was planted.

    python -m benchmarks eval_world vecs.parquet [--users 1000] [--seeds 3] [--shares 0.2 0.5 0.8]

VECS is any store; 200 songs or more make sense. One JSON line a world: signal, planted share
of audio-sensitive users among those analysed, the estimate with its 95 % interval, mean r
of planted sensitive and other users, and whether the interval holds the planted share (at
signal 0, where nobody's taste can be heard, whether it holds 0). The last line counts.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from audiorec.analysis.job import CorrelationSpec, correlate
from audiorec.library.library import Library
from audiorec.simulation.world import WorldSpec, simulate

SIGNALS = (0.0, 0.2, 0.4, 0.8)


def one_world(store: Library, spec: WorldSpec, draws: int) -> dict[str, object]:
    """Make one world, analyse it, compare."""
    start = time.perf_counter()
    world = simulate(store.ids, store.vectors, spec)
    made = time.perf_counter() - start
    analysis = CorrelationSpec(draws=draws, song_draws=draws, seed=spec.seed)
    found = correlate(
        world.interactions,
        store.ids,
        store.space("vector", use_index=False).matrix,
        analysis,
    )
    truth = world.truth_users
    planted = dict(zip(truth["user_id"].to_pylist(), truth["sensitive"].to_pylist(), strict=True))
    sensitive = np.array([planted[user_id] for user_id in found.user_ids])
    share = float(sensitive.mean()) if spec.signal > 0 else 0.0
    guess = found.sensitive
    return {
        "bench": "world_correlation",
        "simulated": True,
        "signal": spec.signal,
        "seed": spec.seed,
        "songs": len(store),
        "users": len(found.r),
        "planted": round(share, 3),
        "share": round(guess.share, 3),
        "low": round(guess.low, 3),
        "high": round(guess.high, 3),
        "holds": bool(guess.low <= share <= guess.high),
        "is_chance": guess.is_chance,
        "share_positive": round(float((found.r > 0).mean()), 3),
        "p_shuffled_songs": round(found.control.p, 4),
        "r_sensitive": round(float(found.r[sensitive].mean()), 3),
        "r_others": round(float(found.r[~sensitive].mean()), 3),
        "simulate_s": round(made, 2),
        "total_s": round(time.perf_counter() - start, 2),
    }


def main() -> None:
    """Run all worlds and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 0.5, 0.8])
    parser.add_argument("--signals", type=float, nargs="+", default=list(SIGNALS))
    parser.add_argument("--draws", type=int, default=100)
    args = parser.parse_args()
    store = Library.open(args.vectors)
    lines = []
    for share in args.shares:
        for signal in args.signals:
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                spec = WorldSpec(users=args.users, signal=signal, sensitive_share=share, seed=seed)
                lines.append(one_world(store, spec, args.draws))
                print(json.dumps(lines[-1]), flush=True)
    silent = [line for line in lines if line["signal"] == 0]
    print(
        json.dumps(
            {
                "bench": "world_correlation_summary",
                "worlds": len(lines),
                "holds": sum(bool(line["holds"]) for line in lines),
                "worlds_at_signal_0": len(silent),
                "none_at_signal_0": sum(line["is_chance"] for line in silent),
            }
        )
    )


if __name__ == "__main__":
    main()
