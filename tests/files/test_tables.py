"""`audiorec.files.tables`: whole files or none, in row groups, with their metadata."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import StoreError
from audiorec.files import tables
from audiorec.files.tables import TableFile, check_columns, table_writer, write_plain
from audiorec.store.schema import vector_type

SCHEMA = pa.schema(
    [("name", pa.string()), ("x", pa.float32()), ("e", vector_type(2))], metadata={b"who": b"me"}
)


def rows(n):
    columns = {"name": ["a"] * n, "x": [0.5] * n, "e": [[1.0, float(i)] for i in range(n)]}
    return pa.table(columns, schema=SCHEMA)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_what_is_written_is_read(tmp_path, monkeypatch, n):
    monkeypatch.setattr(tables, "GROUP_ROWS", 3)
    write_plain(tmp_path / "t.parquet", rows(n))
    assert pq.read_table(tmp_path / "t.parquet").equals(rows(n), check_metadata=True)
    assert max(1, pq.read_metadata(tmp_path / "t.parquet").num_row_groups) == max(1, -(-n // 3))


def test_texts_have_dictionaries_and_numbers_have_none(tmp_path):
    write_plain(tmp_path / "t.parquet", rows(5))
    group = pq.read_metadata(tmp_path / "t.parquet").row_group(0)
    encodings = [group.column(i).encodings for i in range(3)]
    assert "RLE_DICTIONARY" in encodings[0]
    assert all("BYTE_STREAM_SPLIT" in found for found in encodings[1:])
    assert {group.column(i).compression for i in range(3)} == {"ZSTD"}


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"old")

    def fail():
        with table_writer(path, SCHEMA) as writer:
            writer.write_table(rows(2))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.fixture
def seven(tmp_path, monkeypatch):
    """Seven rows in three row groups."""
    monkeypatch.setattr(tables, "GROUP_ROWS", 3)
    write_plain(tmp_path / "t.parquet", rows(7))
    with TableFile.open(tmp_path / "t.parquet") as file:
        yield file


def test_rows_are_read_by_number_in_the_order_asked_for(seven):
    taken = seven.take([6, 0, 4, 0], ["e"])
    assert taken.column_names == ["e"]
    assert taken.column("e").to_pylist() == [[1, 6], [1, 0], [1, 4], [1, 0]]
    assert len(seven.take([], ["e", "x"])) == 0


def test_groups_batches_and_the_whole_hold_the_same_rows(seven):
    assert (len(seven), seven.group_starts()) == (7, [0, 3, 6, 7])
    groups = [seven.read_group(group) for group in range(3)]
    assert pa.concat_tables(groups).equals(rows(7))
    batches = list(seven.batches(4, ["x"]))
    assert max(map(len, batches)) <= 4
    assert pa.concat_tables(batches).equals(rows(7).select(["x"]))
    assert seven.read(["x"]).equals(rows(7).select(["x"]))


def test_a_table_is_read_as_its_schema_or_refused(tmp_path):
    path = tmp_path / "t.parquet"
    wanted = pa.schema([pa.field("x", pa.float64()), pa.field("name", pa.string(), nullable=False)])
    write_plain(path, rows(2))
    with TableFile.open(path) as file:
        assert file.read_as(wanted).to_pylist() == [{"x": 0.5, "name": "a"}] * 2
        with pytest.raises(StoreError, match=r"t\.parquet: column 'y' is missing"):
            file.read_as(pa.schema([("y", pa.string())]))
    write_plain(path, pa.table({"name": pa.array(["a", None]), "x": [0.5, 0.5]}))
    with (
        TableFile.open(path) as file,
        pytest.raises(StoreError, match=r"t\.parquet: a row has no name"),
    ):
        file.read_as(wanted)


def test_what_is_no_table_is_one_line(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError, match=r"t\.parquet: not a valid Parquet file"):
        TableFile.open(tmp_path / "t.parquet")
    with pytest.raises(StoreError, match="no such file"):
        TableFile.open(tmp_path / "gone.parquet")
    with pytest.raises(StoreError, match="is a folder"):
        TableFile.open(tmp_path)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (pa.field("name", pa.large_string()), "'name' is large_string, expected string"),
        (pa.field("name", pa.string(), nullable=False), "'name' may not contain nulls"),
    ],
)
def test_columns_of_another_form_are_refused(field, said):
    with pytest.raises(StoreError, match=said):
        check_columns(pa.schema([field]), pa.schema([("name", pa.string())]))


def test_an_open_file_is_read_on_though_another_takes_its_place(tmp_path):
    path = tmp_path / "t.parquet"
    before = pa.table({"id": [f"song {n}" for n in range(50)], "n": list(range(50))})
    write_plain(path, before)
    with TableFile.open(path) as file:
        write_plain(path, pa.table({"n": [0.5], "id": ["x" * 1000]}))
        assert file.take([49, 0], ["id", "n"]).to_pydict() == {
            "id": ["song 49", "song 0"],
            "n": [49, 0],
        }
        assert file.read().equals(before)
