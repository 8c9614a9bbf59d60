"""`audiorec.labelling.train`: planted structure is learnt, groups do not leak."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

from audiorec.errors import InputError, MissingExtraError, ShapeError
from audiorec.labelling.train import (
    HeadRecipe,
    class_targets,
    fit_calibration,
    grouped_folds,
    train_head,
)
from audiorec.tagger.heads import softmax

needs("torch")

SHA = {"msd": "a" * 64}
QUICK = HeadRecipe(hidden=(8,), max_epochs=25, folds=3, learning_rate=1e-2, batch_size=32)
SHORT = replace(QUICK, max_epochs=4)  # where nothing has to be learnt


def planted(n_groups=60, per_group=8, seed=0, offset=0.3):
    """Two classes that differ in columns 3 and 7; groups have an offset of their own."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"g{i}" for i in range(n_groups)], per_group)
    labels = np.repeat(np.arange(n_groups) % 2, per_group)
    x = rng.standard_normal((len(groups), 200))
    x += offset * np.repeat(rng.standard_normal((n_groups, 200)), per_group, axis=0)
    x[:, 3] += 6 * labels
    x[:, 7] -= 6 * labels
    return x, labels, groups


def train(x, labels, groups, recipe=QUICK, **more):
    more = {"classes": ("no", "yes")} | more
    return train_head(
        x,
        labels,
        groups,
        task="planted",
        inputs=("msd.penultimate",),
        backbones=SHA,
        recipe=recipe,
        **more,
    )


def test_finds_what_was_planted_in_groups_never_seen():
    trained = train(*planted())
    assert (trained.out_of_fold.argmax(1) == planted()[1]).mean() > 0.9
    x, labels, _ = planted(seed=1)
    assert (trained.head.scores_of_columns(x).argmax(1) == labels).mean() > 0.9


def test_groups_without_a_common_cause_are_not_learnt():
    # Labels by coin a group: within a group rows look alike, so a leak would show.
    x, _, groups = planted(n_groups=60, seed=2, offset=1.0)
    x[:, [3, 7]] = 0
    coin = np.random.default_rng(5).permutation(np.arange(60) % 2)
    labels = np.repeat(coin, 8)
    leaky = train(x, labels, [f"row{i}" for i in range(len(x))])
    honest = train(x, labels, groups)
    assert (leaky.out_of_fold.argmax(1) == labels).mean() > 0.8
    assert (honest.out_of_fold.argmax(1) == labels).mean() < 0.65


def test_same_seed_same_head():
    first, second = (train(*planted(), SHORT).head for _ in range(2))
    assert first.sha256 == second.sha256
    assert train(*planted(), replace(SHORT, seed=1)).head.sha256 != first.sha256


def test_global_random_state_is_left_alone():
    import torch

    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(*planted(n_groups=6))
    np.testing.assert_array_equal(torch.rand(3), expected)


def test_head_remembers_how_it_was_made():
    trained = train(*planted(), info={"licence": "CC0-1.0"})
    info = trained.head.info
    assert info["recipe"]["hidden"] == [8]
    assert info["training_rows"] == 480
    assert info["epochs"] == trained.epochs == int(np.argmin(trained.losses)) + 1
    assert info["licence"] == "CC0-1.0"
    other = train(*planted(seed=9), SHORT).head.info
    assert other["training_data"] != info["training_data"]


def test_linear_head_and_soft_labels():
    x, labels, groups = planted()
    soft = np.where(np.eye(2)[labels] > 0, 0.8, 0.2)
    trained = train(x, soft, groups, replace(QUICK, hidden=(), max_epochs=20))
    assert len(trained.head.layers) == 1
    confidence = trained.out_of_fold.max(1).mean()
    assert 0.6 < confidence < 0.9  # as sure as its labels, no more


def test_rows_of_weight_zero_do_not_count():
    x, labels, groups = planted()
    wrong = np.arange(len(x)) % 2 == 1
    spoilt = np.where(wrong, 1 - labels, labels)
    trained = train(x, spoilt, groups, row_weights=np.where(wrong, 0.0, 1.0))
    assert (trained.out_of_fold.argmax(1) == labels).mean() > 0.8


def test_balanced_weights_lift_the_rare_class():
    rng = np.random.default_rng(0)
    labels = (np.arange(600) % 20 == 0).astype(np.int64)
    x = rng.standard_normal((600, 200))
    x[:, 0] += 1.5 * labels
    groups = [f"g{i}" for i in range(600)]
    recipe = replace(QUICK, hidden=(), calibration="none")
    balanced = train(x, labels, groups, recipe)
    plain = train(x, labels, groups, replace(recipe, balanced=False))
    assert (plain.out_of_fold.argmax(1) == 1).sum() < (balanced.out_of_fold.argmax(1) == 1).sum()


