"""Measure a cold start: all new songs against all users, beside torch.topk of the full matrix.

    python -m benchmarks bench_cold_start [--users 1000000] [--songs 10000] [--k 100]
        [--slice 200] [--threads 1] [--dimension 40] [--per-user 2]
        [--parts audience,full_matrix,songs,limited]

Embeddings are drawn around a few hundred centres, seeded, written as users.parquet and
embeddings.parquet, and read back by fresh processes: reading and writing
count. One JSON line a question: audiences (users for each song), the full matrix with torch.topk
on a slice of the songs, lists (songs for each user), and audiences with a limit for users. The
answers of the slice are compared before its line is printed. Peak memory is the process's own.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from audiorec.store.embeddings import EmbeddingTable, write_embeddings

CENTRES = 300
SPREAD = 0.7
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROUNDING = 2e-6  # of float32 sums in another order
LISTS_K = 50
PARTS = ("audience", "full_matrix", "songs", "limited")


def make_units(rng: np.random.Generator, centres: np.ndarray, n: int) -> np.ndarray:
    """Return n unit vectors around the centres."""
    found = rng.standard_normal((n, centres.shape[1]), np.float32) * SPREAD
    found += centres[rng.integers(0, len(centres), n)]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def make_files(folder: Path, users: int, songs: int, dimension: int) -> None:
    """Write both sides."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, dimension), np.float32)
    for name, n in (("users", users), ("songs", songs)):
        ids = [f"{name[0]}{i:08}" for i in range(n)]
        units = make_units(rng, centres, n)
        write_embeddings(folder / f"all-{name}.parquet", ids, units, kind=name, model_id="bench")


def in_fresh_process(arguments: list[str], threads: int) -> dict[str, object]:
    """Run a part of this script and return the JSON that it prints."""
    env = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    line: dict[str, object] = json.loads(done.stdout)
    return line


def peak_mb() -> float:
    """Return this process's own peak memory in MB."""
    text = Path("/proc/self/status").read_text()
    return round(int(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6, 1)


def cold_start(folder: Path, lists: str, k: int, per_user: int) -> dict[str, object]:
    """Run one job and return its figures."""
    from audiorec.recall.cold_start.assign import ColdStartPlan
    from audiorec.recall.cold_start.job import ColdStart
    from audiorec.recall.cold_start.sides import embedding_sides

    start, cpu = time.perf_counter(), time.process_time()
    songs = EmbeddingTable.open(folder / "all-songs.parquet", kind="songs")
    users = EmbeddingTable.open(folder / "all-users.parquet", kind="users")
    sides = embedding_sides(songs, users)
    loaded = time.perf_counter()
    plan = ColdStartPlan(lists=lists, k=k, per_user=per_user or None, minimum=-1.0)
    out = folder / f"{lists}.parquet"
    assert ColdStart(*sides, plan, inputs={}).run(out)
    end, spent = time.perf_counter(), time.process_time() - cpu
    return {
        "rows": pq.read_metadata(out).num_rows,
        "read_s": round(loaded - start, 2),
        "wall_s": round(end - start, 2),
        "cpu_s": round(spent, 2),
        "pairs_per_s": round(len(songs) * len(users) / (end - start)),
        "pairs_per_cpu_s": round(len(songs) * len(users) / spent),
        "peak_mb": peak_mb(),
    }


def full_matrix(folder: Path, k: int, n_slice: int, threads: int) -> dict[str, object]:
    """Take torch.topk of the full matrix of some songs, and compare with the audiences."""
    import torch

    torch.set_num_threads(threads)
    songs = EmbeddingTable.open(folder / "all-songs.parquet")
    users = EmbeddingTable.open(folder / "all-users.parquet")
    queries = torch.from_numpy(songs.embeddings[:n_slice].copy())
    items = torch.from_numpy(users.embeddings.copy())
    torch.topk(queries[:2] @ items.T, k)
    start, cpu = time.perf_counter(), time.process_time()
    values, found = torch.topk(queries @ items.T, k)
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    same = compare(folder, users, values.numpy(), found.numpy())
    return {
        "songs": n_slice,
        "wall_s": round(seconds, 2),
        "cpu_s": round(spent, 2),
        "pairs_per_s": round(n_slice * len(users) / seconds),
        "pairs_per_cpu_s": round(n_slice * len(users) / spent),
        "peak_mb": peak_mb(),
        "same_users_share": same,
    }


def compare(folder: Path, users: EmbeddingTable, values: np.ndarray, found: np.ndarray) -> float:
    """Check the audiences of the slice; return the share of users that are the same."""
    n, k = found.shape
    table = next(pq.ParquetFile(folder / "audience.parquet").iter_batches(n * k))
    rows = users.row_numbers(table.column("user_id").to_pylist()).reshape(n, k)
    similarity = np.array(table.column("similarity").to_pylist()).reshape(n, k)
    np.testing.assert_allclose(similarity, values, atol=ROUNDING)
    # Who differs must be as near as the last one, within rounding.
    for ours, theirs, near in zip(rows, found, values, strict=True):
        odd = ~np.isin(theirs, ours)
        assert (near[odd] <= near[-1] + ROUNDING).all()
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(rows, found, strict=True)]))


def part(folder: Path, name: str, args: argparse.Namespace) -> dict[str, object]:
    """Run one part; in the process that was started for it."""
    if name == "full_matrix":
        return full_matrix(folder, args.k, args.slice, args.threads)
    if name == "songs":
        return cold_start(folder, "songs", LISTS_K, 0)
    return cold_start(folder, "audience", args.k, args.per_user if name == "limited" else 0)


def main() -> None:
    """Make the files, then run each part in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--slice", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dimension", type=int, default=40)
    parser.add_argument("--per-user", type=int, default=2, help="audiences a user, where limited")
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run, in this order")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        name, folder = args.inside.split(":", 1)
        print(json.dumps(part(Path(folder), name, args)))
        return
    machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), args.users, args.songs, args.dimension)
        for name in args.parts.split(","):
            line = {
                "bench": f"cold_start/{name}",
                "users": args.users,
                "songs": args.songs,
                "k": LISTS_K if name == "songs" else args.k,
                "threads": args.threads,
                **({"per_user": args.per_user} if name == "limited" else {}),
                **in_fresh_process([*sys.argv[1:], "--inside", f"{name}:{folder}"], args.threads),
                "machine": machine,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
