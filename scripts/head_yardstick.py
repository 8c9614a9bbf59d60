"""The genre recipe on GTZAN's own ten classes: the public yardstick.

Three figures from one look at the test tracks: segments; tracks by mean score; and tracks by
the full recipe, six statistics of each class's scores and a classifier on them. The training
tracks' statistics are of out-of-fold scores, several times over with other folds.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from head_gtzan import GTZAN_GENRES, Taggrams, balanced
from head_linear import SoftmaxRegression, fit_softmax_regression

from audiorec.evaluation.classification import Report, report
from audiorec.tagger.calibration import class_targets
from audiorec.tagger.folds import grouped_folds
from audiorec.tagger.heads_train import HeadRecipe, Trained, train_head
from audiorec.vectors.statistics import summarize

GENRE_RECIPE = HeadRecipe(
    hidden=(),
    input_dropout=0.2,
    learning_rate=3e-3,
    label_smoothing=0.2,
    max_epochs=80,
    balanced=False,  # `balanced` of head_gtzan weighs artists and genres
)
REPEATS = 2  # out-of-fold passes for the second stage
STAGE_TWO_L2 = 0.3
LABEL_SMOOTHING = 0.1

Float64Array = npt.NDArray[np.float64]


def train_genres(
    data: Taggrams, backbones: Mapping[str, str], *, recipe: HeadRecipe = GENRE_RECIPE
) -> Trained:
    """Train a head on GTZAN's ten classes."""
    return train_head(
        data.tags,
        data.genre,
        data.artist,
        task="gtzan",
        classes=GTZAN_GENRES,
        inputs=("msd.tags",),
        backbones={"msd": backbones["msd"]},
        recipe=recipe,
        row_weights=balanced(data.artist, data.genre),
    )


def statistics(
    scores: npt.NDArray[np.floating], data: Taggrams
) -> tuple[Float64Array, npt.NDArray[np.int64]]:
    """Return the vectors of all series, (m, 60), and the index of each one's first row."""
    _, first = np.unique(data.series, return_index=True)
    vectors = [summarize(scores[data.series == data.series[row]]) for row in first]
    return np.stack(vectors).astype(np.float64), first


def train_second_stage(data: Taggrams, backbones: Mapping[str, str]) -> SoftmaxRegression:
    """Train the classifier on statistics of out-of-fold scores."""
    vectors, rows = [], []
    for repeat in range(REPEATS):
        recipe = replace(GENRE_RECIPE, seed=GENRE_RECIPE.seed + repeat)
        trained = train_genres(data, backbones, recipe=recipe)
        found, first = statistics(trained.out_of_fold, data)
        vectors.append(found)
        rows.append(first)
    row = np.concatenate(rows)
    genre, artist = data.genre[row], data.artist[row]
    n = len(GTZAN_GENRES)
    targets = class_targets(genre, n) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / n
    weights = balanced(artist, genre)
    return fit_softmax_regression(np.concatenate(vectors), targets, weights, l2=STAGE_TWO_L2)


def judge(train: Taggrams, test: Taggrams, backbones: Mapping[str, str]) -> dict[str, Report]:
    """Train on one part and judge on another, in one look.

    Returns
    -------
    reports : dict of str to Report
        ``segments``, ``mean_score`` and ``six_statistics``; intervals over tracks.
    """
    head = train_genres(train, backbones).head
    scores = head.scores_of_columns(test.tags)
    vectors, first = statistics(scores, test)
    second = train_second_stage(train, backbones).scores(vectors)
    mean = vectors.reshape(len(vectors), -1, 6)[:, :, 2]
    judged: dict[str, Any] = {
        "segments": (scores, np.arange(len(test))),
        "mean_score": (mean, first),
        "six_statistics": (second, first),
    }
    return {
        name: report(
            values,
            test.genre[rows],
            test.track[rows],
            classes=GTZAN_GENRES,
            rng=np.random.default_rng(0),
        )
        for name, (values, rows) in judged.items()
    }


def cross_judge(
    data: Taggrams,
    scored: npt.NDArray[np.bool_],
    backbones: Mapping[str, str],
    *,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Return track accuracy by each way under cross-validation grouped by artist.

    Parameters
    ----------
    data : Taggrams
    scored : ndarray, shape (n,), bool
        Rows that count; the others are only learnt from.
    """
    fold = grouped_folds(data.artist, data.genre, folds=folds, seed=seed)
    right: dict[str, list[float]] = {}
    for held in range(folds):
        reports = judge(data.rows(fold != held), data.rows((fold == held) & scored), backbones)
        for name, found in reports.items():
            right.setdefault(name, []).append(found.accuracy.value * found.n)
            right.setdefault(f"{name} n", []).append(found.n)
    return {
        name: sum(values) / sum(right[f"{name} n"])
        for name, values in right.items()
        if not name.endswith(" n")
    }
