"""Time whole commands of two revisions in turns: what stands around the songs.

    python -m benchmarks bench_commands BASE/bin/audiorec NOW/bin/audiorec CLIPS [--rounds 15]

CLIPS is a folder of short clips. Each revision extracts a store of its own, under a name that
`classify` does not look for, since it would not decode the clip; BASE simulates the log for both.
Then both run each command, or one (`--only`), once per round, in turns. One JSON line per command:
CPU seconds of all its processes (median), and the ratio of the pairs, NOW to BASE, as median, least
and most.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path
from statistics import median

COMMANDS = {
    "--help": "--help",
    "similar": "similar {song} -v {work}/songs.parquet",
    "classify of a clip": "classify {clip}",
    "extract of a clip": "extract {clip} --out {work}/one.parquet -j 1 -q",
    "recall train vs-knn": "recall train vs-knn -i {log} --out {work}/model -q",
}


def cpu_s(command: list[str], cwd: Path) -> float:
    """Run a command; return the CPU seconds of it and of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Take turns, and print one line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("now")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=COMMANDS)
    args = parser.parse_args()
    clips = sorted(path.resolve() for path in args.clips.glob("*.mp3"))
    programs = {side: os.path.abspath(getattr(args, side)) for side in ("base", "now")}  # noqa: PTH100 - a link is an environment
    with tempfile.TemporaryDirectory() as scratch:
        filled: dict[str, dict[str, str]] = {}
        log = Path(scratch) / "base/world/interactions.parquet"
        for side, program in programs.items():
            work = Path(scratch) / side
            work.mkdir()
            cpu_s([program, "extract", str(args.clips.resolve()), "--out", "songs.parquet"], work)
            if side == "base":
                cpu_s([program, *"listening simulate -v songs.parquet --out world".split()], work)
            filled[side] = {
                name: text.format(song=clips[0].stem, clip=clips[0], work=work, log=log)
                for name, text in COMMANDS.items()
            }
        for name in [args.only] if args.only else COMMANDS:
            spent: dict[str, list[float]] = {side: [] for side in programs}
            for n in range(args.rounds + 1):
                for side in list(programs)[:: 1 if n % 2 else -1]:
                    work = Path(scratch) / side
                    (work / "one.parquet").unlink(missing_ok=True)
                    subprocess.run(["rm", "-rf", work / "model"], check=True)
                    command = [programs[side], *filled[side][name].split()]
                    spent[side].append(cpu_s(command, work))
            ratios = [b / a for a, b in zip(spent["base"][1:], spent["now"][1:], strict=True)]
            print(
                json.dumps(
                    {
                        "bench": "commands",
                        "command": name,
                        **{f"{side} s": round(median(spent[side][1:]), 3) for side in programs},
                        "ratio": round(median(ratios), 3),
                        "least": round(min(ratios), 3),
                        "most": round(max(ratios), 3),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
