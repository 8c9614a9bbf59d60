"""Blocks of users: one process, three workers, three of which one is killed; seconds and bytes.

    python -m benchmarks bench_blocks DATA [--channel vs-knn] [--users 30000] [--jobs 3]
        [--work DIR]

DATA holds ``train.parquet``, ``histories.parquet`` and ``targets.parquet``, as
`python -m benchmarks recall_sets` writes them of #nowplaying, of which the first `--users` prefixes
of the test set are asked for. The real commands run, each in one process and by `--jobs` workers:
``recall candidates``, ``recall fuse`` of two tables, and ``recall evaluate``. In the third turn a
worker is killed (SIGKILL) as soon as it has computed for half as long as the longest worker of the
second turn did.

One JSON line a command and turn: wall and CPU seconds, the workers that were killed, and a digest
of the bytes, of an evaluation those of its JSON without seconds and memory.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

CLOCK = ("fit_cpu_s", "recall_cpu_s", "peak_mb")
EVERY_S = 0.02
TICK = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return the processes that a process, or a thread of it, has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # the thread has ended
            found += map(int, (task / "children").read_text().split())
    return found


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a running process."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK
    return 0.0


def run(arguments: Sequence[str], kill_after: float | None) -> dict[str, Any]:
    """Run a command; kill one of its workers once that has worked so many CPU seconds."""
    code = "from audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    started, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed, most = [], 0.0
    while process.poll() is None:
        time.sleep(EVERY_S)
        with suppress(OSError):
            for pid in children(process.pid):
                spent = cpu_of(pid)
                most = max(most, spent)
                if kill_after is not None and not killed and spent >= kill_after:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(err)
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    wall = time.monotonic() - started
    return {"wall_s": wall, "cpu_s": cpu, "killed": len(killed), "longest_s": most, "out": out}


def digest_of(out: Path | None, printed: str) -> str:
    """Return a digest of a file, or of figures without what a clock says."""
    if out is not None:
        return hashlib.sha256(out.read_bytes()).hexdigest()[:16]
    figures = {name: value for name, value in json.loads(printed).items() if name not in CLOCK}
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:16]


def first_users(path: Path, users: int, out: Path) -> str:
    """Write the rows of the first users of a table; return where."""
    table = pq.read_table(path)
    ids = table.column("user_id").unique().slice(0, users)
    pq.write_table(table.filter(pc.is_in(table.column("user_id"), value_set=ids)), out)
    return str(out)


def main() -> None:
    """Print a line a command and turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--channel", default="vs-knn")
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    log = str(args.data / "train.parquet")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        place = Path(folder)
        histories, targets = (
            first_users(args.data / f"{name}.parquet", args.users, place / f"{name}.parquet")
            for name in ("histories", "targets")
        )
        for name in (args.channel, "rules"):
            model = str(place / name)
            run(["recall", "train", name, "-i", log, "--out", model], None)
        other = str(place / "other.parquet")
        ask = ["recall", "candidates", "--keep-heard", "-i", histories]
        run([*ask, str(place / "rules"), "--out", other], None)
        lists, fused = place / "lists.parquet", place / "fused.parquet"
        given = ["--test-histories", histories, "--targets", targets, "--keep-heard", "--json"]
        commands = {
            "candidates": ([*ask, str(place / args.channel), "--out", str(lists)], lists),
            "fuse": (["recall", "fuse", str(lists), other, "--out", str(fused)], fused),
            "evaluate": (["recall", "evaluate", args.channel, "-i", log, *given], None),
        }
        for name, (command, out) in commands.items():
            kill_after = 0.0
            for turn in ("one process", f"{args.jobs} workers", f"{args.jobs}, one killed"):
                jobs = [] if turn == "one process" else ["--jobs", str(args.jobs)]
                at = kill_after if "killed" in turn else None
                found = run([*command, *jobs], at)
                kill_after = found["longest_s"] / 2
                shown = {n: round(found[n], 1) for n in ("wall_s", "cpu_s", "killed")}
                digest = digest_of(out, found["out"])
                print(json.dumps({"what": name, "turn": turn, **shown, "digest": digest}))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
