"""`audiorec.files.tables`: digests of values, whoever wrote the file and however."""

import hashlib
import json
import struct
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flips import flip, some_bits
from good_store import IDS, write_good_store

from audiorec.errors import StoreError
from audiorec.files.parquet_files import is_sealed, open_parquet
from audiorec.files.tables import DIGESTS_KEY, Digests, TableFile, digest_writer, read_digests
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind
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


def digests_of(table, step=5):
    found = Digests(table.schema)
    for start in range(0, len(table), step):
        found.update(table.slice(start, step))
    return found


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def nested(*parts):
    return sha256(*(hashlib.sha256(part).digest() for part in parts))


def test_a_digest_can_be_checked_by_hand():
    found = digests_of(TABLE).to_dict()
    assert (found["algorithm"], found["rows"]) == ("sha256", 5)
    of = {name: column["sha256"] for name, column in found["columns"].items()}
    assert "struct" not in of
    assert of["vector"] == sha256(struct.pack("<10f", 1.5, -2, 0, 3, 4, 5, 6, 7, 8, 9))
    assert of["at"] == sha256(struct.pack("<5q", 1, 2, 3, 4, 5))
    assert of["series"] == nested(
        struct.pack("<5q", 2, 0, 1, 0, 1), struct.pack("<8f", 1, 2, 3, 4, 5, 6, 7, 8)
    )
    text = bytes([1, 1, 1, 0, 1]), struct.pack("<4q", 1, 0, 2, 2), "aézz".encode()
    assert of["text"] == of["big"] == nested(*text)
    assert of["number"] == nested(bytes([1, 0, 1, 1, 1]), struct.pack("<4h", 1, -3, 4, 5))
    assert of["yes"] == nested(bytes([1, 1, 0, 1, 1]), bytes([1, 0, 1, 1]))
    words = (
        struct.pack("<4q", 2, 0, 1, 1),
        bytes([1, 0, 1, 1]),
        struct.pack("<3q", 1, 2, 1),
        b"xyyz",
    )
    assert of["words"] == nested(bytes([1, 0, 1, 1, 1]), *words)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_pieces_and_slices_make_no_difference(step):
    assert digests_of(TABLE, step).to_dict() == digests_of(TABLE).to_dict()
    behind = pa.concat_tables([TABLE, TABLE]).combine_chunks().slice(5)
    assert digests_of(behind, step).to_dict() == digests_of(TABLE).to_dict()


def test_row_groups_encodings_and_dictionaries_make_no_difference(tmp_path):
    for name, options in {"a": {}, "b": {"row_group_size": 2, "use_dictionary": False}}.items():
        pq.write_table(TABLE, tmp_path / name, **options)
        assert digests_of(pq.read_table(tmp_path / name)).to_dict() == digests_of(TABLE).to_dict()


def test_what_differs_is_said_in_one_line_each():
    stored = digests_of(TABLE).to_dict()
    assert list(digests_of(TABLE).differences(stored)) == []
    at = TABLE.schema.get_field_index("number")
    changed = TABLE.set_column(at, "number", pa.array([1, None, -3, 4, 6], pa.int16()))
    assert list(digests_of(changed).differences(stored)) == [
        "the column 'number' holds different values than were written"
    ]
    wider = TABLE.set_column(at, "number", TABLE.column("number").cast(pa.int32()))
    (line,) = digests_of(wider).differences(stored)
    assert line == "the column 'number' is int32, int16 was written"
    (line,) = digests_of(TABLE.drop_columns(["number"])).differences(stored)
    assert line == "the column 'number' is missing, or of a type without a digest"
    assert list(digests_of(TABLE.slice(1)).differences(stored)) == [
        "5 rows were written, 4 were found"
    ]


