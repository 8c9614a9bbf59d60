"""`audiorec.search.index`: same answers as without, freshness, refusals, filters."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from made_sound import add_lists, random_sound
from needs import needs

needs("faiss")

from audiorec.engines.tasks import Outcome
from audiorec.errors import InputError, MissingExtraError, SpecMismatchError, StoreError
from audiorec.library.library import Library
from audiorec.search import index as module
from audiorec.search import index_build as build
from audiorec.search.index import check_index, read_index
from audiorec.search.index_build import build_index
from audiorec.search.index_files import KINDS, index_path, read_info, sidecar_path
from audiorec.store.schema import StoreMetadata, schema_of
from audiorec.store.store import write_table

pytestmark = pytest.mark.usefixtures("in_this_process")
IDS = [f"{i:03}" for i in range(400)]


def table_of(metadata, vectors, *, ids=IDS, extractor_id="0123456789abcdef"):
    """Return a store's table with these vectors and nothing else of interest."""
    schema = schema_of(metadata)
    values = {"song_id": ids, "vector": vectors.tolist(), "content_hash": ids, "uri": ids}
    values |= {"extractor_id": [extractor_id] * len(ids), "segments": [20] * len(ids)}

    def column(field):
        if field.name in values:
            return pa.array(values[field.name], field.type)
        filler = "ok" if pa.types.is_string(field.type) else 1
        return pa.array([filler] * len(ids)).cast(field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


@pytest.fixture
def vectors():
    return np.random.default_rng(8).beta(0.5, 2, (400, 18)).astype(np.float32)


@pytest.fixture
def path(tmp_path, metadata, vectors):
    write_table(tmp_path / "vecs.parquet", table_of(metadata, vectors), metadata)
    return tmp_path / "vecs.parquet"


def found(space, numbers, k, **options):
    return space.search(space.units(numbers), k, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_finds_what_comparing_all_songs_finds(path, kind):
    info = build_index(Library.open(path), kind=kind)
    store = Library.open(path)
    space, plain = store.space(), store.space(use_index=False)
    assert (space.index.info, space.note, space.exact) == (info, "", kind == "flat")
    assert (info.rows, info.width, info.recall_at_10) == (400, 9, 1.0)
    for query in ("000", "123", "399"):
        own = [store.row_number(query)]
        assert store.similar(query, 7) == found(plain, own, 7, own=np.array(own))[0]
    same(found(space, range(20), 5), found(plain, range(20), 5))
    own = np.arange(20)
    same(found(space, own, 5, own=own), found(plain, own, 5, own=own))


def same(got, expected):
    np.testing.assert_array_equal(got.rows, expected.rows)
    np.testing.assert_allclose(got.similarities, expected.similarities, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.1, 0.02, 0.0])
def test_filters_hold(path, kind, share):
    build_index(Library.open(path), kind=kind)
    store = Library.open(path)
    space, plain = store.space(), store.space(use_index=False)
    allowed = np.random.default_rng(5).random(400) < share
    got = found(space, [1, 2, 3], 6, allowed=allowed)
    assert allowed[got.rows].all()
    same(got, found(plain, [1, 2, 3], 6, allowed=allowed))
    options = {"allowed": allowed, "own": np.array([1, 2, 3])}
    same(found(space, [1, 2, 3], 6, **options), found(plain, [1, 2, 3], 6, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_there_are(path, kind):
    build_index(Library.open(path), kind=kind)
    (got,) = found(Library.open(path).space(), [5], 999)
    assert sorted(got.rows.tolist()) == list(range(400))
    assert (np.diff(got.similarities) <= 0).all()


def test_equal_songs_come_in_the_order_of_ids(tmp_path, metadata, vectors):
    vectors[50:350] = vectors[50]  # far more twins than are fetched beyond k
    write_table(tmp_path / "vecs.parquet", table_of(metadata, vectors), metadata)
    build_index(Library.open(tmp_path / "vecs.parquet"), kind="flat")
    store = Library.open(tmp_path / "vecs.parquet")
    assert store.space().index is not None
    assert [n.song_id for n in store.similar("200", 5)] == IDS[50:55]


@pytest.mark.parametrize("n", [1, 2, 41])
@pytest.mark.parametrize("kind", KINDS)
def test_small_stores(tmp_path, metadata, vectors, kind, n):
    write_table(tmp_path / "v.parquet", table_of(metadata, vectors[:n], ids=IDS[:n]), metadata)
    build_index(Library.open(tmp_path / "v.parquet"), kind=kind)
    store = Library.open(tmp_path / "v.parquet")
    assert store.space().index is not None
    assert len(store.similar("000", 99, minimum=-1)) == n - 1


def test_a_changed_store_is_searched_without_its_index(path, metadata, vectors):
    build_index(Library.open(path), kind="flat")
    before = path.stat()
    changed = vectors.copy()
    changed[7] = changed[7][::-1]  # the same numbers, ids and count: only their order differs
    write_table(path, table_of(metadata, changed), metadata)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    store = Library.open(path)
    space = store.space()
    assert (space.index, space.exact) == (None, True)
    assert "built for an earlier state of vecs.parquet" in space.note
    assert "audiorec index" in space.note
    assert store.similar("007", 1) == store.similar(changed[7], 2)[1:]
    assert space.matrix is store.space(use_index=False).matrix
    build_index(store, kind="flat")
    assert Library.open(path).space().note == ""


def test_a_copied_or_touched_store_keeps_its_index(path):
    build_index(Library.open(path), kind="flat")
    os.utime(path)
    assert Library.open(path).space().index is not None


def test_an_index_of_another_extractor_is_refused(path, metadata, vectors):
    build_index(Library.open(path), kind="flat")
    fields = {name: getattr(metadata, name) for name in metadata.__slots__}
    other = StoreMetadata(**{**fields, "extractor_id": "fedcba9876543210"})
    write_table(path, table_of(other, vectors, extractor_id="fedcba9876543210"), other)
    store = Library.open(path)
    with pytest.raises(SpecMismatchError, match=r"vecs\.faiss: built for extractor 01234567"):
        store.similar("000", 1)
    assert len(found(store.space(use_index=False), [0], 2)[0]) == 2
    assert check_index(store, index_path(path), read_info(index_path(path))) == (
        "built for another extractor than vecs.parquet"
    )


def test_an_index_of_other_weights_is_stale(path, monkeypatch):
    build_index(Library.open(path), kind="flat")
    from audiorec.search import scaling

    monkeypatch.setitem(scaling.WEIGHTS_BY, "vector", {"mean": 1.0, "max": 0.5})
    space = Library.open(path).space()
    assert space.index is None
    assert "other weights" in space.note


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_index_is_passed_over_with_a_note(path, damage):
    build_index(Library.open(path), kind="flat")
    target = index_path(path)
    whole = target.read_bytes()
    if damage == "gone":
        target.unlink()
    else:
        target.write_bytes(whole[:-9] if damage == "cut" else whole[:-1] + b"\0\0"[:1])
        if damage == "changed":
            target.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    store = Library.open(path)
    assert store.space().index is None
    assert "vecs.faiss: " in store.space().note
    assert len(store.similar("000", 3)) == 3
    with pytest.raises(StoreError, match=r"vecs\.faiss: (checksum does not match|no such file)"):
        read_index(target, read_info(target))
    assert check_index(store, target, read_info(target)) != ""


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "audiorec/index/2"},
        {"schema": "audiorec/index/3"},
        {"kind": "tree"},
        {"rows": "many"},
        {"width": 3},
        {"scaling": {}},
        {"extra": 1},
        None,
    ],
)
def test_a_damaged_sidecar_is_passed_over_with_a_note(path, change):
    build_index(Library.open(path), kind="flat")
    sidecar = sidecar_path(index_path(path))
    content = json.loads(sidecar.read_text())
    sidecar.write_text("{" if change is None else json.dumps(content | change))
    with pytest.raises(StoreError, match=r"vecs\.faiss\.json: "):
        read_info(index_path(path))
    space = Library.open(path).space()
    assert space.index is None
    assert "vecs.faiss.json" in space.note


