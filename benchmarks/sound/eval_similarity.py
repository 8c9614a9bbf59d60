"""Compare ways to say that two songs are alike: same-genre precision, with and without artists.

    python -m benchmarks eval_similarity DATA [--test]

DATA holds `gtzan/` with the published tag scores of the fault-filtered GTZAN split (443 training
and 290 test tracks of 30 s, artists apart) and `artists_titles.txt`; nothing of it is shipped.

Two heads turn tag scores into scores of ten genres, and six statistics of them into a vector of
60 numbers: `published`, the multinomial regression behind the public figure of 79.1 P@10 (windows
one second apart), and `recipe`, audiorec's own recipe and its segments every three seconds.

Everything is chosen on the training tracks: they are cut into three folds along artists, and the
tracks of one fold, scored by a head that heard nothing of it, look for each other. With --test
the test tracks look for each other, once, under heads of all training tracks.

One JSON line a space: P@1, P@5 and P@10, with all songs and with the query's artist left out, a
95 % bootstrap interval over queries for P@10, and the skewness of the 10-occurrence.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
from head_gtzan import GTZAN_GENRES, Taggrams, load_taggrams
from head_yardstick import train_genres
from hubness import local_scaling, mutual_proximity, occurrence_skewness
from scipy.optimize import minimize
from scipy.special import softmax

from audiorec.labelling.train import grouped_folds
from audiorec.search.scaling import (
    DEFAULT_WEIGHTS,
    LOG_ODDS,
    LOG_ODDS_FLOOR,
    Weighting,
    fit_units,
)
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import backbone_weights
from audiorec.types import STATISTICS

Array = npt.NDArray[np.float64]
Space = Callable[[Array, Array], Array]  # vectors (n, 10, 6), mean tags (n, 50) to (n, n)

FOLDS, SEEDS = 3, {"published": 5, "recipe": 2}
PUBLISHED_C = 0.01  # scikit-learn's C of the published head
SEGMENT_ROWS = 3  # windows a second apart: every third is a segment of audiorec
BEFORE = {**dict.fromkeys(STATISTICS, 0.25), "mean": 1.0}  # the default until decision 0006
SHRINK = 0.5  # of the correlations that whitening undoes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """Tracks that look for each other."""

    vectors: Array  # (n, 10, 6)
    tags: Array  # (n, 50), mean over the track
    genre: npt.NDArray[np.int64]
    artist: npt.NDArray[np.str_]


def weighted(weights: dict[str, float], log_odds: tuple[str, ...] = ()) -> Space:
    """Return the space of `audiorec.search.scaling` under these weights."""
    tiled = np.tile([weights.get(n, 0.0) for n in STATISTICS], len(GTZAN_GENRES))
    odds = np.tile([n in log_odds for n in STATISTICS], len(GTZAN_GENRES))

    def space(vectors: Array, _tags: Array) -> Array:
        flat = vectors.reshape(len(vectors), -1).astype(np.float32)
        asked = Weighting(weights=tiled, log_odds=odds)
        return product(fit_units(lambda: [flat], len(flat), asked)[1])

    return space


def columns(pick: Callable[[Array, Array], Array]) -> Space:
    """Return the cosine of standardised columns."""
    return lambda vectors, tags: product(unit(standard(pick(vectors, tags))))


def standard(x: Array) -> Array:
    """Return columns of mean 0 and deviation 1."""
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def unit(x: Array) -> Array:
    """Return rows of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def product(units: npt.NDArray[np.floating]) -> Array:
    """Return all cosines."""
    wide = units.astype(np.float64)
    return wide @ wide.T


def whitened(x: Array) -> Array:
    """Undo half of the correlations between standardised columns."""
    z = standard(x)
    correlations = (1 - SHRINK) * (z.T @ z) / len(z) + SHRINK * np.eye(z.shape[1])
    values, vectors = np.linalg.eigh(correlations)
    return z @ (vectors / np.sqrt(values)) @ vectors.T


def log_odds(p: Array) -> Array:
    """Return log-odds with audiorec's floor."""
    return np.log((p + LOG_ODDS_FLOOR) / (1 + LOG_ODDS_FLOOR - p))


MEAN = STATISTICS.index("mean")
DEFAULT = weighted(DEFAULT_WEIGHTS, LOG_ODDS)
SPACES: dict[str, Space] = {
    "mean scores (by=mean)": weighted({"mean": 1.0}),
    "mean, square root": columns(lambda v, _: np.sqrt(v[:, :, MEAN])),
    "mean, log-odds": columns(lambda v, _: log_odds(v[:, :, MEAN])),
    "mean, whitened": lambda v, _: product(unit(whitened(v[:, :, MEAN]))),
    "all six, raw": lambda v, _: product(unit(v.reshape(len(v), -1))),
    "all six, equal": weighted(dict.fromkeys(STATISTICS, 1.0)),
    "all six, whitened": lambda v, _: product(unit(whitened(v.reshape(len(v), -1)))),
    "mean 1, others 0.25 (until 0006)": weighted(BEFORE),
    "default weights, no log-odds": weighted(DEFAULT_WEIGHTS),
    "default (by=vector)": DEFAULT,
    "default, and others 0.25": weighted(
        {n: max(0.25, w) for n, w in DEFAULT_WEIGHTS.items()}, LOG_ODDS
    ),
    "default, mutual proximity": lambda v, t: mutual_proximity(DEFAULT(v, t)),
    "default, local scaling": lambda v, t: local_scaling(DEFAULT(v, t)),
    "mean tags": columns(lambda _, t: t),
    "default and mean tags": lambda v, t: (DEFAULT(v, t) + product(unit(standard(t)))) / 2,
}


