"""`audiorec.store.schema`: what is written comes back, what is odd is refused."""

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.store import schema as files_of
from audiorec.store.records import row_batch, score_values
from audiorec.store.schema import (
    Kind,
    check_ids,
    open_checked,
    schema_of,
    write_batches,
    write_table,
)


@pytest.fixture
def stored(tmp_path, make_table, metadata):
    path = tmp_path / "vecs.parquet"
    write_table(path, make_table(["c", "a", "b"]), metadata)
    return path


def one_line_error(path, kind=Kind.VECTORS, **options):
    with pytest.raises(StoreError) as caught:
        open_checked(path, kind, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_comes_back_sorted_and_whole(stored, make_table, metadata):
    file = open_checked(stored, Kind.VECTORS)
    assert file.metadata == metadata
    assert len(file) == 3
    assert file.read().equals(make_table(["a", "b", "c"]))


def test_layout_on_disk(stored):
    group = pq.ParquetFile(stored).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    vector = columns["vector.list.element"]
    assert vector.compression == "ZSTD"
    assert "BYTE_STREAM_SPLIT" in vector.encodings
    assert not vector.has_dictionary_page
    assert "BYTE_STREAM_SPLIT" in columns["duration_s"].encodings
    assert columns["status"].has_dictionary_page
    assert not columns["song_id"].has_dictionary_page


def test_row_groups_are_bounded_by_rows_and_bytes(tmp_path, make_table, metadata, monkeypatch):
    ids = [f"{i:03}" for i in range(100)]
    table = make_table(ids)
    monkeypatch.setattr(files_of, "GROUP_ROWS", 30)
    write_table(tmp_path / "rows.parquet", table, metadata)
    assert open_checked(tmp_path / "rows.parquet", Kind.VECTORS).group_starts() == [
        *range(0, 100, 30),
        100,
    ]
    monkeypatch.setattr(files_of, "GROUP_BYTES", table.nbytes // 5)
    write_batches(tmp_path / "bytes.parquet", table.to_batches(max_chunksize=7), metadata)
    file = open_checked(tmp_path / "bytes.parquet", Kind.VECTORS)
    assert max(np.diff(file.group_starts())) < 25
    assert file.read().column("song_id").to_pylist() == ids


@pytest.mark.parametrize("rows_in_a_batch", [1, 7, 30, 100])
def test_the_file_does_not_depend_on_how_the_rows_come(
    tmp_path, metadata, make_series, monkeypatch, rows_in_a_batch
):
    scores = replace(metadata, kind=Kind.SCORES)
    schema = schema_of(scores)
    rows = [
        row_batch(
            {**score_values(f"{i:03}", "hash", make_series(1 + i % 9)), "extractor_id": "e"}, schema
        )
        for i in range(100)
    ]
    table = pa.Table.from_batches(rows, schema).combine_chunks()
    monkeypatch.setattr(files_of, "GROUP_BYTES", 4_000)
    write_batches(tmp_path / "whole.parquet", table.to_batches(), scores)
    pieces = table.to_batches(max_chunksize=rows_in_a_batch)
    write_batches(tmp_path / "pieces.parquet", pieces, scores)
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert (tmp_path / "pieces.parquet").read_bytes() == whole
    groups = np.diff(open_checked(tmp_path / "whole.parquet", Kind.SCORES).group_starts())
    assert len(groups) > 4
    assert len(set(groups)) > 1  # by bytes, not by rows
    monkeypatch.setattr(files_of, "GROUP_BYTES", 1)
    write_batches(tmp_path / "single.parquet", pieces, scores)
    single = open_checked(tmp_path / "single.parquet", Kind.SCORES)
    assert single.group_starts() == list(range(101))


def test_empty_table(tmp_path, metadata):
    write_table(tmp_path / "a.parquet", schema_of(metadata).empty_table(), metadata)
    assert len(open_checked(tmp_path / "a.parquet", Kind.VECTORS)) == 0


def test_other_column_order_and_wider_types_are_brought_to_the_schema(
    tmp_path, metadata, make_table
):
    table = make_table(["a"])
    wide = table.set_column(9, "segments", table.column("segments").cast(pa.int64()))
    write_table(tmp_path / "a.parquet", wide.select(wide.column_names[::-1]), metadata)
    assert open_checked(tmp_path / "a.parquet", Kind.VECTORS).read().equals(table)


def test_failure_in_the_middle_leaves_the_old_file(stored, make_table, metadata, monkeypatch):
    before = stored.read_bytes()

    def torn(batches, schema):
        yield pa.Table.from_batches(list(batches), schema)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_of, "_groups", torn)
    with pytest.raises(StoreError, match="cannot be written: no space left on device"):
        write_table(stored, make_table(["z"]), metadata)
    assert stored.read_bytes() == before
    assert [p.name for p in stored.parent.iterdir()] == ["vecs.parquet"]


@pytest.mark.parametrize(
    ("ids", "match"),
    [(["a", "b", "a"], "two rows have the song_id 'a'"), (["b", ""], "a row has no song_id")],
)
def test_bad_ids_are_not_written(tmp_path, make_table, metadata, ids, match):
    table = make_table([name or "x" for name in ids])
    table = table.set_column(0, table.schema.field(0), pa.array(ids))
    with pytest.raises(StoreError, match=match):
        write_table(tmp_path / "a.parquet", table, metadata)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_columns_missing_too_much_or_null_are_not_written(tmp_path, make_table, metadata):
    table = make_table(["a"])
    odd = table.drop_columns(["codec"]).append_column("tempo", pa.array([1]))
    with pytest.raises(StoreError, match="missing or unexpected: codec, tempo"):
        write_table(tmp_path / "a.parquet", odd, metadata)
    odd = table.set_column(6, "duration_s", pa.array([None], pa.float32()))
    with pytest.raises(StoreError, match=r"a\.parquet: column 'duration_s' has rows without"):
        write_table(tmp_path / "a.parquet", odd, metadata)


@pytest.mark.parametrize("bad", [np.nan, None])
def test_vectors_that_are_not_finite_are_not_written(tmp_path, make_table, metadata, bad):
    table = make_table(["a", "b"])
    vectors = pa.array([[0.5] * 18, [0.5] * 17 + [bad]], pa.list_(pa.float32(), 18))
    with pytest.raises(StoreError, match=r"a\.parquet: a vector is not finite"):
        write_table(tmp_path / "a.parquet", table.set_column(1, "vector", vectors), metadata)


def test_rows_of_another_extractor_are_not_written(tmp_path, make_table, metadata):
    with pytest.raises(
        SpecMismatchError, match="has rows from extractor other, expected only 0123"
    ):
        write_table(tmp_path / "a.parquet", make_table(["a"], extractor_id="other"), metadata)


def test_missing_file(tmp_path):
    assert "no such file" in one_line_error(tmp_path / "a.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"ID3 not parquet at all", b"PAR1" * 100])
def test_not_parquet(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert "not a valid Parquet file" in one_line_error(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated(stored, part):
    content = stored.read_bytes()
    stored.write_bytes(content[: int(len(content) * part)])
    assert "not a valid Parquet file" in one_line_error(stored)


def test_damaged_pages_are_a_store_error_when_they_are_read(stored):
    content = bytearray(stored.read_bytes())
    content[4:3_000] = bytes(2_996)
    stored.write_bytes(content)
    with pytest.raises(StoreError, match=r"vecs.parquet: "):
        open_checked(stored, Kind.VECTORS).read()


def test_parquet_of_someone_else(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"song_id": ["a"]}), path)
    assert "without audiorec's metadata" in one_line_error(path)


def test_another_kind(stored):
    assert "holds vectors, not errors" in one_line_error(stored, Kind.ERRORS)


def test_newer_format(tmp_path, make_table, metadata):
    text = json.dumps(asdict(metadata) | {"format_version": 4})
    path = tmp_path / "a.parquet"
    pq.write_table(make_table(["a"]).replace_schema_metadata({"audiorec": text}), path)
    assert "format version 4" in one_line_error(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop_columns(["codec"]), "column 'codec' is missing"),
        (
            lambda t: t.set_column(0, "song_id", t.column("song_id").cast(pa.large_string())),
            "column 'song_id' is large_string, expected string",
        ),
        (
            lambda t: t.set_column(1, "vector", pa.array([[1.0] * 4], pa.list_(pa.float32(), 4))),
            "column 'vector' is fixed_size_list",
        ),
    ],
)
def test_another_schema(tmp_path, make_table, change, match):
    path = tmp_path / "a.parquet"
    pq.write_table(change(make_table(["a"])), path)
    assert match in one_line_error(path)


def test_own_columns_of_a_user_pass_only_where_nothing_is_lost(tmp_path, make_table):
    path = tmp_path / "a.parquet"
    pq.write_table(make_table(["a"]).append_column("stars", pa.array([5])), path)
    assert len(open_checked(path, Kind.VECTORS)) == 1
    message = one_line_error(path, extra_columns=False)
    assert "has extra columns, which would be lost: stars" in message


@pytest.mark.parametrize(
    ("ids", "in_order"),
    [([], True), (["a"], True), (["a", "b"], True), (["B", "a", "é"], True), (["b", "a"], False)],
)
def test_check_ids_tells_the_order(tmp_path, ids, in_order):
    assert check_ids(pa.array(ids, pa.string()), tmp_path) is in_order
