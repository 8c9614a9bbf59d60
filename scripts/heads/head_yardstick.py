"""The genre recipe on GTZAN's own ten classes: the public yardstick.

Four figures from one look at the test tracks: segments; tracks by mean score; tracks by six
statistics of each class's scores and a classifier on them; and tracks by all there is, the
mean of those two and of a classifier on six statistics of the backbone's fifty tags. The
training tracks' statistics are of out-of-fold scores, several times over with other folds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from head_gtzan import GTZAN_GENRES, Taggrams, balanced
from head_linear import (
    LinearHead,
    LinearRecipe,
    SoftmaxRegression,
    fit_linear,
    fit_softmax_regression,
    train_linear,
)

from audiorec.evaluation.classification import Report, report
from audiorec.labelling.train import class_targets
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS

GENRE_RECIPE = LinearRecipe()
REPEATS = 2  # out-of-fold passes for the classifier of six statistics
STATISTICS_L2 = 3.0
TAGS_L2 = 1.0  # five times as many columns: less shrinking of each serves better
LABEL_SMOOTHING = 0.1
MEAN = STATISTICS.index("mean")

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def train_genres(
    data: Taggrams, backbones: Mapping[str, str], *, recipe: LinearRecipe = GENRE_RECIPE
) -> LinearHead:
    """Train a head on GTZAN's ten classes."""
    return train_linear(
        data.tags,
        class_targets(data.genre, len(GTZAN_GENRES)),
        data.artist,
        balanced(data.artist, data.genre),
        task="gtzan",
        classes=GTZAN_GENRES,
        inputs=("msd.tags",),
        backbones={"msd": backbones["msd"]},
        recipe=recipe,
    )


def fit_genres(data: Taggrams, *, recipe: LinearRecipe = GENRE_RECIPE) -> SoftmaxRegression:
    """Fit the ten classes once: no folds, no calibration."""
    targets = class_targets(data.genre, len(GTZAN_GENRES))
    return fit_linear(data.tags, targets, balanced(data.artist, data.genre), recipe=recipe)


def statistics(values: npt.NDArray[np.floating], data: Taggrams) -> tuple[Float64Array, IntArray]:
    """Return six statistics of all series, (m, columns, 6), and each one's first row."""
    _, first = np.unique(data.series, return_index=True)
    found = [summarise(values[data.series == data.series[row]]) for row in first]
    return np.stack(found).reshape(len(first), values.shape[1], -1).astype(np.float64), first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Scores of segments, and of series by each way to join them; `first` is a series' row."""

    segments: npt.NDArray[np.floating]
    ways: dict[str, Float64Array]
    first: IntArray


def score(train: Taggrams, test: Taggrams, backbones: Mapping[str, str]) -> Scored:
    """Train on one part and score another by every way."""
    passes = out_of_fold_passes(train, backbones)
    scores = passes[0].head.scores_of_columns(test.tags)
    found, first = statistics(scores, test)
    mean = found[:, :, MEAN]
    six = six_statistics([one.out_of_fold for one in passes], train, scores, test)
    tags = tag_statistics(train, test)
    ways = {"mean score": mean, "six statistics": six, "tags": tags}
    ways["all three"] = (mean + six + tags) / 3
    return Scored(segments=scores, ways=ways, first=first)


def out_of_fold_passes(data: Taggrams, backbones: Mapping[str, str]) -> list[LinearHead]:
    """Train the head with other folds each time; the heads differ in their calibration only."""
    seeds = range(GENRE_RECIPE.seed, GENRE_RECIPE.seed + REPEATS)
    recipes = [replace(GENRE_RECIPE, seed=seed) for seed in seeds]
    return [train_genres(data, backbones, recipe=recipe) for recipe in recipes]


def six_statistics(
    out_of_fold: list[npt.NDArray[np.floating]],
    train: Taggrams,
    scores: npt.NDArray[np.floating],
    test: Taggrams,
    *,
    l2: float = STATISTICS_L2,
) -> Float64Array:
    """Classify series by six statistics of each class, learnt from out-of-fold scores."""
    parts = [statistics(one, train) for one in out_of_fold]
    seen = np.concatenate([found for found, _ in parts])
    rows = np.concatenate([first for _, first in parts])
    return _classify(seen, rows, train, statistics(scores, test)[0], l2)


def tag_statistics(train: Taggrams, test: Taggrams, *, l2: float = TAGS_L2) -> Float64Array:
    """Classify series by six statistics of the backbone's own tags, with no segment head."""
    seen, rows = statistics(train.tags, train)
    return _classify(seen, rows, train, statistics(test.tags, test)[0], l2)


def judge(train: Taggrams, test: Taggrams, backbones: Mapping[str, str]) -> dict[str, Report]:
    """Train on one part and judge on another, in one look; intervals over tracks."""
    scored = score(train, test, backbones)
    judged: dict[str, tuple[npt.NDArray[np.floating], IntArray]] = {
        "segments": (scored.segments, np.arange(len(test)))
    }
    judged |= {name: (values, scored.first) for name, values in scored.ways.items()}
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


def _classify(
    seen: Float64Array, rows: IntArray, train: Taggrams, held: Float64Array, l2: float
) -> Float64Array:
    """Fit on statistics of series with these first rows, and score others."""
    genre, n = train.genre[rows], len(GTZAN_GENRES)
    targets = class_targets(genre, n) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / n
    weights = balanced(train.artist[rows], genre)
    model = fit_softmax_regression(seen.reshape(len(seen), -1), targets, weights, l2=l2)
    return model.scores(held.reshape(len(held), -1))
