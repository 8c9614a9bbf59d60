"""A little world of two businesses: users with a taste, items by it on both sides."""

from dataclasses import replace

import numpy as np

from audiorec.learning.machine import one_thread
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.recall.federated.noise import NOTHING
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.shared_draws import steps_of
from audiorec.recall.federated.sides import ItemSide, UserSide

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


def listening(seed=0, width=0):
    """Every user played six songs, every tenth nothing; `width`: songs have vectors."""
    rng = np.random.default_rng(seed)
    lists = [
        [f"song-{taste}-{n:02}" for n in rng.permutation(SONGS)[:6]] if row % 10 else []
        for row, taste in enumerate(tastes())
    ]
    data = RecallData(Sequences.from_lists(lists, USERS))
    if not width:
        return data
    units = np.repeat(np.eye(width, dtype=np.float32)[:TASTES], SONGS, axis=0)
    units = units + rng.normal(size=units.shape).astype(np.float32) * 0.05
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    sound = Sound(data.song_ids, units, ("",) * len(units), made_by="a test")
    return replace(data, context=Context(sound=sound))


def sides(recipe, businesses=1):
    """Return the user side, and the item side of each business."""
    width = recipe.dimension if recipe.songs == "given" else 0
    items = [ItemSide.of(listening(n, width), USERS) for n in range(businesses)]
    return UserSide.of(people(), USERS, recipe), items


def split_halves(recipe, businesses=1, defence=NOTHING, phase="choose"):
    """Return fresh halves, as two parties have them."""
    users, items = sides(recipe, businesses)
    item_halves = [
        side.half(recipe, phase, defence=defence, secret=5, number=number)
        for number, side in enumerate(items)
    ]
    return users.half(recipe, phase, defence=defence, secret=5), item_halves


def one_step(user, items, step):
    """Let vectors and gradients cross once."""
    vectors = user.vectors(step)
    user.learn(step, [half.gradient(step, v) for half, v in zip(items, vectors, strict=True)])


def train_split(recipe, businesses=1, defence=NOTHING, epochs=2):
    """Train as two parties do, without a wire."""
    user, items = split_halves(recipe, businesses, defence)
    with one_thread("the test"):
        for epoch in range(1, epochs + 1):
            for step in steps_of(user.learnt, recipe, epoch):
                one_step(user, items, step)
    return user, items
