"""The loggers of docs/training.md, run as they stand there against fakes of what they call."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from needs import needs

needs("torch")

from made_learner import MadeLearner

from audiorec.learning.fit import fit

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```python\n((?!>>>).*?)```", PAGE, re.DOTALL)


def defined(name):
    """Run the block that defines a class; return the class."""
    (block,) = [block for block in BLOCKS if f"class {name}" in block]
    assert sum(bool(line.strip()) for line in block.splitlines()) <= 10
    names = {}
    exec(block, names)  # noqa: S102 - a page of this repository
    return names[name]


@pytest.fixture
def sent(monkeypatch):
    """What the fakes were given."""
    sent = []

    class SummaryWriter:
        def __init__(self, folder):
            sent.append(("folder", folder))

        def add_scalar(self, name, value, step):
            sent.append((name, value, step))

        def flush(self):
            sent.append("flush")

    mlflow, tensorboard = ModuleType("mlflow"), ModuleType("torch.utils.tensorboard")
    mlflow.log_metrics = lambda figures, step: sent.append((figures, step))
    tensorboard.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    return sent


def test_mlflow_gets_a_step_an_epoch(sent):
    done = fit(MadeLearner(), max_epochs=2, patience=9, tell=defined("MlflowLogger")().log)
    assert [step for _, step in sent] == [0, 1, 2]
    assert "loss" not in sent[0][0]  # None before the first epoch
    assert sent[2][0]["held_out_loss"] == done.history[2]["held_out_loss"]
    assert sent[2][0]["steps"] == 30


def test_tensorboard_gets_a_scalar_a_figure(sent, tmp_path):
    logger = defined("TensorBoardLogger")(str(tmp_path))
    done = fit(MadeLearner(), max_epochs=2, patience=9, tell=logger.log)
    assert sent[0] == ("folder", str(tmp_path))
    assert ("held_out_loss", done.history[1]["held_out_loss"], 1) in sent
    assert sent.count("flush") == 3
