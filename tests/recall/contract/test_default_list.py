"""`recall.contract.candidates`: what is popular now, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from made_logs import log_of

from audiorec.listening.events import TextColumn
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract import candidates
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA, DefaultList

WEEK = 7 * 86_400.0
NOW = 1.7e9


def songs(found):
    return dict(zip(found.song_ids.to_pylist(), found.weight.round(4).tolist(), strict=True))


def test_a_play_counts_half_for_every_week_and_only_finished_plays_count():
    rows = [("u", "a", NOW, "finish"), ("u", "b", NOW - WEEK, "finish")]
    rows += [("v", "b", NOW - 2 * WEEK, "finish"), ("v", "b", NOW - 3 * WEEK, "play")]
    rows += [("v", "c", NOW, "skip"), ("v", "c", NOW, "like")]
    assert songs(DefaultList.of(log_of(*rows))) == {"a": 1.0, "b": 0.5 + 0.25 + 0.125}


def test_songs_of_the_product_come_first_and_the_others_fill_up():
    rows = [("u", song, NOW, "finish") for song in "aaabbc"]
    entry = TextColumn(np.array([0, 0, 0, 0, 1, 1], np.int32), ("daily", "radio"))
    log = replace(log_of(*rows), labels={"entry": entry})
    assert list(songs(DefaultList.of(log, "radio"))) == ["b", "c", "a"]
    assert list(songs(DefaultList.of(log, "daily"))) == ["a", "b", "c"]
    for other in ("", "weekly"):  # a product that the log does not name: all plays
        assert songs(DefaultList.of(log, other)) == {"a": 3.0, "b": 2.0, "c": 1.0}
    weight = DefaultList.of(log, "radio").weight
    assert (np.diff(weight) <= 0).all()


def test_plays_without_a_time_count_and_a_log_without_plays_has_no_list():
    never = float("nan")
    rows = [("u", "b", never, "finish"), ("v", "b", never, "finish"), ("v", "a", never, "finish")]
    assert songs(DefaultList.of(log_of(*rows))) == {"b": 2.0, "a": 1.0}
    nothing = DefaultList.of(log_of(("u", "a", NOW, "skip")))
    assert len(nothing) == len(nothing.rows(["u", "v"], 5)) == 0


def by_country(monkeypatch, fewest=2):
    """Two users of FR play b, two of DE a; the log's favourite is a."""
    monkeypatch.setattr(candidates, "FEWEST_USERS", fewest)
    rows = [(user, "a", NOW, "finish") for user in ("d1", "d2", "d2", "x")]
    rows += [(user, "b", NOW, "finish") for user in ("f1", "f2")]
    people = {"d1": "DE", "d2": "DE", "f1": "FR", "f2": "FR", "x": None, "new": "FR", "far": "IS"}
    profiles = Profiles(tuple(people), {"country": list(people.values())}, {})
    return DefaultList.of(log_of(*rows), people=profiles)


def test_a_country_has_a_list_that_begins_with_what_its_users_play(monkeypatch):
    found = by_country(monkeypatch).rows(["far", "new", "d1", "unknown"], 2)
    rows = list(zip(*(found.column(n).to_pylist() for n in ("user_id", "song_id")), strict=True))
    assert rows == [
        *(("far", "a"), ("far", "b")),  # nobody of that country has played anything
        *(("new", "b"), ("new", "a")),
        *(("d1", "a"), ("d1", "b")),
        *(("unknown", "a"), ("unknown", "b")),
    ]
    assert found.schema.equals(SCHEMA)
    only = by_country(monkeypatch).among({"b"}).rows(["d1"], 2)
    assert only.column("song_id").to_pylist() == ["b"]


def test_a_country_of_few_users_has_no_list_of_its_own(monkeypatch):
    found = by_country(monkeypatch, fewest=3).rows(["new"], 1)
    assert found.column("song_id").to_pylist() == ["a"]


def test_language_stands_in_where_no_country_is_known():
    log = log_of(*[(f"u{n}", "ba"[n < 20], NOW, "finish") for n in range(60)])
    people = tuple(f"u{n}" for n in range(60))
    languages = ["fr" if n < 20 else "de" for n in range(60)]
    for column, first in (("language", "a"), ("colour", "b")):
        found = DefaultList.of(log, people=Profiles(people, {column: languages}, {}))
        assert found.rows(["u3"], 1).column("song_id").to_pylist() == [first]


@pytest.mark.parametrize("k", [1, 2, 9])
def test_rows_are_candidates_of_a_channel_of_their_own(k):
    found = DefaultList.of(log_of(*[("u", song, NOW, "finish") for song in "aab"]))
    table = found.rows(["x", "y"], k)
    assert table.schema.equals(SCHEMA)
    n = min(k, 2)
    assert table.column("user_id").to_pylist() == ["x"] * n + ["y"] * n
    assert table.column("rank").to_pylist() == [*range(1, n + 1)] * 2
    assert set(table.column("channel").to_pylist()) == {DEFAULT}
    assert found.among({"b", "z"}).rows(["x"], k).column("song_id").to_pylist() == ["b"]
