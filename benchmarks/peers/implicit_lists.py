"""Lists of implicit's models for the sets of ``benchmarks/recall/recall_peers.py``.

    python benchmarks/peers/implicit_lists.py WORK/NAME [--keep-heard] [--budget 100]

Needs ``pip install implicit pyarrow``. Writes ``tuned-implicit-MODEL.parquet`` with 200 songs for
each query; one thread. Settings are chosen as ``settings.py`` says; *weights* are what a play of a
count of n weighs: n, log2(1 + n), or implicit's own BM25 weights of n.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import (
    BM25Recommender,
    CosineRecommender,
    TFIDFRecommender,
    bm25_weight,
)
from scipy.sparse import csr_matrix
from settings import Settings, Space, search

DEPTH = 200
NEIGHBOURS = {"tf-idf": TFIDFRecommender, "cosine": CosineRecommender, "bm25": BM25Recommender}
WEIGHTS: dict[str, Callable[[csr_matrix], csr_matrix]] = {
    "counts": lambda counts: counts,
    "log": lambda counts: counts.log1p() / np.log(2),
    "bm25": lambda counts: bm25_weight(counts).tocsr(),
}
SPACES: dict[str, Space] = {
    "als": {
        "factors": [32, 64, 128, 256],
        "iterations": [10, 15, 25],
        "regularization": [0.001, 0.01, 0.1, 1.0, 10.0],
        "alpha": [1.0, 3.0, 10.0, 40.0],
        "weights": list(WEIGHTS),
    },
    "item-item": {
        "kind": list(NEIGHBOURS),
        "K": [20, 50, 100, 200, 500],
        "weights": ["counts", "log"],
        "K1": [0.5, 1.2, 2.0, 100.0],
        "B": [0.0, 0.2, 0.5, 0.8],
    },
}


def made(name: str, settings: Settings) -> Any:
    """Return the model; without settings its defaults, and 200 neighbours as audiorec keeps."""
    given = {field: value for field, value in settings.items() if field != "weights"}
    if name == "als":
        return AlternatingLeastSquares(**given, num_threads=1, random_state=0)
    kind = given.pop("kind", "tf-idf")
    if kind != "bm25":
        given = {"K": given.get("K", DEPTH)}
    return NEIGHBOURS[kind](**{"K": DEPTH, **given}, num_threads=1)


def lists_of(name: str, settings: Settings, folder: Path, *, keep_heard: bool) -> pa.Table:
    """Fit a model and return its lists."""
    ids = sorted(set(pq.read_table(folder / "learn.parquet").column("song_id").to_pylist()))
    songs = {song: number for number, song in enumerate(ids)}
    _, learn = matrix(folder / "learn.parquet", songs)
    users, known = matrix(folder / "known.parquet", songs)
    weigh = WEIGHTS[settings.get("weights", "counts")]
    model = made(name, settings)
    model.fit(weigh(learn), show_progress=False)
    found, _ = model.recommend(
        np.arange(len(users)),
        weigh(known),
        N=min(DEPTH, len(ids)),
        filter_already_liked_items=not keep_heard,
        recalculate_user=name == "als",
    )
    rows = [
        (user, ids[song], rank)
        for user, line in zip(users, found.tolist(), strict=True)
        for rank, song in enumerate(dict.fromkeys(s for s in line if s >= 0), 1)
    ]
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(("user_id", "song_id", "rank"), columns, strict=True)))


def matrix(path: Path, songs: dict[str, int]) -> tuple[list[str], csr_matrix]:
    """Return the owners and their counts of songs."""
    table = pq.read_table(path)
    owner = table.column("user_id").combine_chunks().dictionary_encode()
    names = table.column("song_id").to_pylist()
    counts = table.column("count").to_numpy().astype(np.float32)
    there = np.array([name in songs for name in names])
    song = np.array([songs.get(name, 0) for name in names])
    cells = (owner.indices.to_numpy()[there], song[there])
    shape = (len(owner.dictionary), len(songs))
    return owner.dictionary.to_pylist(), csr_matrix((counts[there], cells), shape=shape)


def main() -> None:
    """Choose the settings of each model and write its lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep-heard", action="store_true")
    parser.add_argument("--budget", type=float, default=100.0)
    arguments = parser.parse_args()
    for name, space in SPACES.items():

        def lists(settings: Settings, folder: Path, name: str = name) -> pa.Table:
            return lists_of(name, settings, folder, keep_heard=arguments.keep_heard)

        search(f"implicit-{name}", space, lists, arguments.folder, arguments.budget)


if __name__ == "__main__":
    main()
