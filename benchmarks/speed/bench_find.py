"""Time a question in words over a store of many songs, on one core, with the store open.

    python -m benchmarks bench_find STORE --work WORK [--songs 1000 100000] [--rounds 20]

The songs of STORE are repeated under other ids, their embeddings shaken a little, until there are
enough. One JSON line a size: seconds of processor time of the first question, which computes what
is heard in all songs, and of the later ones: median, and the slowest.
"""

import argparse
import json
import os
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import pyarrow as pa

from audiorec.library.library import open_store
from audiorec.store.store import VectorStore, write_table

QUESTIONS = (
    "calm piano at night, no drums", "jazz", "dog barking", "fast rock with a woman singing",
    "没有人声的爵士乐", "to fall asleep", "a saxophone solo, not live", "funky bass for dancing",
)  # fmt: skip
SHAKEN = 0.02  # of a number of an embedding


def grow(store: Path, songs: int, target: Path) -> None:
    """Write a store of so many songs, unless it is there."""
    if target.exists():
        return
    known = VectorStore.open(store)
    table = known.table()
    rows = np.arange(songs) % len(known)
    grown = table.take(pa.array(rows))
    rng = np.random.default_rng(0)
    own = np.stack(table.column("embedding").to_pylist()).astype(np.float32)[rows]
    shaken = (own * (1 + SHAKEN * rng.standard_normal(own.shape, np.float32))).astype(np.float16)
    kind = table.schema.field("embedding").type
    changed = {
        "song_id": pa.array([f"{i:07}.flac" for i in range(songs)]),
        "content_hash": pa.array([f"{i:032x}" for i in range(songs)]),
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(shaken.ravel(), pa.float16()), own.shape[1]
        ).cast(kind),
    }
    for name, values in changed.items():
        field = table.schema.field(name)
        grown = grown.set_column(table.schema.get_field_index(name), field, values)
    write_table(target, grown, known.metadata)


def main() -> None:
    """Grow, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--songs", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    for songs in args.songs:
        path = args.work / f"{songs}.parquet"
        grow(args.store, songs, path)
        library = open_store(path)
        spent = []
        for i in range(args.rounds + 1):
            began = time.process_time()
            library.find(QUESTIONS[i % len(QUESTIONS)]).to_dict()
            spent.append(time.process_time() - began)
        line = {"songs": songs, "first_s": spent[0], "median_s": float(np.median(spent[1:]))}
        line |= {"slowest_s": max(spent[1:])}
        print(json.dumps({name: round(value, 4) for name, value in line.items()}))


if __name__ == "__main__":
    main()
