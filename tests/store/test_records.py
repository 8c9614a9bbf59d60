"""`audiorec.store.records`: rows survive whatever happens around them."""

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError, StoreError
from audiorec.store import records
from audiorec.store.records import (
    RecordPart,
    RecordWriter,
    append_all,
    feature_values,
    row_batch,
    score_values,
)
from audiorec.store.schema import Kind, schema_of
from audiorec.types import Status

IDS = ["first", "second", "the third"]


def record_schema(metadata):
    return schema_of(metadata).append(pa.field("sequence", pa.int64(), nullable=False))


@pytest.fixture
def ids_in(metadata):
    def read(path, *, damaged=None):
        part = RecordPart(path)
        if part.header is None:
            found = []
        else:
            part.use(record_schema(metadata))
            found = [b.column("song_id")[0].as_py() for b in part.slices(0, len(part))]
        part.close()
        if damaged is not None:
            assert part.damaged == damaged
        return found

    return read


@pytest.fixture
def batch(metadata, make_row):
    schema = record_schema(metadata)
    return lambda song_id: row_batch({**make_row(song_id), "sequence": 7}, schema)


@pytest.fixture
def written(tmp_path, metadata, batch):
    """A stream of three rows, and where each message ends."""
    path = tmp_path / "vectors-0001.rows"
    writer = RecordWriter(path, {"made": "by a test"})
    ends = [writer.size]
    for song_id in IDS:
        writer.append(batch(song_id))
        ends.append(writer.size)
    writer.close()
    assert path.stat().st_size == ends[-1]
    return path, ends


def test_there_and_back(written, batch, metadata):
    part = RecordPart(written[0])
    part.use(record_schema(metadata))
    assert (len(part), part.header, part.damaged) == (3, {"made": "by a test"}, 0)
    for row, song_id in enumerate(IDS):
        assert part.batch(row).equals(batch(song_id))
    table = part.table(["uri", "song_id"])
    part.close()
    assert table.column_names == ["uri", "song_id"]
    assert table.column("song_id").to_pylist() == IDS


def test_torn_at_every_byte(written, ids_in):
    path, ends = written
    content = path.read_bytes()
    torn = path.with_name("torn.rows")
    for length in range(len(content) + 1):
        torn.write_bytes(content[:length])
        expected = IDS[: sum(length >= end for end in ends[1:])]
        assert ids_in(torn) == expected, length


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=400), st.integers(0, 300))
def test_garbage_after_a_torn_row(written, ids_in, garbage, cut):
    path, ends = written
    content = path.read_bytes()
    damaged = path.with_name("damaged.rows")
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
def test_garbage_that_looks_like_a_length(written, garbage, ids_in):
    path, _ = written
    path.write_bytes(path.read_bytes() + garbage)
    assert ids_in(path) == IDS


