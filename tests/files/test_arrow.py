"""`audiorec.files.arrow`: the same values as pyarrow's own ways, and no pandas."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from audiorec.files.arrow import booleans, floats, integers, rows
from audiorec.types import string_array


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_are_those_of_pyarrow(texts):
    assert string_array(texts).equals(pa.array(texts, pa.string()))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_those_of_pyarrow(values):
    assert integers(values).equals(pa.array(values, pa.int64()))


def test_views_mind_the_offset():
    numbers = pa.array(np.arange(7, dtype=np.float32))[2:5]
    np.testing.assert_array_equal(floats(numbers), [2, 3, 4])
    answers = pa.array([True, False, False, True, True])[1:4]
    np.testing.assert_array_equal(booleans(answers), [False, False, True])


def test_rows_keep_microseconds_and_nulls():
    when = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
    table = pa.table({"at": pa.array([when, None], pa.timestamp("us", tz="UTC")), "n": [1, 2]})
    assert rows(table) == [{"at": when, "n": 1}, {"at": None, "n": 2}]
    assert rows(table) == table.to_pylist()


def test_a_store_is_read_and_searched_without_pandas():
    script = (
        "import sys, audiorec\n"
        "store = audiorec.open_store('fixtures/formats/vecs-v1.parquet')\n"
        "store.row(store.ids[0]); store.similar(store.ids[0], 2); store.find_uri('x')\n"
        "store.similar('etude', 2)\n"
        "print('pandas' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
