"""Kill an extraction, a merge, a night and a training twenty times each, and a node of Ray.

    python -m benchmarks kills WORK [--kills 20] [--seed 0] [--only merge night ...]

Each command runs on songs of the repository, ends once undisturbed, and is then started again and
again and killed by SIGKILL, with all of its processes, at a moment that is drawn anew. The same
command goes on from what is left; where it reaches its end, its output is compared with the
undisturbed one, removed, and the command begins anew. After each kill, what it reads has to be what
it was. Ray has two nodes on this machine, one of which is killed after some of the parts and
replaced for the next run; the command then has to end by itself.

A line of JSON each: kills, ends that were reached meanwhile, how many of them were equal, and
seconds of the undisturbed run.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bench_search import make_store

from audiorec.store.schema import Kind, open_checked, write_batches

ROOT = Path(__file__).parents[2]
TIMES = ("extracted_at", "failed_at")
SONGS = 8_000  # of the stores that are merged
PARTS = 9  # of the manifest that Ray works on
PLAN = """
[recall]
interactions = "world/interactions.parquet"
vectors = "demo.parquet"
out = "{out}"
channels = ["vs-knn", "rules", "recent-likes", "nearest-audio", "replay"]
k = 20
"""


@dataclass(frozen=True)
class Case:
    """One command: its arguments for an output, what it reads, and what its output holds."""

    arguments: Callable[[str], list[str]]
    reads: list[Path]
    holds: Callable[[Path], object]


def start(work: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of audiorec in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "audiorec_cli.main", *arguments],
        cwd=work,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def whole(work: Path, *arguments: str) -> float:
    """Run a command to its end; return its seconds."""
    began = time.monotonic()
    process = start(work, *arguments)
    said = process.communicate()[1]
    if process.returncode not in (0, 3):
        raise SystemExit(f"audiorec {' '.join(arguments)}: {said.decode()}")
    return time.monotonic() - began


def rows(path: Path) -> pa.Table:
    """Return a table without the times at which its rows were made."""
    table = pq.read_table(path).replace_schema_metadata(None)
    return table.drop_columns([name for name in TIMES if name in table.column_names])


def digest(path: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove(work: Path, name: str) -> None:
    """Remove an output with all that lies beside it."""
    for path in work.glob(f"*{name}*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("plan-"):
            path.unlink()


def killed(work: Path, case: Case, kills: int, rng: random.Random) -> dict[str, object]:
    """Kill a command again and again; return what came of it."""
    calm_s = whole(work, *case.arguments("calm"))
    calm = case.holds(work / "calm")
    before = [digest(path) for path in case.reads]
    done, ends, equal = 0, 0, 0
    while done < kills:
        process = start(work, *case.arguments("out"))
        try:
            process.communicate(timeout=rng.uniform(0.2, 1.0) * calm_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            done += 1
            if [digest(path) for path in case.reads] != before:
                raise SystemExit("a kill changed what is read") from None
            continue
        ends, equal = ends + 1, equal + (case.holds(work / "out") == calm)
        remove(work, "out")
    whole(work, *case.arguments("out"))
    ends, equal = ends + 1, equal + (case.holds(work / "out") == calm)
    return {"kills": done, "ends": ends, "equal": equal, "calm_s": round(calm_s, 1)}


def cases(work: Path) -> dict[str, Case]:
    """Return the commands, with what they read in WORK."""
    if not (work / "world").exists():
        whole(work, "extract", str(ROOT / "fixtures/demo"), "--out", "demo.parquet")
        about = ("--users", "60", "--days", "20", "--out", "world")
        whole(work, "listening", "simulate", "-v", "demo.parquet", *about)
        make_store(work / "all.parquet", SONGS)
        with open_checked(work / "all.parquet", Kind.VECTORS) as store:
            table = store.read()
            metadata = replace(store.metadata, extractor_id=str(table["extractor_id"][0]))
        for half in (0, 1):
            part = table.take(pa.array(range(half, len(table), 2)))
            write_batches(work / f"half-{half}.parquet", part.to_batches(), metadata)
        for name in ("calm", "out"):
            (work / f"plan-{name}.toml").write_text(PLAN.format(out=name))
    log, halves = work / "world/interactions.parquet", [work / f"half-{n}.parquet" for n in (0, 1)]
    songs = str(ROOT / "fixtures/audio")
    learn = ["recall", "train", "sasrec", "-i", str(log), "--epochs", "2", "--seed", "1"]
    return {
        "extraction": Case(
            lambda out: ["extract", songs, "--jobs", "1", "--out", f"{out}/vecs.parquet"],
            [],
            lambda out: rows(out / "vecs.parquet"),
        ),
        "merge": Case(
            lambda out: [
                "store",
                "merge",
                *map(str, halves),
                "--overwrite",
                "--out",
                f"{out}.parquet",
            ],
            halves,
            lambda out: rows(out.with_suffix(".parquet")),
        ),
        "night": Case(
            lambda out: ["recall", "run", "--config", f"plan-{out}.toml"],
            [log, work / "demo.parquet"],
            lambda out: rows(out / "fused.parquet"),
        ),
        "training": Case(
            lambda out: [*learn, "--out", out],
            [log],
            lambda out: digest(out / "model.safetensors"),
        ),
    }


def on_ray(work: Path, kills: int, rng: random.Random) -> dict[str, object]:
    """Extract by Ray on two nodes of this machine, and kill one of them, again and again."""
    from ray.cluster_utils import Cluster

    songs = str(ROOT / "fixtures/audio")
    calm_s = whole(work, "extract", songs, "--jobs", "1", "--out", "one/vecs.parquet")
    calm = rows(work / "one/vecs.parquet")
    whole(work, "manifest", songs, "--out", "manifest.parquet")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    ends, equal, begun = 0, 0, []
    try:
        for _ in range(kills):
            other, least = cluster.add_node(num_cpus=1), rng.randrange(PARTS)
            for old in ("parts", "merged"):
                remove(work, old)
            process = start(
                work,
                *("shards", "manifest.parquet", str(PARTS), "--out", "parts"),
                *("--runner", f"ray:{cluster.address}"),
            )
            while process.poll() is None and done_parts(work) < least:
                time.sleep(0.1)
            time.sleep(rng.random())
            begun.append(done_parts(work))
            cluster.remove_node(other, allow_graceful=False)
            said = process.communicate()[1].decode()
            if process.returncode not in (0, 3):
                raise SystemExit(said)
            whole(work, "store", "merge", "parts", "--out", "merged.parquet")
            ends, equal = ends + 1, equal + (rows(work / "merged.parquet") == calm)
            print(json.dumps({"parts before the kill": begun[-1], "equal": equal}), flush=True)
    finally:
        cluster.shutdown()
    return {"kills": len(begun), "ends": ends, "equal": equal, "calm_s": round(calm_s, 1)}


def done_parts(work: Path) -> int:
    """Return how many parts of the manifest have been written."""
    return len([*(work / "parts").glob("*.done.json")])


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    made, rng = cases(work), random.Random(args.seed)  # noqa: S311
    for name in args.only or [*made, "ray"]:
        for old in ("calm", "out", "one", "parts", "merged"):
            remove(work, old)
        if name == "ray":
            line = on_ray(work, args.kills, rng)
        else:
            line = killed(work, made[name], args.kills, rng)
        print(json.dumps({"killed": name, **line}), flush=True)


if __name__ == "__main__":
    main()
