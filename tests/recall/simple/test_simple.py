"""Values worked out by hand, channel by channel."""

from dataclasses import replace

import numpy as np
import pytest
from made_logs import log_of

from audiorec.errors import InputError
from audiorec.listening.reading import likes
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.simple import knn
from audiorec.recall.simple.counts import (
    Popular,
    PopularRecipe,
    Replay,
    ReplayRecipe,
    Rules,
    RulesRecipe,
)
from audiorec.recall.simple.knn import EASE, VSKNN, EASERecipe, ItemKNN, ItemKNNRecipe, VSKNNRecipe
from audiorec.recall.simple.recent_likes import RecentLikes, RecentLikesRecipe


def proposed(channel, history, k=10):
    """Return the songs and similarities of one query."""
    found = channel.recall(Queries(Sequences.from_lists([history])), k)
    there = found.song[0] >= 0
    values = found.similarity[0, there].astype(float).round(4).tolist()
    return dict(zip(found.of(0), values, strict=True))


def fitted(channel, *lists):
    return channel.fit(RecallData(Sequences.from_lists(lists)))


def test_popular_counts_plays_and_lets_them_fade():
    plays = Sequences.from_lists([["a", "b"], ["a", "b", "b"]])
    assert proposed(Popular().fit(RecallData(plays)), []) == {"b": 3, "a": 2}
    days = np.array([10.0, 0.0, 10.0, 0.0, 0.0]) * DAY_S
    aged = RecallData(replace(plays, time=days))
    fading = Popular(PopularRecipe(half_life_days=10.0)).fit(aged)
    assert proposed(fading, []) == {"a": 2, "b": 1.5}


def test_replay_counts_what_was_played_often_and_lately():
    channel = fitted(Replay(ReplayRecipe(half_life_plays=1.0)), ["a", "b", "c"])
    # Three plays ago 1/8, and just now 1.
    assert proposed(channel, ["a", "b", "c", "a"]) == {"a": 1.125, "c": 0.5, "b": 0.25}
    history = Sequences.from_lists([["a", "b"]])
    timed = replace(history, time=np.array([0.0, 30.0]) * DAY_S)
    found = channel.recall(Queries(timed), 2)
    assert found.similarity.tolist() == [[1.0, 0.5]]
    assert (found.evidence == found.song).all()


def test_rules_weigh_by_the_places_between():
    channel = fitted(Rules(RulesRecipe(window=2, fade=0)), ["a", "b", "c", "d"], ["a", "c"])
    assert proposed(channel, ["b", "a"]) == {"c": 1.5, "b": 1.0}
    assert proposed(channel, ["a", "d"]) == {}
    found = channel.recall(Queries(Sequences.from_lists([["b", "a"], []])), 2)
    assert [found.song_ids[s] for s in found.evidence[0]] == ["a", "a"]
    assert (found.evidence[1] == -1).all()


def test_rules_of_songs_further_back_count_less():
    lists = [["a", "x"], ["b", "y"], ["c", "x"]]
    channel = fitted(Rules(RulesRecipe(fade=0.5)), *lists)
    assert proposed(channel, ["c", "b", "a"]) == {"x": 1.25, "y": 0.5}
    assert set(proposed(fitted(Rules(RulesRecipe(history=1)), *lists), ["b", "a"])) == {"x"}


def test_rules_keep_the_strongest():
    lists = [["a", "b"], ["a", "b"], ["a", "c"], ["a", "d"]]
    channel = fitted(Rules(RulesRecipe(rules_per_song=2)), *lists)
    assert proposed(channel, ["a"]) == {"b": 2, "c": 1}  # between equals the first


def test_vs_knn_weighs_sessions_by_what_they_share_and_where():
    channel = fitted(VSKNN(), ["a", "x"], ["b", "y"], ["a", "b", "z"])
    # a stands at 1/2 of the history, b at 2/2. The last song that is shared weighs a session.
    assert proposed(channel, ["a", "b"]) == {
        "b": 2.5,  # 1 x 1 of the second session, 1.5 x 1 of the third
        "a": 1.75,  # 0.5 x 0.5 of the first, 1.5 x 1 of the third
        "z": 1.5,
        "y": 1.0,
        "x": 0.25,
    }


def test_vs_knn_looks_at_the_newest_and_at_the_nearest():
    lists = [["a", "old"], ["a", "b", "near"], ["a", "new"]]
    assert "old" not in proposed(fitted(VSKNN(VSKNNRecipe(newest=2)), *lists), ["b", "a"])
    near = proposed(fitted(VSKNN(VSKNNRecipe(neighbours=1)), *lists), ["b", "a"])
    assert set(near) == {"a", "b", "near"}
    plays = Sequences.from_lists(lists)
    turned = RecallData(replace(plays, time=np.arange(7, 0, -1.0)))  # the first is the newest
    assert "new" not in proposed(VSKNN(VSKNNRecipe(newest=2)).fit(turned), ["b", "a"])


