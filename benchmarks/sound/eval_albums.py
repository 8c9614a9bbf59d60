"""Ask how often the five nearest songs are of the query's album, for each way of comparing.

    python -m benchmarks eval_albums STORE [--k 5] [--draws 2000]

STORE is a ``vecs.parquet`` of whole songs with their sound; an album is the
first folder of a song's id. Songs that are no music take no part, neither as queries nor as
neighbours, and albums of fewer than three songs ask no questions.

One JSON line a way of comparing: the mean over queries of the part of the k nearest that are of the
same album, in percent, with a 95 % interval; and its difference from ``vector``. Songs are drawn
anew within each album, so the intervals are of these albums and not of others.
"""

import argparse
import json
import os
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt

from audiorec.library.library import Library
from audiorec.types import Float64Array

WAYS = ("vector", "mean", "sound")
LEAST_SONGS = 3  # of an album that asks
PERCENTILES = (2.5, 97.5)


def precision(
    store: Library, by: str, albums: npt.NDArray[np.str_], k: int
) -> tuple[npt.NDArray[np.str_], Float64Array]:
    """Return the album of each query, and the part of its nearest songs that are of the album."""
    names, counts = np.unique(albums[store.music], return_counts=True)
    asks = store.music & np.isin(albums, names[counts >= LEAST_SONGS])
    own = np.flatnonzero(asks)
    space = store.space(by, use_index=False)  # type: ignore[arg-type]
    found = space.search(space.units(own), k, allowed=store.music, own=own)
    return albums[own], (albums[found.rows] == albums[own][:, None]).mean(axis=1)


def interval(values: Float64Array, groups: npt.NDArray[np.str_], draws: int) -> list[float]:
    """Return mean and interval in percent, of queries drawn anew within their albums."""
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    drawn = [
        values[np.concatenate([rng.choice(own, len(own)) for own in places])].mean()
        for _ in range(draws)
    ]
    low, high = np.percentile(drawn, PERCENTILES)
    return [round(100 * float(value), 1) for value in (low, values.mean(), high)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--draws", type=int, default=2_000)
    args = parser.parse_args()
    library = Library.open(args.store)
    folders = np.array([song_id.partition("/")[0] for song_id in library.ids])
    results = {by: precision(library, by, folders, args.k) for by in WAYS}
    asked, plain = results["vector"]
    for by, (_, values) in results.items():
        line = {
            "by": by,
            "queries": len(values),
            "albums": len(np.unique(asked)),
            f"same_album_at_{args.k}": interval(values, asked, args.draws),
            "more_than_vector": interval(values - plain, asked, args.draws),
        }
        print(json.dumps(line))
