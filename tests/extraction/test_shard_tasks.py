"""`audiorec.extraction.shards`: many outcomes as one report."""

from collections import Counter

import pytest

from audiorec.errors import InputError, SpecMismatchError, StoreError, WeightsError
from audiorec.extraction.shards import (
    ShardConfig,
    ShardOutcome,
    ShardReport,
    ShardTask,
    gather,
    shard_tasks,
)
from audiorec.runs.report import RunReport, Stopped


def outcome(index, *, kept=False, **run):
    return ShardOutcome(index, report=ShardReport(index, 4, "mark", kept, RunReport(**run)))


def test_songs_and_seconds_are_summed_and_time_is_the_longest():
    made = outcome(
        0,
        found=5,
        statuses=Counter(ok=3, short=1),
        failures=Counter(empty=1),
        rows={"vectors": 4, "errors": 1},
        audio_s=100.0,
        wall_s=9.0,
        cpu_s={"mel": 1.0, "write": 0.5},
    )
    kept = outcome(1, kept=True, found=7, unchanged=6, failed_before=1, rows={"vectors": 6})
    other = outcome(
        2, statuses=Counter(ok=2), audio_s=11.0, wall_s=4.0, cpu_s={"mel": 2.0}, found=2
    )
    seen = []
    report = gather(
        [made, kept, other], 4, after_each=lambda o, r: seen.append((o.index, r.made, r.kept))
    )
    assert seen == [(0, 1, 0), (1, 1, 1), (2, 2, 1)]
    assert (report.made, report.kept, report.lost, report.is_whole) == (2, 1, {}, False)
    run = report.run
    assert (run.found, run.extracted, run.failed, run.unchanged, run.failed_before) == (
        14,
        6,
        1,
        6,
        1,
    )
    assert run.statuses == {"ok": 5, "short": 1}
    assert run.rows == {"vectors": 10, "errors": 1}
    assert (run.audio_s, run.wall_s, run.cpu_s) == (111.0, 9.0, {"mel": 3.0, "write": 0.5})
    assert run.stopped is Stopped.INTERRUPTED  # shard 3 never came


def test_a_lost_shard_is_named_and_does_not_stop_the_others():
    lost = ShardOutcome(1, message="WorkerCrashedError: it died")
    full = ShardOutcome(2, error=StoreError("out: cannot be written"))
    report = gather([outcome(0), lost, full, outcome(3)], 4)
    assert (report.made, report.run.stopped) == (2, None)
    assert report.lost == {1: "WorkerCrashedError: it died", 2: "out: cannot be written"}
    assert report.to_dict()["lost"]["1"] == "WorkerCrashedError: it died"


def test_a_shard_that_was_stopped_is_not_finished():
    stopped = outcome(0, stopped=Stopped.MAX_FAILURES, failures=Counter(not_audio=50))
    report = gather([stopped, outcome(1)], 2)
    assert (report.made, report.is_whole, report.run.stopped) == (1, False, Stopped.MAX_FAILURES)


@pytest.mark.parametrize("kind", [InputError, SpecMismatchError, WeightsError])
def test_what_would_befall_every_shard_ends_the_run(kind):
    with pytest.raises(kind, match="all of them"):
        gather([ShardOutcome(0, error=kind("all of them")), outcome(1)], 2)


def test_a_report_comes_back_from_json():
    report = outcome(
        0,
        found=3,
        statuses=Counter(ok=2),
        failures=Counter(oom=1),
        stopped=Stopped.INTERRUPTED,
        cpu_s={"mel": 0.25},
        rows={"vectors": 2},
        extractor_id="abc",
    ).report.run
    assert RunReport.from_dict(report.to_dict()) == report


def test_an_attempt_answers_what_goes_wrong_on_purpose(tmp_path, monkeypatch):
    (task,) = shard_tasks(str(tmp_path / "gone.parquet"), 1, str(tmp_path / "out"), ShardConfig())
    assert isinstance(task.attempt().error, InputError)

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audiorec.extraction.shards.read_shard", full)
    assert "No space left on device" in task.attempt().message
    monkeypatch.setattr("audiorec.extraction.shards.read_shard", lambda *_a: {}["a bug"])
    with pytest.raises(KeyError):
        task.attempt()


def test_paths_are_made_absolute_before_they_travel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ShardConfig()
    assert shard_tasks("m.parquet", 2, "s3://b/out", config) == [
        ShardTask(f"{tmp_path}/m.parquet", index, 2, "s3://b/out", config) for index in (0, 1)
    ]
    with pytest.raises(InputError, match="number of shards"):
        shard_tasks("m.parquet", 0, "out", config)
