"""Fuse the candidates of many made-up users: rows a second, and memory by the number of users.

    python -m benchmarks bench_fuse [--users 20000] [--channels 8] [--k 100] [--songs 200000]

Channels overlap as on real listening: half of a list comes from songs that all channels share.
Tables are written in the order of their users, and fused in a process of its own with caps, a
share for cold songs, and heard songs excluded. One JSON line for a tenth of the users and one for
all of them: CPU seconds, rows in a CPU second, the largest memory, mapped pages of the tables
included, and the memory of the process itself at the end, which shows what grows.
Only what is excluded for users grows with their number: ``--known 1000000`` holds that of a million
while fewer are fused.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.files.tables import table_writer
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits

BLOCK = 2_000  # users that are made at a time
DRAWN = 10  # blocks that differ
ARTISTS = 20_000
HEARD = 50


def write_lists(path: Path, channel: int, users: int, k: int, songs: int) -> None:
    """Write one channel's candidates: popular songs more often, a tenth of them cold.

    The lists of `BLOCK` users are drawn `DRAWN` times, and come again for later users: what is
    measured is the fusion.
    """
    ids = pa.array([f"song-{n:07}" for n in range(songs)])
    tables = [lists(channel, turn, k, ids) for turn in range(min(DRAWN, -(-users // BLOCK)))]
    with table_writer(path, SCHEMA) as writer:
        for first in range(0, users, BLOCK):
            table, user = tables[first // BLOCK % DRAWN]
            n = min(BLOCK, users - first)
            rows = int(np.searchsorted(user, n))
            names = pa.array([f"user-{u:08}" for u in range(first, first + n)])
            whose = names.take(pa.array(user[:rows]))
            writer.write_table(table.slice(0, rows).set_column(0, SCHEMA.field("user_id"), whose))


def lists(channel: int, turn: int, k: int, ids: Any) -> tuple[Any, Any]:
    """Return candidates of `BLOCK` users, and the number of the user of each row."""
    songs = len(ids)
    shared = np.random.default_rng([1, turn])
    own = np.random.default_rng([2, channel, turn])
    drawn = np.where(
        own.random((BLOCK, k)) < 0.5,
        (shared.random((BLOCK, k)) ** 2 * songs * 0.01).astype(np.int64),
        (own.random((BLOCK, k)) ** 3 * songs).astype(np.int64),
    )
    for row in drawn:  # a list has a song once
        _, at = np.unique(row, return_index=True)
        row[np.setdiff1d(np.arange(k), at)] = -1
    cold = drawn % 10 == 0
    behind = np.argsort(cold, axis=1, kind="stable")  # cold songs stand behind, ranked apart
    drawn, cold = (np.take_along_axis(a, behind, axis=1) for a in (drawn, cold))
    keep = drawn >= 0
    rank = np.where(cold, np.cumsum(keep & cold, axis=1), np.cumsum(keep & ~cold, axis=1))[keep]
    rows = len(rank)
    user = np.repeat(np.arange(BLOCK), keep.sum(axis=1))
    columns = {
        "user_id": pa.repeat("", rows),
        "song_id": ids.take(pa.array(drawn[keep])),
        "channel": pa.repeat(f"channel-{channel}", rows),
        "rank": pa.array(rank.astype(np.int32)),
        "similarity": pa.array((1 / rank).astype(np.float32)),
        "reason": pa.repeat("listeners", rows),
        "evidence": pa.nulls(rows, pa.string()),
        "interest": pa.nulls(rows, pa.int32()),
        "cold": pa.array(cold[keep]),
        "model_id": pa.repeat("0123456789abcdef", rows),
    }
    return pa.table(columns, schema=SCHEMA), user


def fuse_once(folder: Path, users: int, k: int, songs: int, known: int = 0) -> dict[str, float]:
    """Fuse what lies in a folder; called in a process of its own."""
    ids = tuple(f"song-{n:07}" for n in range(songs))
    traits = SongTraits(
        song_ids=ids, groups={"artist": np.arange(songs) % ARTISTS}, plays=np.arange(songs)[::-1]
    )
    rng = np.random.default_rng(0)
    everyone = max(users, known)
    names = tuple(f"user-{u:08}" for u in range(everyone))
    song = rng.integers(0, songs, everyone * HEARD, np.int32)
    starts = np.arange(everyone + 1) * HEARD
    never = np.broadcast_to(np.nan, len(song))  # times are not asked for
    heard = Sequences(names, ids, starts, song, never)
    started = time.process_time()
    recipe = FusionRecipe(k=k, per_artist=3, cold_share=0.1)
    paths = sorted(folder.glob("c-*.parquet"))
    report = fuse_files(
        paths, folder / "fused.parquet", recipe, facts=traits, excluded=Exclusions.of(heard=heard)
    )
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
    found = {"users": report.users, "rows in": rows, "rows out": report.rows}
    found |= {"rows in a CPU second": rows / seconds, "cpu_s": seconds}
    return {**found, "peak_mb": peak, "own_mb": own_mb()}


def own_mb() -> float:
    """Return the memory of this process without pages of files, which the system may take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("RssAnon"))
    return int(kilobytes) / 1024


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--songs", type=int, default=200_000)
    parser.add_argument("--work", type=Path, help="a folder with room: 1.2 bytes a row and more")
    parser.add_argument("--alone", action="store_true", help="without the tenth of the users")
    parser.add_argument("--known", type=int, default=0, help="users whose heard songs are excluded")
    parser.add_argument("--fuse", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fuse:
        print(json.dumps(fuse_once(args.fuse, args.users, args.k, args.songs, args.known)))
        return
    if args.work is not None:
        args.work.mkdir(parents=True, exist_ok=True)
    for users in (args.users // 10, args.users)[args.alone :]:
        with tempfile.TemporaryDirectory(dir=args.work) as folder:
            for channel in range(args.channels):
                path = Path(folder) / f"c-{channel}.parquet"
                write_lists(path, channel, users, args.k, args.songs)
            command = [sys.executable, __file__, "--fuse", folder, "--users", str(users)]
            command += ["--k", str(args.k), "--songs", str(args.songs)]
            command += ["--known", str(args.known)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            print(json.dumps({name: round(value, 1) for name, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
