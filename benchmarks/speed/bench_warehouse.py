"""What folders of days and an object store cost, beside one file on the disk.

    python -m benchmarks bench_warehouse [--days 365] [--rows 5000] [--users 20000] [--rounds 5]

One made-up log of days x rows plays lies in one file, in one folder a day, and in the same folders
with every day delivered again a day later. Each way runs in a process of its own, the rounds one
after the other over all ways: the median, the least and the most of CPU seconds, and the most
memory. With ``moto`` and ``s3fs`` (extra ``cloud``), the same folders lie in an S3 store on this
machine as well: read for the first time, then again, then again with one day more. What the server
costs is not counted in CPU seconds, and is in the seconds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = date(2025, 11, 25)
START_S = 1_764_028_800  # its midnight


def write_logs(folder: Path, days: int, rows: int, users: int) -> None:
    """Write the three logs."""
    rng = np.random.default_rng(0)
    songs = pa.array([f"song-{n:06d}" for n in range(50_000)])
    people = pa.array([f"user-{n:07d}" for n in range(users)])
    tables = []
    for day in range(days):
        seconds = np.sort(rng.integers(0, 86_400_000, rows)) + (START_S + day * 86_400) * 1000
        tables.append(
            pa.table(
                {
                    "user_id": people.take(pa.array(rng.integers(0, users, rows))),
                    "song_id": songs.take(pa.array((50_000 * rng.random(rows) ** 3).astype(int))),
                    "timestamp": pa.array(seconds).cast(pa.timestamp("ms", tz="UTC")),
                    "event": pa.array(np.where(rng.random(rows) < 0.8, "finish", "skip")),
                    "played_ratio": pa.array(rng.random(rows).astype(np.float32)),
                }
            )
        )
    pq.write_table(pa.concat_tables(tables), folder / "one.parquet")
    for number, table in enumerate(tables):
        for log in ("days", "again"):
            place = folder / log / f"dt={FIRST + timedelta(number)}"
            place.mkdir(parents=True)
            twice = pa.concat_tables([table, *tables[number - 1 : number]])
            pq.write_table(twice if log == "again" else table, place / "part-00000.parquet")


def read(place: str, _out: Path, **days: Any) -> int:
    """Read a log into memory."""
    from audiorec.listening.interactions import read_interactions

    return len(read_interactions(place, **days))


def prepared(place: str, out: Path) -> int:
    """Make sequences in buckets."""
    from audiorec.listening.prepare import prepare

    return int(prepare(Path(place), out / "prepared")["plays"])


def last_week(place: str, out: Path) -> int:
    """Read seven days."""
    days = sorted(Path(place).iterdir())
    return read(place, out, since=days[-7].name.removeprefix("dt="))


WAYS: dict[str, tuple[str, Callable[[str, Path], int]]] = {
    "one file, read": ("one.parquet", read),
    "days, read": ("days", read),
    "days, each again, read": ("again", read),
    "days, the last seven read": ("days", last_week),
    "one file, prepared": ("one.parquet", prepared),
    "days, prepared": ("days", prepared),
    "days, each again, prepared": ("again", prepared),
}


def measure(way: str, place: str, scratch: str) -> None:
    """Run one way in this process; print what it cost as JSON."""
    work = read if way == "elsewhere" else WAYS[way][1]
    import audiorec.listening.interactions  # noqa: F401 - not what is measured

    if place.startswith("s3://"):
        import s3fs  # noqa: F401 - nor this
    started, before = time.perf_counter(), time.process_time()
    plays = work(place, Path(scratch))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    cost = {"cpu_s": time.process_time() - before, "s": time.perf_counter() - started}
    print(json.dumps({"plays": plays, "peak_mb": peak, **cost}))


def run(way: str, place: str) -> dict[str, float]:
    """Run one way in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--way", way, "--place", place, "--scratch", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def elsewhere(folder: Path, found: dict[str, list[dict[str, float]]], rounds: int) -> None:
    """Measure the same in an S3 store on this machine."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    os.environ |= {**keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    files = fsspec.filesystem("s3")
    try:
        files.mkdir("bench")
        days = sorted((folder / "days").iterdir())
        for day in days[:-1]:
            files.put_file(str(day / "part-00000.parquet"), f"bench/plays/{day.name}/p.parquet")
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                os.environ["AUDIOREC_CACHE"] = cache
                for way in ("S3, for the first time", "S3, again"):
                    found.setdefault(way, []).append(run("elsewhere", "s3://bench/plays"))
                last = f"bench/plays/{days[-1].name}/p.parquet"
                files.put_file(str(days[-1] / "part-00000.parquet"), last)
                way = "S3, with one day more"
                found.setdefault(way, []).append(run("elsewhere", "s3://bench/plays"))
                files.rm_file(last)
    finally:
        server.stop()


def main() -> None:
    """Measure every way, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    for hidden in ("--way", "--place", "--scratch"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        measure(args.way, args.place, args.scratch)
        return
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["AUDIOREC_CACHE"] = str(folder / "cache")
        write_logs(folder, args.days, args.rows, args.users)
        for _ in range(args.rounds):
            for way, (log, _) in WAYS.items():
                found.setdefault(way, []).append(run(way, str(folder / log)))
        try:
            elsewhere(folder, found, args.rounds)
        except ImportError as error:
            print(f"no object store: {error}", file=sys.stderr)
    print(f"{args.days} days x {args.rows:,} rows, {args.rounds} rounds")
    print("| way | rows or plays | CPU-s | s | MB at most |\n|---|---|---|---|---|")
    for way, runs in found.items():
        cells = [f"{runs[0]['plays']:,.0f}"]
        for name in ("cpu_s", "s"):
            values = [one[name] for one in runs]
            cells.append(f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]")
        print(f"| {way} | {' | '.join(cells)} | {max(one['peak_mb'] for one in runs):,.0f} |")


if __name__ == "__main__":
    main()
