"""`audiorec.learning.launch`, and the command that asks it: Ray is started once, one of two workers
is killed while it trains."""

import json
import os
import tempfile
import threading
from pathlib import Path

import pytest
from needs import needs

needs("torch")

import dying
import numpy as np
from command import run_command
from safetensors.numpy import load_file
from two_processes import in_two

from audiorec.errors import DamagedFileError, InputError, LostProcessError
from audiorec.learning.launch import (
    LaunchedCall,
    Messages,
    Wire,
    by_ray,
    error_from_json,
    error_to_json,
    run_part,
)
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.training import train_channel
from audiorec.recall.registry import load_channel
from audiorec.runs.record import read_runs
from audiorec.runs.workers import _variables, ray_cluster

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray Train warns of its own parts
FLOAT32 = 1e-4  # largest difference of a song's embedding; 2.0e-5 when it was written


@pytest.fixture(scope="module")
def ray():
    """Ray as `by_ray` starts it, once for all tests here."""
    needs("ray")
    with ray_cluster(processes=2) as started:
        yield started


@pytest.mark.usefixtures("ray")
def test_two_workers_one_of_which_is_killed_come_to_the_model_of_one(tmp_path):
    lines, remarks = [], []
    found = by_ray(
        LaunchedCall("dying:train", {"out": str(tmp_path / "model")}),
        2,
        storage=tmp_path,
        tell=lines.append,
        remark=remarks.append,
    )
    assert found == {"model_id": load_channel(tmp_path / "model").model_id, "processes": 2}
    assert remarks == ["a process died; all resume from the last checkpoint (restart 1 of 3)"]
    told = [(line["phase"], line["epoch"]) for line in lines]
    assert len(set(told)) == len(told)  # nothing twice, though the first epoch was read again
    assert {("choose", 1), ("refit", 1)} <= set(told)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.died"]
    train_channel(dying.sasrec(), dying.plays(), tmp_path / "alone")
    one, two = (load_file(tmp_path / n / "model.safetensors")["songs"] for n in ("alone", "model"))
    assert np.abs(one - two).max() < FLOAT32
    queries = Queries(Sequences.from_lists([["s03", "s04"], ["s20"]]))
    lists = [load_channel(tmp_path / n).recall(queries, 20).song for n in ("alone", "model")]
    assert (lists[0] == lists[1]).all()


@pytest.mark.usefixtures("ray")
def test_a_stop_reaches_the_workers_and_who_dies_without_a_restart_left_is_given_up():
    stop = threading.Event()
    task = LaunchedCall("dying:dies_when_stopped", {})
    with pytest.raises(LostProcessError, match="died once without a result; check"):
        by_ray(task, 1, tell=lambda _line: stop.set(), stop=stop, restarts=0)


def part_of(task, folder, stop=None):
    """Run a task as the only process, in this one; return what the launcher hears of it."""
    heard = Messages(folder, tell=lambda _line: stop.set())
    part = threading.Thread(target=run_part, args=(task, Wire(folder, 0)))
    part.start()
    while part.is_alive():
        part.join(0.05)
        heard.poll(stop)
    heard.poll(stop)
    return heard


def by_forks(task, processes, *, address, storage, stop, tell, remark):
    """As `by_ray`, in two forks that have loaded torch: Ray takes six times as long to begin."""
    assert (processes, address) == (2, None)
    with tempfile.TemporaryDirectory(dir=storage) as kept:
        folder = Path(kept)
        done = in_two(folder, lambda part: run_part(task, Wire(folder, part.rank)))
        assert done == ["None", "None"]
        assert not (folder / "rank-1.jsonl").exists()  # it trained with the first, not alone
        heard = Messages(folder, tell, remark)
        heard.poll(stop)
    return heard.result()


def test_one_command_two_processes_one_model(tmp_path, monkeypatch, capfd):
    rows = [
        f"u{user:02},s{(3 * user + i) % 7 * 2 + user % 2},2024-05-{i + 1:02}T10:00:00Z,finish"
        for user in range(30)
        for i in range(6)
    ]
    text = "\n".join(["user_id,song_id,timestamp,event", *rows])
    (tmp_path / "plays.csv").write_text(f"{text}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("audiorec.learning.launch.by_ray", by_forks)
    words = "recall train youtube-dnn -i plays.csv --set max_epochs=2 --json --out model"
    code, out, err = run_command(monkeypatch, capfd, *words.split(), "--processes", 2)
    assert code == 0
    document = json.loads(out)  # one document, of the first process
    assert document["model_id"] == load_channel(tmp_path / "model").model_id
    assert err.startswith("2 processes with Ray on this machine\n")
    assert err.count("epoch 1: ") == 2  # one line in either phase
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.run.json", "plays.csv"]
    (run,) = read_runs(tmp_path / "model.run.json")  # of the first process
    assert (run.job, run.exit_code, run.counts["sequences"]) == ("recall train", 0, 30)


def test_a_stop_keeps_the_state(tmp_path):
    task = LaunchedCall("dying:stopped", {"out": str(tmp_path / "model")})
    assert part_of(task, tmp_path, threading.Event()).result() is None
    assert (tmp_path / "model.run" / "choose.safetensors").exists()


def test_an_error_is_that_of_the_process_and_ends_the_others(tmp_path):
    with pytest.raises(DamagedFileError, match=r"^broken$"):
        part_of(LaunchedCall("dying:wrong", {"kind": "own"}), tmp_path).result()
    # A process that is restarted after an answer does nothing.
    run_part(LaunchedCall("dying:wrong", {"kind": "bug"}), Wire(tmp_path, 1))
    assert [path.name for path in tmp_path.glob("rank-*")] == ["rank-0.jsonl"]


@pytest.mark.usefixtures("ray")
def test_more_workers_than_the_cluster_has_processors_are_refused():
    with pytest.raises(InputError, match="CPUs for 5000 processes"):
        by_ray(LaunchedCall("dying:wrong", {"kind": "input"}), 5000)


@pytest.mark.usefixtures("ray")
def test_nothing_is_told_to_anybody_and_the_environment_comes_back():
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    with _variables({"RAY_USAGE_STATS_ENABLED": "1", "NEW": "2"}):
        pass
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "NEW" not in os.environ


def test_errors_travel_as_json():
    for error in (InputError("no"), LostProcessError("gone")):
        again = error_from_json(*error_to_json(error))
        assert (type(again), again.args) == (type(error), error.args)
    assert type(error_from_json(*error_to_json(dying.OwnError("broken")))) is DamagedFileError


def test_a_bug_keeps_its_traceback(tmp_path):
    heard = Messages(tmp_path)
    heard.take({"answer": {"bug": "Traceback: ZeroDivisionError"}})
    heard.take({"answer": {"result": 1}})  # the first answer counts
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        heard.result()
