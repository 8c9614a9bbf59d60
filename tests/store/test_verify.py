"""`audiorec.store.verify`: a good store is good, and each fault is found where it is."""

import os
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from good_store import IDS, METADATA, change, scores_of, write_good_store

from audiorec.errors import StoreError
from audiorec.store import verify as module
from audiorec.store.schema import Kind
from audiorec.store.verify import verify
from audiorec.tagger.vectors import summarise


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 3)
    monkeypatch.setattr(module, "SERIES_BLOCK_ROWS", 3)
    return write_good_store(tmp_path / "library")


def found(store, **options):
    return [(p.row, p.song_id, p.check) for p in verify(store, **options).problems]


def vector_of(song_id, **changes):
    """The song's vector with statistics of its second class changed."""
    vector = summarise(scores_of(song_id)).reshape(5, 6)
    for name, value in changes.items():
        vector[1, METADATA.statistics.index(name)] = value
    return vector.ravel().tolist()


def test_good(store):
    result = verify(store)
    assert result.is_good
    assert (result.problems, result.not_looked_at) == ([], 0)
    names = ["vecs", "scores", "features", "vecs.errors"]
    assert result.rows == {
        str(store.with_name(f"{n}.parquet")): 4 if n != "vecs.errors" else 1 for n in names
    }


def test_a_run_that_ends_meanwhile_is_no_fault(store, monkeypatch):
    check, new = module.check_numbers, write_good_store(store.parent / "new")
    change(new.with_name("scores.parquet"), "content_hash", 1, "0" * 32)

    def replaced_while_read(*about, **options):
        for path in new.parent.glob("*.parquet"):
            path.replace(store.with_name(path.name))
        return check(*about, **options)

    monkeypatch.setattr(module, "check_numbers", replaced_while_read)
    assert verify(store).is_good
    assert not verify(store).is_good


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("vector", vector_of(IDS[2], mean=np.nan), "finite"),
        ("vector", vector_of(IDS[2], kurtosis=-np.inf), "finite"),
        ("extractor_id", "f" * 16, "extractor_id"),
    ],
)
def test_each_fault_of_a_vector_is_found_in_its_row(store, column, value, check):
    for kind in ("scores", "features"):
        store.with_name(f"{kind}.parquet").unlink()
    change(store, column, 2, value)
    assert found(store) == [(2, IDS[2], check)]


def test_ids(store):
    change(store, "song_id", 1, IDS[0])
    change(store, "song_id", 3, "")
    problems = found(store)
    assert (1, IDS[0], "song_id") in problems
    assert (3, "", "song_id") in problems
    reasons = {p.reason for p in verify(store).problems if p.check == "song_id"}
    assert reasons == {"another row has the same song_id", "the row has no song_id"}


def test_order(store):
    pq.write_table(pq.read_table(store).take([1, 0, 2, 3]), store)
    assert found(store) == [(1, IDS[0], "order")]


@pytest.mark.parametrize(
    ("column", "value", "check", "reason"),
    [
        ("song_id", "a/gone.flac", "no_such_song", "this id and content_hash"),
        ("content_hash", "f" * 32, "no_such_song", "this id and content_hash"),
    ],
)
def test_each_fault_of_the_scores(store, column, value, check, reason):
    change(store.with_name("scores.parquet"), column, 0, value)
    problems = [p for p in verify(store).problems if p.check != "order"]
    assert [(p.row, p.check) for p in problems] == [(0, check)]
    assert problems[0].file.endswith("scores.parquet")
    assert reason in problems[0].reason


def test_failures(store):
    errors = store.with_name("vecs.errors.parquet")
    change(errors, "song_id", 0, IDS[0])
    assert [p.check for p in verify(store).problems] == ["both"]


def test_scores_of_another_extractor_are_one_problem(store, tmp_path):
    other = replace(METADATA, extractor_id="f" * 16)
    elsewhere = write_good_store(tmp_path / "other", metadata=other).with_name("scores.parquet")
    problems = verify(store, beside={Kind.SCORES: elsewhere}).problems
    assert [(p.row, p.file, p.check) for p in problems] == [(None, str(elsewhere), "extractor_id")]


def test_a_torn_file_beside_is_a_problem_and_a_torn_store_an_error(store):
    features = store.with_name("features.parquet")
    features.write_bytes(features.read_bytes()[:-40])
    problem = verify(store).problems[0]
    assert (problem.file, problem.row, problem.check) == (str(features), None, "file")
    assert "not a valid Parquet file" in problem.reason
    missing = store.with_name("gone.parquet")
    assert "no such file" in verify(store, beside={Kind.FEATURES: missing}).problems[0].reason
    store.write_bytes(store.read_bytes()[:-40])
    with pytest.raises(StoreError, match=r"vecs\.parquet: not a valid Parquet file"):
        verify(store)


def test_files(store, tmp_path):
    ids = []
    for row, song_id in enumerate(IDS):
        path = tmp_path / song_id
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 1_000)
        os.utime(path, ns=(0, 1_700_000_000_000_000_001))
        change(store, "uri", row, str(path))
        ids.append(path)
    assert verify(store, files=True).is_good
    ids[0].unlink()
    ids[1].write_bytes(b"x" * 999)
    os.utime(ids[1], ns=(0, 1_700_000_000_000_000_001))
    os.utime(ids[2], ns=(0, 5))
    change(store, "uri", 3, "s3://bucket/song.mp3")
    assert found(store) == []
    result = verify(store, files=True)
    assert [(p.row, p.check) for p in result.problems] == [
        (0, "file_gone"),
        (1, "file_changed"),
        (2, "file_changed"),
    ]
    assert result.not_looked_at == 1


def test_a_file_that_may_not_be_looked_at_is_not_called_gone(store, monkeypatch):
    real = os.stat

    def closed(path, **options):
        if os.fsencode(path).startswith(b"/music"):
            raise PermissionError(13, "permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", closed)
    result = verify(store, files=True)
    assert result.counts == {}
    assert result.not_looked_at == 4


def test_a_name_that_is_not_utf8_is_found(store, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.mp3"
    with open(raw, "wb") as file:  # noqa: PTH123
        file.write(b"x" * 1_000)
    os.utime(raw, ns=(0, 1_700_000_000_000_000_001))
    change(store, "uri", 0, f"{tmp_path}/caf\\xe9.mp3")
    assert (0, IDS[0], "file_gone") not in found(store, files=True)


def test_all_are_counted_and_some_are_listed(store, monkeypatch):
    monkeypatch.setattr("audiorec.store.verify.MAX_PROBLEMS", 2)
    result = verify(store, files=True)
    assert len(result.problems) == 2
    assert result.counts == {"file_gone": 4}


def test_empty_store(tmp_path):
    store = write_good_store(tmp_path, ids=IDS)
    for kind in ("vecs", "scores", "features"):
        path = store.with_name(f"{kind}.parquet")
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert verify(store, files=True).is_good
