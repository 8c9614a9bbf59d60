"""`audiorec.listening.rule`: the table, its limits, and files that change it."""

import json
from datetime import UTC, datetime

import pytest

from audiorec.errors import InputError
from audiorec.listening.rule import Clause, Rule, Verdict, as_time, load_rule


@pytest.fixture
def write(tmp_path):
    def write(text, name="rule.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_file_changes_what_it_names_and_nothing_else(write):
    rule = load_rule(
        write(
            "min_liked = 5\n"
            "since = 2024-03-01\n"
            "until = 2024-04-01T06:00:00+02:00\n"
            "[events.finish]\nliked_from = 0.75\n"
            '[events.skip]\ndisliked_below = ""\nweight = 0.5\n'
        )
    )
    default = Rule()
    assert rule.events["finish"] == Clause(verdict=Verdict.LIKED, liked_from=0.75)
    assert rule.events["skip"] == Clause(verdict=Verdict.DISLIKED, weight=0.5)
    for event in ("play", "like", "dislike", "playlist"):
        assert rule.events[event] == default.events[event]
    assert (rule.min_liked, rule.min_likers, rule.drop_duplicates) == (5, 0, False)
    assert rule.since == datetime(2024, 3, 1, tzinfo=UTC).timestamp()
    assert rule.until == datetime(2024, 4, 1, 4, tzinfo=UTC).timestamp()


def test_json_and_toml_say_the_same(write):
    content = {"min_likers": 2, "events": {"play": {"verdict": "liked", "liked_from": None}}}
    from_json = load_rule(write(json.dumps(content), "rule.json"))
    from_toml = load_rule(
        write('min_likers = 2\n[events.play]\nverdict = "liked"\nliked_from = ""\n')
    )
    assert from_json == from_toml
    assert from_json.events["play"].liked_from is None


def test_an_empty_file_is_the_default(write):
    assert load_rule(write("")) == Rule()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_liked = -1", "min_liked: expected a whole number from 0, got -1"),
        ("min_liked = true", "min_liked: expected a whole number"),
        ("min_plays = 3", "unknown key 'min_plays'"),
        ("drop_duplicates = 1", "drop_duplicates: expected true or false"),
        ("[events.hum]\nweight = 1", "events: expected play, finish, .*got 'hum'"),
        ("[events.play]\nlike_from = 1", "events.play: unknown key 'like_from'"),
        ("[events.play]\nliked_from = 1.5", "events.play.liked_from: expected from 0 to 1"),
        ("[events.play]\ndisliked_below = 0.95", "disliked_below: expected at most liked_from"),
        ('[events.play]\nverdict = "loved"', "verdict: expected liked, disliked, neither"),
        ("[events.like]\nexplicit = 1", "explicit: expected true or false"),
        ("[events.like]\nweight = 0", "weight: expected from 0.001"),
        ("[events.like]\nweight = nan", "weight: expected from 0.001"),
        ("events = 3", "events: expected a table"),
        ("since = 2024-03-01\nuntil = 2024-03-01", "until: expected later than since"),
        ('since = "spring"', "since: expected a date such as"),
        ("a = = 1", "not a rule"),
    ],
)
def test_what_is_refused_names_the_file(write, text, message):
    with pytest.raises(InputError, match=rf"rule.toml: .*{message}"):
        load_rule(write(text))


def test_missing_files_and_bad_json(write, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_rule(tmp_path / "gone.toml")
    with pytest.raises(InputError, match="not a rule"):
        load_rule(write("{", "rule.json"))
    with pytest.raises(InputError, match="expected a table, got"):
        load_rule(write("[1]", "rule.json"))


def test_a_rule_needs_a_clause_for_each_event():
    with pytest.raises(InputError, match="a clause for each of"):
        Rule(events={"play": Clause()})


def test_times():
    assert as_time(12, "x") == as_time("1970-01-01T00:00:12", "x") == 12.0
    assert as_time("1970-01-02", "x") == 86_400.0
    for value in (None, True, [1], "never"):
        with pytest.raises(InputError, match="x: expected a date"):
            as_time(value, "x")
