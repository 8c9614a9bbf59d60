"""How well and how steadily a library is divided into named playlists: GTZAN's 105 clips.

    python -m benchmarks eval_playlists STORE [--size 10] [--repeats 20]

STORE is of songs whose first folder is their genre (``jazz/jazz.00012.ogg``), which judges only.
Purity is the share of songs whose genre is the commonest in their list, beside that of lists of the
same sizes filled by chance; intervals are bootstraps over songs. Churn: so many songs (5 %) are
taken out, the rest is divided, the songs come back; what share of the others is then in another
list, and what share of the names is new? 20 seeds, with the interval over seeds. Curves: ten
minutes near each of eight songs; the mean distance from the curve, and the similarity to the song
and to the previous one.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audiorec import open_store
from audiorec.library.library import Library
from audiorec.playlists.library_lists import (
    NEW,
    Sizes,
    bound_sizes,
    divide,
    match_earlier,
    update_groups,
)
from audiorec.playlists.names import GroupName, ListToName, name_groups
from audiorec.search.explain import FactReader, SureFacts

NEW_SHARE = 0.05
CURVES = ((), ("rock:rise",), ("jazz:arc",), ("metal:fall",))
CURVE_SEEDS, CURVE_MINUTES = 8, 10.0


def purity(genres: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return for each song whether its genre is the commonest in its list."""
    right = np.zeros(len(genres))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        names, counts = np.unique(genres[rows], return_counts=True)
        right[rows] = genres[rows] == names[counts.argmax()]
    return right


def interval(values: np.ndarray, rng: np.random.Generator) -> str:
    """Return a mean and its bootstrapped 95 % interval."""
    draws = rng.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def by_density(units: np.ndarray, sizes: Sizes) -> tuple[np.ndarray, float]:
    """HDBSCAN; what it calls noise goes to the nearest group. Returns the share of noise, too."""
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=sizes.least, copy=True).fit(units.astype(np.float64)).labels_
    noise = float((found == NEW).mean())
    if noise == 1:
        return np.zeros(len(units), np.int64), noise
    centres = np.stack([units[found == g].mean(axis=0) for g in range(found.max() + 1)])
    found = np.where(found == NEW, (units @ centres.T).argmax(axis=1), found)
    return found.astype(np.int64), noise


def named(
    units: np.ndarray,
    facts: list[SureFacts],
    rows: np.ndarray,
    groups: np.ndarray,
    kept: dict[int, GroupName] | None = None,
) -> list[GroupName]:
    """Name groups of some songs; a song is called by its row."""
    lists = []
    for group in range(int(groups.max()) + 1):
        places = np.flatnonzero(groups == group)
        typical = places[int((units[places] @ units[places].mean(axis=0)).argmax())]
        lists.append(
            ListToName(
                songs=[facts[rows[place]] for place in places],
                ids=[str(rows[place]) for place in places],
                typical=str(rows[typical]),
                title=str(rows[typical]),
            )
        )
    return name_groups(lists, kept=kept)


def churn(units, words, rows, sizes, rng, way) -> tuple[float, float]:
    """Return the share of known songs that moved, and of names that are new."""
    new = rng.choice(len(units), max(1, round(NEW_SHARE * len(units))), replace=False)
    there = np.setdiff1d(np.arange(len(units)), new)
    first = divide(units[there], sizes)
    names = named(units[there], words, rows[there], first)
    before = np.full(len(units), NEW, np.int64)
    before[there] = first
    after = divide(units, sizes)
    if way == "carried on":
        after, _ = update_groups(units, before, sizes)
    goes_on = match_earlier(after, before)
    kept = {} if way == "anew, unmatched" else {g: names[b] for g, b in goes_on.items()}
    again = named(units, words, rows, after, kept)
    if way == "anew, unmatched":  # a list is its name
        where = {name.text: group for group, name in enumerate(names)}
        goes_on = {g: where.get(name.text, NEW) for g, name in enumerate(again)}
    moved = np.mean([goes_on.get(int(after[t]), NEW) != before[t] for t in there])
    known = {name.text for name in names}
    return float(moved), float(np.mean([name.text not in known for name in again]))


