"""Time two installed revisions of audiorec against each other, in pairs.

    python benchmarks/bench_revisions.py BASE/bin/audiorec NOW/bin/audiorec --song long.mp3

Runs `extract` and `classify` of one song by both commands in turn, the first of a pair
changing places, and prints one JSON line a job: the median CPU seconds (user and system, of
all processes that the command starts) of each, and the median, least and largest ratio of the
pairs. Compile both environments first (``python -m compileall``): a revision whose modules
have to be compiled at every start seems slower than it is.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

Job = Callable[[Path, Path], list[str]]
JOBS: dict[str, Job] = {
    "extract": lambda song, folder: [
        "extract",
        str(song),
        "--jobs",
        "1",
        "--out",
        f"{folder}/v.parquet",
    ],
    "classify": lambda song, _folder: ["classify", str(song)],
}


def cpu_s(command: Path, job: Job, song: Path) -> float:
    """Return the CPU seconds of one run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        subprocess.run(
            [command, *job(song, Path(folder))], cwd=folder, check=True, capture_output=True
        )
        after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def paired(commands: tuple[Path, Path], job: Job, song: Path, pairs: int) -> dict[str, object]:
    """Run both commands in turn; the first pair warms caches and does not count."""
    rows: list[tuple[float, float]] = []
    for number in range(pairs + 1):
        order = (0, 1) if number % 2 else (1, 0)
        found = {which: cpu_s(commands[which], job, song) for which in order}
        rows.append((found[0], found[1]))
    base, now = zip(*rows[1:], strict=True)
    ratios = [after / before for before, after in rows[1:]]
    return {
        "pairs": pairs,
        "base_cpu_s": round(statistics.median(base), 3),
        "now_cpu_s": round(statistics.median(now), 3),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def main() -> None:
    """Print one line a job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("now", type=Path)
    parser.add_argument("--song", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=15)
    args = parser.parse_args()
    commands = (args.base.absolute(), args.now.absolute())
    for name, job in JOBS.items():
        figures = paired(commands, job, args.song.absolute(), args.pairs)
        print(json.dumps({"job": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
