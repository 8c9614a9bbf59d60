"""Compare ways to learn ten genres without a look at the test tracks.

    python scripts/heads/compare_genre.py --data DIR --cache DIR [--repeats 5] [--former]

Artists are left out in five folds, dealt anew in each repeat. Learnt from and judged are the
443 training tracks (three series each) and the validation clips that have audio; the two are
told apart, since the first are published rows and the second are scored here. Every line is
the accuracy by track over the repeats and its difference to the first line of its table, with
a bootstrap interval over artists. `--former` adds the recipe of gradient descent that stopped
early, with and without a hidden layer (minutes). `--cache` is that of `train_heads.py`.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from head_data import gtzan_clips
from head_features import Extractor
from head_gtzan import (
    GTZAN_GENRES,
    Taggrams,
    balanced,
    concatenate_taggrams,
    load_taggrams,
    taggrams_of,
)
from head_linear import LinearRecipe, fit_softmax_regression
from head_yardstick import (
    MEAN,
    out_of_fold_passes,
    score,
    six_statistics,
    statistics,
    tag_statistics,
)

from audiorec.labelling.train import HeadRecipe, class_targets, grouped_folds, train_head

FOLDS = 5
LOG_FLOOR = 1e-3
SAMPLES = 2000  # of the bootstrap
Float64Array = npt.NDArray[np.float64]
Method = Callable[[Taggrams, Taggrams], Float64Array]  # train, held out -> series' scores


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--former", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    extractor = Extractor(args.cache)
    songs = taggrams_of(args.data, extractor.clips("gtzan", gtzan_clips(args.data)))
    data = concatenate_taggrams([load_taggrams(args.data, "train", phases=3), songs])
    table("Segment head, by mean score", segment_heads(), data, args.repeats)
    found = second_stages(data, args.repeats, extractor.sha256)
    show("Ways to join a track's segments", found, data)
    print_failures(found["mean score"], data)
    if args.former:
        show("Former recipe, by mean score", former(data, args.repeats), data)


def segment_heads() -> dict[str, Method]:
    """Return heads of several inputs and strengths, each joined by mean score."""
    recipe = LinearRecipe()
    return {
        "probabilities, L2 0.1 (shipped)": mean_score(recipe),
        "L2 0.01": mean_score(replace(recipe, l2=0.01)),
        "L2 0.03": mean_score(replace(recipe, l2=0.03)),
        "L2 0.2": mean_score(replace(recipe, l2=0.2)),
        "no label smoothing": mean_score(replace(recipe, label_smoothing=0.0)),
        "every segment weighs the same": mean_score(recipe, even=True),
        "square roots of tags, L2 0.03": mean_score(replace(recipe, l2=0.03), np.sqrt),
        "logits of tags, L2 0.03": mean_score(replace(recipe, l2=0.03), _logits),
        "probabilities and logits, L2 0.1": mean_score(recipe, _both),
    }


def mean_score(
    recipe: LinearRecipe,
    change: Callable[[Float64Array], Float64Array] = lambda tags: tags,
    *,
    even: bool = False,
) -> Method:
    """Return a way that trains a head on changed tags and takes the mean of its scores."""
    n = len(GTZAN_GENRES)

    def method(train: Taggrams, held: Taggrams) -> Float64Array:
        smooth = recipe.label_smoothing
        targets = class_targets(train.genre, n) * (1 - smooth) + smooth / n
        weights = np.ones(len(train)) if even else balanced(train.artist, train.genre)
        model = fit_softmax_regression(
            change(train.tags), targets, weights, l2=recipe.l2, clip=np.inf
        )
        found, _ = statistics(model.scores(change(held.tags)), held)
        return found[:, :, MEAN]

    return method


def second_stages(
    data: Taggrams, repeats: int, backbones: dict[str, str]
) -> dict[str, Float64Array]:
    """Return who is right by each way of `head_yardstick`, and by weaker and stronger L2."""

    def ways(train: Taggrams, held: Taggrams) -> dict[str, Float64Array]:
        found = dict(score(train, held, backbones).ways)
        passes = out_of_fold_passes(train, backbones)
        seen = [one.out_of_fold for one in passes]
        scores = passes[0].head.scores_of_columns(held.tags)
        log = [np.log(one + LOG_FLOOR) for one in seen]
        for l2 in (0.3, 1.0, 10.0):
            found[f"six statistics, L2 {l2}"] = six_statistics(seen, train, scores, held, l2=l2)
        for l2 in (0.3, 3.0):
            found[f"tags, L2 {l2}"] = tag_statistics(train, held, l2=l2)
        found["six statistics of log scores"] = six_statistics(
            log, train, np.log(scores + LOG_FLOOR), held
        )
        return found

    return cross_validate(data, ways, repeats)


def former(data: Taggrams, repeats: int) -> dict[str, Float64Array]:
    """Return who is right by out-of-fold scores of AdamW, stopped early."""
    recipe = HeadRecipe(
        hidden=(), input_dropout=0.2, learning_rate=3e-3, label_smoothing=0.2, max_epochs=80,
        balanced=False,
    )  # fmt: skip
    found = {}
    for name, hidden in (("linear", ()), ("64 hidden units", (64,))):
        right = []
        for seed in range(repeats):
            out_of_fold = train_head(
                data.tags, data.genre, data.artist, task="gtzan", classes=GTZAN_GENRES,
                inputs=("msd.tags",), backbones={"msd": ""},
                recipe=replace(recipe, hidden=hidden, seed=seed),
                row_weights=balanced(data.artist, data.genre),
            ).out_of_fold  # fmt: skip
            values, first = statistics(out_of_fold, data)
            right.append(values[:, :, MEAN].argmax(1) == data.genre[first])
        found[name] = np.array(right, np.float64)
    return found


def table(title: str, methods: dict[str, Method], data: Taggrams, repeats: int) -> None:
    """Judge methods and print them."""

    def ways(train: Taggrams, held: Taggrams) -> dict[str, Float64Array]:
        return {name: method(train, held) for name, method in methods.items()}

    show(title, cross_validate(data, ways, repeats), data)


def cross_validate(
    data: Taggrams,
    ways: Callable[[Taggrams, Taggrams], dict[str, Float64Array]],
    repeats: int,
) -> dict[str, Float64Array]:
    """Return for each way which series it gets right, (repeats, series)."""
    names, first = np.unique(data.series, return_index=True)
    found: dict[str, Float64Array] = {}
    for repeat in range(repeats):
        fold = grouped_folds(data.artist, data.genre, folds=FOLDS, seed=100 + repeat)
        for held in range(FOLDS):
            rows = fold[first] == held
            scored = ways(data.rows(fold != held), data.rows(fold == held))
            for name, scores in scored.items():
                right = found.setdefault(name, np.zeros((repeats, len(names))))
                right[repeat, rows] = scores.argmax(1) == data.genre[first[rows]]
    return found


def show(title: str, found: dict[str, Float64Array], data: Taggrams) -> None:
    """Print accuracy on published rows and on clips, and the difference to the first line."""
    names, first = np.unique(data.series, return_index=True)
    published, artist = np.char.find(names, "#") >= 0, data.artist[first]
    base = next(iter(found.values())).mean(0)
    print(f"\n{title}")
    for name, right in found.items():
        by_repeat = right[:, published].mean(1)
        low, high = difference(right.mean(0)[published], base[published], artist[published])
        print(
            f"{name:44} {100 * by_repeat.mean():.1f} (repeats {100 * by_repeat.min():.1f} to "
            f"{100 * by_repeat.max():.1f})  clips {100 * right[:, ~published].mean():.1f}  "
            f"difference {100 * (by_repeat.mean() - base[published].mean()):+.1f} "
            f"[{100 * low:+.1f}, {100 * high:+.1f}]",
            flush=True,
        )


def print_failures(right: Float64Array, data: Taggrams) -> None:
    """Print the artists whose tracks are most often called something else."""
    _, first = np.unique(data.series, return_index=True)
    artist, genre = data.artist[first], data.genre[first]
    found = []
    for name in np.unique(artist):
        part = artist == name
        tracks = len(np.unique(data.track[first][part]))
        wrong = tracks * float(1 - right[:, part].mean())
        found.append((wrong, tracks, str(name), GTZAN_GENRES[genre[part][0]]))
    print("\nTracks called something else, by artist (mean score)")
    for wrong, tracks, name, true in sorted(found, reverse=True)[:8]:
        print(f"{name:24} {true:10} {wrong:4.1f} of {tracks}")


def difference(
    right: Float64Array, base: Float64Array, artist: npt.NDArray[np.str_]
) -> tuple[float, float]:
    """Return the middle 95 % of the mean difference when artists are drawn anew."""
    _, of_row = np.unique(artist, return_inverse=True)
    gain, size = np.bincount(of_row, right - base), np.bincount(of_row)
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=SAMPLES)
    low, high = np.percentile((times @ gain) / (times @ size), [2.5, 97.5])
    return float(low), float(high)


def _logits(tags: Float64Array) -> Float64Array:
    clipped = np.clip(tags, 1e-3, 1 - 1e-3)
    found: Float64Array = np.log(clipped / (1 - clipped))
    return found


def _both(tags: Float64Array) -> Float64Array:
    return np.concatenate([tags, _logits(tags)], axis=1)


if __name__ == "__main__":
    main()