def test_faiss_that_is_another_index_is_not_used(path, metadata, vectors, tmp_path):
    build_index(Library.open(path), kind="flat")
    import faiss

    other = faiss.IndexFlatIP(9)
    other.add(np.ones((3, 9), np.float32))
    faiss.write_index(other, str(index_path(path)))
    sidecar = sidecar_path(index_path(path))
    content = json.loads(sidecar.read_text())
    del content["content_sha256"]
    from audiorec.search.index_files import sha256_of

    sidecar.write_text(json.dumps(content | {"sha256": sha256_of(index_path(path))}))
    with pytest.raises(StoreError, match="holds 3 x 9 numbers, unlike its sidecar"):
        read_index(index_path(path), read_info(index_path(path)))
    index_path(path).write_bytes(b"no index" * 99)
    sidecar.write_text(json.dumps(content | {"sha256": sha256_of(index_path(path))}))
    with pytest.raises(StoreError, match="faiss cannot read it"):
        read_index(index_path(path), read_info(index_path(path)))


def test_without_faiss(path, monkeypatch):
    build_index(Library.open(path), kind="flat")
    monkeypatch.setitem(sys.modules, "faiss", None)
    store = Library.open(path)
    assert store.space().index is None
    assert 'pip install "faiss-cpu>=' in store.space().note
    assert len(store.similar("000", 3)) == 3
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    with pytest.raises(MissingExtraError, match=r'needs the extra "faiss"'):
        build_index(store, kind="ivf")
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_refusals(tmp_path, metadata, path):
    with pytest.raises(InputError, match="kind must be one of flat, hnsw, ivf, got 'tree'"):
        build_index(Library.open(path), kind="tree")
    write_table(tmp_path / "e.parquet", schema_of(metadata).empty_table(), metadata)
    with pytest.raises(InputError, match=r"e\.parquet: no songs to index"):
        build_index(Library.open(tmp_path / "e.parquet"))
    build_index(Library.open(path), kind="flat")
    space = Library.open(path).space()
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        space.search(space.units([0]), 0)
    with pytest.raises(StoreError, match="no such file; build it: audiorec index"):
        read_info(tmp_path / "gone.faiss")


