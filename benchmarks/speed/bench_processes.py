"""Compare a training by one process, by three of torchrun, and by three of Ray, one of them killed.

    python -m benchmarks bench_processes [--log LOG] [--channels youtube-dnn sasrec mind]
                                         [--ways one torchrun ray] [--epochs 2] [--processes 3]

LOG is listening as ``recall train`` reads it; by default plays of 500 users are made up. Each
channel is trained by its usual recipe, dropout included. A killed training loses process 1 by
SIGKILL in the middle of its second epoch, and all of them start again from the checkpoint. One JSON
line for each training: seconds; CPU seconds of all processes (with Ray not known: its workers are
nobody's children); the largest difference of an embedding of a song to that of one process, which
are of lengths about 1; of the query of a history, which is of length 1; and the share of 100
recalled songs that are the same.
"""

import argparse
import json
import os
import platform
import signal
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import torch

from audiorec.learning.launch import LaunchedCall, by_ray, by_torchrun
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.job import train_channel
from audiorec.recall.registry import channel_class, load_channel

USERS, SONGS, LENGTH = 500, 1_000, 40
ASKED = 200  # users


def made_plays() -> Sequences:
    """Return plays of users of twenty tastes."""
    rng = np.random.default_rng(0)
    own = SONGS // 20
    song = rng.geometric(0.03, (USERS, LENGTH)) % own + own * (np.arange(USERS) % 20)[:, None]
    strange = rng.random(song.shape) < 0.1
    song = np.where(strange, rng.integers(0, SONGS, song.shape), song)
    return Sequences.from_lists([[f"s{n:04}" for n in row] for row in song.tolist()])


def plays_of(log: str) -> Sequences:
    """Return the plays of a log, or made-up ones."""
    return to_sequences(read_interactions(Path(log))) if log else made_plays()


def train(
    channel: str, log: str, out: str, epochs: int, killed: bool, *, tell: Any, stop: Any
) -> str | None:
    """Train in this process, alone or as one of several; process 1 kills itself once."""
    if killed and os.environ.get("RANK") == "1":
        _die_once(Path(f"{out}.died"))
    kind: Any = channel_class(channel)
    made = kind(kind.Recipe(max_epochs=epochs))
    data = RecallData(plays_of(log))
    return train_channel(made, data, Path(out), progress=tell, stop=stop)


def _die_once(mark: Path) -> None:
    """Die at the second step of the second epoch, if nobody has died before."""
    from audiorec.learning.next_song import NextSongLearner
    from audiorec.recall.sequence.youtube_dnn.trainer import YouTubeDNNLearner

    def dying(batches: Any) -> Any:
        def some(self: Any, epoch: int, first: int) -> Iterable[Any]:
            for number, batch in enumerate(batches(self, epoch, first)):
                if (epoch, number) == (2, 1) and not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch

        return some

    for learner in (NextSongLearner, YouTubeDNNLearner):
        learner.batches = dying(learner.batches)  # type: ignore[attr-defined]


def run(way: str, arguments: dict[str, Any], processes: int) -> tuple[float, float]:
    """Train one way; return the seconds, and the CPU seconds of all processes."""
    task = LaunchedCall("bench_processes:train", arguments)
    begun, before = time.perf_counter(), _cpu()
    # In a child of its own, so that all of its processes are counted, and none twice.
    child = os.fork()
    if child == 0:
        if way == "torchrun":
            by_torchrun(task, processes)
        elif way == "ray":
            by_ray(task, processes, storage=Path(arguments["out"]).parent)
        else:
            train(**arguments, tell=None, stop=None)
        os._exit(0)
    _, code = os.waitpid(child, 0)
    if code:
        raise SystemExit(f"a training by {way} failed")
    return time.perf_counter() - begun, _cpu() - before


def _cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def compare(one: Path, other: Path, plays: Sequences) -> dict[str, float]:
    """Return how far two models are apart."""
    a, b = load_channel(one), load_channel(other)
    queries = Queries(plays.take(np.arange(min(ASKED, len(plays)))))
    songs = [channel.song_embeddings() for channel in (a, b)]  # type: ignore[attr-defined]
    users = [channel.embed_users(queries) for channel in (a, b)]  # type: ignore[attr-defined]
    lists = [channel.recall(queries, 100).song for channel in (a, b)]
    same = [len(np.intersect1d(x, y)) / len(x) for x, y in zip(*lists, strict=True)]
    return {
        "songs_differ": float(np.abs(songs[0] - songs[1]).max()),
        "users_differ": float(np.abs(users[0] - users[1]).max()),
        "same_of_100": float(np.mean(same)),
    }


def main() -> None:
    """Train each channel each way, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", default="")
    parser.add_argument("--channels", nargs="*", default=["youtube-dnn", "sasrec", "mind"])
    parser.add_argument("--ways", nargs="*", default=["one", "torchrun", "ray"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--processes", type=int, default=3)
    given = parser.parse_args()
    log = str(Path(given.log).absolute()) if given.log else ""
    torch.set_num_threads(1)
    plays = plays_of(log)
    for channel in given.channels:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for way in given.ways:
                for killed in (False, True) if way != "one" else (False,):
                    out = folder / f"{way}{'-killed' if killed else ''}"
                    arguments = {
                        "channel": channel,
                        "log": log,
                        "out": str(out),
                        "epochs": given.epochs,
                        "killed": killed,
                    }
                    wall, cpu = run(way, arguments, given.processes)
                    line = {
                        "bench": "processes",
                        "channel": channel,
                        "way": way,
                        "processes": 1 if way == "one" else given.processes,
                        "killed": killed,
                        "seconds": round(wall, 1),
                        "cpu_s": None if way == "ray" else round(cpu, 1),
                        **compare(folder / "one", out, plays),
                        "machine": f"{platform.machine()} {platform.system()}",
                        "torch": torch.__version__,
                    }
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
