"""The logger of docs/training.md, run as it stands there, with MLflow itself."""

import os
import re
from pathlib import Path

import pytest
from needs import needs

needs("torch")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when it is imported
needs("mlflow")

import mlflow
from made_learner import MadeLearner

from audiorec.learning.fit import fit

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```python\n((?!>>>).*?)```", PAGE, re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own parts
def test_mlflow_gets_a_step_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # without a database
    (block,) = [block for block in BLOCKS if "class MlflowLogger" in block]
    names = {}
    exec(block, names)  # noqa: S102 - a page of this repository
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    try:
        with mlflow.start_run() as run:
            done = fit(MadeLearner(), max_epochs=2, patience=9, tell=names["MlflowLogger"]().log)
        kept = mlflow.MlflowClient()

        def told(name):
            return {one.step: one.value for one in kept.get_metric_history(run.info.run_id, name)}

        assert told("held_out_loss") == {
            line["epoch"]: pytest.approx(line["held_out_loss"]) for line in done.history
        }
        assert sorted(told("loss")) == [1, 2]  # None before the first epoch
        assert told("steps")[2] == 30
    finally:
        mlflow.set_tracking_uri("")
