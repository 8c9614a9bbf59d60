"""youtube-dnn in two processes: the steps of one; from the command line, one model."""

import json
import subprocess
import sys

import numpy as np
from needs import needs

needs("torch")

from made_tastes import trained
from two_processes import in_two

from audiorec.recall.registry import load_channel
from audiorec.runs.record import read_runs


def test_two_processes_equal_one(tmp_path):
    def target(processes):
        done = trained(processes)
        arrays = {k: v.numpy() for k, v in done.learner.model.state_dict().items()}
        arrays["loss"] = np.array([line["loss"] for line in done.history])
        np.savez(tmp_path / f"{processes.rank}.npz", **arrays)

    assert in_two(tmp_path, target) == ["None", "None"]
    done = trained()
    assert done.refit.steps >= 100
    losses = [line["loss"] for line in done.history]
    assert losses[-1] < losses[0] - 0.5  # there was something to agree on
    for rank in (0, 1):
        with np.load(tmp_path / f"{rank}.npz") as found:
            np.testing.assert_allclose(found["loss"], losses, atol=1e-5)
            for name, tensor in done.learner.model.state_dict().items():
                assert np.abs(found[name] - tensor.numpy()).max() < 1e-9, name


def test_one_command_two_processes_one_model(tmp_path):
    needs("ray")
    rows = [
        f"u{user:02},s{(3 * user + i) % 7 * 2 + user % 2},2024-05-{i + 1:02}T10:00:00Z,finish"
        for user in range(30)
        for i in range(6)
    ]
    text = "\n".join(["user_id,song_id,timestamp,event", *rows])
    (tmp_path / "plays.csv").write_text(f"{text}\n")
    words = "recall train youtube-dnn -i plays.csv --set max_epochs=2 --json --out model"
    together = "--processes 2"
    done = subprocess.run(
        [sys.executable, "-m", "audiorec_cli.main", *words.split(), *together.split()],
        check=True,
        timeout=300,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    document = json.loads(done.stdout)  # one document, of the first process
    assert document["model_id"] == load_channel(tmp_path / "model").model_id
    assert done.stderr.startswith("2 processes with Ray on this machine\n")
    assert done.stderr.count("epoch 1: ") == 2  # one line in either phase
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.run.json", "plays.csv"]
    (run,) = read_runs(tmp_path / "model.run.json")  # of the first process
    assert (run.job, run.exit_code, run.counts["sequences"]) == ("recall train", 0, 30)
