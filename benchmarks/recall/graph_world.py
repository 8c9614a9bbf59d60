"""Relations of sound beside those of the artist, on the catalogue whose sound is known.

    python -m benchmarks graph_world run   ROW ... --world WORLD --cache DIR [--seeds 5]
    python -m benchmarks graph_world table --world WORLD --cache DIR

WORLD is what ``scripts/samples/make_recall_world.py`` wrote: real songs, playlists, artists and
twelve numbers of the audio. ROW names what the facts are about: ``none`` (gamma 0), ``artist``,
``sound`` (ten neighbours by the standardised numbers), ``artist-sound``; ``item-knn`` stands beside
them. A fifth of each list is hidden, near-copies together. Every run is kept in DIR, with the first
ten neighbours of some songs, which `graph_bad_cases.py` judges.

The label of the playlist that the table came with (``playlist_genre``) is no fact here: it is the
answer. ``audiorec listening graph`` refuses it.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from graph_tables import KS, POOLS, graph_parser, interval, parsed_arguments, strata

from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Triples
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.graph.channel import GraphChannel, Song2vec
from audiorec.recall.graph.facts import artist_facts, joined, sound_facts
from audiorec.recall.graph.material import Song2vecRecipe
from audiorec.recall.judging.splits import JudgingSplit, split
from audiorec.recall.registry import channel_class
from audiorec.types import BoolArray, FloatArray, Int64Array, normalised_name

NUMBERS = (
    *("danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness"),
    *("instrumentalness", "liveness", "valence", "tempo", "duration_ms"),
)
ROWS = ("none", "artist", "sound", "artist-sound")
ASKED = 4_000  # songs whose neighbours are looked at
NEAR = 10
BLOCK = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """The catalogue on one split: S songs in the numbers of `cut.learn`."""

    cut: JudgingSplit
    units: FloatArray  # (S, 12): how songs sound, of unit length; zeros where it is not known
    decade: Int64Array  # (S,): 199 for the nineties; 0: unknown
    artists: tuple[str, ...]
    titles: tuple[str, ...]
    in_lists: Int64Array
    asked: Int64Array  # songs whose neighbours are judged
    heard: BoolArray  # songs that may be neighbours: of some list, and their sound is known


def read_world(folder: Path, seed: int, *, choosing: bool = False) -> World:
    """Read the catalogue, and hide a fifth of each list; with `choosing`, of what is left then."""
    songs = pq.read_table(folder / "songs.parquet").to_pydict()
    rows = pq.read_table(folder / "playlists.parquet", columns=["list_id", "song_id"])
    lists: dict[str, list[str]] = {}
    for at, song in zip(*(rows.column(n).to_pylist() for n in ("list_id", "song_id")), strict=True):
        lists.setdefault(at, []).append(song)
    cut = split(Sequences.from_lists(list(lists.values()), list(lists)), "lists", seed=seed)
    cut = split(cut.learn, "lists", seed=seed) if choosing else cut
    place = {song: at for at, song in enumerate(songs["song_id"])}
    ids = cut.learn.song_ids
    order = np.array([place[song] for song in ids])
    table = np.array([songs[n] for n in NUMBERS], float).T[order]
    known = ~np.isnan(table).any(axis=1)
    centre, spread = table[known].mean(axis=0), table[known].std(axis=0)
    units = np.where(known[:, None], (np.nan_to_num(table) - centre) / spread, 0)
    units /= np.maximum(1e-9, np.linalg.norm(units, axis=1, keepdims=True))
    in_lists = np.bincount(cut.learn.song, minlength=len(ids))
    heard = known & (in_lists > 0)
    rng = np.random.default_rng(seed)
    return World(
        cut=cut,
        units=units.astype(np.float32),
        decade=np.array([int((songs["released"][at] or "0")[:3] or 0) for at in order]),
        artists=tuple(normalised_name(songs["artist"][at] or "") for at in order),
        titles=tuple(f"{songs['artist'][at]} - {songs['title'][at]}" for at in order),
        in_lists=in_lists,
        asked=np.sort(rng.permutation(np.flatnonzero(heard))[:ASKED]),
        heard=heard,
    )


def facts_of(world: World, row: str) -> Triples | None:
    """Return what a row learns beside lists."""
    ids = world.cut.learn.song_ids
    parts = []
    if "artist" in row:
        parts.append(artist_facts(ids, world.artists))
    if "sound" in row:
        parts.append(sound_facts(Sound(ids, world.units, ("",) * len(ids)), neighbours=NEAR))
    return joined(parts) if parts else None


def run(row: str, seed: int, args: argparse.Namespace, path: Path) -> None:
    """Train one row on one split; keep what it finds of every list, and neighbours of songs."""
    world = read_world(args.world, seed, choosing=args.choosing)
    learn = world.cut.learn
    began = time.process_time()
    if row == "item-knn":
        channel = channel_class(row)()
        channel.fit(RecallData(learn))
    else:
        gamma = 0.0 if row == "none" else args.gamma
        recipe = Song2vecRecipe(gamma=gamma, seed=seed, choose=False)
        facts = facts_of(world, row)
        began = time.process_time()
        channel = Song2vec(recipe).fit(RecallData(learn, (), Context(triples=facts)))
    cpu = time.process_time() - began
    similar = np.concatenate(list(channel.blocks(Queries(world.cut.histories))))
    found = strata(similar, world.cut, channel.song_ids)
    near = np.empty((0, NEAR), np.int64)
    if isinstance(channel, GraphChannel):
        near = neighbours(channel, world)
    np.savez(path, cluster=world.cut.cluster, cpu=cpu, near=near, **found)
    shown = {n: round(100 * float(np.nanmean(v)), 1) for n, v in found.items()}
    print(row, seed, f"{cpu:.1f} CPU-s", json.dumps(shown), flush=True)


def neighbours(channel: GraphChannel, world: World) -> Int64Array:  # type: ignore[type-arg]
    """Return the first ten neighbours of each song that is asked for, (n, 10)."""
    ids, parts = channel.song_ids, []
    for first in range(0, len(world.asked), BLOCK):
        rows = world.asked[first : first + BLOCK]
        one = Sequences.from_lists([[ids[s]] for s in rows.tolist()]).among(ids)
        similar = channel.song_vectors.similarities(one)
        similar[np.arange(len(rows)), rows] = -np.inf
        similar[:, ~world.heard] = -np.inf
        best = np.argpartition(-similar, NEAR, axis=1)[:, :NEAR]
        order = np.argsort(-np.take_along_axis(similar, best, axis=1), axis=1)
        parts.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(parts)


def print_table(cache: Path) -> None:
    """Print means over seeds with intervals over lists, and what rows are ahead by."""
    heads = ["facts", "seeds", *(f"{pool}@{k}" for pool in POOLS for k in KS), "CPU-s"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    rows = [r for r in ("item-knn", *ROWS) if any(cache.glob(f"world-{r}-?.npz"))]
    runs = {r: [dict(np.load(p)) for p in sorted(cache.glob(f"world-{r}-?.npz"))] for r in rows}
    for row, made in runs.items():
        cells = [row, str(len(made))]
        for pool in POOLS:
            cells += [interval([r[f"{pool}@{k}"] for r in made], made, bare=k == KS[0]) for k in KS]
        print("| " + " | ".join([*cells, f"{np.mean([r['cpu'] for r in made]):.0f}"]) + " |")
    print()
    for row, base in (
        *((r, "none") for r in ROWS[1:]),
        ("artist-sound", "artist"),
        ("artist-sound", "sound"),
    ):
        pairs = list(zip(runs.get(row, []), runs.get(base, []), strict=False))
        for name in (f"{pool}@{KS[-1]}" for pool in POOLS if pairs):
            gaps = [a[name] - b[name] for a, b in pairs]
            told = interval(gaps, [b for _, b in pairs])
            print(f"{row} over {base}, {name}: {told}, {len(pairs)} seeds")


def main() -> None:
    """Read the arguments, run or print."""
    parser = graph_parser(__doc__)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--gamma", type=float, default=1.0)
    args = parsed_arguments(parser)
    if args.what == "table":
        print_table(args.cache)
        return
    for seed in range(args.first, args.first + args.seeds):
        for row in args.rows or ROWS:
            path = args.cache / f"world-{row}-{seed}.npz"
            if not path.exists():
                run(row, seed, args, path)


if __name__ == "__main__":
    main()