def test_columns_of_ones_own_are_passed_over():
    more = TABLE.append_column("stars", pa.array([1, 2, 3, 4, 5]))
    assert list(digests_of(more).differences(digests_of(TABLE).to_dict())) == []


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"null",
        b'{"algorithm": "sha256", "rows": "5", "columns": {}}',
        b'{"algorithm": "md5", "rows": 5, "columns": {}}',
        b'{"algorithm": "sha256", "rows": 5, "columns": {"a": {"type": "x"}}}',
        b"[" * 100_000,
    ],
)
def test_digests_that_are_damaged(text):
    with pytest.raises(StoreError, match="its digests are damaged"):
        read_digests({DIGESTS_KEY: text})
    assert read_digests({}) is None


def test_the_writer_seals_and_the_same_rows_make_the_same_file(tmp_path):
    for name, step in {"a": 5, "b": 5}.items():
        with digest_writer(tmp_path / name, TABLE.schema, texts=["text"]) as writer:
            writer.write_table(TABLE, step)
        assert is_sealed(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with open_parquet(tmp_path / "a") as file:
        assert read_digests(file.metadata.metadata) == digests_of(TABLE).to_dict()
        assert file.read().equals(TABLE)


def written_anew(path, *, change=None):
    """Write a file again as another tool would that keeps its metadata: no checksums, no seal."""
    with TableFile.open(path) as file:
        table, kept = file.read(), file.footer[DIGESTS_KEY]
    table = table if change is None else change(table)
    path.unlink()
    with pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({DIGESTS_KEY.decode(): kept.decode()})


def test_a_file_that_another_tool_wrote_is_checked_by_its_values(tmp_path):
    store = write_good_store(tmp_path)
    written_anew(store)
    assert not is_sealed(store)
    found = verify(store)
    assert found.is_good
    assert found.notes == [f"{store}: rewritten by another program; its values were checked"]


@pytest.mark.parametrize("kind", ["vecs", "scores", "features", "errors"])
def test_every_flipped_number_of_such_a_file_is_found(tmp_path, kind):
    store = write_good_store(tmp_path)
    path = store.with_name("vecs.errors.parquet" if kind == "errors" else f"{kind}.parquet")
    written_anew(path)
    whole = path.read_bytes()
    column = {"vecs": "vector", "errors": "size"}.get(kind, "start_s")
    group = open_checked(path, Kind.VECTORS if kind == "vecs" else Kind(kind)).file.metadata
    chunks = [group.row_group(0).column(n) for n in range(group.num_columns)]
    chunk = next(c for c in chunks if c.path_in_schema.split(".")[0] == column)
    last = chunk.data_page_offset + chunk.total_compressed_size
    for bit in range(8 * (last - 8), 8 * last, 3):  # the last values of the column
        flip(path, bit)
        try:
            good = verify(store).is_good
        except StoreError:
            good = False
        assert not good, bit
        path.write_bytes(whole)


def test_a_changed_id_is_found_by_its_digest(tmp_path):
    store = write_good_store(tmp_path)

    def renamed(table):
        ids = ["a/one.flaC", *IDS[1:]]
        return table.set_column(0, table.schema.field(0), pa.array(ids))

    written_anew(store, change=renamed)
    assert "the column 'song_id' holds different values than were written" in [
        problem.reason for problem in verify(store).problems
    ]


def test_a_file_without_digests_is_said_to_be_unverifiable(tmp_path):
    store = write_good_store(tmp_path)
    for name in ("vecs", "scores", "features", "vecs.errors"):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pq.read_table(path), path)
    found = verify(store)
    assert found.is_good
    assert len(found.notes) == 4
    assert all("unverifiable: it has no digests" in note for note in found.notes)


def test_verify_looks_at_tables_of_every_kind(tmp_path):
    from audiorec.files.tables import write_plain

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


def test_the_digests_are_json_that_other_tools_read(tmp_path):
    store = write_good_store(tmp_path)
    about = json.loads(pq.ParquetFile(store).metadata.metadata[b"audiorec.digests"])
    vectors = np.stack(pq.read_table(store).column("vector").to_pylist()).astype("<f4")
    assert about["columns"]["vector"] == {
        "type": "list<float>[30]",
        "sha256": hashlib.sha256(vectors.tobytes()).hexdigest(),
    }
