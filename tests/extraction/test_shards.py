"""`audiorec.extraction.shards`: the same rows whoever makes them, however often, in any order."""

import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_songs import write_song
from needs import needs
from object_store import s3_server
from poisoned_library import (
    AT,
    CONFIG,
    COUNT,
    GOOD,
    POISON,
    children_find_poison,
    compacted,
    make_library,
    part_bytes,
)

import audiorec
from audiorec.errors import InputError, StoreError
from audiorec.extraction import shards
from audiorec.extraction.catalogue import Source, find_songs
from audiorec.extraction.manifest import find_sources, write_manifest
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.extraction.shards import (
    MARK,
    Shard,
    ShardConfig,
    finished_parts,
    local_parts,
    part_name,
    part_of,
    process_shard,
    read_shard,
)
from audiorec.files.own_files import RunFolder
from audiorec.files.storage import put, write
from audiorec.runs.report import Stopped
from audiorec.spec import FeatureSpec, SegmentSpec
from audiorec.store.journal import RUN_FILES
from audiorec.store.schema import Kind


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        children_find_poison(patch)
        yield make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def reference(library, tmp_path_factory):
    """The folder of an undisturbed run, shard by shard, and its reports."""
    out = str(tmp_path_factory.mktemp("reference"))
    numbers = range(COUNT)
    reports = [process_shard(read_shard(library.manifest, i, COUNT), out, CONFIG) for i in numbers]
    return out, reports


@pytest.fixture(scope="module")
def whole(reference, tmp_path_factory):
    """The bytes of the store that the parts make together."""
    return compacted(reference[0], tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture
def shard(tmp_path) -> Shard:
    """A shard of two songs."""
    for seed in (1, 2):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=1.2)
    return Shard(0, 1, tuple(find_songs([tmp_path / "songs"])), AT)


def names(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*"))


def part_files(index, count, kinds=(Kind.ERRORS, Kind.VECTORS)) -> list[str]:
    return sorted(part_name(index, count, ending) for ending in (*kinds, MARK))


def test_every_song_is_a_row_once_and_every_poison_an_error(reference, whole, tmp_path):
    _, reports = reference
    assert sum((r.run.statuses for r in reports), Counter()) == {"short": 6}
    assert sum((r.run.failures for r in reports), Counter()) == Counter(POISON.values())
    tables = {}
    for kind, content in whole.items():
        (tmp_path / "file.parquet").write_bytes(content)
        tables[kind] = pq.read_table(tmp_path / "file.parquet").to_pylist()
    assert [row["song_id"] for row in tables[Kind.VECTORS]] == sorted(GOOD)
    assert {row["song_id"]: row["status"] for row in tables[Kind.ERRORS]} == POISON
    assert {row["extracted_at"] for row in tables[Kind.VECTORS]} == {AT}
    assert {row["failed_at"] for row in tables[Kind.ERRORS]} == {AT}


def test_the_parts_together_are_the_file_of_one_run_byte_for_byte(library, whole, tmp_path):
    outputs = make_outputs(tmp_path / "vecs.parquet")
    run(find_songs([library.songs]), outputs, options=replace(CONFIG.options, jobs=2, at=AT))
    assert outputs.vectors.read_bytes() == whole[Kind.VECTORS]
    assert outputs.errors.read_bytes() == whole[Kind.ERRORS]


def test_shards_in_another_order_and_twice_make_the_same_bytes(library, reference, whole, tmp_path):
    out = str(tmp_path / "out")
    for index in (2, 0, 1):
        process_shard(read_shard(library.manifest, index, COUNT), out, CONFIG)
    again = process_shard(read_shard(library.manifest, 1, COUNT), out, replace(CONFIG, redo=True))
    assert not again.kept
    assert part_bytes(out) == part_bytes(reference[0])
    assert compacted(out, tmp_path / "store") == whole
    assert names(out) == sorted(name for i in range(COUNT) for name in part_files(i, COUNT))


def test_a_finished_part_is_kept_without_opening_a_song(library, reference, monkeypatch):
    out, reports = reference
    monkeypatch.setattr(shards, "run", lambda *_a, **_k: pytest.fail("it worked"))
    report = process_shard(read_shard(library.manifest, 1, COUNT), out, CONFIG)
    assert report.kept
    made = reports[1].run
    assert (report.run.found, report.run.unchanged, report.run.failed_before) == (
        made.found,
        made.extracted,
        made.failed,
    )
    assert report.run.rows == made.rows
    assert (report.fingerprint, report.run.outputs) == (reports[1].fingerprint, made.outputs)


def other_size(shard, config):
    first = shard.sources[0]
    return replace(shard, sources=(replace(first, size=first.size + 1), *shard.sources[1:])), config


def other_order(shard, config):
    return replace(shard, sources=shard.sources[::-1]), config


def other_hop(shard, config):
    spec = FeatureSpec(segment=SegmentSpec(hop_s=6.0))
    return shard, replace(config, extractor=ExtractorConfig(spec=spec))


def other_limit(shard, config):
    return shard, replace(config, extractor=ExtractorConfig(max_duration_s=100.0))


def with_scores(shard, config):
    return shard, replace(config, scores=True)


def other_time(shard, config):
    return replace(shard, created_at=AT.replace(year=2028)), config


def other_jobs(shard, config):
    return shard, replace(config, options=RunOptions(jobs=2), work_dir=Path("elsewhere"))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (other_size, False),
        (other_order, False),
        (other_hop, False),
        (other_limit, False),
        (with_scores, False),
        (other_time, True),
        (other_jobs, True),
    ],
)
def test_what_decides_the_rows_decides_whether_a_part_is_kept(change, kept):
    source = Source("a", "/a.mp3", "/a.mp3", 10, 20)
    shard = Shard(0, 2, (source, replace(source, song_id="b")), AT)
    before = shards._fingerprint(shard, ShardConfig())
    assert (shards._fingerprint(*change(shard, ShardConfig())) == before) is kept


