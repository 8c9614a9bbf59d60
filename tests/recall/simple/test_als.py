"""ALS against its equations, solved in full by a few lines of numpy."""

import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple import als
from audiorec.recall.simple.als import ALS, ALSRecipe

RECIPE = ALSRecipe(factors=3, iterations=40, unseen=1.5, regularisation=0.05)


def drawn(seed=0, users=30, songs=12):
    rng = np.random.default_rng(seed)
    return Sequences.from_lists(
        [[f"s{s:02}" for s in rng.integers(0, songs, rng.integers(2, 9))] for _ in range(users)]
    )


def weights(plays):
    """Return owners x songs: the binary logarithm of one more than the plays."""
    found = np.zeros((len(plays), len(plays.song_ids)))
    np.add.at(found, (plays.owner, plays.song), 1)
    return np.log2(1 + found)


def solved(weight, other, rest, recipe=RECIPE):
    """Return the exact solution of each row, from the other side."""
    rows = []
    for of in weight:
        played = of > 0
        ridge = recipe.regularisation * (played.sum() + rest * len(other))
        matrix = rest * other.T @ other + (other.T * of) @ other
        matrix += ridge * np.eye(other.shape[1])
        rows.append(np.linalg.solve(matrix, other.T @ of) if played.any() else 0 * other[0])
    return np.array(rows)


def test_the_songs_solve_their_equations():
    plays = drawn()
    channel = ALS(RECIPE).fit(RecallData(plays))
    weight = weights(plays)
    rest = 1.5 * weight.mean()
    users = solved(weight, channel.factors.astype(np.float64), rest)
    np.testing.assert_allclose(solved(weight.T, users, rest), channel.factors, rtol=0.02, atol=0.01)


def test_a_history_is_a_user_of_the_same_equations():
    plays = drawn()
    channel = ALS(RECIPE).fit(RecallData(plays))
    history = Sequences.from_lists([["s01", "s04", "s04"], []])
    factors = channel.factors.astype(np.float64)
    rest = 1.5 * weights(plays).mean()
    user = solved(weights(history.among(plays.song_ids)), factors, rest)[0]
    found = next(channel.blocks(Queries(history)))
    np.testing.assert_allclose(found[0], factors @ user, rtol=1e-4, atol=1e-5)
    assert (found[1] == -np.inf).all()  # nothing is known of this user


def test_more_plays_count_more():
    lists = [["a", "x"]] * 6 + [["b", "y"]] * 6
    channel = ALS(ALSRecipe(factors=2)).fit(RecallData(Sequences.from_lists(lists)))
    asked = Sequences.from_lists([["a", "b", "b", "b"], ["a", "a", "a", "b"]])
    found = channel.recall(Queries(asked), 1, exclude=asked)
    assert [found.of(0), found.of(1)] == [["y"], ["x"]]
    assert [found.song_ids[s] for s in found.evidence[:, 0]] == ["b", "a"]


def test_blocks_of_rows_change_nothing(monkeypatch):
    whole = ALS(RECIPE).fit(RecallData(drawn())).factors
    monkeypatch.setattr(als, "CELLS", 20)
    np.testing.assert_allclose(ALS(RECIPE).fit(RecallData(drawn())).factors, whole, atol=1e-4)


def test_the_seed_decides_and_nothing_else():
    one, two = (ALS(RECIPE).fit(RecallData(drawn())).factors for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    "wrong", [{"factors": 0}, {"iterations": 0}, {"unseen": 0}, {"regularisation": 0}, {"seed": -1}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="must be"):
        ALSRecipe(**wrong)
