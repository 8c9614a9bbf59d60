"""A burst of files into a folder that `audiorec extract --watch` keeps up to date.

    python -m benchmarks bench_watch [--files 10000] [--jobs 1] [--kind links|copies|songs]

Starts the command over a folder with one song of 3 seconds, puts that song into it under so many
more names, and waits until the store has them all. The files are hard links, copies of their own,
or (``songs``) copies that differ in one sample, so that each of them has to be decoded. Prints one
JSON line: bytes, batches, songs that were decoded, seconds from the last file to the store, and CPU
seconds of the command and its workers; beside it, CPU seconds of ten seconds in which nothing
happens.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from audiorec.store.store import VectorStore

SONG = Path(__file__).parents[2] / "fixtures" / "audio" / "jazz-vibraphone.mp3"
SONG_S = 3.0
SETTLE_S, EVERY_S, IDLE_S = 2.0, 60.0, 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Start, burst, wait, stop, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kind", choices=("links", "copies", "songs"), default="links")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        songs, store = Path(folder) / "songs", Path(folder) / "vecs.parquet"
        songs.mkdir()
        samples, rate = soundfile.read(SONG, dtype="int16")
        samples = samples[: int(SONG_S * rate)]
        soundfile.write(songs / "first.wav", samples, rate)
        words = ["extract", songs, "--watch", "--out", store, "--json", "-q", "-j", args.jobs]
        words += ["--set", f"settle={SETTLE_S}", "--set", f"every={EVERY_S}"]
        with subprocess.Popen(
            [sys.executable, "-m", "audiorec_cli.main", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            until(lambda: rows(store) == 1)
            time.sleep(2)
            before = cpu_s(process.pid)
            time.sleep(IDLE_S)
            idle = cpu_s(process.pid) - before
            for n in range(args.files):
                path = songs / f"{n:05}.wav"
                if args.kind == "links":
                    path.hardlink_to(songs / "first.wav")
                elif args.kind == "copies":
                    shutil.copy(songs / "first.wav", path)
                else:
                    samples[-1] = n  # of a short
                    soundfile.write(path, samples, rate)
            begun = time.monotonic()
            until(lambda: rows(store) == args.files + 1)
            seconds = time.monotonic() - begun
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate()
            used = os.times()
            reports = documents(out)
            assert process.returncode == 0
            assert sum(r["failed"] for r in reports) == 0
        report = {
            "bench": "extract --watch",
            "files": args.files,
            "kind": args.kind,
            "mb": round(sum(p.stat().st_size for p in songs.iterdir()) / 1e6, 1),
            "batches": len(reports) - 1,
            "decoded": sum(r["extracted"] for r in reports),
            "seconds_after_the_last_file": round(seconds, 1),
            "settle_s": SETTLE_S,
            "cpu_s": round(used.children_user + used.children_system, 1),
            "idle_cpu_s_of_10": round(idle, 2),
            "machine": f"{platform.machine()} {platform.system()}",
        }
        print(json.dumps(report))


def rows(store: Path) -> int:
    """Return the songs of a store that may not be there yet."""
    return len(VectorStore.open(store)) if store.exists() else 0


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def until(condition: object, seconds: float = 1800) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.5)


def documents(text: str) -> list[dict[str, int]]:
    """Return the JSON documents that follow each other in a text."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


if __name__ == "__main__":
    main()
