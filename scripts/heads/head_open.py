"""The head for whole songs from free audio alone: CC0, CC BY, CC BY-SA, public domain, Debian.

Labelled free audio is at hand of five of the ten genres (classical, electronic, hip hop, metal,
rock). What the others sound like, the backbone's own tags say, whose names are those of genres:
weights begin at `PRIOR` for the root of a genre's tag, and the data moves them from there. Styles
have neither, so none is ever clear. The head for segments begins with tags in the same way.
"""

from dataclasses import fields

import numpy as np
import numpy.typing as npt
from head_genre import GENRES, GenreRows
from head_gtzan import balanced
from head_linear import TOLERANCE, SoftmaxRegression
from head_songs import (
    CLASSES,
    L2,
    STYLES,
    Logits,
    SongRows,
    Songs,
    targets,
    with_embedding,
)
from head_yardstick import GENRE_RECIPE
from scipy.optimize import minimize

from audiorec.tagger.heads import softmax
from audiorec.tagger.song_labels import CLIP, EMBEDDING, WIDTH, tagged_genre
from audiorec.tagger.weights import MSD
from audiorec.types import Float64Array

# What the other head learns from and this one does not: no licence, or one for research.
NOT_FREE = ("gtzan", "gtzan_actcv", "taggrams", "rap")
FREE_SOUNDS = ("cmu_arctic", "sonic-pi-loops")
PRIOR = 10.0  # logit of a genre whose tag has the root 1
ROOT = 0.25  # standard deviation of a root, so that none is clipped
BIAS_L2 = 0.01  # a genre without rows keeps a share
NEVER_BIAS = -20.0  # of styles
TAG = {name: name for name in GENRES if name in MSD.tags} | {"hiphop": "Hip-Hop"}
# Of the head for segments, whose columns are tags as they are.
TAG_SPREAD = 0.05  # standard deviation of a tag
TAG_LOGIT = 2.0  # of a genre all of whose tags are one of these above 0
TAGS_L2, SMOOTHING = 0.1, GENRE_RECIPE.label_smoothing
STEPS = TOLERANCE | {"maxiter": 300}


def free_songs(songs: Songs) -> Songs:
    """Return what is free of everything that is learnt from; what only judges stays."""

    def kept(name: str) -> SongRows:
        rows: SongRows = getattr(songs, name)
        if name in ("tagged", "unnamed"):
            return rows
        free = ~np.isin(rows.corpus, NOT_FREE)
        return rows.rows(np.isin(rows.corpus, FREE_SOUNDS) if name == "sounds" else free)

    return Songs(**{field.name: kept(field.name) for field in fields(Songs)})


def prior() -> tuple[Float64Array, Float64Array]:
    """Return the weights, (674, 13), and biases, (13,), that a fit begins with."""
    weight, bias = np.zeros((WIDTH, len(CLASSES))), np.zeros(len(CLASSES))
    for genre, tag in TAG.items():
        weight[EMBEDDING + MSD.tags.index(tag), GENRES.index(genre)] = PRIOR * ROOT
    bias[[CLASSES.index(style) for style in STYLES]] = NEVER_BIAS
    return weight, bias


def fit_open(rows: SongRows) -> SoftmaxRegression:
    """Fit the classes to labelled rows, as near to the prior as they allow."""
    x = rows.columns
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    mean[EMBEDDING:], scale[EMBEDDING:] = 0.0, ROOT
    z = np.clip((x - mean) / scale, -CLIP, CLIP)
    weight, bias = near(z, targets(rows), balanced(rows.group, rows.genre), *prior(), L2)
    return SoftmaxRegression(mean, scale, weight, bias, CLIP)


def near(
    z: Float64Array,
    wanted: Float64Array,
    weights: Float64Array,
    first: Float64Array,
    first_bias: Float64Array,
    l2: float,
) -> tuple[Float64Array, Float64Array]:
    """Return weights and biases of maximum likelihood, drawn to those that are given."""
    weights = (weights / weights.sum())[:, None]
    before, n = z @ first + first_bias, len(first_bias)

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weight, bias = flat[:-n].reshape(first.shape), flat[-n:]
        p = softmax(before + z @ weight + bias)
        error = (p - wanted) * weights
        value = -(weights * wanted * np.log(p + 1e-12)).sum()
        value += l2 / 2 * np.square(weight).sum() + BIAS_L2 / 2 * np.square(bias).sum()
        by_bias = error.sum(axis=0) + BIAS_L2 * bias
        return float(value), np.concatenate([(z.T @ error + l2 * weight).ravel(), by_bias])

    start: npt.NDArray[np.float64] = np.zeros(first.size + n)
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=STEPS).x
    return first + flat[:-n].reshape(first.shape), first_bias + flat[-n:]


def fit_tags(rows: GenreRows) -> SoftmaxRegression:
    """Fit the ten genres to tags of segments, as near to the tags' names as the rows allow."""
    named = np.array(
        [[genre in tagged_genre(tag).genres for genre in GENRES] for tag in MSD.tags], np.float64
    )
    first = TAG_LOGIT * named / named.sum(axis=0).clip(min=1)
    mean, scale = np.zeros(len(MSD.tags)), np.full(len(MSD.tags), TAG_SPREAD)
    wanted = rows.targets * (1 - SMOOTHING) + SMOOTHING / len(GENRES)
    weight, bias = near(
        rows.tags / scale, wanted, rows.weight, first, np.zeros(len(GENRES)), TAGS_L2
    )
    return SoftmaxRegression(mean, scale, weight, bias, np.inf)


def learn_open(rows: SongRows) -> Logits:
    """Fit to rows, and return what gives the logits of others."""
    model = fit_open(rows)
    return lambda others: model.logits(with_embedding(others, rows).columns)
