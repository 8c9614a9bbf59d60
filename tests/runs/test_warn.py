"""`audiorec.runs.record`: warnings that mean something, and none that do not."""

import numpy as np
import pytest
from made_runs import heard, made_run

from audiorec.runs.record import chance_of, run_warnings

WHEN = "in the run of 2026-11-25 03:00"


def extract(opened, failed, **values):
    return made_run(job="extract", counts={"opened": opened, "failed": failed}, **values)


def test_more_failures_than_before():
    before = [extract(1000, 5), extract(3, 0)]  # three songs say nothing: the thousand are asked
    assert run_warnings(extract(400, 30), before) == [
        f"7.5 % of the songs failed (30 of 400), 0.5 % {WHEN}"
    ]


@pytest.mark.parametrize(
    ("opened", "failed"), [(400, 2), (400, 5), (3, 1), (20, 1), (0, 0), (100_000, 1400)]
)
def test_failures_that_are_usual_or_chance(opened, failed):
    assert run_warnings(extract(opened, failed), [extract(1000, 5)]) == []


def test_a_rise_that_is_sure_and_small_is_no_warning():
    assert run_warnings(extract(100_000, 900), [extract(100_000, 500)]) == []
    assert len(run_warnings(extract(100_000, 1600), [extract(100_000, 500)])) == 1


def test_a_run_without_failures_does_not_promise_that_there_are_none():
    assert run_warnings(extract(60, 1), [extract(60, 0)]) == []
    assert len(run_warnings(extract(60, 20), [extract(60, 0)])) == 1


def test_the_share_of_songs_that_drifts_names_the_class_and_the_extractor():
    rng = np.random.default_rng(0)
    before = made_run(scores=heard(500, rng), extractor_id="a")
    (told,) = run_warnings(
        made_run(scores=heard(500, rng, shares=(1, 6, 1)), extractor_id="b"), [before]
    )
    assert told.startswith("scores have drifted: genre/")
    assert WHEN in told
    assert told.endswith("; another extractor made them")
    assert run_warnings(made_run(scores=heard(500, rng)), [before]) == []


def test_half_of_the_rows_are_gone():
    before = made_run(counts={"users": 100, "rows": 10_000, "songs": 10, "cold": 900})
    now = made_run(counts={"users": 60, "rows": 4_999, "songs": 1, "cold": 0})
    assert run_warnings(now, [before]) == [f"4,999 rows, 10,000 {WHEN}"]


def test_channels_that_say_nothing():
    before = made_run(counts={"proposed/rules": 900, "channels/rules": 500})
    now = {"proposed/rules": 0, "proposed/ease": 50, "channels/ease": 0, "channels/rules": 49}
    assert run_warnings(made_run(counts=now), [before]) == [
        f"channel rules proposed no songs, 900 {WHEN}",
        "channel ease has no songs in the lists",
        f"channel rules has 49 songs in the lists, 500 {WHEN}",
    ]
    assert run_warnings(made_run(counts={"proposed/ease": 0}), []) == [
        "channel ease proposed no songs"
    ]


LISTS = {"users": 100, "lists/kept": 0.98, "lists/songs": 300, "lists/popularity": 80.0}
USUAL = {**LISTS, "answered/rules": 100, "answered/ease": 40}


@pytest.mark.parametrize(
    ("news", "told"),
    [
        ({"lists/kept": 0.49}, f"49.0% of the songs in the lists are those {WHEN}"),
        ({"lists/popularity": 121}, f"121 plays of a song in the lists, 80 {WHEN}"),
        ({"lists/popularity": 53}, f"53 plays of a song in the lists, 80 {WHEN}"),
        ({"lists/songs": 451}, f"451 songs in the lists, 300 {WHEN}"),
        ({"lists/songs": 199}, f"199 songs in the lists, 300 {WHEN}"),
        (
            {"answered/ease": 29},
            f"channel ease has songs for 29.0% of the users, 40.0% {WHEN}",
        ),
        ({"lists/kept": 0.51, "lists/popularity": 119, "lists/songs": 201}, ""),
        ({"answered/ease": 31, "answered/new": 1}, ""),
        ({"users": 130, "answered/ease": 52}, ""),  # more users, who are answered as before
    ],
)
def test_lists_that_are_unlike_those_of_the_last_run(news, told):
    now = made_run(counts={**USUAL, "answered/rules": news.get("users", 100), **news})
    assert run_warnings(now, [made_run(counts=USUAL)]) == ([told] if told else [])


def test_a_first_run_has_nothing_to_be_unlike():
    assert run_warnings(made_run(counts={**USUAL, "lists/kept": 0.0}), []) == []
    few = made_run(counts={**USUAL, "users": 19})
    assert run_warnings(made_run(counts={**USUAL, "lists/kept": 0.0}), [few]) == []


def test_only_runs_of_the_same_job_that_went_through_are_compared():
    now = made_run(counts={"rows": 10})
    for other in ({"job": "recall fuse"}, {"exit_code": 130}, {"exit_code": 4, "error": "no"}):
        assert run_warnings(now, [made_run(counts={"rows": 1000}, **other)]) == []
    assert run_warnings(made_run(counts={"rows": 10}, exit_code=130), [made_run()]) == []


@pytest.mark.parametrize(
    ("k", "n", "failed", "opened"), [(0, 5, 3, 5), (1, 50, 7, 40), (2, 2, 0, 3)]
)
def test_the_chance_is_that_of_fishers_exact_test(k, n, failed, opened):
    from scipy import stats

    table = [[failed, opened - failed], [k, n - k]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert chance_of((k, n), (failed, opened)) == pytest.approx(expected)
