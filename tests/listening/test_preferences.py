"""`audiorec.listening.rule`: each clause by hand, and what never changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import log_of

from audiorec.listening.events import EVENTS
from audiorec.listening.rule import Clause, Rule, Verdict, duplicates, judge_pairs, to_preferences


def named(preferences, pairs):
    """{(user, song): (weight, time)}"""
    return {
        (preferences.user_ids[u], preferences.song_ids[s]): (float(w), float(t))
        for u, s, w, t in zip(pairs.user, pairs.song, pairs.weight, pairs.time, strict=True)
    }


def verdict(*events, rule=None):
    """The verdict on one song after (event, ratio, time) or (event, ratio, time, weight)."""
    rows = [("u", "s", e[2], e[0], e[1], *e[3:]) for e in events]
    return {1: "liked", -1: "disliked", 0: "neither"}[
        int(judge_pairs(log_of(*rows), rule or Rule()).sign[0])
    ]


@pytest.mark.parametrize(
    ("event", "ratio", "expected"),
    [
        ("finish", 0.9, "liked"),
        ("finish", 0.89, "neither"),
        ("finish", None, "liked"),
        ("play", 0.9, "liked"),
        ("play", 0.5, "neither"),
        ("play", 0.2, "neither"),
        ("play", 0.19, "disliked"),
        ("play", None, "neither"),
        ("skip", 0.19, "disliked"),
        ("skip", 0.2, "neither"),
        ("skip", 0.95, "neither"),
        ("skip", None, "disliked"),
        ("like", None, "liked"),
        ("like", 0.1, "liked"),
        ("playlist", None, "liked"),
        ("dislike", None, "disliked"),
        ("dislike", 1.0, "disliked"),
    ],
)
def test_one_event(event, ratio, expected):
    assert verdict((event, ratio, 1)) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # What the user said beats listening, however often and however late.
        ([("dislike", None, 1), ("finish", 1, 2), ("finish", 1, 3)], "disliked"),
        ([("skip", 0, 9), ("skip", 0, 8), ("like", None, 1)], "liked"),
        # Of what was said, the latest counts, whatever its weight.
        ([("like", None, 1), ("dislike", None, 2)], "disliked"),
        ([("playlist", None, 3), ("dislike", None, 2, 50.0)], "liked"),
        # Of listening, the heavier side; between equals the latest.
        ([("finish", 1, 1), ("finish", 1, 2), ("skip", 0, 3)], "liked"),
        ([("finish", 1, 9, 1.5), ("skip", 0, 3, 2.0)], "disliked"),
        ([("finish", 1, 1), ("skip", 0, 3)], "disliked"),
        ([("finish", 1, 3), ("skip", 0, 1)], "liked"),
        # Of the same moment: they cancel.
        ([("like", None, 2), ("dislike", None, 2)], "neither"),
        ([("finish", 1, 2), ("skip", 0, 2)], "neither"),
        # Events without a verdict decide nothing.
        ([("finish", 1, 1), ("play", 0.5, 9), ("skip", 0.6, 10)], "liked"),
    ],
)
def test_conflicts(events, expected):
    assert verdict(*events) == expected
    assert verdict(*reversed(events)) == expected


def test_repeats_add_weight_and_keep_the_last_time():
    found = to_preferences(
        log_of(
            ("u", "s", 10, "finish", 1.0),
            ("u", "s", 40, "like"),
            ("u", "s", 30, "finish", 0.95, 2.5),
            ("u", "s", 50, "skip", 0.0),
            ("u", "s", 60, "play", 0.5),
        )
    )
    # Liked: 1 + 1 + 2.5, last at 40. Met in four listenings of weight 1 + 2.5 + 1 + 1.
    assert named(found, found.liked) == {("u", "s"): (4.5, 40.0)}
    assert named(found, found.disliked) == {}
    assert named(found, found.heard) == {("u", "s"): (5.5, 60.0)}


def test_clause_weights_count():
    rule = replace(
        Rule(), events={**Rule().events, "skip": Clause(verdict=Verdict.DISLIKED, weight=3)}
    )
    assert verdict(("finish", 1, 1), ("finish", 1, 2), ("skip", None, 0), rule=rule) == "disliked"
    found = to_preferences(log_of(("u", "s", 1, "skip", None, 0.5)), rule)
    assert named(found, found.disliked) == {("u", "s"): (1.5, 1.0)}


def test_a_song_that_was_only_pressed_was_met_once():
    found = to_preferences(log_of(("u", "s", 1, "like"), ("u", "s", 2, "playlist")))
    assert named(found, found.heard) == {("u", "s"): (1.0, 2.0)}


def test_pairs_are_sorted_and_tables_hold_what_occurs():
    log = log_of(
        ("zoe", "b", 1, "like"),
        ("ana", "c", 2, "dislike"),
        ("zoe", "a", 3, "like"),
        ("ana", "a", 4, "play", 0.5),
    )
    found = to_preferences(log)
    assert (found.user_ids, found.song_ids) == (("ana", "zoe"), ("a", "b", "c"))
    assert list(named(found, found.heard)) == [
        ("ana", "a"),
        ("ana", "c"),
        ("zoe", "a"),
        ("zoe", "b"),
    ]
    only = to_preferences(log, song_ids=["b", "never heard"])
    assert (only.user_ids, only.song_ids) == (("zoe",), ("b",))


def test_the_time_window_is_half_open():
    log = log_of(*(("u", f"s{t}", t, "like") for t in (9, 10, 15, 20)))
    found = to_preferences(log, Rule(since=10, until=20))
    assert found.song_ids == ("s10", "s15")


def test_minimum_counts_are_repeated_until_they_hold():
    # s3 has one liker and goes; then eva has one liked song and goes; then s2 has too few.
    log = log_of(
        ("ana", "s1", 1, "like"),
        ("ana", "s4", 1, "like"),
        ("ben", "s1", 1, "like"),
        ("ben", "s4", 1, "like"),
        ("ben", "s2", 1, "like"),
        ("eva", "s2", 1, "like"),
        ("eva", "s3", 1, "like"),
        ("ana", "s5", 1, "dislike"),
    )
    found = to_preferences(log, Rule(min_liked=2, min_likers=2))
    assert (found.user_ids, found.song_ids) == (("ana", "ben"), ("s1", "s4"))
    assert len(found.disliked) == 0
    assert to_preferences(log, Rule(min_liked=9)).user_ids == ()


def test_duplicates_are_kept_unless_the_rule_says_otherwise():
    row = ("u", "s", 5, "finish", 1.0, 2.0)
    log = log_of(
        row, ("u", "s", 5, "finish", None, 2.0), row, ("u", "s", 6, "finish", 1.0, 2.0), row
    )
    assert duplicates(log).tolist() == [False, False, True, False, True]
    for drop, weight in ((False, 10.0), (True, 6.0)):
        found = to_preferences(log, Rule(drop_duplicates=drop))
        assert named(found, found.liked) == {("u", "s"): (weight, 6.0)}


def test_rows_without_ratio_can_be_duplicates():
    assert duplicates(log_of(("u", "s", 5, "like"), ("u", "s", 5, "like"))).tolist() == [
        False,
        True,
    ]


def test_conflicts_are_marked():
    log = log_of(
        ("u", "a", 1, "like"),
        ("u", "a", 2, "skip", 0.0),
        ("u", "b", 1, "like"),
        ("u", "b", 2, "like"),
    )
    assert judge_pairs(log, Rule()).conflict.tolist() == [True, False]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3"]),
        st.sampled_from(["s1", "s2", "s3"]),
        st.integers(0, 4),
        st.sampled_from(EVENTS),
        st.sampled_from([None, 0.0, 0.19, 0.2, 0.5, 0.9, 1.0]),
        st.sampled_from([1.0, 0.1, 0.2, 0.3, 7.5]),
    ),
    min_size=1,
    max_size=25,
)
RULES = st.builds(
    Rule,
    min_liked=st.integers(0, 2),
    min_likers=st.integers(0, 2),
    drop_duplicates=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, rule=RULES, seed=st.integers(0, 99))
def test_order_of_rows_never_matters(rows, rule, seed):
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    first, second = (to_preferences(log_of(*r), rule) for r in (rows, shuffled))
    assert (first.user_ids, first.song_ids) == (second.user_ids, second.song_ids)
    for name in ("liked", "disliked", "heard"):
        assert named(first, getattr(first, name)) == named(second, getattr(second, name))


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, rule=RULES)
def test_what_always_holds(rows, rule):
    found = to_preferences(log_of(*rows), rule)
    liked, disliked, heard = (
        set(named(found, p)) for p in (found.liked, found.disliked, found.heard)
    )
    assert not liked & disliked
    assert liked | disliked <= heard
    assert list(found.user_ids) == sorted(found.user_ids)
    for pairs in (found.liked, found.disliked, found.heard):
        keys = list(zip(pairs.user, pairs.song, strict=True))
        assert keys == sorted(set(keys))
        assert (pairs.weight > 0).all()
    if rule.min_liked:
        assert all(sum(u == user for u, _ in liked) >= rule.min_liked for user in found.user_ids)
