"""`audiorec.extraction.run`: whole runs over small libraries, disturbed in every way."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_songs import write_song
from needs import needs
from poison import kept
from waiting import until

import audiorec
from audiorec.errors import InputError, MissingExtraError, SpecMismatchError, StoreError
from audiorec.extraction import run as extraction
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.run import Policy, RunOptions, make_outputs, preview, run
from audiorec.runs.report import Stopped
from audiorec.spec import FeatureSpec, SegmentSpec
from audiorec.store.inventory import songs_lacking
from audiorec.store.schema import Kind

pytestmark = pytest.mark.usefixtures("in_this_process")
VOLATILE = ("extracted_at", "uri", "mtime_ns")


def extract(library, out, **options):
    outputs = make_outputs(out)
    return run(find_songs([library]), outputs, options=RunOptions(**{"jobs": 1, **options}))


def rows(path, *, without=VOLATILE):
    table = pq.read_table(path)
    return table.drop_columns([n for n in without if n in table.column_names]).to_pylist()


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out" / "vecs.parquet"


def test_a_run_and_its_repetition_import_no_pandas(library, out):
    needs("pandas")
    script = (
        "import audiorec, pathlib, shutil, sys\n"
        f"for _ in range(2): audiorec.extract({str(library)!r}, out={str(out)!r})\n"
        f"song = next(p for p in pathlib.Path({str(library)!r}).rglob('*.wav'))\n"
        "shutil.copy(song, song.with_name('a copy.wav'))\n"
        f"assert audiorec.extract({str(library)!r}, out={str(out)!r}).copies\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_every_song_becomes_a_row(library, out):
    report = extract(library, out)
    assert (report.extracted, report.failed, report.stopped) == (4, 0, None)
    found = rows(out, without=())
    assert [r["song_id"] for r in found] == [
        "a/one.flac",
        "a/two.wav",
        "b/four.mp3",
        "b/three.flac",
    ]
    assert all(np.isfinite(r["vector"]).all() and len(r["vector"]) == 84 for r in found)
    assert [r["segments"] for r in found] == [1, 1, 1, 1]
    assert found[2]["uri"] == str(library / "b/four.mp3")
    assert not out.with_name("vecs.errors.parquet").exists()
    assert not out.with_name("vecs.parquet.run").exists()


def test_the_vector_in_the_store_is_the_vector_of_the_file(library, out):
    extract(library, out)
    store = audiorec.open_store(out)
    alone = audiorec.vector(library / "a/one.flac")
    np.testing.assert_allclose(store.vector("a/one.flac"), alone, atol=1e-6)


def test_jobs_batch_and_order_do_not_move_a_vector(library, out, tmp_path):
    extract(library, out)
    sources = find_songs([library])[::-1]
    other = make_outputs(tmp_path / "other.parquet")
    run(sources, other, config=ExtractorConfig(batch_size=1), options=RunOptions(jobs=2))
    a, b = audiorec.open_store(out), audiorec.open_store(other.vectors)
    assert a.ids == b.ids
    np.testing.assert_allclose(a.vectors, b.vectors, atol=1e-6)


def test_a_second_run_opens_nothing_and_leaves_the_file_as_it_is(library, out):
    extract(library, out)
    before = out.stat()
    report = extract(library, out)
    assert (report.unchanged, report.done) == (4, 0)
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_renamed_folder_costs_no_extraction(library, out):
    extract(library, out)
    vectors = {r["song_id"]: r["vector"] for r in rows(out)}
    library.rename(library.with_name("music"))
    report = extract(library.with_name("music"), out)
    assert (report.reused, report.extracted, report.failed) == (4, 0, 0)
    assert {r["song_id"]: r["vector"] for r in rows(out)} == vectors


def test_a_song_that_moves_inside_takes_its_new_id_and_leaves_the_old(library, out):
    extract(library, out)
    (library / "a/one.flac").rename(library / "b/uno.flac")
    report = extract(library, out)
    assert (report.reused, report.unchanged, report.pruned) == (1, 3, 1)
    assert "a/one.flac" not in audiorec.open_store(out).ids
    assert "b/uno.flac" in audiorec.open_store(out).ids


def test_a_copy_is_a_second_song_with_the_same_vector(library, out):
    extract(library, out)
    shutil.copy(library / "a/one.flac", library / "copy.flac")
    report = extract(library, out)
    assert (report.copies, report.reused, report.done, report.usable) == (1, 0, 1, 5)
    store = audiorec.open_store(out)
    np.testing.assert_array_equal(store.vector("copy.flac"), store.vector("a/one.flac"))
    assert len(store) == 5


def test_a_copy_that_outlives_its_song_has_moved(library, out):
    extract(library, out)
    shutil.copy(library / "a/one.flac", library / "copy.flac")
    (library / "a/one.flac").unlink()
    report = extract(library, out)
    assert (report.copies, report.reused) == (0, 1)


def test_a_retagged_song_keeps_its_vector_and_shows_its_new_title(library, out):
    extract(library, out)
    song = library / "b/four.mp3"
    title = b"TIT2" + (6).to_bytes(4, "big") + b"\x00\x00\x03Title"
    song.write_bytes(b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(title)]) + title + song.read_bytes())
    assert extract(library, out).reused == 1
    assert audiorec.open_store(out).row("b/four.mp3")["title"] == "Title"


def test_a_changed_song_is_extracted_again(library, out):
    extract(library, out)
    before = audiorec.open_store(out).vector("a/two.wav")
    write_song(library / "a/two.wav", seed=99, seconds=7)
    report = extract(library, out)
    assert (report.extracted, report.unchanged) == (1, 3)
    assert np.abs(audiorec.open_store(out).vector("a/two.wav") - before).max() > 1e-3


def test_prune_drops_what_vanished_and_only_then(library, out):
    extract(library, out)
    (library / "a/one.flac").unlink()
    assert extract(library, out).pruned == 0
    assert len(audiorec.open_store(out)) == 4
    assert extract(library, out, prune=True).pruned == 1
    assert len(audiorec.open_store(out)) == 3


def test_a_broken_song_is_a_row_with_its_reason_and_is_not_tried_again(library, out):
    (library / "page.mp3").write_bytes(b"<html>not found</html>" * 40)
    report = extract(library, out)
    assert (report.extracted, report.failures) == (4, {"not_audio": 1})
    row = rows(out.with_name("vecs.errors.parquet"))[0]
    assert (row["song_id"], row["status"], row["attempts"]) == ("page.mp3", "not_audio", 1)
    assert row["message"]
    again = extract(library, out)
    assert (again.failed_before, again.failed, again.unchanged) == (1, 0, 4)
    retried = extract(library, out, retry_failed=True)
    assert retried.failed == 1
    assert rows(out.with_name("vecs.errors.parquet"))[0]["attempts"] == 2


def test_a_mended_song_leaves_the_errors(library, out):
    broken = library / "later.flac"
    broken.write_bytes(b"")
    extract(library, out)
    write_song(broken, seed=5)
    assert extract(library, out).extracted == 1
    assert rows(out.with_name("vecs.errors.parquet")) == []
    assert "later.flac" in audiorec.open_store(out).ids


@pytest.mark.usefixtures("hangs_are_over_at_once")
@pytest.mark.parametrize("jobs", [1, 2])
def test_songs_that_kill_hang_or_eat_memory_cost_only_themselves(library, out, monkeypatch, jobs):
    monkeypatch.setattr(extraction, "HANDLER", "poison:song_handler")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    for i, name in enumerate(["segfault.wav", "hang.wav", "memory.wav"]):
        write_song(library / name, seed=10 + i)
    report = extract(library, out, jobs=jobs)
    assert report.extracted == 4
    assert report.failures == {"crashed": 1, "timeout": 1, "oom": 1}
    found = {r["song_id"]: r["status"] for r in rows(out.with_name("vecs.errors.parquet"))}
    assert found == {"segfault.wav": "crashed", "hang.wav": "timeout", "memory.wav": "oom"}


def test_what_would_befall_every_song_ends_the_run_and_blames_none(library, out, monkeypatch):
    monkeypatch.setattr(extraction, "HANDLER", "poison:without_torch")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with pytest.raises(MissingExtraError, match=r'needs the extra "train"'):
        extract(library, out)
    assert not out.with_name("vecs.errors.parquet").exists()
    monkeypatch.undo()
    assert extract(library, out).extracted == 4


def test_scores_and_features_stand_on_the_same_ids(library, out):
    folder = out.parent
    report = audiorec.extract(
        library, out=out, scores=folder / "s.parquet", features=folder / "f.parquet", jobs=1
    )
    assert report.extracted == 4
    scores, features = (pq.read_table(folder / n) for n in ("s.parquet", "f.parquet"))
    ids = audiorec.open_store(out).ids
    assert tuple(scores.column("song_id").to_pylist()) == ids
    assert tuple(features.column("song_id").to_pylist()) == ids
    series = audiorec.scores(library / "a/one.flac")
    np.testing.assert_allclose(scores.column("scores")[0].as_py(), series.scores, atol=1e-6)


def test_asking_for_scores_later_extracts_what_lacks_them(library, out):
    extract(library, out)
    report = audiorec.extract(library, out=out, scores=out.with_name("s.parquet"), jobs=1)
    assert (report.extracted, report.unchanged) == (4, 0)
    library.rename(library.with_name("music"))
    report = audiorec.extract(
        library.with_name("music"), out=out, scores=out.with_name("s.parquet"), jobs=1
    )
    assert report.reused == 4
    assert pq.read_metadata(out.with_name("s.parquet")).num_rows == 4


def with_features(library, out, **options):
    outputs = make_outputs(out, features=out.with_name("features.parquet"))
    return run(find_songs([library]), outputs, options=RunOptions(jobs=1), **options)


def test_features_that_come_later_read_only_what_lacks_them_and_keep_rows(library, out):
    extract(library, out)
    before = pq.read_table(out)
    assert with_features(library, out).extracted == 4
    assert pq.read_table(out).equals(before)  # every cell, extracted_at too
    for seed in (30, 31):
        write_song(library / f"new {seed}.wav", seed=seed)
    extract(library, out)
    assert songs_lacking(out, Kind.FEATURES) == 2
    before, opened = pq.read_table(out), []
    report = with_features(library, out, progress=lambda at: opened.append(at.song_id))
    assert (opened, report.unchanged) == (["new 30.wav", "new 31.wav"], 4)
    assert pq.read_table(out).equals(before)
    assert pq.read_metadata(out.with_name("features.parquet")).num_rows == 6
    assert songs_lacking(out, Kind.FEATURES) == 0
    assert songs_lacking(out, Kind.SCORES) == 0


def test_a_run_for_features_that_was_cut_off_opens_no_song_twice(library, out):
    extract(library, out)
    before, stop, opened = pq.read_table(out), threading.Event(), []

    def cut_off(at):
        opened.append(at.song_id)
        if len(opened) == 2:
            stop.set()

    assert with_features(library, out, progress=cut_off, stop=stop).stopped is Stopped.INTERRUPTED
    report = with_features(library, out, progress=cut_off)
    assert (len(opened), len(set(opened)), report.unchanged) == (4, 4, 2)
    assert pq.read_table(out).equals(before)
    assert pq.read_metadata(out.with_name("features.parquet")).num_rows == 4


def test_another_extractor_is_refused_and_overwrite_begins_anew(library, out):
    extract(library, out)
    config = ExtractorConfig(spec=FeatureSpec(segment=SegmentSpec(min_tail_s=2.0)))
    with pytest.raises(SpecMismatchError, match="`overwrite`"):
        run(find_songs([library]), make_outputs(out), config=config)
    options = RunOptions(jobs=1, policy=Policy.OVERWRITE)
    report = run(find_songs([library]), make_outputs(out), config=config, options=options)
    assert report.extracted == 4


def test_a_file_that_is_no_store_is_not_replaced(library, out):
    out.parent.mkdir()
    out.write_text("my notes")
    with pytest.raises(StoreError):
        extract(library, out)
    assert out.read_text() == "my notes"


def test_a_folder_as_output_is_refused(library, tmp_path):
    with pytest.raises(InputError, match="name a file in it"):
        make_outputs(tmp_path)


def test_a_run_where_nothing_works_is_stopped(tmp_path, out, monkeypatch):
    monkeypatch.setattr(extraction, "HOPELESS", 5)
    for i in range(12):
        (tmp_path / "songs").mkdir(exist_ok=True)
        (tmp_path / "songs" / f"{i}.mp3").write_bytes(b"no music" * 20)
    report = extract(tmp_path / "songs", out)
    assert report.stopped is Stopped.MAX_FAILURES
    assert report.failed < 12
    resumed = extract(tmp_path / "songs", out)
    assert resumed.failed_before >= report.failed  # what was tried is not tried again


@pytest.mark.parametrize(("limit", "stopped"), [(0, True), (1, False), (0.1, True), (0.5, False)])
def test_max_failures_as_a_number_and_as_a_part(library, out, limit, stopped):
    (library / "a/broken.mp3").write_bytes(b"no music" * 20)
    report = extract(library, out, max_failures=limit)
    assert (report.stopped is Stopped.MAX_FAILURES) is stopped


def test_preview_changes_nothing(library, out):
    assert len(preview(find_songs([library]), make_outputs(out)).todo) == 4
    assert not out.parent.exists()
    extract(library, out)
    write_song(library / "new.wav", seed=50)
    plan = preview(find_songs([library]), make_outputs(out))
    assert ([s.song_id for s in plan.todo], len(plan.unchanged)) == (["new.wav"], 4)


def test_a_stop_finishes_the_songs_in_flight_and_keeps_them(library, out):
    stop = threading.Event()
    report = run(
        find_songs([library]),
        make_outputs(out),
        options=RunOptions(jobs=1),
        progress=lambda _at: stop.set(),
        stop=stop,
    )
    assert report.stopped is Stopped.INTERRUPTED
    assert 1 <= report.extracted < 4
    assert not out.exists()
    resumed = extract(library, out)
    assert resumed.unchanged == report.extracted
    assert len(audiorec.open_store(out)) == 4


def test_sigkill_at_three_moments_and_a_resume_give_the_undisturbed_rows(tmp_path, out):
    library = tmp_path / "songs"
    for i in range(10):
        write_song(library / f"{i}.flac", seed=i, seconds=5)
    (library / "broken.mp3").write_bytes(b"no music" * 20)
    audiorec.extract(library, out=tmp_path / "calm" / "vecs.parquet", jobs=1)
    hangs = (
        "import audiorec.extraction.run as e; e.HANDLER = 'poison:song_handler'\n"
        "import audiorec.store.journal as j; j.PART_S = 0.0\n"
    )
    script = hangs + "from audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, "extract", str(library), "-j1", "-q"]
    command += ["--out", str(out)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for songs in (1, 4, 7):
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, env={**here, "HANGS_AT": f"{songs}.flac"}
        )
        until(lambda: kept(out.with_name("vecs.parquet.run")) == songs)  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not out.exists()
    finished = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, env=here)
    assert finished.returncode == 3
    assert "unchanged" in finished.stderr
    calm = tmp_path / "calm"
    assert rows(out) == rows(calm / "vecs.parquet")
    volatile = (*VOLATILE, "failed_at")
    errors = [rows(f / "vecs.errors.parquet", without=volatile) for f in (out.parent, calm)]
    assert errors[0] == errors[1]
