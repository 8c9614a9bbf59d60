"""Time and memory of `recall train` and `recall candidates` for channels, at 100,000 users.

    python -m benchmarks bench_channels [--channels popular vs-knn ...] [--users 100000]
        [--songs 20000] [--plays 5400000] [--asked N] [--beside COMMAND] [--work DIR]

The log is made up (`scale.write_log`: songs by a law of ranks, users with a long tail). Each
command runs in a process of its own, with one thread. `--asked` writes candidates for so many of
the users, drawn at equal distances; by default for all. `--beside` runs the `audiorec` of another
revision in turn on the same log, and says whether its lists are equal: users, songs, ranks,
similarities and evidence, in every byte.

One JSON line for each channel and command: CPU seconds and peak memory of both steps, rows, and
rows in a CPU second.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scale import write_log

CHANNELS = ("popular", "replay", "rules", "item-knn", "vs-knn", "recent-likes", "ease")
COMPARED = ["user_id", "song_id", "rank", "similarity", "evidence"]
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
OPTIONS = {"replay": ["--keep-heard"]}  # it proposes nothing else
OWN = (sys.executable, "-m", "audiorec_cli.main")


def run(command: tuple[str, ...], folder: Path, *words: str) -> tuple[float, float]:
    """Run a command in a folder; return its CPU seconds and its peak memory in MB."""
    with (folder / "said").open("w") as said:
        child = subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env={**os.environ, **ONE_THREAD},
            stdout=said,
            stderr=said,
        )
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)}: {(folder / 'said').read_text()[-2000:]}")
    return round(used.ru_utime + used.ru_stime, 1), round(used.ru_maxrss / 1024)


def write_asked(folder: Path, asked: int) -> None:
    """Write the plays of so many users."""
    table = pq.read_table(folder / "plays.parquet")
    users = np.unique(table.column("user_id").to_numpy())
    chosen = users[np.linspace(0, len(users) - 1, asked).astype(int)]
    mask = pc.is_in(table.column("user_id"), value_set=pc.cast(chosen, "string"))
    pq.write_table(table.filter(mask), folder / "asked.parquet")


def measured(folder: Path, channel: str, command: tuple[str, ...]) -> dict[str, object]:
    """Train a channel and write candidates; return the figures."""
    shutil.rmtree(folder / "model", ignore_errors=True)
    log = ("--interactions", "plays.parquet")
    trained = run(command, folder, "recall", "train", channel, *log, "--out", "model")
    log = ("--interactions", "asked.parquet")
    words = ["recall", "candidates", "model", *log, *OPTIONS.get(channel, [])]
    asked = run(command, folder, *words, "--out", "found.parquet")
    rows = pq.read_metadata(folder / "found.parquet").num_rows
    figures = (*trained, *asked)
    names = ("train_cpu_s", "train_peak_mb", "candidates_cpu_s", "candidates_peak_mb")
    found: dict[str, object] = dict(zip(names, figures, strict=True))
    return {**found, "rows": rows, "rows_per_cpu_s": round(rows / asked[0])}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", nargs="+", default=CHANNELS)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--songs", type=int, default=20_000)
    parser.add_argument("--plays", type=int, default=5_400_000)
    parser.add_argument("--asked", type=int)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        folder = Path(name)
        write_log(folder / "plays.parquet", args.plays, args.users, args.songs)
        write_asked(folder, min(args.asked or args.users, args.users))
        commands = {"this": OWN} | ({"beside": (str(args.beside),)} if args.beside else {})
        for channel in args.channels:
            lists = []
            for by, command in commands.items():
                figures = measured(folder, channel, command)
                lists.append(pq.read_table(folder / "found.parquet", columns=COMPARED))
                equal = {"lists_equal": lists[0].equals(lists[1])} if len(lists) == 2 else {}
                line = {"bench": "channels", "channel": channel, "by": by, **figures, **equal}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