@pytest.mark.parametrize("harm", ["no mark", "bad mark", "other mark", "no errors", "cut vectors"])
def test_a_part_that_is_not_whole_is_not_kept(library, reference, tmp_path, harm):
    out = tmp_path / "out"
    shutil.copytree(reference[0], out)
    part = read_shard(library.manifest, 0, COUNT)
    fingerprint = reference[1][0].fingerprint
    assert shards._kept(part, str(out), CONFIG, fingerprint)
    mark, errors, vectors = (
        out / part_name(0, COUNT, ending) for ending in (MARK, Kind.ERRORS, Kind.VECTORS)
    )
    {
        "no mark": mark.unlink,
        "bad mark": lambda: mark.write_text(mark.read_text()[:-9]),
        "other mark": lambda: mark.write_text("[1, 2]"),
        "no errors": errors.unlink,
        "cut vectors": lambda: vectors.write_bytes(vectors.read_bytes()[:-5]),
    }[harm]()
    assert shards._kept(part, str(out), CONFIG, fingerprint) is None


def test_a_part_appears_whole_or_not_at_all(shard, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fail_at_vectors(local, place):
        if "vecs" in place:
            raise OSError(28, "No space left on device")
        put(local, place)

    monkeypatch.setattr(shards, "put", fail_at_vectors)
    with pytest.raises(OSError, match="No space left"):
        process_shard(shard, str(out))
    assert [n for n in names(out) if n.startswith("part")] == [part_name(0, 1, Kind.ERRORS)]
    with pytest.raises(InputError, match="no finished parts"):
        part_bytes(str(out))
    monkeypatch.undo()
    report = process_shard(shard, str(out))
    assert report.run.unchanged == 2  # the songs were not extracted again
    process_shard(shard, str(tmp_path / "calm"))
    assert part_bytes(str(out)) == part_bytes(str(tmp_path / "calm"))
    assert names(out) == part_files(0, 1)


def test_a_stop_keeps_what_is_done_and_makes_no_part(shard, tmp_path):
    stop = threading.Event()
    out = str(tmp_path / "out")
    report = process_shard(shard, out, progress=lambda _at: stop.set(), stop=stop)
    assert report.run.stopped is Stopped.INTERRUPTED
    assert not list(Path(out).glob("part-*"))
    assert process_shard(shard, out).run.unchanged == report.run.extracted >= 1


def test_two_at_once_on_one_disk_are_one_too_many(shard, tmp_path):
    out = tmp_path / "out"
    mark = shards._fingerprint(shard, ShardConfig())
    lock = RunFolder(out / f".work/part-00000-of-00001.{mark}/vecs.parquet", RUN_FILES)
    with pytest.raises(StoreError, match="another run is writing"):
        process_shard(shard, str(out))
    lock.release()
    assert process_shard(shard, str(out)).run.extracted == 2


def test_a_shard_without_songs_is_an_empty_part(tmp_path):
    report = process_shard(Shard(1, 2, (), AT), str(tmp_path))
    assert report.run.rows == {Kind.VECTORS: 0, Kind.ERRORS: 0}
    assert len(audiorec.open_store(tmp_path / part_name(1, 2, Kind.VECTORS))) == 0


def test_scores_and_features_are_parts_on_the_same_ids(shard, tmp_path):
    config = ShardConfig(scores=True, features=True)
    process_shard(shard, str(tmp_path / "out"), config)
    found = {
        kind: pq.read_table(tmp_path / "out" / part_name(0, 1, kind)).column("song_id").to_pylist()
        for kind in (Kind.VECTORS, Kind.SCORES, Kind.FEATURES)
    }
    assert set(map(tuple, found.values())) == {("1.wav", "2.wav")}
    assert process_shard(shard, str(tmp_path / "out"), config).kept


def test_one_file_under_two_ids_is_two_rows_also_after_a_stop(shard, tmp_path):
    twin = replace(shard.sources[0], song_id="twin")
    shard = replace(shard, sources=(shard.sources[0], twin))
    stop = threading.Event()
    out = str(tmp_path / "out")
    process_shard(shard, out, progress=lambda _at: stop.set(), stop=stop)
    run = process_shard(shard, out).run
    assert (run.unchanged, run.extracted, run.relabelled, run.reused) == (1, 1, 0, 0)
    process_shard(shard, str(tmp_path / "calm"))
    store = audiorec.open_store(tmp_path / "calm" / part_name(0, 1, Kind.VECTORS))
    assert store.ids == ("1.wav", "twin")
    np.testing.assert_array_equal(store.vectors[0], store.vectors[1])
    assert part_bytes(out) == part_bytes(str(tmp_path / "calm"))


def test_songs_and_parts_in_a_bucket(shard, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    with s3_server() as bucket:
        for source in shard.sources:
            write(f"{bucket}/songs/{source.song_id}", Path(source.path).read_bytes())
        sources = find_sources([f"{bucket}/songs"])
        gone = Source("gone.wav", f"{bucket}/songs/gone.wav", f"{bucket}/songs/gone.wav", 1, 2)
        write_manifest(f"{bucket}/m.parquet", [*sources, gone], created_at=AT)
        out = f"{bucket}/vecs"
        report = process_shard(read_shard(f"{bucket}/m.parquet", 0, 1), out)
        assert report.run.outputs[Kind.VECTORS] == f"{out}/{part_name(0, 1, Kind.VECTORS)}"
        assert process_shard(read_shard(f"{bucket}/m.parquet", 0, 1), out).kept
        compacted(out, tmp_path / "store")
    assert list(scratch.iterdir()) == []
    rows = audiorec.open_store(tmp_path / "store/vectors.parquet")
    assert rows.row("1.wav")["uri"] == f"{bucket}/songs/1.wav"
    assert rows.row("1.wav")["size"] == Path(shard.sources[0].path).stat().st_size
    here = audiorec.vector(shard.sources[0].path)
    np.testing.assert_allclose(rows.vector("1.wav"), here, atol=1e-6)
    (failure,) = pq.read_table(tmp_path / "store/errors.parquet").to_pylist()
    assert (failure["song_id"], failure["status"]) == ("gone.wav", "unreadable")
    assert failure["message"] == "no such file"


def test_parts_in_memory_are_the_parts_on_a_disk(shard, tmp_path):
    needs("fsspec")
    process_shard(shard, "memory://shards/vecs")
    process_shard(shard, str(tmp_path / "vecs"))
    assert part_bytes("memory://shards/vecs") == part_bytes(str(tmp_path / "vecs"))


def test_a_work_folder_of_ones_own_is_used_and_left_empty(shard, tmp_path):
    needs("fsspec")
    work = tmp_path / "nvme"
    process_shard(shard, "memory://shards/work", ShardConfig(work_dir=work))
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("index", "count", "message"),
    [
        (4, 4, "the shard must be 0/4 to 3/4, got 4"),
        (-1, 4, "got -1"),
        (0, 0, "the number of shards must be 1 to 99999, got 0"),
        (0, 100_000, "got 100000"),
    ],
)
def test_numbers_that_name_no_shard(index, count, message):
    with pytest.raises(InputError, match=message):
        Shard(index, count, (), AT)
    with pytest.raises(InputError, match=message):
        read_shard("no manifest is opened", index, count)


def test_an_output_that_cannot_be_written_is_told_before_the_work(shard, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("notes")
    monkeypatch.setattr(shards, "run", lambda *_a, **_k: pytest.fail("it worked"))
    with pytest.raises(StoreError, match="file: cannot be written"):
        process_shard(shard, str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "notes"


@pytest.mark.parametrize("name", [".work", ".work/part-00000-of-00001.MARK", "notes"])
@pytest.mark.parametrize("redo", [False, True])
def test_a_planted_work_folder_is_refused_and_nothing_is_touched(shard, tmp_path, name, redo):
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("years")
    work = out / f".work/part-00000-of-00001.{shards._fingerprint(shard, ShardConfig())}"
    if name == "notes":
        work.mkdir(parents=True)
        target = work / "notes.txt"
        target.write_text("my notes")
    else:
        target = out / name.replace(f"{work.name[:-16]}MARK", work.name)
        target.parent.mkdir(parents=True)
        target.symlink_to(victim)
    with pytest.raises(StoreError, match=r"\.work"):
        process_shard(shard, str(out), ShardConfig(redo=redo))
    assert target.is_symlink() or target.read_text() == "my notes"
    assert (victim / "thesis.txt").read_text() == "years"
    assert len(list(victim.iterdir())) == 1


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
    with pytest.raises(InputError, match=r"2 of 3 shards are not finished: 1, 2; run the same"):
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
    with pytest.raises(StoreError, match=r"part-00000-of-00001.*is missing; run the same audiorec"):
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