def test_other_ways_of_comparing_use_no_index(path):
    build_index(Library.open(path), kind="flat")
    store = Library.open(path)
    assert store.space("mean").index is None
    assert store.space(weights=[0.75, 0.75, 1, 0, 0, 0]).index is None


def test_a_graph_is_not_walked_for_few_songs(path):
    build_index(Library.open(path), kind="hnsw")
    index = Library.open(path).space().index
    allowed = np.zeros(400, np.bool_)
    allowed[: int(400 * module.LEAST_SHARE) - 1] = True
    units = Library.open(path).space().units([0])
    assert index.search(units, 3, allowed=allowed) is None
    allowed[:200] = True
    assert index.search(units, 3, allowed=allowed) is not None


def test_recall_tells_a_bad_index(path, monkeypatch):
    monkeypatch.setitem(module.PROBES, "vector", 1)
    monkeypatch.setattr(module, "SLACK", 0)
    monkeypatch.setattr(build, "SONGS_PER_LIST", 20)
    info = build_index(Library.open(path), kind="ivf")
    assert 0.1 < info.recall_at_10 < 0.99
    assert info.parameters["lists"] == 20


PIECES = 208  # songs; 400 are two pieces, the last one shorter


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_find_what_one_index_finds(path, kind):
    info = build_index(Library.open(path), kind=kind, piece_songs=PIECES)
    assert [(p.first, p.rows) for p in info.pieces] == [(0, 200), (200, 200)]
    assert read_info(index_path(path)) == info
    assert info.recall_at_10 == 1.0
    store = Library.open(path)
    space, plain = store.space(), store.space(use_index=False)
    assert space.index is not None
    assert space.index.info == info
    own = np.array([1, 150, 399])
    for share in (1.0, 0.3):
        allowed = np.random.default_rng(5).random(400) < share
        allowed[:200] &= share == 1.0  # a piece none of whose songs may be found
        got = found(space, own, 6, allowed=allowed, own=own)
        same(got, found(plain, own, 6, allowed=allowed, own=own))
    assert check_index(store, index_path(path), info) == ""


