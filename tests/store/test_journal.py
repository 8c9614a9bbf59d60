"""`audiorec.store.journal`: runs that stop and go on, and what they leave in the end."""

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from random_kills import kill_at_random

from audiorec.errors import InputError, ShapeError, SpecMismatchError, StoreError
from audiorec.store import commit, compact, journal
from audiorec.store import schema as files_of
from audiorec.store.journal import Journal, Outputs
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore


@pytest.fixture
def outputs(tmp_path):
    return Outputs(vectors=tmp_path / "vecs.parquet", errors=tmp_path / "errors.parquet")


@pytest.fixture
def all_outputs(tmp_path):
    return Outputs(
        vectors=tmp_path / "vecs.parquet",
        errors=tmp_path / "errors.parquet",
        scores=tmp_path / "series" / "scores.parquet",
        features=tmp_path / "features.parquet",
    )


@pytest.fixture
def run(metadata):
    """`run(outputs, *steps)` opens a journal, takes the steps and commits."""

    def whole_run(outputs, *steps, keep=None, **options):
        with Journal.open(outputs, metadata, **options) as opened:
            for step in steps:
                step(opened)
            return opened.commit(keep=keep)

    return whole_run


@pytest.fixture
def song(make_row, make_series):
    """`song("a")` is a step that appends a song with scores and features."""

    def step(song_id, *, first=0.25, **changes):
        series = make_series(4, first=first)
        features = {"msd.penultimate": np.full((4, 5), first, np.float32)}
        row = make_row(song_id, **changes)
        return lambda opened: opened.append_song(row, scores=series, features=features)

    return step


@pytest.fixture
def failure(make_failure):
    return lambda song_id, **changes: lambda j: j.append_failure(make_failure(song_id, **changes))


def copy(content_hash, **changes):
    return lambda opened: opened.append_copy(content_hash, changes)


def ids(path):
    return pq.read_table(path).column("song_id").to_pylist()


def first_scores(outputs):
    """Song id to the first score of its series: tells the series apart."""
    table = pq.read_table(outputs.scores)
    return {row["song_id"]: row["scores"][0][0] for row in table.to_pylist()}


def test_one_run(all_outputs, run, song, failure, make_row, metadata):
    counts = run(all_outputs, song("b", first=0.5), failure("broken"), song("a", title="A"))
    assert counts == {Kind.VECTORS: 2, Kind.SCORES: 2, Kind.FEATURES: 2, Kind.ERRORS: 1}
    store = VectorStore.open(all_outputs.vectors)
    assert store.ids == ("a", "b")
    assert store.metadata == metadata
    np.testing.assert_array_equal(store.vector("b"), make_row("b")["vector"])
    assert store.row("a")["title"] == "A"
    assert store.row("a")["extracted_at"] == make_row("a")["extracted_at"]
    assert first_scores(all_outputs) == {"a": 0.25, "b": 0.5}
    features = pq.read_table(all_outputs.features).to_pylist()
    assert [row["msd_penultimate_mean"] for row in features] == [[0.25] * 5, [0.5] * 5]
    (error,) = pq.read_table(all_outputs.errors).to_pylist()
    assert (error["song_id"], error["status"], error["decoder"]) == ("broken", "empty", None)
    assert error["failed_at"] is not None


def test_nothing_but_the_outputs_is_left(all_outputs, run, song, failure):
    run(all_outputs, song("a"), failure("b"))
    folder = all_outputs.vectors.parent
    assert sorted(p.name for p in folder.iterdir()) == [
        "errors.parquet",
        "features.parquet",
        "series",
        "vecs.parquet",
    ]
    assert [p.name for p in (folder / "series").iterdir()] == ["scores.parquet"]


def test_run_that_is_left_goes_on(all_outputs, run, song, failure, metadata):
    for step in (song("a"), failure("b"), song("c", first=0.5)):
        with Journal.open(all_outputs, metadata) as opened:
            step(opened)
    assert not all_outputs.vectors.exists()
    with Journal.open(all_outputs, metadata) as opened:
        assert sorted(opened.known().column("song_id").to_pylist()) == ["a", "c"]
        assert "vector" not in opened.known().column_names
        assert opened.failures().column("song_id").to_pylist() == ["b"]
        assert opened.failures().column("attempts").to_pylist() == [1]
        for kind in (Kind.VECTORS, Kind.SCORES, Kind.FEATURES):
            assert opened.hashes(kind) == {"hash of a", "hash of c"}
        opened.commit()
    assert ids(all_outputs.vectors) == ["a", "c"]
    assert first_scores(all_outputs) == {"a": 0.25, "c": 0.5}


