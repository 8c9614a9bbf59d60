"""Prepare a made-up log of many plays, beside plain polars; then read it as a training does.

    python -m benchmarks bench_prepare [--plays 20000000] [--users 1000000] [--songs 500000]

Each way runs in a process of its own. One JSON line a way: CPU seconds, seconds, peak memory.
Plain polars (extra ``polars``) groups the log by user into one file, without any check of its rows
and without numbers for songs: a yardstick for what the checks and the buckets cost.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.listening.prepare import prepare
from audiorec.listening.reading import read_prepared

PIECE = 2_000_000


def write_log(path: Path, plays: int, users: int, songs: int) -> None:
    """Write plays of users and songs of Zipf-like frequencies, in the order of time."""
    rng = np.random.default_rng(0)
    ids = pa.array([f"song-{n:07d}" for n in range(songs)])
    owners = pa.array([f"user-{n:08d}" for n in range(users)])
    writer = None
    for first in range(0, plays, PIECE):
        n = min(PIECE, plays - first)
        song = (songs * rng.random(n) ** 3).astype(np.int32)
        user = (users * rng.random(n) ** 2).astype(np.int32)
        table = pa.table(
            {
                "user_id": owners.take(pa.array(user)),
                "song_id": ids.take(pa.array(song)),
                "timestamp": pa.array(1_600_000_000 + first + np.arange(n)),
                "event": pa.array(np.where(rng.random(n) < 0.8, "finish", "skip")),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def with_audiorec(log: Path, out: Path) -> dict[str, Any]:
    """Check every row, number the songs, and write sequences in buckets."""
    return {"plays": prepare(log, out)["plays"]}


def with_polars(log: Path, out: Path) -> dict[str, Any]:
    """Sort and group, nothing else."""
    import polars as pl

    (
        pl.scan_parquet(log)
        .filter(pl.col("event") == "finish")
        .group_by("user_id")
        .agg(pl.col("song_id", "timestamp").sort_by("timestamp"))
        .sink_parquet(out.with_suffix(".polars.parquet"))
    )
    return {}


def training_end(_log: Path, out: Path) -> dict[str, Any]:
    """Read every sequence once, bucket by bucket."""
    started, count, prepared = time.process_time(), 0, read_prepared(out)
    for bucket in range(prepared.n_buckets):
        count += len(prepared.sequences(bucket))
    return {"sequences": count, "a_second": round(count / (time.process_time() - started))}


def measured(way: Callable[[Path, Path], dict[str, Any]], log: Path, out: Path) -> dict[str, Any]:
    """Run in this process, and say what it took."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = way(log, out)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "way": way.__name__,
        "cpu_s": round(cpu, 1),
        "s": round(time.perf_counter() - started, 1),
        "peak_gb": round(after.ru_maxrss / 1e6, 2),
        **found,
    }


def main() -> None:
    """Print one JSON line a way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plays", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--songs", type=int, default=500_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log, out = Path(folder) / "log.parquet", Path(folder) / "fed"
        context = multiprocessing.get_context("spawn")
        writing = context.Process(
            target=write_log, args=(log, wanted.plays, wanted.users, wanted.songs)
        )
        writing.start()
        writing.join()
        for way in (with_audiorec, with_polars, training_end):
            with context.Pool(1) as pool:
                print(json.dumps(pool.apply(measured, (way, log, out))), flush=True)


if __name__ == "__main__":
    main()