def test_more_than_pieces_hold(path):
    build_index(Library.open(path), kind="flat", piece_songs=136)
    (got,) = found(Library.open(path).space(), [5], 999)
    assert sorted(got.rows.tolist()) == list(range(400))


def test_an_index_takes_the_place_of_another_at_once(path):
    def names():
        return sorted(p.name for p in path.parent.iterdir())

    build_index(Library.open(path), kind="flat")
    build_index(Library.open(path), kind="flat", piece_songs=200)
    many = names()
    assert [n.rpartition("-")[0] for n in many[:2]] == ["vecs.faiss-00000", "vecs.faiss-00001"]
    assert many[2:] == ["vecs.faiss.json", "vecs.parquet"]
    build_index(Library.open(path), kind="ivf", piece_songs=200)
    assert not set(many[:2]) & set(names())
    build_index(Library.open(path), kind="flat")
    assert names() == ["vecs.faiss", "vecs.faiss.json", "vecs.parquet"]


def test_pieces_are_built_by_processes(path):
    from audiorec.engines.tasks import engine_of

    here = build_index(Library.open(path), kind="flat", piece_songs=136)
    whole = {p.file: path.with_name(p.file).read_bytes() for p in here.pieces}
    for name in whole:
        path.with_name(name).unlink()
    made = build_index(Library.open(path), kind="flat", piece_songs=136, engine=engine_of(jobs=2))
    assert made == here
    assert {name: path.with_name(name).read_bytes() for name in whole} == whole


def test_a_build_that_was_cut_off_makes_what_is_missing(path):
    made = []

    def dies(tasks):
        for task in tasks[:2]:
            made.append(task.index)
            yield task.attempt()
        yield Outcome(2, message="the worker was lost")

    with pytest.raises(StoreError, match=r"vecs\.faiss: piece 2 was not built: the worker"):
        build_index(Library.open(path), kind="flat", piece_songs=136, engine=dies)
    assert not sidecar_path(index_path(path)).exists()
    # One that is there was changed since.
    piece = path.with_name("vecs.faiss.run") / "piece-00001.faiss"
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")

    def notes(tasks):
        for task in tasks:
            made.append(task.index)
            yield task.attempt()

    info = build_index(Library.open(path), kind="flat", piece_songs=136, engine=notes)
    assert [p.rows for p in info.pieces] == [136, 136, 128]
    assert made == [0, 1, 1, 2]
    assert not path.with_name("vecs.faiss.run").exists()
    assert info.recall_at_10 == 1.0


def test_pieces_of_another_store_are_not_gone_on_from(path, metadata, vectors):
    def stops(tasks):
        yield tasks[0].attempt()
        yield Outcome(1, message="no")

    with pytest.raises(StoreError):
        build_index(Library.open(path), kind="flat", piece_songs=PIECES, engine=stops)
    write_table(path, table_of(metadata, vectors[::-1]), metadata)
    asked = []

    def notes(tasks):
        for task in tasks:
            asked.append(task.index)
            yield task.attempt()

    build_index(Library.open(path), kind="flat", piece_songs=PIECES, engine=notes)
    assert asked == [0, 1]
    store = Library.open(path)
    assert store.space().index is not None


def test_a_store_that_changes_while_its_index_is_built(path, metadata, vectors):
    def changes(tasks):
        write_table(path, table_of(metadata, vectors[::-1]), metadata)
        for task in tasks:
            yield task.attempt()

    with pytest.raises(StoreError, match="changed while its index was being built"):
        build_index(Library.open(path), kind="flat", engine=changes)


def test_a_damaged_piece_is_passed_over_with_a_note(path):
    info = build_index(Library.open(path), kind="flat", piece_songs=PIECES)
    third, second = (path.with_name(p.file) for p in info.pieces)
    for damaged in (third.read_bytes(), b"", None):
        if damaged is None:
            second.unlink()
        else:
            second.write_bytes(damaged)
        store = Library.open(path)
        assert store.space().index is None
        assert second.name in store.space().note
        assert check_index(store, index_path(path), info) != ""


