"""How quick ``audiorec start`` is: over hours of music beside bliss, and until a first song plays.

    uv run --group full python -m benchmarks bench_start MUSIC --work WORK
                                     [--hours 5] [--jobs 1 2] [--rounds 3] [--peers PYTHON]

MUSIC is a folder of real music. Parts of it, two minutes each in five formats, are the library in
WORK; each is another piece, since one that is heard twice under other names is known the second
time. One JSON line for each run: seconds until the page answers and until all songs are heard,
seconds of audio per second by the clock and per CPU-second, page and all processes included. PYTHON
has bliss (`benchmarks/peers/README.md`), which hears the same files in as many processes and writes
nothing; rounds alternate. The last line is a stopwatch: a fresh store, 100 songs, one command, and
a browser that clicks the first song until it plays and its neighbours are listed.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from bench_pipeline import report
from pieces import make

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from web_server import ROWS, chromium, until

PART_S = 120.0
STOPWATCH_SONGS = 100
LONGEST_S = 3600.0
PLAYS = "import('/js/player.js').then(p => p.now() > 0)"
BLISS = """
import sys
from multiprocessing import Pool
from bliss_audio import Song
def numbers(path):
    try:
        return len(Song(path).analysis)
    except Exception:  # bliss has one kind for whatever it cannot read
        return 0
with Pool(int(sys.argv[1])) as pool:
    print(sum(map(bool, pool.map(numbers, sys.argv[2:], chunksize=1))))
"""


@contextmanager
def started(music: Path, work: Path, jobs: int) -> Iterator[tuple[str, Path, float]]:
    """Run ``start`` with a fresh store; give the page's address, the store, and when it began."""
    shutil.rmtree(work, ignore_errors=True)
    store = work / "vecs.parquet"
    work.mkdir(parents=True)
    command = [sys.executable, "-m", "audiorec_cli.main", "start", str(music), "--once"]
    command += ["--no-open", "--out", str(store), "--jobs", str(jobs)]
    begun = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), store, begun
        finally:
            process.send_signal(signal.SIGINT)


def cpu_s() -> float:
    """Return the CPU-seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def hear(music: Path, work: Path, jobs: int) -> dict[str, float]:
    """Run ``start`` until the store has all songs."""
    songs, before = len(list(music.iterdir())), cpu_s()
    with started(music, work, jobs) as (_, store, begun):
        page_s = time.monotonic() - begun
        while not store.exists() or pq.read_metadata(store).num_rows < songs:
            assert time.monotonic() < begun + LONGEST_S
            time.sleep(0.2)
        all_s = time.monotonic() - begun
    return {"page_s": page_s, "wall_s": all_s, "cpu_s": cpu_s() - before}


def hear_by_bliss(python: str, music: Path, jobs: int) -> dict[str, float]:
    """Run bliss over the same files."""
    files = sorted(map(str, music.iterdir()))
    begun, before = time.monotonic(), cpu_s()
    command = [python, "-W", "ignore", "-c", BLISS, str(jobs), *files]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert int(done.stdout) == len(files), f"bliss read {done.stdout} of {len(files)} files"
    return {"wall_s": time.monotonic() - begun, "cpu_s": cpu_s() - before}


def told(question: str, jobs: int, audio_s: float, found: dict[str, float]) -> None:
    """Print one run."""
    speeds = {
        f"x_realtime_{name}": round(audio_s / found[f"{name}_s"], 1) for name in ("wall", "cpu")
    }
    seconds = {name: round(value, 1) for name, value in found.items()}
    report(
        question, {"jobs": jobs, "cores": os.cpu_count(), "audio_s": audio_s, **seconds, **speeds}
    )


def stopwatch(music: Path, work: Path) -> dict[str, float]:
    """Return the seconds to the page, to its list, to the first sound, and to the neighbours."""
    with started(music, work, 0) as (address, _, begun):
        seconds = {"page": time.monotonic() - begun}
        with chromium() as browser:
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector(f"{ROWS} .cell.title")
            seconds["list"] = time.monotonic() - begun
            page.locator(f"{ROWS} .cell.title").first.dblclick()
            until(page, PLAYS, timeout_s=60)
            seconds["sound"] = time.monotonic() - begun
            page.wait_for_selector(".near li")
            seconds["neighbours"] = time.monotonic() - begun
    return {name: round(value, 1) for name, value in seconds.items()}


def main() -> None:
    """Make the libraries, and time both programs over them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=5.0)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="Python of an environment with bliss-audio")
    args = parser.parse_args()
    hours, few = args.work / "hours", args.work / "few"
    songs = round(3600 * args.hours / PART_S)
    make(args.music, hours, songs=songs, part_s=PART_S)
    for _ in range(args.rounds):
        for jobs in args.jobs:
            told("start", jobs, songs * PART_S, hear(hours, args.work / "store", jobs))
            if args.peers:
                told("bliss", jobs, songs * PART_S, hear_by_bliss(args.peers, hours, jobs))
    make(args.music, few, songs=STOPWATCH_SONGS)
    report(
        "stopwatch", {"songs": STOPWATCH_SONGS, "seconds_to": stopwatch(few, args.work / "store")}
    )


if __name__ == "__main__":
    main()
