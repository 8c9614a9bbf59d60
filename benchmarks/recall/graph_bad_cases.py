"""Neighbours that have nothing in common with a song, with the graph and without.

    python -m benchmarks graph_world run --world WORLD --cache DIR
    python -m benchmarks graph_bad_cases WORLD DIR

Judges the first ten neighbours that the runs of `graph_world.py` kept, by what a model did not
learn from. A neighbour is **bad** if it is of another decade, stands in no list with the song where
one of the two was hidden, and

=========  ============================================================================
by sound   sounds less like the song than the median pair: for models that learnt artists
by artist  is by an artist who shares no listener of Last.fm with the song's, nor is the
           same: for models that learnt sound; of songs whose artist is known there
=========  ============================================================================

Songs whose audio is not known, or that stand in no list, are no neighbours here. Prints the rate
with an interval over songs, by the number of lists of a song, over all splits, what each model
gained over gamma 0, and the ten songs that gained most, with ids, for whoever wants to listen.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from graph_world import World, read_world
from scipy.sparse import csr_array

from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, FloatArray, Int64Array, normalised_name

WORST = 10
SHOWN = 3  # neighbours of each
STRATA = ((1, None), (1, 1), (2, 4), (5, None))
JUDGES = {"sound": ("none", "artist"), "artist": ("none", "sound")}


def main() -> None:
    """Judge what was kept, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("cache", type=Path)
    args = parser.parse_args()
    seeds = sorted(int(p.stem[-1]) for p in args.cache.glob("world-none-?.npz"))
    worlds = {seed: read_world(args.world, seed) for seed in seeds}
    for judge, rows in JUDGES.items():
        print(f"\nJudged by {judge}\n")
        heads = ("facts", "splits", "all songs", "one list", "two to four", "five or more")
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        rates: dict[str, dict[int, FloatArray]] = {}
        near: dict[str, dict[int, Int64Array]] = {}
        for row in rows:
            kept = {s: args.cache / f"world-{row}-{s}.npz" for s in seeds}
            near[row] = {s: np.load(p)["near"] for s, p in kept.items() if p.exists()}
            rates[row] = {}
            for seed, found in near[row].items():
                bad = is_bad(worlds[seed], found, judge, args.world)
                rates[row][seed] = bad
            shared = [s for s in rates[row] if s in rates[rows[0]]]
            print_rates(row, rates[row], worlds, shared)
        gaps = {s: rates[rows[1]][s] - rates[rows[0]][s] for s in rates[rows[1]]}
        print_rates(f"{rows[1]} less {rows[0]}", gaps, worlds, sorted(gaps))
        print_worst(worlds, rates, near, rows)


def is_bad(world: World, found: Int64Array, judge: str, folder: Path) -> FloatArray:
    """Return the share of bad neighbours of each song, (n,); NaN where it cannot be judged."""
    asked = world.asked
    other = world.decade[asked][:, None] != world.decade[found]
    together = held_out_pairs(world.cut.learn, world.cut.wanted.among(world.cut.learn.song_ids))
    pairs = zip(asked.tolist(), found.tolist(), strict=True)
    apart = np.array([[song not in together.get(of, ()) for song in row] for of, row in pairs])
    if judge == "sound":
        rng = np.random.default_rng(0)
        a, b = rng.permutation(np.repeat(asked, 2)).reshape(2, -1)
        median = float(np.median((world.units[a] * world.units[b]).sum(axis=1)))
        far = (world.units[asked][:, None] * world.units[found]).sum(-1) < median
        return (far & other & apart).mean(axis=1)
    listeners, number = listeners_of(folder)
    of_song = np.array([number.get(name, -1) for name in world.artists])
    name = np.array(world.artists)
    known = of_song[asked] >= 0
    far = name[asked][:, None] != name[found]
    shared = (listeners @ listeners.T).tocsr()
    ends = of_song[found]
    meet = np.asarray(shared[np.repeat(of_song[asked], found.shape[1]), ends.ravel()]).ravel()
    far &= (ends < 0) | (meet.reshape(found.shape) == 0)
    return np.where(known, (far & other & apart).mean(axis=1), np.nan)


def listeners_of(folder: Path) -> tuple[csr_array, dict[str, int]]:
    """Return who listens to which artist, (A, U), and the row of each artist."""
    rows = pq.read_table(folder / "counts.parquet", columns=["user_id", "artist"]).to_pydict()
    names = [normalised_name(a) for a in rows["artist"]]
    number = {name: at for at, name in enumerate(sorted(set(names)))}
    users = {name: at for at, name in enumerate(sorted(set(rows["user_id"])))}
    ends = ([number[n] for n in names], [users[u] for u in rows["user_id"]])
    matrix = csr_array((np.ones(len(names), np.float32), ends), shape=(len(number), len(users)))
    return matrix, number


def held_out_pairs(learn: Sequences, wanted: Sequences) -> dict[int, set[int]]:
    """Return which songs stand with which in a list, of which one was hidden there."""
    found: dict[int, set[int]] = {}
    row = {name: at for at, name in enumerate(learn.owner_ids)}
    for at, name in enumerate(wanted.owner_ids):
        hidden, shown = set(wanted[at].tolist()), set(learn[row[name]].tolist())
        for song in hidden:
            found.setdefault(song, set()).update(hidden | shown)
        for song in shown:
            found.setdefault(song, set()).update(hidden)
    return found


def print_rates(
    row: str, rates: dict[int, FloatArray], worlds: dict[int, World], seeds: list[int]
) -> None:
    """Print a line: shares in percent with intervals over songs, by lists of a song."""
    cells = [row, str(len(seeds))]
    ids = {s: np.array(worlds[s].cut.learn.song_ids)[worlds[s].asked] for s in seeds}
    for low, high in STRATA:
        values, songs = [np.empty(0)], [np.empty(0, "U1")]
        for seed in seeds:
            lists = worlds[seed].in_lists[worlds[seed].asked]
            part: BoolArray = (lists >= low) & (lists <= (high or np.inf))
            part &= ~np.isnan(rates[seed])
            values.append(rates[seed][part])
            songs.append(ids[seed][part])
        cluster = np.unique(np.concatenate(songs), return_inverse=True)[1]
        at = clustered_interval(np.concatenate(values), cluster, np.random.default_rng(0))
        cells.append(f"{100 * at.value:.2f} [{100 * at.low:.2f}, {100 * at.high:.2f}]")
    print("| " + " | ".join(cells) + " |", flush=True)


def print_worst(
    worlds: dict[int, World],
    rates: dict[str, dict[int, FloatArray]],
    near: dict[str, dict[int, Int64Array]],
    rows: tuple[str, str],
) -> None:
    """Print the songs of the first split that were worst and gained most, before and after."""
    seed = min(rates[rows[1]])
    world = worlds[seed]
    before, after = (np.nan_to_num(rates[row][seed], nan=-1.0) for row in rows)
    order = np.lexsort((after, after - before))[:WORST]
    ids = world.cut.learn.song_ids
    print(f"\n| song | bad | first of {rows[0]} | bad | first of {rows[1]} |")
    print("|" + "---|" * 5)

    def told(song: int) -> str:
        return f"{world.titles[song]} (spotify:track:{ids[song]})"

    for at in order.tolist():
        cells = [told(world.asked[at])]
        for row, rate in zip(rows, (before, after), strict=True):
            first = "; ".join(told(s) for s in near[row][seed][at][:SHOWN].tolist())
            cells += [f"{10 * rate[at]:.0f}", first]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
