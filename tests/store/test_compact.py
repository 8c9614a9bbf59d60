"""`audiorec.store.compact`: the same bytes whatever the parts, and nothing lost or mixed."""

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.store import compact as module
from audiorec.store import compact as sorted_rows
from audiorec.store import schema as files_of
from audiorec.store.commit import MARKER
from audiorec.store.compact import combine, compact
from audiorec.store.records import row_batch, score_values
from audiorec.store.schema import Kind, open_checked, schema_of, write_table
from audiorec.store.store import VectorStore

IDS = [f"{i:03}" for i in range(100)]


@pytest.fixture
def write(tmp_path, metadata, make_table):
    """`write("p", ids)` makes a part of vectors and returns its path."""

    def write_part(name, ids, of=metadata, **changes):
        path = tmp_path / f"{name}.parquet"
        write_table(path, make_table(ids, **changes), of)
        return path

    return write_part


@pytest.fixture
def scores(tmp_path, metadata, make_series):
    """`scores("p", {"a": "hash"})` makes a part of score series."""

    def write_part(name, hashes, first=0.25):
        of = replace(metadata, kind=Kind.SCORES)
        schema = schema_of(of)
        rows = [
            {**score_values(i, h, make_series(4, first=first)), "extractor_id": of.extractor_id}
            for i, h in hashes.items()
        ]
        path = tmp_path / f"{name}.parquet"
        write_table(path, pa.Table.from_batches([row_batch(r, schema) for r in rows], schema), of)
        return path

    return write_part


@pytest.fixture
def failures(tmp_path, metadata, make_failure):
    def write_part(name, ids, **changes):
        of = replace(metadata, kind=Kind.ERRORS)
        schema = schema_of(of)
        at = {"failed_at": datetime(2026, 1, 1, tzinfo=UTC), **changes}
        rows = [row_batch(make_failure(i, **at), schema) for i in ids]
        path = tmp_path / f"{name}.parquet"
        write_table(path, pa.Table.from_batches(rows, schema), of)
        return path

    return write_part


