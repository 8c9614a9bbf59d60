"""Ask user-audio for what was planted: simulated worlds in which taste can be heard, or not.

    python -m benchmarks eval_user_audio VECS FEATURES [--users 1000] [--splits 3]

VECS and FEATURES are a store and its features (`audiorec extract --features`) of some hundred real
songs. Over them a world is simulated at three strengths of signal; a model is trained with users
that are learnt along, and judged on artists that it never heard, of several splits.

One JSON line a strength: mean AUC by user of the model, of the model with shuffled audio, and of
the baselines. At strength 0 there is nothing to find: every figure must be near 0.5.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

from audiorec.library.library import Library
from audiorec.listening.interactions import read_interactions
from audiorec.listening.reading import to_liked
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.judge import judge_unheard
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.simulation.world import INTERACTIONS_FILE, WorldSpec, simulate_world
from audiorec.store.features import FeatureFile

SIGNALS = {"none": 0.0, "low": 0.4, "high": 1.0}
RECIPE = {"max_epochs": 8, "patience": 3, "pairs_per_epoch": 10_000, "max_segments": 15}


def figures(
    folder: Path, vectors: Path, features: Path, signal: float, users: int, seed: int
) -> dict[str, float]:
    """Simulate, train and judge once; return the AUC of each method."""
    spec = WorldSpec(
        users=users, days=60, signal=signal, sensitive_share=1.0, cold_songs=0.0, seed=seed
    )
    store = Library.open(vectors)
    simulate_world(store, folder / "world", spec)
    liked = to_liked(read_interactions(folder / "world" / INTERACTIONS_FILE))
    context = Context(sound=Sound.of_features(FeatureFile.open(features), store))
    data = RecallData.of_likes(liked, context)
    recipe = UserAudioRecipe(**RECIPE, learn_users=True, valid=0.15, test=0.25, split_seed=seed)
    channel = UserAudio(recipe).fit(data)
    found = judge_unheard(channel, data).panels["artists"]
    auc = {name: row.means["auc"].value for name, row in found.rows.items()}
    sizes = {"users": found.n_users, "songs": found.n_songs}
    return {**auc, "best_epoch": channel.figures["best_epoch"], **sizes}


def main() -> None:
    """Print one line a strength."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--splits", type=int, default=3)
    args = parser.parse_args()
    for name, signal in SIGNALS.items():
        rows = []
        for seed in range(args.splits):
            with tempfile.TemporaryDirectory() as folder:
                place = (Path(folder), args.vectors, args.features)
                rows.append(figures(*place, signal, args.users, seed))
        line: dict[str, object] = {"signal": name, "strength": signal, "splits": args.splits}
        for method in rows[0]:
            line[method] = round(float(np.mean([row[method] for row in rows])), 3)
        line["user-audio by split"] = [round(row["user-audio"], 3) for row in rows]
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
