"""Channels and their fusion on public listening: "One list" of docs/benchmarks/recall.md.

    python -m benchmarks fusion_tables nowplaying|lastfm|playlists DATA WORK [CHANNEL ...]
        [--choose-only]

`fusion_sets` says what validation is, trains the channels and keeps their candidates in WORK. The
settings are chosen on validation alone (`audiorec.recall.serving.tune`), then the lists of the test
set are fused and judged once: each channel, all alike, weights by hand where a set has some, the
best weights, and what was chosen, with differences to the best channel and to all alike on the same
queries. Intervals are the middle 95 % of a bootstrap over sessions, users or lists.
``--choose-only`` leaves the test set alone.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from fusion_sets import DEPTH, SETS, FusionSet, prepare

from audiorec.evaluation.ranking import clustered_interval, rank_measures
from audiorec.recall.serving.fuse import Tuned
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tune import Standings, tune

EVERYONE = 10**9


def choose(found: FusionSet, files: dict[str, Path]) -> Tuned:
    """Choose settings on validation, and print the steps."""
    recipe = FusionRecipe(k=DEPTH)
    paths, names = list(files.values()), tuple(files)
    started = time.process_time()
    tuned = tune(paths, found.valid, recipe, by=found.by, names=names, users=EVERYONE)
    print(f"validation: {len(found.valid):,} queries, {tuned.steps} settings looked at")
    measures = list(dict.fromkeys([f"{n}@{k}" for n, k in (*found.shown, found.by)]))
    for one in tuned.tried:
        figures = [f"{m} {one.figures[m]:.4f}" for m in measures if m in one.figures]
        print(f"  {one.name}: {', '.join(figures)}")
    for (what, measure), gap in tuned.checked.items():
        print(f"  other half, {what}: {measure} {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
    weights = next(one.recipe for one in tuned.tried if one.name == "weights")
    print(
        f"weights {dict(zip(names, weights.weights, strict=True))}, flatness {weights.flatness:g}"
    )
    points = next(one.recipe for one in tuned.tried if one.name == "points")
    for name, row in zip(names, points.points, strict=True):
        print(f"points of {name}: {', '.join(f'{value:g}' for value in row)}")
    print(f"chosen: {tuned.recipe.method}")
    print(f"CPU seconds: {time.process_time() - started:.0f}", flush=True)
    return tuned


def judged(found: FusionSet, files: dict[str, Path], tuned: Tuned) -> None:
    """Fuse and judge the test set, and print the table."""
    names = tuple(files)
    places = Standings.of([pq.read_table(path) for path in files.values()], found.test.wanted)
    base = FusionRecipe(k=DEPTH)
    recipes = {
        f"`{name}`": replace(base, weights=tuple(float(name == other) for other in names))
        for name in names
    }
    recipes["all alike"] = replace(base, weights=(1.0,) * len(names))
    if found.by_hand:
        shown = " : ".join(f"{weight:g}" for weight in found.by_hand)
        recipes[f"by hand, {shown}"] = replace(base, weights=found.by_hand)
    for name in ("weights", "points"):
        recipes[name] = next(one.recipe for one in tuned.tried if one.name == name)
    ks = sorted({k for _, k in found.shown})
    figures = {}
    for name, recipe in recipes.items():
        ranks = places.ranks(places.weigh(recipe))
        ranks[ranks > DEPTH] = np.inf
        figures[name] = rank_measures(ranks, places.query, len(found.test), ks)
    rng, cluster = np.random.default_rng(0), found.test.cluster
    print(f"\ntest: {len(found.test):,} queries, {len(np.unique(cluster)):,} groups")
    heads = [f"{name}@{k}" for name, k in found.shown]
    print("| " + " | ".join(["list", *heads]) + " |", "|---" * (len(heads) + 1) + "|", sep="\n")
    for name, of in figures.items():
        cells = [str(clustered_interval(of[at], cluster, rng)) for at in found.shown]
        print("| " + " | ".join([name, *cells]) + " |", flush=True)
    for at in found.shown:
        best = max((f"`{n}`" for n in names), key=lambda name: np.nanmean(figures[name][at]))
        for name in list(recipes)[len(names) :]:
            for other in (best, "all alike"):
                if name == other:
                    continue
                gap = clustered_interval(figures[name][at] - figures[other][at], cluster, rng)
                said = f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
                print(f"{at[0]}@{at[1]}: {name} over {other}: {said}")


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("channels", nargs="*", help="some of those of the set")
    parser.add_argument("--choose-only", action="store_true")
    arguments = parser.parse_args()
    found = SETS[arguments.name](arguments.data)
    if arguments.channels:
        fewer = {name: found.channels[name] for name in arguments.channels}
        found = replace(found, channels=fewer, by_hand=())
    files = prepare(found, arguments.work / arguments.name)
    tuned = choose(found, files["valid"])
    if not arguments.choose_only:
        judged(found, files["test"], tuned)


if __name__ == "__main__":
    main()