def test_every_flipped_bit_costs_the_row_that_it_is_in_and_is_counted(written, ids_in):
    path, ends = written
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        if bit > 8 * ends[0] and bit % 7:  # all of the header, a seventh of the rows
            continue
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        touched = sum(end <= bit // 8 for end in ends)
        expected = [i for row, i in enumerate(IDS, 1) if row != touched] if touched else []
        assert ids_in(path, damaged=1) == expected, bit


def test_many_changed_bytes_never_cost_other_rows(written, ids_in):
    path, ends = written
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        flipped = bytearray(content)
        for at in rng.integers(ends[1], ends[2], 20):
            flipped[at] = rng.integers(256)
        path.write_bytes(flipped)
        expected = IDS if flipped == content else [IDS[0], IDS[2]]
        assert ids_in(path) == expected


@pytest.mark.parametrize("filling", [0, 0xFF, 0x41])
def test_a_row_whose_content_did_not_reach_the_disk(written, ids_in, filling):
    path, ends = written
    content = bytearray(path.read_bytes())
    content[ends[2] + 16 :] = bytes([filling]) * (ends[3] - ends[2] - 16)
    path.write_bytes(content)
    assert ids_in(path, damaged=1) == IDS[:2]


def hostile(values, lists=None, numbers=b""):
    text = json.dumps({"values": values, "lists": lists or {}}).encode()
    return records._framed(len(text).to_bytes(4, "little") + text + numbers)


@pytest.mark.parametrize(
    "record",
    [
        hostile([]),
        hostile({}),
        hostile({"song_id": "x"}, {"vector": 10**12}),
        hostile({"song_id": "x"}, {"vector": -5}),
        hostile({"song_id": "x"}, {"vector": 1.5}),
        hostile({"song_id": "x"}, {"vector": 2}, bytes(8)),
        hostile({"song_id": 5, "extracted_at": 10**300}),
        records._framed(b"\xff\xff\xff\xff{}"),
        records._framed(b"\x02\0\0\0[]"),
        records._framed(b"\x40\x9c\0\0" + b"[" * 40_000),
        records._framed(b"\x88\x13\0\0" + b"9" * 5_000),
        records._framed(b""),
    ],
    ids=range(12),
)
def test_a_planted_record_with_a_good_checksum_is_damage(written, ids_in, record):
    path, _ = written
    path.write_bytes(path.read_bytes() + record)
    assert ids_in(path, damaged=1) == IDS


@pytest.mark.parametrize(
    "change", [{"sequence": -1}, {"sequence": 2**62}, {"vector": [np.inf] * 18}]
)
def test_a_planted_row_of_impossible_values_is_damage(
    written, ids_in, metadata, make_row, change, monkeypatch
):
    path, _ = written
    values = {**make_row("planted"), "sequence": 8, **change}
    lists = {"vector": np.asarray(values.pop("vector"), np.float32)}
    values["extracted_at"] = 0
    record = records._framed(records._payload(values, lists))
    path.write_bytes(path.read_bytes() + record)
    assert ids_in(path, damaged=1) == IDS


def test_a_link_or_a_second_name_is_not_read(written, tmp_path):
    path, _ = written
    (tmp_path / "link.rows").symlink_to(path)
    with pytest.raises(StoreError, match=r"link.rows: is a link"):
        RecordPart(tmp_path / "link.rows")
    (tmp_path / "hard.rows").hardlink_to(path)
    with pytest.raises(StoreError, match=r"hard.rows: is a hard link to another file"):
        RecordPart(tmp_path / "hard.rows")


def test_never_overwrites(written, metadata):
    with pytest.raises(FileExistsError):
        RecordWriter(written[0], {})


def test_full_disk_leaves_the_stream_as_it_was(tmp_path, metadata, batch, monkeypatch, ids_in):
    path = tmp_path / "a-0001.rows"
    writer = RecordWriter(path, {})
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


def test_short_writes_are_continued(tmp_path, metadata, batch, monkeypatch, ids_in):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda d, data: real_write(d, data[:37]))
    writer = RecordWriter(tmp_path / "a-0001.rows", {})
    writer.append(batch("good"))
    assert ids_in(tmp_path / "a-0001.rows") == ["good"]


def test_all_streams_or_none(tmp_path, metadata, batch, monkeypatch, ids_in):
    writers = [RecordWriter(tmp_path / f"{n}-0001.rows", {}) for n in "ab"]
    append_all([(writer, batch("one")) for writer in writers])

    def fail(self, batch):
        raise KeyboardInterrupt

    real = RecordWriter.append
    monkeypatch.setattr(writers[1], "append", fail.__get__(writers[1]), raising=False)
    with pytest.raises(KeyboardInterrupt):
        append_all([(writer, batch("two")) for writer in writers])
    monkeypatch.setattr(writers[1], "append", real.__get__(writers[1]), raising=False)
    append_all([(writer, batch("three")) for writer in writers])
    for name in "ab":
        assert ids_in(tmp_path / f"{name}-0001.rows") == ["one", "three"]


def test_many_rows_become_few_chunks(tmp_path, metadata, batch):
    writer = RecordWriter(tmp_path / "a-0001.rows", {})
    for i in range(1_500):
        writer.append(batch(f"{i}"))
    part = RecordPart(tmp_path / "a-0001.rows")
    part.use(record_schema(metadata))
    table = part.table(["song_id"])
    part.close()
    assert table.column("song_id").to_pylist() == [f"{i}" for i in range(1_500)]
    assert table.column("song_id").num_chunks == 2


