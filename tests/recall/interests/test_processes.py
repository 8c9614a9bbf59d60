"""MIND in two processes takes the steps of one, though its logits are drawn anew in each."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from needs import needs

needs("torch")

TESTS = Path(__file__).parents[2]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
RUN = """
import sys
from pathlib import Path
import numpy as np
from audiorec.learning.next_plays import NextPlays
from audiorec.learning.next_song import NextSongLearner
from audiorec.learning.fit import fit
from audiorec.learning.processes import ALONE, joined
from audiorec.learning.song_features import no_features
from audiorec.recall.interests.recipe import MindRecipe
from audiorec.recall.interests.routing import MindNetwork

def trained(processes):
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 2
    songs = np.concatenate([rng.integers(0, 15, 12) + 15 * k for k in kind])
    plays = NextPlays(
        starts=12 * np.arange(61), song=songs, time=np.full(720, np.nan), n_songs=30,
        profile=rng.normal(size=(60, 2)).astype(np.float32),
    )
    recipe = MindRecipe(dimension=8, dropout=0.0, negatives=10, batch_size=7, max_epochs=6)
    model = MindNetwork(no_features(30), recipe, profile=2).double()
    learner = NextSongLearner(model, plays, recipe, processes=processes)
    done = fit(learner, max_epochs=6, patience=9, clip=5.0, processes=processes)
    arrays = {k: v.numpy() for k, v in model.state_dict().items()}
    return arrays | {"loss": np.array([line["loss"] for line in done.history])}

with joined() as processes:
    found = trained(processes)
    np.savez(Path(sys.argv[1]) / f"{processes.size}-{processes.rank}.npz", **found)
"""


def run(folder, launch):
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    command = [*launch, str(folder / "train.py"), str(folder)]
    subprocess.run(command, check=True, timeout=300, env=environment, cwd=folder)


def test_two_processes_equal_one(tmp_path):
    (tmp_path / "train.py").write_text(RUN)
    run(tmp_path, [sys.executable])
    run(tmp_path, LAUNCH)
    with np.load(tmp_path / "1-0.npz") as alone:
        assert alone["loss"][-1] < alone["loss"][0] - 0.3  # there was something to agree on
        for rank in (0, 1):
            with np.load(tmp_path / f"2-{rank}.npz") as found:
                for name in alone.files:
                    np.testing.assert_allclose(found[name], alone[name], atol=1e-6, err_msg=name)
