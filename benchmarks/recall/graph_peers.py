"""Peers of Song2vec on the lists that `graph_tables.py` wrote, in a venv of their own.

    python -m venv PEERS && PEERS/bin/pip install gensim pykeen
    PEERS/bin/python -m benchmarks graph_peers gensim DIR SEED [EPOCHS]
    PEERS/bin/python -m benchmarks graph_peers pykeen DIR SEED [EPOCHS] [--rate R] [--norm P]
        [--negatives N]

Writes DIR/peer-NAME-SEED.npz, with its CPU-seconds. One thread. gensim's Song2vec has a window of
50 and 20 negatives. PyKEEN's TransE learns (song, in_list, list) and (song, by, artist), with
Bernoulli corruption: the songs of a list are the heads that it would predict. Of the settings tried
on lists that `graph_tables.py --choosing` cut, `120 --negatives 30` did best.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 64


def gensim(told: dict[str, Any], seed: int, epochs: int) -> dict[str, Any]:
    """Train Word2Vec on the lists."""
    from gensim.models import Word2Vec

    began = time.process_time()
    model = Word2Vec(
        told["lists"],
        vector_size=WIDTH,
        sg=1,
        window=50,
        negative=20,
        epochs=epochs,
        min_count=1,
        ns_exponent=0.75,
        shrink_windows=False,
        sample=0,
        workers=1,
        seed=seed,
    )
    cpu = time.process_time() - began
    ids = np.array(model.wv.index_to_key)
    return {"ids": ids, "v": model.wv.vectors, "u": model.syn1neg, "cpu": cpu}


def pykeen(
    told: dict[str, Any], seed: int, epochs: int, *, rate: float, norm: int, negatives: int
) -> dict[str, Any]:
    """Train TransE on who stands in which list, and on artists."""
    import torch
    from pykeen.models import TransE
    from pykeen.training import SLCWATrainingLoop
    from pykeen.triples import CoreTriplesFactory

    torch.set_num_threads(1)
    lists, by = told["lists"], told["by"]
    songs = sorted({s for one in lists for s in one} | {s for s, _ in by})
    place = {s: at for at, s in enumerate(songs)}
    artists = {a: len(songs) + len(lists) + at for at, a in enumerate(sorted({a for _, a in by}))}
    rows = {(place[s], 0, len(songs) + at) for at, one in enumerate(lists) for s in one}
    rows |= {(place[s], 1, artists[a]) for s, a in by}
    n = len(songs) + len(lists) + len(artists)
    factory = CoreTriplesFactory.create(torch.tensor(sorted(rows)), num_entities=n, num_relations=2)
    began = time.process_time()
    model = TransE(
        triples_factory=factory, embedding_dim=WIDTH, scoring_fct_norm=norm, random_seed=seed
    )
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=torch.optim.Adam(model.parameters(), lr=rate),
        negative_sampler="bernoulli",
        negative_sampler_kwargs={"num_negs_per_pos": negatives},
    )
    loop.train(triples_factory=factory, num_epochs=epochs, batch_size=1024, use_tqdm=False)
    cpu = time.process_time() - began
    entities = model.entity_representations[0](None).detach().numpy()
    step = model.relation_representations[0](None).detach().numpy()[0]
    heads, ends = entities[: len(songs)], entities[len(songs) : len(songs) + len(lists)]
    kept = {"heads": heads, "lists": ends, "step": step, "norm": norm}
    return {"songs": np.array(songs), "cpu": cpu, **kept}


def main() -> None:
    """Train one peer on one split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("gensim", "pykeen"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("epochs", type=int, nargs="?", default=30)
    parser.add_argument("--rate", type=float, default=0.01, help="of PyKEEN's Adam")
    parser.add_argument("--norm", type=int, default=1, help="of PyKEEN's distance")
    parser.add_argument("--negatives", type=int, default=5, help="of PyKEEN, for each fact")
    args = parser.parse_args()
    told = json.loads((args.folder / f"lists-{args.seed}.json").read_text())
    if args.peer == "gensim":
        made = gensim(told, args.seed, args.epochs)
    else:
        settings = {"rate": args.rate, "norm": args.norm, "negatives": args.negatives}
        made = pykeen(told, args.seed, args.epochs, **settings)
    np.savez(args.folder / f"peer-{args.peer}-{args.seed}.npz", **made)
    print(f"{args.peer}: {made['cpu']:.1f} CPU-s")


if __name__ == "__main__":
    main()
