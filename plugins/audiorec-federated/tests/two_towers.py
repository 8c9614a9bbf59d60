"""A little world of two businesses: users with a taste, items by it on both sides."""

import numpy as np

from audiorec.learning.machine import one_thread
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec_federated.halves import ItemHalf, ItemSide, UserHalf, UserSide
from audiorec_federated.noise import NOTHING
from audiorec_federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec_federated.towers import steps_of

N_USERS, TASTES, SONGS, ITEMS = 120, 4, 12, 8  # songs and items of a taste
USERS = tuple(f"customer-{n:04}" for n in range(N_USERS))
QUICK = {
    "dimension": 8,
    "width": 8,
    "hidden": (16,),
    "negatives": 24,
    "batch_size": 16,
    "passes": 2,
    "max_epochs": 2,
    "temperature": 0.25,
    "value_dropout": 0.2,
    "dropout": 0.1,
    "learning_rate": 0.01,
}


def two_tower(**settings):
    return TwoTowerRecipe(**{**QUICK, **settings})


def mmoe(**settings):
    return MmoeRecipe(**{**QUICK, "experts": 3, "own_negatives": 12, **settings})


def tastes():
    return np.arange(N_USERS) % TASTES


def people():
    """Every user has four items of the partner, of the same taste, and an age."""
    rng = np.random.default_rng(1)
    items = [
        "|".join(f"item-{taste}-{n}" for n in rng.permutation(ITEMS)[:4]) for taste in tastes()
    ]
    return Profiles(USERS, {"items": items}, {"age": rng.normal(40, 9, N_USERS)})


def listening(seed=0):
    """Every user played six songs, every tenth nothing."""
    rng = np.random.default_rng(seed)
    lists = [
        [f"song-{taste}-{n:02}" for n in rng.permutation(SONGS)[:6]] if row % 10 else []
        for row, taste in enumerate(tastes())
    ]
    return RecallData(Sequences.from_lists(lists, USERS))


def sides(recipe):
    """Return the user side and the item side."""
    return UserSide.of(people(), USERS, recipe), ItemSide.of(listening(), USERS)


def split_halves(recipe, defence=NOTHING, phase="choose"):
    """Return fresh halves, as two parties have them."""
    users, items = sides(recipe)
    how = {"defence": defence, "secret": 5}
    return UserHalf(users, recipe, phase, **how), ItemHalf(items, recipe, phase, **how)


def one_step(user, item, step):
    """Let vectors and gradients cross once."""
    user.learn(step, item.gradient(step, user.vectors(step)))


def train_split(recipe, defence=NOTHING, epochs=2):
    """Train as two parties do, without a wire."""
    user, item = split_halves(recipe, defence)
    with one_thread("the test"):
        for epoch in range(1, epochs + 1):
            for step in steps_of(user.rows, recipe, epoch):
                one_step(user, item, step)
    return user, item
