"""`audiorec.files.arrow`: pages that are not what was written are refused."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import DamagedFileError, MissingFileError, StoreError
from audiorec.files.arrow import WRITING, float_leaves, open_parquet, read_npz

TABLE = pa.table({"a": pa.array(range(1000), pa.int64()), "b": ["text"] * 1000})


def test_a_damaged_page_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(TABLE, path, **WRITING)
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


def test_a_pipe_is_refused_before_it_blocks(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(StoreError, match="is not a regular file"):
        open_parquet(tmp_path / "x")


def test_floats_are_found_in_lists():
    schema = pa.schema(
        {"a": pa.float32(), "b": pa.list_(pa.list_(pa.float32(), 3)), "c": pa.int8()}
    )
    assert float_leaves(schema) == ["a", "b.list.element.list.element"]


def test_arrays_of_an_archive_are_read_by_name_and_no_pickles(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, ids=np.array(["x"]), numbers=np.ones((1, 2)), odd=np.array([{}], object))
    ids, numbers = read_npz(path, ["ids", "numbers"])
    assert (ids.tolist(), numbers.tolist()) == (["x"], [[1.0, 1.0]])
    with pytest.raises(DamagedFileError, match=r"a\.npz: has no array 'y', it has ids"):
        read_npz(path, ["y"])
    with pytest.raises(DamagedFileError, match="allow_pickle"):
        read_npz(path, ["odd"])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedFileError, match=r"a\.npz: cannot be read as npz"):
        read_npz(path, ["ids"])
    with pytest.raises(MissingFileError):
        read_npz(tmp_path / "none.npz", ["ids"])
