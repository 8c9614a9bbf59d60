"""Measure the whole pipeline on one song: speed per CPU-second, stage by stage, and memory.

    python -m benchmarks bench_pipeline [--song FILE] [--seconds 240] [--repeats 5] [--hours 2]

Without a song, the music among the bundled clips is joined to a four-minute stereo MP3 at
192 kbit/s, of about -23 LUFS. One JSON line a question. A speed is seconds of audio per CPU-second
of one thread (x realtime), as minimum, median and maximum; the answer is checked before it is
timed. Start-up is the processor time of whole processes on one short clip: a worker, and the
command with its worker.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import soundfile
import soxr

from audiorec.audio.decode import decode, waveform
from audiorec.audio.segment import gain, loudness_lufs, segments
from audiorec.extraction.pipeline import Extractor, backbone_tags
from audiorec.spec import LevelSpec
from audiorec.tagger.vectors import summarise

CLIPS = Path(__file__).parents[2] / "fixtures" / "audio"
MUSIC = ("jazz-vibraphone.mp3", "metal-band-with-woman-singing.mp3", "game-tune-caribbean.mp3")
SOURCE_RATE = 44_100  # Hz


def make_song(path: Path, seconds: float) -> None:
    """Write an MP3 of the bundled music, repeated to the length asked for."""
    parts = [soundfile.read(CLIPS / name, always_2d=True)[0] for name in MUSIC]
    music = np.concatenate([np.broadcast_to(p, (len(p), 2)) for p in parts])
    mono = soxr.resample(music.mean(axis=1), SOURCE_RATE, 16_000).astype(np.float32)
    # At the loudness that audiorec works at: what peers say of it can be compared.
    music = music * gain(loudness_lufs(mono), LevelSpec())
    with soundfile.SoundFile(
        path,
        "w",
        SOURCE_RATE,
        2,
        "MPEG_LAYER_III",
        format="MP3",
        compression_level=0.4,
        bitrate_mode="CONSTANT",
    ) as file:
        left = int(seconds * SOURCE_RATE)
        while left > 0:
            file.write(music[:left])
            left -= len(music)


def measure(question: str, action: Callable[[], object], seconds: float, repeats: int) -> None:
    """Run once to warm up, then print x realtime per CPU-second."""
    action()
    cpu = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        cpu.append(time.process_time() - start)
    speeds = [round(seconds / np.quantile(cpu, q), 1) for q in (1.0, 0.5, 0.0)]
    report(question, {"x_realtime_min_median_max": speeds, "audio_s": seconds, "repeats": repeats})


def report(question: str, figures: dict[str, object]) -> None:
    """Print one JSON line."""
    machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
    print(json.dumps({"bench": question, **figures, "machine": machine}), flush=True)


def check(extractor: Extractor, song: Path) -> None:
    """Refuse to time a wrong answer: the vector, and streaming against the whole file."""
    whole = extractor.song(song)
    np.testing.assert_array_equal(whole.vector, summarise(whole.series.scores))
    samples, info = waveform(song)
    at_once = list(segments([samples]))
    streamed, _ = decode(song, lambda blocks: list(segments(blocks)))
    assert info.status == "ok"
    assert len(at_once) == len(streamed) == len(whole.series)
    for a, b in zip(at_once, streamed, strict=True):
        np.testing.assert_allclose(a.log_mel, b.log_mel, atol=1e-5)


def memory_of_worker(song: Path) -> float:
    """Return the peak memory in MB of a fresh process that extracts one song."""
    script = (
        "import sys\n"
        "from audiorec.extraction.pipeline import ExtractorConfig, song_handler\n"
        "song_handler(ExtractorConfig(), frozenset(), ())(sys.argv[1])\n"
        # Not getrusage, which would count the peak of this process as well.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(song)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024 / 1e6


def run(command: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command and its children, which must succeed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    quiet = subprocess.DEVNULL  # stdout has our lines alone
    subprocess.run(command, check=True, stdout=quiet, stderr=quiet)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.monotonic() - started, cpu


def start_up(folder: Path, repeats: int) -> None:
    """Print the CPU seconds from nothing to one short clip's vector."""
    clip, out = CLIPS / MUSIC[0], folder / "one" / "vecs.parquet"
    worker = (
        "from audiorec.extraction.pipeline import ExtractorConfig, song_handler\n"
        f"song_handler(ExtractorConfig(), frozenset(), ())({str(clip)!r})\n"
    )
    command = ["-m", "audiorec_cli.main", "extract", str(clip), "--out", str(out), "--quiet"]
    classify = ["-m", "audiorec_cli.main", "classify", str(clip)]
    for what, arguments in (
        ("a worker", ["-c", worker]),
        ("audiorec extract", command),
        ("audiorec classify", classify),
    ):
        cpu = []
        for number in range(repeats + 1):
            for path in out.parent.iterdir() if out.parent.exists() else ():
                path.unlink()
            _, seconds = run([sys.executable, *arguments])
            cpu += [seconds] if number else []  # the first one fills the disk's cache
        figures = {"cpu_s": [round(float(np.quantile(cpu, q)), 2) for q in (0.0, 0.5, 1.0)]}
        audio_s = round(soundfile.info(clip).duration, 1)
        report("pipeline/startup", {"process": what, **figures, "audio_s": audio_s})


def main() -> None:
    """Check, then measure stages, the whole, start-up and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--song", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hours", type=float, default=2.0, help="length for the memory; 0: none")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        song = args.song or Path(folder) / "song.mp3"
        if args.song is None:
            make_song(song, args.seconds)
        extractor = Extractor()
        check(extractor, song)
        seconds = round(extractor.song(song).info.duration_s, 3)
        count = lambda blocks: sum(map(len, blocks))  # noqa: E731
        measure("pipeline/decode", lambda: decode(song, count), seconds, args.repeats)
        drain = lambda blocks: sum(1 for _ in segments(blocks))  # noqa: E731
        measure("pipeline/decode+mel", lambda: decode(song, drain), seconds, args.repeats)
        measure("pipeline/one-backbone", lambda: backbone_tags(song), seconds, args.repeats)
        measure("pipeline/whole", lambda: extractor.song(song), seconds, args.repeats)
        start_up(Path(folder), args.repeats)
        report("pipeline/memory", {"audio_s": seconds, "peak_mb": round(memory_of_worker(song), 1)})
        if args.hours:
            long_song = Path(folder) / "long.mp3"
            make_song(long_song, args.hours * 3600)
            peak = round(memory_of_worker(long_song), 1)
            report("pipeline/memory", {"audio_s": args.hours * 3600, "peak_mb": peak})


if __name__ == "__main__":
    main()
