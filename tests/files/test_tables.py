"""`audiorec.files.tables`: whole files or none, in row groups, with their metadata."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.files import tables
from audiorec.files.tables import table_writer, write_plain
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