def test_known_knows_the_previous_output_and_the_unfinished_run(outputs, run, song, metadata):
    run(outputs, song("a", size=1), song("b", size=1))
    with Journal.open(outputs, metadata) as opened:
        song("b", size=2)(opened)
        song("c", size=2)(opened)
        assert len(opened.known()) == 2  # as it was before this start
    with Journal.open(outputs, metadata) as opened:
        known = opened.known().sort_by("song_id")
    assert known.column("song_id").to_pylist() == ["a", "b", "c"]
    assert known.column("size").to_pylist() == [1, 2, 2]


def test_new_journal_knows_nothing(outputs, metadata):
    with Journal.open(outputs, metadata) as opened:
        assert opened.known().num_rows == opened.failures().num_rows == 0
        assert "uri" in opened.known().column_names
        assert opened.hashes(Kind.VECTORS) == opened.hashes(Kind.SCORES) == frozenset()
        with pytest.raises(InputError, match="failures have no content hash"):
            opened.hashes(Kind.ERRORS)


def test_newest_row_wins(all_outputs, run, song):
    run(all_outputs, song("a", content_hash="old", first=0.125), song("b"))
    run(
        all_outputs,
        song("a", content_hash="newer", first=0.5),
        song("a", content_hash="newest", first=0.75),
    )
    table = pq.read_table(all_outputs.vectors)
    assert table.column("content_hash").to_pylist() == ["newest", "hash of b"]
    assert first_scores(all_outputs) == {"a": 0.75, "b": 0.25}


def test_success_and_failure_take_each_others_place(outputs, run, song, failure):
    run(outputs, song("was good"), failure("was bad"), failure("stays bad"))
    run(outputs, failure("was good"), song("was bad"))
    assert ids(outputs.vectors) == ["was bad"]
    assert ids(outputs.errors) == ["stays bad", "was good"]


@pytest.mark.parametrize("restart", [False, True])
def test_last_event_decides_also_within_a_run(outputs, song, failure, metadata, restart):
    events = [
        song("a"),
        failure("b"),
        failure("a"),
        song("b"),
        failure("c"),
        failure("c", attempts=2),
    ]
    opened = Journal.open(outputs, metadata)
    for event in events:
        if restart:
            opened.close()
            opened = Journal.open(outputs, metadata)
        event(opened)
    opened.commit()
    assert ids(outputs.vectors) == ["b"]
    assert ids(outputs.errors) == ["a", "c"]
    assert pq.read_table(outputs.errors).column("attempts").to_pylist() == [1, 2]


@pytest.mark.parametrize("keep", [{"a", "y", "never seen"}, lambda name: name in "ay"])
def test_pruning(all_outputs, run, song, failure, keep):
    run(all_outputs, *(song(name) for name in "abc"), *(failure(name) for name in "xy"))
    counts = run(all_outputs, song("d"), keep=keep)
    assert counts[Kind.VECTORS] == counts[Kind.ERRORS] == 1
    for path in (all_outputs.vectors, all_outputs.scores, all_outputs.features):
        assert ids(path) == ["a"]
    assert ids(all_outputs.errors) == ["y"]


def test_moved_song_keeps_vector_scores_and_features(all_outputs, run, song, make_row):
    run(all_outputs, song("old/a.mp3", content_hash="h1", first=0.5), song("z", first=0.125))
    changes = {"song_id": "new/a.mp3", "uri": "/music/new/a.mp3", "title": "New"}
    run(all_outputs, copy("h1", **changes), keep={"new/a.mp3", "z"})
    store = VectorStore.open(all_outputs.vectors)
    assert store.ids == ("new/a.mp3", "z")
    np.testing.assert_array_equal(store.vector("new/a.mp3"), make_row("old/a.mp3")["vector"])
    row = store.row("new/a.mp3")
    assert (row["uri"], row["title"], row["codec"]) == ("/music/new/a.mp3", "New", "mp3")
    assert row["extracted_at"] == make_row("a")["extracted_at"]
    assert first_scores(all_outputs) == {"new/a.mp3": 0.5, "z": 0.125}
    assert ids(all_outputs.features) == ["new/a.mp3", "z"]