def test_pieces_that_do_not_go_together_are_refused(path):
    from audiorec.files.own_files import sealed

    build_index(Library.open(path), kind="flat", piece_songs=PIECES)
    sidecar = sidecar_path(index_path(path))
    content = json.loads(sidecar.read_text())
    del content["content_sha256"]
    first, second = content["pieces"]
    for pieces in (
        [second, first],
        [first],
        [first | {"file": "../vecs.parquet"}, second],
        [first | {"file": "vecs.parquet"}, second],
        [first | {"rows": 199}, second | {"first": 199, "rows": 201}],
        [first | {"rows": True}, second],
        [first | {"more": 1}, second],
        [],
        5,
    ):
        sidecar.write_text(json.dumps(sealed(content | {"pieces": pieces})))
        with pytest.raises(StoreError, match=r"vecs\.faiss\.json: damaged"):
            read_info(index_path(path))


@pytest.fixture
def sounding(path):
    return add_lists(path, sound=random_sound(400, seed=3))


@pytest.mark.parametrize("kind", KINDS)
def test_sound_is_indexed_where_the_store_has_it(sounding, kind):
    info = build_index(Library.open(sounding), kind=kind)
    assert (info.by, info.width, info.recall_at_10) == ("sound", 8, 1.0)
    assert read_info(index_path(sounding)) == info
    store = Library.open(sounding)
    space, plain = store.space(), store.space(use_index=False)
    assert (space.by, space.index.info, space.note) == ("sound", info, "")
    np.testing.assert_array_equal(space.units([7, 3]), plain.units([7, 3]))
    same(found(space, range(20), 5), found(plain, range(20), 5))
    assert check_index(store, index_path(sounding), info) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_songs_without_a_sound_are_in_no_answer(path, kind):
    sound = [None if i % 5 == 0 else row for i, row in enumerate(random_sound(400, seed=3))]
    add_lists(path, sound=sound)
    build_index(Library.open(path), kind=kind)
    store = Library.open(path)
    space, plain = store.space(), store.space(use_index=False)
    assert (space.index is not None, len(space)) == (True, 320)
    same(found(space, [1, 2, 3], 400), found(plain, [1, 2, 3], 400))
    assert not np.isin(found(space, [1], 400)[0].rows, np.arange(0, 400, 5)).any()
    with pytest.raises(InputError, match="'000' has no sound"):
        space.units([0])


def test_an_index_of_another_space_is_not_used(sounding):
    build_index(Library.open(sounding), kind="flat", by="vector")
    store = Library.open(sounding)
    space = store.space()
    assert (space.by, space.index) == ("sound", None)
    assert "is of vector, and songs are compared by sound; all songs were compared" in space.note
    assert space.note.endswith("rebuild it: audiorec index")
    assert store.space("vector").index is not None
    build_index(store, kind="flat")
    space = Library.open(sounding).space("vector")
    assert (space.by, space.index) == ("vector", None)
    assert space.note.endswith("rebuild it: audiorec index --by vector")


def test_an_index_of_other_sounds_is_stale(sounding):
    build_index(Library.open(sounding), kind="flat")
    store = Library.open(sounding)
    vectors = store.fingerprint
    write_table(sounding, store.table().drop_columns(["sound", "embedding"]), plain_metadata(store))
    add_lists(sounding, sound=random_sound(400, seed=4))
    after = Library.open(sounding)
    assert after.fingerprint == vectors
    assert "built for an earlier state" in after.space().note


def plain_metadata(store):
    return replace(store.metadata, lists={}, sound_id="")


def test_what_cannot_be_indexed_is_refused(path):
    store = Library.open(path)
    with pytest.raises(InputError, match=r"an index is of sound or vector, not of mean"):
        build_index(store, by="mean")
    with pytest.raises(InputError, match=r"no song has a sound to index; add it: audiorec extract"):
        build_index(store, by="sound")


def test_pieces_of_sound_are_those_of_one(sounding):
    info = build_index(Library.open(sounding), kind="flat", piece_songs=136)
    assert (info.by, len(info.pieces)) == ("sound", 3)
    store = Library.open(sounding)
    same(found(store.space(), [1, 399], 9), found(store.space(use_index=False), [1, 399], 9))
