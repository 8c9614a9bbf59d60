"""`audiorec.files.tables`: the pages of every table that is written have checksums."""

from contextlib import suppress

import pyarrow as pa
from flips import flip, some_bits

from audiorec.errors import StoreError
from audiorec.files.tables import TableFile, parquet_writer, write_plain
from audiorec.store.verify import verify

TEXTS = ["a", "", "é", None, "zz"]
TABLE = pa.table(
    {
        "vector": pa.array([[1.5, -2], [0, 3], [4, 5], [6, 7], [8, 9]], pa.list_(pa.float32(), 2)),
        "series": pa.array(
            [[[1, 2], [3, 4]], [], [[5, 6]], [], [[7, 8]]], pa.list_(pa.list_(pa.float32(), 2))
        ),
        "text": pa.array(TEXTS),
        "big": pa.array(TEXTS, pa.large_string()),
        "number": pa.array([1, None, -3, 4, 5], pa.int16()),
        "yes": pa.array([True, False, None, True, True]),
        "at": pa.array([1, 2, 3, 4, 5], pa.timestamp("us", "UTC")),
        "words": pa.array([["x", None], None, [], ["yy"], ["z"]], pa.list_(pa.string())),
        "struct": pa.array([{"a": 1}] * 5),
    }
)


IDS = pa.array(list("abcde"))


def test_the_same_rows_make_the_same_file(tmp_path):
    for name in ("a", "b"):
        with parquet_writer(tmp_path / name, TABLE.schema, texts=["text"]) as writer:
            writer.write_table(TABLE, 5)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with TableFile.open(tmp_path / "a") as file:
        assert file.read().equals(TABLE)


def test_verify_finds_flipped_bits_in_tables_of_every_kind(tmp_path):
    path = tmp_path / "neighbours.parquet"
    write_plain(path, TABLE.drop_columns(["struct", "vector"]).append_column("song_id", IDS))
    found = verify(path)
    assert (found.is_good, found.rows) == (True, {str(path): 5})
    whole = path.read_bytes()
    unseen = 0
    pages = path.stat().st_size - 8 - int.from_bytes(whole[-8:-4], "little")
    for bit in [bit for bit in some_bits(path, 200) if bit < 8 * pages]:
        flip(path, bit)
        with suppress(StoreError):
            unseen += verify(path).is_good
        path.write_bytes(whole)
    assert unseen < 20  # of the magic word, and of statistics and sizes that no one reads
