"""`audiorec.store.map_file`: the places of a map come back, and what does not fit is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import write_good_store

from audiorec.errors import StoreError
from audiorec.files.tables import write_plain
from audiorec.store.map_file import map_path, read_map, write_map
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.store.verify import verify

PLACES = np.float32([[0.5, -1.1], [1.0, 0.25], [-0.75, 0.0], [0.0, 0.0]])


@pytest.fixture
def store(tmp_path):
    return VectorStore.open(write_good_store(tmp_path / "library"))


@pytest.fixture
def kept(store):
    found = store.column("content_hash").combine_chunks(), PLACES, 3
    write_map(store, "pca", "vector", found)
    return found


def test_what_is_written_comes_back(store, kept):
    hashes, places, at_first = read_map(store, "pca", "vector")
    assert hashes.equals(kept[0])
    assert places.tolist() == PLACES.tolist()
    assert at_first == 3
    assert read_map(store, "umap", "vector") is None


def rewrite(store, change=lambda table: table, **about):
    """Write the map again with another table, or other words about it."""
    path = map_path(store.path, "pca")
    table = pq.read_table(path)
    said = json.loads(table.schema.metadata[METADATA_KEY]) | about
    table = change(table).replace_schema_metadata({METADATA_KEY: json.dumps(said).encode()})
    write_plain(path, table)


def with_x(value):
    return lambda table: table.set_column(
        1, pa.field("x", pa.float32(), nullable=False), pa.array([value, 0, 0, 0], pa.float32())
    )


@pytest.mark.parametrize(
    ("about", "change"),
    [
        ({"extractor_id": "f" * 16}, None),
        ({"by": "sound"}, None),
        ({"projection": "umap"}, None),
        ({"format_version": 2}, None),
        ({"kind": "copies"}, None),
        ({"at_first": True}, None),
        ({"at_first": "3"}, None),
        ({}, with_x(np.nan)),
        ({}, with_x(np.inf)),
        ({}, with_x(-2.1)),
        ({}, lambda table: table.drop_columns(["y"])),
        ({}, lambda table: table.set_column(2, "y", pa.array(["a"] * 4))),
    ],
)
def test_a_map_of_something_else_is_refused(store, kept, about, change):
    rewrite(store, change or (lambda table: table), **about)
    with pytest.raises(StoreError, match=r"vecs\.map-pca\.parquet: "):
        read_map(store, "pca", "vector")


def test_a_damaged_file_is_refused_and_a_link_not_written(store, kept, tmp_path):
    path = map_path(store.path, "pca")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="not a valid Parquet file"):
        read_map(store, "pca", "vector")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"):
        write_map(store, "pca", "vector", kept)


def test_verify_checks_a_map_as_it_checks_the_store(store, kept):
    path = map_path(store.path, "pca")
    good = verify(store.path)
    assert good.is_good
    assert good.rows[str(path)] == 4
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")  # which has no checksum
    for at in range(0, len(whole) - 8 - footer, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if not verify(store.path).problems:  # then the places are what they were
            assert read_map(store, "pca", "vector")[1].tolist() == PLACES.tolist(), at
    path.write_bytes(b"PAR1")
    (problem,) = verify(store.path).problems
    assert (problem.file, problem.check) == (str(path), "file")
    assert problem.reason.endswith("; remove it")


def test_a_kept_map_says_nothing_of_names(store, kept):
    content = map_path(store.path, "pca").read_bytes()
    assert not any(name.encode() in content for name in store.ids)
