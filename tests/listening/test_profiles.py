"""`listening.profiles`: encoding by hand, what is not known, refusals with rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.listening.profiles import (
    Encoder,
    Profiles,
    no_profiles,
    read_profiles,
)

CSV = """user_id,country,age,premium
007,SE,20,true
ada,SE,,false
bob,,60,
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "profiles.csv"
    path.write_text(CSV)
    return path


def test_columns_and_what_is_not_known(path):
    profiles = read_profiles(path)
    assert profiles.user_ids == ("007", "ada", "bob")
    assert profiles.categories["country"] == ["SE", "SE", None]
    assert profiles.categories["premium"] == ["true", "false", None]
    np.testing.assert_array_equal(profiles.numbers["age"], [20, np.nan, 60])


def test_encoding_worked_by_hand():
    encoder = Encoder({"country": ("SE", "NO")}, {"age": (30.0, 20.0)})
    users = Profiles(
        ("a", "b", "c", "d"),
        {"country": ["NO", None, "FI", "SE"], "unknown": ["x"] * 4},
        {"age": np.array([10.0, np.nan, 1e6, 35.0])},
    )
    assert encoder.names == (
        "country=SE",
        "country=NO",
        "country=other",
        "country=missing",
        "age",
        "age=missing",
    )
    assert encoder.encode(users).tolist() == [
        [0, 1, 0, 0, -1, 0],
        [0, 0, 0, 1, 0, 1],
        [0, 0, 1, 0, 5, 0],
        [1, 0, 0, 0, 0.25, 0],
    ]


def test_fit_keeps_frequent_values_and_scales_without_what_is_missing():
    country = ["SE"] * 6 + ["NO"] * 7 + ["FI"] * 4 + [None] * 9
    age = np.array([10.0, 20.0, 60.0] + [np.nan] * 23)
    encoder = Encoder.fit(Profiles(tuple(map(str, range(26))), {"c": country}, {"age": age}))
    assert encoder.categories == {"c": ("NO", "SE")}
    mean, std = encoder.numbers["age"]
    assert mean == pytest.approx(30)
    assert std == pytest.approx((1400 / 3) ** 0.5)  # (400 + 100 + 900) / 3


def test_a_number_that_never_varies_or_is_never_known():
    users = Profiles(("a", "b"), {}, {"same": np.array([3.0, 3.0]), "none": np.full(2, np.nan)})
    encoded = Encoder.fit(users).encode(users)
    assert encoded.tolist() == [[0, 0, 0, 1]] * 2


def test_columns_that_are_gone_count_as_not_known():
    encoder = Encoder({"country": ("SE",)}, {"age": (1.0, 1.0)})
    assert encoder.encode(no_profiles(["x"])).tolist() == [[0, 0, 1, 0, 1]]
    assert Encoder({}, {}).encode(no_profiles(["x", "y"])).shape == (2, 0)


def test_nothing_is_known_of_strangers(path):
    users = read_profiles(path).for_users(["zoe", "bob", "007"])
    assert users.categories["country"] == [None, None, "SE"]
    np.testing.assert_array_equal(users.numbers["age"], [np.nan, 60, 20])


def test_round_trip_through_json():
    encoder = Encoder({"c": ("é", "b")}, {"age": (0.1, 2.5)})
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_parquet_with_ids_of_numbers(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"user_id": [12, 7], "n": pa.array([1, None], pa.int8())}), path)
    profiles = read_profiles(path)
    assert profiles.user_ids == ("12", "7")
    np.testing.assert_array_equal(profiles.numbers["n"], [1, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,age\na,1\n", "needs one column 'user_id'"),
        ("user_id,age\na,1\nb,2\na,3\n", "rows 1 and 3 both have user_id 'a'"),
        ("user_id,age\na,1\n,2\n", "row 2 has no user_id"),
        ("user_id,age\na,1\nb,inf\n", "'age' is infinite in row 2"),
        ("user_id,age\na,1,2\n", "cannot be read as a table"),
    ],
)
def test_refusals_name_the_file_and_the_row(tmp_path, text, message):
    path = tmp_path / "profiles.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"profiles.csv: .*{message}"):
        read_profiles(path)


def test_other_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_profiles(tmp_path / "none.csv")
    pq.write_table(pa.table({"user_id": ["a"], "x": [[1, 2]]}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="column 'x' holds list"):
        read_profiles(tmp_path / "p.parquet")
