"""Export the candidates of many made-up users: rows a second, and memory by the number of users.

    python -m benchmarks bench_export [--users 20000] [--channels 8] [--k 100] [--songs 50000]

Candidates are those of `bench_fuse.py`, fused by the project; the log has fifty plays a user in
sixty days, the store a vector a song, and every user was shown thirty songs on each of three
nights. One JSON line for a tenth of the users and one for all of them: CPU seconds, rows in a CPU
second, the largest memory, and what of it the log and the store take before the first block.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_fuse import write_lists
from bench_search import HEADS, column, random_songs

from audiorec.recall.serving.export.features import EventHistory
from audiorec.recall.serving.export.job import ExportRecipe, export_recall
from audiorec.recall.serving.export.sources import ExportSources, OpenSources
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_batches

PLAYS = 50  # of a user
DAYS = 60
START = 1_700_000_000  # seconds since 1970
NIGHTS, SHOWN = 3, 30
BLOCK = 10_000  # users whose rows are made at a time
MILLION = 1_000_000
STAMP = pa.timestamp("us", tz="UTC")


def user_ids(first: int, n: int) -> pa.Array:
    """Return ids as `write_lists` makes them."""
    return pa.array([f"user-{u:08}" for u in range(first, first + n)])


def write_log(path: Path, users: int, songs: int) -> None:
    """Write finished plays and skips, popular songs more often."""
    ids = pa.array([f"song-{n:07}" for n in range(songs)])
    names = ("user_id", "song_id", "timestamp", "event")
    schema = pa.schema(zip(names, (pa.string(), pa.string(), STAMP, pa.string()), strict=True))
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, users, BLOCK):
            n = min(BLOCK, users - first)
            rng = np.random.default_rng([3, first])
            rows = n * PLAYS
            at = START + rng.random(rows) * DAYS * 86_400
            songs_of = (rng.random(rows) ** 3 * songs).astype(np.int64)
            owner = np.repeat(np.arange(n), PLAYS)
            event = pa.array(["finish", "skip"]).take(
                pa.array((rng.random(rows) < 0.2).astype(int))
            )
            stamps = pa.array((at * MILLION).astype(np.int64)).cast(STAMP)
            columns = [user_ids(first, n).take(pa.array(owner)), ids.take(pa.array(songs_of))]
            writer.write_table(pa.table([*columns, stamps, event], schema=schema))


def write_shown(path: Path, users: int, songs: int) -> None:
    """Write exposures night by night, as `recall run` does."""
    ids = pa.array([f"song-{n:07}" for n in range(songs)])
    names = ("user_id", "song_id", "entry", "shown_at", "run_id")
    kinds = (pa.string(), pa.string(), pa.string(), STAMP, pa.string())
    schema = pa.schema(zip(names, kinds, strict=True))
    with pq.ParquetWriter(path, schema) as writer:
        for night in range(NIGHTS):
            at = pa.scalar((START + (DAYS - 20 + night) * 86_400) * MILLION).cast(STAMP)
            for first in range(0, users, BLOCK):
                n = min(BLOCK, users - first)
                rng = np.random.default_rng([4, night, first])
                songs_of = (rng.random(n * SHOWN) ** 3 * songs).astype(np.int64)
                rows = len(songs_of)
                columns = [
                    user_ids(first, n).take(pa.array(np.repeat(np.arange(n), SHOWN))),
                    ids.take(pa.array(songs_of)),
                    pa.repeat(pa.scalar("daily"), rows),
                    pa.repeat(at, rows),
                    pa.repeat(pa.scalar(f"night-{night}"), rows),
                ]
                writer.write_table(pa.table(columns, schema=schema))


def write_store(path: Path, songs: int) -> None:
    """Write a store of random walks."""
    classes = tuple(f"{head}/{i}" for head, n in HEADS.items() for i in range(n))
    metadata = StoreMetadata(kind=Kind.VECTORS, extractor_id="random walks", classes=classes)
    schema, rng = schema_of(metadata), np.random.default_rng(0)

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, songs, BLOCK):
            n = min(BLOCK, songs - first)
            ids = [f"song-{i:07}" for i in range(first, first + n)]
            vectors = random_songs(n, rng)
            columns = [column(field, ids, {"vector": vectors}) for field in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    write_batches(path, batches(), metadata)


def peak_mb() -> float:
    """Return the largest memory of this process so far."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def export_once(folder: Path) -> dict[str, float]:
    """Export what lies in a folder; called in a process of its own."""
    sources = ExportSources(
        interactions=folder / "plays.parquet",
        candidates=tuple(sorted(folder.glob("c-*.parquet"))),
        fused=folder / "fused.parquet",
        exposures=folder / "exposures.parquet",
        vectors=folder / "vecs.parquet",
    )
    opened = OpenSources(sources)
    past = EventHistory(opened.log, opened.side, opened.sound)
    assert len(past.units) == len(past.song_ids)
    before = peak_mb()
    del opened, past
    started = time.process_time()
    report = export_recall(sources, folder / "export", ExportRecipe(days=7.0))
    seconds = time.process_time() - started
    rows = {f"{name} rows": float(n) for name, n in report.rows.items()}
    return {**rows, "cpu_s": seconds, "inputs_mb": before, "peak_mb": peak_mb()}


def main() -> None:
    """Print a line for each number of users."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--songs", type=int, default=50_000)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.export:
        print(json.dumps(export_once(args.export)))
        return
    for users in (args.users // 10, args.users):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for channel in range(args.channels):
                write_lists(folder / f"c-{channel}.parquet", channel, users, args.k, args.songs)
            lists = sorted(folder.glob("c-*.parquet"))
            fuse_files(lists, folder / "fused.parquet", FusionRecipe(k=args.k))
            write_log(folder / "plays.parquet", users, args.songs)
            write_shown(folder / "exposures.parquet", users, args.songs)
            write_store(folder / "vecs.parquet", args.songs)
            command = [sys.executable, __file__, "--export", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = {"users": float(users), **json.loads(done.stdout)}
            found["candidates in a CPU second"] = found["candidates rows"] / found["cpu_s"]
            print(json.dumps({name: round(value, 1) for name, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
