"""What channels and a night cost as the users grow: CPU seconds, memory and disk of the commands.

    python -m benchmarks growth WORK [--users 10000 50000 200000] [--channels rules vs-knn als]

Users play 20 of 20,000 songs, whose popularity falls as in real logs (Zipf, exponent 0.8), and
half of what they play is near to what they played before. A line is one channel (`recall train`,
then `recall candidates`), or the night of them all (`recall run`, of whose memory the largest
process counts); commands are processes of their own with one thread.
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
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


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


def cost_of(made: Path, *arguments: object) -> list[float]:
    """Run a command; return its CPU seconds, its peak memory in MB, and the MB that it made."""
    command = [sys.executable, "-m", "audiorec_cli.main", "recall", *map(str, arguments)]
    process = subprocess.Popen(command, env={**os.environ, **THREADS}, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    files = [made] if made.is_file() else [one for one in made.rglob("*") if one.is_file()]
    disk = sum(one.stat().st_size for one in files) / 1e6
    return [round(used.ru_utime + used.ru_stime, 1), used.ru_maxrss * KILO // 10**6, round(disk, 1)]


def main() -> None:
    """Print one line of JSON for each channel, and for the night, of each number of users."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--channels", nargs="+", default=["rules", "item-knn", "vs-knn", "als"])
    given = parser.parse_args()
    for n_users in given.users:
        work = given.work / str(n_users)
        work.mkdir(parents=True, exist_ok=True)
        write_log(log := work / "log.parquet", n_users)
        asked = ("--interactions", log)
        for name in given.channels:
            model, lists = work / name, work / f"{name}.parquet"
            train = cost_of(model, "train", name, *asked, "--out", model)
            candidates = cost_of(lists, "candidates", model, *asked, "--out", lists)
            line = {"users": n_users, "channel": name, "train": train, "candidates": candidates}
            print(json.dumps(line), flush=True)
        (config := work / "night.toml").write_text(
            f"[recall]\ninteractions = {str(log)!r}\nout = {str(work / 'night')!r}\n"
            f"channels = {json.dumps(given.channels)}\n"
        )
        night = cost_of(work / "night", "run", "--config", config, "--quiet")
        print(json.dumps({"users": n_users, "channel": "night", "run": night}), flush=True)


if __name__ == "__main__":
    main()
