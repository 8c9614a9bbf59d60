"""`audiorec.runs.blocks`: values whose arrays all processes of a machine map."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from audiorec.errors import StoreError
from audiorec.runs.blocks import MIN_BYTES, MIN_TEXTS, MappedWriter

IDS = (*(f"słowo-{n}" for n in range(MIN_TEXTS)), "", "\ud800")


def value():
    return {
        "songs": np.arange(MIN_BYTES, dtype=np.float32).reshape(2, -1),
        "few": np.arange(3),
        "ids": IDS,
        "again": IDS,
        "arrow": pa.array([str(n) for n in range(MIN_BYTES)]),
        "some": ("a", 1),
    }


def test_a_value_comes_back_and_its_arrays_are_views_of_the_file(tmp_path):
    kept = MappedWriter(value()).write(tmp_path / "shared.bin")
    found = kept.load()
    assert found["ids"] == IDS
    assert found["ids"] is found["again"]
    assert found["arrow"].equals(value()["arrow"])
    assert found["some"] == ("a", 1)
    for name in ("songs", "few"):
        assert np.array_equal(found[name], value()[name])
    assert not found["songs"].flags.writeable
    assert kept.load() is found  # and is kept for the next task
    assert len(pickle.dumps(kept)) < 3_000
    assert (tmp_path / "shared.bin").stat().st_size > found["songs"].nbytes


def test_what_a_block_has_of_its_own_does_not_repeat_the_shared_texts(tmp_path):
    shared = MappedWriter({"ids": IDS})
    base = shared.write(tmp_path / "shared.bin")
    own = MappedWriter({"ids": IDS, "song": np.arange(5)}, shared).write(tmp_path / "own.bin", base)
    assert (tmp_path / "own.bin").stat().st_size == 0
    assert pickle.loads(pickle.dumps(own)).load()["ids"] == IDS  # noqa: S301 - our own


def test_the_fingerprint_is_that_of_the_value():
    same, other = value(), value()
    other["songs"][1, 1] += 1
    assert MappedWriter(value()).fingerprint == MappedWriter(same).fingerprint
    assert MappedWriter(other).fingerprint != MappedWriter(same).fingerprint


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path):
    path = tmp_path / "shared.bin"
    kept = MappedWriter(value()).write(path)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="checksum differs from the file written for this run"):
        kept.load()
    path.rename(tmp_path / "elsewhere.bin")
    with pytest.raises(StoreError, match="all workers need access to this disk"):
        kept.load()


def test_nothing_in_the_file_could_run(tmp_path):
    path = tmp_path / "shared.bin"
    MappedWriter(value()).write(path)
    assert b"numpy" not in path.read_bytes()
    assert path.read_bytes().startswith(value()["songs"].tobytes())
