"""What it costs to turn histories into users: numpy, as the channels answer, beside torch.

    python -m benchmarks interests_serving [--users 100000] [--songs 60000]

Untrained models: the work does not depend on the weights. Seconds are of one thread.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch

from audiorec.learning.machine import one_thread
from audiorec.learning.next_plays import NextPlays, SongFeatures, histories, no_features
from audiorec.learning.next_song import NextSongLearner, arrays_of
from audiorec.recall.interests.forward import (
    ComiRecSARecipe,
    MINDRecipe,
    pooled_interests,
    routed_interests,
)
from audiorec.recall.interests.network import ComiRecSANetwork, MINDNetwork
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe, newest_query
from audiorec.recall.sequence.sasrec.network import SASRecNetwork

ROWS = 1_024  # histories at a time, as in the channels


def sasrec(features: SongFeatures, recipe: SASRecRecipe, *, profile: int) -> SASRecNetwork:
    """Return SASRec for plays without times."""
    return SASRecNetwork(features, recipe, is_timed=False, profile=profile)


MODELS: dict[str, Any] = {
    "sasrec": (sasrec, SASRecRecipe(), newest_query),
    "mind": (MINDNetwork, MINDRecipe(), routed_interests),
    "comirec-sa": (ComiRecSANetwork, ComiRecSARecipe(), pooled_interests),
}


def main() -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--songs", type=int, default=60_000)
    arguments = parser.parse_args()
    n, rng = arguments.users, np.random.default_rng(0)
    lengths = rng.integers(2, 41, n)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    plays = NextPlays(
        starts=starts,
        song=rng.integers(0, arguments.songs, starts[-1]),
        time=np.full(starts[-1], np.nan),
        n_songs=arguments.songs,
        profile=np.zeros((n, 0), np.float32),
    )
    order = np.argsort(lengths, kind="stable")
    print(f"{n:,} histories of 2 to 40 plays, at the recipes' widths")
    print(
        "| model | numpy, CPU-s | torch, CPU-s | largest difference |",
        "|---|---|---|---|",
        sep="\n",
    )
    with one_thread("a benchmark"), torch.no_grad():
        for name, (kind, recipe, forward) in MODELS.items():
            model = kind(no_features(arguments.songs), recipe, profile=0).eval()
            learner, weights = NextSongLearner(model, plays, recipe), arrays_of(model)
            spent, apart = np.zeros(2), 0.0
            for first in range(0, n, ROWS):
                rows = order[first : first + ROWS]
                batch = histories(plays, rows, starts[rows + 1], recipe.longest)
                begin = time.process_time()
                found = forward(batch, weights["table.ids"], weights, recipe)
                middle = time.process_time()
                theirs = model.final_queries(learner.tensors(batch)).numpy()
                spent += (middle - begin, time.process_time() - middle)
                ours = found[0] if isinstance(found, tuple) else found
                apart = max(apart, float(np.abs(ours - theirs).max()))
            print(f"| `{name}` | {spent[0]:.1f} | {spent[1]:.1f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
