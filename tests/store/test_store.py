"""`audiorec.store.store`: opening, reading and finding songs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audiorec.errors import InputError, StoreError, UnknownSongError
from audiorec.store import schema as files_of
from audiorec.store.schema import schema_of
from audiorec.store.store import VectorStore, write_table

# In the order of UTF-8 bytes: É comes after all of ASCII.
IDS = ["jazz/blue train.flac", "rock/live/etude.mp3", "rock/metude.mp3", "rock/Étude.mp3", "z"]


@pytest.fixture
def path(tmp_path, make_table, metadata, monkeypatch):
    """Five songs in three row groups."""
    monkeypatch.setattr(files_of, "GROUP_ROWS", 2)
    write_table(tmp_path / "vecs.parquet", make_table(IDS[::-1]), metadata)
    return tmp_path / "vecs.parquet"


@pytest.fixture
def store(path):
    return VectorStore.open(path)


def with_column(path, index, values):
    """The same file with another first or second column, written by other hands."""
    table = pq.read_table(path)
    array = pa.array(values, table.schema.field(index).type)
    pq.write_table(table.set_column(index, table.schema.field(index), array), path)
    return path


def test_reads_what_was_written(store, make_row, metadata):
    assert len(store) == 5
    assert store.ids == tuple(IDS)
    assert store.metadata == metadata
    assert store.vectors.dtype == np.float32
    np.testing.assert_array_equal(store.vectors, [make_row(name)["vector"] for name in IDS])


def test_vectors_cannot_be_changed_by_accident(store):
    with pytest.raises(ValueError, match="read-only"):
        store.vectors[0, 0] = 1
    mine = store.read_vectors()
    mine[0, 0] = 7
    assert store.vectors[0, 0] != 7


def test_a_store_whose_vectors_are_unreadable_opens_and_knows_its_songs(path):
    footer = pq.read_metadata(path)
    columns = range(footer.num_columns)
    with path.open("r+b") as file:
        for group in map(footer.row_group, range(footer.num_row_groups)):
            at = next(
                c for c in map(group.column, columns) if c.path_in_schema.startswith("vector")
            )
            file.seek(at.dictionary_page_offset or at.data_page_offset)
            file.write(b"\xff" * at.total_compressed_size)
    store = VectorStore.open(path)
    assert store.ids == tuple(IDS)
    assert store.row(IDS[0])["song_id"] == IDS[0]
    with pytest.raises(StoreError):
        store.read_vectors()


@pytest.mark.parametrize("opening", ["OSFile", "memory_map", "ParquetFile"])
def test_a_store_that_is_replaced_while_it_is_opened(
    path, tmp_path, make_table, make_row, metadata, monkeypatch, opening
):
    other = tmp_path / "other.parquet"
    write_table(other, make_table(["another", "song"]), metadata)
    module = pq if opening == "ParquetFile" else pa
    way = getattr(module, opening)

    def replaced(*source, **options):
        if other.exists():
            other.replace(path)
        return way(*source, **options)

    monkeypatch.setattr(module, opening, replaced)
    store = VectorStore.open(path)
    assert not other.exists()
    assert store.ids == (tuple(IDS) if opening == "ParquetFile" else ("another", "song"))
    for vectors in (store.vectors, store.read_rows(range(len(store)))):  # by both handles
        np.testing.assert_array_equal(vectors, [make_row(name)["vector"] for name in store.ids])
    assert store.songs_with("sound") == 0


def test_opening_reads_no_vectors(store):
    assert "vectors" not in vars(store)
    assert store.vectors is store.vectors


def test_one_vector(store, make_row):
    for name in IDS:
        np.testing.assert_array_equal(store.vector(name), make_row(name)["vector"])


def test_row_has_the_other_columns(store, make_row):
    row = store.row("z")
    assert "vector" not in row
    assert row["extracted_at"] == make_row("z")["extracted_at"]
    assert row["uri"] == "/music/z"
    assert row["title"] is None


def test_rows_come_in_the_order_asked_for(store):
    assert [row["song_id"] for row in store.rows([4, 0, 3, 0])] == [IDS[i] for i in (4, 0, 3, 0)]
    assert store.rows([]) == []


def test_column(store):
    assert store.column("song_id").to_pylist() == IDS
    with pytest.raises(InputError, match="no column 'tempo', there are: song_id, vector"):
        store.column("tempo")


def test_column_of_the_users_own(path):
    pq.write_table(pq.read_table(path).append_column("stars", pa.array(range(5))), path)
    assert VectorStore.open(path).row("z")["stars"] == 4


def test_empty_store(tmp_path, metadata):
    write_table(tmp_path / "vecs.parquet", schema_of(metadata).empty_table(), metadata)
    store = VectorStore.open(tmp_path / "vecs.parquet")
    assert store.ids == ()
    assert store.vectors.shape == (0, 18)
    with pytest.raises(UnknownSongError, match=r"no song with id 'a'$"):
        store.row("a")


def test_file_that_is_not_sorted(path):
    table = pq.read_table(path)
    pq.write_table(table.take([3, 1, 4, 0, 2]), path)
    store = VectorStore.open(path)
    assert store.ids == tuple(IDS[i] for i in (3, 1, 4, 0, 2))
    assert store.ranks.tolist() == [3, 1, 4, 0, 2]
    np.testing.assert_array_equal(store.vector("z"), store.vectors[2])


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        (["a", "b", "c", "a", "d"], "two rows have the song_id 'a'"),
        (["", "b", "c", "d", "e"], "a row has no song_id"),
    ],
)
def test_bad_ids_are_found_on_opening(path, ids, match):
    with pytest.raises(StoreError, match=rf"vecs.parquet: {match}"):
        VectorStore.open(with_column(path, 0, ids))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_found_on_reading(path, bad):
    vectors = np.ones((5, 18))
    vectors[2, 17] = bad
    store = VectorStore.open(with_column(path, 1, vectors.tolist()))
    with pytest.raises(StoreError, match=r"vecs.parquet: the vector of 'rock/metude.mp3' is not"):
        _ = store.vectors


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True),
    vector=hnp.arrays(
        np.float32, 18, elements=st.floats(width=32, allow_nan=False).filter(np.isfinite)
    ),
    title=st.none() | st.text(),
)
def test_round_trip_of_anything(tmp_path, make_table, metadata, ids, vector, title):
    path = tmp_path / "any.parquet"
    write_table(path, make_table(ids, vector=vector, title=title), metadata)
    store = VectorStore.open(path)
    assert store.ids == tuple(sorted(ids))
    np.testing.assert_array_equal(store.vectors, np.tile(vector, (len(ids), 1)))
    assert [store.row(name)["title"] for name in ids] == [title] * len(ids)
    assert [store.ids[store.row_number(name)] for name in ids] == ids


def test_unknown_id_with_near_matches(store):
    with pytest.raises(UnknownSongError, match=r"did you mean: jazz/blue train\.flac"):
        store.row("jazz/blue trian.flac")
    with pytest.raises(UnknownSongError, match=r"no song with id 'qqq'$"):
        store.vector("qqq")
    with pytest.raises(UnknownSongError, match=r"no song with id ''$"):
        store.row_number("")


def test_footer_that_promises_other_rows(store, monkeypatch):
    monkeypatch.setattr(files_of.Checked, "group_starts", lambda _self: [0, 3, 4, 5])
    with pytest.raises(
        StoreError, match=r"vecs\.parquet: row group 0 has fewer rows than it claims"
    ):
        store.read_vectors()
