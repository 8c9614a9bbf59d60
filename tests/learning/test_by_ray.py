"""`audiorec.learning.launch`: Ray is started once, one of two workers is killed while it trains."""

import os

import pytest
from needs import needs

needs("torch")
needs("ray")

import dying
import numpy as np
from safetensors.numpy import load_file

from audiorec.errors import InputError
from audiorec.learning.launch import LaunchedCall, by_ray
from audiorec.recall.contract.job import train_channel
from audiorec.runs.workers import _variables, ray_cluster

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray Train warns of its own parts


@pytest.fixture(scope="module")
def ray():
    """Ray as `by_ray` starts it, once for all tests here."""
    with ray_cluster(processes=2) as started:
        yield started


@pytest.mark.usefixtures("ray")
def test_two_workers_one_of_which_is_killed_come_to_the_model_of_one(tmp_path):
    lines, remarks = [], []
    found = by_ray(
        LaunchedCall("dying:train", {"out": str(tmp_path / "model"), "dies_in": "refit"}),
        2,
        storage=tmp_path,
        tell=lines.append,
        remark=remarks.append,
    )
    assert found["processes"] == 2
    assert remarks == ["a process died; all resume from the last checkpoint (restart 1 of 3)"]
    assert {line["phase"] for line in lines} == {"choose", "refit"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.died"]
    train_channel(dying.sasrec(), dying.plays(), tmp_path / "alone")
    one, two = (load_file(tmp_path / n / "model.safetensors")["songs"] for n in ("alone", "model"))
    assert np.abs(one - two).max() < 1e-4


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