def test_names_that_change_places(all_outputs, run, song):
    run(all_outputs, song("a", content_hash="h1", first=0.5), song("b", content_hash="h2"))
    run(all_outputs, copy("h1", song_id="b"), copy("h2", song_id="a"))
    assert first_scores(all_outputs) == {"a": 0.25, "b": 0.5}


def test_name_that_is_taken_by_another_song(all_outputs, run, song):
    run(all_outputs, song("a", content_hash="h1", first=0.5))
    run(all_outputs, song("a", content_hash="h2", first=0.125), copy("h1", song_id="b"))
    assert first_scores(all_outputs) == {"a": 0.125, "b": 0.5}


def test_copy_of_a_song_from_the_unfinished_run(all_outputs, run, song, metadata):
    with Journal.open(all_outputs, metadata) as opened:
        song("a", content_hash="h1", first=0.5)(opened)
    run(all_outputs, copy("h1", song_id="double"))
    assert first_scores(all_outputs) == {"a": 0.5, "double": 0.5}


def test_copy_of_the_unknown(outputs, metadata):
    refused = pytest.raises(InputError, match="no known song has the content hash 'h9'")
    with Journal.open(outputs, metadata) as opened, refused:
        opened.append_copy("h9", {"song_id": "x"})


def test_scores_without_their_vector_are_not_used(all_outputs, run, song, metadata):
    """Killed between the scores and the vector of a changed song, which then fails."""
    run(all_outputs, song("a", content_hash="h1", first=0.5))

    with Journal.open(all_outputs, metadata) as opened:
        song("a", content_hash="h2", first=0.75)(opened)
    for kind in ("vectors", "features"):
        (all_outputs.run_dir / f"{kind}-000001.parquet").unlink()
    with Journal.open(all_outputs, metadata) as opened:
        assert opened.hashes(Kind.VECTORS) == {"h1"}
        assert opened.hashes(Kind.SCORES) == {"h1", "h2"}
        opened.commit()
    assert first_scores(all_outputs) == {"a": 0.5}


def test_scores_that_are_asked_for_later(all_outputs, run, song, make_row, metadata):
    plain = Outputs(vectors=all_outputs.vectors, errors=all_outputs.errors)
    run(plain, lambda j: j.append_song(make_row("a")))
    with Journal.open(all_outputs, metadata) as opened:
        assert opened.hashes(Kind.VECTORS) == {"hash of a"}
        assert opened.hashes(Kind.SCORES) == frozenset()
        song("a")(opened)
        opened.commit()
    assert ids(all_outputs.scores) == ["a"]


def test_scores_and_features_must_come_where_they_are_asked_for(
    all_outputs, metadata, make_row, make_series
):
    with Journal.open(all_outputs, metadata) as opened:
        with pytest.raises(InputError, match="scores are among the outputs"):
            opened.append_song(make_row("a"))
        with pytest.raises(InputError, match="features are among the outputs"):
            opened.append_song(make_row("a"), scores=make_series(2))


def test_refused_rows_leave_nothing_behind(all_outputs, metadata, make_row, make_series, song):
    with Journal.open(all_outputs, metadata) as opened:
        bad = {"scores": make_series(4), "features": {"msd.penultimate": np.zeros((4, 6))}}
        with pytest.raises(ShapeError, match="'msd_penultimate"):
            opened.append_song(make_row("a"), **bad)
        with pytest.raises(InputError, match="a row needs a content_hash"):
            opened.append_song(make_row("a", content_hash=""), scores=make_series(4), features={})
        with pytest.raises(InputError, match="column 'stage' must have a value"):
            opened.append_failure({"song_id": "a", "uri": "a", "size": 1, "mtime_ns": 1})
        song("good")(opened)
        assert opened.commit() == {
            Kind.VECTORS: 1,
            Kind.SCORES: 1,
            Kind.FEATURES: 1,
            Kind.ERRORS: 0,
        }
    assert ids(all_outputs.scores) == ["good"]


