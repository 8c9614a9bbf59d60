"""Time audiorec beside its peers on one song: paired rounds, one fresh process each.

    python benchmarks/bench_peers.py --peers PYTHON --tf PYTHON --graph musicnn_msd.pb
                                     [--song FILE] [--seconds 240] [--rounds 5] [--only NAME ...]

The environments of the two Pythons are described in `benchmarks/peers/README.md`. A round runs
every peer once, in an order that turns from round to round, so that a slow minute of the machine
falls on all of them. One JSON line a peer: seconds of audio per CPU-second of one thread, as
minimum, median and maximum over the rounds; start-up and peak memory; the speed of audiorec as
it is used over the peer's, round by round. Before anything is timed, the answers are checked:
the three that run MSD_musicnn must give the same tags, the others finite numbers of their number.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import soundfile
from bench_pipeline import make_song, report

RUNNER = Path(__file__).with_name("peers") / "run_peer.py"
OURS = ("audiorec-msd", "audiorec", "audiorec-hop6")
TENSORFLOW = ("musicnn",)
THEIRS = ("essentia-musicnn", "bliss", "librosa", "opensmile-egemaps", "opensmile-compare")
WIDTHS = {
    "audiorec-msd": 50,
    "audiorec": 84,
    "audiorec-hop6": 84,
    "essentia-musicnn": 50,
    "musicnn": 50,
    "bliss": 23,
    "librosa": 4 * 39,
    "opensmile-egemaps": 88,
    "opensmile-compare": 6373,
}
SAME_NETWORK = ("essentia-musicnn", "musicnn")
# Essentia's own mel, framing and resampler move single tags by up to 0.04; the original
# rounds its mel to float16 and resamples the file as a whole.
TOLERANCE = 0.05  # of the mean over time of any tag


def run(python: str, peer: str, song: Path, warm: Path, graph: str) -> dict[str, Any]:
    """Run one peer in a process of its own."""
    command = [python, "-W", "ignore", str(RUNNER), peer, str(song), "--warm", str(warm)]
    done = subprocess.run([*command, "--graph", graph], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: {peer} failed\n{done.stderr[-2000:]}")
    line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return line


def check(answers: dict[str, list[float]]) -> None:
    """Refuse to compare speeds of different answers."""
    for peer, answer in answers.items():
        if len(answer) != WIDTHS[peer] or not all(map(math.isfinite, answer)):
            sys.exit(f"error: {peer} gave {len(answer)} numbers, or one that is not finite")
    ours = answers.get("audiorec-msd")
    for peer in SAME_NETWORK:
        if ours is None or peer not in answers:
            continue
        apart = max(abs(a - b) for a, b in zip(ours, answers[peer], strict=True))
        report(f"agreement/{peer}", {"largest_difference_of_mean_tags": round(apart, 5)})
        if apart > TOLERANCE:
            sys.exit(f"error: {peer} has other tags than audiorec, {apart:.3f} apart")


def spread(values: list[float], digits: int = 1) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(v, digits) for v in (min(values), median(values), max(values))]


def main() -> None:
    """Warm up and check, then run the rounds and print the table's lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python with essentia, openSMILE, bliss, librosa")
    parser.add_argument("--tf", help="Python with the original musicnn")
    parser.add_argument("--graph", default="", help="what freeze_musicnn.py wrote")
    parser.add_argument("--song", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()

    pythons = dict.fromkeys(OURS, sys.executable)
    pythons |= dict.fromkeys(THEIRS, args.peers) if args.peers else {}
    pythons |= dict.fromkeys(TENSORFLOW, args.tf) if args.tf else {}
    peers = [p for p in pythons if not args.only or p in args.only]
    with tempfile.TemporaryDirectory() as folder:
        warm, song = Path(folder) / "warm.mp3", args.song or Path(folder) / "song.mp3"
        make_song(warm, 10.0)
        if args.song is None:
            make_song(song, args.seconds)
        seconds = soundfile.info(song).duration
        first = {p: run(pythons[p], p, song, warm, args.graph) for p in peers}
        check({p: line["answer"] for p, line in first.items()})
        rounds: list[dict[str, dict[str, Any]]] = []
        for number in range(args.rounds):
            turned = peers[number % len(peers) :] + peers[: number % len(peers)]
            rounds.append({p: run(pythons[p], p, song, warm, args.graph) for p in turned})
    for peer in peers:
        lines = [r[peer] for r in rounds]
        figures: dict[str, object] = {
            "x_realtime_min_median_max": spread([seconds / line["cpu_s"] for line in lines]),
            "startup_cpu_s": spread([line["startup_cpu_s"] for line in lines], 2),
            "peak_mb": round(max(line["peak_mb"] for line in lines)),
            "audio_s": round(seconds, 1),
            "rounds": args.rounds,
        }
        for ours in ("audiorec", "audiorec-msd"):
            if ours in peers:
                ratios = [r[peer]["cpu_s"] / r[ours]["cpu_s"] for r in rounds]
                figures[f"{ours}_is_faster_by"] = spread(ratios, 2)
        report(f"peers/{peer}", figures)


if __name__ == "__main__":
    main()