def test_killed_writer_loses_no_row_that_it_told_of(tmp_path, ids_in):
    path = tmp_path / "a-0001.rows"
    script = (
        "import pyarrow as pa\n"
        "from pathlib import Path\n"
        "from audiorec.store.records import RecordWriter\n"
        "schema = pa.schema([('song_id', pa.string()), ('sequence', pa.int64())])\n"
        f"writer = RecordWriter(Path({str(path)!r}), {{}})\n"
        "for i in range(10**9):\n"
        "    row = pa.record_batch([[f's{i}' + ' ' * 5000], [i]], schema=schema)\n"
        "    writer.append(row); print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        told = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
    part = RecordPart(path)
    part.use(pa.schema([("song_id", pa.string()), ("sequence", pa.int64())]))
    found = part.table(["song_id"]).column("song_id").to_pylist()
    part.close()
    assert [text.rstrip() for text in found[:200]] == [f"s{i}" for i in told]


def test_row_of_vectors(metadata, make_row):
    row = make_row("a.mp3", status=Status.SHORT, title="Étude")
    got = row_batch(row, schema_of(metadata)).to_pylist()[0]
    vector = got.pop("vector")
    absent = ("claimed_s", "loudness_lufs", "artist", "album", "isrc", "musicbrainz_trackid")
    expected = row | dict.fromkeys(absent)
    np.testing.assert_array_equal(np.float32(vector), expected.pop("vector"))
    assert got == expected


def test_row_of_scores(metadata, make_series):
    series = make_series(4, first=0.5)
    schema = schema_of(replace(metadata, kind=Kind.SCORES))
    values = score_values("a", "h", series) | {"extractor_id": "x"}
    got = row_batch(values, schema).to_pylist()[0]
    np.testing.assert_array_equal(np.float32(got["scores"]), series.scores)
    assert got["start_s"] == [0.0, 3.0, 6.0, 9.0]


def test_row_of_features_has_the_mean_beside_the_segments(metadata):
    features = np.float32([[1, 2, 3, 4, 5], [3, 2, 1, 0, 9]])
    schema = schema_of(replace(metadata, kind=Kind.FEATURES))
    values = feature_values("a", "h", np.float32([0, 3]), {"msd.penultimate": features})
    got = row_batch(values | {"extractor_id": "x"}, schema).to_pylist()[0]
    assert got["msd_penultimate"] == features.tolist()
    assert got["msd_penultimate_mean"] == [2, 2, 2, 2, 7]
    assert got["segments"] == 2


def test_array_that_is_not_contiguous_or_float64(metadata, make_row):
    vector = np.arange(36, dtype=np.float64)[::2]
    got = row_batch(make_row("a", vector=vector), schema_of(metadata)).to_pylist()[0]
    assert got["vector"] == vector.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"song_id": ""}, InputError, "a row needs a song_id"),
        ({"content_hash": None}, InputError, "a row needs a content_hash"),
        ({"codec": None}, InputError, "'codec' must have a value"),
        ({"tempo": 120}, InputError, "no such column: tempo"),
        ({"segments": 2**31}, InputError, "'segments' cannot hold 2147483648"),
        ({"segments": "many"}, InputError, "'segments' cannot hold 'many'"),
        ({"title": "caf\udce9"}, InputError, "'title' cannot hold"),
        ({"vector": np.zeros(17)}, ShapeError, r"'vector' must have shape \(18\), got \(17,\)"),
        ({"vector": np.zeros((1, 18))}, ShapeError, r"got \(1, 18\)"),
        ({"vector": np.full(18, np.nan)}, InputError, "'vector' must be finite"),
    ],
)
def test_refusals(metadata, make_row, changes, error, match):
    with pytest.raises(error, match=match):
        row_batch(make_row("a") | changes, schema_of(metadata))


def test_a_list_of_halves_holds_what_a_half_holds(metadata, make_row):
    schema = schema_of(replace(metadata, lists={"heard_tags": 2}))
    kept = row_batch(make_row("a") | {"heard_tags": [0.5, 65_504.0]}, schema)
    assert kept.column("heard_tags").to_pylist() == [[0.5, 65_504.0]]
    with pytest.raises(InputError, match="'heard_tags' must be finite"):
        row_batch(make_row("a") | {"heard_tags": [0.5, 1e6]}, schema)


def test_features_need_one_row_a_segment():
    with pytest.raises(ShapeError, match=r"msd.tags must have shape \(3, D\), got \(2, 5\)"):
        feature_values("a", "h", np.zeros(3, np.float32), {"msd.tags": np.zeros((2, 5))})


def test_scores_of_another_number_of_classes(metadata):
    schema = schema_of(replace(metadata, kind=Kind.SCORES))
    values = {"song_id": "a", "content_hash": "h", "start_s": np.zeros(2), "extractor_id": "x"}
    with pytest.raises(ShapeError, match=r"'scores' must have shape \(T, 3\), got \(2, 4\)"):
        row_batch(values | {"scores": np.zeros((2, 4))}, schema)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"title": 5}, "'title' cannot hold 5: expected str, got int"),
        ({"segments": 2.0}, "'segments' cannot hold 2.0: expected Integral, got float"),
        ({"segments": True}, "'segments' cannot hold True"),
        ({"duration_s": "4"}, "'duration_s' cannot hold '4': expected Real"),
        ({"extracted_at": 0}, "'extracted_at' cannot hold 0: expected datetime"),
        ({"extracted_at": datetime(2026, 1, 1)}, "'extracted_at' cannot hold"),
    ],
)
def test_nothing_is_taken_for_another_type(metadata, make_row, changes, match):
    with pytest.raises(InputError, match=match):
        row_batch(make_row("a") | changes, schema_of(metadata))


def test_a_row_is_made_without_pandas(metadata, make_row):
    """Its import is a second of every run where it is installed."""
    script = (
        "import sys, pickle; from audiorec.store.records import row_batch\n"
        "from audiorec.store.schema import schema_of\n"
        "row, metadata = pickle.load(sys.stdin.buffer)\n"
        "row_batch(row, schema_of(metadata)).serialize(); print('pandas' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps((make_row("a"), metadata)),
        capture_output=True,
        check=True,
    )
    assert result.stdout.strip() == b"False"