def test_commit_without_news_leaves_the_files_untouched(all_outputs, run, song, failure):
    run(all_outputs, song("a"), failure("b"))
    before = {path: path.stat().st_ino for path in all_outputs.paths().values()}
    assert run(all_outputs)[Kind.VECTORS] == 1
    assert {path: path.stat().st_ino for path in all_outputs.paths().values()} == before
    run(all_outputs, failure("b", attempts=2))
    after = {path: path.stat().st_ino for path in all_outputs.paths().values()}
    assert {path for path in before if before[path] != after[path]} == {all_outputs.errors}


def test_files_without_rows(outputs, run, song, failure):
    run(outputs, song("a"))
    assert not outputs.errors.exists()
    run(outputs, failure("a"))
    assert len(VectorStore.open(outputs.vectors)) == 0
    assert ids(outputs.errors) == ["a"]
    run(outputs, song("a"))
    assert ids(outputs.errors) == []


def test_overwrite_forgets_everything(outputs, run, song, failure, metadata):
    run(outputs, song("a"), failure("b"))
    with Journal.open(outputs, metadata) as opened:
        song("c")(opened)
    with Journal.open(outputs, metadata, overwrite=True) as opened:
        assert len(opened.known()) == len(opened.failures()) == 0
        assert ids(outputs.vectors) == ["a"]  # until the commit
        song("d")(opened)
        opened.commit()
    assert ids(outputs.vectors) == ["d"]
    assert ids(outputs.errors) == []


def test_another_extractor_is_refused(outputs, run, song, failure, metadata):
    run(outputs, song("a"), failure("b"))
    other = replace(metadata, extractor_id="f" * 16)
    match = r"vecs.parquet: made by extractor 0123456789abcdef, this run uses f{16} .*`overwrite`"
    with pytest.raises(SpecMismatchError, match=match):
        Journal.open(outputs, other)
    with Journal.open(outputs, other, overwrite=True) as opened:
        song("a")(opened)
        opened.commit()
    assert VectorStore.open(outputs.vectors).row("a")["extractor_id"] == "f" * 16


def test_unfinished_run_of_another_extractor_is_refused(outputs, song, metadata):
    with Journal.open(outputs, metadata) as opened:
        song("a")(opened)
    with pytest.raises(SpecMismatchError, match=r"vectors-000001.parquet: .* use `overwrite`"):
        Journal.open(outputs, replace(metadata, extractor_id="f" * 16))
    Journal.open(outputs, metadata).close()  # the refusal has let go of the lock


def test_failures_outlive_a_change_of_extractor(outputs, run, failure, metadata):
    run(outputs, failure("b"))
    outputs.vectors.unlink()
    with Journal.open(outputs, replace(metadata, extractor_id="f" * 16)) as opened:
        assert opened.failures().column("song_id").to_pylist() == ["b"]


def test_other_backbone_outputs(all_outputs, run, song, metadata):
    other = replace(metadata, features={"msd_tags": 5})
    with Journal.open(all_outputs, metadata) as opened:
        song("a")(opened)
    with Journal.open(all_outputs, other) as opened:
        # The metadata in the streams may differ; only the columns of features do.
        assert opened.hashes(Kind.VECTORS) == opened.hashes(Kind.SCORES) == {"hash of a"}
        assert opened.hashes(Kind.FEATURES) == frozenset()
    run(all_outputs)
    with pytest.raises(
        StoreError, match=r"features.parquet: has different columns from those this run"
    ):
        Journal.open(all_outputs, other)


def test_previous_output_that_is_no_store(outputs, metadata):
    outputs.vectors.write_bytes(b"my thesis")
    with pytest.raises(StoreError, match=r"vecs\.parquet: not a valid Parquet file"):
        Journal.open(outputs, metadata)
    assert outputs.vectors.read_bytes() == b"my thesis"


def test_columns_of_the_users_own_are_not_lost_silently(outputs, run, song, metadata):
    run(outputs, song("a"))
    table = pq.read_table(outputs.vectors).append_column("stars", pa.array([5]))
    pq.write_table(table, outputs.vectors)
    with pytest.raises(StoreError, match="has extra columns, which would be lost: stars"):
        Journal.open(outputs, metadata)


def test_second_run_on_one_output(outputs, metadata):
    with Journal.open(outputs, metadata), pytest.raises(StoreError, match="another run is writing"):
        Journal.open(outputs, metadata)


