"""Pairs a CPU-second beside gensim, in one run: equal window, width and negatives, one thread each.

    python -m benchmarks graph_rate DATA --peer PEERS/bin/python [--rounds 3]

The lists are those of ``hari_playlists`` without what seed 0 hides; PEERS is the venv of
`graph_peers.py`. The two take turns, an epoch each. A pair is a song and a song at most 50 places
apart in a list, either way; each has 20 negatives: gensim draws them for the pair, here they are an
expectation over what the batch has drawn. What comes before the first epoch is not counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

WINDOW, WIDTH, NEGATIVES = 50, 64, 20


def peer(path: Path) -> None:
    """Run gensim, an epoch for each line that comes in."""
    from gensim.models import Word2Vec

    lists = json.loads(path.read_text())
    model = Word2Vec(
        vector_size=WIDTH,
        sg=1,
        window=WINDOW,
        negative=NEGATIVES,
        min_count=1,
        ns_exponent=0.75,
        shrink_windows=False,
        sample=0,
        workers=1,
        seed=0,
    )
    model.build_vocab(lists)
    for _ in sys.stdin:
        began = time.process_time()
        model.train(lists, total_examples=len(lists), epochs=1)
        print(time.process_time() - began, flush=True)


def main() -> None:
    """Let both train in turns, and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", required=True, help="The Python that has gensim.")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import torch
    from recall_tables import playlists

    from audiorec.recall.contract.data import RecallData
    from audiorec.recall.graph.learner import _PairLearner, pair_mask
    from audiorec.recall.graph.material import Song2vecRecipe, material_of
    from audiorec.recall.graph.models import Song2vecModel

    torch.set_num_threads(1)
    learn = playlists(args.data).cut.learn
    # The pairs of an epoch of gensim: of the n places of a list, those at most WINDOW apart.
    apart = np.arange(1, WINDOW + 1)
    theirs = int(2 * np.maximum(0, learn.lengths[:, None] - apart).sum())
    recipe = Song2vecRecipe(gamma=0.0, dimension=WIDTH, window=WINDOW, negatives=NEGATIVES)
    make = partial(Song2vecModel, recipe=recipe)
    material = material_of(RecallData(learn))
    learner = _PairLearner(material, recipe, make, None, judged=False)
    rates: dict[str, list[float]] = {"gensim": [], "song2vec": [], "pairs alone": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.json"
        path.write_text(
            json.dumps(
                [
                    [learn.song_ids[s] for s in row]
                    for row in map(learn.__getitem__, range(len(learn)))
                ]
            )
        )
        command = [args.peer, __file__, "--as-peer", str(path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdin is not None
            assert run.stdout is not None
            for number in range(1, args.rounds + 1):
                run.stdin.write("go\n")
                run.stdin.flush()
                rates["gensim"].append(theirs / float(run.stdout.readline()))
                began = time.process_time()
                batches = list(learner.batches(number, 0))
                pairs = sum(int(pair_mask(b.there, WINDOW).sum()) for b in batches)
                rates["pairs alone"].append(pairs / (time.process_time() - began))
                began = time.process_time()
                for batch in learner.batches(number, 0):
                    learner.step(batch)
                rates["song2vec"].append(pairs / (time.process_time() - began))
            run.stdin.close()
    print(f"{theirs:,} pairs an epoch of gensim, {pairs:,} here (runs are cut anew in each)")
    for name, found in rates.items():
        told = ", ".join(f"{rate:,.0f}" for rate in found)
        print(f"{name}: {told} pairs a CPU-second; the median {np.median(found):,.0f}")
    ratio = np.array(rates["song2vec"]) / np.array(rates["gensim"])
    print(f"song2vec over gensim: {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-peer"]:
        peer(Path(sys.argv[2]))
    else:
        main()