def test_patience_ends_the_losses_early():
    x, _, groups = planted()
    noise = np.random.default_rng(1).integers(0, 2, len(x))
    trained = train(x, noise, groups, replace(QUICK, patience=3))
    assert len(trained.losses) <= trained.epochs + 3


def test_a_constant_column_with_noise_in_its_last_digits_is_not_blown_up():
    x, labels, groups = planted()
    noise = 1e-6 * np.random.default_rng(5).standard_normal((len(x), 50))
    wide = np.concatenate([x[:, :150], 3.0 + noise], axis=1)
    head = train(wide, labels, groups, SHORT).head
    np.testing.assert_array_equal(head.scale[150:], 1.0)
    moved = wide.copy()
    moved[:, 150:] += 1e-6
    np.testing.assert_allclose(
        head.scores_of_columns(moved), head.scores_of_columns(wide), atol=1e-5
    )


def test_without_early_stopping_every_epoch_is_trained():
    x, _, groups = planted()
    noise = np.random.default_rng(1).integers(0, 2, len(x))
    trained = train(x, noise, groups, replace(QUICK, patience=3, early_stopping=False))
    assert trained.epochs == QUICK.max_epochs == trained.head.info["epochs"]
    assert len(trained.losses) < QUICK.max_epochs  # where patience would have ended it


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"labels": np.zeros(480, np.int64)}, InputError, "no rows for class yes"),
        ({"labels": np.full(480, 2)}, ShapeError, "indices below 2"),
        ({"labels": np.zeros((480, 3))}, ShapeError, r"got shape \(480, 3\)"),
        ({"groups": ["a"] * 480}, InputError, "two or more groups"),
        ({"groups": ["a"] * 239}, ShapeError, "the same length n"),
        ({"x": np.zeros((480, 100))}, ShapeError, "mean must have shape"),
    ],
)
def test_refuses(change, error, match):
    x, labels, groups = planted()
    given = {"x": x, "labels": labels, "groups": groups} | change
    with pytest.raises(error, match=match):
        train(given["x"], given["labels"], given["groups"], SHORT)


def test_names_the_extra_where_torch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra "train"'):
        train(*planted())


def test_temperature_worked_by_hand():
    # Logits say 0.98 (log-odds 4), the truth is 3 of 4 (log-odds log 3): scale log(3) / 4.
    logits = np.tile([4.0, 0.0], (4, 1))
    scale, bias = fit_calibration(logits, np.array([0, 0, 0, 1]), kind="temperature")
    np.testing.assert_allclose(scale, np.log(3) / 4, rtol=1e-3)
    np.testing.assert_array_equal(bias, [0, 0])


def test_vector_scaling_puts_a_biased_class_right():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((4000, 3))
    labels = np.array([rng.choice(3, p=p) for p in softmax(truth)])
    spoilt = truth * [3.0, 1.0, 2.0] + [0.0, 2.0, -1.0]
    scale, bias = fit_calibration(spoilt, labels)
    np.testing.assert_allclose(
        softmax(spoilt * scale + bias).mean(0), softmax(truth).mean(0), atol=0.01
    )
    np.testing.assert_allclose(scale, [1 / 3, 1, 1 / 2], atol=0.15)


def test_no_calibration_is_the_identity():
    scale, bias = fit_calibration(np.ones((2, 3)), np.array([0, 1]), kind="none")
    assert (scale.tolist(), bias.tolist()) == ([1, 1, 1], [0, 0, 0])


def test_targets_keep_probabilities():
    soft = np.array([[0.25, 0.75]])
    np.testing.assert_array_equal(class_targets(soft, 2), soft)


@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 1000))
def test_folds_never_part_a_group(n_groups, folds, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, 100).astype(str)
    if len(set(groups)) < 2:
        return
    fold = grouped_folds(groups, rng.integers(0, 3, 100), folds=folds, seed=seed)
    for name in set(groups):
        assert len(set(fold[groups == name])) == 1
    assert set(fold) == set(range(min(folds, len(set(groups)))))


def test_folds_hold_every_class():
    labels = np.repeat([0, 1, 2], 20)
    groups = [f"g{i // 2}" for i in range(60)]
    fold = grouped_folds(groups, labels, folds=5, seed=0)
    for k in range(5):
        np.testing.assert_array_equal(np.bincount(labels[fold == k]), [4, 4, 4])
