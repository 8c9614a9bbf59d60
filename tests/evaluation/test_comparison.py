"""`audiorec.evaluation.ranking`: the same users for all, differences to the first."""

import json

import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.evaluation import ranking
from audiorec.evaluation.ranking import Panel, compare

RNG = np.random.default_rng(0)
TASTE, SONGS = RNG.standard_normal((300, 3)), RNG.standard_normal((40, 3))
TRUE = TASTE @ SONGS.T
LIKED = TRUE + RNG.standard_normal(TRUE.shape) > 1
USERS = np.flatnonzero(LIKED.any(1) & ~LIKED.all(1))
PANEL = Panel(
    users=USERS,
    liked=LIKED[USERS],
    candidates=np.ones((len(USERS), 40), bool),
    likes=LIKED.sum(0),
)
METHODS = {
    "taste": lambda who: TRUE[who],
    "half": lambda who: TRUE[who] + 2 * np.sin(np.outer(who, np.arange(40.0))),
    "chance": lambda who: np.sin(7.3 * np.outer(who + 1, np.arange(1, 41.0))),
}


@pytest.fixture(scope="module")
def found():
    return compare(PANEL, METHODS, k=5, rng=np.random.default_rng(1))


def test_better_methods_have_better_figures(found):
    auc = {name: row.means["auc"].value for name, row in found.rows.items()}
    assert auc["taste"] > auc["half"] > auc["chance"]
    assert auc["chance"] == pytest.approx(0.5, abs=0.03)
    for name in ("half", "chance"):
        ahead = found.rows[name].ahead
        assert 0 < ahead.low < ahead.value < ahead.high
        assert ahead.value == pytest.approx(auc["taste"] - auc[name])
    assert found.rows["taste"].ahead is None


def test_blocks_of_users_change_nothing(found, monkeypatch):
    monkeypatch.setattr(ranking, "USERS_AT_ONCE", 7)
    again = compare(PANEL, METHODS, k=5, rng=np.random.default_rng(1))
    assert again.to_dict() == found.to_dict()


def test_the_document_is_plain_json(found):
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["users"] == len(USERS)
    assert list(document["methods"]) == list(METHODS)
    assert document["methods"]["taste"]["ahead"] is None
    assert len(document["methods"]["half"]["ndcg"]) == 3


@pytest.mark.parametrize("users", [slice(0), slice(2)])
def test_refuses_users_that_cannot_be_judged(users):
    liked = np.array([[True, True], [True, False]])[users]
    shape = {"candidates": np.ones_like(liked), "likes": np.ones(2, int)}
    with pytest.raises(InputError, match="no user can be evaluated"):
        Panel(users=np.arange(len(liked)), liked=liked, **shape)
