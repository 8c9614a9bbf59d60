"""`scripts/fuzz/fuzz_stores.py`: 300 planted things, and what counts as a finding."""

import gc

import fuzz_library
import fuzz_readers
import fuzz_stores
import numpy as np
import pytest

from audiorec.errors import StoreError

CASES = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    fuzz_library.make_library(folder)
    return folder


@pytest.fixture
def fuzzer(made, tmp_path, monkeypatch):
    # This process has run other tests; the children of a real run have not.
    monkeypatch.setattr(fuzz_stores, "MAX_RSS_MIB", 1 << 20)
    gc.freeze()  # each case collects garbage, which in a process of many tests takes a second
    return fuzz_stores.Fuzzer(str(made), str(tmp_path), 1, False, "")


def test_300_planted_things_do_no_harm(made, tmp_path):
    result = fuzz_stores.run_cases(range(CASES), seed=1, jobs=2, made=made, scratch=tmp_path)
    assert result.findings == []
    assert result.counts.total() == CASES
    targets, ways, outcomes = (set(column) for column in zip(*result.counts, strict=True))
    assert {"vecs.parquet.run", "vecs.parquet", "taste/model.json"} <= targets
    assert {"marker", "flip_bit", "link", "hard_link", "pipe"} <= ways
    assert {"ok", "StoreError", "DamagedFileError", "WeightsError"} <= outcomes


def test_a_case_is_always_the_same(fuzzer):
    first = [fuzzer.run(number) for number in range(12)]
    assert [fuzzer.run(number) for number in range(12)] == first


def plan(monkeypatch, read):
    """Let every case flip a bit of the vectors, and read them by `read`."""
    monkeypatch.setattr(fuzz_stores, "plant", lambda *_: ("vecs.parquet", "flip_bit"))
    monkeypatch.setitem(fuzz_readers.READERS, "vecs.parquet", read)


def test_good_files_are_good(fuzzer, monkeypatch):
    monkeypatch.setattr(fuzz_stores, "plant", lambda *_: ("none", "nothing"))
    for target in fuzz_readers.READERS:
        monkeypatch.setattr(fuzz_stores, "plant", lambda *_, t=target: (t, "nothing"))
        assert fuzzer.run(0).outcome == "ok", target


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda library: (library / "../victim/new").touch(), "touched"),
        (lambda library: (library / "../victim/bashrc").unlink(), "touched"),
        (lambda _library: np.random.default_rng().random(), "the answer is another"),
    ],
    ids=["a new file outside", "a file outside is gone", "another answer"],
)
def test_harm_is_a_finding(fuzzer, monkeypatch, harm, problem):
    plan(monkeypatch, harm)
    assert any(problem in text for text in fuzzer.run(0).problems)


def test_an_error_of_many_lines_is_a_finding(fuzzer, monkeypatch):
    def fail(_library):
        raise StoreError("one\ntwo")

    plan(monkeypatch, fail)
    assert fuzzer.run(0).problems == ("message: 'one\\ntwo'",)


def test_what_no_one_foresaw_ends_the_case(fuzzer, monkeypatch):
    plan(monkeypatch, lambda _library: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        fuzzer.run(0)
