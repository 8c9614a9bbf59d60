"""Neighbours that have nothing in common with a song, with the graph and without.

    python benchmarks/graph_bad_cases.py WORLD [--gamma 0 1] [--seed 0]

WORLD is what ``scripts/make_recall_world.py`` wrote: real songs, lists, artists, dates and twelve
numbers of the audio. A fifth of each list is hidden. The model learns from the rest, and from
facts about artists; it is judged by what it did not learn from. One of the first ten neighbours
of a song is **bad** if it does not sound like the song (a cosine of the standardised numbers below
the median of all pairs), stands in no list with it where one of the two was hidden, and is of
another decade. Songs whose audio is not known are no neighbours here and not asked for.

Prints the rate, with the interval over songs, by the number of lists of the song, and the ten songs
whose bad neighbours became fewest, before and after.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Context, RecallData
from audiorec.recall.graph.channel import GraphChannel
from audiorec.recall.graph.facts import artist_facts
from audiorec.recall.graph.recipe import Song2vecRecipe
from audiorec.recall.graph.song2vec import Song2vec
from audiorec.recall.judging.splits import split
from audiorec.types import BoolArray, FloatArray, Int64Array, plain_name

NUMBERS = (
    *("danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness"),
    *("instrumentalness", "liveness", "valence", "tempo", "duration_ms"),
)
K = 10
WORST = 10
BLOCK = 256


def main() -> None:
    """Train with each gamma, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("--gamma", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    songs = pq.read_table(args.world / "songs.parquet").to_pydict()
    rows = pq.read_table(args.world / "playlists.parquet", columns=["list_id", "song_id"])
    lists: dict[str, list[str]] = {}
    for at, song in zip(*(rows.column(n).to_pylist() for n in ("list_id", "song_id")), strict=True):
        lists.setdefault(at, []).append(song)
    cut = split(Sequences.from_lists(list(lists.values()), list(lists)), "lists", seed=args.seed)
    place = {song: at for at, song in enumerate(songs["song_id"])}
    ids = cut.learn.song_ids
    order = np.array([place[song] for song in ids])
    table = np.array([songs[n] for n in NUMBERS], float).T[order]
    known = ~np.isnan(table).any(axis=1)
    centre, spread = table[known].mean(axis=0), table[known].std(axis=0)
    units = np.where(known[:, None], (np.nan_to_num(table) - centre) / spread, 0)
    units /= np.maximum(1e-9, np.linalg.norm(units, axis=1, keepdims=True))
    decade = np.array([int((songs["released"][at] or "0")[:3] or 0) for at in order])
    artists = [plain_name(songs["artist"][at]) for at in order]
    names = [f"{songs['artist'][at]} - {songs['title'][at]}" for at in order]
    facts = artist_facts(ids, artists)
    in_lists = np.bincount(cut.learn.song, minlength=len(ids))
    asked = np.flatnonzero(known & (in_lists > 0))
    rng = np.random.default_rng(args.seed)
    asked = np.sort(rng.permutation(asked)[:4_000])
    together = held_out_pairs(cut.learn, cut.wanted.among(ids))
    a, b = rng.permutation(np.repeat(asked, 2))[: len(asked) * 2].reshape(2, -1)
    median = float(np.median((units[a] * units[b]).sum(axis=1)))
    print(f"{len(ids):,} songs, {len(asked):,} asked for, sound below {median:.3f} is far")
    heads = ("gamma", "bad, all", "one list", "two to four", "five or more", "CPU-s")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    rates: dict[float, FloatArray] = {}
    near: dict[float, Int64Array] = {}
    for gamma in args.gamma:
        began = time.process_time()
        recipe = Song2vecRecipe(gamma=gamma, seed=args.seed, choose=False)
        data = RecallData(cut.learn, (), Context(triples=facts))
        model = Song2vec(recipe).fit(data)
        cpu = time.process_time() - began
        found = neighbours(model, asked, known & (in_lists > 0))
        near[gamma] = found
        far = (units[asked][:, None] * units[found]).sum(-1) < median
        other = decade[asked][:, None] != decade[found]
        apart = np.array(
            [
                [song not in together.get(of, ()) for song in row]
                for of, row in zip(asked.tolist(), found.tolist(), strict=True)
            ]
        )
        rates[gamma] = (far & other & apart).mean(axis=1)
        cells = [f"{gamma:g}"]
        for low, high in ((1, None), (1, 1), (2, 4), (5, None)):
            part = in_lists[asked] >= low
            part &= in_lists[asked] <= (high or np.inf)
            at = clustered_interval(rates[gamma][part], asked[part], np.random.default_rng(0))
            cells.append(f"{100 * at.value:.1f} [{100 * at.low:.1f}, {100 * at.high:.1f}]")
        print("| " + " | ".join([*cells, f"{cpu:.0f}"]) + " |", flush=True)
    print_worst(asked, rates, near, names, args.gamma)


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


def neighbours(model: GraphChannel, asked: Int64Array, may: BoolArray) -> Int64Array:  # type: ignore[type-arg]
    """Return the first ten neighbours of each song, (n, 10)."""
    ids, parts = model.song_ids, []
    for first in range(0, len(asked), BLOCK):
        rows = asked[first : first + BLOCK]
        one = Sequences.from_lists([[ids[s]] for s in rows.tolist()]).among(ids)
        similar = model.places.similarities(one)
        similar[np.arange(len(rows)), rows] = -np.inf
        similar[:, ~may] = -np.inf
        best = np.argpartition(-similar, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(similar, best, axis=1), axis=1)
        parts.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(parts)


def print_worst(
    asked: Int64Array,
    rates: dict[float, FloatArray],
    near: dict[float, Int64Array],
    names: list[str],
    gammas: list[float],
) -> None:
    """Print the songs that gained most, with their first three neighbours before and after."""
    first, last = gammas[0], gammas[-1]
    gain = rates[first] - rates[last]
    print(f"\n| song | before (gamma {first:g}) | after (gamma {last:g}) |\n|---|---|---|")
    for row in np.argsort(-gain, kind="stable")[:WORST].tolist():
        told = ["; ".join(names[s] for s in near[g][row][:3].tolist()) for g in (first, last)]
        print(f"| {names[asked[row]]} | {told[0]} | {told[1]} |")


if __name__ == "__main__":
    main()