def grown(
    units: np.ndarray, sizes: Sizes, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups of a library that began with 80 % of its songs and grew in five nights."""
    order = rng.permutation(len(units))
    before, joined = np.full(len(units), NEW, np.int64), 0
    first = before
    for share in (0.8, 0.84, 0.88, 0.92, 0.96, 1.0):
        there = np.sort(order[: round(share * len(units))])
        before[there], joined = update_groups(units[there], before[there], sizes, joined=joined)
        first = before.copy() if share == 0.8 else first
    return first, before


def curve_lines(store: Library, rng: np.random.Generator) -> Iterator[str]:
    """Yield a line for each space and curve: how near the lists come to it, and at what cost."""
    seeds = rng.choice(len(store), CURVE_SEEDS, replace=False)
    for by in ("sound", "vector"):
        units = store.space(by).matrix
        for curve in CURVES:
            found = [
                store.playlist(store.ids[s], minutes=CURVE_MINUTES, curve=curve, by=by)
                for s in seeds
            ]
            far = np.mean([one.curve_distance or 0.0 for one in found])
            alike = np.mean([one.similarities.mean() for one in found])
            steps = np.mean(
                [(units[o.rows[1:]] * units[o.rows[:-1]]).sum(axis=1).mean() for o in found]
            )
            yield f"| {by} | {''.join(curve) or 'none'} | {far:.3f} | {alike:.3f} | {steps:.3f} |"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=20)
    asked = parser.parse_args()
    store, sizes, rng = open_store(asked.store), Sizes(asked.size), np.random.default_rng(0)
    words = FactReader(store).of_rows(range(len(store)))
    rows = np.asarray(sorted(range(len(store)), key=store.ids.__getitem__))
    genres = np.asarray([Path(store.ids[row]).parts[0] for row in rows])
    print("| by | method | lists | sizes | noise | purity | by chance |")
    print("|---|---|---|---|---|---|---|")
    for by in ("sound", "vector"):
        units = store.space(by).units_by_row()[0][rows]
        raw, noise = by_density(units, sizes)
        for name, groups, left in (
            ("k-means, bounded", divide(units, sizes), "-"),
            ("HDBSCAN, noise to the nearest", raw, f"{noise:.2f}"),
            ("the same, bounded", bound_sizes(units, raw, sizes), f"{noise:.2f}"),
        ):
            counts = np.bincount(groups)
            chance = np.mean([purity(rng.permutation(genres), groups).mean() for _ in range(200)])
            print(
                f"| {by} | {name} | {len(counts)} | {counts.min()} to {counts.max()} | {left} | "
                f"{interval(purity(genres, groups), rng)} | {chance:.3f} |"
            )
    units = store.space("auto").units_by_row()[0][rows]
    print("\n| 5 % new songs | songs moved | names that are new |\n|---|---|---|")
    for way in ("carried on", "anew, matched", "anew, unmatched"):
        found = np.asarray(
            [churn(units, words, rows, sizes, np.random.default_rng(s), way)
             for s in range(asked.repeats)]
        )  # fmt: skip
        print(f"| {way} | {interval(found[:, 0], rng)} | {interval(found[:, 1], rng)} |")
    anew = purity(genres, divide(units, sizes))
    nights = [grown(units, sizes, np.random.default_rng(s)) for s in range(asked.repeats)]
    first = np.asarray([purity(genres[g != NEW], g[g != NEW]).mean() for g, _ in nights])
    last = np.asarray([purity(genres, g).mean() for _, g in nights])
    print(f"\npurity: {anew.mean():.3f} divided at once; begun with 80 % of the songs at")
    print(f"{interval(first, rng)}, five nights later {interval(last, rng)}")
    print("\n| by | curve | distance | similarity to the song | to the previous |")
    print("|---|---|---|---|---|", *curve_lines(store, np.random.default_rng(0)), sep="\n")
    names = named(units, words, rows, divide(units, sizes))
    print("\nnames:", "; ".join(name.text for name in names))
    print(f"{time.process_time():.1f} CPU-seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
