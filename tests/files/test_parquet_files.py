"""`audiorec.files.parquet_files`: pages and footers that are not what was written are refused."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import StoreError
from audiorec.files.parquet_files import SEAL, WRITING, float_leaves, is_sealed, open_parquet, seal

TABLE = pa.table({"a": pa.array(range(1000), pa.int64()), "b": ["text"] * 1000})


@pytest.fixture
def path(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", **WRITING)
    return tmp_path / "t.parquet"


def test_a_seal_is_passed_over_by_other_tools(path):
    assert not is_sealed(path)
    before = path.read_bytes()
    seal(path)
    assert is_sealed(path)
    assert path.stat().st_size == len(before) + 40
    assert pq.read_table(path).equals(TABLE)
    for tool in ("duckdb", "polars"):
        module = needs(tool)
        found = module.read_parquet(str(path))
        assert found.shape == (1000, 2)


def test_every_bit_of_a_sealed_footer_counts(path):
    seal(path)
    whole = path.read_bytes()
    start = whole.index(SEAL) + len(SEAL)
    for bit in range(8 * start, 8 * len(whole), 7):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        with pytest.raises((StoreError, OSError, pa.ArrowException)):
            open_parquet(io.BytesIO(content))
    path.write_bytes(whole[:start] + b"\0" * 32 + whole[start + 32 :])
    with pytest.raises(StoreError, match=r"t\.parquet: damaged: its footer is not the one"):
        open_parquet(path)


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
    assert not is_sealed(tmp_path / "x")
    with pytest.raises((OSError, pa.ArrowException)):
        open_parquet(tmp_path / "x")


def test_floats_are_found_in_lists():
    schema = pa.schema(
        {"a": pa.float32(), "b": pa.list_(pa.list_(pa.float32(), 3)), "c": pa.int8()}
    )
    assert float_leaves(schema) == ["a", "b.list.element.list.element"]
