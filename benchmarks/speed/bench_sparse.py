"""Measure what a step costs with a dense and with a sparse table of songs.

    python -m benchmarks bench_sparse [--songs 10000 30000 60000 100000 300000 1000000]
                                      [--dimension 64] [--steps 30] [--rounds 3] [--processes 1 2]
                                      [--dtype float32]

A SASRec with the settings of its recipe (2,048 plays and 1,024 negatives a step) learns from plays
that are made up: half of them of songs by a Zipf law, half of any song. One JSON line for each
number of songs and of processes: milliseconds a step, dense and sparse in turns, minimum, median
and maximum over the rounds; how many rows a step reaches; and the largest and the mean difference
that the two ways come to in the table after all steps. Processes are forked and joined by gloo.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch
from torch import distributed

from audiorec.learning.fit import _before_each_step
from audiorec.learning.next_plays import NextPlays, no_features
from audiorec.learning.next_song import NextSongLearner
from audiorec.learning.processes import ALONE, Processes
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe
from audiorec.recall.sequence.sasrec.network import SASRecNetwork

WARM_UP = 3
PLAYS, LENGTH = 200_000, 20


def made_plays(n_songs: int) -> NextPlays:
    """Return plays of owners that have `LENGTH` each."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, n_songs + 1)
    often = np.searchsorted(np.cumsum(chance / chance.sum()), rng.random(PLAYS))
    song = np.where(rng.random(PLAYS) < 0.5, np.minimum(often, n_songs - 1), 0)
    song = np.where(song == 0, rng.integers(0, n_songs, PLAYS), song)
    return NextPlays(
        starts=np.arange(0, PLAYS + 1, LENGTH),
        song=song.astype(np.int64),
        time=np.full(PLAYS, np.nan),
        n_songs=n_songs,
        profile=np.zeros((PLAYS // LENGTH, 0), np.float32),
    )


class Stepper:
    """A learner that takes steps as a training does."""

    def __init__(
        self, plays: NextPlays, recipe: SASRecRecipe, processes: Processes, dtype: torch.dtype
    ) -> None:
        network = SASRecNetwork(no_features(plays.n_songs), recipe, is_timed=False, profile=0)
        self.learner = NextSongLearner(network.to(dtype), plays, recipe, processes=processes)
        self.batches = self.learner.batches(1, 0)
        self.rows: list[int] = []
        self.processes = processes

    def step(self) -> float:
        """Return the seconds of a step, its batch not counted."""
        batch = next(self.batches, None)
        if batch is None:
            self.batches = self.learner.batches(1, 0)
            batch = next(self.batches)
        songs = [batch.plays.songs.ravel(), self.learner._opponents(_copy(batch.rng))[0]]
        self.rows.append(len(np.unique(np.concatenate(songs))))
        begun = time.perf_counter()
        self.learner.step(batch)
        return time.perf_counter() - begun


def _copy(rng: np.random.Generator) -> np.random.Generator:
    copied = np.random.default_rng()
    copied.bit_generator.state = rng.bit_generator.state
    return copied


def measure(
    n_songs: int, dimension: int, steps: int, rounds: int, dtype: str, processes: Processes
) -> dict[str, object]:
    """Return the figures of one number of songs."""
    plays = made_plays(n_songs)
    recipe = SASRecRecipe(dimension=dimension)
    both = {
        name: Stepper(
            plays,
            replace(recipe, sparse_tables=name == "sparse"),
            processes,
            getattr(torch, dtype),
        )
        for name in ("dense", "sparse")
    }
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for number in range(rounds + 1):
        for name, stepper in both.items():
            with _before_each_step(stepper.learner.optimiser, recipe.clip, processes):
                found = [stepper.step() for _ in range(steps if number else WARM_UP)]
            if number:
                seconds[name].append(1000 * float(np.median(found)))
    both["sparse"].learner.optimiser.catch_up_all()  # type: ignore[attr-defined]
    tables = [s.learner.model.table.ids.detach() for s in both.values()]
    spread = {
        f"{name}_ms": [round(float(f(v)), 1) for f in (np.min, np.median, np.max)]
        for name, v in seconds.items()
    }
    ratio = np.median(seconds["dense"]) / np.median(seconds["sparse"])
    return {
        "bench": "sparse",
        "songs": n_songs,
        "dimension": dimension,
        "processes": processes.size,
        "dtype": dtype,
        "rows_a_step": int(np.median(both["sparse"].rows)),
        **spread,
        "dense_over_sparse": round(float(ratio), 2),
        "largest_difference": float((tables[0] - tables[1]).abs().max()),
        "mean_difference": float((tables[0] - tables[1]).abs().mean()),
        "machine": f"{platform.machine()} {platform.system()}",
        "torch": torch.__version__,
    }


def in_processes(size: int, arguments: argparse.Namespace, n_songs: int) -> None:
    """Print a line of one number of songs, from the first of some processes."""
    given = (n_songs, arguments.dimension, arguments.steps, arguments.rounds, arguments.dtype)
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(size):
            child = os.fork()
            if child:
                children.append(child)
                continue
            torch.set_num_threads(1)
            processes = ALONE
            if size > 1:
                meet = f"file://{Path(folder) / 'meet'}"
                distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=size)
                processes = Processes(rank, size)
            line = measure(*given, processes)
            if rank == 0:
                print(json.dumps(line), flush=True)
            os._exit(0)
        for child in children:
            os.waitpid(child, 0)


def main() -> None:
    """Measure each number of songs in each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = [10_000, 30_000, 60_000, 100_000, 300_000, 1_000_000]
    parser.add_argument("--songs", type=int, nargs="*", default=sizes)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    arguments = parser.parse_args()
    for size in arguments.processes:
        for n_songs in arguments.songs:
            in_processes(size, arguments, n_songs)


if __name__ == "__main__":
    main()
