"""`audiorec.recall.audio.trainer`: it learns, and a stop changes nothing."""

import json
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from little_worlds import TASTES, little_world

from audiorec.errors import InputError
from audiorec.learning.fit import fit
from audiorec.recall.audio.model import TowerSpec, UserAudioRecipe
from audiorec.recall.audio.trainer import (
    Tower,
    TowerInputs,
    TowerLearner,
    quiet_torch,
    train_twice,
)

RECIPE = UserAudioRecipe(
    start="random",
    batch_size=32,
    learning_rate=5e-3,
    max_epochs=6,
    patience=3,
    segments=3,
    negatives=5,
)
DATA, HELD = little_world()
N_KNOWN = len(DATA.pool)
EMPTY = DATA.liked.take(np.zeros(0, int))


def judge(anchors, songs):
    near = anchors @ songs[N_KNOWN:].T
    rows = [(n, h) for n, h in zip(near, HELD, strict=True) if h.any() and not h.all()]
    return float(np.mean([(n[h][:, None] > n[~h]).mean() for n, h in rows]))


def tower(**changes) -> Tower:
    torch.manual_seed(1)
    spec = TowerSpec(inputs=("x",), width=TASTES, embedding=TASTES, hidden=6, **changes)
    return Tower(spec)


def train(recipe=RECIPE, data=DATA, **given):
    how = {"max_epochs": recipe.max_epochs, "patience": recipe.patience, "clip": recipe.clip}
    with quiet_torch(recipe):
        learner = TowerLearner(TowerInputs(tower(), data, given.pop("judge", judge)), recipe)
        done = fit(learner, **how, **given)
        return learner.trained(done.history, done.best_epoch, finished=done.finished)


def weights(trained):
    return {name: t.numpy() for name, t in trained.tower.state_dict().items()}


def largest_difference(a, b):
    return max(
        np.abs(x - y).max() for x, y in zip(weights(a).values(), weights(b).values(), strict=True)
    )


@pytest.fixture(scope="module")
def whole():
    return train()


@pytest.mark.parametrize("changes", [{}, {"loss": "hinge"}])
def test_unheard_songs_come_near_those_who_like_them(changes):
    found = train(replace(RECIPE, **changes))
    assert found.history[0]["auc"] < 0.7
    assert found.history[found.best_epoch]["auc"] > 0.8


def test_the_best_state_is_kept_and_training_ends_by_patience():
    lines = iter([0.5, 0.7, 0.6, 0.65, 0.2, 0.9])
    seen = []

    def scripted(_anchors, songs):
        seen.append(songs.copy())
        return next(lines)

    found = train(replace(RECIPE, max_epochs=20), judge=scripted)
    assert found.best_epoch == 1
    assert [line["epoch"] for line in found.history] == [0, 1, 2, 3, 4]
    from audiorec.recall.audio.trainer import embed_songs

    np.testing.assert_allclose(embed_songs(found.tower, DATA.songs), seen[1], atol=1e-6)


def test_without_a_judge_the_last_state_stays():
    found = train(replace(RECIPE, max_epochs=2), judge=None)
    assert found.best_epoch == 2
    assert [line["auc"] for line in found.history] == [None, None, None]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(whole):
    assert largest_difference(train(), whole) == 0
    assert largest_difference(train(replace(RECIPE, seed=1)), whole) > 1e-3


def test_epochs_of_zero_leave_the_start():
    found = train(replace(RECIPE, max_epochs=0))
    assert found.best_epoch == 0
    assert np.array_equal(weights(found)["linear.weight"], tower().linear.weight.detach().numpy())


@pytest.mark.parametrize("stop_after", [1, 4, 9, 17])
def test_a_stop_at_any_batch_changes_nothing(whole, tmp_path, stop_after):
    stop, steps = Event(), []
    from audiorec.recall.audio import trainer as training

    step = training.TowerLearner.step

    def counted(self, batch):
        steps.append(batch.key)
        if len(steps) == stop_after:
            stop.set()
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.TowerLearner, "step", counted)
        first = train(checkpoint=tmp_path / "state", fingerprint="a", stop=stop)
        assert not first.finished
        assert len(steps) == stop_after
        second = train(checkpoint=tmp_path / "state", fingerprint="a")
    assert second.finished
    assert len(set(steps)) == len(steps)  # no batch was done twice
    assert largest_difference(second, whole) < 1e-6
    assert second.best_epoch == whole.best_epoch
    without_time = [[{**line, "seconds": 0} for line in t.history] for t in (second, whole)]
    assert without_time[0] == without_time[1]


def test_the_best_state_outlives_a_stop(tmp_path):
    figures, stop = iter([0.5, 0.9, 0.4, 0.3, 0.2]), Event()
    seen = []

    def scripted(_anchors, songs):
        seen.append(songs.copy())
        if len(seen) == 3:  # epoch 2, which is worse than epoch 1, has just ended
            stop.set()
        return next(figures)

    given = {"judge": scripted, "checkpoint": tmp_path / "state", "fingerprint": "a"}
    assert not train(stop=stop, **given).finished
    found = train(**given)
    assert found.best_epoch == 1
    from audiorec.recall.audio.trainer import embed_songs

    np.testing.assert_allclose(embed_songs(found.tower, DATA.songs), seen[1], atol=1e-6)


def test_a_state_of_another_training_is_not_gone_on_from(whole, tmp_path):
    other = replace(RECIPE, max_epochs=1, seed=8)
    train(other, checkpoint=tmp_path / "state", fingerprint="other")
    found = train(checkpoint=tmp_path / "state", fingerprint="a")
    assert len(found.history) == len(whole.history)
    assert largest_difference(found, whole) == 0


@pytest.mark.parametrize("content", [b"", b"junk" * 50])
def test_a_damaged_state_begins_anew(whole, tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    found = train(checkpoint=tmp_path / "state", fingerprint="a")
    assert largest_difference(found, whole) == 0


def test_progress_gets_every_line():
    lines = []
    found = train(replace(RECIPE, max_epochs=2), tell=lines.append)
    assert [
        {k: v for k, v in line.items() if k in found.history[0]} for line in lines
    ] == found.history
    assert json.dumps(lines)


def test_refuses_data_without_a_liked_pair():
    with pytest.raises(InputError, match="no user likes a song"):
        replace(DATA, liked=EMPTY)


def test_refuses_a_device_that_is_not_there():
    with pytest.raises(InputError, match="cannot use device 'nowhere'"):
        train(replace(RECIPE, device="nowhere"))


def test_the_number_of_threads_comes_back():
    torch.set_num_threads(2)
    try:
        train(replace(RECIPE, max_epochs=0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_after_the_best_epoch_is_chosen_everything_is_learnt_from_for_as_long():
    phases, lines = [], iter([0.5, 0.6, 0.9, 0.4, 0.3, 0.2])
    everything = replace(DATA, pool=np.arange(len(DATA.songs)))

    def lesson(phase):
        phases.append(phase)
        data = everything if phase == "refit" else DATA
        return TowerInputs(tower(), data, (lambda *_: next(lines)) if phase == "choose" else None)

    found = train_twice(lesson, replace(RECIPE, max_epochs=20))
    assert phases == ["choose", "refit"]
    assert (found.best_epoch, found.finished) == (2, True)
    assert [line["epoch"] for line in found.history] == [0, 1, 2, 3, 4, 5, 1, 2]
    # The last state is that of two epochs on everything, trained alone.
    alone = train(replace(RECIPE, max_epochs=2), data=everything, judge=None)
    assert largest_difference(found, alone) == 0
