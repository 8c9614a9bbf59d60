"""What an epoch of SASRec costs, here and in RecTools, in turns in one run.

    python -m benchmarks sequence_epoch DATA --peer PYTHON [--rounds 2] [--batches 40]

Beauty by S3-Rec's split without the last two items, 64 numbers, one block, one head, 50 places, 256
negatives, one thread. RecTools draws them for each place, and takes 128 users a batch, of which a
part of the epoch is timed; here they are shared by a batch, and the epoch is whole. PYTHON is that
of an environment with ``rectools[torch]==0.19.0``. CPU seconds.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from recall_tables import s3_lists

from audiorec.learning.machine import one_thread
from audiorec.learning.next_plays import NextPlays, no_features
from audiorec.learning.next_song import NextSongLearner
from audiorec.listening.sequences import Sequences
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe
from audiorec.recall.sequence.sasrec.network import SASRecNetwork

PEER = Path(__file__).parents[1] / "peers" / "rectools_epoch.py"
RECIPE = SASRecRecipe(dimension=64, negatives=256, dropout=0.2)
LEFT_OUT = 2


def ours(lists: list[list[str]]) -> float:
    """Return the CPU seconds of an epoch."""
    plays = Sequences.from_lists([songs[:-LEFT_OUT] for songs in lists])
    profile = np.zeros((len(plays), 0), np.float32)
    song = plays.song.astype(np.int64)
    known = NextPlays(
        starts=plays.starts,
        song=song,
        time=plays.time,
        n_songs=len(plays.song_ids),
        profile=profile,
    )
    features = no_features(known.n_songs)
    network = SASRecNetwork(features, RECIPE, is_timed=False, profile=0, repeats=False)
    learner = NextSongLearner(network, known, RECIPE)
    begun = time.process_time()
    for batch in learner.batches(1, 0):
        learner.step(batch)
    return time.process_time() - begun


def theirs(python: Path, path: Path, batches: int) -> float:
    """Return the CPU seconds of an epoch, by those of some batches."""
    run = [str(python), str(PEER), str(path), "--batches", str(batches)]
    done = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["cpu_s"] / found["batches"] * found["of"])


def main() -> None:
    """Print a line a round, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=int, default=40)
    arguments = parser.parse_args()
    folder = arguments.data / "beauty_s3"
    path = next(path for path in sorted(folder.glob("*.txt")) if "sample" not in path.name)
    lists = s3_lists(folder)
    found = []
    with one_thread("a benchmark"):
        for number in range(arguments.rounds):
            pair = ours(lists), theirs(arguments.peer, path, arguments.batches)
            found.append(pair)
            print(f"round {number + 1}: {pair[0]:.1f} s here, {pair[1]:.1f} s RecTools", flush=True)
    here, there = np.median(found, axis=0)
    print(f"an epoch: {here:.1f} s here, {there:.1f} s RecTools: {there / here:.1f} times as fast")


if __name__ == "__main__":
    main()
