"""Songs of no list, one by one: what the graph finds of them beside the mean of their artist's.

    python -m benchmarks graph_tables run gamma=0 gamma=1 gamma=1,words=true artist ... (see there)
    python -m benchmarks graph_new_songs DATA DIR

From the places that `graph_tables.py` kept in DIR. What is counted is each hidden song in each list
that hides it, ranked among the songs of no list: found within 10 or 100. A list that hides many
counts for many, unlike there. Intervals are the middle 95 % of a bootstrap over songs, and over
artists, whose songs lie together (the first one named; an unnamed song is nobody's but its own).
"""

import argparse
from pathlib import Path

import numpy as np
from graph_tables import KS, artists_of, by_artist, whole

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval, mean_ranks
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.recall.judging.splits import JudgingSplit, split
from audiorec.types import Float64Array, FloatArray

ROWS = ("gamma=1", "gamma=1,words=true")
BASES = ("artist", "artist-both", "artist-1", "gamma=1")


def main() -> None:
    """Rank the new songs of each split by each row, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    args = parser.parse_args()
    lists, artists = whole(args.data), artists_of(args.data)
    kept = sorted(int(p.stem[-1]) for p in args.cache.glob(f"places-{ROWS[-1]}-?.npz"))
    ranks: dict[str, list[Float64Array]] = {row: [] for row in dict.fromkeys((*ROWS, *BASES))}
    songs: list[str] = []
    for seed in kept:
        cut = split(lists, "lists", seed=seed)
        for row, found in ranks.items():
            found.append(ranks_of(similar_of(row, cut, seed, args), cut))
        songs += new_songs(cut)
    owners = [artists.get(song, [song])[0] for song in songs]
    clusters = {"songs": songs, "artists": owners}
    print(
        f"{len(kept)} splits, {len(songs):,} hidden songs of no list, {len(set(songs)):,} different"
    )
    flat = {row: np.concatenate(found) for row, found in ranks.items()}
    for row, found in flat.items():
        for k in KS:
            print(f"{row} at {k}: {told(found <= k, clusters)}")
    for row in ROWS:
        for base in BASES:
            for k in KS if row != base else ():
                gap = (flat[row] <= k).astype(float) - (flat[base] <= k)
                print(f"{row} less {base} at {k}: {told(gap, clusters)}")


def similar_of(row: str, cut: JudgingSplit, seed: int, args: argparse.Namespace) -> FloatArray:
    """Return similarities of the lists with all songs."""
    if row.startswith("artist"):
        return by_artist(row, cut, args, seed)
    kept = np.load(args.cache / f"places-{row}-{seed}.npz")
    places = SongVectors(
        ahead=kept["ahead"],
        behind=kept["behind"],
        parts=tuple(kept["parts"].tolist()),
        has_place=kept["has_place"],
    )
    return places.similarities(cut.histories.among(cut.learn.song_ids))


def ranks_of(similar: FloatArray, cut: JudgingSplit) -> Float64Array:
    """Return the rank of each hidden song of no list among those of no list, by list."""
    song_ids = cut.learn.song_ids
    warm = np.bincount(cut.learn.song, minlength=len(song_ids)) > 0
    wanted = cut.wanted.among(song_ids)
    new = ~warm[wanted.song]
    block = np.where(warm, -np.inf, similar).astype(np.float32)
    return mean_ranks(block, wanted.owner[new], wanted.song[new])


def new_songs(cut: JudgingSplit) -> list[str]:
    """Return the ids of what `ranks_of` ranks, in its order."""
    song_ids = cut.learn.song_ids
    warm = np.bincount(cut.learn.song, minlength=len(song_ids)) > 0
    wanted = cut.wanted.among(song_ids)
    return [song_ids[song] for song in wanted.song[~warm[wanted.song]].tolist()]


def told(values: Float64Array, clusters: dict[str, list[str]]) -> str:
    """Return a mean in percent with its interval over each kind of cluster."""
    words = []
    for name, members in clusters.items():
        cluster = np.unique(members, return_inverse=True)[1]
        at: Interval = clustered_interval(
            values.astype(np.float64), cluster, np.random.default_rng(0)
        )
        words.append(f"{name} [{100 * at.low:.1f}, {100 * at.high:.1f}]")
    return f"{100 * values.mean():.1f}, {', '.join(words)}"


if __name__ == "__main__":
    main()
