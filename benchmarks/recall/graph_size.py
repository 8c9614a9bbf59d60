"""What Song2vec with the graph costs by size: made-up lists of the real shape.

    python -m benchmarks graph_size curve 10000 100000 1000000 5000000 [--gamma 1] [--steps 300]
    python -m benchmarks graph_size one SONGS [--tables files]

Three entries a song, popularity by Zipf, lists of 40 songs, an artist for seven songs, a genre of
twenty. A size runs in a process of its own: it makes the tables, trains so many steps (an epoch, if
that is less), and places all songs. Prints CPU-seconds to begin, of an epoch (worked out from the
steps where it was not run whole), and to place songs; how long a step takes, over its CPU-seconds;
and the most memory: all that was resident, and what of it is the process's own, which is what it
needs: pages of files are dropped when memory is wanted. ``curve`` also prints the slope of each in
log-log: 1 is in proportion.

To see it train in less memory than its tables take, limit that of the shell that runs it:

    mkdir /sys/fs/cgroup/memory/small
    echo 2G > /sys/fs/cgroup/memory/small/memory.limit_in_bytes
    echo $$ > /sys/fs/cgroup/memory/small/cgroup.procs
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.learner import _PairLearner, pair_mask
from audiorec.recall.graph.material import Facts, GraphMaterial, Song2vecRecipe
from audiorec.recall.graph.models import Song2vecModel

HEADS = ("songs", "entries", "facts", "tables")
FIGURES = ("begin", "epoch", "places", "wall/CPU", "pairs/s", "GB", "own GB")


def made_up(songs: int, lists_of: int) -> GraphMaterial:
    """Return lists and facts of so many songs."""
    rng = np.random.default_rng(0)
    n = 3 * songs // lists_of * lists_of
    popular = np.minimum((songs * rng.random(n) ** 2.5).astype(np.int32), songs - 1)
    starts = np.arange(0, n + 1, lists_of, dtype=np.int64)
    ids = tuple(map(str, range(songs)))
    plays = Sequences(("",) * (len(starts) - 1), ids, starts, popular, np.full(n, np.nan))
    artists, genres = max(1, songs // 7), 20
    entities = tuple(f"artist:{a}" for a in range(artists))
    entities += tuple(f"genre:{g}" for g in range(genres))
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
    return GraphMaterial(song_ids=ids, entities=entities, plays=plays, facts=facts)


class Memory:
    """Looks at the process's memory ten times a second, and keeps the most."""

    def __init__(self) -> None:
        self.most = {"VmRSS": 0, "RssAnon": 0}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(0.1)

    def look(self) -> None:
        """Look now."""
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in self.most:
                self.most[name] = max(self.most[name], int(value.split()[0]) * 1024)


def one(args: argparse.Namespace) -> dict[str, float]:
    """Measure one size."""
    memory = Memory()
    material = made_up(args.songs[0], args.lists_of)
    recipe = Song2vecRecipe(gamma=args.gamma, choose=False, max_epochs=1)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        room = Path(folder) if args.tables == "files" else None
        marks = [time.process_time()]
        make = partial(Song2vecModel, recipe=recipe, room=room)
        learner = _PairLearner(material, recipe, make, None, judged=False)
        marks.append(time.process_time())
        pairs = entries = 0
        wall = time.monotonic()
        for batch in islice(learner.batches(1, 0), args.steps):
            learner.step(batch)
            pairs += int(pair_mask(batch.there, recipe.window).sum())
            entries += int(batch.there.sum())
        marks.append(time.process_time())
        wall = time.monotonic() - wall
        share = entries / len(material.plays.song)
        learner.song_vectors()
        marks.append(time.process_time())
    memory.look()
    begin, steps, places = np.diff(marks).tolist()
    return {
        "songs": args.songs[0],
        "entries": len(material.plays.song),
        "facts": len(material.facts),
        "share": share,
        "begin": begin,
        "epoch": steps / share,
        "places": places,
        "wall/CPU": wall / steps,
        "pairs/s": pairs / steps,
        "GB": memory.most["VmRSS"] / 1e9,
        "own GB": memory.most["RssAnon"] / 1e9,
    }


def curve(args: argparse.Namespace) -> None:
    """Measure several sizes, and print a table and slopes."""
    print(
        "| "
        + " | ".join((*HEADS, "trained", *FIGURES))
        + " |\n|"
        + "---|" * (len(HEADS) + 1 + len(FIGURES))
    )
    found = []
    for songs in args.songs:
        options = ["--gamma", str(args.gamma), "--steps", str(args.steps), "--tables", args.tables]
        options += ["--lists-of", str(args.lists_of)]
        options += [] if args.folder is None else ["--folder", str(args.folder)]
        command = [sys.executable, __file__, "one", str(songs), *options]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        found.append(told)
        cells = [f"{told[n]:,}" for n in HEADS[:3]] + [args.tables, f"{told['share']:.1%}"]
        cells += [f"{told[n]:,.0f}" if n == "pairs/s" else f"{told[n]:.2f}" for n in FIGURES]
        print("| " + " | ".join(cells) + " |", flush=True)
    for name in ("epoch", "GB", "own GB"):
        x, y = (np.log([told[n] for told in found]) for n in ("songs", name))
        slopes = ", ".join(f"{s:.2f}" for s in np.diff(y) / np.diff(x))
        print(f"log-log slope of {name}, from size to size: {slopes}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("curve", "one"))
    parser.add_argument("songs", type=int, nargs="+")
    parser.add_argument("--gamma", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lists-of", type=int, default=40)
    parser.add_argument("--tables", choices=("memory", "files"), default="memory")
    parser.add_argument("--folder", type=Path, help="Where tables in files are.")
    args = parser.parse_args()
    if args.what == "curve":
        curve(args)
    else:
        import torch

        torch.set_num_threads(1)
        print(json.dumps(one(args)))


if __name__ == "__main__":
    main()
