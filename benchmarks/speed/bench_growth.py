"""Measure how cost grows with the length of a song, the number of songs, formats and jobs.

    python -m benchmarks bench_growth [--minutes 0.5 4 9.5 30 180] [--no-formats]
                                      [--songs 10 100 1000 2000] [--repeats 3]

- length: CPU seconds per hour of audio and the peak memory of a fresh worker, from half a minute
  to three hours of the same MP3; above two hours a file is decoded twice.
- format: seconds of audio per CPU-second for the same four minutes in each encoding.
- songs: wall and CPU time of `audiorec extract` over 10 to 2,000 songs of five seconds, for
  one and for two jobs: what a song costs beside its audio.

One JSON line a point, minimum, median and maximum over the repeats where it is timed.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # as in a worker; a second thread that waits counts as work

import numpy as np
import soundfile
from bench_library import FORMATS, write
from bench_pipeline import SOURCE_RATE, make_song, memory_of_worker, report, run

from audiorec.extraction.pipeline import Extractor

SONG_S = 5.0


def spread(values: list[float], digits: int = 1) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(v, digits) for v in (min(values), median(values), max(values))]


def timed(extractor: Extractor, song: Path, repeats: int) -> list[float]:
    """Return the CPU seconds of each repeat, after one to warm up."""
    found = []
    for _ in range(repeats + 1):
        start = time.process_time()
        extractor.song(song)
        found.append(time.process_time() - start)
    return found[1:]


def by_length(folder: Path, minutes: list[float], repeats: int) -> None:
    """Print one line a length."""
    extractor, song = Extractor(), folder / "song.mp3"
    for length in minutes:
        make_song(song, length * 60)
        cpu = timed(extractor, song, 1 if length >= 30 else repeats)
        per_hour = [seconds * 60 / length for seconds in cpu]
        figures = {"cpu_s_per_hour": spread(per_hour), "peak_mb": round(memory_of_worker(song))}
        report("growth/length", {"minutes": length, **figures})


def by_format(folder: Path, repeats: int) -> None:
    """Print one line a format, of the same four minutes."""
    extractor, source = Extractor(), folder / "song.mp3"
    make_song(source, 240.0)
    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    for suffix in (".wav", *FORMATS):
        song = folder / f"song{suffix}"
        write(song, samples, rate)
        cpu = timed(extractor, song, repeats)
        speed = [len(samples) / rate / seconds for seconds in cpu]
        report("growth/format", {"format": suffix, "x_realtime_min_median_max": spread(speed)})


def by_number(folder: Path, numbers: list[int]) -> None:
    """Print one line for each number of songs and of jobs."""
    music, song = folder / "songs", folder / "long.wav"
    music.mkdir()
    make_song(folder / "long.mp3", 60.0)
    samples, _ = soundfile.read(folder / "long.mp3", dtype="float32", always_2d=True)
    length, made = round(SONG_S * SOURCE_RATE), 0
    song.unlink(missing_ok=True)
    for number in sorted(numbers):
        for i in range(made, number):  # every song another cut: no content twice
            at = np.arange(i * 997, i * 997 + length) % len(samples)
            write(music / f"{i:05d}.mp3", samples[at], SOURCE_RATE)
        made = number
        for jobs in (1, 2):
            out = folder / f"{number}-{jobs}" / "vecs.parquet"
            command = [sys.executable, "-m", "audiorec_cli.main", "extract", str(music)]
            command += ["--out", str(out), "--jobs", str(jobs), "--quiet"]
            wall, cpu = run(command)
            again, _ = run(command)
            figures = {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}
            per_song = {"cpu_ms_per_song": round(1000 * cpu / number, 1)}
            second = {"second_run_s": round(again, 2)}
            report("growth/songs", {"songs": number, "jobs": jobs, **figures, **per_song, **second})


def main() -> None:
    """Measure length, formats and numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="*", default=[0.5, 4.0, 9.5, 30.0, 180.0])
    parser.add_argument("--songs", type=int, nargs="*", default=[10, 100, 1000, 2000])
    parser.add_argument("--no-formats", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        by_length(folder, args.minutes, args.repeats)
        if not args.no_formats:
            by_format(folder, args.repeats)
        by_number(folder, args.songs)


if __name__ == "__main__":
    main()
