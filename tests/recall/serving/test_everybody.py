"""`recall.serving.fuse`: default lists by country, written by a night and read by a server."""

import pytest
from made_candidates import table_of
from made_logs import log_of

from audiorec.errors import StoreError
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract import candidates
from audiorec.recall.contract.candidates import DefaultList
from audiorec.recall.serving.fuse import DefaultRule, fuse, read_default, write_default
from audiorec.recall.serving.rules import FusionRecipe

NOW = 1.7e9


def by_country():
    """Two users of FR play b, two of DE a; the log's favourite is a."""
    rows = [(user, "a", NOW, "finish") for user in ("d1", "d2", "d2", "x")]
    rows += [(user, "b", NOW, "finish") for user in ("f1", "f2")]
    people = {"d1": "DE", "d2": "DE", "f1": "FR", "f2": "FR"}
    profiles = Profiles(tuple(people), {"country": list(people.values())}, {})
    return DefaultList.of(log_of(*rows), people=profiles)


def asked(default, **facts):
    found = default.of_people(Profiles.of_user("me", facts)).rows(["me"], 5)
    return found.column("song_id").to_pylist()


def test_a_night_keeps_the_lists_of_countries_for_those_who_come_later(monkeypatch, tmp_path):
    monkeypatch.setattr(candidates, "FEWEST_USERS", 2)
    assert read_default(tmp_path) is None
    rule = DefaultRule(default=by_country(), recipe=FusionRecipe(k=2), depth=9)
    write_default(tmp_path / "default.parquet", rule)
    found = read_default(tmp_path)
    assert asked(found, country="FR") == ["b", "a"]
    assert asked(found, country="DE") == asked(found, country="IS") == asked(found) == ["a", "b"]
    assert asked(found, language="FR") == asked(found, country=5, age=30) == ["a", "b"]
    assert asked(found, country=" FR ", language="DE") == ["b", "a"]


def test_a_short_list_in_which_others_only_agree_with_popular_is_no_default_list():
    rule = DefaultRule(default=by_country(), recipe=FusionRecipe(k=1), depth=9)
    popular, taste = (table_of(n, {"new": of}) for n, of in (("popular", "xy"), ("taste", "yx")))
    fused = fuse([popular, taste], FusionRecipe(k=1, weights=(2.0, 1.0)))
    assert fused.column("channel").to_pylist() == ["popular"]
    nobody = Sequences.from_lists([[]], ["new"])
    found = rule.with_default(fused, nobody, [popular, taste])
    assert found.column("song_id").to_pylist() == ["x"]
    alone = rule.with_default(fused, nobody, [popular])
    assert alone.column("channel").to_pylist() == ["default"]
    nothing = rule.with_default(fused.slice(0, 0), nobody, [popular, taste])
    assert nothing.column("channel").to_pylist() == ["default"]


def test_a_link_in_its_place_is_refused(monkeypatch, tmp_path):
    rule = DefaultRule(default=by_country(), recipe=FusionRecipe(k=2), depth=9)
    write_default(tmp_path / "elsewhere.parquet", rule)
    (tmp_path / "default.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(StoreError, match="link"):
        read_default(tmp_path)
