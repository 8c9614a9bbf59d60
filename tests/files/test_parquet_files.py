"""`audiorec.files.arrow`: pages and footers that are not what was written are refused."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import StoreError
from audiorec.files import arrow
from audiorec.files.arrow import (
    SEAL,
    WRITING,
    float_leaves,
    is_sealed,
    open_parquet,
    refuse_bomb,
    seal,
)

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
    with pytest.raises(StoreError, match=r"t\.parquet: damaged: the footer does not match"):
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


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch):
    """A megabyte for a gigabyte, so that the tests need no gigabytes either."""
    monkeypatch.setattr(arrow, "LEAST_BYTES", 1 << 20)
    monkeypatch.setattr(arrow, "LEAST_ROWS", 10_000)


def repeated(text, count):
    return pa.array([text]).take(pa.array(np.zeros(count, np.int32)))


def written(path, table, **options):
    pq.write_table(table, path, compression="zstd", **options)
    return pq.ParquetFile(path)


def check(path, table, *, columns=None, groups=None, **options):
    refuse_bomb(written(path, table, **options), path, columns=columns, groups=groups)


@pytest.mark.parametrize(
    "column",
    [
        repeated("x" * 5_000, 1_000),  # 5 MB, stored once
        pa.array(["x" * 2_000_000]),  # 2 MB, stored as it is and packed
        pa.ListArray.from_arrays(pa.array([0, 600_000], pa.int32()), pa.array(np.zeros(600_000))),
        pa.ListArray.from_arrays(pa.array([0, 400], pa.int32()), repeated("y" * 5_000, 400)),
        repeated("x" * 5_000, 1_000).cast(pa.large_string()),
        repeated("x" * 5_000, 1_000).cast(pa.binary()),
    ],
    ids=["one text", "long text", "zeros", "list of texts", "large string", "binary"],
)
def test_bombs_of_every_kind_are_refused(tmp_path, column):
    with pytest.raises(StoreError, match=r"would expand to more than .* GB"):
        check(tmp_path / "a", pa.table({"a": column}))


def test_texts_stored_as_what_follows_the_one_before(tmp_path):
    texts = pa.array([f"{'x' * 3_000}{i}" for i in range(1_000)])
    options = {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}
    with pytest.raises(StoreError, match="would expand"):
        check(tmp_path / "a", pa.table({"a": texts}), **options)


def test_rows_without_end(tmp_path):
    with pytest.raises(StoreError, match="claims 20000 rows in"):
        check(tmp_path / "a", pa.table({"a": repeated("x", 20_000)}))


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("group_rows", [500, 100_000])
def test_honest_tables_pass_even_where_the_footer_alone_would_not_do(
    tmp_path, use_dictionary, group_rows
):
    n = 9_000
    table = pa.table(
        {
            "id": [f"{i * 7919 % n:05d}/song number {i}.mp3" for i in range(n)],
            "artist": [f"artist {i % 2000}" for i in range(n)],
            "x": np.arange(n, dtype=np.float32),
        }
    )
    options = {"use_dictionary": use_dictionary, "row_group_size": group_rows}
    check(tmp_path / "a", table, **options)


def test_halves_are_not_read_to_know_their_size(tmp_path, monkeypatch):
    """Lists of float16 are stored as bytes of a fixed width: the footer says how many there are."""
    monkeypatch.setattr(arrow, "_text_bytes", None)
    noise = np.random.default_rng(0).normal(size=(200, 624)).astype(np.float16)
    halves = pa.FixedSizeListArray.from_arrays(pa.array(noise.ravel()), 624)
    table = pa.table({"h": halves})
    options = {"use_dictionary": False, "use_byte_stream_split": float_leaves(table.schema)}
    check(tmp_path / "a", table, **options)


def test_what_an_honest_file_of_its_size_holds_passes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 60_000, np.uint8).tobytes()  # stays as large
    table = pa.table({"noise": pa.array([noise]), "a": pa.array(["x" * 3_000_000])})
    check(tmp_path / "a", table)  # 3 MB in a file of 60 kB: fifty times
    with pytest.raises(StoreError, match="would expand"):
        check(tmp_path / "a", table.set_column(1, "a", pa.array(["x" * 5_000_000])))


def test_only_what_is_read_counts(tmp_path):
    table = pa.table({"good": pa.array(["a", "b"]), "bad": pa.array(["x" * 2_000_000, "y"])})
    check(tmp_path / "a", table, columns=["good"])
    check(tmp_path / "a", table, groups=[1], row_group_size=1)
    for wanted in ({"columns": ["bad"]}, {"groups": [0]}):
        with pytest.raises(StoreError, match="would expand"):
            check(tmp_path / "a", table, row_group_size=1, **wanted)


def test_columns_below_a_list_count_for_the_column(tmp_path):
    nested = pa.table({"s": pa.array([[0.0] * 300_000]), "t": pa.array([1])})
    check(tmp_path / "a", nested, columns=["t"])
    with pytest.raises(StoreError, match="would expand"):
        check(tmp_path / "a", nested, columns=["s"])


def test_an_open_file_is_looked_at_and_left_where_it_was(tmp_path):
    table = pa.table({"a": repeated("x" * 5_000, 1_000)})
    pq.write_table(table, tmp_path / "a", compression="zstd")
    source = io.BytesIO((tmp_path / "a").read_bytes())
    file = pq.ParquetFile(source)
    source.seek(3)
    with pytest.raises(StoreError, match="would expand"):
        refuse_bomb(file, source)


def test_an_empty_table_passes(tmp_path):
    check(tmp_path / "a", pa.table({"a": pa.array([], pa.string())}))
