"""Lists of implicit's models for the sets of ``benchmarks/recall/recall_fused.py``.

    python benchmarks/peers/implicit_lists.py WORK/NAME [--keep-heard]

Needs ``pip install implicit pyarrow``. Reads ``learn.parquet`` and ``known.parquet``, and writes
``peer-MODEL.parquet`` with 200 songs for each query. ALS has 64 factors and 15 iterations, one
thread; its confidence is the logarithm of the plays. kNN models keep 200 neighbours.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, TFIDFRecommender
from scipy.sparse import csr_matrix

DEPTH = 200


def matrix(path: Path, songs: dict[str, int]) -> tuple[list[str], csr_matrix]:
    """Return the owners and their counts of songs."""
    table = pq.read_table(path)
    owner = table.column("user_id").combine_chunks().dictionary_encode()
    names = table.column("song_id").to_pylist()
    counts = np.log2(1 + table.column("count").to_numpy()).astype(np.float32)
    there = np.array([name in songs for name in names])
    song = np.array([songs.get(name, 0) for name in names])
    cells = (owner.indices.to_numpy()[there], song[there])
    shape = (len(owner.dictionary), len(songs))
    return owner.dictionary.to_pylist(), csr_matrix((counts[there], cells), shape=shape)


def main() -> None:
    """Fit each model and write its lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep-heard", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder
    ids = sorted(set(pq.read_table(folder / "learn.parquet").column("song_id").to_pylist()))
    songs = {name: number for number, name in enumerate(ids)}
    _, learn = matrix(folder / "learn.parquet", songs)
    users, known = matrix(folder / "known.parquet", songs)
    models = {
        "als": AlternatingLeastSquares(64, iterations=15, num_threads=1, random_state=0),
        "bm25": BM25Recommender(K=DEPTH, num_threads=1),
        "tf-idf": TFIDFRecommender(K=DEPTH, num_threads=1),
    }
    for name, model in models.items():
        started = time.process_time()
        model.fit(learn, show_progress=False)
        fitted = time.process_time() - started
        found, _ = model.recommend(
            np.arange(len(users)),
            known,
            N=DEPTH,
            filter_already_liked_items=not arguments.keep_heard,
            recalculate_user=name == "als",
        )
        rows = [
            (user, ids[song], rank)
            for user, line in zip(users, found.tolist(), strict=True)
            for rank, song in enumerate(dict.fromkeys(s for s in line if s >= 0), 1)
        ]
        columns = zip(*rows, strict=True)
        table = pa.table(dict(zip(("user_id", "song_id", "rank"), columns, strict=True)))
        pq.write_table(table, folder / f"peer-implicit-{name}.parquet")
        print(f"{name}: {fitted:.1f} CPU-s to fit", flush=True)


if __name__ == "__main__":
    main()
