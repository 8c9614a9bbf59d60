"""Users of two tastes, for tests of youtube-dnn, and its training."""

import dataclasses

import numpy as np

from audiorec.learning.processes import ALONE
from audiorec.listening.history import Likes
from audiorec.listening.profiles import Profiles, no_profiles
from audiorec.recall.sequence.youtube_dnn.model import TrainingPlays, YouTubeDNNRecipe, held_out
from audiorec.types import Pairs

QUICK = YouTubeDNNRecipe(
    dimension=8,
    hidden=(16,),
    id_width=6,
    max_epochs=8,
    patience=8,
    learning_rate=2e-2,
    batch_size=64,
    hold_out="users",
)
HALF_LIFE = 30.0
EPOCHS = 10  # of 11 steps, then of 12: 110 and 120


def planted(n_users=120, n_songs=60, seed=0, vectors=True, profiles=True):
    """Two tastes: a user likes songs of one half; vectors and a category tell the half."""
    rng = np.random.default_rng(seed)
    half = np.arange(n_users) % 2
    rows = []
    for user in range(n_users):
        songs = rng.permutation(n_songs // 2)[:6] * 2 + half[user]
        rows += [(user, song, 1.0, float(t)) for t, song in enumerate(songs)]
    user, song, weight, time = map(np.array, zip(*rows, strict=True))
    liked = Pairs(
        user.astype(np.int32), song.astype(np.int32), weight.astype(np.float32), time * 86_400.0
    )
    numbers = rng.normal(size=(n_songs, 5)).astype(np.float32)
    numbers[:, 2] += 3 * (np.arange(n_songs) % 2)
    ids = tuple(f"u{i}" for i in range(n_users))
    known = Profiles(ids, {"half": [f"h{h}" for h in half]}, {"age": rng.normal(40, 9, n_users)})
    return TrainingPlays(
        likes=Likes.from_pairs(liked, n_users),
        vectors=numbers if vectors else np.zeros((n_songs, 0), np.float32),
        has_vector=np.full(n_songs, vectors),
        profiles=known if profiles else no_profiles(ids),
    )


def trained(processes=ALONE):
    """Train twice 10 epochs, in float64."""
    import torch

    from audiorec.learning.fit import fit_refit
    from audiorec.recall.sequence.youtube_dnn.trainer import YouTubeDNNLearner

    torch.set_num_threads(1)
    data = planted()
    recipe = dataclasses.replace(
        QUICK, dropout=0.3, negatives=8, id_width=8, max_epochs=EPOCHS, learning_rate=3e-3
    )
    held = held_out(data.likes, recipe)

    class Unstopped(YouTubeDNNLearner):
        def score(self, line):
            return line["epoch"]

    def make(phase):
        out = held if phase == "choose" else np.zeros_like(held)
        learner = Unstopped(data, recipe, HALF_LIFE, out, processes=processes)
        learner.model.double()
        return learner

    return fit_refit(make, max_epochs=EPOCHS, patience=99, clip=1.0, processes=processes)
