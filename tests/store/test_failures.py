"""`audiorec.store.inventory`: each store has its own file of failures."""

import pytest
from good_store import METADATA, write_good_store

from audiorec.errors import StoreError
from audiorec.store.inventory import errors_path, read_failures
from audiorec.store.journal import Journal, Outputs


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


def test_failures_are_read_kept_and_forgotten(tmp_path):
    store = write_good_store(tmp_path)
    (failure,) = read_failures(store).to_pylist()
    outputs = Outputs(vectors=store, errors=errors_path(store))
    with Journal.open(outputs, METADATA) as journal:
        journal.commit(keep=lambda name: name != failure["song_id"])
    assert len(read_failures(store)) == 0
    errors_path(store).unlink()
    assert read_failures(store) is None
    errors_path(store).write_bytes(b"cut")
    with pytest.raises(StoreError, match=r"vecs\.errors\.parquet"):
        read_failures(store)
