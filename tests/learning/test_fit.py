"""`audiorec.learning.fit`: the loop itself, on a small learner."""

import json
from threading import Event

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from made_learner import MadeLearner, largest_difference

from audiorec.errors import InputError
from audiorec.learning.fit import clip_gradients, fit, load_checkpoint, log_epochs


def trained(learner=None, **given):
    learner = learner or MadeLearner()
    return learner, fit(learner, **{"max_epochs": 4, "patience": 9, **given})


def test_it_learns_and_ends_in_the_best_state():
    learner, done = trained(max_epochs=60, patience=4)
    figures = [line["held_out_loss"] for line in done.history]
    assert done.best == int(np.argmin(figures)) == done.best_epoch
    assert 0 < done.best_epoch == len(figures) - 1 - 4  # patience ended it
    assert learner._line(0, None)["held_out_loss"] == figures[done.best]
    assert figures[done.best] < figures[0] - 0.3
    assert done.steps == 15 * (len(figures) - 1)


def test_a_gradient_is_shortened_to_the_norm_that_is_asked_for():
    free, _ = trained()
    clipped, _ = trained(clip=0.2)
    assert max(free.norms) > 0.3
    assert max(clipped.norms) <= 0.2 + 1e-9
    # Norms below it are left alone: the first step's gradients agree up to their length.
    loose, _ = trained(clip=1e9)
    assert largest_difference(loose.weights(), free.weights()) == 0
    for clip in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="clip must be above 0"):
            trained(clip=clip)


def test_the_optimiser_is_left_as_it_was():
    learner, _ = trained(clip=0.2)
    learner.norms.clear()
    learner.step(next(iter(learner.batches(9, 0))))
    assert learner.norms[0] > 0.2


def test_lines_are_told_and_written_with_steps(tmp_path):
    told = []
    _, done = trained(tell=log_epochs(tmp_path / "metrics.jsonl", told.append))
    written = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == told
    assert [line.get("steps") for line in told] == [None, 15, 30, 45, 60]
    assert "steps" not in done.history[1]


class After(Event):
    """Is set once it has been asked so many times."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def is_set(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("steps", [0, 1, 15, 16, 44])
@pytest.mark.parametrize("loss", ["in-batch", "shared"])
def test_a_stop_at_any_step_changes_nothing(tmp_path, steps, loss):
    whole, _ = trained(MadeLearner(loss=loss), clip=0.3)
    given = {"checkpoint": tmp_path / "state", "fingerprint": "a", "clip": 0.3}
    first, done = trained(MadeLearner(loss=loss), stop=After(steps), **given)
    assert not done.finished
    second, done = trained(MadeLearner(loss=loss), **given)
    assert done.finished
    assert done.steps == 60
    assert len(first.norms) + len(second.norms) == 60
    assert largest_difference(second.weights(), whole.weights()) < 1e-6


class Ended(Exception):  # noqa: N818 - as a kill is
    """Ends a training at once, as a kill would."""


def test_another_training_hears_of_a_checkpoint_before_it_is_written(tmp_path):
    """If that fails, the checkpoint before is still there, and training goes on from it."""
    path, heard = tmp_path / "state.safetensors", []
    whole, _ = trained(MadeLearner())

    def hear(state):
        kept = load_checkpoint(path, "a")
        heard.append((state.epoch, state.batch, kept and (kept[1].epoch, kept[1].batch)))
        if len(heard) == 4:
            raise Ended

    given = {"checkpoint": path, "fingerprint": "a", "before_save": hear}
    with pytest.raises(Ended):
        trained(MadeLearner(), every_s=0, **given)
    assert heard == [(1, 1, None), (1, 2, (1, 1)), (1, 3, (1, 2)), (1, 4, (1, 3))]
    second, done = trained(MadeLearner(), checkpoint=path, fingerprint="a")
    assert (done.finished, done.steps) == (True, 60)
    assert largest_difference(second.weights(), whole.weights()) == 0


def test_without_a_copy_of_the_best_state_the_model_ends_in_the_last_one(tmp_path):
    given = {"max_epochs": 60, "patience": 4}
    learner, done = trained(**given, keep_best=False, checkpoint=tmp_path / "state.safetensors")
    _, kept = trained(**given)
    assert done.best_epoch == kept.best_epoch < len(done.history) - 1
    last = len(done.history) - 1
    assert learner._line(0, None)["held_out_loss"] == done.history[last]["held_out_loss"]
    again, resumed = trained(**given, keep_best=False, checkpoint=tmp_path / "state.safetensors")
    assert resumed.history == done.history
    assert largest_difference(again.weights(), learner.weights()) == 0
    content = (tmp_path / "state.safetensors").read_bytes()
    assert b"best." not in content


def test_gradients_of_both_kinds_are_shortened_together():
    dense, sparse, unused = (torch.zeros(4, 2, requires_grad=True) for _ in range(3))
    (3 * dense[0, 0]).backward()
    rows = torch.tensor([1, 3, 1])
    torch.nn.functional.embedding(rows, sparse, sparse=True)[:, 0].sum().mul(2).backward()
    clip_gradients([dense, sparse, unused], 1.0)  # of sqrt(9 + 16 + 4)
    length = 29**0.5
    assert dense.grad[0, 0].item() == pytest.approx(3 / length)
    assert sparse.grad.to_dense()[:, 0].tolist() == pytest.approx([0, 4 / length, 0, 2 / length])
    assert unused.grad is None
