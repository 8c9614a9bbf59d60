"""A little world of one-way: users of three tastes, and the songs that they play."""

import numpy as np

from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec_federated.recipe import OneWayRecipe

SMALL = OneWayRecipe(dimension=4, regularisation=1.0)
USERS = tuple(f"listener-{n:03}@example.org" for n in range(60))


def people(users=USERS):
    """Users of three tastes, each with two interests of it, and an age."""
    tastes = [f"a{n % 3}|b{n % 3}|c{n % 5}" for n in range(len(users))]
    return Profiles(users, {"interests": tastes}, {"age": 20.0 + np.arange(len(users)) % 7})


def plays(users=USERS, seed=0):
    rng = np.random.default_rng(seed)
    lists = [
        [f"song-{n % 3 + 3 * i:02}" for i in rng.integers(0, 10, 5)] if n % 10 else []
        for n in range(len(users))
    ]
    return RecallData(Sequences.from_lists(lists, users))
