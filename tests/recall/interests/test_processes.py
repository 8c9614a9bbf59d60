"""Models of what is played next: two processes take the steps of one, dropout included."""

import numpy as np
import pytest
from needs import needs

needs("torch")

from made_next import far, trained
from two_processes import in_two

CHANNELS = ("sasrec", "mind", "comirec-sa")


def kept(path):
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("channel", CHANNELS)
def test_two_processes_equal_one(tmp_path, channel):
    def target(processes):
        np.savez(tmp_path / f"{processes.rank}.npz", **trained(channel, processes))
        return "done"

    assert in_two(tmp_path, target) == ["'done'"] * 2
    alone = trained(channel)
    assert alone["loss"][-1] < alone["loss"][0] - 0.3  # there was something to agree on
    for rank in (0, 1):
        assert far(kept(tmp_path / f"{rank}.npz"), alone) < 1e-9


def test_sparse_tables_take_the_same_steps_alone_and_in_two_processes(tmp_path):
    def target(processes):
        found = trained("sasrec", processes, sparse_tables=True, shared_table=False)
        np.savez(tmp_path / f"{processes.rank}.npz", **found)
        return "done"

    assert in_two(tmp_path, target) == ["'done'"] * 2
    dense = trained("sasrec", shared_table=False)
    alone = trained("sasrec", sparse_tables=True, shared_table=False)
    # Where gradients are no larger than Adam's epsilon, a row makes up for its steps but nearly.
    assert 0 < far(alone, dense) < 1e-6
    for rank in (0, 1):
        assert far(kept(tmp_path / f"{rank}.npz"), alone) < 1e-9


def test_dropout_changes_what_is_learnt():
    """Without it the test above would say nothing of it."""
    usual = trained("mind")
    assert far(trained("mind", dropout=0.0), usual) > 0.01
    assert far(trained("mind", id_dropout=0.0), usual) > 0.01