def test_item_knn_is_a_shrunk_cosine():
    channel = fitted(
        ItemKNN(ItemKNNRecipe(weighting="cosine", shrink=1.0)),
        ["a", "b", "a"],
        ["a", "b"],
        ["a", "c"],
    )
    ab, ac = 2 / (np.sqrt(3 * 2) + 1), 1 / (np.sqrt(3) + 1)
    found = proposed(channel, ["a", "a"])  # a song counts once
    assert found == pytest.approx({"b": ab, "c": ac}, abs=1e-4)
    both = proposed(channel, ["b", "c"])
    assert both == pytest.approx({"a": ab + ac}, abs=1e-4)


def test_item_knn_by_tf_idf_trusts_owners_of_few_songs():
    lists = ["a", "b"], ["a", "c", "c", "c", "d", "e"]
    channel = fitted(ItemKNN(ItemKNNRecipe(weighting="tf-idf", shrink=1.0)), *lists)
    few, many = np.log(1 + 5 / 2), np.log(1 + 5 / 4)
    scale = (2 * few**2 + 3 * many**2 + 2 * many**2) / 6  # three plays of c count as two
    size = {"a": few**2 + many**2, "b": few**2, "c": 2 * many**2, "d": many**2}
    size = {song: value / scale for song, value in size.items()}
    both = {"b": few**2, "c": np.sqrt(2) * many**2, "d": many**2, "e": many**2}
    size["e"] = size["d"]
    expected = {s: both[s] / scale / (np.sqrt(size["a"] * size[s]) + 1) for s in both}
    assert proposed(channel, ["a"]) == pytest.approx(expected, abs=1e-4)


def test_item_knn_by_bm25_compares_products():
    recipe = ItemKNNRecipe(weighting="bm25", shrink=0.0)  # which products do not need
    channel = fitted(ItemKNN(recipe), ["a", "b"], ["a", "c"])
    rare = np.log(1 + 3 / 2)
    length = np.array([2, 1, 1]) / (4 / 3)  # a, b, c
    tf = 2.2 / (1.2 * (0.25 + 0.75 * length) + 1)
    scale = rare**2 * (2 * tf[0] ** 2 + 2 * tf[1] ** 2) / 4
    value = rare**2 * tf[0] * tf[1] / scale
    assert proposed(channel, ["a"]) == pytest.approx({"b": value, "c": value}, abs=1e-4)


def test_item_knn_in_blocks_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    lists = [[f"s{s}" for s in rng.integers(0, 30, 8)] for _ in range(40)]
    whole = proposed(fitted(ItemKNN(), *lists), ["s1", "s2"], 30)
    monkeypatch.setattr("audiorec.recall.simple.knn.BLOCK_SONGS", 7)
    assert proposed(fitted(ItemKNN(), *lists), ["s1", "s2"], 30) == whole


@pytest.mark.parametrize("n_lists", [50, 4], ids=["more owners", "more songs"])
@pytest.mark.parametrize("dropout", [0.0, 0.75])
def test_ease_is_its_closed_form(n_lists, dropout):
    rng = np.random.default_rng(1)
    lists = [[f"s{s}" for s in rng.integers(0, 9, 14)] for _ in range(n_lists)]
    channel = fitted(EASE(EASERecipe(regularisation=3.0, dropout=dropout)), *lists)
    x = np.zeros((n_lists, 9))
    for row, songs in enumerate(lists):
        np.add.at(x[row], [int(song[1:]) for song in songs], 1)
    x = np.log2(1 + x)
    x /= np.sqrt(np.mean(x[x > 0] ** 2))
    ridge = 3 + dropout / (1 - dropout) * (x**2).sum(axis=0)  # 0.75: three for each play
    inverse = np.linalg.inv(x.T @ x + np.diag(ridge))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(channel.weights, expected, atol=1e-5)


def test_ease_counts_a_song_played_often_more():
    lists = [["a", "x"], ["b", "y"], ["c", "a"], ["c", "b"]]
    channel = fitted(EASE(EASERecipe(regularisation=1.0)), *lists)
    often_a, often_b = (proposed(channel, h) for h in (["a", "a", "a", "b"], ["a", "b", "b", "b"]))
    assert often_a["x"] > often_a["y"]
    assert often_b["x"] < often_b["y"]


