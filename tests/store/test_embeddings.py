"""`audiorec.store.embeddings`: round trip, order, distrust of what is read and written."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import (
    InputError,
    ShapeError,
    SpecMismatchError,
    StoreError,
    UnknownSongError,
)
from audiorec.store.embeddings import EmbeddingMetadata, EmbeddingTable, write_embeddings

SAMPLES = Path(__file__).parents[2] / "fixtures" / "formats"
IDS = ["c", "a", "b"]
NUMBERS = np.float32([[0.6, 0.8], [-1, 0], [0, 2]])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "embeddings.parquet"
    write_embeddings(
        path,
        IDS,
        NUMBERS,
        kind="songs",
        model_id="m1",
        extractor_id="x1",
        columns={"history": pa.array([3, 1, 2])},
    )
    return path


def rewritten(path, change):
    """Change the metadata JSON of a file with `change(dict)`."""
    table = pq.read_table(path)
    content = json.loads(table.schema.metadata[b"audiorec"])
    change(content)
    pq.write_table(table.replace_schema_metadata({b"audiorec": json.dumps(content).encode()}), path)


def test_round_trip_is_sorted_by_id(path):
    table = EmbeddingTable.open(path, kind="songs")
    assert table.ids == ("a", "b", "c")
    np.testing.assert_array_equal(table.embeddings, NUMBERS[[1, 2, 0]])
    assert table.embeddings.dtype == np.float32
    assert table.columns(["history"]).column("history").to_pylist() == [1, 2, 3]
    assert (table.model_id, table.metadata.extractor_id, table.dimension) == ("m1", "x1", 2)
    assert table.metadata.created_by.startswith("audiorec ")
    assert len(table) == 3


def test_rows_by_id(path):
    table = EmbeddingTable.open(path)
    assert table.row_number("b") == 1
    assert table.row_numbers(["c", "nobody", "a"]).tolist() == [2, -1, 0]
    with pytest.raises(UnknownSongError, match="'d'"):
        table.row_number("d")


def test_a_user_is_not_called_a_song(tmp_path):
    path = tmp_path / "users.parquet"
    write_embeddings(path, ["u"], NUMBERS[:1], kind="users", model_id="m")
    table = EmbeddingTable.open(path, kind="users")
    assert table.column_names == ["user_id", "embedding"]
    with pytest.raises(InputError, match="no user with id 'v'"):
        table.row_number("v")
    with pytest.raises(StoreError, match="holds user_embeddings, not song_embeddings"):
        EmbeddingTable.open(path, kind="songs")


@pytest.mark.parametrize("n", [0, 1, 20_000])
def test_any_number_of_rows(tmp_path, n):
    path = tmp_path / "e.parquet"
    numbers = np.random.default_rng(n).random((n, 5), np.float32)
    write_embeddings(path, [f"{i:06}" for i in range(n)], numbers, kind="users", model_id="m")
    table = EmbeddingTable.open(path)
    np.testing.assert_array_equal(table.embeddings, numbers)
    assert [start for start, _ in table.blocks()] == [0, 16_384][: 1 + n // 16_384]
    assert table.ids[-1:] == (() if n == 0 else (f"{n - 1:06}",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a", "b", "a"]}, "two rows have the user_id 'a'"),
        ({"ids": ["a", "", "b"]}, "a row has no user_id"),
        ({"embeddings": np.float32([[0, 1], [np.nan, 0], [1, 1]])}, "NaN or infinite"),
        ({"columns": {"embedding": pa.array([1, 2, 3])}}, "cannot be named 'embedding'"),
    ],
)
def test_bad_content_is_not_written(tmp_path, change, message):
    path = tmp_path / "e.parquet"
    given = {"ids": IDS, "embeddings": NUMBERS, "columns": {}} | change
    with pytest.raises(InputError, match=message):
        write_embeddings(
            path,
            given["ids"],
            given["embeddings"],
            kind="users",
            model_id="m",
            columns=given["columns"],
        )
    assert list(tmp_path.iterdir()) == []


def test_lengths_must_agree(tmp_path):
    with pytest.raises(ShapeError, match=r"2 ids, embeddings \(3, 2\)"):
        write_embeddings(tmp_path / "e", IDS[:2], NUMBERS, kind="users", model_id="m")
    with pytest.raises(ShapeError, match="columns differ in length"):
        write_embeddings(
            tmp_path / "e",
            IDS,
            NUMBERS,
            kind="users",
            model_id="m",
            columns={"x": pa.array([1])},
        )


def set_to(**changes):
    return lambda content: content.update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to(format_version=2), "a newer audiorec may read it"),
        (set_to(kind="vectors"), "holds vectors, not embeddings"),
        (set_to(model_id=""), "names no model_id"),
        (set_to(dimension=3), "column 'embedding' is .*, expected"),
        (lambda content: content.pop("model_id"), "names no model_id"),
        (set_to(kind="user_embeddings"), "column 'user_id' is missing"),
    ],
)
def test_a_file_that_lies_is_refused(path, change, message):
    rewritten(path, change)
    with pytest.raises(StoreError, match=f"embeddings.parquet: .*{message}"):
        EmbeddingTable.open(path)


def test_a_newer_key_is_passed_over(path):
    rewritten(path, set_to(novelty=[1]))
    assert EmbeddingTable.open(path).model_id == "m1"


def test_a_number_that_is_not_finite_names_its_song(path):
    table = pq.read_table(path)
    flat = np.float32([0, 1, 0, np.inf, 1, 1])
    kind = table.schema.field("embedding").type
    bad = pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)
    field = table.schema.field("embedding")
    pq.write_table(table.set_column(1, field, bad), path)
    with pytest.raises(StoreError, match="the embedding of 'b' is not finite"):
        EmbeddingTable.open(path).embeddings  # noqa: B018


def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(StoreError, match="no such file"):
        EmbeddingTable.open(tmp_path / "none.parquet")
    with pytest.raises(StoreError, match=r"is a folder|not a valid"):
        EmbeddingTable.open(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match="not a valid Parquet file"):
        EmbeddingTable.open(path)
    pq.write_table(pa.table({"song_id": ["a"]}), path)
    with pytest.raises(StoreError, match="recall users --import"):
        EmbeddingTable.open(path)


def test_unknown_columns_are_named(path):
    with pytest.raises(InputError, match="no column 'age'; it has song_id, embedding, history"):
        EmbeddingTable.open(path).columns(["age"])


def made(kind, model_id, space="", dimension=40):
    return EmbeddingMetadata(
        kind=kind, model_id=model_id, extractor_id="", dimension=dimension, space=space
    )


@pytest.mark.parametrize(
    ("songs", "good"),
    [
        (made("song_embeddings", "users-1"), True),
        (made("song_embeddings", "metric-1", "users-1"), True),
        (made("song_embeddings", "metric-1"), False),
        (made("song_embeddings", "metric-1", "users-2"), False),
        (made("song_embeddings", "users-1", dimension=39), False),
    ],
)
def test_only_one_space_is_compared(songs, good):
    users = made("user_embeddings", "users-1")
    if good:
        users.check_same_space(songs, "u and s")
        songs.check_same_space(users, "u and s")
        return
    with pytest.raises(SpecMismatchError, match="u and s: "):
        users.check_same_space(songs, "u and s")
    with pytest.raises(SpecMismatchError, match="u and s: "):
        songs.check_same_space(users, "u and s")


def test_the_space_is_kept(tmp_path):
    write_embeddings(tmp_path / "e", IDS, NUMBERS, kind="songs", model_id="m", space="u")
    assert EmbeddingTable.open(tmp_path / "e").metadata.space == "u"


def test_the_stored_samples_of_version_1():
    songs = EmbeddingTable.open(SAMPLES / "embeddings-v1.parquet", kind="songs")
    assert songs.ids == ("new/song.ogg", "piano/etude.flac", "rock/live.mp3")
    np.testing.assert_allclose(songs.embeddings, [[0, 0.6, -0.8], [0.6, 0.8, 0], [0, -1, 0]])
    assert (songs.model_id, songs.metadata.space) == ("0011223344556677", "8899aabbccddeeff")
    users = EmbeddingTable.open(SAMPLES / "users-v1.parquet", kind="users")
    users.metadata.check_same_space(songs.metadata, "samples")
    assert users.columns(["profile_only"]).column("profile_only").to_pylist() == [False, True]
