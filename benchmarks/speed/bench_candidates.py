"""Candidates of ten million users among a million songs, on a sample of blocks, beside plain torch.

    python -m benchmarks bench_candidates LASTFM.txt [--songs 1000000] [--users 10000000]
        [--width 64] [--k 100] [--jobs 2 ...] [--blocks 2] [--block-users 10000]
        [--parts torch workers one] [--work DIR]

A youtube-dnn of that size is made up and saved, and asked for by `write_candidates` as by
`audiorec recall candidates`: `--blocks` blocks of users in one process, and as many by `--jobs`
workers that share the model (of several numbers, one after the other). Users are made up: lengths
of histories as in LASTFM.txt (a user and its songs a line), songs by Zipf's law. Then plain torch,
in one thread: the same users' vectors, products with all songs in blocks of as many users, heard
songs masked, topk.

One JSON line each: users in a CPU second, the memory of a worker that is its own and that it shares
(the largest, by smaps_rollup), and what all `--users` take in core-hours.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.engines.tasks import engine_of
from audiorec.listening.profiles import Encoder, no_profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract import batch_recall
from audiorec.recall.contract.channel import block_rows
from audiorec.recall.contract.data import Queries
from audiorec.recall.registry import load_channel
from audiorec.recall.sequence.youtube_dnn.channel import SoundMap, YouTubeDNN
from audiorec.recall.sequence.youtube_dnn.model import UsersModel, n_columns

EVERY_S = 0.2  # seconds between two looks at memory
ZIPF = 1.05
TORCH_USERS = 1_000


def unit(rows: Any) -> Any:
    """Return rows of length 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made_up_model(songs: int, width: int) -> YouTubeDNN:
    """Return a youtube-dnn with random tables."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape, np.float32)  # noqa: E731
    encoder = Encoder.fit(no_profiles(("nobody",)))
    columns = n_columns(0, width, encoder)
    none, has = np.zeros((songs, 0), np.float32), np.zeros(songs, np.bool_)
    table, learnt = unit(draw(songs, width)), np.ones(songs, np.bool_)
    channel = YouTubeDNN()
    channel.song_ids = tuple(f"song-{number:07}" for number in range(songs))
    channel.is_cold, channel.learnt = ~learnt, learnt
    channel.in_days, channel.made_by = False, ""
    channel.placing = SoundMap.fit(table, none, has, ("",) * songs, learnt)
    channel._take(
        UsersModel(
            song_embeddings=table,
            song_bias=draw(songs) * np.float32(0.1),
            id_embeddings=unit(draw(songs, width)),
            song_inputs=none,
            has_input=has,
            input_mean=np.zeros(0, np.float32),
            input_scale=np.zeros(0, np.float32),
            layers=((draw(columns, 128) / 8, draw(128)), (draw(128, width) / 8, draw(width))),
            encoder=encoder,
            half_life=None,
            max_history=channel.recipe.max_history,
        )
    )
    return channel


def made_up_users(users: int, song_ids: tuple[str, ...], lengths_of: Path) -> Queries:
    """Return users with histories as long as those of a file, of songs by Zipf's law."""
    rng = np.random.default_rng(1)
    known = [len(line.split()) - 1 for line in lengths_of.read_text().splitlines() if line]
    lengths = rng.choice(known, users)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    # The inverse of a power law, cut at the last song.
    top = len(song_ids) ** (1 - ZIPF)
    place = (1 + rng.random(starts[-1]) * (top - 1)) ** (1 / (1 - ZIPF))
    song = np.minimum(place.astype(np.int32) - 1, len(song_ids) - 1)
    names = tuple(f"user-{number:08}" for number in range(users))
    return Queries(Sequences(names, song_ids, starts, song, np.full(len(song), np.nan)))


