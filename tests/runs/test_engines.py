"""`audiorec.runs`: whoever runs the shards, the rows are the same byte for byte.

One file for all runners: their reference is made once, and their clusters one at a time.
"""

import pickle
import sys
import threading
import warnings

import numpy as np
import pytest
from made_engines import deadly
from needs import needs
from poisoned_library import (
    CONFIG,
    COUNT,
    GOOD,
    POISON,
    DyingTask,
    children_find_poison,
    compacted,
    make_library,
    part_bytes,
)

from audiorec.errors import MissingExtraError
from audiorec.extraction.shards import ShardTask, gather, shard_tasks
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.knn import ItemKNN
from audiorec.runs.tasks import run_ray, run_threads
from audiorec.runs.workers import ray_cluster as started_ray


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        children_find_poison(patch)  # before the clusters start: their workers inherit it
        yield make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def reference(library, tmp_path_factory):
    """What the local runner makes: the parts, and the store that they make together."""
    out = str(tmp_path_factory.mktemp("local") / "out")
    report = gather(run_threads(tasks(library, out), threading.Event(), jobs=2), COUNT)
    assert (report.made, report.lost) == (COUNT, {})
    return part_bytes(out), compacted(out, tmp_path_factory.mktemp("whole") / "store")


def tasks(library, out, config=CONFIG) -> list[ShardTask]:
    return shard_tasks(library.manifest, COUNT, str(out), config)


def check_same(report, out, reference, tmp_path):
    assert (report.made, report.kept, report.lost, report.is_whole) == (COUNT, 0, {}, True)
    assert (report.run.extracted, report.run.failed) == (len(GOOD), len(POISON))
    assert part_bytes(str(out)) == reference[0]
    assert compacted(str(out), tmp_path / "store") == reference[1]


@pytest.fixture(scope="module")
def ray_cluster(library):
    """Ray on two processors of this machine."""
    needs("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with started_ray(processes=2) as ray:
            yield ray


def test_the_local_runner_keeps_what_is_finished(library, reference, tmp_path):
    out = tmp_path / "out"
    report = gather(run_threads(tasks(library, out)[:2], threading.Event()), COUNT)
    assert (report.made, report.is_whole) == (2, False)
    report = gather(run_threads(tasks(library, out), threading.Event(), jobs=2), COUNT)
    assert (report.made, report.kept) == (1, 2)
    assert (report.run.extracted + report.run.unchanged, report.run.found) == (6, 11)
    assert part_bytes(str(out)) == reference[0]


def test_ray_makes_the_same_bytes(library, reference, ray_cluster, tmp_path):
    report = gather(run_ray(tasks(library, tmp_path / "out"), threading.Event()), COUNT)
    check_same(report, tmp_path / "out", reference, tmp_path)


def test_a_ray_worker_that_dies_costs_a_retry_and_one_that_always_dies_one_shard(
    library, reference, ray_cluster, tmp_path
):
    out = tmp_path / "dying"
    dying = [DyingTask.of(task) for task in tasks(library, out)]
    report = gather(run_ray(dying, threading.Event(), max_retries=1), COUNT)
    assert (report.made, list(report.lost)) == (2, [1])
    assert "WorkerCrashedError" in report.lost[1]
    assert [task.tries() for task in dying] == [2, 2, 1]
    again = gather(run_threads(tasks(library, out), threading.Event()), COUNT)
    assert (again.made, again.kept) == (1, 2)
    assert part_bytes(str(out)) == reference[0]


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Plays, and the candidates that one process makes of them."""
    folder = tmp_path_factory.mktemp("one")
    rng = np.random.default_rng(1)
    plays = Sequences.from_lists([[f"s{s}" for s in rng.integers(0, 30, 6)] for _ in range(250)])
    return plays, made_of(plays, folder, None)


def made_of(plays, folder, engine):
    """Return the bytes of candidates."""
    channel = ItemKNN().fit(RecallData(plays))
    options = {"exclude": plays, "engine": engine}
    with pytest.MonkeyPatch.context() as patch:  # several blocks of few users
        patch.setattr("audiorec.recall.contract.batch_recall.BLOCK_USERS", 100)
        write_candidates(folder / "c.parquet", channel, Queries(plays), 9, **options)
    return (folder / "c.parquet").read_bytes()


@pytest.mark.usefixtures("ray_cluster")
def test_ray_makes_the_same_blocks_though_one_is_killed(lists, tmp_path):
    engine = deadly(lambda tasks: run_ray(tasks, threading.Event()), tmp_path / "mark", index=0)
    assert made_of(lists[0], tmp_path, engine) == lists[1]
    assert (tmp_path / "mark").read_text() == "xx"  # killed once


def test_a_stop_before_the_first_shard_makes_none(library, tmp_path):
    stop = threading.Event()
    stop.set()
    report = gather(run_threads(tasks(library, tmp_path / "out"), stop), COUNT)
    assert (report.made, report.is_whole, str(report.run.stopped)) == (0, False, "interrupted")
    assert not (tmp_path / "out").exists()


def test_an_answer_is_small_enough_to_send(reference, library):
    task = tasks(library, "out")[0]
    assert len(pickle.dumps(task)) < 5000


def test_a_runner_that_is_not_installed_names_its_extra(library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match='needs the extra "ray"'):
        list(run_ray(tasks(library, tmp_path), threading.Event()))
