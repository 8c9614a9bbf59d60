"""`recall.serving.one_user.reasons`: shares by hand, long and short, with and without times."""

from dataclasses import replace

import numpy as np
import pytest

from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.serving.one_user.reasons import PORTRAIT, portraits


def side_of(**genres):
    ids = tuple(sorted(genres))
    values = tuple(sorted({g for g in genres.values() if g}))
    number = np.array([values.index(genres[s]) if genres[s] else -1 for s in ids], np.int32)
    category = Category(number, values, np.zeros(len(ids), bool))
    return SongSide(
        song_ids=ids,
        categories={"genre": category},
        released=np.full(len(ids), np.nan, np.float32),
    )


def rows_of(table, user, horizon):
    return {
        row["value"]: (round(row["share"], 4), row["plays"])
        for row in table.to_pylist()
        if row["user_id"] == user and row["horizon"] == horizon
    }


SIDE = side_of(a="jazz", b="rock", c="rock", d=None)


def test_half_lives_in_days():
    plays = Sequences.from_lists([["a", "a", "b"], ["d"]], ["u", "v"])
    plays = replace(plays, time=np.array([0.0, 87.0, 90.0, 0.0]) * DAY_S)
    table = portraits(plays, SIDE)
    assert table.schema == PORTRAIT
    # long: jazz 2^-1 + 2^(-3/90), rock 1; short: jazz 2^-30 + 2^-1, rock 1
    jazz = 0.5 + 2 ** (-3 / 90)
    assert rows_of(table, "u", "long")["jazz"] == (round(jazz / (jazz + 1), 4), 2)
    assert rows_of(table, "u", "short") == {"rock": (0.6667, 1), "jazz": (0.3333, 2)}
    assert rows_of(table, "v", "long") == {}  # nothing is known of what v plays


def test_without_times_ten_plays_are_a_day():
    plays = Sequences.from_lists([["a"] + ["b"] * 30])
    short = rows_of(portraits(plays, SIDE), "0", "short")
    assert short["jazz"][0] == pytest.approx(
        0.5 / (0.5 + sum(2 ** (-n / 30) for n in range(30))), abs=1e-4
    )


def test_only_the_largest_shares_stay_and_equals_stand_by_value():
    plays = Sequences.from_lists([["a", "b", "b", "c"]])
    plays = replace(plays, time=np.zeros(4))
    table = portraits(plays, SIDE, most=1)
    assert rows_of(table, "0", "long") == {"rock": (0.75, 3)}
    even = replace(Sequences.from_lists([["b", "a"]]), time=np.zeros(2))
    assert portraits(even, SIDE).column("value").to_pylist()[:2] == ["jazz", "rock"]


def test_shares_of_a_kind_sum_to_one_and_empty_data_is_no_error():
    plays = Sequences.from_lists([["a", "b", "c", "d", "zzz"]])
    found = rows_of(portraits(plays, SIDE), "0", "long")
    assert sum(share for share, _ in found.values()) == pytest.approx(1, abs=1e-3)
    assert len(portraits(Sequences.from_lists([]), SIDE)) == 0
    assert len(portraits(plays, replace(SIDE, categories={}))) == 0
