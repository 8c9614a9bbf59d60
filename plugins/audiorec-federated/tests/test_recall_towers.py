"""``audiorec recall train two-tower`` and ``mmoe``: profiles in, lists of newcomers out."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from needs import needs

needs("torch")

from two_towers import USERS, listening, people


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A log, what is known of its users and of one newcomer, and of the newcomer alone."""
    profiles, data = people(), listening()
    rows = [
        (user, profiles.categories["items"][row], round(float(profiles.numbers["age"][row]), 1))
        for row, user in enumerate(USERS)
    ]
    newcomer = ("newcomer", "item-1-1|item-1-2|item-1-5", 33)
    heard = data.sequences
    plays = [
        (USERS[row], heard.song_ids[song], 1_700_000_000 + 60 * place, "finish")
        for row in range(len(USERS))
        for place, song in enumerate(heard[row].tolist())
    ]
    columns = ("user_id", "items", "age")
    for name, header, content in (
        ("people.csv", columns, [*rows, newcomer]),
        ("new.csv", columns, [newcomer]),
        ("plays.csv", ("user_id", "song_id", "timestamp", "event"), plays),
    ):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *content])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("channel", ["two-tower", "mmoe"])
def test_newcomers_get_songs_by_their_profile(channel, tables, audiorec):
    needs("torch")
    train = ("recall", "train", channel, *"-i plays.csv --profiles people.csv --out m".split())
    quick = "--set dimension=8 --set batch_size=16 --set learning_rate=0.02 --set max_epochs=5"
    code, _, err = audiorec(*train, *quick.split())
    assert code == 0, err
    assert "refit, epoch 1: loss" in err
    code, _, err = audiorec(
        *"recall candidates m --profiles new.csv --k 10 --out c.parquet".split()
    )
    assert code == 0, err
    found = pq.read_table("c.parquet").to_pylist()
    assert {row["user_id"] for row in found} == {"newcomer"}
    assert {row["channel"] for row in found} == {channel}
    assert np.mean([row["song_id"].startswith("song-1-") for row in found]) > 0.7
    code, _, err = audiorec(*"recall users m --profiles new.csv --out u.parquet".split())
    assert code == 0, err
    code, _, err = audiorec(*"recall candidates m --users u.parquet --k 10 --out d.parquet".split())
    assert code == 0, err
    assert pq.read_table("d.parquet").to_pylist() == found


def test_without_profiles_it_says_what_is_missing(tables, audiorec):
    needs("torch")
    code, _, err = audiorec(*"recall train two-tower -i plays.csv --out m".split())
    assert code == 2
    assert "needs a table of user profiles: give --profiles" in err