def test_ease_in_blocks_is_ease_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    plays = Sequences.from_lists([[f"s{n}" for n in rng.integers(0, 23, 6)] for _ in range(40)])
    whole = EASE().fit(RecallData(plays)).weights
    monkeypatch.setattr(knn, "EASE_BLOCK_SONGS", 5)
    assert np.array_equal(EASE().fit(RecallData(plays)).weights, whole)
    assert whole.flags.c_contiguous
    assert whole.dtype == np.float32


def test_ease_refuses_what_would_not_fit_in_free_memory_before_it_starts(monkeypatch):
    monkeypatch.setattr(knn, "free_memory", lambda: 40)
    monkeypatch.setattr(knn, "owner_plays", None)
    with pytest.raises(InputError, match=r"3 songs need 0\.0 GB of memory, and 0\.0 GB are free"):
        EASE().fit(RecallData(Sequences.from_lists([["a", "b", "c"]])))


def test_ease_refuses_what_would_not_fit(monkeypatch):
    monkeypatch.setattr(knn, "MOST_SONGS", 2)
    with pytest.raises(InputError, match=r"ease: 3 songs would need .* GB; .*use item-knn"):
        fitted(EASE(), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("recipe", "value"),
    [
        (PopularRecipe, {"half_life_days": 0}),
        (ReplayRecipe, {"half_life_plays": 0}),
        (RulesRecipe, {"window": 0}),
        (RulesRecipe, {"fade": 1.5}),
        (VSKNNRecipe, {"neighbours": 0}),
        (ItemKNNRecipe, {"shrink": -1}),
        (ItemKNNRecipe, {"weighting": "idf"}),
        (EASERecipe, {"regularisation": 0}),
        (EASERecipe, {"dropout": 1}),
    ],
)
def test_a_recipe_refuses_what_makes_no_sense(recipe, value):
    with pytest.raises(InputError):
        recipe(**value)


LISTS = (["a", "x"], ["a", "x"], ["b", "y"], ["b", "y"], ["c", "z"])


def liked_by(channel, *events, history=("c",)):
    """Return what is proposed to u, who played `history` on day 0 and then did `events`."""
    rows = [("u", song, 1.7e9, "finish") for song in history]
    log = log_of(*rows, *(("u", song, 1.7e9 + day * DAY_S, event) for song, day, event in events))
    plays = Sequences.from_lists([list(history)], ["u"])
    found = channel.recall(Queries(plays, likes=likes(log, ("u",))), 9, cold=9)
    there = found.song[0] >= 0
    values = found.similarity[0, there].astype(float).round(4).tolist()
    named = [found.song_ids[s] if s >= 0 else "" for s in found.evidence[0, there]]
    return dict(zip(found.of(0), values, strict=True)), named


def test_recent_likes_follow_what_was_liked_in_the_last_days():
    channel = fitted(RecentLikes(RecentLikesRecipe(half_life_days=1.0)), *LISTS)
    # Both lists of a have x: 2 / (2 + 10). The like of b is two half-lives older; c was not liked.
    found, evidence = liked_by(channel, ("b", 1, "like"), ("a", 3, "like"))
    assert found == {"x": 0.1667, "y": 0.0417}
    assert evidence == ["a", "b"]
    # What was taken back, and what is older than seven days, does not count.
    assert liked_by(channel, ("b", 1, "like"), ("a", 9, "like"))[0] == {"x": 0.1667}
    taken_back = (("b", 1, "like"), ("a", 1, "like"), ("a", 1.5, "dislike"))
    assert liked_by(channel, *taken_back)[0] == {"y": 0.1667}
    assert liked_by(channel)[0] == {}  # nobody liked anything, though c was played
    assert list(proposed(channel, ["c"])) == ["z"]  # of likes nothing is known: plays stand in


def test_recent_likes_hear_new_songs_and_know_artists():
    sound = Sound(
        ("a", "b", "new", "x"),
        np.float32([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]]),
        ("ayla", "bo", "cy", "ayla"),
    )
    data = RecallData(Sequences.from_lists(LISTS), ("new",), Context(sound=sound))
    channel = RecentLikes(RecentLikesRecipe(sound=1.0, width=0.2)).fit(data)
    found, _ = liked_by(channel, ("b", 1, "like"))
    assert found["new"] == pytest.approx(np.exp(-1), abs=1e-4)  # cosine .8
    plays, nothing = Sequences.from_lists([["c"]], ["u"]), Sequences.from_lists([[]], ["u"])
    asked = Queries(plays, Sequences.from_lists([["ayla"]], ["u"]), likes=nothing)
    assert {"a", "x"} <= set(channel.recall(asked, 9).of(0))  # each brings the other