def test_two_outputs_in_one_file(tmp_path, metadata):
    outputs = Outputs(vectors=tmp_path / "a.parquet", errors=tmp_path / "x/../a.parquet")
    with pytest.raises(InputError, match="two outputs are the same file"):
        Journal.open(outputs, metadata)


def test_output_that_is_a_link(tmp_path, run, song):
    (tmp_path / "real").mkdir()
    (tmp_path / "vecs.parquet").symlink_to("real/v.parquet")
    outputs = Outputs(vectors=tmp_path / "vecs.parquet", errors=tmp_path / "errors.parquet")
    with pytest.raises(
        StoreError, match=r"vecs\.parquet: links to something other than a vectors file"
    ):
        run(outputs, song("a"))
    run(replace(outputs, vectors=tmp_path / "real/v.parquet"), song("a"))
    run(outputs, song("b"))
    assert outputs.vectors.is_symlink()
    assert ids(tmp_path / "real/v.parquet") == ["a", "b"]
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["v.parquet"]


def test_many_row_groups_and_parts(all_outputs, run, song, metadata, monkeypatch):
    monkeypatch.setattr(files_of, "GROUP_ROWS", 3)
    monkeypatch.setattr(journal, "GROUPS_HELD", 1)
    monkeypatch.setattr(journal, "PART_ROWS", 4)
    monkeypatch.setattr(compact, "FAN_IN", 2)
    names = [f"{i:03}" for i in range(40)]
    run(all_outputs, *(song(n, first=i / 64) for i, n in enumerate(names[::2])))
    for part in (names[1:20:2], names[21::2]):
        with Journal.open(all_outputs, metadata) as opened:
            for name in part:
                song(name, first=0.99)(opened)
    counts = run(all_outputs, *(copy(f"hash of {n}", song_id=f"x{n}") for n in names[:10:2]))
    assert counts[Kind.VECTORS] == counts[Kind.SCORES] == 45
    store = VectorStore.open(all_outputs.vectors)
    assert store.ids == (*names, *(f"x{n}" for n in names[:10:2]))
    found = first_scores(all_outputs)
    for i, name in enumerate(names[::2]):
        assert found[name] == np.float32(i / 64)
    assert found["x004"] == found["004"]
    assert found["005"] == np.float32(0.99)


def test_previous_file_that_is_not_sorted_or_has_doubles(outputs, run, song):
    run(outputs, *(song(name) for name in "abc"))
    pq.write_table(pq.read_table(outputs.vectors).take([2, 0, 1, 0]), outputs.vectors)
    run(outputs)
    assert VectorStore.open(outputs.vectors).ids == ("a", "b", "c")


def test_errors_file_of_another_time_does_not_take_vectors_away(outputs, run, song, failure):
    run(outputs, failure("a"))
    old = outputs.errors.read_bytes()
    run(outputs, song("a"))
    outputs.errors.write_bytes(old)
    run(outputs)
    assert (ids(outputs.vectors), ids(outputs.errors)) == (["a"], [])


