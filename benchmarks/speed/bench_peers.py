"""Time audiorec beside its peers on one song: paired rounds, one fresh process each.

    python -m benchmarks bench_peers --peers PYTHON --graph musicnn_msd.pb
                                     [--song FILE] [--seconds 240] [--rounds 5] [--only NAME ...]
                                     [--formats wav flac mp3 ogg opus m4a]

The environment of that Python is described in `benchmarks/peers/README.md`. Every peer warms up on
ten seconds of the same format, so that what it loads for a format is start-up. A round runs
every peer once, in an order that turns from round to round, so that a slow minute of the machine
falls on all of them. One JSON line for each format and peer: seconds of audio per CPU-second of one
thread, as minimum, median and maximum over the rounds; seconds of audio per second of wall time, of
one process and of two that run side by side; start-up and peak memory; the speed of a plain
``extract`` over the peer's, round by round. At the end come the range over all songs beside bliss,
and who is ahead in which (``speed_claim`` says the same of stored lines). Before anything is timed,
the answers are checked: the two that run MSD_musicnn must give the same tags, the others finite
numbers of their number. A peer that cannot read a format has a line that says so.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import soundfile
from bench_pipeline import make_song, report
from pieces import write
from speed_claim import claim, from_reports

from audiorec.audio.decode import decode

WARM_S = 10.0
RUNNER = Path(__file__).parents[1] / "peers" / "run_peer.py"
OURS = ("audiorec", "audiorec-vector", "audiorec-tags")
THEIRS = ("essentia-musicnn", "bliss", "librosa")
WIDTHS = {
    "audiorec": 84 + 128,
    "audiorec-vector": 84,
    "audiorec-tags": 50,
    "essentia-musicnn": 50,
    "bliss": 23,
    "librosa": 4 * 39,
}
SAME_NETWORK = ("essentia-musicnn",)
# Essentia's own mel, framing and resampler move single tags by up to 0.04.
TOLERANCE = 0.05  # of the mean over time of any tag


def run(python: str, peer: str, song: Path, warm: Path, graph: str) -> dict[str, Any]:
    """Run one peer in a process of its own; ``error`` stands in the line of one that can't read."""
    command = [python, "-W", "ignore", str(RUNNER), peer, str(song), "--warm", str(warm)]
    done = subprocess.run([*command, "--graph", graph], capture_output=True, text=True, check=False)
    lines = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
    if not lines:
        sys.exit(f"error: {peer} failed\n{done.stderr[-2000:]}")
    line: dict[str, Any] = lines[-1]
    return {"error": f"its process died ({done.returncode})"} if done.returncode else line


def run_pair(python: str, peer: str, song: Path, warm: Path, graph: str) -> dict[str, Any]:
    """Run one peer alone, then in two processes side by side; ``pair_wall_s`` is the slower's."""
    line = run(python, peer, song, warm, graph)
    with ThreadPoolExecutor(2) as pool:
        pair = pool.map(lambda _: run(python, peer, song, warm, graph), range(2))
        return {**line, "pair_wall_s": max(one.get("wall_s", 0.0) for one in pair)}


def check(answers: dict[str, list[float]], form: str) -> None:
    """Refuse to compare speeds of different answers."""
    for peer, answer in answers.items():
        if len(answer) != WIDTHS[peer] or not all(map(math.isfinite, answer)):
            sys.exit(f"error: {peer} gave {len(answer)} numbers, or one that is not finite")
    ours = answers.get("audiorec-tags")
    for peer in SAME_NETWORK:
        if ours is None or peer not in answers:
            continue
        apart = max(abs(a - b) for a, b in zip(ours, answers[peer], strict=True))
        figures = {"format": form, "largest_difference_of_mean_tags": round(apart, 5)}
        report(f"agreement/{peer}", figures)
        if apart > TOLERANCE:
            sys.exit(f"error: {peer} has other tags than audiorec, {apart:.3f} apart")


def spread(values: list[float], digits: int = 1) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(v, digits) for v in (min(values), median(values), max(values))]


