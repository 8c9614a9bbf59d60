"""`audiorec.vectors.stream`: rows survive whatever happens after them."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiorec.errors import StoreError
from audiorec.vectors.rows import row_batch
from audiorec.vectors.schema import schema_of
from audiorec.vectors.stream import StreamPart, StreamWriter, append_all, next_number

IDS = ["first", "second", "the third"]


@pytest.fixture
def batch(metadata, make_row):
    return lambda song_id: row_batch(make_row(song_id), schema_of(metadata))


@pytest.fixture
def written(tmp_path, metadata, batch):
    """A stream of three rows, and where each message ends."""
    path = tmp_path / "vectors-0001.arrows"
    writer = StreamWriter(path, schema_of(metadata))
    ends = [writer.size]
    for song_id in IDS:
        writer.append(batch(song_id))
        ends.append(writer.size)
    writer.close()
    assert path.stat().st_size == ends[-1]
    return path, ends


def ids_in(path):
    part = StreamPart(path)
    ids = [b.column("song_id")[0].as_py() for b in part.slices(0, len(part))]
    part.close()
    return ids


def test_there_and_back(written, batch):
    part = StreamPart(written[0])
    assert len(part) == 3
    for row, song_id in enumerate(IDS):
        assert part.batch(row).equals(batch(song_id))
    table = part.table(["uri", "song_id"])
    assert table.column_names == ["uri", "song_id"]
    assert table.column("song_id").to_pylist() == IDS


def test_arrow_itself_can_read_it(written):
    with pa.memory_map(str(written[0])) as file:
        assert pa.ipc.open_stream(file).read_all().column("song_id").to_pylist() == IDS


def test_torn_at_every_byte(written):
    path, ends = written
    content = path.read_bytes()
    torn = path.with_name("torn.arrows")
    for length in range(len(content) + 1):
        torn.write_bytes(content[:length])
        expected = IDS[: sum(length >= end for end in ends[1:])]
        assert ids_in(torn) == expected, length


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=400), st.integers(0, 300))
def test_garbage_after_a_torn_row(written, garbage, cut):
    path, ends = written
    content = path.read_bytes()
    damaged = path.with_name("damaged.arrows")
    damaged.write_bytes(content[: max(ends[2], len(content) - cut)] + garbage)
    assert ids_in(damaged)[:2] == IDS[:2]


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(5_000),
        b"\xff\xff\xff\xff\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff" * 99,
    ],
)
def test_garbage_that_looks_like_a_length(written, garbage):
    path, _ = written
    path.write_bytes(path.read_bytes() + garbage)
    assert ids_in(path) == IDS


def test_flipped_bytes_in_the_last_row_never_cost_the_others(written):
    path, ends = written
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = path.with_name("damaged.arrows")
    for _ in range(300):
        flipped = bytearray(content)
        for at in rng.integers(ends[2], ends[3], 8):
            flipped[at] = rng.integers(256)
        damaged.write_bytes(flipped)
        assert ids_in(damaged)[:2] == IDS[:2]


@pytest.mark.parametrize(("filling", "part"), [(0, 1.0), (0xFF, 1.0), (0xFF, 0.5), (0x41, 0.5)])
def test_row_whose_content_did_not_reach_the_disk(written, filling, part):
    """The header of the last row is whole; what it describes is not."""
    path, ends = written
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[ends[2] + 4 : ends[2] + 8], "little")
    lost = int((ends[3] - ends[2] - header) * part)
    content[-lost:] = bytes([filling]) * lost
    path.write_bytes(content)
    assert ids_in(path) == IDS[:2]


def test_never_overwrites(written, metadata):
    with pytest.raises(FileExistsError):
        StreamWriter(written[0], schema_of(metadata))


def test_full_disk_leaves_the_stream_as_it_was(tmp_path, metadata, batch, monkeypatch):
    path = tmp_path / "a-0001.arrows"
    writer = StreamWriter(path, schema_of(metadata))
    writer.append(batch("good"))
    size, real_write = writer.size, os.write

    def full_disk(descriptor, data):
        if len(data) > 100:
            return real_write(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", lambda d, data: full_disk(d, data[:150]))
    with pytest.raises(OSError, match="No space"):
        writer.append(batch("lost"))
    monkeypatch.undo()
    assert (writer.size, path.stat().st_size) == (size, size)
    writer.append(batch("after"))
    assert ids_in(path) == ["good", "after"]


def test_short_writes_are_continued(tmp_path, metadata, batch, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda d, data: real_write(d, data[:37]))
    writer = StreamWriter(tmp_path / "a-0001.arrows", schema_of(metadata))
    writer.append(batch("good"))
    assert ids_in(tmp_path / "a-0001.arrows") == ["good"]


def test_all_streams_or_none(tmp_path, metadata, batch, monkeypatch):
    writers = [StreamWriter(tmp_path / f"{n}-0001.arrows", schema_of(metadata)) for n in "ab"]
    append_all([(writer, batch("one")) for writer in writers])

    def fail(self, batch):
        raise KeyboardInterrupt

    real = StreamWriter.append
    monkeypatch.setattr(writers[1], "append", fail.__get__(writers[1]), raising=False)
    with pytest.raises(KeyboardInterrupt):
        append_all([(writer, batch("two")) for writer in writers])
    monkeypatch.setattr(writers[1], "append", real.__get__(writers[1]), raising=False)
    append_all([(writer, batch("three")) for writer in writers])
    for name in "ab":
        assert ids_in(tmp_path / f"{name}-0001.arrows") == ["one", "three"]


def test_many_rows_become_few_chunks(tmp_path, metadata, batch):
    writer = StreamWriter(tmp_path / "a-0001.arrows", schema_of(metadata))
    for i in range(1_500):
        writer.append(batch(f"{i}"))
    table = StreamPart(tmp_path / "a-0001.arrows").table(["song_id"])
    assert table.column("song_id").to_pylist() == [f"{i}" for i in range(1_500)]
    assert table.column("song_id").num_chunks == 2


def test_killed_writer_loses_no_row_that_it_told_of(tmp_path):
    path = tmp_path / "a-0001.arrows"
    script = (
        "import sys, pyarrow as pa\n"
        "from pathlib import Path\n"
        "from audiorec.vectors.stream import StreamWriter\n"
        "schema = pa.schema([pa.field('song_id', pa.string()), pa.field('x', pa.binary())])\n"
        f"writer = StreamWriter(Path({str(path)!r}), schema)\n"
        "for i in range(10**9):\n"
        "    row = pa.record_batch([[f's{i}'], [bytes(5000)]], schema=schema)\n"
        "    writer.append(row); print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        told = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
    found = ids_in(path)
    assert found[:200] == [f"s{i}" for i in told]


def test_numbers_of_starts(tmp_path):
    assert next_number(tmp_path) == 1
    (tmp_path / "vectors-0009.arrows").touch()
    (tmp_path / "errors-0010.arrows").touch()
    assert next_number(tmp_path) == 11
    (tmp_path / "vectors-copy.arrows").touch()
    with pytest.raises(StoreError, match="not a stream of audiorec"):
        next_number(tmp_path)
