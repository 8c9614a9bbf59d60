"""`audiorec.files.arrow`: pages that are not what was written are refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.files.arrow import WRITING, float_leaves, open_parquet

TABLE = pa.table({"a": pa.array(range(1000), pa.int64()), "b": ["text"] * 1000})


@pytest.fixture
def path(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", **WRITING)
    return tmp_path / "t.parquet"


def test_a_damaged_page_is_refused_when_it_is_read(path):
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[chunk.dictionary_page_offset + chunk.total_compressed_size - 3] ^= 4
    path.write_bytes(content)
    with open_parquet(path) as file, pytest.raises(OSError, match="CRC"):
        file.read()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"x" * 100, b"PAR1" * 3])
def test_no_parquet_at_all(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises((OSError, pa.ArrowException)):
        open_parquet(tmp_path / "x")


def test_floats_are_found_in_lists():
    schema = pa.schema(
        {"a": pa.float32(), "b": pa.list_(pa.list_(pa.float32(), 3)), "c": pa.int8()}
    )
    assert float_leaves(schema) == ["a", "b.list.element.list.element"]