def test_a_part_is_written_when_it_is_full_or_old(all_outputs, song, metadata, monkeypatch):
    def parts():
        return sorted(path.name for path in all_outputs.run_dir.glob("vectors-*"))

    with Journal.open(all_outputs, metadata) as opened:
        monkeypatch.setattr(journal, "PART_ROWS", 2)
        song("a")(opened)
        assert parts() == []
        song("b")(opened)
        assert parts() == ["vectors-000001.parquet"]
        assert VectorStore.open(all_outputs.run_dir / parts()[0]).ids == ("a", "b")
        monkeypatch.setattr(journal, "PART_S", 0.0)
        song("c")(opened)
        assert len(parts()) == 2
        monkeypatch.setattr(journal, "PART_S", 60.0)
        monkeypatch.setattr(journal, "PART_BYTES", 1)
        song("d")(opened)
        assert len(parts()) == 3


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_part_costs_its_songs(outputs, song, metadata, damage):
    for name in "ab":
        with Journal.open(outputs, metadata) as opened:
            song(name)(opened)
    path = outputs.run_dir / "vectors-000001.parquet"
    whole = path.read_bytes()
    middle = len(whole) // 4
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"cut": whole[:-9], "flip": flipped, "text": b"PAR1 not"}[damage])
    with Journal.open(outputs, metadata) as opened:
        assert opened.damaged == 1
        assert opened.known().column("song_id").to_pylist() == ["b"]
        song("a")(opened)
        opened.commit()
    assert ids(outputs.vectors) == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_20_kills_lose_no_part_and_only_what_came_after_it(outputs, song, metadata, monkeypatch):
    names = [f"{n:04}" for n in range(1_500)]
    told, kept = outputs.vectors.with_name("told"), []
    monkeypatch.setattr(journal, "PART_S", 0.02)

    def extract():
        with Journal.open(outputs, metadata) as opened:
            known = set(opened.known(["song_id"]).column(0).to_pylist())
            for name in names:
                if name not in known:
                    song(name)(opened)
                    with told.open("a") as file:
                        file.write(f"{name} {time.monotonic()}\n")

    def start():
        if told.exists() and outputs.run_dir.exists():
            lines = [line.split() for line in told.read_text().splitlines()]
            last = float(lines[-1][1]) if lines else 0.0
            with Journal.open_read_only(outputs, metadata) as opened:
                found = set(opened.known(["song_id"]).column(0).to_pylist())
            assert {name for name, at in lines if float(at) < last - 1.0} <= found
            assert set(kept) <= found
            kept[:] = found
            told.write_text("")  # what a killed child had not written yet is told again
        child = os.fork()
        if child == 0:
            extract()
            os._exit(0)
        return child

    def begin_anew():
        for path in [*outputs.run_dir.glob("*-*"), told]:
            path.unlink()
        kept.clear()

    kill_at_random(start, begin_anew, begun=outputs.run_dir.exists, times=20, longest_s=0.3)
    extract()
    with Journal.open(outputs, metadata) as opened:
        assert opened.damaged == 0
        opened.commit()
    assert ids(outputs.vectors) == names


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def die_at(monkeypatch):
    """`die_at(n)`: the n-th change on disk and all that follow it do not happen.

    Forcing a file to the disk changes nothing that the next process sees: it is no step.
    """
    monkeypatch.setattr(os, "fsync", lambda _file: None)

    def arm(n):
        done = []

        def guarded(real):
            def call(*args, **kwargs):
                done.append(real.__name__)
                if len(done) >= n:
                    raise Killed
                return real(*args, **kwargs)

            return call

        patch = pytest.MonkeyPatch()
        for name in ("replace", "unlink", "rmdir"):
            patch.setattr(os, name, guarded(getattr(os, name)))
        real_write = journal.write_batches

        def write_half(path, batches, metadata):
            """A write has two steps: a part of the file is there, then the whole."""
            real_write(path, batches, metadata)
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            done.append("write")
            if len(done) >= n:
                raise Killed
            path.write_bytes(whole)

        patch.setattr(journal, "write_batches", write_half)
        try:
            yield done
        except Killed:
            pass
        finally:
            patch.undo()

    return contextmanager(arm)


def read_all(outputs):
    return {
        kind: pq.read_table(path).drop_columns(["failed_at"] if kind == Kind.ERRORS else [])
        for kind, path in outputs.paths().items()
    }


def test_killed_at_every_step_of_a_commit(
    tmp_path, tmp_path_factory, metadata, run, song, failure, die_at
):
    def outputs_in(folder):
        return Outputs(
            vectors=folder / "vecs.parquet",
            errors=folder / "errors.parquet",
            scores=folder / "elsewhere" / "scores.parquet",
            features=folder / "features.parquet",
        )

    before = (song("a", content_hash="h1", first=0.5), song("gone"), failure("mended"))
    run(outputs_in(tmp_path / "before"), *before)

    def prepare():
        folder = tmp_path_factory.mktemp("run")
        outputs = outputs_in(shutil.copytree(tmp_path / "before", folder, dirs_exist_ok=True))
        opened = Journal.open(outputs, metadata)
        song("a", content_hash="h2", first=0.125)(opened)
        opened.append_copy("h1", {"song_id": "b"})
        song("mended")(opened)
        failure("gone")(opened)
        return outputs, opened

    outputs, opened = prepare()
    old = read_all(outputs)
    opened.commit()
    expected = read_all(outputs)
    assert ids(outputs.vectors) == ["a", "b", "mended"]
    assert first_scores(outputs) == {"a": 0.125, "b": 0.5, "mended": 0.25}

    for step in range(1, 100):
        outputs, opened = prepare()
        with die_at(step) as done:
            opened.commit()
            break
        opened.close()
        for kind, table in read_all(outputs).items():  # every file is the old one or the new one
            assert table.equals(old[kind]) or table.equals(expected[kind]), (step, kind)
        run(outputs)
        for kind, table in read_all(outputs).items():
            assert table.equals(expected[kind]), (step, kind)
        assert sorted(p.name for p in outputs.vectors.parent.iterdir()) == [
            "elsewhere",
            "errors.parquet",
            "features.parquet",
            "vecs.parquet",
        ]
        assert [p.name for p in outputs.scores.parent.iterdir()] == ["scores.parquet"]
    assert step == len(done) + 1
    assert done.count("write") == 10  # the parts, series of a copy, then the outputs
    assert done.count("replace") == 11  # those, and the marker


