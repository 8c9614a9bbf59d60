"""youtube-dnn in two processes takes the steps of one."""

import numpy as np
from needs import needs

needs("torch")

from made_tastes import trained
from two_processes import in_two


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
