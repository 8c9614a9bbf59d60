"""Measure what a shard costs beside its songs: its start, its rows of the manifest, its end.

    python -m benchmarks bench_shards [--songs 1000000] [--repeats 5]

One JSON line a question, CPU seconds of a whole process of one thread as minimum, median and
maximum: ``empty`` makes a part without songs, ``kept`` finds one finished, ``read`` reads the
middle shard of 2,000 songs of a large manifest (with its peak memory). The start of Python
and of the command is in each.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from audiorec.extraction.catalogue import Source
from audiorec.extraction.manifest import write_manifest

SHARD_SONGS = 2_000
COMMAND = [sys.executable, "-m", "audiorec_cli.main", "shards", "--quiet"]
READ = """
import sys
from audiorec.extraction.shards import read_shard
shard = read_shard(sys.argv[1], int(sys.argv[2]) // 2, int(sys.argv[2]))
assert len(shard.sources) == 2000, len(shard.sources)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """Run a command; return the CPU seconds of it and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **one_thread}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done.stdout


def report(question: str, seconds: list[float], **more: object) -> None:
    """Print one JSON line."""
    seconds = sorted(seconds)
    figures = [round(seconds[i], 2) for i in (0, len(seconds) // 2, -1)]
    machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
    line = {"bench": f"shards/{question}", "cpu_s_min_median_max": figures, **more}
    print(json.dumps({**line, "machine": machine}), flush=True)


def songs(n: int) -> list[Source]:
    """Return made-up songs with paths of a usual length."""
    paths = (f"/music/{i % 997:03d}/artist {i % 9973}/{i:09d}.mp3" for i in range(n))
    return [Source(f"{i:09d}", path, path, 9_000_000, 10**18 + i) for i, path in enumerate(paths)]


def main() -> None:
    """Make two manifests, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifest(str(folder / "none.parquet"), [])
        shard = [*COMMAND, str(folder / "none.parquet"), "0/1"]
        outs = [str(folder / f"out{i}") for i in range(args.repeats)]
        report("empty", [cpu_seconds([*shard, "--out", out])[0] for out in outs])
        report("kept", [cpu_seconds([*shard, "--out", out])[0] for out in outs])
        large = folder / "large.parquet"
        write_manifest(str(large), songs(args.songs))
        count = args.songs // SHARD_SONGS
        read = [sys.executable, "-c", READ, str(large), str(count)]
        runs = [cpu_seconds(read) for _ in range(args.repeats)]
        peak = max(int(text) for _, text in runs) * 1024 / 1e6
        size = round(large.stat().st_size / args.songs, 1)
        more = {"songs": args.songs, "manifest_bytes_per_song": size, "peak_mb": round(peak, 1)}
        report("read", [spent for spent, _ in runs], **more)


if __name__ == "__main__":
    main()
