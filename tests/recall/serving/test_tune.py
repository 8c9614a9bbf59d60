"""`recall.serving.tune`: a good channel gets the weight, and the check is on other users."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.judging.splits import given
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tune import tune

USERS = [f"u{n:02}" for n in range(60)]
SONGS = [f"s{n:02}" for n in range(40)]


@pytest.fixture
def world(tmp_path):
    """A channel that knows what comes for two users of three, and one that knows nothing."""
    rng = np.random.default_rng(0)
    wanted = {user: SONGS[rng.integers(0, 40)] for user in USERS}
    drawn = {user: rng.permutation(SONGS)[:10].tolist() for user in USERS}
    good = {
        user: list(dict.fromkeys([wanted[user], *songs])) if n % 3 else songs
        for n, (user, songs) in enumerate(drawn.items())
    }
    bad = {user: rng.permutation(SONGS)[:10].tolist() for user in USERS}
    for name, lists in (("good", good), ("bad", bad)):
        pq.write_table(table_of(name, lists), tmp_path / f"{name}.parquet")
    plays = Sequences.from_lists([[s] for s in SONGS], [f"v{n}" for n in range(40)])
    known = Sequences.from_lists([[SONGS[0]]] * 60, USERS)
    split = given(plays, known, Sequences.from_lists([[w] for w in wanted.values()], USERS))
    return [tmp_path / "bad.parquet", tmp_path / "good.parquet"], split


def test_the_better_channel_gets_more(world):
    paths, split = world
    found = tune(paths, split, FusionRecipe(k=3))
    bad, good = found.recipe.weights
    assert good > bad
    assert found.by == ("hit_rate", 3)
    assert [one.weights for one in found.tried[:3]] == [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    assert found.checked["over equal"].value >= 0
    assert found.checked["chosen"].value > 0.5
    again = tune(paths, split, FusionRecipe(k=3))
    assert again.recipe == found.recipe
    best = max(one.figures["hit_rate@3"] for one in found.tried)
    assert found.tried[1].figures["hit_rate@3"] <= best


def test_refusals(world):
    paths, split = world
    with pytest.raises(InputError, match="two tables of candidates or more"):
        tune(paths[:1], split, FusionRecipe())
    with pytest.raises(InputError, match="too few users"):
        tune(paths, split, FusionRecipe(), users=1)
    strangers = Sequences.from_lists([["s01"]] * 4, ["x1", "x2", "x3", "x4"])
    other = given(split.learn, strangers, strangers)
    with pytest.raises(InputError, match="no table has candidates for a user of the split, as 'x"):
        tune(paths, other, FusionRecipe())
