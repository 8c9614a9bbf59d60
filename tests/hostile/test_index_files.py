"""An index that lies beside a store is a stranger's file: it may end its own process, not ours."""

import json
from dataclasses import replace

import numpy as np
import pytest
from good_store import CLASSES, METADATA, write_good_store
from needs import needs

needs("faiss")

from audiorec.library.library import Library
from audiorec.search.index import read_index
from audiorec.search.index_build import build_index
from audiorec.search.index_files import (
    KINDS,
    index_path,
    read_info,
    sha256_of,
    sidecar_path,
    write_info,
)

IDS = tuple(f"song {n:03}.mp3" for n in range(120))
ASKED = ("song 003.mp3", "song 077.mp3", "song 119.mp3")
assert METADATA.classes == CLASSES


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Stores with an index of each kind, and what they find without it."""
    found = {}
    for kind in KINDS:
        path = write_good_store(tmp_path_factory.mktemp(kind), IDS)
        build_index(Library.open(path), kind=kind)
        plain = Library.open(path)
        space = plain.space(use_index=False)
        rows = [plain.row_number(name) for name in ASKED]
        found[kind] = path, space.search(space.units(rows), 5)
    return found


def with_right_checksum(path, content):
    """Put another content in the place of faiss' file, and say so in the sidecar."""
    target = index_path(path)
    info = read_info(target)
    target.write_bytes(content)
    piece = replace(info.pieces[0], sha256=sha256_of(target))
    write_info(target, replace(info, pieces=(piece,)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_index_whose_checksum_was_put_right(built, kind):
    path, expected = built[kind]
    whole, sidecar = index_path(path).read_bytes(), sidecar_path(index_path(path)).read_bytes()
    rng = np.random.default_rng(4)
    for case in range(8):
        damaged = bytearray(whole)
        # Half of them in the first bytes, which say how large everything is.
        end = 200 if case % 2 else len(whole)
        for at in rng.integers(0, end, 4):
            damaged[at] = rng.integers(0, 256)
        with_right_checksum(path, bytes(damaged))
        store = Library.open(path)
        space = store.space()
        found = space.search(space.units([store.row_number(name) for name in ASKED]), 5)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-9)
    index_path(path).write_bytes(whole)
    sidecar_path(index_path(path)).write_bytes(sidecar)


def test_an_index_of_other_vectors_is_given_up(built):
    import faiss

    path, expected = built["flat"]
    whole, sidecar = index_path(path).read_bytes(), sidecar_path(index_path(path)).read_bytes()
    index = faiss.read_index(str(index_path(path)))
    vectors = index.reconstruct_n(0, index.ntotal)
    other = faiss.IndexFlatIP(index.d)
    other.add(vectors[::-1].copy())
    faiss.write_index(other, str(index_path(path)))
    with_right_checksum(path, index_path(path).read_bytes())
    store = Library.open(path)
    assert store.space().index is None
    assert "its vectors differ from the store's" in store.space().note
    space = store.space()
    rows = [store.row_number(name) for name in ASKED]
    found = space.search(space.units(rows), 5)
    np.testing.assert_array_equal(found.rows, expected.rows)
    index_path(path).write_bytes(whole)
    sidecar_path(index_path(path)).write_bytes(sidecar)


def test_an_index_that_dies_over_a_question_is_given_up(built, monkeypatch):
    path, expected = built["flat"]
    store = Library.open(path)
    space = store.space()
    units = space.units([store.row_number(name) for name in ASKED])
    assert space.index is not None

    def dies(_query):
        from audiorec.errors import StoreError

        raise StoreError("damaged: the worker died of SIGSEGV")

    monkeypatch.setattr(space.index, "_ask", dies)
    np.testing.assert_array_equal(space.search(units, 5).rows, expected.rows)
    assert space.note == "damaged: the worker died of SIGSEGV; all songs were compared instead"


def test_one_changed_number_of_a_sidecar_is_refused(built):
    path, _ = built["flat"]
    sidecar = sidecar_path(index_path(path))
    whole = sidecar.read_bytes()
    content = json.loads(whole)
    content["scaling"]["centre"][0] += 0.25
    sidecar.write_text(json.dumps(content))
    space = Library.open(path).space()
    assert space.index is None
    assert "does not match content_sha256" in space.note or "damaged" in space.note
    sidecar.write_bytes(whole)
    assert read_index(index_path(path), read_info(index_path(path))) is not None
