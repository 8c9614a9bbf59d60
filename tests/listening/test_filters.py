import numpy as np
import pytest
from made_logs import log_of

from audiorec.errors import InputError
from audiorec.listening.check import describe
from audiorec.listening.sequences import FILTERS, count_noise, noise, to_sequences, without_noise

DAY = 86_400.0


def taken(log, name):
    return np.flatnonzero(noise(log, name)).tolist()


def test_the_eleventh_play_in_a_row_says_nothing():
    rows = [("u", "a", 60.0 * n, "finish") for n in range(12)]
    assert taken(log_of(*rows), "looped") == [10, 11]
    rows.insert(5, ("u", "b", 60.0 * 5 - 1, "finish"))  # runs of 5 and 7
    assert taken(log_of(*rows), "looped") == []
    # Another user's play between them does not end the run.
    others = [("u", "a", 60.0 * n, "finish") for n in range(11)] + [("v", "b", 200.0, "finish")]
    assert taken(log_of(*others), "looped") == [10]


def test_the_thirty_first_play_of_a_day_says_nothing_and_a_new_day_begins_anew():
    rows = []
    for n in range(33):
        at = DAY + 1_000.0 * n if n < 31 else 2 * DAY + n
        rows += [("u", "a", at, "finish"), ("u", f"b{n}", at + 1, "finish")]
    assert taken(log_of(*rows), "looped") == [60]


def test_an_hour_of_201_listenings_goes_as_a_whole():
    rows = [("u", f"s{n}", 7200.0 + n, "play") for n in range(201)]
    rows += [("u", "x", 10_800.0, "play"), ("v", "x", 7200.0, "play")]
    log = log_of(*rows)
    assert taken(log, "flood") == list(range(201))
    assert taken(log.take(np.arange(1, len(log))), "flood") == []  # 200 are possible


def test_five_skips_within_seconds_are_a_chain():
    skips = [("u", f"s{n}", 10.0 * n, "skip") for n in range(5)]
    log = log_of(*skips, ("u", "x", 41.0, "finish"), ("u", "y", 45.0, "skip"))
    assert taken(log, "skip-chain") == [0, 1, 2, 3, 4]
    late = [*skips[:4], ("u", "s4", 41.0, "skip")]
    assert taken(log_of(*late), "skip-chain") == []


def test_what_a_user_says_stays_and_the_rest_is_counted():
    rows = [("ana", f"s{n}", DAY * n, "finish") for n in range(9)]
    rows += [("cafe", f"c{n}", DAY + n, "finish") for n in range(250)]
    log = log_of(*rows, ("cafe", "c0", DAY, "like"))
    kept = without_noise(log, ["flood"])
    assert len(kept) == len(log) - 250
    assert kept.user_ids == log.user_ids
    assert count_noise(log)["flood"] == {"rows": 250, "users": 1}
    assert set(describe(log)["says_nothing"]) == set(FILTERS)
    assert without_noise(log, []) is log


def test_sequences_are_made_without_noise():
    rows = [("u", "a", 60.0 * n, "finish") for n in range(12)]
    assert to_sequences(log_of(*rows)).lengths.tolist() == [12]
    assert to_sequences(log_of(*rows), filters=["looped"]).lengths.tolist() == [10]


def test_rows_without_a_time_have_no_hour():
    rows = [("u", f"s{n}", np.nan, "play") for n in range(300)]
    assert count_noise(log_of(*rows)) == {name: {"rows": 0, "users": 0} for name in FILTERS}
    looped = log_of(*[("u", "a", np.nan, "play")] * 11)
    assert taken(looped, "looped") == [10]


def test_an_unknown_filter_is_refused():
    with pytest.raises(InputError, match="no filter 'boring', there are: looped, flood"):
        noise(log_of(("u", "a", DAY, "finish")), "boring")


def test_an_empty_log_has_no_noise():
    log = log_of(("u", "a", DAY, "finish"))
    empty = log.take(np.zeros(0, np.int64))
    assert all(not noise(empty, name).any() for name in FILTERS)
