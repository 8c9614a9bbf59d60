"""How cost grows with size, and what 10,000 to a billion songs and users come to.

    python -m benchmarks scale measure --out growth.json [--work DIR] [--stages NAME ...] [--small]
    python -m benchmarks scale table growth.json

``measure`` runs the commands themselves on made-up data of growing size, each in a fresh process
with one thread: processor seconds, and bytes on disk. The data has the shape of a real log (few
songs have most plays, few users make most of them) at reduced width: vectors of 16 numbers, 20
plays a user. How the cost grows is the slope of log time against log size, without what starting
the command costs.

``table`` prints, for each command, the slope, the marginal cost between the two largest sizes, and
what that comes to at each size in core-hours, where there are as many users as songs; full width
and twenty times the plays are in the factors that stand in `STAGES`. It is arithmetic: nothing of a
billion was run. Where a design ends stands in docs/benchmarks/scale.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_cold_start import make_files
from bench_compact import write_part
from bench_fuse import write_lists
from bench_search import make_store

SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
PLAYS = 20  # of a user
WIDTH = 16
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Stage:
    """A command, and what its cost goes by.

    Attributes
    ----------
    name, unit : str
    sizes : tuple of int
    make : callable
        Writes the data of a size into a folder; returns the words of the command.
    count : callable
        How many units n songs and n users are, at full width.
    factor : float
        By how much a unit costs more at full width than in the measurement.
    """

    name: str
    unit: str
    sizes: tuple[int, ...]
    make: Callable[[Path, int], list[str]]
    count: Callable[[float], float]
    factor: float = 1.0


def write_log(path: Path, plays: int, users: int, songs: int) -> None:
    """Write plays: songs by a law of ranks, users by a long tail, in the order of time."""
    rng = np.random.default_rng(0)
    weight = 1.0 / (np.arange(songs) + 10.0) ** 0.9
    song = rng.choice(songs, plays, p=weight / weight.sum())
    song[:songs] = np.arange(songs)[: len(song)]  # each is played
    keen = rng.lognormal(0.0, 1.0, users)
    user = rng.choice(users, plays, p=keen / keen.sum())
    table = pa.table(
        {
            "user_id": pa.array(np.char.add("u", user.astype(str))),
            "song_id": pa.array(np.char.add("s", song.astype(str))),
            "event": pa.repeat(pa.scalar("finish"), plays),
            "timestamp": np.sort(rng.integers(0, 365 * DAY_S, plays)) + 1_700_000_000,
        }
    )
    pq.write_table(table, path)


def compact(folder: Path, songs: int) -> list[str]:
    """Make parts of 2,000 songs."""
    count = -(-songs // 2_000)
    (folder / "parts").mkdir()
    for index in range(count):
        low, high = index * songs // count, (index + 1) * songs // count
        write_part(folder / "parts", index, count, range(low, high), scores=False)
    return ["store", "compact", "parts", "--out", "vecs.parquet"]


def index(folder: Path, songs: int) -> list[str]:
    """Make a store."""
    make_store(folder / "vecs.parquet", songs)
    return ["index", "build"]


def prepare(folder: Path, plays: int) -> list[str]:
    """Make a log."""
    write_log(folder / "plays.parquet", plays, plays // PLAYS, max(100, plays // 200))
    return ["listening", "prepare", "plays.parquet", "--out", "prepared"]


def youtube_dnn(folder: Path, plays: int) -> list[str]:
    """Make a log; an epoch chooses, one learns everything."""
    write_log(folder / "plays.parquet", plays, plays // PLAYS, max(100, plays // 200))
    words = ["recall", "train", "youtube-dnn", "-i", "plays.parquet", "--out", "model"]
    return [*words, "--set", "max_epochs=1", "--set", f"dimension={WIDTH}"]


def song2vec(folder: Path, plays: int) -> list[str]:
    """Make a log; one epoch, without facts."""
    write_log(folder / "plays.parquet", plays, plays // PLAYS, max(100, plays // 200))
    words = [
        "recall",
        "train",
        "song2vec",
        "-i",
        "plays.parquet",
        "--out",
        "model",
        "--set",
        "gamma=0",
    ]
    return [*words, "--set", "max_epochs=1", "--set", f"dimension={WIDTH}", "--set", "choose=false"]


def model_of(folder: Path, songs: int, users: int) -> None:
    """Train a model of so many songs, and write the listening of some users."""
    write_log(folder / "plays.parquet", max(2 * songs, 40_000), users, songs)
    words = ["recall", "train", "youtube-dnn", "-i", "plays.parquet", "--out", "model"]
    audiorec(folder, [*words, "--set", "max_epochs=1", "--set", f"dimension={WIDTH}"])
    write_log(folder / "some.parquet", PLAYS * users, users, min(songs, PLAYS * users))


def candidates_users(folder: Path, users: int) -> list[str]:
    """Make a model of 20,000 songs, and ever more users."""
    model_of(folder, 20_000, users)
    return [
        "recall",
        "candidates",
        "model",
        "-i",
        "some.parquet",
        "--k",
        "100",
        "--out",
        "c.parquet",
    ]


def candidates_songs(folder: Path, songs: int) -> list[str]:
    """Make a model of ever more songs, and 2,000 users."""
    model_of(folder, songs, 2_000)
    return [
        "recall",
        "candidates",
        "model",
        "-i",
        "some.parquet",
        "--k",
        "100",
        "--out",
        "c.parquet",
    ]


def fuse(folder: Path, users: int) -> list[str]:
    """Make four channels of a hundred songs a user."""
    names = [f"channel-{number}.parquet" for number in range(4)]
    for number, name in enumerate(names):
        write_lists(folder / name, number, users, 100, 20_000)
    return ["recall", "fuse", *names, "--k", "100", "--out", "fused.parquet"]


def evaluate(folder: Path, users: int) -> list[str]:
    """Make users whose last play is wanted, and a model of 20,000 songs."""
    model_of(folder, 20_000, users)
    return ["recall", "evaluate", "model", "-i", "some.parquet", "--split", "last", "--k", "100"]


def cold_start(folder: Path, songs: int) -> list[str]:
    """Make new songs, and 100,000 users."""
    make_files(folder, 100_000, songs, WIDTH)
    words = [
        "cold-start",
        "audience",
        "--songs",
        "all-songs.parquet",
        "--users",
        "all-users.parquet",
    ]
    return [*words, "--k", "100", "--minimum", "-1"]


STAGES = (
    Stage("store compact", "song", (2_000, 60_000, 200_000, 600_000), compact, lambda n: n),
    Stage("index", "song", (30_000, 100_000, 300_000), index, lambda n: n),
    Stage(
        "listening prepare",
        "play",
        (100_000, 300_000, 1_000_000, 3_000_000),
        prepare,
        lambda n: 400 * n,
    ),
    Stage(
        "recall train youtube-dnn",
        "play, of an epoch",
        (100_000, 300_000, 1_000_000),
        youtube_dnn,
        lambda n: 400 * n * 20,
        factor=0.5 * 64 / WIDTH,  # two epochs were run
    ),
    Stage(
        "recall train song2vec",
        "entry, of an epoch",
        (100_000, 300_000, 1_000_000),
        song2vec,
        lambda n: 400 * n * 20,
        factor=64 / WIDTH,
    ),
    Stage(
        "recall candidates, by users",
        "pair of a user and a song",
        (1_000, 3_000, 10_000, 30_000),
        candidates_users,
        lambda n: n * n,
    ),
    Stage(
        "recall candidates, by songs",
        "pair of a user and a song",
        (10_000, 30_000, 100_000, 300_000),
        candidates_songs,
        lambda n: n * n,
    ),
    Stage(
        "recall fuse",
        "row of four channels",
        (1_000, 3_000, 10_000, 30_000),
        fuse,
        lambda n: 400 * n,
    ),
    Stage(
        "recall evaluate",
        "pair of a query and a song",
        (1_000, 3_000, 10_000),
        evaluate,
        lambda n: min(n, 1e5) * n,
    ),
    Stage(
        "cold-start audience",
        "pair of a new song and a user",
        (300, 1_000, 3_000, 10_000),
        cold_start,
        lambda n: n / 1e3 * n,
    ),
)
# How many units a size of a stage is, where it counts something else.
UNITS = {
    "recall candidates, by users": 20_000,
    "recall candidates, by songs": 2_000,
    "recall fuse": 400,
    "recall evaluate": 20_000,
    "cold-start audience": 100_000,
}


def audiorec(folder: Path, words: list[str]) -> float:
    """Run a command in a folder with one thread; return its processor seconds."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "audiorec_cli.main", *words]
    with (folder / "said").open("w") as said:
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **threads}, stdout=said, stderr=said
        )
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)}: {(folder / 'said').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime


def measure(work: Path, wanted: list[str], *, small: bool) -> list[dict[str, object]]:
    """Run every stage at every size; print and return a line each."""
    lines = []
    for stage in STAGES:
        if wanted and stage.name not in wanted:
            continue
        for size in stage.sizes[:2] if small else stage.sizes:
            folder = work / "one"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            words = stage.make(folder, size)
            before = {p for p in folder.rglob("*") if p.is_file()}
            cpu_s = audiorec(folder, words)
            made = [p for p in folder.rglob("*") if p.is_file() and p not in before]
            line = {"stage": stage.name, "size": size, "cpu_s": round(cpu_s, 2)}
            line["bytes"] = sum(p.stat().st_size for p in made)
            print(json.dumps({**line, "command": " ".join(words)}), flush=True)
            lines.append(line)
    shutil.rmtree(work / "one", ignore_errors=True)
    return lines


def slope_of(sizes: np.ndarray, cpu_s: np.ndarray) -> float:
    """Return the slope of log cost against log size, both less those of the smallest size.

    What starting the command costs falls out; 1 is linear.
    """
    x, y = np.log(sizes[1:] - sizes[0]), np.log(np.maximum(cpu_s[1:] - cpu_s[0], 1e-3))
    return float(np.polyfit(x, y, 1)[0])


def print_table(lines: list[dict[str, float]]) -> None:
    """Print slopes, rates and core-hours."""
    head = ["command", "slope", "a unit", "", *(f"{n:.0e}" for n in SIZES)]
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    for stage in STAGES:
        own = sorted(
            (line for line in lines if line["stage"] == stage.name), key=lambda x: x["size"]
        )
        if len(own) < 3:
            continue
        sizes, cpu_s = (np.array([line[n] for line in own], float) for n in ("size", "cpu_s"))
        slope = slope_of(sizes, cpu_s)
        each = (cpu_s[-1] - cpu_s[-2]) / (sizes[-1] - sizes[-2]) / UNITS.get(stage.name, 1)
        hours = [each * stage.factor * stage.count(n) / 3600 for n in SIZES]
        cells = [stage.name, f"{slope:.2f}", told_s(each), f"a {stage.unit}"]
        print("| " + " | ".join([*cells, *(f"{h:,.3g}" for h in hours)]) + " |")


def told_s(seconds: float) -> str:
    """Return seconds in a unit that suits them."""
    for unit, scale in (("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-12:.3g} ps"


def main() -> None:
    """Measure, or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("growth", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("growth.json"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--stages", nargs="*", default=[])
    parser.add_argument("--small", action="store_true", help="The two smallest sizes of each.")
    args = parser.parse_args()
    if args.what == "table":
        print_table(json.loads(args.growth.read_text()))
        return
    with tempfile.TemporaryDirectory() as temporary:
        lines = measure(args.work or Path(temporary), args.stages, small=args.small)
    kept = json.loads(args.out.read_text()) if args.out.exists() else []
    kept = [line for line in kept if line["stage"] not in {one["stage"] for one in lines}]
    args.out.write_text(json.dumps([*kept, *lines], indent=1) + "\n")


if __name__ == "__main__":
    main()
