"""Small models of what is played next, trained alone or in several processes."""

import numpy as np

from audiorec.learning.next_plays import NextPlays, SongFeatures
from audiorec.learning.processes import ALONE

N_SONGS, N_OWNERS, N_PLAYS = 30, 60, 12
EPOCHS = 4


def plays():
    """Two tastes: an owner plays songs of one half."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_OWNERS) % 2
    songs = np.concatenate([rng.integers(0, 15, N_PLAYS) + 15 * k for k in kind])
    return NextPlays(
        starts=N_PLAYS * np.arange(N_OWNERS + 1),
        song=songs,
        time=np.arange(N_OWNERS * N_PLAYS) * 3600.0,
        n_songs=N_SONGS,
        profile=rng.normal(size=(N_OWNERS, 2)).astype(np.float32),
    )


def features():
    """An artist and a number for each song."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (N_SONGS, 1))
    dense = rng.normal(size=(N_SONGS, 3)).astype(np.float32)
    return SongFeatures(codes=codes, sizes=(4,), dense=dense)


def network(channel, **changes):
    """Return a recipe with dropout, and the network that it makes."""
    from audiorec.recall.interests.forward import ComiRecSARecipe, MINDRecipe
    from audiorec.recall.interests.network import ComiRecSANetwork, MINDNetwork
    from audiorec.recall.sequence.sasrec.forward import SASRecRecipe
    from audiorec.recall.sequence.sasrec.network import SASRecNetwork

    small = {"dimension": 8, "dropout": 0.3, "negatives": 10, "max_epochs": EPOCHS, **changes}
    if channel == "sasrec":
        recipe = SASRecRecipe(**small)
        return recipe, SASRecNetwork(features(), recipe, is_timed=True, profile=2)
    recipe = (MINDRecipe if channel == "mind" else ComiRecSARecipe)(**small)
    made = MINDNetwork if channel == "mind" else ComiRecSANetwork
    return recipe, made(features(), recipe, profile=2)


def trained(channel, processes=ALONE, **changes):
    """Train in float64; return the weights, and the loss of each epoch."""
    from audiorec.learning.fit import fit
    from audiorec.learning.next_song import NextSongLearner

    recipe, model = network(channel, **changes)
    learner = NextSongLearner(model.double(), plays(), recipe, processes=processes)
    done = fit(learner, max_epochs=EPOCHS, patience=9, clip=5.0, processes=processes)
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    return arrays | {"loss": np.array([line["loss"] for line in done.history])}


def far(found, expected):
    """Return the largest difference of any two weights."""
    return max(float(np.abs(found[name] - array).max()) for name, array in expected.items())