def published_head(x: Array, genre: npt.NDArray[np.int64]) -> Callable[[Array], Array]:
    """Fit a multinomial regression with an L2 penalty, as scikit-learn defines C."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    z, targets = (x - centre) / spread, np.eye(len(GTZAN_GENRES))[genre]
    shape = (z.shape[1], targets.shape[1])
    penalty = 1 / (PUBLISHED_C * len(z))

    def loss(flat: Array) -> tuple[float, Array]:
        weight, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        p = softmax(z @ weight + bias, axis=1)
        error = (p - targets) / len(z)
        value = -np.log(p[targets > 0]).mean() + penalty / 2 * np.square(weight).sum()
        gradient = z.T @ error + penalty * weight
        return float(value), np.concatenate([gradient.ravel(), error.sum(axis=0)])

    flat = minimize(loss, np.zeros((shape[0] + 1) * shape[1]), jac=True, method="L-BFGS-B").x
    weight, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
    return lambda rows: softmax((rows - centre) / spread @ weight + bias, axis=1)


def recipe_head(train: Taggrams) -> Callable[[Array], Array]:
    """Train audiorec's genre recipe."""
    head = train_genres(train, {"msd": backbone_weights("msd").sha256}).head
    return lambda rows: head.scores_of_columns(rows).astype(np.float64)


def tracks(data: Taggrams, scores: Array, step: int) -> Tracks:
    """Summarise the scores of each track, every `step`-th window of it."""
    names = list(dict.fromkeys(data.track.tolist()))
    rows = [np.flatnonzero(data.track == name) for name in names]
    vectors = [summarise(scores[r[::step]].astype(np.float32)).reshape(-1, 6) for r in rows]
    first = [r[0] for r in rows]
    return Tracks(
        vectors=np.stack(vectors).astype(np.float64),
        tags=np.stack([data.tags[r].mean(axis=0) for r in rows]),
        genre=data.genre[first],
        artist=data.artist[first],
    )


def judged(head: str, train: Taggrams, judge: Taggrams) -> Tracks:
    """Train a head on some tracks and score others."""
    if head == "published":
        return tracks(judge, published_head(train.tags, train.genre)(judge.tags), 1)
    return tracks(judge, recipe_head(train)(judge.tags), SEGMENT_ROWS)


def training_folds(head: str, data: Taggrams) -> Iterator[Tracks]:
    """Yield each fold of the training tracks under a head that heard nothing of it."""
    for seed in range(SEEDS[head]):
        fold = grouped_folds(data.artist, data.genre, folds=FOLDS, seed=seed)
        for held in range(FOLDS):
            yield judged(head, data.rows(fold != held), data.rows(fold == held))


def hits(similar: Array, found: Tracks, *, filtered: bool) -> Array:
    """Return P@1, P@5 and P@10 of each query, (n, 3)."""
    similar = similar.copy()
    np.fill_diagonal(similar, -np.inf)
    if filtered:
        similar[found.artist[:, None] == found.artist[None, :]] = -np.inf
    order = np.argsort(-similar, axis=1, kind="stable")[:, :10]
    same = found.genre[order] == found.genre[:, None]
    return np.stack([same[:, :k].mean(axis=1) for k in (1, 5, 10)], axis=1)


def row(head: str, part: str, name: str, groups: list[Tracks]) -> None:
    """Print one JSON line: figures over the queries of all groups of tracks."""
    rng = np.random.default_rng(0)
    line: dict[str, object] = {"bench": "similarity", "part": part, "head": head, "space": name}
    matrices = [SPACES[name](group.vectors, group.tags) for group in groups]
    for filtered in (False, True):
        parts = [hits(m, g, filtered=filtered) for m, g in zip(matrices, groups, strict=True)]
        found = np.concatenate(parts)
        key = "artist_left_out" if filtered else "all"
        line[key] = [round(100 * v, 1) for v in found.mean(axis=0)]
        if len(groups) == 1:  # folds of several seeds hold the same tracks again
            drawn = found[rng.integers(0, len(found), (2000, len(found))), 2].mean(axis=1)
            line[f"{key}_95"] = [
                round(100 * float(np.quantile(drawn, q)), 1) for q in (0.025, 0.975)
            ]
    line["hub_skewness"] = round(float(np.mean([occurrence_skewness(m) for m in matrices])), 2)
    print(json.dumps(line), flush=True)


def main() -> None:
    """Print the table of the training tracks or, if asked, that of the test tracks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--test", action="store_true", help="the test tracks: look once")
    args = parser.parse_args()
    train = load_taggrams(args.data, "train", phases=SEGMENT_ROWS)
    for head in SEEDS:
        if args.test:
            test = load_taggrams(args.data, "test", phases=SEGMENT_ROWS)
            groups = [judged(head, train, test)]
        else:
            groups = list(training_folds(head, train))
        for name in SPACES:
            row(head, "test" if args.test else "train", name, groups)


if __name__ == "__main__":
    main()