def ids(path):
    return pq.read_table(path).column("song_id").to_pylist()


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_parts_become_the_file_that_one_run_would_have_written(tmp_path, write, monkeypatch):
    monkeypatch.setattr(files_of, "GROUP_ROWS", 30)
    whole = write("whole", IDS)
    parts = [write(f"p{k}", IDS[k::3]) for k in range(3)]
    assert compact(parts, tmp_path / "out.parquet") == 100
    assert (tmp_path / "out.parquet").read_bytes() == whole.read_bytes()
    assert open_checked(tmp_path / "out.parquet", Kind.VECTORS).group_starts() == [
        *range(0, 100, 30),
        100,
    ]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    owners=st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=20, max_size=20),
    rng=st.randoms(use_true_random=False),
    batch_bytes=st.sampled_from([1, 900, 1 << 20]),
)
def test_same_bytes_whatever_the_order_and_division(
    tmp_path, write, monkeypatch, owners, rng, batch_bytes
):
    """Every song lies in one or more of five parts; some have none, some are not sorted."""
    monkeypatch.setattr(sorted_rows, "BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(sorted_rows, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(sorted_rows, "FAN_IN", 2)
    if not (tmp_path / "whole.parquet").exists():
        write("whole", IDS[:20])
    table = pq.read_table(tmp_path / "whole.parquet")
    parts = []
    for k in range(5):
        rows = [row for row, own in enumerate(owners) if k in own]
        if k % 2:
            rng.shuffle(rows)
        parts.append(tmp_path / f"p{k}.parquet")
        pq.write_table(table.take(pa.array(rows, pa.int64())), parts[-1])
    rng.shuffle(parts)
    assert compact([*parts, parts[0]], tmp_path / "out.parquet") == 20
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not [n for n in names(tmp_path) if n.startswith(".") or n.endswith(".run")]


def test_a_part_whose_order_breaks_between_batches(tmp_path, write, monkeypatch):
    monkeypatch.setattr(sorted_rows, "MAX_BATCH_ROWS", 2)
    whole = write("whole", IDS[:6])
    part = tmp_path / "part.parquet"
    pq.write_table(pq.read_table(whole).take([2, 5, 0, 4, 1, 3]), part)
    assert compact([part], tmp_path / "out.parquet") == 6
    assert (tmp_path / "out.parquet").read_bytes() == whole.read_bytes()


def test_compacting_the_result_changes_nothing(tmp_path, write):
    out = tmp_path / "out.parquet"
    compact([write("a", IDS[:7]), write("b", IDS[5:9])], out)
    before = out.read_bytes()
    assert compact([out], out) == 9
    assert out.read_bytes() == before


def test_rows_that_differ_are_refused_and_nothing_is_written(tmp_path, write):
    a, b = write("a", ["x", "y"]), write("b", ["y", "z"], title="other")
    with pytest.raises(InputError, match=r"the id 'y': one in .*a\.parquet, one in .*b\.parquet"):
        compact([a, b], tmp_path / "out.parquet")
    assert names(tmp_path) == ["a.parquet", "b.parquet"]
    assert compact([a, b], tmp_path / "out.parquet", on_duplicate="same") == 3


def test_two_extractors_are_refused(tmp_path, write, metadata):
    other = replace(metadata, extractor_id="f" * 16, spec={"mel": {"n_mels": 128}})
    a = write("a", ["x"])
    b = write("b", ["y"], of=other, extractor_id="f" * 16)
    match = r"a\.parquet was made by extractor 0123.*b\.parquet by ffff.*n_mels is 128"
    with pytest.raises(SpecMismatchError, match=match):
        compact([a, b], tmp_path / "out.parquet")
    assert names(tmp_path) == ["a.parquet", "b.parquet"]


def test_a_row_of_another_extractor_is_refused(tmp_path, write):
    part = write("a", ["x", "y"])
    table = pq.read_table(part)
    at = table.schema.get_field_index("extractor_id")
    column = pa.array(["0123456789abcdef", "e" * 16])
    pq.write_table(table.set_column(at, table.schema.field(at), column), part)
    with pytest.raises(SpecMismatchError, match=r"a\.parquet: some rows are from extractor eeee"):
        compact([part], tmp_path / "out.parquet")
    assert names(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("make", [lambda d: d[:200], lambda _: b"", lambda d: d[:-9] + b"x" * 9])
def test_a_torn_part_is_named_and_nothing_is_written(tmp_path, write, make):
    a, b = write("a", ["x"]), write("b", ["y"])
    b.write_bytes(make(b.read_bytes()))
    with pytest.raises(StoreError, match=r"b\.parquet: not a valid Parquet file"):
        compact([a, b], tmp_path / "out.parquet")
    assert names(tmp_path) == ["a.parquet", "b.parquet"]


def test_damage_inside_a_part(tmp_path, write):
    a, b = write("a", IDS), write("b", ["y"])
    with a.open("r+b") as file:
        file.seek(4)
        file.write(bytes(1_000))
    with pytest.raises(StoreError, match=r"a\.parquet: "):
        compact([a, b], tmp_path / "out.parquet")
    assert names(tmp_path) == ["a.parquet", "b.parquet"]


def test_a_row_without_an_id(tmp_path, write):
    part = write("a", ["x", "y"])
    table = pq.read_table(part)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(["", "y"])), part)
    with pytest.raises(StoreError, match=r"a\.parquet: a row has no song_id"):
        compact([part], tmp_path / "out.parquet")


def test_columns_of_ones_own_would_be_lost(tmp_path, write):
    part = write("a", ["x"])
    pq.write_table(pq.read_table(part).append_column("stars", pa.array([5])), part)
    with pytest.raises(StoreError, match="has extra columns, which would be lost: stars"):
        compact([part], tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("out", "match"),
    [("gone/out.parquet", "gone: no such folder"), ("folder", "is a folder; name the file")],
)
def test_no_place_to_write(tmp_path, write, out, match):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=match):
        compact([write("a", ["x"])], tmp_path / out)
    with pytest.raises(InputError, match="no parts to combine"):
        compact([], tmp_path / "out.parquet")


