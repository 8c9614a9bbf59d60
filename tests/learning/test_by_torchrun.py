"""`audiorec.learning.launch`: one process of two is killed, and the model is that of one."""

import signal
import threading

import numpy as np
import pytest
from needs import needs

needs("torch")

import dying
from safetensors.numpy import load_file

from audiorec.errors import DamagedFileError, InputError, LostProcessError
from audiorec.learning.launch import (
    LaunchedCall,
    Messages,
    by_torchrun,
    error_from_json,
    error_to_json,
)
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.job import train_channel
from audiorec.recall.registry import load_channel

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
FLOAT32 = 1e-4  # largest difference of a song's embedding; 2.0e-5 when it was written


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of what one process comes to."""
    out = tmp_path_factory.mktemp("alone") / "model"
    train_channel(dying.sasrec(), dying.plays(), out)
    return out


def the_same(one, other):
    """Whether two models propose the same; embeddings are of lengths about 1."""
    songs, others = (load_file(path / "model.safetensors")["songs"] for path in (one, other))
    assert np.abs(songs - others).max() < FLOAT32
    queries = Queries(Sequences.from_lists([["s03", "s04"], ["s20"]]))
    lists, others = (load_channel(path).recall(queries, 20) for path in (one, other))
    return bool((lists.song == others.song).all())


def test_two_processes_one_of_which_is_killed_come_to_the_model_of_one(tmp_path, alone):
    lines, remarks = [], []
    found = by_torchrun(
        LaunchedCall("dying:train", {"out": str(tmp_path / "model"), "dies_in": "choose"}),
        2,
        tell=lines.append,
        remark=remarks.append,
    )
    assert found == {
        "model_id": load_channel(tmp_path / "model").model_id,
        "processes": 2,
    }
    assert remarks == ["a process died; all resume from the last checkpoint (restart 1 of 3)"]
    told = [(line["phase"], line["epoch"]) for line in lines]
    assert len(set(told)) == len(told)  # nothing twice, though the first epoch was read again
    assert ("choose", 1) in told
    assert ("refit", 1) in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.died"]
    assert the_same(tmp_path / "model", alone)


def test_a_stop_keeps_the_state(tmp_path):
    stop = threading.Event()
    task = LaunchedCall("dying:stopped", {"out": str(tmp_path / "model")})
    assert by_torchrun(task, 1, tell=lambda _line: stop.set(), stop=stop) is None
    assert (tmp_path / "model.run" / "choose.safetensors").exists()


def test_who_dies_again_and_again_is_given_up():
    with pytest.raises(LostProcessError, match="died 2 times without a result; check"):
        by_torchrun(LaunchedCall("dying:wrong", {"kind": "dies"}), 1, restarts=1)


def test_an_error_is_that_of_the_process():
    with pytest.raises(DamagedFileError, match=r"^broken$"):
        by_torchrun(LaunchedCall("dying:wrong", {"kind": "own"}), 1)


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
