"""Extract a library of 2,000 real songs with 40 broken ones, twice: time, memory, exit codes.

    python -m benchmarks bench_library MUSIC --work WORK [--songs 2000] [--broken 40] [--jobs 2]

MUSIC is a folder of real music. It is cut into parts of 30 s, which are written in turn as FLAC,
MP3, Vorbis, Opus and AAC into WORK/songs; the broken ones are cut-off, overwritten, emptied or
renamed copies of some of them. `audiorec extract` then runs as a process of its own, whose tree is
watched: one JSON line with the time by the clock and by the processor, songs a second, the exit
code, and the memory of the parent and of the largest worker over ten parts of the run. A second
line for the same command again, which must find nothing to do.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import soundfile

PART_S = 30.0
FORMATS = (".flac", ".mp3", ".ogg", ".opus", ".m4a")
MUSIC_SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav")
MIN_BYTES = 200_000  # smaller files are a game's sounds, not its music
WATCH_S = 0.5
Samples = npt.NDArray[np.float32]


def parts(music: Path, part_s: float = PART_S) -> Iterator[tuple[Path, int]]:
    """Yield files and part numbers: the first part of every song, then the second."""
    lengths = {}
    for path in sorted(music.rglob("*")):
        if path.suffix in MUSIC_SUFFIXES and path.stat().st_size >= MIN_BYTES:
            try:
                lengths[path] = int(soundfile.info(path).duration // part_s)
            except soundfile.LibsndfileError:
                continue
    for number in range(max(lengths.values(), default=0)):
        yield from ((path, number) for path, count in lengths.items() if number < count)


def read(path: Path, number: int, part_s: float = PART_S) -> tuple[Samples, int]:
    """Read one part: shape (samples, channels), and its rate in hertz."""
    with soundfile.SoundFile(path) as file:
        file.seek(round(number * part_s * file.samplerate))
        count = round(part_s * file.samplerate)
        return file.read(count, dtype="float32", always_2d=True)[:, :2], file.samplerate


def write(path: Path, samples: Samples, rate: int) -> None:
    """Write samples in the encoding of the path's suffix."""
    if path.suffix in (".opus", ".m4a"):
        codec = {".opus": "libopus", ".m4a": "aac"}[path.suffix]
        layout = "mono" if samples.shape[1] == 1 else "stereo"
        form = {".opus": "ogg", ".m4a": "mp4"}[path.suffix]
        with av.open(str(path), "w", format=form) as file:
            stream = file.add_stream(codec, rate=48_000, layout=layout)
            resampler = av.AudioResampler("fltp", layout, 48_000, frame_size=1024)
            for piece in [*_frames(samples, rate, layout, resampler), None]:
                file.mux(stream.encode(piece))
        return
    form, subtype = {
        ".wav": ("WAV", "PCM_16"),
        ".flac": ("FLAC", "PCM_16"),
        ".mp3": ("MP3", "MPEG_LAYER_III"),
        ".ogg": ("OGG", "VORBIS"),
    }[path.suffix]
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], subtype, format=form) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis fails on long writes
            file.write(samples[start : start + rate])


def _frames(samples: Samples, rate: int, layout: str, resampler: Any) -> Iterator[Any]:
    """Yield frames of an encoder's size, made second by second: FFmpeg's memory is limited."""
    for start in range(0, len(samples), rate):
        part = np.ascontiguousarray(samples[start : start + rate].T)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate = rate
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def break_copy(source: Path, target: Path, kind: int) -> None:
    """Write a copy that can't be read: cut in its header, noise, empty, text."""
    content = source.read_bytes()
    noise = np.random.default_rng(kind).bytes(len(content) // 4)
    broken = (content[:40], noise, b"", b"not music\n" * 100)
    target.write_bytes(broken[kind % len(broken)])


def make(music: Path, folder: Path, *, songs: int, broken: int = 0, part_s: float = PART_S) -> None:
    """Write the library, or what is missing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i, (path, number) in enumerate(itertools.islice(parts(music, part_s), songs - broken)):
        target = folder / f"{i:04d}-{path.stem[:40]}-{number}{FORMATS[i % len(FORMATS)]}"
        names.append(target)
        if target.exists():
            continue
        samples, rate = read(path, number, part_s)
        # Vorbis by libsndfile takes no rate above 192 kHz, MP3 none above 48.
        partial = target.with_name(f".partial{target.suffix}")
        write(partial, samples, rate)
        partial.rename(target)
    if len(names) < songs - broken:
        sys.exit(f"error: {music} has music for {len(names)} songs of {songs - broken}")
    for i in range(broken):
        source = names[i * 7]
        break_copy(source, folder / f"broken-{i:02d}{source.suffix}", i)


def tree(pid: int) -> Iterator[tuple[int, float]]:
    """Yield the process and its descendants with their resident memory in MB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
    except OSError:
        return
    if "VmRSS:" in status:
        yield pid, int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6
    for task in tasks:  # a worker belongs to the thread that started it
        if int(task) == pid:
            continue
        try:
            children += Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except OSError:
            continue
    for child in set(children):
        yield from tree(int(child))


def watch(command: list[str]) -> dict[str, object]:
    """Run a command and return its time, exit code and memory over time."""
    before, started, curve = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), []
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            memory = dict(tree(process.pid))
            parent = memory.pop(process.pid, 0.0)
            curve.append((parent, max(memory.values(), default=0.0), sum(memory.values()) + parent))
            time.sleep(WATCH_S)
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    tenths = np.array_split(np.array(curve), 10) if len(curve) >= 10 else [np.array(curve)]
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "exit_code": process.returncode,
        "parent_mb": [round(float(t[:, 0].max())) for t in tenths],
        "largest_worker_mb": [round(float(t[:, 1].max())) for t in tenths],
        "all_mb": [round(float(t[:, 2].max())) for t in tenths],
    }


def main() -> None:
    """Make the library, extract it, extract it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--songs", type=int, default=2000)
    parser.add_argument("--broken", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    folder, out = args.work / "songs", args.work / "vecs.parquet"
    make(args.music, folder, songs=args.songs, broken=args.broken)
    for path in (out, out.with_name("vecs.errors.parquet")):
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "audiorec_cli.main", "extract", str(folder)]
    command += ["--out", str(out), "--jobs", str(args.jobs), "--quiet"]
    for run in ("first", "second"):
        figures = watch(command)
        rows = pq.read_metadata(out).num_rows if out.exists() else 0
        failed = pq.read_metadata(out.with_name("vecs.errors.parquet")).num_rows
        line = {"bench": f"library/{run}", "songs": args.songs, "rows": rows, "failed": failed}
        speed = {
            f"songs_per_{kind}": round(args.songs / float(str(figures[kind])), 2)
            for kind in ("wall_s", "cpu_s")
        }
        print(json.dumps(line | figures | speed | {"jobs": args.jobs}), flush=True)


if __name__ == "__main__":
    main()