def test_outputs_have_to_fit(tmp_path, write):
    part, out = write("a", ["x"]), tmp_path / "out.parquet"
    with pytest.raises(InputError, match="an output is needed for each of: vectors"):
        combine({Kind.VECTORS: [part]}, {Kind.SCORES: out})
    both = {Kind.VECTORS: [part], Kind.SCORES: [part]}
    with pytest.raises(InputError, match="two outputs are the same file"):
        combine(both, dict.fromkeys(both, out))


def test_empty_parts(tmp_path, write):
    assert compact([write("a", []), write("b", ["x"])], tmp_path / "out.parquet") == 1
    assert compact([write("a", [])], tmp_path / "out.parquet") == 0
    assert len(VectorStore.open(tmp_path / "out.parquet")) == 0


def test_versions_of_all_parts_are_named(tmp_path, write, metadata):
    newer = replace(metadata, packages={"numpy": "2.5.0", "av": "18"}, created_by="audiorec 0.2.0")
    parts = [write("a", ["x"], of=newer), write("b", ["y"])]
    for order in (parts, parts[::-1]):
        compact(order, tmp_path / "out.parquet")
        found = VectorStore.open(tmp_path / "out.parquet").metadata
        assert found.packages == {"numpy": "2.4.6, 2.5.0", "av": "18"}
        assert found.created_by == "audiorec 0.1.0, audiorec 0.2.0"
    compact([tmp_path / "out.parquet", *parts], tmp_path / "out.parquet", on_duplicate="same")
    assert VectorStore.open(tmp_path / "out.parquet").metadata == found


def test_scores_follow_the_content_of_their_song(tmp_path, write, scores, failures):
    vectors = [write("v1", ["a", "b"]), write("v2", ["c"])]
    good = {i: f"hash of {i}" for i in "abc"}
    parts = {
        Kind.VECTORS: vectors,
        Kind.SCORES: [
            scores("s1", {"a": good["a"], "b": "hash of before"}),
            scores("s2", {"b": good["b"], "gone": "hash of gone"}, first=0.75),
        ],
        Kind.ERRORS: [failures("e1", ["a", "broken"]), failures("e2", ["zzz"])],
    }
    outputs = {kind: tmp_path / f"out-{kind}.parquet" for kind in parts}
    assert combine(parts, outputs) == {Kind.VECTORS: 3, Kind.SCORES: 2, Kind.ERRORS: 2}
    rows = pq.read_table(outputs[Kind.SCORES]).to_pylist()
    assert [(r["song_id"], r["content_hash"]) for r in rows] == [("a", good["a"]), ("b", good["b"])]
    assert rows[1]["scores"][0][0] == 0.75
    assert ids(outputs[Kind.ERRORS]) == ["broken", "zzz"]


def test_no_failures_make_no_file(tmp_path, write, failures):
    parts = {Kind.VECTORS: [write("v", ["a"])], Kind.ERRORS: [failures("e", ["a"])]}
    outputs = {kind: tmp_path / f"out-{kind}.parquet" for kind in parts}
    assert combine(parts, outputs)[Kind.ERRORS] == 0
    assert not outputs[Kind.ERRORS].exists()
    outputs[Kind.ERRORS].write_bytes((tmp_path / "e.parquet").read_bytes())
    combine(parts, outputs)
    assert ids(outputs[Kind.ERRORS]) == []


def test_scores_or_failures_alone(tmp_path, scores, failures):
    parts = {Kind.SCORES: [scores("s1", {"b": "hb"}), scores("s2", {"a": "ha", "b": "hb"})]}
    assert combine(parts, {Kind.SCORES: tmp_path / "scores.parquet"}) == {Kind.SCORES: 2}
    parts = {Kind.ERRORS: [failures("e1", ["x"]), failures("e2", ["x"], attempts=2)]}
    outputs = {Kind.ERRORS: tmp_path / "errors.parquet"}
    with pytest.raises(InputError, match="different rows have the id 'x'"):
        combine(parts, outputs)
    assert combine(parts, outputs, on_duplicate="same") == {Kind.ERRORS: 1}


