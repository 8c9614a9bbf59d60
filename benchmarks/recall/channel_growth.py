"""What training and candidates cost as the users grow: CPU seconds, memory and disk of commands.

    python -m benchmarks channel_growth WORK [--users 10000 50000] [--channels rules vs-knn als]

Users play 20 of 20,000 songs, whose popularity falls as in real logs (Zipf, exponent 0.8), and
half of what they play is near to what they played before. Each line is one channel: `recall train`
and `recall candidates`, as processes of their own with one thread.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SONGS, PLAYS, EXPONENT, NEAR = 20_000, 20, 0.8, 50
START_S, DAY_S = 1_700_000_000, 86_400
KILO = 1 if sys.platform == "darwin" else 1024  # bytes of a unit of `ru_maxrss`
COMMAND = [sys.executable, "-m", "audiorec_cli.main"]


def write_log(path: Path, n_users: int) -> None:
    """Write a log of so many users, the same for the same number."""
    rng = np.random.default_rng(0)
    share = np.arange(1, SONGS + 1) ** -EXPONENT
    song = rng.choice(SONGS, (n_users, PLAYS), p=share / share.sum())
    follows = rng.random((n_users, PLAYS)) < 0.5
    for place in range(1, PLAYS):
        near = (song[:, place - 1] + rng.integers(1, NEAR, n_users)) % SONGS
        song[:, place] = np.where(follows[:, place], near, song[:, place])
    time = START_S + rng.integers(0, 30, n_users)[:, None] * DAY_S + np.arange(PLAYS) * 240
    users = pa.array(np.repeat([f"u{row:07}" for row in range(n_users)], PLAYS))
    songs = pa.array([f"s{number:05}" for number in song.ravel().tolist()])
    table = {"user_id": users, "song_id": songs, "timestamp": time.ravel()}
    table["event"] = pa.repeat(pa.scalar("finish"), song.size)
    pq.write_table(pa.table(table), path)


def cost_of(*arguments: object) -> tuple[float, int]:
    """Run a command; return its CPU seconds and its peak memory in MB."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], env={**os.environ, **one}, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(map(str, arguments))}")
    return round(used.ru_utime + used.ru_stime, 1), used.ru_maxrss * KILO // 10**6


def megabytes(path: Path) -> float:
    """Return the size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return round(sum(one.stat().st_size for one in files) / 1e6, 1)


def main() -> None:
    """Print one line of JSON for each channel and number of users."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--channels", nargs="+", default=["rules", "item-knn", "vs-knn", "als"])
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for n_users in arguments.users:
        log = arguments.work / f"{n_users}.parquet"
        write_log(log, n_users)
        for name in arguments.channels:
            model = arguments.work / f"{name}-{n_users}"
            lists = arguments.work / f"{name}-{n_users}.lists.parquet"
            train_s, train_mb = cost_of("recall", "train", name, "-i", log, "--out", model)
            asked = ("recall", "candidates", model, "-i", log, "--out", lists)
            lists_s, lists_mb = cost_of(*asked)
            row = {"users": n_users, "channel": name, "train_cpu_s": train_s, "train_mb": train_mb}
            row |= {"candidates_cpu_s": lists_s, "candidates_mb": lists_mb}
            disk = {"model_mb": megabytes(model), "lists_mb": megabytes(lists)}
            print(json.dumps(row | disk), flush=True)


if __name__ == "__main__":
    main()
