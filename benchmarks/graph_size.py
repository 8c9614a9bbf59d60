"""What Song2vec with the graph costs by size: made-up lists of the real shape, one epoch.

    python benchmarks/graph_size.py SONGS [--gamma 1] [--lists-of 40]

Three entries a song, popularity by Zipf, lists of about 40 songs, an artist for seven songs and a
genre of twenty. Prints pairs, CPU-seconds of the epoch without what comes before it, pairs a
CPU-second, and the most memory.
"""

import argparse
import resource
import time

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.learner import train_pairs
from audiorec.recall.graph.material import Facts, GraphMaterial
from audiorec.recall.graph.pairs import batches_of, blocks_of, pair_mask
from audiorec.recall.graph.recipe import Song2vecRecipe
from audiorec.recall.graph.vectors import Song2vecModel


def made_up(songs: int, lists_of: int) -> GraphMaterial:
    """Return lists and facts of so many songs."""
    rng = np.random.default_rng(0)
    n = 3 * songs
    popular = np.minimum((songs * rng.random(n) ** 2.5).astype(np.int64), songs - 1)
    lengths = np.full(n // lists_of, lists_of)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    song = popular[: starts[-1]].astype(np.int32)
    ids = tuple(map(str, range(songs)))
    owners = ("",) * len(lengths)
    plays = Sequences(owners, ids, starts, song, np.full(len(song), np.nan))
    artists, genres = max(1, songs // 7), 20
    things = tuple(f"artist:{a}" for a in range(artists))
    things += tuple(f"genre:{g}" for g in range(genres))
    every = np.arange(songs)
    tail = np.concatenate(
        [songs + rng.integers(0, artists, songs), songs + artists + rng.integers(0, genres, songs)]
    )
    facts = Facts(
        relations=("by", "is"),
        head=np.concatenate([every, every]),
        relation=np.repeat([0, 1], songs),
        tail=tail,
        weight=np.ones(2 * songs, np.float32),
    )
    return GraphMaterial(song_ids=ids, things=things, plays=plays, facts=facts)


def main() -> None:
    """Train one epoch and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", type=int)
    parser.add_argument("--gamma", type=float, default=1.0)
    parser.add_argument("--lists-of", type=int, default=40)
    parser.add_argument("--places", type=int, default=Song2vecRecipe().places)
    args = parser.parse_args()
    material = made_up(args.songs, args.lists_of)
    recipe = Song2vecRecipe(gamma=args.gamma, choose=False, max_epochs=1, places=args.places)
    rng = np.random.default_rng(0)
    began = time.process_time()
    blocks = blocks_of(material.plays, rng, longest=recipe.block)
    pairs = sum(int(pair_mask(there).sum()) for _, there in batches_of(blocks, rng, places=4_096))
    generated = time.process_time() - began
    marks = [time.process_time()]

    def make(of: GraphMaterial) -> Song2vecModel:
        model = Song2vecModel(of, recipe)
        marks.append(time.process_time())
        return model

    def tell(_: object) -> None:
        marks.append(time.process_time())

    train_pairs(material, recipe, make, purpose="measuring", progress=tell)
    epoch = marks[2] - marks[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    entries = len(material.plays.song)
    print(
        f"| {args.songs:,} | {entries:,} | {len(material.facts):,} | {pairs:,} | {generated:.1f} | "
        f"{marks[1] - marks[0]:.1f} | {epoch:.1f} | {pairs / epoch:,.0f} | {peak:.2f} |"
    )


if __name__ == "__main__":
    main()
