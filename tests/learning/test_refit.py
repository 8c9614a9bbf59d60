"""`audiorec.learning.fit`: the best epoch of a fair choice, then everything for that long."""

import os
import shutil
import signal

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from made_learner import N_HELD, N_LIKES, MadeLearner, largest_difference
from random_kills import kill_at_random

from audiorec.learning.fit import fit, fit_refit


def make(phase):
    return MadeLearner(everything=phase == "refit", rate=0.05)


def trained(**given):
    return fit_refit(make, **{"max_epochs": 30, "patience": 2, "fingerprint": "a", **given})


@pytest.fixture(scope="module")
def whole():
    return trained()


def test_the_second_training_is_the_best_number_of_epochs_over_everything(whole):
    chooser, alone = make("choose"), make("refit")
    chosen = fit(chooser, max_epochs=30, patience=2)
    assert whole.chosen == chosen
    assert 1 < chosen.best_epoch < len(chosen.history) - 1  # it stopped by patience
    # By hand: as many epochs over everything, and the state after the last of them.
    alone.model.train()
    for epoch in range(1, chosen.best_epoch + 1):
        for batch in alone.batches(epoch, 0):
            alone.step(batch)
    assert largest_difference(whole.learner.weights(), alone.weights()) == 0
    assert whole.finished
    steps = -(-N_LIKES // 17)
    assert whole.refit.steps == steps * chosen.best_epoch
    assert chosen.steps == -(-(N_LIKES - N_HELD) // 17) * (len(chosen.history) - 1)


def test_a_training_that_goes_on_ends_with_the_mean_of_before_and_after():
    before, after = make("refit").weights(), trained(choose=False, max_epochs=3).learner.weights()
    found = trained(goes_on=True, max_epochs=3).learner.weights()
    for name, value in found.items():
        np.testing.assert_allclose(value, (before[name] + after[name]) / 2, rtol=1e-12)
    assert largest_difference(before, after) > 0.1


def test_what_was_held_out_is_not_judged_after_it_was_learnt(whole):
    assert whole.learner.judged == 0
    phases = [line["phase"] for line in whole.history]
    assert phases == ["choose"] * len(whole.chosen.history) + ["refit"] * whole.chosen.best_epoch
    assert all("held_out_loss" not in line for line in whole.history if line["phase"] == "refit")


def test_lines_say_their_phase():
    told = []
    found = trained(max_epochs=2, patience=9, tell=told.append)
    assert [(line["phase"], line["epoch"]) for line in told] == [
        ("choose", 0), ("choose", 1), ("choose", 2), ("refit", 1), ("refit", 2),
    ]  # fmt: skip
    assert found.chosen.best_epoch == 2


def test_nothing_better_than_the_start_leaves_the_start():
    class Worse(MadeLearner):
        def score(self, line):
            return -line["epoch"]

    found = fit_refit(lambda phase: Worse(everything=phase == "refit"), max_epochs=5, patience=2)
    assert found.finished
    assert (found.chosen.best_epoch, found.refit.steps) == (0, 0)
    assert largest_difference(found.learner.weights(), Worse().weights()) == 0


def no_times(found):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in found.history]


def die_at(step, work):
    """Train in a child that dies where step number `step` would begin; return whether it did."""
    child = os.fork()
    if child == 0:  # no way out but its end: the child must not run pytest's
        try:
            signal.alarm(60)
            learn, count = MadeLearner.step, [0]

            def dying(self, batch):
                count[0] += 1
                if count[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return learn(self, batch)

            MadeLearner.step = dying
            trained(work=work, every_s=0.0)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_kill_at_any_step_of_either_phase_costs_nothing(whole, tmp_path):
    choose, refit = whole.chosen.steps, whole.refit.steps
    rng = np.random.default_rng()
    for number, step in enumerate([
        int(rng.integers(1, choose + 1)), choose + 1, int(rng.integers(choose + 1, choose + refit)),
    ]):  # fmt: skip
        work = tmp_path / str(number)
        work.mkdir()
        assert die_at(step, work), step
        names = {path.name for path in work.iterdir()}
        assert ("refit.safetensors" in names) == (step > choose + 1)
        found = trained(work=work)
        assert found.finished
        assert no_times(found) == no_times(whole)
        assert largest_difference(found.learner.weights(), whole.learner.weights()) < 1e-6
        assert len(found.learner.norms) == refit - max(0, step - 1 - choose)


def test_kills_between_any_two_instructions_cost_nothing(whole, tmp_path):
    work = tmp_path / "work"

    def start():
        work.mkdir(exist_ok=True)
        child = os.fork()
        if child == 0:
            try:
                trained(work=work, every_s=0.0)
            finally:
                os._exit(0)
        return child

    kill_at_random(start, lambda: shutil.rmtree(work), begun=lambda: any(work.iterdir()))
    found = trained(work=work)
    assert no_times(found) == no_times(whole)
    assert largest_difference(found.learner.weights(), whole.learner.weights()) < 1e-6


def test_the_state_of_another_training_or_phase_is_not_resumed(whole, tmp_path):
    trained(work=tmp_path)
    assert trained(work=tmp_path).learner.norms == []
    assert len(trained(work=tmp_path, fingerprint="b").learner.norms) == whole.refit.steps
    (tmp_path / "choose.safetensors").replace(tmp_path / "refit.safetensors")
    assert len(trained(work=tmp_path, fingerprint="b").learner.norms) == whole.refit.steps


def test_a_state_of_more_epochs_than_are_chosen_now_is_not_kept(whole, tmp_path):
    class First(MadeLearner):
        def score(self, line):
            return float(line["epoch"] == 1)

    def first(phase):
        return First(everything=phase == "refit", rate=0.05)

    trained(work=tmp_path)
    given = {"max_epochs": 30, "patience": 2, "fingerprint": "a"}
    found = fit_refit(first, work=tmp_path, **given)
    assert (found.chosen.best_epoch, len(found.refit.history)) == (1, 1)
    alone = fit_refit(first, **given)
    assert largest_difference(found.learner.weights(), alone.learner.weights()) < 1e-6
    assert largest_difference(found.learner.weights(), whole.learner.weights()) > 1e-3