class Memory:
    """Looks at the memory of this process' children while it works."""

    def __init__(self) -> None:
        self.most = {"own_mb": 0.0, "shared_mb": 0.0, "pss_mb": 0.0}
        self._stop = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            for pid in children():
                try:
                    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                except OSError:
                    continue
                found = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
                of = {name: int(value) / 1024 for name, value in found.items()}
                own = of["Private_Clean"] + of["Private_Dirty"]
                seen = {"own_mb": own, "shared_mb": of["Rss"] - own, "pss_mb": of["Pss"]}
                self.most = {name: max(old, seen[name]) for name, old in self.most.items()}

    def stop(self) -> dict[str, float]:
        """Return the most of each child, in megabytes."""
        self._stop.set()
        return self.most


def children() -> list[str]:
    """Return the processes that this one, or a thread of it, has started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended
            found += (task / "children").read_text().split()
    return found


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def asked(model: Path, lengths: Path, users: int, k: int, jobs: int, out: Path) -> dict[str, Any]:
    """Ask in one process (`jobs` 0) or by workers."""
    channel = load_channel(model)
    queries = made_up_users(users, channel.song_ids, lengths)
    engine = engine_of(jobs=jobs) if jobs else None
    memory = Memory()
    started, before = time.monotonic(), cpu_seconds()
    batch_recall.write_candidates(
        out, channel, queries, k, exclude=queries.histories, engine=engine
    )
    cpu, wall = cpu_seconds() - before, time.monotonic() - started
    digest = hashlib.sha256(out.read_bytes()).hexdigest()[:16]
    found = {"users": users, "jobs": jobs or 1, "wall_s": wall, "cpu_s": cpu, "sha256": digest}
    if jobs:
        return {"how": "workers", **found, **memory.stop()}
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    return {"how": "one process", **found, "peak_mb": int(peak) / 1024}


def plain_torch(model: Path, lengths: Path, users: int, k: int) -> dict[str, Any]:
    """Do the same with two functions of torch."""
    import torch

    torch.set_num_threads(1)
    channel: Any = load_channel(model)
    queries = made_up_users(users, channel.song_ids, lengths)
    table = torch.from_numpy(channel.song_embeddings())
    vectors = torch.from_numpy(channel.embed_users(queries))
    rows = block_rows(len(table))
    before = time.process_time()
    for first in range(0, users, rows):
        similar = vectors[first : first + rows] @ table.T
        part = queries.histories.take(np.arange(first, min(first + rows, users)))
        similar[torch.from_numpy(part.owner), torch.from_numpy(part.song.astype(np.int64))] = -1e9
        torch.topk(similar, k)
    return {"how": "torch, one thread", "users": users, "cpu_s": time.process_time() - before}


def main() -> None:
    """Print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lengths", type=Path)
    parser.add_argument("--songs", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--jobs", type=int, nargs="+", default=[2])
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--block-users", type=int, default=batch_recall.BLOCK_USERS)
    parser.add_argument("--parts", nargs="+", default=["torch", "workers", "one"])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sample = args.blocks * args.block_users
    if args.part:
        batch_recall.BLOCK_USERS = args.block_users
        model, out = args.work / "model", args.work / f"{args.part}.parquet"
        if args.part == "torch":
            print(json.dumps(plain_torch(model, args.lengths, TORCH_USERS, args.k)))
        else:
            jobs = 0 if args.part == "one" else int(args.part)
            print(json.dumps(asked(model, args.lengths, sample, args.k, jobs, out)))
        return
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        made_up_model(args.songs, args.width).save(Path(folder) / "model")
        parts = [p for one in args.parts for p in (args.jobs if one == "workers" else [one])]
        for part in map(str, parts):
            command = [sys.executable, __file__, *sys.argv[1:], "--part", part, "--work", folder]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=environment
            )
            found = json.loads(done.stdout)
            found["users in a CPU second"] = found["users"] / found["cpu_s"]
            hours = args.users / found["users in a CPU second"] / 3600
            found[f"core-hours of {args.users:,} users"] = hours
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
