"""`audiorec.extraction.parts`: which files of a folder make up a store."""

from pathlib import Path

import pytest
from needs import needs

from audiorec.errors import InputError, StoreError
from audiorec.extraction.parts import MARK, finished_parts, local_parts, part_name, part_of
from audiorec.files.storage import write
from audiorec.store.schema import Kind


def make(folder, index, count, endings=(Kind.ERRORS, Kind.VECTORS, MARK)):
    for ending in endings:
        write(f"{folder}/{part_name(index, count, ending)}", f"{index} {ending}".encode())


@pytest.mark.parametrize("kind", [*Kind, MARK])
@pytest.mark.parametrize(("index", "count"), [(0, 1), (3, 16), (99_998, 99_999)])
def test_a_name_says_what_it_was_made_of(kind, index, count):
    found = part_of(part_name(index, count, kind))
    assert found[:2] == (index, count)


@pytest.mark.parametrize(
    "name",
    [
        "vecs.parquet",
        "part-3-of-16.vecs.parquet",
        "part-00003-of-00016.vecs.parquet.tmp",
        ".part-00003-of-00016.vecs.parquet",
        "old/part-00003-of-00016.vecs.parquet",
    ],
)
def test_other_names_are_no_parts(name):
    assert part_of(name) is None


def test_finished_parts_come_in_the_order_of_shards(tmp_path):
    for index in (1, 0, 2):
        make(tmp_path, index, 3)
    make(tmp_path, 1, 3, (Kind.SCORES,))
    (tmp_path / "run.json").write_text("{}")
    found = finished_parts(str(tmp_path))
    assert [Path(e.place).name for e in found[Kind.VECTORS]] == [
        f"part-0000{i}-of-00003.vecs.parquet" for i in range(3)
    ]
    assert len(found[Kind.ERRORS]) == 3
    assert len(found[Kind.SCORES]) == 1
    with local_parts(str(tmp_path)) as local:
        assert list(local) == [Kind.VECTORS, Kind.ERRORS, Kind.SCORES]
        assert local[Kind.VECTORS][2].read_text() == "2 vectors"


def test_a_part_without_its_mark_is_not_finished(tmp_path):
    make(tmp_path, 0, 3)
    make(tmp_path, 2, 3, (Kind.ERRORS, Kind.VECTORS))
    with pytest.raises(InputError, match=r"2 of 3 shards are not finished: 1, 2; the same"):
        finished_parts(str(tmp_path))
    found = finished_parts(str(tmp_path), whole=False)
    assert [len(found[k]) for k in (Kind.VECTORS, Kind.ERRORS)] == [1, 1]


def test_a_long_list_of_missing_parts_is_cut(tmp_path):
    make(tmp_path, 0, 16)
    with pytest.raises(
        InputError, match=r"15 of 16 shards are not finished: 1, 2, 3, 4, 5, \.\.\."
    ):
        finished_parts(str(tmp_path))


@pytest.mark.parametrize("kind", [Kind.VECTORS, Kind.ERRORS])
def test_a_mark_without_its_files_is_told(tmp_path, kind):
    make(tmp_path, 0, 1)
    (tmp_path / part_name(0, 1, kind)).unlink()
    with pytest.raises(StoreError, match=r"part-00000-of-00001.*is gone; make that shard again"):
        finished_parts(str(tmp_path))


def test_parts_of_two_divisions_are_not_joined(tmp_path):
    make(tmp_path, 0, 1)
    make(tmp_path, 0, 2)
    with pytest.raises(StoreError, match="parts of 1 and of 2 shards"):
        finished_parts(str(tmp_path))


@pytest.mark.parametrize("folder", ["", "gone"])
def test_a_folder_without_parts(tmp_path, folder):
    with pytest.raises(InputError, match="no finished parts"), local_parts(str(tmp_path / folder)):
        pass


def test_parts_elsewhere_are_copied_here_and_removed(tmp_path):
    needs("fsspec")
    make("memory://parts", 0, 1)
    with local_parts("memory://parts", tmp_path) as local:
        path = local[Kind.VECTORS][0]
        assert path.read_text() == "0 vectors"
        assert tmp_path in path.parents
    assert list(tmp_path.iterdir()) == []
