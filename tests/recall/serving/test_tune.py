"""`recall.serving.tune`: a good channel gets the weight, and the check is on other users."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of

from audiorec.errors import DamagedFileError, InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.judging.judge import evaluate
from audiorec.recall.judging.splits import given_split
from audiorec.recall.serving.fuse import fuse, read_tuned, write_tuned
from audiorec.recall.serving.rules import FusionRecipe, SongTraits
from audiorec.recall.serving.tune import Standings, _halves, tune

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
    split = given_split(plays, known, Sequences.from_lists([[w] for w in wanted.values()], USERS))
    return [tmp_path / "bad.parquet", tmp_path / "good.parquet"], split


def test_the_better_channel_gets_more(world):
    paths, split = world
    found = tune(paths, split, FusionRecipe(k=3), by=("hit_rate", 3))
    assert found.by == ("hit_rate", 3)
    names = [one.name for one in found.tried]
    assert names == ["bad alone", "good alone", "all alike", "weights", "points"]
    bad, good = found.tried[3].recipe.weights
    assert good > bad
    assert found.checked["over equal", "hit_rate@3"].value >= 0
    assert found.checked["chosen", "hit_rate@3"].value > 0.5
    again = tune(paths, split, FusionRecipe(k=3), by=("hit_rate", 3))
    assert again.recipe == found.recipe
    figures = [one.figures["hit_rate@3"] for one in found.tried]
    assert figures[0] < figures[1] <= figures[3]


def test_points_see_where_a_channel_is_right(world):
    # The good channel is right at its first place or not at all: no later one gets anything near.
    points = tune(*world, FusionRecipe(k=3)).tried[4].recipe.points
    assert points[1][0] > 2 * points[1][1]
    assert points[1][0] > 2 * points[0][0]
    for row in points:
        assert sorted(row, reverse=True) == list(row)
        assert min(row) >= 0


def test_the_fast_way_says_what_the_lists_say(world):
    paths, split = world
    tables = [pq.read_table(path) for path in paths]
    places = Standings.of(tables, split.wanted)
    rows = ((0.9, 0.8, *[0.5] * 8), (1.0, *[0.1] * 9))
    for recipe in (
        FusionRecipe(k=5, weights=(2.0, 3.0), flatness=1.0),
        FusionRecipe(k=5, method="points", points=rows),
    ):
        ranks = places.ranks(places.weigh(recipe))
        lists = Lists.of_table(fuse(tables, recipe), "fused")
        slow = evaluate(lists, split, ks=[5], keep_heard=True, trained=True)
        fast = np.where(ranks <= 5, 1 / ranks, 0)
        assert fast.tolist() == pytest.approx(slow.per_query["mrr", 5].tolist())
        assert 0 < (ranks <= 5).mean() < 1


def test_sessions_stay_together(world):
    halves = _halves(replace(world[1], cluster=np.arange(60) // 6), 60, 0)
    assert {len(half) for half in halves} == {30}
    assert not set(halves[0].cluster) & set(halves[1].cluster)


def test_dials_go_as_far_as_accuracy_allows(world):
    paths, split = world
    plays = 40 - np.arange(40)
    learnt = [[song] * n for song, n in zip(SONGS, plays.tolist(), strict=True)]
    split = replace(split, learn=Sequences.from_lists(learnt))
    groups = {"genre": np.arange(40) // 10}
    facts = SongTraits(song_ids=tuple(SONGS), groups=groups, plays=plays)
    still = tune(paths, split, FusionRecipe(k=3), facts=facts)
    assert (still.recipe.popularity, still.recipe.diversity) == (0, 0)
    free = tune(paths, split, FusionRecipe(k=3), facts=facts, tolerance=0.9)
    assert free.recipe.popularity == 0.5
    assert free.recipe.diversity > 0
    tried = {one.name: one.figures for one in free.tried}
    assert tried["popularity 0.5"]["popularity"] < tried["no dial"]["popularity"]
    assert tried["chosen"]["diversity_genre"] >= tried["popularity 0.5"]["diversity_genre"]


def test_new_songs_get_the_share_that_finds_most(world, tmp_path):
    paths, split = world
    new = [f"new{n}" for n in range(3)]
    lists = {user: [*new, *SONGS[:10]] for user in USERS}
    pq.write_table(table_of("new", lists, cold=new), tmp_path / "new.parquet")
    # Of four songs two users of three want a new one, which no list without a share holds.
    wanted = [[new[0]] if n % 3 else [SONGS[0]] for n in range(60)]
    cut = replace(split, wanted=Sequences.from_lists(wanted, USERS))
    found = tune([paths[0], tmp_path / "new.parquet"], cut, FusionRecipe(k=4))
    assert found.recipe.cold_share >= 0.2  # round(4 * .2) is a place
    tried = {one.name: one.figures for one in found.tried}
    assert tried["no dial"]["new"] == 0
    assert tried["chosen"]["ndcg@4"] > tried["no dial"]["ndcg@4"]
    assert found.checked["over equal", "hit_rate@4"].low > 0.3


def test_what_was_learnt_goes_through_a_file(world, tmp_path):
    paths, split = world
    found = tune(paths, split, FusionRecipe(k=3, per_artist=2))
    kept = tmp_path / "tuned.json"
    write_tuned(kept, found, ("bad", "good"), entry="daily")
    read = read_tuned(kept)
    assert (read.entry, read.recipe) == ("daily", found.recipe)
    turned = read.for_channels(("good", "bad"), k=9)
    assert turned.k == 9
    assert turned.points == found.recipe.points[::-1]
    with pytest.raises(InputError, match="learnt for bad, good; got good"):
        read.for_channels(("good",))
    some = read.for_some(("other", "good"), k=3)
    assert some.weights == (0.0, found.recipe.weights[1])
    kept.write_text('{"schema": "else"}')
    with pytest.raises(DamagedFileError, match="not a file that audiorec recall tune --out wrote"):
        read_tuned(kept)


def test_refusals(world):
    paths, split = world
    with pytest.raises(InputError, match="at least two tables of candidates"):
        tune(paths[:1], split, FusionRecipe())
    with pytest.raises(InputError, match="too few users"):
        tune(paths, split, FusionRecipe(), users=1)
    strangers = Sequences.from_lists([["s01"]] * 4, ["x1", "x2", "x3", "x4"])
    other = given_split(split.learn, strangers, strangers)
    with pytest.raises(InputError, match="has candidates for a user of the split, such as 'x"):
        tune(paths, other, FusionRecipe())


def test_a_fused_list_below_one_of_its_channels_is_a_warning(world, tmp_path):
    paths, split = world
    found = tune(paths, split, FusionRecipe(k=10), by=("mrr", 20))
    gap = found.checked["equal over best alone", "mrr@20"]
    assert gap.value < 0
    assert found.alone["mrr@20"] == "good"
    (line,) = [line for line in found.below() if line.startswith("equal weights are worse")]
    assert line.startswith("equal weights are worse than good alone: mrr@20 -0.")
    # Each measure has its own best channel: leads are of like with like.
    for name in found.alone:
        alone = {one.name: one.figures[name] for one in found.tried[:2]}
        assert found.alone[name] == max(alone, key=alone.get).removesuffix(" alone")
    worse = replace(found, checked={("over best alone", "mrr@20"): gap})
    write_tuned(tmp_path / "tuned.json", worse, ["bad", "good"])
    said = read_tuned(tmp_path / "tuned.json").below
    assert "worse than the best channel alone: mrr@20 -0." in said
    better = replace(found, checked={})
    write_tuned(tmp_path / "tuned.json", better, ["bad", "good"])
    assert read_tuned(tmp_path / "tuned.json").below == ""
