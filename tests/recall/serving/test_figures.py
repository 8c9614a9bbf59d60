"""The figures of a channel that counts: from training to its candidates."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from audiorec.learning.next_plays import NEW
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import FIGURES_KEY
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.job import train_channel, validated
from audiorec.recall.registry import load_channel
from audiorec.recall.simple.counts import Popular, Rules


@pytest.fixture(scope="module")
def plays():
    """Users walk along a ring of songs: what follows is sure, what is popular says nothing."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 40, 60)
    return Sequences.from_lists([[f"s{(s + n) % 40:02}" for n in range(12)] for s in starts])


@pytest.fixture
def lists(plays, tmp_path):
    """Return the candidates of two trained channels, by name."""
    found = {}
    for kind in (Popular, Rules):
        train_channel(kind(), RecallData(plays), tmp_path / kind.name, judge=validated)
        found[kind.name] = tmp_path / f"{kind.name}.parquet"
        write_candidates(found[kind.name], load_channel(tmp_path / kind.name), Queries(plays), 9)
    return found


def test_a_channel_is_judged_by_what_comes_next(plays):
    rules, popular = (validated(kind(), RecallData(plays)) for kind in (Rules, Popular))
    assert rules.figures[NEW] == pytest.approx(1.0, abs=0.05)
    assert popular.figures[NEW] < 0.5
    assert rules.judged_on == "new songs in the newest part of the listening, by full rank"


def test_the_figure_worked_out_by_hand():
    """The last of three plays is held out; the other users have played d more than c."""
    lists = [["a", "b", "c"]] * 9 + [["a", "b", "d"]] * 20 + [["d", "c"]] * 2 + [["d"]]
    found = validated(Popular(), RecallData(Sequences.from_lists(lists)))
    gains = 9 / np.log2(1 + 2) + 20 / np.log2(1 + 1)  # a and b are left out as heard
    assert found.figures == {NEW: pytest.approx(gains / 29), "hit_rate@20": 1.0}


def test_too_few_plays_give_no_figure():
    assert not validated(Popular(), RecallData(Sequences.from_lists([["a"], ["b"]])))


def test_repeats_are_not_judged():
    assert not validated(Popular(), RecallData(Sequences.from_lists([["a", "a", "a", "a"]] * 5)))


def test_the_figure_travels_with_the_candidates(lists):
    own = {name: load_channel(path.with_suffix("")).trained for name, path in lists.items()}
    for name, path in lists.items():
        footer = json.loads(pq.read_schema(path).metadata[FIGURES_KEY])
        assert footer[NEW] == own[name].figures[NEW]
    assert "torch" not in json.loads((lists["rules"].with_suffix("") / "model.json").read_text())
    card = (lists["rules"].with_suffix("") / "MODEL_CARD.md").read_text()
    assert NEW in card
    assert "epochs" not in card


def test_an_engine_writes_the_same_figure(lists, plays, tmp_path):
    from made_engines import travelling

    again = tmp_path / "again.parquet"
    channel = load_channel(lists["rules"].with_suffix(""))
    write_candidates(again, channel, Queries(plays), 9, engine=travelling)
    assert again.read_bytes() == lists["rules"].read_bytes()
