"""Time whole `extract` commands of two revisions on the same files, in turns.

    python -m benchmarks bench_revisions OLD NEW FOLDER [FOLDER ...] [--rounds 5] [--features]

OLD and NEW are the ``audiorec`` commands of two environments whose modules are compiled; OLD is a
revision before sound was written, so its plain command makes the vector alone. Each FOLDER holds
songs of one format. One JSON line for each: seconds of audio for a CPU second of the whole command,
one job (``old``, ``vector only``, ``plain``), and medians with the least and most of the rounds of
two ratios of speed in one round: ``vector only / old`` and ``plain / vector only``. With
`--features`, also OLD with scores, features and attributes, and ``plain / old with all``.
"""

import argparse
import json
import resource
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import soundfile

EXTRACT = ("extract", "{folder}", "--out", "v.parquet", "-j", "1", "-q")
ALL = ("--scores", "s.parquet", "--features", "f.parquet", "--attributes")


def main() -> None:
    """Take turns, and print one line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--features", action="store_true")
    args = parser.parse_args()
    ways = {
        "old": (args.old, *EXTRACT),
        "vector only": (args.new, *EXTRACT, "--vector-only"),
        "plain": (args.new, *EXTRACT),
    }
    if args.features:
        ways["old with all"] = (args.old, *EXTRACT, *ALL)
    for folder in args.folders:
        rounds = [
            {name: cpu_s(way, folder.resolve()) for name, way in ways.items()}
            for _ in range(args.rounds)
        ]
        audio_s = sum(length_s(path) for path in folder.iterdir())
        line: dict[str, object] = {"folder": folder.name, "audio_s": round(audio_s)}
        line |= {name: round(audio_s / median(r[name] for r in rounds)) for name in ways}
        pairs = [("vector only", "old"), ("plain", "vector only")]
        pairs += [("plain", "old with all")] if args.features else []
        for fast, slow in pairs:
            ratios = sorted(r[slow] / r[fast] for r in rounds)
            found = (median(ratios), ratios[0], ratios[-1])
            line[f"{fast} / {slow}"] = [round(value, 3) for value in found]
        print(json.dumps(line), flush=True)


def cpu_s(way: tuple[str, ...], folder: Path) -> float:
    """Run a command in an empty folder; return the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as empty:
        command = [part.format(folder=folder) for part in way]
        subprocess.run(command, cwd=empty, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def length_s(path: Path) -> float:
    """Return the length of a song in seconds, by its header."""
    from audiorec.audio.tags import header_duration_s

    return header_duration_s(path) or soundfile.info(path).duration


if __name__ == "__main__":
    main()
