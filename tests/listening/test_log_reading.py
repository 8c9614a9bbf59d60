"""`listening.reading.LogReading` and the range of days: how a log is read."""

from datetime import date

import pytest

from audiorec.errors import InputError
from audiorec.listening.interactions import RowsError
from audiorec.listening.log_files import Days, parse_days
from audiorec.listening.reading import LogReading

LOG = "user_id,song_id,timestamp,event\n" + "".join(
    f"u{user},s{song},2026-01-0{song + 1}T00:00:00Z,{event}\n"
    for user in range(2)
    for song, event in enumerate(("finish", "like", "finish"))
)


@pytest.fixture
def log(tmp_path):
    """A log without mistakes."""
    (tmp_path / "plays.csv").write_text(LOG)
    return tmp_path / "plays.csv"


def test_plays_and_likes_of_a_log(log):
    how = LogReading()
    read = how.log(log)
    assert [how.plays(read).song_ids[s] for s in how.plays(read)[0]] == ["s0", "s2"]
    assert set(how.liked(read).liked.song_ids) == {"s0", "s1", "s2"}
    assert len(how.preferences(read).liked) == 6


def test_a_rule_says_what_is_liked(log, tmp_path):
    (tmp_path / "rule.toml").write_text('[events.finish]\nverdict = "neither"\nliked_from = ""\n')
    how = LogReading(rule=tmp_path / "rule.toml")
    found = how.liked(how.log(log)).liked
    assert [found.song_ids[s] for s in found[0]] == ["s1"]


def test_bad_rows_are_skipped_where_that_is_asked_for(log):
    log.write_text(LOG + "u9,,2026-01-01T00:00:00Z,play\n")
    with pytest.raises(RowsError, match="`skip_bad_rows`"):
        LogReading().log(log)
    assert len(LogReading(skip_bad_rows=True).log(log)) == 6


def test_filters_are_for_plays(log):
    how = LogReading(filter=("looped",))
    assert len(how.plays(how.log(log)).song) == 4
    for ask in (how.liked, how.preferences):
        with pytest.raises(InputError, match="leave filter out"):
            ask(how.log(log))
    with pytest.raises(InputError, match="loops"):
        LogReading(filter=("loops",)).plays(how.log(log))


@pytest.mark.parametrize(
    ("text", "since", "until", "offset"),
    [
        ("2026-11-01..2026-11-25", date(2026, 11, 1), date(2026, 11, 25), ""),
        ("20261101..20261125", date(2026, 11, 1), date(2026, 11, 25), ""),
        ("2026-11-01..", date(2026, 11, 1), None, ""),
        ("..2026-11-25", None, date(2026, 11, 25), ""),
        ("..2026-11-25-08:00", None, date(2026, 11, 25), "-08:00"),
        ("2026-11-01..+05:30", date(2026, 11, 1), None, "+05:30"),
        (" 2026-11-25..2026-11-25 ", date(2026, 11, 25), date(2026, 11, 25), ""),
    ],
)
def test_a_range_of_days(text, since, until, offset):
    assert parse_days(text) == Days(since=since, until=until, utc_offset=offset)


@pytest.mark.parametrize(
    "text",
    ["", "..", "..+08:00", "2026-11-25", "7", "spring..", "2026-11-31..", "2026-11-25..2026-11-01",
     "..2026-11-25+8", "..2026-11-25+99:00", "2026-11-01..2026-11-02..2026-11-03"],
)  # fmt: skip
def test_what_is_no_range_of_days(text):
    with pytest.raises(InputError):
        parse_days(text, "--days")


def test_a_range_begins_and_ends_at_midnight():
    days = parse_days("1970-01-02..1970-01-02+08:00")
    assert (days.starts_s, days.ends_s) == (57_600.0, 144_000.0)
    assert (Days().starts_s, Days().ends_s) == (None, None)