def test_pruned_songs_stay_away_once_a_commit_holds(tmp_path_factory, metadata, run, song, die_at):
    """Killed while it cleans up, the next start must not merge the same streams again."""
    held = 0
    for step in range(1, 100):
        folder = tmp_path_factory.mktemp("run")
        outputs = Outputs(vectors=folder / "vecs.parquet", errors=folder / "errors.parquet")
        opened = Journal.open(outputs, metadata)
        song("a")(opened)
        song("b")(opened)
        with die_at(step):
            opened.commit(keep={"a"})
            break
        opened.close()
        if outputs.vectors.exists():
            held += 1
            run(outputs)
            assert ids(outputs.vectors) == ["a"], step
    assert held > 3


def test_folder_that_moves_between_crash_and_resume(tmp_path, run, song, monkeypatch):
    def outputs_in(folder):
        return Outputs(vectors=folder / "vecs.parquet", errors=folder / "errors.parquet")

    def killed(_targets, _run_dir):
        raise Killed

    def killed_after_the_marker():
        with monkeypatch.context() as patch:
            deadly = partial(patch.setattr, commit, "finish_commit", killed)
            with pytest.raises(Killed):
                run(outputs_in(tmp_path / "here"), song("a"), lambda _journal: deadly())

    killed_after_the_marker()
    assert not (tmp_path / "here" / "vecs.parquet").exists()
    (tmp_path / "here").rename(tmp_path / "there")
    run(outputs_in(tmp_path / "there"))
    assert ids(tmp_path / "there" / "vecs.parquet") == ["a"]
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["vecs.parquet"]


def full(*_arguments):
    raise OSError(28, "No space left on device")


def full_in_mid_file(path, _batches, _metadata):
    path.write_bytes(b"half")
    full()


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [(journal, "write_batches", full_in_mid_file), (commit, "sync", full)],
    ids=["while it is written", "when it is forced to the disk"],
)
def test_commit_that_fails_can_be_tried_again(
    outputs, song, metadata, monkeypatch, module, name, fault
):
    with Journal.open(outputs, metadata) as opened:
        song("a")(opened)
        monkeypatch.setattr(module, name, fault)
        with pytest.raises(StoreError, match=r"vecs\.parquet.*: cannot be written: no space"):
            opened.commit()
        monkeypatch.undo()
    assert [p.name for p in outputs.vectors.parent.iterdir()] == ["vecs.parquet.run"]
    with Journal.open(outputs, metadata) as opened:
        opened.commit()
    assert ids(outputs.vectors) == ["a"]


def test_damaged_marker(outputs, metadata):
    outputs.run_dir.mkdir()
    (outputs.run_dir / commit.MARKER).write_text('{"files": [["a"]]}')
    with pytest.raises(StoreError, match=r"commit.json: not written by this version of audiorec"):
        Journal.open(outputs, metadata)


def test_marker_whose_files_are_nowhere(outputs, metadata):
    plant_marker(outputs, {"vectors": "vecs.parquet"})
    with pytest.raises(StoreError, match=r"vecs\.parquet: lost"):
        Journal.open(outputs, metadata)


def plant_marker(outputs, files):
    outputs.run_dir.mkdir()
    text = json.dumps({"schema": commit.MARKER_SCHEMA, "files": files})
    (outputs.run_dir / commit.MARKER).write_text(text)
