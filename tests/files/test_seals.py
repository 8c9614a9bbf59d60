"""`audiorec.files.tables`: tables have checksums and a seal, whoever rewrites them."""

from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
from flips import flip, some_bits
from good_store import write_good_store

from audiorec.errors import StoreError
from audiorec.files.arrow import is_sealed
from audiorec.files.tables import OLD_DIGESTS, TableFile, sealed_writer, write_plain
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


def test_the_writer_seals_and_the_same_rows_make_the_same_file(tmp_path):
    for name, step in {"a": 5, "b": 5}.items():
        with sealed_writer(tmp_path / name, TABLE.schema, texts=["text"]) as writer:
            writer.write_table(TABLE, step)
        assert is_sealed(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with TableFile.open(tmp_path / "a") as file:
        assert file.is_sealed
        assert file.read().equals(TABLE)


def test_digests_of_an_older_file_are_gone_once_it_is_written_anew(tmp_path):
    old = TABLE.replace_schema_metadata({OLD_DIGESTS: b"{}", b"kept": b"yes"})
    write_plain(tmp_path / "t", old)
    assert pq.read_schema(tmp_path / "t").metadata == {b"kept": b"yes"}


def test_a_file_without_a_seal_is_said_to_be_unverifiable(tmp_path):
    store = write_good_store(tmp_path)
    for name in ("vecs", "scores", "features", "vecs.errors"):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pq.read_table(path), path)
    found = verify(store)
    assert found.is_good
    assert len(found.notes) == 4
    assert all("unverifiable: it has no seal" in note for note in found.notes)


def test_verify_looks_at_tables_of_every_kind(tmp_path):
    path = tmp_path / "neighbours.parquet"
    write_plain(path, TABLE.drop_columns(["struct"]))
    found = verify(path)
    assert (found.is_good, found.rows, found.notes) == (True, {str(path): 5}, [])
    whole = path.read_bytes()
    unseen = 0
    for bit in some_bits(path, 100):
        flip(path, bit)
        with suppress(StoreError):
            unseen += verify(path).is_good
        path.write_bytes(whole)
    assert unseen < 20  # of the magic word, statistics and sizes that no one reads