def test_failures_of_another_extractor_pass(tmp_path, write, failures, metadata):
    failed = failures("e", ["x"])
    other = replace(metadata, extractor_id="f" * 16)
    parts = {
        Kind.VECTORS: [write("v", ["a"], of=other, extractor_id="f" * 16)],
        Kind.ERRORS: [failed],
    }
    outputs = {kind: tmp_path / f"out-{kind}.parquet" for kind in parts}
    combine(parts, outputs)
    assert open_checked(outputs[Kind.ERRORS], Kind.ERRORS).metadata.extractor_id == "f" * 16


def test_an_unfinished_run_is_not_walked_over(tmp_path, write):
    part = write("a", ["x"])
    run_dir = tmp_path / "out.parquet.run"
    run_dir.mkdir()
    (run_dir / "vectors-0001.rows").write_bytes(b"rows of hours")
    with pytest.raises(StoreError, match=r"out\.parquet\.run: holds 'vectors-0001.rows'"):
        compact([part], tmp_path / "out.parquet")
    assert (run_dir / "vectors-0001.rows").read_bytes() == b"rows of hours"
    assert not (tmp_path / "out.parquet").exists()


def test_another_process_writes_the_output(tmp_path, write):
    part = write("a", ["x"])
    lock = module.RunFolder(tmp_path / "out.parquet", "x")
    with pytest.raises(StoreError, match="another run is writing this output"):
        compact([part], tmp_path / "out.parquet")
    lock.release(remove=True)
    assert compact([part], tmp_path / "out.parquet") == 1


def test_a_commit_that_is_cut_off_is_carried_through_by_the_next_call(
    tmp_path, write, failures, monkeypatch
):
    parts = {Kind.VECTORS: [write("v", ["a"])], Kind.ERRORS: [failures("e", ["b"])]}
    outputs = {kind: tmp_path / f"out-{kind}.parquet" for kind in parts}
    real = module.commit_staged

    def cut_off(targets, run_dir):
        monkeypatch.setattr("audiorec.store.commit.finish_commit", _power_failure)
        real(targets, run_dir)

    monkeypatch.setattr(module, "commit_staged", cut_off)
    with pytest.raises(KeyboardInterrupt):
        combine(parts, outputs)
    monkeypatch.undo()
    assert (tmp_path / "out-vectors.parquet.run" / MARKER).exists()
    assert not any(path.exists() for path in outputs.values())
    other = [write("w", ["z"])]
    with pytest.raises(
        StoreError, match=r"commit.json: a run was interrupted while it wrote 'out-err"
    ):
        compact(other, outputs[Kind.VECTORS])  # which has no place for the failures
    assert not any(path.exists() for path in outputs.values())
    assert combine(parts, outputs) == {Kind.VECTORS: 1, Kind.ERRORS: 1}
    assert ids(outputs[Kind.ERRORS]) == ["b"]
    assert compact(other, outputs[Kind.VECTORS]) == 1
    assert ids(outputs[Kind.VECTORS]) == ["z"]
    assert not (tmp_path / "out-vectors.parquet.run").exists()


def _power_failure(_targets, _run_dir):
    raise KeyboardInterrupt


def test_memory_holds_a_batch_of_each_part(tmp_path, write, monkeypatch):
    monkeypatch.setattr(sorted_rows, "BATCH_BYTES", 1_000)
    largest = []
    real = sorted_rows.without_duplicates

    def spy(table, *rest):
        largest.append(len(table))
        return real(table, *rest)

    monkeypatch.setattr(sorted_rows, "without_duplicates", spy)
    many = [f"{i:04}" for i in range(400)]
    compact([write(f"p{k}", many[k::4]) for k in range(4)], tmp_path / "out.parquet")
    assert sum(largest) == 400
    assert max(largest) < 60