def compare(
    pythons: dict[str, str], song: Path, warm: Path, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Check one song's answers, run the rounds, print a line a peer, and return these lines."""
    form, seconds = song.suffix.removeprefix("."), length_s(song)

    def one(peer: str) -> dict[str, Any]:
        return run_pair(pythons[peer], peer, song, warm, args.graph)

    first = {peer: one(peer) for peer in pythons}
    peers = [peer for peer, line in first.items() if "error" not in line]
    check({peer: first[peer]["answer"] for peer in peers}, form)
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(args.rounds):
        turned = peers[number % len(peers) :] + peers[: number % len(peers)]
        rounds.append({peer: one(peer) for peer in turned})
    reports = []
    for peer in pythons:
        same: dict[str, object] = {"format": form, "audio_s": round(seconds, 1)}
        same["rounds"] = args.rounds
        if peer in peers:
            line = {**same, **figures(peer, rounds, seconds)}
            report(f"peers/{peer}", line)
            reports.append({"bench": f"peers/{peer}", **line})
        else:
            reason = first[peer]["error"].splitlines()[0][:100]
            report(f"unread/{peer}", {"format": form, "reason": reason})
    return reports


def figures(
    peer: str, rounds: list[dict[str, dict[str, Any]]], seconds: float
) -> dict[str, object]:
    """Return what a peer's line says of its rounds."""
    lines = [r[peer] for r in rounds]
    found: dict[str, object] = {
        "x_realtime_min_median_max": spread([seconds / line["cpu_s"] for line in lines]),
        "x_wall": spread([seconds / line["wall_s"] for line in lines]),
        "x_wall_of_two": spread([2 * seconds / line["pair_wall_s"] for line in lines]),
        "startup_cpu_s": spread([line["startup_cpu_s"] for line in lines], 2),
        "peak_mb": round(max(line["peak_mb"] for line in lines)),
    }
    if "audiorec" in rounds[0]:
        ratios = [r[peer]["cpu_s"] / r["audiorec"]["cpu_s"] for r in rounds]
        found["audiorec_is_faster_by"] = spread(ratios, 2)
    return found


def say_claim(reports: list[dict[str, Any]]) -> None:
    """Print what may be said of speed beside bliss: the range over all songs, and who is ahead."""
    if rows := from_reports(reports):
        for line in claim(rows):
            print(json.dumps(line), flush=True)


def length_s(song: Path) -> float:
    """Return a song's seconds, as audiorec decodes them."""
    return decode(song, lambda blocks: sum(map(len, blocks)))[1].duration_s


def main() -> None:
    """Make the song in every format asked for, and compare the peers on each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python with essentia, bliss, librosa")
    parser.add_argument("--graph", default="", help="what freeze_musicnn.py wrote")
    parser.add_argument("--song", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--formats", nargs="*", default=[], help="such as wav flac ogg")
    args = parser.parse_args()

    pythons = dict.fromkeys(OURS, sys.executable)
    pythons |= dict.fromkeys(THEIRS, args.peers) if args.peers else {}
    pythons = {p: python for p, python in pythons.items() if not args.only or p in args.only}
    with tempfile.TemporaryDirectory() as folder:
        song = args.song or Path(folder) / "song.mp3"
        source, warm = Path(folder) / "source.mp3", Path(folder) / f"warm{song.suffix}"
        make_song(source, WARM_S)
        short, short_rate = soundfile.read(source, dtype="float32", always_2d=True)
        if args.song is None:
            make_song(song, args.seconds)
        if not args.formats:
            write(warm, short, short_rate)
            say_claim(compare(pythons, song, warm, args))
            return
        samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
        reports: list[dict[str, Any]] = []
        for form in args.formats:
            written = Path(folder) / f"written.{form}"
            write(written, samples, rate)
            write(warm.with_suffix(f".{form}"), short, short_rate)
            reports += compare(pythons, written, warm.with_suffix(f".{form}"), args)
        say_claim(reports)


if __name__ == "__main__":
    main()
