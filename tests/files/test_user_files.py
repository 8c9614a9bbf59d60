"""`audiorec.files.user_files`: a table is the same from CSV and Parquet, or one clear line."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.files.user_files import column_names, read_table

FAILURE = "cannot be read as a table"
ROWS = [{"id": "007", "country": "SE", "age": 41}, {"id": "x", "country": "", "age": 7}]


@pytest.fixture(params=["csv", "parquet"])
def path(request, tmp_path):
    path = tmp_path / f"t.{request.param}"
    if request.param == "csv":
        path.write_text("id,country,age\n007,SE,41\nx,,7\n")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def test_texts_are_the_same_from_both(path):
    assert column_names(path, FAILURE) == ["id", "country", "age"]
    table = read_table(path, FAILURE, needed=("age", "id"), wanted=("country", "more"), texts=True)
    assert sorted(table.column_names) == ["age", "country", "id"]
    assert table.column("id").to_pylist() == ["007", "x"]
    assert table.column("age").to_pylist() == ["41", "7"]
    assert table.column("country").to_pylist() == ["SE", ""]


def test_numbers_stay_numbers_and_ids_of_digits_texts(path):
    table = read_table(path, FAILURE, wanted=None, types={"id": pa.string()})
    assert table.column("id").to_pylist() == ["007", "x"]
    assert pa.types.is_int64(table.schema.field("age").type)


def test_only_what_is_named_is_read(path):
    assert read_table(path, FAILURE, needed=("age",)).column_names == ["age"]


def test_a_column_that_is_missing_is_named(path):
    with pytest.raises(InputError, match=r"a table: has no column sex; it has id, country, age"):
        read_table(path, FAILURE, needed=("sex",))
    with pytest.raises(InputError, match="no such file"):
        read_table(path.with_name(f"gone{path.suffix}"), FAILURE)


def test_words_for_no_value_can_be_chosen(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,n\nNA,1\nb,\n")
    texts = {"id": pa.string()}
    assert read_table(path, FAILURE, wanted=None, types=texts)["id"].to_pylist() == [None, "b"]
    table = read_table(path, FAILURE, wanted=None, types=texts, null_values=[""])
    assert table.to_pylist() == [{"id": "NA", "n": 1}, {"id": "b", "n": None}]


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,n,n\na,1,2\n")
    with pytest.raises(InputError, match="the column 'n' is duplicated"):
        read_table(path, FAILURE, needed=("n",))
    assert read_table(path, FAILURE, needed=("id",)).column("id").to_pylist() == ["a"]
