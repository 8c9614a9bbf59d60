"""`audiorec.files.arrow`: tables for pandas and polars, and what is said without them."""

import sys

import pyarrow as pa
import pytest
from needs import needs

from audiorec.errors import MissingExtraError
from audiorec.files.arrow import arrow_to_pandas, arrow_to_polars, pandas_frame


def test_columns_and_an_index():
    needs("pandas")
    frame = pandas_frame({"b": [1, 2], "a": ["x", "y"]}, index=("song_id", ["s", "t"]))
    assert (list(frame.columns), frame.index.name) == (["b", "a"], "song_id")
    assert frame.loc["t", "b"] == 2
    assert pandas_frame({"a": []}).empty
    assert arrow_to_pandas(pa.table({"a": [1.5]}))["a"].tolist() == [1.5]


def test_polars():
    needs("polars")
    assert arrow_to_polars(pa.table({"a": [1.5]}))["a"].to_list() == [1.5]


@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (lambda: pandas_frame({}), "pandas"),
        (lambda: arrow_to_pandas(pa.table({})), "pandas"),
        (lambda: arrow_to_polars(pa.table({})), "polars"),
    ],
)
def test_without_the_package_the_error_names_the_extra(monkeypatch, make, extra):
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(MissingExtraError, match=rf'needs the extra "{extra}": pip install'):
        make()
