"""Weights by the figures that candidates carry: from training to one list."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of

from audiorec.learning.next_plays import NEW
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import FIGURES_KEY
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.job import train_channel, validated
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.fuse import fuse
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tables import weights_by_worth, worth_of
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
        train_channel(kind(), RecallData(plays), tmp_path / kind.name)
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
        assert worth_of(path) == own[name].figures[NEW]
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


def test_weights_fall_with_the_figure(lists):
    weights, note = weights_by_worth([lists["popular"], lists["rules"]])
    worth = worth_of(lists["popular"]) / worth_of(lists["rules"])
    assert note == ""
    assert weights == (pytest.approx(max(worth**16, 1e-6), rel=1e-3), 1.0)


def test_a_weak_channel_keeps_its_order_for_users_whom_no_other_knows(lists):
    """Weights were rounded to 0, and such users got songs in the order of their ids."""
    weak = without(lists["popular"], **{FIGURES_KEY.decode(): json.dumps({NEW: 0.05}).encode()})
    weights, _ = weights_by_worth([weak, lists["rules"]])
    songs = [f"s{n:02}" for n in (7, 3, 9, 1, 8, 2)]
    fused = fuse([table_of("popular", {"u": songs}), table_of("rules", {"v": ["s00"]})],
                 FusionRecipe(k=6, weights=weights))  # fmt: skip
    rows = [row for row in fused.to_pylist() if row["user_id"] == "u"]
    assert [row["song_id"] for row in rows] == songs
    assert all(np.isfinite(row["similarity"]) for row in rows)


def without(path: Path, **metadata: bytes) -> Path:
    table = pq.read_table(path).replace_schema_metadata(metadata)
    found = path.with_name(f"other-{path.name}")
    pq.write_table(table, found)
    return found


@pytest.mark.parametrize(
    "text", [b"", b"no json", b"[1]", b'{"new_ndcg@100": "much"}', b'{"new_ndcg@100": NaN}',
             b'{"new_ndcg@100": -1}', b'{"ndcg": 1}', b"1" * 100_000]
)  # fmt: skip
def test_without_a_figure_all_weigh_the_same_and_a_note_says_so(lists, text):
    other = without(lists["popular"], **{FIGURES_KEY.decode(): text})
    weights, note = weights_by_worth([other, lists["rules"]])
    assert weights == ()
    assert "all channels weigh the same" in note
    assert "other-popular.parquet has no validation figure" in note


def test_a_table_of_another_program_has_no_figure(lists, tmp_path):
    (tmp_path / "theirs.csv").write_text("user_id,song_id\n0,s01\n")
    assert worth_of(tmp_path / "theirs.csv") is None
    assert weights_by_worth([lists["rules"]]) == ((), "")  # one needs no weight
    pq.write_table(pa.table({"user_id": ["0"], "song_id": ["s01"]}), tmp_path / "t.parquet")
    assert worth_of(tmp_path / "t.parquet") is None
