"""`audiorec.store.inventory`: each store has its own; a shared file of old is divided."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import IDS, METADATA, change, write_good_store

from audiorec.errors import StoreError
from audiorec.store.inventory import errors_beside, errors_path, inventory, read_failures
from audiorec.store.journal import Journal, Outputs
from audiorec.store.schema import Kind
from audiorec.store.verify import verify

OURS, THEIRS = "/music/b/cut.mp3", "/elsewhere/broken.mp3"


@pytest.fixture
def store(tmp_path):
    """A store of songs below /music with a shared file: a failure of its own, one of others."""
    path = write_good_store(tmp_path)
    own = tmp_path / "vecs.errors.parquet"
    table = pq.read_table(own)
    row = table.to_pylist()[0]
    rows = [
        {**row, "song_id": "cut.mp3", "uri": OURS},
        {**row, "song_id": IDS[0], "uri": THEIRS, "failed_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ]
    rows.sort(key=lambda one: one["song_id"])
    shared = pa.Table.from_pylist(rows, table.schema)
    pq.write_table(shared, tmp_path / "errors.parquet")
    own.unlink()
    return path


def outputs(store):
    return Outputs(vectors=store, errors=errors_path(store))


@pytest.mark.parametrize(
    ("store", "errors"),
    [
        ("vecs.parquet", "vecs.errors.parquet"),
        ("a.b.parquet", "a.b.errors.parquet"),
        ("out", "out.errors.parquet"),
    ],
)
def test_two_stores_of_a_folder_have_two_files(tmp_path, store, errors):
    assert errors_path(tmp_path / store) == tmp_path / errors


def test_the_own_file_wins_over_the_shared_one(store):
    assert errors_beside(store).name == "errors.parquet"
    change(store.with_name("errors.parquet"), "attempts", 0, 7)
    store.with_name("vecs.errors.parquet").write_bytes(b"")
    assert errors_beside(store).name == "vecs.errors.parquet"
    assert errors_beside(store.with_name("errors.parquet")) is None


def test_only_failures_below_the_songs_are_a_stores_own(store):
    assert read_failures(store).column("uri").to_pylist() == [OURS]
    (beside,) = (f for f in inventory(store)["beside"] if f["kind"] == "errors")
    assert beside["rows"] == 1
    found = verify(store)
    assert found.is_good  # the other's failure has the id of a song here
    assert found.rows[str(store.with_name("errors.parquet"))] == 1


def test_a_shared_files_rows_of_no_one_are_not_counted_in_an_empty_store(store):
    schema = pq.read_schema(store)
    pq.write_table(pa.Table.from_batches([], schema), store)
    assert len(read_failures(store)) == 0


def test_the_next_run_takes_its_failures_over_and_leaves_the_file(store):
    shared = store.with_name("errors.parquet")
    before = shared.read_bytes()
    with Journal.open(outputs(store), METADATA) as journal:
        assert journal.failures().column("song_id").to_pylist() == ["cut.mp3"]
        assert journal.commit()[Kind.ERRORS] == 1
    assert shared.read_bytes() == before
    own = pq.read_table(store.with_name("vecs.errors.parquet")).to_pylist()
    assert [(row["song_id"], row["attempts"]) for row in own] == [("cut.mp3", 1)]
    with Journal.open_read_only(outputs(store), METADATA) as journal:  # nothing is taken twice
        assert len(journal.failures()) == 1


def test_a_song_that_succeeds_leaves_the_new_file_without_its_failure(store):
    with Journal.open(outputs(store), METADATA) as journal:
        journal.commit(keep=lambda name: name != "cut.mp3")
    assert len(read_failures(store)) == 0


def test_an_errors_file_that_is_named_takes_nothing_over(store):
    named = Outputs(vectors=store, errors=store.with_name("named.parquet"))
    with Journal.open_read_only(named, METADATA) as journal:
        assert len(journal.failures()) == 0


def test_a_damaged_shared_file_stops_no_run_and_is_said_where_it_is_read(store):
    store.with_name("errors.parquet").write_bytes(b"cut")
    with Journal.open_read_only(outputs(store), METADATA) as journal:
        assert len(journal.failures()) == 0
    with pytest.raises(StoreError, match=r"errors\.parquet"):
        read_failures(store)
