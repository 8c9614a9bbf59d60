"""Fuse the candidates of many made-up users: rows a second, and memory by the number of users.

    python benchmarks/bench_fuse.py [--users 20000] [--channels 8] [--k 100] [--songs 200000]

Channels overlap as on real listening: half of a list comes from songs that all channels share.
Tables are written in the order of their users, and fused in a process of its own with caps, a
share for cold songs, and heard songs closed. One JSON line for a tenth of the users and one for
all of them: CPU seconds, rows in a CPU second, and the largest memory, which shows what grows.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from audiorec.files.tables import table_writer
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.rules import Closed, FusionRecipe, SongTraits

BLOCK = 2_000  # users that are made at a time
ARTISTS = 20_000
HEARD = 50


def write_lists(path: Path, channel: int, users: int, k: int, songs: int) -> None:
    """Write one channel's candidates: popular songs more often, a tenth of them cold."""
    ids = pa.array([f"song-{n:07}" for n in range(songs)])
    with table_writer(path, SCHEMA) as writer:
        for first in range(0, users, BLOCK):
            n = min(BLOCK, users - first)
            shared = np.random.default_rng([1, first])
            own = np.random.default_rng([2, channel, first])
            drawn = np.where(
                own.random((n, k)) < 0.5,
                (shared.random((n, k)) ** 2 * songs * 0.01).astype(np.int64),
                (own.random((n, k)) ** 3 * songs).astype(np.int64),
            )
            for row in drawn:  # a list has a song once
                _, at = np.unique(row, return_index=True)
                row[np.setdiff1d(np.arange(k), at)] = -1
            keep = drawn >= 0
            rank = np.cumsum(keep, axis=1)[keep]
            user = np.repeat(np.arange(first, first + n), keep.sum(axis=1))
            rows = len(rank)
            columns = {
                "user_id": pa.array([f"user-{u:08}" for u in range(first, first + n)]).take(
                    pa.array(user - first)
                ),
                "song_id": ids.take(pa.array(drawn[keep])),
                "channel": pa.repeat(pa.scalar(f"channel-{channel}"), rows),
                "rank": pa.array(rank.astype(np.int32)),
                "similarity": pa.array((1 / rank).astype(np.float32)),
                "reason": pa.repeat(pa.scalar("listeners"), rows),
                "evidence": pa.nulls(rows, pa.string()),
                "interest": pa.nulls(rows, pa.int32()),
                "cold": pa.array(drawn[keep] % 10 == 0),
                "model_id": pa.repeat(pa.scalar("0123456789abcdef"), rows),
            }
            writer.write_table(pa.table(columns, schema=SCHEMA))


def fuse_once(folder: Path, users: int, k: int, songs: int) -> dict[str, float]:
    """Fuse what lies in a folder; called in a process of its own."""
    ids = tuple(f"song-{n:07}" for n in range(songs))
    traits = SongTraits(
        song_ids=ids, groups={"artist": np.arange(songs) % ARTISTS}, plays=np.arange(songs)[::-1]
    )
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(users), HEARD)
    names = tuple(f"user-{u:08}" for u in range(users))
    heard = Sequences.from_pairs(owner, rng.integers(0, songs, len(owner)), names, ids)
    started = time.process_time()
    recipe = FusionRecipe(k=k, per_artist=3, cold_share=0.1)
    paths = sorted(folder.glob("c-*.parquet"))
    report = fuse_files(
        paths, folder / "fused.parquet", recipe, facts=traits, closed=Closed.of(heard=heard)
    )
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"users": report.users, "rows out": report.rows, "cpu_s": seconds, "peak_mb": peak}


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--songs", type=int, default=200_000)
    parser.add_argument("--fuse", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fuse:
        print(json.dumps(fuse_once(args.fuse, args.users, args.k, args.songs)))
        return
    for users in (args.users // 10, args.users):
        with tempfile.TemporaryDirectory() as folder:
            for channel in range(args.channels):
                path = Path(folder) / f"c-{channel}.parquet"
                write_lists(path, channel, users, args.k, args.songs)
            command = [sys.executable, __file__, "--fuse", folder, "--users", str(users)]
            command += ["--k", str(args.k), "--songs", str(args.songs)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            found["rows in a CPU second"] = users * args.channels * args.k / found["cpu_s"]
            print(json.dumps({name: round(value, 1) for name, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
